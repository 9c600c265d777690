//! A credential that is taken is one credential: written down again as it was read, it is read as the same, and beside it there
//! was no other in a header.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use portico::fuzzing::{Shown, credential, htpasswd};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    if choice % 4 == 3 {
        return file(data);
    }
    let is_secure = choice % 2 == 0;
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let name = match line.first() {
            Some(b'a') => "authorization",
            Some(b'k') => "x-api-key",
            Some(b'c') => "cookie",
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(&line[1..]) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let in_headers = headers.get_all("authorization").iter().count() + headers.get_all("x-api-key").iter().count();
    let Some(shown) = credential(&headers, is_secure) else {
        return assert!(in_headers > 1, "{headers:?}");
    };
    assert!(in_headers < 2, "{headers:?}");
    let mut again = HeaderMap::new();
    let line = match &shown {
        Shown::Nothing | Shown::Unusable => return,
        Shown::Key(key) => ("x-api-key", key.clone()),
        Shown::Basic(name, password) => {
            assert!(!name.is_empty() && !name.contains(':'), "{name:?}");
            let joined = [name.as_bytes(), b":", password].concat();
            ("authorization", format!("Basic {}", STANDARD.encode(joined)))
        }
        Shown::Session(token) => {
            assert!(in_headers == 0 && !token.contains(';'), "{token:?}");
            ("cookie", format!("{}={token}", if is_secure { "__Host-portico" } else { "portico" }))
        }
    };
    let Ok(value) = HeaderValue::from_str(&line.1) else { return };
    again.insert(line.0, value);
    assert_eq!(credential(&again, is_secure), Some(shown));
});

/// What is taken from an htpasswd file is taken again from what was taken.
fn file(data: &[u8]) {
    let taken = htpasswd(&String::from_utf8_lossy(data));
    let written: String = taken.iter().map(|(name, hash)| format!("{name}:{hash}\n")).collect();
    for (name, hash) in &taken {
        assert!(hash.starts_with('$'), "{name} has a password that can be read");
    }
    assert_eq!(htpasswd(&written), taken);
}
