//! Amounts of bytes (`"64MiB"`).

use super::{Wrong, wrong};
use crate::types::text;

const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A whole number with a unit; without one it counts bytes. KiB, MiB, GiB, TiB are powers of 1024; KB, MB, GB of 1000.
pub(crate) fn size(written: &str) -> Result<u64, Wrong> {
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = written.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    match (number.parse::<u64>().ok(), factor) {
        (Some(number), Some(factor)) => number.checked_mul(factor).ok_or_else(|| not_a_size(written, None)),
        (Some(_), None) => Err(not_a_size(written, near_unit(unit).map(|unit| format!("{number}{unit}")))),
        (None, _) => Err(not_a_size(written, None)),
    }
}

/// Nginx's `64m`, a blank before the unit, or another case.
fn near_unit(unit: &str) -> Option<&'static str> {
    match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "ki" | "kib" => Some("KiB"),
        "m" | "mi" | "mib" => Some("MiB"),
        "g" | "gi" | "gib" => Some("GiB"),
        "t" | "ti" | "tib" => Some("TiB"),
        "kb" => Some("KB"),
        "mb" => Some("MB"),
        "gb" => Some("GB"),
        "b" => Some("B"),
        _ => None,
    }
}

fn not_a_size(written: &str, near: Option<String>) -> Wrong {
    let wrong = wrong!("\"{written}\" is not a size", "\"{written}\" 不是大小");
    match near {
        Some(near) => wrong.label(text!("write \"{near}\"", "请写 \"{near}\"")),
        None => wrong.label(text!(
            "write it like \"64MiB\", \"512KiB\", \"1GiB\" or \"100MB\"",
            "写法例如 \"64MiB\"、\"512KiB\"、\"1GiB\" 或 \"100MB\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (written, bytes) in [
            ("1024", 1024),
            ("0", 0),
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("512KiB", 524_288),
            ("100MB", 100_000_000),
            ("7B", 7),
        ] {
            assert_eq!(size(written), Ok(bytes), "{written}");
        }
        for refused in
            ["", "MiB", "64m", "64 MiB", "64mib", "1.5GiB", "-1", "0x10", "99999999999GiB", "64MiBs", "六MiB"]
        {
            assert!(size(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn the_way_other_programs_write_it_is_put_right() {
        let wrong = size("64m").expect_err("Nginx's form is not ours");
        assert!(format!("{wrong:?}").contains("64MiB"));
    }
}
