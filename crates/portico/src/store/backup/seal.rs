//! A sealed stream: bytes that only a passphrase opens, and that open whole or not at all.
//!
//! ```text
//! "portico backup 1\n"
//! u32, u32, u32      what argon2id costs: memory in KiB, passes, lanes
//! 16 bytes           its salt
//! u64                bytes of the content
//! 32 bytes           SHA-256 of all before it: whether the head is damaged
//! 32 bytes           HMAC-SHA-256 of all before it: whether the passphrase is the right one
//! pieces             of 64 KiB, the last one shorter: AES-256-GCM, 16 bytes of tag behind each
//! ```
//!
//! A piece's nonce is its number, and the head says how long the content is: none can be moved, repeated or left out. All
//! numbers are big-endian.
//! The salt makes the key another one each time, so that no nonce is used twice under one key.

use std::io::{self, BufRead, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

const MAGIC: &[u8; 17] = b"portico backup 1\n";
const SALT_BYTES: usize = 16;
/// Magic, three numbers, salt, length.
const FIELDS_BYTES: usize = MAGIC.len() + 12 + SALT_BYTES + 8;
const HEAD_BYTES: usize = FIELDS_BYTES + 32 + 32;
const PIECE_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;

/// What trying one passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// For new backups.
pub(super) const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 1 };

/// A file that says it costs more than this is not opened: it would take the machine's memory.
const HIGHEST_COST: Cost = Cost { memory_kib: 1 << 20, passes: 16, lanes: 16 };

/// Why it does not open.
#[derive(Debug)]
pub(super) enum Unsealed {
    /// It does not begin as a backup does.
    NoBackup,
    WrongPassphrase,
    /// It ends too early.
    Truncated,
    Damaged,
    /// Trying the passphrase would take more than [`HIGHEST_COST`].
    TooCostly,
    Read(io::Error),
}

/// What fails in a reader of opened bytes; carried through `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("the backup is damaged")]
struct DamagedPiece;

impl From<io::Error> for Unsealed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            _ if error.get_ref().is_some_and(|inner| inner.is::<DamagedPiece>()) => Self::Damaged,
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}

