//! The two formats of an access log line: pure functions from an outcome to bytes.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::record::{Outcome, shown};

/// One JSON object and a line feed, as the contract lists its keys.
pub(super) fn json(outcome: &Outcome, out: &mut Vec<u8>) {
    let id = std::str::from_utf8(&outcome.id).unwrap_or_default();
    let user_agent = shown(outcome.user_agent.as_ref());
    let line = JsonLine {
        time: Timestamp(outcome.time),
        id,
        remote: outcome.remote,
        user: None,
        key: None,
        method: outcome.method.as_str(),
        path: outcome.path(),
        status: outcome.status,
        reason: outcome.reason.code(),
        bytes_in: outcome.bytes_in,
        bytes_out: outcome.bytes_out,
        model: outcome.model.as_deref(),
        stream: outcome.stream,
        queue_seconds: Seconds(outcome.queue),
        ttft_seconds: outcome.ttft.map(Seconds),
        seconds: Seconds(outcome.seconds),
        tokens_in: outcome.tokens_in,
        tokens_out: outcome.tokens_out,
        images: outcome.images,
        tls: None,
        protocol: protocol(outcome.version),
        user_agent: user_agent.as_deref(),
    };
    // Strings and numbers into memory: neither can fail.
    let _ = serde_json::to_writer(&mut *out, &line);
    out.push(b'\n');
}

/// The recipe's `qwen_combined`, to the letter.
pub(super) fn recipe(outcome: &Outcome, zone: &jiff::tz::TimeZone, out: &mut Vec<u8>) {
    let stamp = jiff::Timestamp::from_second(i64::try_from(outcome.time.as_secs()).unwrap_or_default())
        .unwrap_or_default()
        .to_zoned_datetime(zone.clone());
    let _ = write!(out, "{} - - [{}] \"", outcome.remote, stamp.strftime("%d/%b/%Y:%H:%M:%S %z"));
    if outcome.path().is_empty() {
        // Nginx has no request to show where it could not read one.
    } else {
        escape(outcome.method.as_str(), out);
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

#[derive(Serialize)]
struct JsonLine<'a> {
    time: Timestamp,
    id: &'a str,
    remote: std::net::IpAddr,
    user: Option<&'a str>,
    key: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    status: u16,
    reason: &'static str,
    bytes_in: u64,
    bytes_out: u64,
    model: Option<&'a str>,
    stream: bool,
    queue_seconds: Seconds,
    ttft_seconds: Option<Seconds>,
    seconds: Seconds,
    tokens_in: Option<u64>,
    tokens_out: Option<u64>,
    images: u32,
    tls: Option<&'a str>,
    protocol: &'static str,
    user_agent: Option<&'a str>,
}

/// A duration as seconds with microseconds; more digits would only be noise.
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a request fit a double exactly")]
        serializer.serialize_f64(self.0.as_micros() as f64 / 1e6)
    }
}

/// RFC 3339 in UTC with milliseconds.
struct Timestamp(Duration);

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (days, rest) = (self.0.as_secs() / 86_400, self.0.as_secs() % 86_400);
        let (year, month, day) = civil(days);
        serializer.collect_str(&format_args!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            rest / 3600,
            rest / 60 % 60,
            rest % 60,
            self.0.subsec_millis()
        ))
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
