//! A picture of a wanted size that every decoder takes: a PNG whose pixels are stored uncompressed.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What a PNG needs besides its pixels, generously.
const OVERHEAD_BYTES: usize = 1024;
const STORED_BLOCK_BYTES: usize = 65_535;

/// Base64 of a PNG, as long as possible and at most `length` characters.
pub fn png_base64(length: usize) -> String {
    let room = (length / 4 * 3).saturating_sub(OVERHEAD_BYTES + length / 10_000);
    // A row is a filter byte and three bytes a pixel.
    let side = ((room as f64 / 3.0).sqrt() as usize).max(1);
    let rows = (room / (1 + 3 * side)).max(1);
    base64(&png(side, rows))
}

fn png(width: usize, height: usize) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend_from_slice(&(width as u32).to_be_bytes());
    header.extend_from_slice(&(height as u32).to_be_bytes());
    // Eight bits, RGB, deflate, adaptive filters, not interlaced.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    section(&mut file, b"IHDR", &header);
    section(&mut file, b"IDAT", &stored(&pixels(width, height)));
    section(&mut file, b"IEND", &[]);
    file
}

/// Noise, so that nothing on the way can make it small.
fn pixels(width: usize, height: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let row = 1 + 3 * width;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    // Each row begins with the filter byte: none.
    (0..height * row).map(|at| if at % row == 0 { 0 } else { noise() }).collect()
}

fn section(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(kind);
    file.extend_from_slice(data);
    let sum = crc32(&file[start..]);
    file.extend_from_slice(&sum.to_be_bytes());
}

/// A zlib stream of stored blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks = data.chunks(STORED_BLOCK_BYTES).count();
    for (index, block) in data.chunks(STORED_BLOCK_BYTES).enumerate() {
        let length = block.len() as u16;
        out.push(u8::from(index + 1 == blocks));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&adler32(data).to_be_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

fn base64(data: &[u8]) -> String {
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for piece in data.chunks(3) {
        let at = |index: usize| piece.get(index).copied().unwrap_or(0) as usize;
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = BASE64[bits >> (18 - 6 * place) & 63];
            out.push(if place <= piece.len() { letter as char } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{adler32, base64, crc32, png, png_base64};

    #[test]
    fn sums_and_coding_are_the_standard_ones() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }

    #[test]
    fn fills_the_room_it_is_given() {
        for length in [5_000, 1 << 20, 4 << 20] {
            let got = png_base64(length).len();
            assert!(got <= length && got > length * 2 / 3, "{got} of {length}");
        }
        assert!(png_base64(4 << 20).len() > (4 << 20) * 99 / 100);
    }

    #[test]
    fn has_the_sections_of_a_picture() {
        let file = png(3, 2);
        assert_eq!(&file[12..16], b"IHDR");
        assert_eq!(&file[file.len() - 8..file.len() - 4], b"IEND");
    }
}
