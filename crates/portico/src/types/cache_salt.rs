//! The salt of the model server's prefix cache.

use std::fmt;

use super::hex::hex_digits;

/// A prompt that somebody else has asked before is answered sooner, so that the time to the first token tells what others
/// ask (CVE-2025-46570). Prompts under different salts share nothing. It is never the client's: who could choose it could
/// sit down beside anybody. Each user has one of his own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheSalt([u8; 64]);

impl CacheSalt {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        let mut text = [0; 64];
        hex_digits(&secret, &mut text);
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Never what it is.
impl fmt::Debug for CacheSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheSalt")
    }
}
