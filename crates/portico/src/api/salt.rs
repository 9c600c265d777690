//! The salt of the model server's prefix cache.
//!
//! A prompt that somebody else has asked before is answered sooner, so that the time to the first token tells what others
//! ask (CVE-2025-46570). Prompts under different salts share nothing. It is never the client's: who could choose it could
//! sit down beside anybody. Each user has one of his own, made from a secret that is drawn at every start.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::sys::random;

#[derive(Clone)]
pub(crate) struct CacheSalt {
    shared: Arc<str>,
    key: Arc<hmac::Key>,
}

impl CacheSalt {
    pub(crate) fn draw() -> io::Result<Self> {
        let (shared, secret) = (random::hex(32)?.into(), random::hex(32)?);
        Ok(Self { shared, key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())) })
    }

    /// `None`: what those share who are nobody in particular.
    pub(crate) fn of(&self, user: Option<&str>) -> Cow<'_, str> {
        match user {
            None => Cow::Borrowed(&self.shared),
            Some(user) => {
                let salt = hmac::sign(&self.key, user.as_bytes());
                Cow::Owned(base64_simd::URL_SAFE_NO_PAD.encode_to_string(salt.as_ref()))
            }
        }
    }
}

impl std::fmt::Debug for CacheSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheSalt(secret)")
    }
}
