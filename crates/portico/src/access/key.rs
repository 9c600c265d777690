//! What an API key looks like: `pk-`, 256 random bits in 43 base-62 digits, and a checksum in 6.
//!
//! The prefix lets secret scanners find keys that were published; the checksum tells a mistyped key from a wrong one
//! without asking anybody.

use crate::sys::random;

const PREFIX: &str = "pk-";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is a little more than 2^256, 62^6 more than 2^32.
const SECRET_DIGITS: usize = 43;
const CHECK_DIGITS: usize = 6;
pub(crate) const LENGTH: usize = PREFIX.len() + SECRET_DIGITS + CHECK_DIGITS;

/// A new key. Fails only where the kernel gives no random numbers.
pub(crate) fn draw() -> std::io::Result<String> {
    let mut secret = [0_u8; 32];
    random::fill(&mut secret)?;
    let mut key = PREFIX.to_owned();
    key.push_str(&base62(&secret, SECRET_DIGITS));
    key.push_str(&checksum(&key));
    Ok(key)
}

/// Whether it could be one of ours.
pub(crate) fn is_well_formed(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(PREFIX) else { return false };
    key.len() == LENGTH
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && checksum(&key[..PREFIX.len() + SECRET_DIGITS]) == rest[SECRET_DIGITS..]
}

/// A token of a link or a cookie: 128 bits for what lives minutes, 256 for what lives days.
pub(crate) fn token<const BYTES: usize>() -> std::io::Result<String> {
    let mut secret = [0_u8; BYTES];
    random::fill(&mut secret)?;
    Ok(base64_simd::URL_SAFE_NO_PAD.encode_to_string(secret))
}

/// The name of a key, which is no secret.
pub(crate) fn id() -> std::io::Result<String> {
    let mut bytes = [0_u8; 8];
    random::fill(&mut bytes)?;
    Ok(format!("key_{}", base62(&bytes, 11)))
}

fn checksum(key: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(key.as_bytes());
    base62(&crc.sum().to_be_bytes(), CHECK_DIGITS)
}

/// A big-endian number in so many digits, the highest first.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = bytes.to_vec();
    let mut out = vec![b'0'; digits];
    for digit in out.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_form() {
        let key = draw().unwrap();
        assert_eq!(key.len(), 52);
        assert!(is_well_formed(&key), "{key}");
        assert_ne!(key, draw().unwrap());
        for (index, _) in key.char_indices() {
            let mut other = key.clone().into_bytes();
            other[index] = if other[index] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(std::str::from_utf8(&other).unwrap()), "digit {index}");
        }
        for text in ["", "pk-", "sk-x", &key[..51], &format!("{key}0"), "pk-é"] {
            assert!(!is_well_formed(text), "{text}");
        }
    }

    #[test]
    fn numbers_are_written_whole() {
        for (bytes, digits, wanted) in [
            (&[0_u8][..], 2, "00"),
            (&[61], 2, "0z"),
            (&[62], 2, "10"),
            (&[0xff; 4], 6, "4gfFC3"),
            (&[0xff; 32], 43, "yHTEWFNYUWUAAdLLLbGnpPOmRVfkbWGjxsJtdxXmtKD"),
        ] {
            let found = base62(bytes, digits);
            assert_eq!(found.len(), digits);
            if bytes.len() < 32 {
                assert_eq!(found, wanted, "{bytes:?}");
            } else {
                assert_ne!(found.as_bytes()[0], b'0', "43 digits are used in full");
            }
        }
    }
}
