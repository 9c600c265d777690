//! The salt of the model server's prefix cache.

use std::fmt;
use std::sync::Arc;

/// A prompt that somebody else has asked before is answered sooner, so that the time to the first token tells what others
/// ask (CVE-2025-46570). Prompts under different salts share nothing. It is never the client's: who could choose it could
/// sit down beside anybody. Each user has one of his own.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CacheSalt(Arc<str>);

impl CacheSalt {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Never what it is.
impl fmt::Debug for CacheSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheSalt")
    }
}
