//! What a file with sound is, by its first bytes. Pure.
//!
//! The type that a client declares decides nothing: a decoder goes by the bytes. What is sent on carries the type that
//! was found, and a file name of ours.

use std::time::Duration;

/// So much of a file is looked at; a WAV may have other chunks before the one that describes it.
pub(super) const HEAD_BYTES: usize = 4096;
/// Recordings are shorter, and decoded they are 230 MB an hour.
const LONGEST: Duration = Duration::from_secs(4 * 3600);
const FEWEST_SAMPLES_PER_SECOND: u64 = 4000;
const MOST_SAMPLES_PER_SECOND: u64 = 768_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Wav,
    Flac,
    Mp3,
    Ogg,
    WebM,
    Mp4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Unknown,
    /// A description that no recording has: a rate of one sample a second is blown up by resampling.
    Odd,
    TooLong,
}

impl Kind {
    pub(super) const fn filename(self) -> &'static str {
        match self {
            Kind::Wav => "audio.wav",
            Kind::Flac => "audio.flac",
            Kind::Mp3 => "audio.mp3",
            Kind::Ogg => "audio.ogg",
            Kind::WebM => "audio.webm",
            Kind::Mp4 => "audio.m4a",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Kind::Wav => "audio/wav",
            Kind::Flac => "audio/flac",
            Kind::Mp3 => "audio/mpeg",
            Kind::Ogg => "audio/ogg",
            Kind::WebM => "audio/webm",
            Kind::Mp4 => "audio/mp4",
        }
    }
}

/// `head`: the first [`HEAD_BYTES`] of the file, or all of it.
pub(super) fn judge(head: &[u8]) -> Result<Kind, Fault> {
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', chunks @ ..] => wav(chunks),
        [b'f', b'L', b'a', b'C', rest @ ..] => flac(rest),
        [b'I', b'D', b'3', version, _, flags, ..] if *version < 0xff && flags & 0x0f == 0 => Ok(Kind::Mp3),
        [0xff, second, third, ..] if is_mp3_frame(*second, *third) => Ok(Kind::Mp3),
        [b'O', b'g', b'g', b'S', 0, ..] => Ok(Kind::Ogg),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Ok(Kind::WebM),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Ok(Kind::Mp4),
        _ => Err(Fault::Unknown),
    }
}

/// MPEG 1 or 2, layer I to III, with a bit rate and a sampling rate. Layer 0 is AAC without a container.
const fn is_mp3_frame(second: u8, third: u8) -> bool {
    second & 0xe0 == 0xe0
        && second & 0x18 != 0x08
        && second & 0x06 != 0
        && third >> 4 != 15
        && third >> 4 != 0
        && third & 0x0c != 0x0c
}

