//! Large buffers that have been used, kept by their thread for a moment: the kernel clears fresh memory page by page,
//! which is a sixth of what it costs to let a picture through.
//!
//! A kept buffer is resident from end to end, however little is put into it. Who takes one has to count it as full, or
//! clients that announce much and send nothing would gather memory that nobody counts.

use std::cell::RefCell;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::clock::Instant;

/// Less is had from the allocator without asking the kernel.
const LEAST_BYTES: usize = 128 * 1024;
/// What a thread keeps at most. What is larger than that by itself is not kept.
const MOST_KEPT_BYTES: usize = 8 * 1024 * 1024;
const IDLE: Duration = Duration::from_secs(3);

thread_local! {
    static STOCK: RefCell<Option<Stock>> = const { RefCell::new(None) };
}

/// Oldest first.
#[derive(Debug, Default)]
struct Stock {
    kept: Vec<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    buffer: BytesMut,
    since: Instant,
}

/// Comes back to the thread on which the last of those who read it lets go.
struct Lent(BytesMut);

/// An empty buffer with room for so many bytes, and not for many more.
pub(crate) fn take(bytes: usize) -> Option<BytesMut> {
    (bytes >= LEAST_BYTES).then(|| STOCK.with_borrow_mut(|stock| stock.as_mut()?.take(bytes)))?
}

/// What was filled, to be read from now on. Its memory is kept when nobody reads it any more.
pub(crate) fn freeze(buffer: BytesMut) -> Bytes {
    match buffer.capacity() < LEAST_BYTES {
        true => buffer.freeze(),
        false => Bytes::from_owner(Lent(buffer)),
    }
}

/// Frees what has not been wanted for a while. The thread's runtime calls this several times a second; other threads
/// keep nothing.
pub(crate) fn sweep_thread() {
    STOCK.with_borrow_mut(|stock| stock.get_or_insert_default().sweep(Instant::now()));
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that ends has no stock any more.
        let _ = STOCK.try_with(|stock| {
            if let Ok(mut stock) = stock.try_borrow_mut()
                && let Some(stock) = stock.as_mut()
            {
                stock.keep(buffer, Instant::now());
            }
        });
    }
}

impl Stock {
    /// The latest that fits: it may still be in the cache.
    fn take(&mut self, bytes: usize) -> Option<BytesMut> {
        let fitting = bytes..=bytes.saturating_add(bytes / 2);
        let at = self.kept.iter().rposition(|kept| fitting.contains(&kept.buffer.capacity()))?;
        let Kept { buffer, .. } = self.kept.remove(at);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    fn keep(&mut self, mut buffer: BytesMut, now: Instant) {
        buffer.clear();
        let bytes = buffer.capacity();
        if bytes > MOST_KEPT_BYTES {
            return;
        }
        let mut over = (self.bytes + bytes).saturating_sub(MOST_KEPT_BYTES);
        let gone = self.kept.iter().take_while(|kept| {
            let goes = over > 0;
            over = over.saturating_sub(kept.buffer.capacity());
            goes
        });
        let gone = gone.count();
        self.free(gone);
        self.bytes += bytes;
        self.kept.push(Kept { buffer, since: now });
    }

    fn sweep(&mut self, now: Instant) {
        let old = self.kept.iter().take_while(|kept| now.duration_since(kept.since) >= IDLE).count();
        self.free(old);
    }

    /// So many of the oldest.
    fn free(&mut self, count: usize) {
        for kept in self.kept.drain(..count) {
            self.bytes -= kept.buffer.capacity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn stock(sizes: &[usize], now: Instant) -> Stock {
        let mut stock = Stock::default();
        for bytes in sizes {
            stock.keep(BytesMut::with_capacity(*bytes), now);
        }
        stock
    }

    fn sizes(stock: &Stock) -> Vec<usize> {
        let sizes: Vec<usize> = stock.kept.iter().map(|kept| kept.buffer.capacity()).collect();
        assert_eq!(stock.bytes, sizes.iter().sum::<usize>());
        sizes
    }

    #[test]
    fn the_oldest_go_where_there_would_be_too_much() {
        let now = Instant::now();
        assert_eq!(sizes(&stock(&[MIB, 2 * MIB, 5 * MIB], now)), [MIB, 2 * MIB, 5 * MIB]);
        assert_eq!(sizes(&stock(&[MIB, 2 * MIB, 5 * MIB, MIB + 1], now)), [5 * MIB, MIB + 1]);
        assert_eq!(sizes(&stock(&[MIB, 8 * MIB], now)), [8 * MIB]);
        assert_eq!(sizes(&stock(&[MIB, 8 * MIB + 1], now)), [MIB]);
    }

    #[test]
    fn what_is_given_has_room_and_little_more() {
        let mut stock = stock(&[2 * MIB, 3 * MIB, 2 * MIB], Instant::now());
        assert_eq!(stock.take(MIB), None);
        assert_eq!(stock.take(3 * MIB + 1), None);
        let taken = stock.take(2 * MIB - 1).unwrap();
        assert_eq!((taken.capacity(), taken.len()), (2 * MIB, 0));
        assert_eq!(sizes(&stock), [2 * MIB, 3 * MIB]);
        assert!(stock.take(2 * MIB).is_some_and(|taken| taken.capacity() == 3 * MIB));
        assert_eq!(sizes(&stock), [2 * MIB]);
    }

    #[test]
    fn what_nobody_wants_is_freed() {
        let began = Instant::now();
        let mut stock = stock(&[MIB], began);
        stock.keep(BytesMut::with_capacity(2 * MIB), began + IDLE / 2);
        stock.sweep(began + IDLE - Duration::from_millis(1));
        assert_eq!(sizes(&stock), [MIB, 2 * MIB]);
        stock.sweep(began + IDLE);
        assert_eq!(sizes(&stock), [2 * MIB]);
        stock.sweep(began + IDLE * 2);
        assert_eq!(sizes(&stock), [0; 0]);
    }

    #[test]
    fn memory_comes_back_when_the_last_reader_lets_go_and_only_to_a_thread_that_sweeps() {
        let filled = || freeze(BytesMut::from_iter(std::iter::repeat_n(b'x', MIB)));
        drop(filled());
        assert_eq!(take(MIB), None);
        sweep_thread();
        let body = filled();
        let slice = body.slice(7..9);
        drop(body);
        assert_eq!((take(MIB), &slice[..]), (None, &b"xx"[..]));
        let place = slice.as_ptr().addr() - 7;
        drop(slice);
        let taken = take(MIB).unwrap();
        assert_eq!((taken.as_ptr().addr(), taken.len()), (place, 0));
        drop(freeze(BytesMut::from(&[b'x'; LEAST_BYTES - 1][..])));
        assert_eq!(take(LEAST_BYTES - 1), None);
    }
}
