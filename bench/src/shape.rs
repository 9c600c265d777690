//! The conversation: what `load` asks, what `mock` answers, and what `load` accepts as the right answer.
//!
//! Every answer names what it answers: a plain one repeats the request's number and what it saw of the picture, a
//! stream's events are numbered. An answer given to the wrong client, a lost, doubled or reordered event, a picture
//! changed on its way: each fails a check.

use std::time::{SystemTime, UNIX_EPOCH};

use memchr::memmem;

/// Events of one stream at most; the number in an event has six digits.
pub const MAX_EVENTS: u64 = 999_999;
/// The request's number starts here: always nine digits, and within 32 bits for servers that store a seed so.
pub const FIRST_SEED: u64 = 100_000_000;

/// What a request asks of the mock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub stream: bool,
    pub include_usage: bool,
    pub max_tokens: u64,
    /// In a stream: events per second, 0 for as fast as it goes. Otherwise a number to repeat in the answer.
    pub seed: u64,
}

impl Ask {
    /// Scans instead of parsing: the bodies are this module's own (through a proxy that may have re-serialised them),
    /// and a parser would make the mock dearer than what is measured.
    pub fn read(body: &[u8]) -> Self {
        Self {
            stream: value_after(body, b"\"stream\":").is_some_and(|value| value.starts_with(b"true")),
            include_usage: value_after(body, b"\"include_usage\":")
                .is_some_and(|value| value.starts_with(b"true")),
            max_tokens: number_after(body, b"\"max_tokens\":").unwrap_or(16).clamp(1, MAX_EVENTS),
            seed: number_after(body, b"\"seed\":").unwrap_or(0),
        }
    }
}

fn value_after<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(body, key)? + key.len();
    Some(body[at..].trim_ascii_start())
}

fn number_after(body: &[u8], key: &[u8]) -> Option<u64> {
    let value = value_after(body, key)?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&value[..digits]).ok()?.parse().ok()
}

/// Length and sum of a picture's data URL, zeros where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Picture {
    pub length: usize,
    pub sum: u64,
}

impl Picture {
    pub fn in_body(body: &[u8]) -> Self {
        let Some(start) = memmem::find(body, b"\"data:image/") else { return Self::default() };
        let url = &body[start + 1..];
        let Some(length) = memchr::memchr(b'"', url) else { return Self::default() };
        Self { length, sum: sum(&url[..length]) }
    }
}

/// Depends on every byte and its place; cheap enough for megabytes in each request.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(0, |sum: u64, word| (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    rest.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// The part of a plain answer that proves whose it is.
pub fn proof(seed: u64, picture: Picture) -> String {
    format!("\"content\":\"number {seed}; picture {} {:016x}; ", picture.length, picture.sum)
}

/// A plain answer with its head: about 400 bytes of JSON.
pub fn answer(out: &mut Vec<u8>, model: &str, seed: u64, picture: Picture) {
    let body = format!(
        "{{\"id\":\"chatcmpl-bench-0000000000000000\",\"object\":\"chat.completion\",\"created\":1790000000,\
         \"model\":\"{model}\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",{}\
         The picture shows a small red house under a grey sky.\"}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":21,\"completion_tokens\":16,\"total_tokens\":37}}}}",
        proof(seed, picture)
    );
    respond(out, "200 OK", body.as_bytes());
}

pub fn respond(out: &mut Vec<u8>, status: &str, body: &[u8]) {
    out.clear();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

pub const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
pub const DONE: &[u8] = b"data: [DONE]\n\n";

const NUMBER_KEY: &[u8] = b"\"delta\":{\"content\":\" t";
const TIME_KEY: &[u8] = b"\"system_fingerprint\":\"";
const NUMBER_DIGITS: usize = 6;
const TIME_DIGITS: usize = 16;

/// An event in the chunk shape of the API, already in chunked coding, with its number and time to be filled in.
#[derive(Debug, Clone)]
pub struct EventTemplate {
    bytes: Vec<u8>,
    number_at: usize,
    time_at: usize,
}

impl EventTemplate {
    pub fn new(model: &str, finish_reason: &str) -> Self {
        let event = format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
             \"model\":\"{model}\",\"system_fingerprint\":\"0000000000000000\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\" t000000\"}},\"finish_reason\":{finish_reason}}}]}}\n\n"
        );
        let bytes = chunk(event.as_bytes());
        let after = |key| memmem::find(&bytes, key).map_or(0, |at| at + key.len());
        Self { number_at: after(NUMBER_KEY), time_at: after(TIME_KEY), bytes }
    }

    pub fn append(&mut self, number: u64, out: &mut Vec<u8>) {
        digits(&mut self.bytes[self.number_at..self.number_at + NUMBER_DIGITS], number);
        digits(&mut self.bytes[self.time_at..self.time_at + TIME_DIGITS], now_micros());
        out.extend_from_slice(&self.bytes);
    }
}

pub fn usage_event(model: &str, events: u64) -> Vec<u8> {
    let total = events + 21;
    let event = format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
         \"model\":\"{model}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":21,\"completion_tokens\":{events},\
         \"total_tokens\":{total}}}}}\n\n"
    );
    chunk(event.as_bytes())
}

pub fn chunk(data: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}

fn digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Both ends run on one machine, so one wall clock serves both; a step of it would show as absurd transit times.
pub fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Reads a stream's events and holds them against what was asked.
#[derive(Debug, Default)]
pub struct StreamCheck {
    next: u64,
    done: bool,
    /// Received, but no whole event yet.
    rest: Vec<u8>,
}