fn wav(mut chunks: &[u8]) -> Result<Kind, Fault> {
    loop {
        let (head, rest) = chunks.split_at_checked(8).ok_or(Fault::Unknown)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if &head[..4] == b"fmt " {
            let &[tag0, tag1, channels, 0, r0, r1, r2, r3, _, _, _, _, block, 0, ..] = rest else {
                return Err(Fault::Odd);
            };
            let rate = u64::from(u32::from_le_bytes([r0, r1, r2, r3]));
            // PCM, floating point, A-law, µ-law, and those in the longer header.
            let is_plain = matches!(u16::from_le_bytes([tag0, tag1]), 1 | 3 | 6 | 7 | 0xfffe);
            let is_right = (1..=32).contains(&channels) && block >= channels && block % channels == 0;
            return if is_plain && is_right && is_rate(rate) { Ok(Kind::Wav) } else { Err(Fault::Odd) };
        }
        // The sound itself may not come before its description.
        if &head[..4] == b"data" {
            return Err(Fault::Odd);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        chunks = rest.get(length.saturating_add(length & 1)..).ok_or(Fault::Unknown)?;
    }
}

fn flac(rest: &[u8]) -> Result<Kind, Fault> {
    // A header of four bytes, STREAMINFO of 34: ten bytes of sizes, then rate, channels, depth and samples.
    let (Some([0 | 0x80, 0, 0, 34]), Some(numbers)) = (rest.get(..4), rest.get(14..22)) else {
        return Err(Fault::Odd);
    };
    let numbers = numbers.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let (rate, samples) = (numbers >> 44, numbers & ((1 << 36) - 1));
    match is_rate(rate) {
        false => Err(Fault::Odd),
        true if samples / rate > LONGEST.as_secs() => Err(Fault::TooLong),
        true => Ok(Kind::Flac),
    }
}

fn is_rate(samples_per_second: u64) -> bool {
    (FEWEST_SAMPLES_PER_SECOND..=MOST_SAMPLES_PER_SECOND).contains(&samples_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn wav_head(rate: u32, before: &[u8]) -> Vec<u8> {
        let mut head = b"RIFF\xff\xff\xff\xffWAVE".to_vec();
        head.extend_from_slice(before);
        head.extend_from_slice(b"fmt \x10\0\0\0\x01\0\x01\0");
        head.extend_from_slice(&rate.to_le_bytes());
        head.extend_from_slice(&(rate.wrapping_mul(2)).to_le_bytes());
        head.extend_from_slice(b"\x02\0\x10\0data\xff\xff\xff\xff");
        head
    }

    fn flac_head(rate: u64, samples: u64) -> Vec<u8> {
        let numbers = rate << 44 | 15 << 36 | samples;
        [&b"fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0"[..], &numbers.to_be_bytes(), &[0; 16]].concat()
    }

    #[test]
    fn the_first_bytes_tell_the_type() {
        for (head, wanted) in [
            (wav_head(16_000, b""), Ok(Kind::Wav)),
            (wav_head(16_000, b"JUNK\x03\0\0\0abc\0"), Ok(Kind::Wav)),
            (wav_head(1, b""), Err(Fault::Odd)),
            (wav_head(u32::MAX, b""), Err(Fault::Odd)),
            (wav_head(16_000, b"data\x02\0\0\0ab"), Err(Fault::Odd)),
            (wav_head(16_000, b"JUNK\xff\xff\xff\xff"), Err(Fault::Unknown)),
            (b"RIFF\0\0\0\0WAVE".to_vec(), Err(Fault::Unknown)),
            (b"RIFF\0\0\0\0AVI fmt ".to_vec(), Err(Fault::Unknown)),
            (flac_head(44_100, 44_100 * 60), Ok(Kind::Flac)),
            (flac_head(44_100, 0), Ok(Kind::Flac)),
            (flac_head(8000, 8000 * 4 * 3600 + 8000), Err(Fault::TooLong)),
            (flac_head(0, 1), Err(Fault::Odd)),
            (b"fLaC\x04\0\0\x22".to_vec(), Err(Fault::Odd)),
            (b"ID3\x04\0\0\0\0\0\0".to_vec(), Ok(Kind::Mp3)),
            (b"\xff\xfb\x90\x64".to_vec(), Ok(Kind::Mp3)),
            (b"\xff\xf3\x44\xc4".to_vec(), Ok(Kind::Mp3)),
            (b"\xff\xf1\x50\x80".to_vec(), Err(Fault::Unknown)),
            (b"\xff\xfb\xf0\x64".to_vec(), Err(Fault::Unknown)),
            (b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(), Err(Fault::Unknown)),
            (b"OggS\0\x02".to_vec(), Ok(Kind::Ogg)),
            (b"\x1a\x45\xdf\xa3".to_vec(), Ok(Kind::WebM)),
            (b"\0\0\0\x20ftypM4A ".to_vec(), Ok(Kind::Mp4)),
            (b"#EXTM3U\nhttp://127.0.0.1/".to_vec(), Err(Fault::Unknown)),
            (b"ffconcat version 1.0".to_vec(), Err(Fault::Unknown)),
            (b"\x89PNG\r\n\x1a\n".to_vec(), Err(Fault::Unknown)),
            (Vec::new(), Err(Fault::Unknown)),
        ] {
            assert_eq!(judge(&head), wanted, "{head:?}");
        }
    }
}
