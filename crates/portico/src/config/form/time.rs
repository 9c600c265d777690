//! Durations (`"1h30m"`) and hours of the day (`"20:00-08:00"`).

use std::time::Duration;

use super::{Wrong, wrong};
use crate::types::text;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// One or more numbers with units, largest unit first: `"300s"`, `"5m"`, `"1h30m"`, `"250ms"`.
pub(crate) fn duration(written: &str) -> Result<Duration, Wrong> {
    if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong!("a duration needs a unit", "时长需要单位")
            .label(text!("write \"{written}s\" for seconds", "以秒计请写 \"{written}s\"")));
    }
    let mut total = 0_u64;
    let mut rest = written;
    let mut largest_left = 0;
    while !rest.is_empty() || largest_left == 0 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let index = UNITS.iter().position(|(name, _)| *name == unit);
        let (Ok(number), Some(index)) = (number.parse::<u64>(), index) else {
            return Err(not_a_duration(written));
        };
        if index < largest_left {
            return Err(not_a_duration(written));
        }
        let part = number.checked_mul(UNITS[index].1).ok_or_else(|| not_a_duration(written))?;
        total = total.checked_add(part).ok_or_else(|| not_a_duration(written))?;
        largest_left = index + 1;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

fn not_a_duration(written: &str) -> Wrong {
    wrong!("\"{written}\" is not a duration", "\"{written}\" 不是时长").label(text!(
        "write it like \"300s\", \"5m\", \"1h30m\", \"90d\" or \"250ms\"",
        "写法例如 \"300s\"、\"5m\"、\"1h30m\"、\"90d\" 或 \"250ms\""
    ))
}

/// `"20:00-08:00"` as minutes of the day, over midnight too; empty: none.
pub(crate) fn hours(written: &str) -> Result<Option<(u16, u16)>, Wrong> {
    if written.is_empty() {
        return Ok(None);
    }
    let parsed = written.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    match parsed {
        Some((from, to)) if from != to => Ok(Some((from, to))),
        Some(_) => Err(wrong!("the hours begin and end at the same minute", "开始与结束时间相同")
            .label(text!("leave the key out for always", "若要全天有效,请删去该键"))),
        None => Err(wrong!("\"{written}\" is not a span of hours", "\"{written}\" 不是时间段")
            .label(text!("write it like \"20:00-08:00\"", "写法例如 \"20:00-08:00\""))),
    }
}

fn minute(written: &str) -> Option<u16> {
    let (hour, minute) = written.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (written, millis) in [
            ("0s", 0),
            ("300s", 300_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("90d", 7_776_000_000),
            ("250ms", 250),
            ("17280000s", 17_280_000_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(duration(written), Ok(Duration::from_millis(millis)), "{written}");
        }
        for refused in [
            "",
            "5",
            "s",
            "5 m",
            "m5",
            "-5s",
            "1.5h",
            "5min",
            "5S",
            "30m1h",
            "5s5s",
            "99999999999999999999s",
            "9999999999999999d",
            " 5s",
            "5s ",
            "五s",
        ] {
            assert!(duration(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn hours_are_two_times_of_day() {
        assert_eq!(hours(""), Ok(None));
        assert_eq!(hours("20:00-08:00"), Ok(Some((1200, 480))));
        assert_eq!(hours("00:00-23:59"), Ok(Some((0, 1439))));
        for refused in [
            "20-8",
            "20:00",
            "24:00-08:00",
            "08:60-09:00",
            "8:00-9:00",
            "08:00-08:00",
            "08:00 - 09:00",
            "+8:00-09:00",
        ] {
            assert!(hours(refused).is_err(), "{refused:?}");
        }
    }
}
