//! Password hashes: those that Portico makes, and those of htpasswd files.
//!
//! Verifying is slow on purpose, milliseconds to tenths of a second: never on a data thread (see `verify`).

use std::sync::Arc;

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as PhcHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use md5::{Digest as _, Md5};
use sha_crypt::ShaCrypt;

use crate::sys::random;
use crate::types::{Text, text};

/// Longer ones are refused: some of the hashes read the password thousands of times.
pub(crate) const LONGEST_PASSWORD_BYTES: usize = 1024;
/// Of a password that somebody chooses on a page.
pub(crate) const SHORTEST_PASSWORD_CHARS: usize = 8;

/// What one guess may cost: about a second of one core, and 256 MiB.
const HIGHEST_BCRYPT_COST: u32 = 14;
const MOST_SHA_CRYPT_ROUNDS: u32 = 1_000_000;
const MOST_ARGON2_KIB: u32 = 256 * 1024;
/// Memory in KiB by passes.
const MOST_ARGON2_WORK: u64 = 1024 * 1024;

/// OWASP's second choice for argon2id, 2024: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const DIGEST_BYTES: usize = 32;
/// What argon2 works in is reserved for at least so many blocks of 1 KiB, used or not. Pieces above 32 MiB are the kernel's
/// again as soon as they are free; smaller ones stay in glibc's pool, which does not fit the next one into the hole of the last.
const LEAST_BLOCKS: usize = 33 * 1024;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    kind: Kind,
    text: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Apache's: a thousand rounds of MD5.
    Apr1,
    Bcrypt,
    ShaCrypt,
    Argon2,
}

/// Why a hash is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// A password as it is, an unsalted SHA-1, the old crypt: whoever reads the file has the passwords.
    Readable,
    /// One guess would cost too much.
    TooCostly,
    /// It is none of the forms, or is not whole.
    Unknown,
}

impl PasswordHash {
    pub(crate) fn parse(text: &str) -> Result<Self, NotTaken> {
        let kind = match text {
            _ if text.starts_with("$apr1$") => {
                apr1_parts(text).map(|_| Kind::Apr1).ok_or(NotTaken::Unknown)?
            }
            _ if ["$2y$", "$2b$", "$2a$"].iter().any(|prefix| text.starts_with(prefix)) => bcrypt(text)?,
            _ if text.starts_with("$5$") || text.starts_with("$6$") => sha_crypt(text)?,
            _ if text.starts_with("$argon2") => argon2(text)?,
            _ if text.starts_with('$') => return Err(NotTaken::Unknown),
            // `{SHA}`, thirteen characters of crypt, or the password itself.
            _ => return Err(NotTaken::Readable),
        };
        Ok(Self { kind, text: text.into() })
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// As it is kept.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What decides how long a guess takes: all but salt and digest.
    pub(crate) fn cost(&self) -> &str {
        // bcrypt has no `$` between its salt and its digest.
        let last_fields = if self.kind == Kind::Bcrypt { 1 } else { 2 };
        self.text.rsplitn(last_fields + 1, '$').last().unwrap_or_default()
    }

    /// Slow. Wrong and unreadable are one.
    pub(crate) fn is_of(&self, password: &[u8]) -> bool {
        if password.len() > LONGEST_PASSWORD_BYTES {
            return false;
        }
        match self.kind {
            Kind::Apr1 => apr1_parts(&self.text).is_some_and(|(salt, wanted)| {
                verify_slices_are_equal(apr1(password, salt.as_bytes()).as_bytes(), wanted.as_bytes()).is_ok()
            }),
            // As `htpasswd -B` does: what is behind 72 bytes does not count.
            Kind::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
            Kind::ShaCrypt => sha_crypt::PasswordHashRef::new(&self.text)
                .is_ok_and(|hash| ShaCrypt::default().verify_password(password, hash).is_ok()),
            Kind::Argon2 => argon2_is_of(&self.text, password).unwrap_or(false),
        }
    }
}

/// Never the hash itself: it is as good as half of the password.
impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordHash({:?})", self.kind)
    }
}

/// A new one, as Portico keeps them. Takes about 20 ms and 19 MiB.
pub(crate) fn hash(password: &[u8]) -> std::io::Result<PasswordHash> {
    let parameters = Params::new(MEMORY_KIB, PASSES, 1, None).expect("they are within argon2's bounds");
    let mut salt = [0_u8; 16];
    random::fill(&mut salt)?;
    let failed = |error: &dyn std::fmt::Display| std::io::Error::other(format!("argon2: {error}"));
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let digest = argon2_digest(&argon2, password, &salt, DIGEST_BYTES).map_err(|error| failed(&error))?;
    let hash = PhcHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).map_err(|error| failed(&error))?,
        salt: Some(Salt::new(&salt).map_err(|error| failed(&error))?),
        hash: Some(Output::new(&digest).map_err(|error| failed(&error))?),
    };
    Ok(PasswordHash { kind: Kind::Argon2, text: hash.to_string().into() })
}

