//! The words of `fault:…`, as a type. What they mean stands in the table of `main.rs`.

use std::time::Duration;

use crate::websocket;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    SlowHeaders(Duration),
    Silent,
    CloseEarly,
    Reset,
    Garbage,
    Status(String),
    TwoLengths,
    TransferEncodingAndLength,
    HugeHeaders(usize),
    ManyHeaders(usize),
    EarlyHints,
    EndlessInformational,
    Switch,
    MoreBody(usize),
    ShortBody,
    BadChunk,
    DieMidStream {
        events: usize,
        reset: bool,
    },
    DieMidEvent,
    EndEarly(usize),
    HangMidStream(usize),
    EngineDead {
        events: usize,
        code: usize,
    },
    Error(u16),
    LeakyError,
    Html,
    SplitEvents,
    CrlfEvents,
    SlowStream {
        events: usize,
        every: Duration,
    },
    Flood {
        events: usize,
        bytes: usize,
    },
    CloseIdle(Duration),
    LlamaStream,
    ForeignHeaders,
    Early(u16),
    Unread,
    /// Of a realtime session; any other request is answered normally.
    WebSocket(websocket::Fault),
}

impl Fault {
    /// `text` without its `fault:`; the empty text is [`Fault::None`]. A word or number that is not in the table is
    /// an error, since a fault that silently does nothing would make a test that cannot fail.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut words = rest.split_whitespace();
        let fault = match name {
            "" => Self::None,
            "silent" => Self::Silent,
            "close-early" => Self::CloseEarly,
            "reset" => Self::Reset,
            "garbage" => Self::Garbage,
            "status" => return Ok(Self::Status(rest.to_owned())),
            "two-lengths" => Self::TwoLengths,
            "te-and-length" => Self::TransferEncodingAndLength,
            "early-hints" => Self::EarlyHints,
            "endless-1xx" => Self::EndlessInformational,
            "switch" => Self::Switch,
            "short-body" => Self::ShortBody,
            "bad-chunk" => Self::BadChunk,
            "die-mid-event" => Self::DieMidEvent,
            "leaky-error" => Self::LeakyError,
            "html" => Self::Html,
            "split-events" => Self::SplitEvents,
            "crlf-events" => Self::CrlfEvents,
            "llama-stream" => Self::LlamaStream,
            "acao" => Self::ForeignHeaders,
            "unread" => Self::Unread,
            "error-500" => Self::Error(500),
            "slow-headers" => Self::SlowHeaders(duration(words.next(), None)?),
            "close-idle" => Self::CloseIdle(duration(words.next(), Some(Duration::from_millis(50)))?),
            "huge-headers" => Self::HugeHeaders(number(words.next(), Some(1 << 20))?),
            "many-headers" => Self::ManyHeaders(number(words.next(), Some(5000))?),
            "more-body" => Self::MoreBody(number(words.next(), Some(32))?),
            "end-early" => Self::EndEarly(number(words.next(), None)?),
            "hang-mid-stream" => Self::HangMidStream(number(words.next(), None)?),
            "engine-dead" => Self::EngineDead {
                events: number(words.next(), None)?,
                code: number(words.next(), Some(500))?,
            },
            "error" => Self::Error(status(words.next())?),
            "early" => Self::Early(status(words.next())?),
            "die-mid-stream" => {
                let events = number(words.next(), None)?;
                let reset = match words.next() {
                    None => false,
                    Some("reset") => true,
                    Some(other) => return Err(format!("`{other}` instead of `reset`")),
                };
                Self::DieMidStream { events, reset }
            }
            "slow-stream" => {
                Self::SlowStream { events: number(words.next(), None)?, every: duration(words.next(), None)? }
            }
            "flood" => {
                Self::Flood { events: number(words.next(), None)?, bytes: number(words.next(), None)? }
            }
            other => {
                let fault = other.strip_prefix("ws-");
                let fault = fault.and_then(|name| websocket::Fault::parse(name, &mut words));
                Self::WebSocket(fault.ok_or_else(|| format!("no fault is called `{other}`"))??)
            }
        };
        match words.next() {
            None => Ok(fault),
            Some(extra) => Err(format!("`{extra}` is too much in `fault:{text}`")),
        }
    }
}

pub(crate) fn number(word: Option<&str>, default: Option<usize>) -> Result<usize, String> {
    match (word, default) {
        (Some(word), _) => word.parse().map_err(|_| format!("`{word}` is not a number")),
        (None, Some(default)) => Ok(default),
        (None, None) => Err("a number is missing".into()),
    }
}

pub(crate) fn status(word: Option<&str>) -> Result<u16, String> {
    let code = number(word, None)?;
    u16::try_from(code)
        .ok()
        .filter(|code| (200..600).contains(code))
        .ok_or(format!("{code} is no final status"))
}

pub(crate) fn duration(word: Option<&str>, default: Option<Duration>) -> Result<Duration, String> {
    let Some(word) = word else { return default.ok_or_else(|| "a duration is missing".into()) };
    let wrong = || format!("`{word}` is not a duration like 500ms or 2s");
    if let Some(milliseconds) = word.strip_suffix("ms") {
        milliseconds.parse().map(Duration::from_millis).map_err(|_| wrong())
    } else {
        let seconds = word.strip_suffix('s').ok_or_else(wrong)?;
        seconds.parse().map(Duration::from_secs).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_table_parses() {
        let table = include_str!("main.rs");
        let mut rows = 0;
        for line in table.lines().filter_map(|line| line.strip_prefix("//! | `")) {
            let cell = line.split(" | ").next().unwrap_or_default();
            for written in cell.split('`').step_by(2).filter(|word| !word.trim_matches([',', ' ']).is_empty())
            {
                if written == "fault:" {
                    continue;
                }
                let example = written.replace("LINE", "HTTP/1.1 999 Odd").replace("DUR", "20ms");
                let example = example.replace("CODE", "503").replace("BYTES", "7").replace('N', "3");
                let example = example.replace(['[', ']'], "");
                assert!(Fault::parse(&example).is_ok(), "{example}: {:?}", Fault::parse(&example));
                rows += 1;
            }
        }
        assert!(rows > 55, "the table was not found: {rows} rows");
    }

    #[test]
    fn what_is_misspelt_is_an_error() {
        for wrong in [
            "silnt",
            "slow-headers",
            "slow-headers 5",
            "flood 3",
            "error 99",
            "silent 5",
            "die-mid-stream 5 now",
            "ws-maskd",
            "ws-close 65536",
            "ws-flood 3",
        ] {
            assert!(Fault::parse(wrong).is_err(), "{wrong}");
        }
    }
}
