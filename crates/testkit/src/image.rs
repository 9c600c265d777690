//! Pictures made on the spot.

use std::io::Write as _;

use flate2::{Compression, Crc, write::ZlibEncoder};

/// The colours the tiny vision model knows, by the names it gives them.
pub const COLOURS: [(&str, [u8; 3]); 9] = [
    ("red", [220, 20, 20]),
    ("green", [20, 180, 20]),
    ("blue", [30, 30, 220]),
    ("yellow", [240, 220, 20]),
    ("orange", [245, 140, 20]),
    ("purple", [130, 30, 170]),
    ("grey", [128, 128, 128]),
    ("black", [14, 14, 14]),
    ("white", [245, 245, 245]),
];

/// A PNG in one of [`COLOURS`].
#[must_use]
pub fn named_png(name: &str, width: u32, height: u32) -> Vec<u8> {
    match COLOURS.iter().find(|(known, _)| *known == name) {
        Some((_, colour)) => png(*colour, width, height),
        None => panic!("no colour is called {name}"),
    }
}

/// A PNG of one colour. It is small however many pixels it has, as an attacker's would be.
#[must_use]
pub fn png(colour: [u8; 3], width: u32, height: u32) -> Vec<u8> {
    let mut row = vec![0];
    row.extend(colour.repeat(width as usize));
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..height {
        pixels.write_all(&row).expect("writing to memory cannot fail");
    }
    let pixels = pixels.finish().expect("writing to memory cannot fail");

    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]); // 8 bits a channel, RGB, no options
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", Vec::new())] {
        let mut sum = Crc::new();
        sum.update(kind);
        sum.update(&content);
        file.extend(u32::try_from(content.len()).expect("a chunk is below 4 GiB").to_be_bytes());
        file.extend(kind);
        file.extend(content);
        file.extend(sum.sum().to_be_bytes());
    }
    file
}

/// As `image_url.url` carries it.
#[must_use]
pub fn data_url(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(png))
}

/// Standard alphabet, with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let joined = group.iter().fold(0u32, |joined, byte| joined << 8 | u32::from(*byte));
        let joined = joined << (8 * (3 - group.len()));
        for place in 0..4 {
            let six_bits = (joined >> (18 - 6 * place)) & 63;
            text.push(if place <= group.len() { char::from(ALPHABET[six_bits as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648() {
        let known = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in known {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
