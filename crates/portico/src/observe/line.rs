//! The two formats of an access log line: pure functions from an outcome to bytes.

use std::io::Write as _;
use std::time::Duration;

use super::record::{Outcome, shown};

/// One JSON object and a line feed, as the contract lists its keys.
///
/// Written by hand, not by a serialiser: this runs once for every request, and most of it is fixed text.
pub(super) fn json(outcome: &Outcome, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    timestamp(outcome.time, out);
    out.extend_from_slice(b"\",\"id\":\"");
    out.extend_from_slice(&outcome.id);
    out.extend_from_slice(b"\",\"remote\":\"");
    let _ = write!(out, "{}", outcome.remote);
    out.extend_from_slice(b"\",\"user\":");
    string(outcome.user(), out);
    out.extend_from_slice(b",\"key\":");
    string(outcome.key(), out);
    out.extend_from_slice(b",\"method\":");
    string(Some(outcome.method()), out);
    out.extend_from_slice(b",\"path\":");
    string(Some(outcome.path()), out);
    out.extend_from_slice(b",\"status\":");
    number(Some(u64::from(outcome.status)), out);
    out.extend_from_slice(b",\"reason\":\"");
    out.extend_from_slice(outcome.reason.code().as_bytes());
    out.extend_from_slice(b"\",\"bytes_in\":");
    number(Some(outcome.bytes_in), out);
    out.extend_from_slice(b",\"bytes_out\":");
    number(Some(outcome.bytes_out), out);
    out.extend_from_slice(b",\"model\":");
    string(outcome.model.as_deref(), out);
    out.extend_from_slice(if outcome.stream { b",\"stream\":true" } else { b",\"stream\":false" });
    out.extend_from_slice(b",\"queue_seconds\":");
    seconds(Some(outcome.queue), out);
    out.extend_from_slice(b",\"ttft_seconds\":");
    seconds(outcome.ttft, out);
    out.extend_from_slice(b",\"seconds\":");
    seconds(Some(outcome.seconds), out);
    out.extend_from_slice(b",\"tokens_in\":");
    number(outcome.tokens_in, out);
    out.extend_from_slice(b",\"tokens_out\":");
    number(outcome.tokens_out, out);
    out.extend_from_slice(b",\"images\":");
    number(Some(u64::from(outcome.images)), out);
    out.extend_from_slice(b",\"tls\":");
    string(outcome.tls, out);
    out.extend_from_slice(b",\"protocol\":\"");
    out.extend_from_slice(protocol(outcome.version).as_bytes());
    out.extend_from_slice(b"\",\"user_agent\":");
    string(shown(outcome.user_agent.as_ref()).as_deref(), out);
    out.extend_from_slice(b"}\n");
}

fn string(value: Option<&str>, out: &mut Vec<u8>) {
    // Strings into memory: this can't fail.
    let _ = serde_json::to_writer(out, &value);
}

fn number(value: Option<u64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
}

/// Seconds with microseconds; more digits would only be noise.
fn seconds(value: Option<Duration>, out: &mut Vec<u8>) {
    let Some(value) = value else { return out.extend_from_slice(b"null") };
    number(Some(value.as_secs()), out);
    out.push(b'.');
    digits(u64::from(value.subsec_micros()), 6, out);
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(time: Duration, out: &mut Vec<u8>) {
    let (days, rest) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    for (value, width, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (rest / 3600, 2, b':'),
        (rest / 60 % 60, 2, b':'),
        (rest % 60, 2, b'.'),
        (u64::from(time.subsec_millis()), 3, b'Z'),
    ] {
        digits(value, width, out);
        out.push(after);
    }
}

/// The last `width` decimal digits.
fn digits(value: u64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let digit = value / 10_u64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// The recipe's `qwen_combined`, to the letter.
pub(super) fn recipe(outcome: &Outcome, zone: &jiff::tz::TimeZone, out: &mut Vec<u8>) {
    let stamp = jiff::Timestamp::from_second(i64::try_from(outcome.time.as_secs()).unwrap_or_default())
        .unwrap_or_default()
        .to_zoned_datetime(zone.clone());
    let _ = write!(out, "{} - ", outcome.remote);
    escape(outcome.user().unwrap_or("-"), out);
    let _ = write!(out, " [{}] \"", stamp.strftime("%d/%b/%Y:%H:%M:%S %z"));
    if outcome.path().is_empty() {
        // Nginx has no request to show where it could not read one.
    } else {
        escape(outcome.method(), out);
        out.push(b' ');
        escape(outcome.path(), out);
        out.push(b' ');
        out.extend_from_slice(protocol(outcome.version).as_bytes());
    }
    let _ = write!(out, "\" {} {} \"", outcome.status, outcome.bytes_out);
    escape(shown(outcome.referer.as_ref()).as_deref().unwrap_or("-"), out);
    out.extend_from_slice(b"\" \"");
    escape(shown(outcome.user_agent.as_ref()).as_deref().unwrap_or("-"), out);
    let _ = write!(out, "\" rt={}", Milliseconds(Some(outcome.seconds)));
    let times = outcome.upstream;
    let _ = writeln!(
        out,
        " uct=\"{}\" uht=\"{}\" urt=\"{}\"",
        Milliseconds(times.connect),
        Milliseconds(times.header),
        Milliseconds(times.response)
    );
}

/// Nginx's default escaping: `"`, `\` and everything outside printable ASCII as `\xXX`.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' || !(0x20..0x7f).contains(&byte) {
            let _ = write!(out, "\\x{byte:02X}");
        } else {
            out.push(byte);
        }
    }
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2.0",
        http::Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Seconds with milliseconds, `-` where there is no value.
struct Milliseconds(Option<Duration>);

impl std::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{}.{:03}", time.as_secs(), time.subsec_millis()),
            None => f.write_str("-"),
        }
    }
}

/// Days since the epoch to a date of the Gregorian calendar (Howard Hinnant's `civil_from_days`): a log line needs
/// no time zone, and this costs nanoseconds where a calendar library costs a microsecond.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_a_calendar_library() {
        for days in (0..40_000_u64).step_by(13) {
            let date = jiff::civil::date(1970, 1, 1)
                .checked_add(jiff::Span::new().days(i64::try_from(days).unwrap()))
                .unwrap();
            let (year, month, day) = civil(days);
            assert_eq!((year as i16, month as i8, day as i8), (date.year(), date.month(), date.day()));
        }
    }

    #[test]
    fn numbers_and_times_are_json_and_rfc_3339() {
        let mut out = Vec::new();
        timestamp(Duration::from_millis(1_795_447_836_042), &mut out);
        seconds(Some(Duration::from_micros(12_000_089)), &mut out);
        seconds(Some(Duration::ZERO), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "2026-11-23T15:30:36.042Z12.0000890.000000");
    }

    #[test]
    fn escaping_is_nginx_s() {
        let mut out = Vec::new();
        escape("a\"b\\c\u{7f}\né", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a\\x22b\\x5Cc\\x7F\\x0A\\xC3\\xA9");
    }

    #[test]
    fn milliseconds_are_padded_and_absent_ones_are_a_dash() {
        assert_eq!(Milliseconds(Some(Duration::from_micros(1_007_900))).to_string(), "1.007");
        assert_eq!(Milliseconds(None).to_string(), "-");
    }
}
