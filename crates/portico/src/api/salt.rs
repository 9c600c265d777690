//! The salt of the model server's prefix cache.
//!
//! A prompt that somebody else has asked before is answered sooner, so that the time to the first token tells what others
//! ask (CVE-2025-46570). Prompts under different salts share nothing. It is never the client's: who could choose it could
//! sit down beside anybody. Until there are identities there is one, drawn at every start.

use std::io;
use std::sync::Arc;

use crate::sys::random;

#[derive(Clone)]
pub(crate) struct CacheSalt(Arc<str>);

impl CacheSalt {
    pub(crate) fn draw() -> io::Result<Self> {
        random::hex(32).map(|salt| Self(salt.into()))
    }

    /// What everybody shares.
    pub(crate) fn shared(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for CacheSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheSalt(secret)")
    }
}
