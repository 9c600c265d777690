//! Percent-encoding (RFC 3986), undone once.

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
