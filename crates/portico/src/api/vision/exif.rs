//! The one thing worth keeping of a picture's EXIF: which side is up.
//!
//! A phone held upright stores the picture lying on its side, with a note. Without the note the model would read it
//! sideways.

/// A TIFF header and a directory with one entry.
pub(super) const MINIMAL_BYTES: usize = 26;
/// Cameras write some dozens.
const MOST_ENTRIES: usize = 1024;
const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;

/// 2 to 8; `None` where it is upright, or nothing readable says otherwise. `tiff`: what follows `Exif\0\0`.
pub(super) fn orientation(tiff: &[u8]) -> Option<u8> {
    let big = match tiff.first_chunk::<4>()? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let two = *tiff.get(at..)?.first_chunk::<2>()?;
        Some(if big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    };
    let four = *tiff.get(4..)?.first_chunk::<4>()?;
    let directory =
        usize::try_from(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }).ok()?;
    let entries = usize::from(u16_at(directory)?).min(MOST_ENTRIES);
    for index in 0..entries {
        let at = directory + 2 + index * 12;
        if u16_at(at)? == ORIENTATION {
            let value = u8::try_from(u16_at(at + 8)?).ok()?;
            return (u16_at(at + 2)? == SHORT && (2..=8).contains(&value)).then_some(value);
        }
    }
    None
}

/// TIFF data that holds nothing but the orientation.
pub(super) const fn minimal(orientation: u8) -> [u8; MINIMAL_BYTES] {
    [
        b'M',
        b'M',
        0,
        b'*',
        0,
        0,
        0,
        8, // the directory is behind this header
        0,
        1, // one entry
        0x01,
        0x12,
        0,
        3,
        0,
        0,
        0,
        1,
        0,
        orientation,
        0,
        0, // one SHORT
        0,
        0,
        0,
        0, // no further directory
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for value in 2..=8 {
            assert_eq!(orientation(&minimal(value)), Some(value));
        }
        for value in [0, 1, 9, 255] {
            assert_eq!(orientation(&minimal(value)), None);
        }
    }

    #[test]
    fn both_byte_orders_are_read_and_nonsense_is_upright() {
        let little =
            b"II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x03\0\0\0ab\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        assert_eq!(orientation(little), Some(6));
        for length in 0..little.len() - 8 {
            let _ = orientation(&little[..length]);
        }
        for nonsense in [&b""[..], b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0MM\0*"] {
            assert_eq!(orientation(nonsense), None);
        }
    }
}