/// Seals what is written to it. Without [`Sealer::finish`] it does not open.
pub(super) struct Sealer<W> {
    to: W,
    pieces: Pieces,
    piece: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(mut to: W, passphrase: &[u8], cost: Cost, content_bytes: u64) -> io::Result<Self> {
        let mut salt = [0; SALT_BYTES];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| io::Error::other("no random bytes"))?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend(MAGIC);
        [cost.memory_kib, cost.passes, cost.lanes]
            .iter()
            .for_each(|number| head.extend(number.to_be_bytes()));
        head.extend(salt);
        head.extend(content_bytes.to_be_bytes());
        head.extend(digest(&SHA256, &head).as_ref());
        let root = root(passphrase, &salt, cost)?;
        head.extend(hmac::sign(&passphrase_key(&root), &head).as_ref());
        to.write_all(&head)?;
        Ok(Self { to, pieces: Pieces::new(&root), piece: Vec::with_capacity(PIECE_BYTES) })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal()?;
        Ok(self.to)
    }

    fn seal(&mut self) -> io::Result<()> {
        let nonce = self.pieces.next_nonce();
        let sealed = self.pieces.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.piece);
        sealed.map_err(|_| io::Error::other("a piece can't be sealed"))?;
        self.to.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_BYTES {
            self.seal()?;
        }
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads what was sealed. Each piece is authentic when it is given out.
pub(super) struct Opener<R> {
    from: R,
    pieces: Pieces,
    piece: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R> std::fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

impl<R: BufRead> Opener<R> {
    /// `file_bytes`: how long the file is, by which it is seen that its end is missing.
    pub(super) fn new(mut from: R, file_bytes: u64, passphrase: &[u8]) -> Result<Self, Unsealed> {
        let mut head = [0; HEAD_BYTES];
        let mut magic = [0; MAGIC.len()];
        match from.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            _ => return Err(Unsealed::NoBackup),
        }
        head[..MAGIC.len()].copy_from_slice(&magic);
        from.read_exact(&mut head[MAGIC.len()..])?;
        if digest(&SHA256, &head[..FIELDS_BYTES]).as_ref() != &head[FIELDS_BYTES..FIELDS_BYTES + 32] {
            return Err(Unsealed::Damaged);
        }
        let number = |at: usize| u32::from_be_bytes(field(&head, MAGIC.len() + 4 * at));
        let cost = Cost { memory_kib: number(0), passes: number(1), lanes: number(2) };
        if cost.memory_kib > HIGHEST_COST.memory_kib
            || cost.passes > HIGHEST_COST.passes
            || cost.lanes > HIGHEST_COST.lanes
        {
            return Err(Unsealed::TooCostly);
        }
        let salt: [u8; SALT_BYTES] = field(&head, MAGIC.len() + 12);
        let content_bytes = u64::from_be_bytes(field(&head, MAGIC.len() + 12 + SALT_BYTES));
        match file_bytes.cmp(&file_size(content_bytes).ok_or(Unsealed::Damaged)?) {
            std::cmp::Ordering::Less => return Err(Unsealed::Truncated),
            std::cmp::Ordering::Greater => return Err(Unsealed::Damaged),
            std::cmp::Ordering::Equal => {}
        }
        let root = root(passphrase, &salt, cost)?;
        let (signed, signature) = head.split_at(FIELDS_BYTES + 32);
        if hmac::verify(&passphrase_key(&root), signed, signature).is_err() {
            return Err(Unsealed::WrongPassphrase);
        }
        Ok(Self { from, pieces: Pieces::new(&root), piece: Vec::new(), given: 0, ended: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        self.piece.clear();
        self.given = 0;
        (&mut self.from).take((PIECE_BYTES + TAG_BYTES) as u64).read_to_end(&mut self.piece)?;
        self.ended = self.from.fill_buf()?.is_empty();
        let nonce = self.pieces.next_nonce();
        let opened = self.pieces.key.open_in_place(nonce, Aad::empty(), &mut self.piece);
        let bytes = opened.map_err(|_| io::Error::other(DamagedPiece))?.len();
        self.piece.truncate(bytes);
        Ok(())
    }
}

impl<R: BufRead> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.len() && !self.ended {
            self.open_next()?;
        }
        let taken = into.len().min(self.piece.len() - self.given);
        into[..taken].copy_from_slice(&self.piece[self.given..self.given + taken]);
        self.given += taken;
        Ok(taken)
    }
}

struct Pieces {
    key: LessSafeKey,
    number: u64,
}

impl Pieces {
    fn new(root: &Prk) -> Self {
        let key = root.expand(&[b"content"], &AES_256_GCM).expect("32 bytes are what HKDF gives at once");
        Self { key: LessSafeKey::new(UnboundKey::from(key)), number: 0 }
    }

    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

fn root(passphrase: &[u8], salt: &[u8], cost: Cost) -> io::Result<Prk> {
    let mut key = [0; 32];
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key.len()));
    let hashed = params.and_then(|params| {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, &mut key)
    });
    hashed.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Salt::new(HKDF_SHA256, b"portico backup 1").extract(&key))
}

fn passphrase_key(root: &Prk) -> hmac::Key {
    hmac::Key::from(root.expand(&[b"passphrase"], HMAC_SHA256).expect("32 bytes are what HKDF gives at once"))
}

/// Of the whole file; `None`: no file is as large.
fn file_size(content_bytes: u64) -> Option<u64> {
    let pieces = content_bytes.div_ceil(PIECE_BYTES as u64).max(1);
    content_bytes.checked_add(pieces * TAG_BYTES as u64)?.checked_add(HEAD_BYTES as u64)
}

