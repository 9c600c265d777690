//! Percent-encoding (RFC 3986), done, and undone once.

/// Everything but what is never reserved (RFC 3986, 2.3): one segment of a path, or one value of a form.
pub(crate) fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// What is not two digits behind a percent sign stays as it is.
pub(crate) fn percent_decoded(path: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let mut digits = bytes.clone();
        match (byte, digits.next().and_then(hex), digits.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                bytes = digits;
                decoded.push(high * 16 + low);
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
