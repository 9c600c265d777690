//! The handshake's key and its answer (section 4).

use base64_simd::STANDARD;
use sha1::{Digest as _, Sha1};

/// Every reader of the RFC has it, and no other protocol.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;

/// What a server that has read this key says.
pub(crate) fn accept(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode_to_string(digest)
}

/// Sixteen bytes in base64, written in the one way there is.
pub(crate) fn is_key(value: &[u8]) -> bool {
    STANDARD
        .decode_to_vec(value)
        .is_ok_and(|bytes| bytes.len() == KEY_BYTES && STANDARD.encode_to_string(&bytes).as_bytes() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        for (key, wanted) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", true),
            ("dGhlIHNhbXBsZSBub25jZR==", false),
            ("dGhlIHNhbXBsZSBub25jZQ", false),
            ("dGhlIHNhbXBsZSBub25jZQ= =", false),
            ("dGhlIHNhbXBsZSBub25j", false),
            ("", false),
        ] {
            assert_eq!(is_key(key.as_bytes()), wanted, "{key}");
        }
    }
}
