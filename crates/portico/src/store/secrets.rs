//! The secret of the store, and what is derived from it.
//!
//! It lies in a file of its own, not in the database: whoever gets hold of the database alone can neither test guesses of
//! keys and tokens against it, nor write a record that fits into the audit trail.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

use super::chain::Fields;
use super::{Digest, User, hex};
use crate::types::CacheSalt;

const SECRET_BYTES: usize = 32;

/// Derived keys, one for each purpose, so that what was made for one fits no other.
#[derive(Clone)]
pub(crate) struct Secrets {
    keys: Key,
    sessions: Key,
    bindings: Key,
    invitations: Key,
    decoys: Key,
    salts: Key,
    /// Of the chain of records.
    pub(super) audit: Key,
    /// Of the note of the chain's end.
    pub(super) noted: Key,
    /// By which a database knows its secret.
    pub(super) check: Digest,
}

/// Why the file can't be used.
#[derive(Debug)]
pub(crate) enum KeyFault {
    Read(io::Error),
    /// Its mode lets others than its owner read or write it.
    Open {
        mode: u32,
    },
    /// It is not 64 hexadecimal digits.
    Malformed,
}

/// What the file holds: a new secret.
pub(super) fn draw() -> io::Result<String> {
    crate::sys::random::hex(SECRET_BYTES).map(|digits| digits + "\n")
}

