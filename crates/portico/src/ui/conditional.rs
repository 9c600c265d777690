//! Preconditions (RFC 9110, 13): may the client keep what it has, and is what it has still what is here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderValue};

/// What the preconditions of a GET or HEAD come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// Judges all four fields in the order of section 13.2.2. `tag` is the strong entity tag of what would be sent, with
/// its quotes; `modified` is absent where no date is known, and the date fields are then ignored.
pub(super) fn judge(headers: &HeaderMap, tag: &str, modified: Option<HttpTime>) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !names(headers, IF_MATCH, tag, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if let (Some(since), Some(modified)) = (date(headers, IF_UNMODIFIED_SINCE), modified)
        && modified > since
    {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if names(headers, IF_NONE_MATCH, tag, Comparison::Weak) {
            return Verdict::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (date(headers, IF_MODIFIED_SINCE), modified)
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Whether a `Range` may be answered from what is here. A date never suffices: a file can change twice in the second
/// that it names, and every answer of ours carries a strong tag.
pub(super) fn if_range(headers: &HeaderMap, tag: &str) -> bool {
    match single(headers, IF_RANGE) {
        None => !headers.contains_key(IF_RANGE),
        Some(value) => value.as_bytes().trim_ascii() == tag.as_bytes(),
    }
}

/// A time that HTTP can write: whole seconds, from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HttpTime(u64);

impl HttpTime {
    const END: i64 = 253_402_300_800;

    pub(super) fn from_unix(seconds: i64) -> Option<Self> {
        (0..Self::END).contains(&seconds).then_some(Self(seconds.unsigned_abs()))
    }

    fn parse(text: &str) -> Option<Self> {
        let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Self::from_unix(i64::try_from(since.as_secs()).ok()?)
    }

    pub(super) fn header(self) -> HeaderValue {
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(self.0);
        HeaderValue::try_from(httpdate::fmt_http_date(time)).expect("a date is ASCII")
    }
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<HttpTime> {
    HttpTime::parse(single(headers, name)?.to_str().ok()?)
}

/// The value of a field that may stand once; twice is as good as not understood.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether the field's list (all its lines) names `tag`, or is `*`.
fn names(headers: &HeaderMap, name: HeaderName, tag: &str, comparison: Comparison) -> bool {
    headers.get_all(name).iter().any(|line| {
        let line = line.as_bytes().trim_ascii();
        line == b"*"
            || Tags(line)
                .any(|(weak, opaque)| opaque == tag.as_bytes() && (!weak || comparison == Comparison::Weak))
    })
}

/// Entity tags of a list: weak or not, and the opaque part with its quotes. A comma may stand inside the quotes, so
/// this can't split. Ends at the first thing that is no tag.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = (bool, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        let (weak, rest) = match self.0 {
            [b'W', b'/', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let [b'"', inner @ ..] = rest else { return None };
        let end = inner.iter().position(|b| *b == b'"')? + 2;
        let (opaque, rest) = rest.split_at(end);
        self.0 = rest;
        Some((weak, opaque))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = "\"abc-br\"";
    const BEFORE: &str = "Sat, 01 Jan 2022 00:00:00 GMT";
    const AT: &str = "Sun, 02 Jan 2022 00:00:00 GMT";
    const AFTER: &str = "Mon, 03 Jan 2022 00:00:00 GMT";

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).fold(
            HeaderMap::new(),
            |mut map, (name, value): (HeaderName, HeaderValue)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn preconditions_in_the_order_of_the_rfc() {
        use Verdict::*;
        for (lines, wanted) in [
            (&[][..], Send),
            (&[(IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_NONE_MATCH, "W/\"abc-br\"")], NotModified),
            (&[(IF_NONE_MATCH, "*")], NotModified),
            (&[(IF_NONE_MATCH, " * ")], NotModified),
            (&[(IF_NONE_MATCH, "\"x\", \"y,z\" ,\t\"abc-br\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_NONE_MATCH, "\"abc\"")], Send),
            (&[(IF_NONE_MATCH, "abc-br")], Send),
            (&[(IF_NONE_MATCH, "\"abc-br")], Send),
            (&[(IF_NONE_MATCH, "w/\"abc-br\"")], Send),
            (&[(IF_NONE_MATCH, "\"x,\"abc-br\"")], Send),
            (&[(IF_NONE_MATCH, "\"ABC-BR\"")], Send),
            (&[(IF_NONE_MATCH, "")], Send),
            (&[(IF_MODIFIED_SINCE, AT)], NotModified),
            (&[(IF_MODIFIED_SINCE, AFTER)], NotModified),
            (&[(IF_MODIFIED_SINCE, BEFORE)], Send),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Send),
            (&[(IF_MODIFIED_SINCE, AT), (IF_MODIFIED_SINCE, AT)], Send),
            (&[(IF_MODIFIED_SINCE, "Sunday, 02-Jan-22 00:00:00 GMT")], NotModified),
            // The tag decides alone where there is one.
            (&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, AFTER)], Send),
            (&[(IF_MATCH, TAG)], Send),
            (&[(IF_MATCH, "*")], Send),
            (&[(IF_MATCH, "\"x\", \"abc-br\"")], Send),
            (&[(IF_MATCH, "W/\"abc-br\"")], Failed),
            (&[(IF_MATCH, "\"x\"")], Failed),
            (&[(IF_MATCH, "")], Failed),
            (&[(IF_UNMODIFIED_SINCE, AT)], Send),
            (&[(IF_UNMODIFIED_SINCE, AFTER)], Send),
            (&[(IF_UNMODIFIED_SINCE, BEFORE)], Failed),
            (&[(IF_UNMODIFIED_SINCE, "yesterday")], Send),
            (&[(IF_MATCH, TAG), (IF_UNMODIFIED_SINCE, BEFORE)], Send),
            (&[(IF_MATCH, TAG), (IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)], Failed),
        ] {
            let modified = HttpTime::parse(AT);
            assert!(modified.is_some());
            assert_eq!(judge(&headers(lines), TAG, modified), wanted, "{lines:?}");
        }
    }

    #[test]
    fn without_a_date_of_its_own_nothing_depends_on_dates() {
        for name in [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
            assert_eq!(judge(&headers(&[(name, BEFORE)]), TAG, None), Verdict::Send);
        }
    }

    #[test]
    fn if_range_is_strong() {
        for (lines, wanted) in [
            (&[][..], true),
            (&[(IF_RANGE, TAG)], true),
            (&[(IF_RANGE, "W/\"abc-br\"")], false),
            (&[(IF_RANGE, "\"abc\"")], false),
            (&[(IF_RANGE, "*")], false),
            (&[(IF_RANGE, AT)], false),
            (&[(IF_RANGE, TAG), (IF_RANGE, TAG)], false),
            (&[(IF_RANGE, "\"abc-br\", \"x\"")], false),
        ] {
            assert_eq!(if_range(&headers(lines), TAG), wanted, "{lines:?}");
        }
    }

    #[test]
    fn times_that_http_cannot_write_are_none() {
        assert_eq!(HttpTime::from_unix(-1), None);
        assert_eq!(HttpTime::from_unix(HttpTime::END), None);
        assert_eq!(
            HttpTime::from_unix(HttpTime::END - 1).map(HttpTime::header),
            Some(HeaderValue::from_static("Fri, 31 Dec 9999 23:59:59 GMT"))
        );
        assert_eq!(
            HttpTime::from_unix(0).map(HttpTime::header),
            Some(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
        );
    }

    proptest! {
        #[test]
        fn a_list_ends(line in "[W/\", abc*-]{0,40}") {
            prop_assert!(Tags(line.as_bytes()).count() <= line.len());
        }
    }
}