fn field<const BYTES: usize>(head: &[u8; HEAD_BYTES], at: usize) -> [u8; BYTES] {
    head[at..at + BYTES].try_into().expect("the fields lie within the head")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn sealed(content: &[u8], passphrase: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), passphrase, CHEAP, content.len() as u64).unwrap();
        // In portions that fit no piece.
        content.chunks(1000).for_each(|portion| sealer.write_all(portion).unwrap());
        sealer.finish().unwrap()
    }

    fn opened(file: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let mut content = Vec::new();
        Opener::new(file, file.len() as u64, passphrase)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn what_was_sealed_opens() {
        for bytes in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let content = content(bytes);
            let file = sealed(&content, b"correct horse");
            assert_eq!(file.len() as u64, file_size(bytes as u64).unwrap());
            assert_eq!(opened(&file, b"correct horse").unwrap(), content, "{bytes}");
            let plain = content.get(..16).unwrap_or(b"none to be found");
            assert!(!file.windows(16).any(|window| window == plain));
            assert!(matches!(opened(&file, b"correct horsf"), Err(Unsealed::WrongPassphrase)));
            assert_ne!(sealed(&content, b"correct horse"), file, "a salt of its own");
        }
    }

    /// Each bit of the head, and some of every piece.
    #[test]
    fn a_flipped_bit_is_seen() {
        let file = sealed(&content(PIECE_BYTES + 100), b"p");
        let pieces = (HEAD_BYTES..file.len()).step_by(997).chain([file.len() - 1]);
        for at in (0..HEAD_BYTES).chain(pieces) {
            for bit in [0, 7] {
                let mut flipped = file.clone();
                flipped[at] ^= 1 << bit;
                let error = opened(&flipped, b"p").unwrap_err();
                match at {
                    _ if at < MAGIC.len() => assert!(matches!(error, Unsealed::NoBackup), "{at}: {error:?}"),
                    // The mac of the head tells the right passphrase; changed, none is right.
                    _ if (FIELDS_BYTES + 32..HEAD_BYTES).contains(&at) => {
                        assert!(matches!(error, Unsealed::WrongPassphrase), "{at}: {error:?}");
                    }
                    _ => assert!(matches!(error, Unsealed::Damaged), "{at}: {error:?}"),
                }
            }
        }
    }

    #[test]
    fn a_missing_end_is_seen() {
        let file = sealed(&content(2 * PIECE_BYTES), b"p");
        for bytes in [0, MAGIC.len() - 1] {
            assert!(matches!(opened(&file[..bytes], b"p"), Err(Unsealed::NoBackup)), "{bytes}");
        }
        for bytes in [MAGIC.len(), HEAD_BYTES, HEAD_BYTES + PIECE_BYTES + TAG_BYTES, file.len() - 1] {
            assert!(matches!(opened(&file[..bytes], b"p"), Err(Unsealed::Truncated)), "{bytes}");
        }
        let longer = [&file[..], b"x"].concat();
        assert!(matches!(opened(&longer, b"p"), Err(Unsealed::Damaged)));
    }

    #[test]
    fn pieces_keep_their_order() {
        let file = sealed(&content(3 * PIECE_BYTES), b"p");
        let (head, pieces) = file.split_at(HEAD_BYTES);
        let pieces: Vec<&[u8]> = pieces.chunks(PIECE_BYTES + TAG_BYTES).collect();
        for order in [[1, 0, 2], [0, 0, 2], [0, 2, 1], [2, 1, 0]] {
            let moved = [head, pieces[order[0]], pieces[order[1]], pieces[order[2]]].concat();
            assert!(matches!(opened(&moved, b"p"), Err(Unsealed::Damaged)), "{order:?}");
        }
        // Of another backup under the same passphrase.
        let other = sealed(&content(3 * PIECE_BYTES), b"p");
        let mixed =
            [&file[..HEAD_BYTES + PIECE_BYTES + TAG_BYTES], &other[HEAD_BYTES + PIECE_BYTES + TAG_BYTES..]];
        assert!(matches!(opened(&mixed.concat(), b"p"), Err(Unsealed::Damaged)));
    }

    #[test]
    fn a_file_that_would_take_all_memory_is_not_tried() {
        let mut file = sealed(b"content", b"p");
        file[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        let sum = digest(&SHA256, &file[..FIELDS_BYTES]).as_ref().to_vec();
        file[FIELDS_BYTES..FIELDS_BYTES + 32].copy_from_slice(&sum);
        assert!(matches!(opened(&file, b"p"), Err(Unsealed::TooCostly)));
    }
}