impl Secrets {
    pub(super) fn read(path: &Path) -> Result<Self, KeyFault> {
        let file = File::open(path).map_err(KeyFault::Read)?;
        let mode = file.metadata().map_err(KeyFault::Read)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFault::Open { mode });
        }
        let mut text = String::new();
        // A little more than there may be, so that a file that is too long is seen.
        match file.take(2 * SECRET_BYTES as u64 + 2).read_to_string(&mut text) {
            Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(KeyFault::Read(error)),
            _ => Self::from_text(&text).ok_or(KeyFault::Malformed),
        }
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let secret: [u8; SECRET_BYTES] = hex::decode(text.strip_suffix('\n').unwrap_or(text))?;
        let root = Salt::new(HKDF_SHA256, b"portico store 1").extract(&secret);
        Some(Self {
            keys: derived(&root, b"api keys"),
            sessions: derived(&root, b"sessions"),
            bindings: derived(&root, b"what sessions are bound to"),
            invitations: derived(&root, b"invitations"),
            salts: derived(&root, b"cache salts"),
            decoys: derived(&root, b"decoys of unknown names"),
            audit: derived(&root, b"audit trail"),
            noted: derived(&root, b"end of the audit trail"),
            check: digest(&derived(&root, b"which secret"), b""),
        })
    }

    pub(crate) fn digest_of_key(&self, key: &str) -> Digest {
        digest(&self.keys, key.as_bytes())
    }

    pub(crate) fn digest_of_session(&self, token: &str) -> Digest {
        digest(&self.sessions, token.as_bytes())
    }

    pub(crate) fn digest_of_invitation(&self, token: &str) -> Digest {
        digest(&self.invitations, token.as_bytes())
    }

    /// Of what a user asks.
    pub(crate) fn cache_salt(&self, user: &str) -> CacheSalt {
        CacheSalt::new(digest(&self.salts, user.as_bytes()))
    }

    /// Evenly between 0 and 1, both excluded; always the same for a name and a cost.
    pub(crate) fn lot_of_decoy(&self, name: &str, cost: &str) -> f64 {
        let digest = digest(&self.decoys, &Fields::default().text(name).text(cost).into_bytes());
        let [a, b, c, d, ..] = digest;
        (f64::from(u32::from_be_bytes([a, b, c, d])) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    /// What a session of this user is bound to: another one once the password is, or the epoch.
    pub(crate) fn binding_of(&self, user: &User) -> Digest {
        let fields = Fields::default();
        let fields = fields.text(&user.name).optional(user.password.as_deref()).number(user.epoch);
        digest(&self.bindings, &fields.into_bytes())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

fn derived(root: &Prk, purpose: &[u8]) -> Key {
    Key::from(root.expand(&[purpose], HMAC_SHA256).expect("32 bytes are what HKDF gives at once"))
}

pub(super) fn digest(key: &Key, bytes: &[u8]) -> Digest {
    sign(key, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_token_has_another_digest_for_each_purpose_and_secret() {
        let secrets = ["1", "2"].map(|digit| Secrets::from_text(&digit.repeat(64)).unwrap());
        let digests = secrets.each_ref().map(|secrets| {
            [
                secrets.digest_of_key("pk-1"),
                secrets.digest_of_session("pk-1"),
                secrets.digest_of_invitation("pk-1"),
                secrets.digest_of_key("pk-2"),
                secrets.check,
            ]
        });
        let all: std::collections::HashSet<Digest> = digests.iter().flatten().copied().collect();
        assert_eq!(all.len(), 10);
        assert_eq!(secrets[0].digest_of_key("pk-1"), digests[0][0]);
        assert_eq!(format!("{:?}", secrets[0]), "Secrets");
    }

    #[test]
    fn a_session_is_bound_to_password_and_epoch() {
        let secrets = Secrets::from_text(&"1".repeat(64)).unwrap();
        let user = super::super::sample::user("ada");
        let others = [
            User { password: Some("another".to_owned()), ..user.clone() },
            User { password: None, ..user.clone() },
            User { epoch: 1, ..user.clone() },
            User { name: "bob".to_owned(), ..user.clone() },
        ];
        assert!(others.iter().all(|other| secrets.binding_of(other) != secrets.binding_of(&user)));
        let planned = User { plan: Some("gold".to_owned()), ..user.clone() };
        assert_eq!(secrets.binding_of(&planned), secrets.binding_of(&user));
    }

    /// Kept digests have to fit what later versions compute. Known from another implementation of HKDF and HMAC (Python's).
    #[test]
    fn digests_are_what_they_were() {
        let secrets = Secrets::from_text(&"0f".repeat(32)).unwrap();
        for (digest, known) in [
            (
                secrets.digest_of_key("pk-example"),
                "79ad912e22d8d0067be17cdc7f29c4eebd8202b91a569d2d8cd8456896103390",
            ),
            (
                secrets.digest_of_session("token"),
                "6778cb87f286d17b0dde677f17c38d76815d69c8ac477dff9eb264e61a365d7c",
            ),
            (
                secrets.digest_of_invitation("token"),
                "5c0943130606d17715a1521516c1e82b38302ca8ec5567f7b7afb77aec791a83",
            ),
        ] {
            assert_eq!(hex::encode(&digest), known);
        }
    }

    #[test]
    fn the_file_is_its_owner_s_and_whole() {
        let folder = testkit::temporary::Folder::new();
        let path = folder.path().join("store.key");
        let good = draw().unwrap();
        for (content, mode, fits) in [
            (good.clone(), 0o600, true),
            (good.trim_end().to_owned(), 0o400, true),
            (good.clone(), 0o640, false),
            (good.clone(), 0o604, false),
            (good.clone(), 0o620, false),
            (good[..60].to_owned(), 0o600, false),
            (good.clone() + &good, 0o600, false),
            (good.to_uppercase() + "g", 0o600, false),
            (String::new(), 0o600, false),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, &content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = Secrets::read(&path);
            assert_eq!(read.is_ok(), fits, "{content:?} {mode:o}");
            if mode & 0o077 != 0 {
                assert!(matches!(read, Err(KeyFault::Open { mode: seen }) if seen == mode));
            } else if !fits {
                assert!(matches!(read, Err(KeyFault::Malformed)), "{content:?}");
            }
        }
        fs::write(&path, [0xff; 65]).unwrap();
        assert!(matches!(Secrets::read(&path), Err(KeyFault::Malformed)));
        assert!(matches!(Secrets::read(&folder.path().join("other")), Err(KeyFault::Read(_))));
    }
}