impl StreamCheck {
    /// `seen` gets the transit time in microseconds of each event that is right.
    pub fn read(&mut self, bytes: &[u8], mut seen: impl FnMut(u64)) -> Result<(), String> {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(length) = memmem::find(&self.rest[from..], b"\n\n") {
            let event = &self.rest[from..from + length];
            from += length + 2;
            if event.starts_with(b":") {
                continue;
            }
            if self.done {
                return Err("an event after [DONE]".to_owned());
            }
            if event == b"data: [DONE]" {
                self.done = true;
                continue;
            }
            let number = event.starts_with(b"data: {").then(|| number_after(event, NUMBER_KEY)).flatten();
            if number != Some(self.next) {
                return Err(format!("event {} expected, got: {}", self.next, String::from_utf8_lossy(event)));
            }
            self.next += 1;
            let sent = number_after(event, TIME_KEY).ok_or("an event without its time")?;
            seen(now_micros().saturating_sub(sent));
        }
        self.rest.drain(..from);
        Ok(())
    }

    pub fn events(&self) -> u64 {
        self.next
    }

    pub fn finish(&self, wanted: u64) -> Result<(), String> {
        if !self.rest.is_empty() {
            return Err("the stream ended within an event".to_owned());
        }
        if !self.done {
            return Err(format!("no [DONE] after {} of {wanted} events", self.next));
        }
        if self.next != wanted {
            return Err(format!("{} events instead of {wanted}", self.next));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(numbers: &[u64]) -> Vec<u8> {
        let mut template = EventTemplate::new("bench", "null");
        let mut coded = Vec::new();
        for number in numbers {
            template.append(*number, &mut coded);
        }
        // Out of the chunked coding again: events are what is left of every chunk.
        let mut plain = Vec::new();
        for event in memmem::find_iter(&coded, b"data: {") {
            let length = memmem::find(&coded[event..], b"\n\n").expect("whole events") + 2;
            plain.extend_from_slice(&coded[event..event + length]);
        }
        plain.extend_from_slice(DONE);
        plain
    }

    fn check(bytes: &[u8], wanted: u64, piece: usize) -> Result<(), String> {
        let mut check = StreamCheck::default();
        for piece in bytes.chunks(piece) {
            check.read(piece, |_| {})?;
        }
        check.finish(wanted)
    }

    #[test]
    fn accepts_the_right_stream_however_it_is_cut() {
        let bytes = stream(&[0, 1, 2]);
        for piece in [1, 2, 3, 7, 209, 5000] {
            assert_eq!(check(&bytes, 3, piece), Ok(()), "pieces of {piece}");
        }
    }

    #[test]
    fn refuses_every_wrong_stream() {
        assert!(check(&stream(&[0, 2]), 2, 64).is_err(), "lost");
        assert!(check(&stream(&[0, 0, 1]), 3, 64).is_err(), "doubled");
        assert!(check(&stream(&[1, 0]), 2, 64).is_err(), "reordered");
        assert!(check(&stream(&[0, 1]), 3, 64).is_err(), "short");
        let whole = stream(&[0, 1]);
        assert!(check(&whole[..whole.len() - DONE.len()], 2, 64).is_err(), "no [DONE]");
        assert!(check(&[&whole[..], b"data: {\"late\":1}\n\n"].concat(), 2, 64).is_err(), "after [DONE]");
        let usage = b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":21}}\n\n";
        assert!(check(&[usage, &whole[..]].concat(), 2, 64).is_err(), "a usage event nobody asked for");
        assert!(check(&[&whole[..], b"data: "].concat(), 2, 64).is_err(), "half an event at the end");
    }

    #[test]
    fn skips_comments() {
        assert_eq!(check(&[b": waiting\n\n", &stream(&[0])[..]].concat(), 1, 5), Ok(()));
    }

    #[test]
    fn events_and_answers_have_the_size_they_claim() {
        let mut event = Vec::new();
        EventTemplate::new("bench", "null").append(7, &mut event);
        let text = String::from_utf8(event).expect("ASCII");
        assert!((200..=225).contains(&text.len()), "{} bytes: {text}", text.len());
        let json = text.split("data: ").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("one event");
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(json["choices"][0]["delta"]["content"], " t000007");
        let mut out = Vec::new();
        answer(&mut out, "bench", FIRST_SEED, Picture::default());
        let body = &out[memmem::find(&out, b"\r\n\r\n").expect("a head") + 4..];
        assert!((350..=450).contains(&body.len()), "{}", body.len());
        let json: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        assert_eq!(json["usage"]["total_tokens"], 37);
    }

    #[test]
    fn reads_what_a_request_asks() {
        let body = br#"{"model":"m","stream": true,"stream_options":{"include_usage":true},"max_tokens": 7,"seed":50}"#;
        assert_eq!(Ask::read(body), Ask { stream: true, include_usage: true, max_tokens: 7, seed: 50 });
        assert!(!Ask::read(br#"{"stream_options":{"include_usage":false},"stream":false}"#).stream);
    }

    #[test]
    fn a_picture_is_known_by_every_byte_and_place() {
        let of = |url: &str| Picture::in_body(format!("{{\"url\":\"{url}\"}}").as_bytes());
        let picture = of("data:image/png;base64,AAAABBBBCCCC");
        assert_eq!(picture.length, 34);
        assert_ne!(picture, of("data:image/png;base64,AAAABBBBCCCD"));
        assert_ne!(picture, of("data:image/png;base64,BBBBAAAACCCC"));
        assert_eq!(Picture::in_body(b"{}"), Picture::default());
    }
}
