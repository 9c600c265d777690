//! `Range: bytes=…` (RFC 9110, 14): which bytes are wanted, or that it is not worth answering in parts.

/// More parts than this are answered by the whole file: a thousand parts cost the server more than the client
/// (CVE-2011-3192).
const MAX_PARTS: usize = 5;

/// First and last byte, both included, inside the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Part {
    /// At least one.
    pub(super) const fn length(self) -> u64 {
        // A part of a whole u64 does not exist: files are shorter than i64::MAX.
        self.last - self.first + 1
    }
}

/// What a `Range` field comes to for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No range, none that is understood, or one that is better answered as a whole: 200.
    Whole,
    /// One to five parts, in the order they were asked for: 206.
    Parts(Vec<Part>),
    /// Nothing of what was asked for is in the file: 416.
    Nothing,
}

/// Reads the value of a `Range` field for a file of `length_bytes`.
pub(super) fn read(value: &str, length_bytes: u64) -> Wanted {
    let Some((unit, list)) = value.split_once('=') else { return Wanted::Whole };
    // Nothing can be said about a part of an empty file, not even where it ends.
    if !unit.trim().eq_ignore_ascii_case("bytes") || length_bytes == 0 {
        return Wanted::Whole;
    }
    let mut parts = Vec::with_capacity(1);
    let mut asked = 0;
    for item in list.split(',').map(|item| item.trim_matches([' ', '\t'])).filter(|item| !item.is_empty()) {
        asked += 1;
        match read_one(item, length_bytes) {
            _ if asked > MAX_PARTS => return Wanted::Whole,
            One::Malformed => return Wanted::Whole,
            One::Outside => {}
            One::Part(part) => parts.push(part),
        }
    }
    let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.length()));
    match (asked, parts.is_empty()) {
        (0, _) => Wanted::Whole,
        (_, true) => Wanted::Nothing,
        // They overlap so much that the whole file is shorter.
        _ if total > length_bytes => Wanted::Whole,
        _ => Wanted::Parts(parts),
    }
}

enum One {
    Part(Part),
    Outside,
    Malformed,
}

fn read_one(item: &str, length: u64) -> One {
    let Some((first, last)) = item.split_once('-') else { return One::Malformed };
    match (number(first), number(last)) {
        (Number::Absent, Number::Is(0)) => One::Outside,
        (Number::Absent, Number::Is(suffix)) => {
            One::Part(Part { first: length.saturating_sub(suffix), last: length - 1 })
        }
        (Number::Is(first), Number::Is(last)) if last < first => One::Malformed,
        (Number::Is(first), _) if first >= length => match number(last) {
            Number::Malformed => One::Malformed,
            _ => One::Outside,
        },
        (Number::Is(first), Number::Absent) => One::Part(Part { first, last: length - 1 }),
        (Number::Is(first), Number::Is(last)) => One::Part(Part { first, last: last.min(length - 1) }),
        _ => One::Malformed,
    }
}

#[derive(Clone, Copy)]
enum Number {
    Is(u64),
    Absent,
    Malformed,
}

