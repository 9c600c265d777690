//! Compression on the fly for text files of a folder, remembered in a small bounded store.
//!
//! Whoever has many or large files writes `.br` and `.gz` beside them; this is for the folder that somebody just
//! copied there.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::body::read_exactly;
use super::negotiate::Encoding;

/// Smaller files gain nothing: with its headers the answer is one packet either way.
const MIN_BYTES: u64 = 257;
/// Larger ones take too long for the first one who asks.
const MAX_BYTES: u64 = 2 * 1024 * 1024;
/// Of compressed files that are remembered, all together.
const STORE_BYTES: usize = 16 * 1024 * 1024;
/// A compression at once: a page's files must not take the processors from the streams.
const AT_ONCE: usize = 1;

/// Names one version of one file: the entity tag holds device, inode, times and length.
type Key = (Arc<str>, Encoding);

/// The compressed files of one folder.
pub(super) struct Compressor {
    store: Arc<Mutex<Store>>,
    turns: Arc<Semaphore>,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            store: Arc::new(Mutex::new(Store::new(STORE_BYTES))),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    pub(super) fn suits(length_bytes: u64) -> bool {
        (MIN_BYTES..=MAX_BYTES).contains(&length_bytes)
    }

    /// The compressed form of the version of a file that `tag` names. Many who ask at once for the same wait for one
    /// compression. Dropped meanwhile, a running compression ends by itself, still holding its turn.
    pub(super) async fn compress(
        &self,
        tag: &str,
        encoding: Encoding,
        file: Arc<File>,
        length_bytes: u64,
    ) -> io::Result<Bytes> {
        let key: Key = (Arc::from(tag), encoding);
        if let Some(found) = self.find(&key) {
            return Ok(found);
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(io::Error::other)?;
        if let Some(found) = self.find(&key) {
            return Ok(found);
        }
        let store = Arc::clone(&self.store);
        let work = move || {
            // `suits` holds it far below usize.
            let plain = read_exactly(&file, 0, length_bytes as usize)?;
            let made = Bytes::from(encode(encoding, &plain)?);
            // Stored before the turn ends, so that the next in line finds it, also when nobody waits here any more.
            store.lock().unwrap_or_else(PoisonError::into_inner).insert(key, made.clone());
            drop(turn);
            Ok(made)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    fn find(&self, key: &Key) -> Option<Bytes> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).entries.get(key).cloned()
    }
}

/// Forgets the oldest first. A folder's text rarely comes near the bound, so that being clever would win nothing.
struct Store {
    entries: HashMap<Key, Bytes>,
    order: VecDeque<Key>,
    held_bytes: usize,
    most_bytes: usize,
}

impl Store {
    fn new(most_bytes: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), held_bytes: 0, most_bytes }
    }

    fn insert(&mut self, key: Key, bytes: Bytes) {
        let size = cost(&key, &bytes);
        if size > self.most_bytes || self.entries.contains_key(&key) {
            return;
        }
        while self.held_bytes + size > self.most_bytes {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.entries.remove(&oldest) {
                self.held_bytes -= cost(&oldest, &gone);
            }
        }
        self.held_bytes += size;
        self.order.push_back(key.clone());
        self.entries.insert(key, bytes);
    }
}

/// With what the maps need for an entry, so that a million tiny files are bounded too.
fn cost(key: &Key, bytes: &Bytes) -> usize {
    bytes.len() + key.0.len() + 200
}

/// Middle qualities: within some percent of the best sizes at a fraction of their time.
fn encode(encoding: Encoding, plain: &[u8]) -> io::Result<Vec<u8>> {
    let room = Vec::with_capacity(plain.len() / 3);
    match encoding {
        Encoding::Brotli => {
            let mut writer = brotli::CompressorWriter::new(room, 4096, 5, 22);
            writer.write_all(plain)?;
            Ok(writer.into_inner())
        }
        Encoding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(room, flate2::Compression::new(6));
            writer.write_all(plain)?;
            writer.finish()
        }
    }
}

#[cfg(test)]
pub(super) fn decode(encoding: Encoding, packed: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut plain = Vec::new();
    match encoding {
        Encoding::Brotli => brotli::Decompressor::new(packed, 4096).read_to_end(&mut plain).expect("brotli"),
        Encoding::Gzip => flate2::read::GzDecoder::new(packed).read_to_end(&mut plain).expect("gzip"),
    };
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: usize) -> Vec<u8> {
        (0..lines).flat_map(|i| format!("line {i} of a text that shrinks\n").into_bytes()).collect()
    }

    #[tokio::test]
    async fn what_is_packed_is_what_comes_out_and_is_made_once() {
        let plain = text(2000);
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&plain).expect("written");
        let file = Arc::new(file);
        let compressor = Compressor::new();
        for encoding in Encoding::ALL {
            let pack = || compressor.compress("\"v1\"", encoding, Arc::clone(&file), plain.len() as u64);
            let (one, two) = tokio::join!(pack(), pack());
            let (one, two) = (one.expect("packed"), two.expect("packed"));
            assert!(one.len() < plain.len() / 4);
            assert_eq!(decode(encoding, &one), plain);
            assert_eq!(one.as_ptr(), two.as_ptr(), "made twice");
        }
        file.set_len(10).expect("cut");
        let cut = compressor.compress("\"v2\"", Encoding::Gzip, file, plain.len() as u64).await;
        assert_eq!(cut.expect_err("too short").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_store_is_bounded_and_forgets_the_oldest() {
        let mut store = Store::new(3 * 1300);
        let key = |n: usize| (Arc::from(format!("\"{n}\"")), Encoding::Gzip);
        for n in 0..10 {
            store.insert(key(n), Bytes::from(vec![0; 1000]));
            store.insert(key(n), Bytes::from(vec![0; 1000]));
            assert!(store.held_bytes <= store.most_bytes);
            assert_eq!(store.order.len(), store.entries.len());
        }
        assert_eq!(store.entries.len(), 3);
        assert!((7..10).all(|n| store.entries.contains_key(&key(n))));
        store.insert(key(99), Bytes::from(vec![0; 4000]));
        assert_eq!(store.entries.len(), 3);
    }
}
