//! Randomness: from the kernel for secrets, from a thread's own generator for the identifiers of requests, which
//! have to be unique and cheap and are never secrets.

use std::cell::Cell;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};

use crate::types::hex_digits;

thread_local! {
    // RandomState is seeded from the operating system once per thread.
    static STATE: Cell<(u64, u64)> = Cell::new((seed(), seed()));
}

fn seed() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}

/// Secrets. `/dev/urandom` never blocks and never runs dry; it fails only where `/dev` is not mounted.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(bytes)
}

/// `bytes` random bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: usize) -> io::Result<String> {
    let mut buffer = vec![0_u8; bytes];
    fill(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// 32 lower-case hexadecimal digits (128 bits of xorshift128+ and a splitmix step).
pub(crate) fn request_id() -> [u8; 32] {
    let (a, b) = (next(), next());
    let mut id = [0_u8; 32];
    hex_digits(&(u128::from(a) << 64 | u128::from(b)).to_be_bytes(), &mut id);
    id
}

/// Sixteen bytes that do not repeat, and no secret.
pub(crate) fn nonce() -> [u8; 16] {
    (u128::from(next()) << 64 | u128::from(next())).to_ne_bytes()
}

/// From 0 up to, not including, 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
pub(crate) fn fraction() -> f64 {
    (next() >> 11) as f64 / (1_u64 << 53) as f64
}

fn next() -> u64 {
    STATE.with(|state| {
        let (mut x, y) = state.get();
        x ^= x << 23;
        let z = x ^ y ^ (x >> 17) ^ (y >> 26);
        state.set((y, z));
        let mut mixed = z.wrapping_add(y).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn ids_do_not_repeat() {
        let ids: HashSet<_> = (0..10_000).map(|_| super::request_id()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().flatten().all(u8::is_ascii_hexdigit));
    }

    #[test]
    fn two_draws_differ_and_have_the_length_asked_for() {
        let (a, b) = (super::hex(16).unwrap(), super::hex(16).unwrap());
        assert_eq!(a.len(), 32);
        assert!(a.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(a, b);
    }
}