/// Digits only. What is too large for a number is past the end of any file.
fn number(digits: &str) -> Number {
    if digits.is_empty() {
        return Number::Absent;
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Number::Malformed;
    }
    Number::Is(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn f51_ranges_of_a_file_of_a_hundred_bytes() {
        const HUGE: &str = "99999999999999999999999999";
        let parts = |list: &[(u64, u64)]| {
            Wanted::Parts(list.iter().map(|&(first, last)| Part { first, last }).collect())
        };
        for (value, wanted) in [
            ("bytes=0-0".to_owned(), parts(&[(0, 0)])),
            ("bytes=0-99".into(), parts(&[(0, 99)])),
            ("bytes=0-".into(), parts(&[(0, 99)])),
            ("bytes=99-".into(), parts(&[(99, 99)])),
            ("bytes=10-1000".into(), parts(&[(10, 99)])),
            ("bytes=-1".into(), parts(&[(99, 99)])),
            ("bytes=-100".into(), parts(&[(0, 99)])),
            ("bytes=-1000".into(), parts(&[(0, 99)])),
            (format!("bytes=-{HUGE}"), parts(&[(0, 99)])),
            (format!("bytes=5-{HUGE}"), parts(&[(5, 99)])),
            ("Bytes = 1-2".into(), parts(&[(1, 2)])),
            ("bytes=0-1, 4-5 ,\t8-9".into(), parts(&[(0, 1), (4, 5), (8, 9)])),
            ("bytes=8-9,0-1".into(), parts(&[(8, 9), (0, 1)])),
            ("bytes=,0-1,,".into(), parts(&[(0, 1)])),
            ("bytes=0-1,200-300".into(), parts(&[(0, 1)])),
            ("bytes=0-1,0-1".into(), parts(&[(0, 1), (0, 1)])),
            ("bytes=0-1,2-3,4-5,6-7,8-9".into(), parts(&[(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)])),
            ("bytes=0-1,2-3,4-5,6-7,8-9,10-11".into(), Wanted::Whole),
            ("bytes=0-,0-,0-,0-,0-".into(), Wanted::Whole),
            (format!("bytes={}", "0-0,".repeat(1000)), Wanted::Whole),
            (format!("bytes={}", "500-,".repeat(1000)), Wanted::Whole),
            ("bytes=0-60,50-99".into(), Wanted::Whole),
            ("bytes=100-".into(), Wanted::Nothing),
            ("bytes=100-200".into(), Wanted::Nothing),
            ("bytes=-0".into(), Wanted::Nothing),
            ("bytes=100-,-0".into(), Wanted::Nothing),
            (format!("bytes={HUGE}-"), Wanted::Nothing),
            (format!("bytes={HUGE}-{HUGE}"), Wanted::Nothing),
            ("bytes=2-1".into(), Wanted::Whole),
            ("bytes=0-1,2-1".into(), Wanted::Whole),
            ("bytes=".into(), Wanted::Whole),
            ("bytes=,".into(), Wanted::Whole),
            ("bytes=-".into(), Wanted::Whole),
            ("bytes=--1".into(), Wanted::Whole),
            ("bytes=1".into(), Wanted::Whole),
            ("bytes=+1-2".into(), Wanted::Whole),
            ("bytes=1-2-3".into(), Wanted::Whole),
            ("bytes=200-x".into(), Wanted::Whole),
            ("bytes=0x0-1".into(), Wanted::Whole),
            ("bytes=1 - 2".into(), Wanted::Whole),
            ("bytes=-1.5".into(), Wanted::Whole),
            ("items=0-1".into(), Wanted::Whole),
            ("bytes 0-1".into(), Wanted::Whole),
            ("".into(), Wanted::Whole),
        ] {
            assert_eq!(read(&value, 100), wanted, "{value:?}");
        }
        assert_eq!(read("bytes=0-", 0), Wanted::Whole);
        assert_eq!(read("bytes=0-18446744073709551615", u64::MAX), parts(&[(0, u64::MAX - 1)]));
    }

    proptest! {
        #[test]
        fn parts_are_inside_the_file_and_no_more_than_it(
            value in "(bytes)?=?([0-9]{0,21}-[0-9]{0,21}[, ]{0,2}){0,7}",
            length in prop_oneof![0_u64..200, any::<u64>()],
        ) {
            if let Wanted::Parts(parts) = read(&value, length) {
                prop_assert!((1..=MAX_PARTS).contains(&parts.len()));
                let mut total = 0_u64;
                for part in parts {
                    prop_assert!(part.first <= part.last && part.last < length);
                    total += part.length();
                }
                prop_assert!(total <= length);
            }
        }

        #[test]
        fn nothing_makes_it_panic(value in any::<String>(), length in any::<u64>()) {
            let _ = read(&value, length);
        }
    }
}