/// Why somebody may not choose this password for himself. Only its length is judged: rules about characters make people
/// choose worse ones (NIST SP 800-63B, 3.1.1.2).
pub(crate) fn refused(name: &str, password: &str) -> Option<Text> {
    if password.len() > LONGEST_PASSWORD_BYTES {
        return Some(text!(
            "The password is longer than {LONGEST_PASSWORD_BYTES} bytes.",
            "密码超过 {LONGEST_PASSWORD_BYTES} 字节。"
        ));
    }
    if password.chars().count() < SHORTEST_PASSWORD_CHARS {
        return Some(text!(
            "The password needs {SHORTEST_PASSWORD_CHARS} characters or more.",
            "密码至少需要 {SHORTEST_PASSWORD_CHARS} 个字符。"
        ));
    }
    if password.contains('\0') {
        return Some(text!("The password holds a NUL character.", "密码中含有 NUL 字符。"));
    }
    password
        .eq_ignore_ascii_case(name)
        .then(|| text!("The password is the user's name.", "密码与用户名相同。"))
}

fn bcrypt(text: &str) -> Result<Kind, NotTaken> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| NotTaken::Unknown)?;
    match parts.get_cost() {
        4..=HIGHEST_BCRYPT_COST => Ok(Kind::Bcrypt),
        _ => Err(NotTaken::TooCostly),
    }
}

fn sha_crypt(text: &str) -> Result<Kind, NotTaken> {
    const DIGESTS: [(&str, usize); 2] = [("$5$", 43), ("$6$", 86)];
    let (rest, length) = DIGESTS
        .iter()
        .find_map(|(prefix, length)| Some((text.strip_prefix(prefix)?, *length)))
        .ok_or(NotTaken::Unknown)?;
    let rest = match rest.strip_prefix("rounds=") {
        Some(rounds) => {
            let (rounds, rest) = rounds.split_once('$').ok_or(NotTaken::Unknown)?;
            if rounds.parse::<u32>().map_err(|_| NotTaken::TooCostly)? > MOST_SHA_CRYPT_ROUNDS {
                return Err(NotTaken::TooCostly);
            }
            rest
        }
        None => rest,
    };
    let (salt, digest) = rest.split_once('$').ok_or(NotTaken::Unknown)?;
    let is_whole = salt.len() <= 16 && digest.len() == length && digest.bytes().all(is_crypt_digit);
    if is_whole { Ok(Kind::ShaCrypt) } else { Err(NotTaken::Unknown) }
}

fn argon2(text: &str) -> Result<Kind, NotTaken> {
    let hash = PhcHash::new(text).map_err(|_| NotTaken::Unknown)?;
    let parameters = Params::try_from(&hash).map_err(|_| NotTaken::Unknown)?;
    let work = u64::from(parameters.m_cost()) * u64::from(parameters.t_cost());
    if parameters.m_cost() > MOST_ARGON2_KIB || work > MOST_ARGON2_WORK {
        return Err(NotTaken::TooCostly);
    }
    if hash.hash.is_none() || hash.salt.is_none() { Err(NotTaken::Unknown) } else { Ok(Kind::Argon2) }
}

fn argon2_is_of(text: &str, password: &[u8]) -> Option<bool> {
    let hash = PhcHash::new(text).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&hash).ok()?);
    let (salt, wanted) = (hash.salt?, hash.hash?);
    let digest = argon2_digest(&argon2, password, &salt, wanted.len()).ok()?;
    Some(verify_slices_are_equal(&digest, wanted.as_bytes()).is_ok())
}

fn argon2_digest(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], bytes: usize) -> argon2::Result<Vec<u8>> {
    let blocks = argon2.params().block_count();
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks.max(LEAST_BLOCKS)).map_err(|_| argon2::Error::OutOfMemory)?;
    memory.resize(blocks, Block::new());
    let mut digest = vec![0; bytes];
    argon2.hash_password_into_with_memory(password, salt, &mut digest, &mut memory)?;
    Ok(digest)
}

const CRYPT_DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn is_crypt_digit(byte: u8) -> bool {
    CRYPT_DIGITS.contains(&byte)
}

/// Salt and digest of `$apr1$SALT$DIGEST`.
fn apr1_parts(text: &str) -> Option<(&str, &str)> {
    let (salt, digest) = text.strip_prefix("$apr1$")?.split_once('$')?;
    let is_whole = (1..=8).contains(&salt.len()) && digest.len() == 22 && digest.bytes().all(is_crypt_digit);
    is_whole.then_some((salt, digest))
}

/// Apache's variant of Poul-Henning Kamp's MD5 crypt, as `htpasswd` makes it (apr_md5_encode).
fn apr1(password: &[u8], salt: &[u8]) -> String {
    let mut inner = Md5::new();
    for piece in [password, salt, password] {
        inner.update(piece);
    }
    let inner = inner.finalize();

    let mut first = Md5::new();
    for piece in [password, b"$apr1$", salt] {
        first.update(piece);
    }
    for start in (0..password.len()).step_by(inner.len()) {
        first.update(&inner[..inner.len().min(password.len() - start)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest = first.finalize();

    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &digest[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &digest[..] } else { password });
        digest = next.finalize();
    }
    let byte = |index: usize| u32::from(digest[index]);
    let mut out = String::with_capacity(22);
    for (high, middle, low) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
        crypt_digits(byte(high) << 16 | byte(middle) << 8 | byte(low), 4, &mut out);
    }
    crypt_digits(byte(11), 2, &mut out);
    out
}

fn crypt_digits(mut value: u32, digits: u32, out: &mut String) {
    for _ in 0..digits {
        out.push(char::from(CRYPT_DIGITS[(value & 63) as usize]));
        value >>= 6;
    }
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
