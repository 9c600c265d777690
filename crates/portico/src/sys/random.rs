//! Randomness from the kernel.

use std::fs::File;
use std::io::{self, Read};

/// `bytes` random bytes as lower-case hexadecimal digits.
///
/// `/dev/urandom` never blocks and never runs dry; it fails only where `/dev` is not mounted.
pub(crate) fn hex(bytes: usize) -> io::Result<String> {
    let mut buffer = vec![0_u8; bytes];
    File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_draws_differ_and_have_the_length_asked_for() {
        let (a, b) = (super::hex(16).unwrap(), super::hex(16).unwrap());
        assert_eq!(a.len(), 32);
        assert!(a.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(a, b);
    }
}
