//! A stream of events on its way from the model server to the client.
//!
//! Events pass as bytes. Three things are looked for without parsing each event: the usage event that Portico itself
//! asked for (read, and taken out where the client did not want it), the value of `model` (put back to the name that
//! was asked for), and the model server's own error (replaced, because its text may name addresses and paths).
//! An event leaves when it is whole, so a client never sees half of one before a final error.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use super::Usage;
use super::scan::top_level;

/// An event that is larger than this without an end is passed on unread: it is not one that matters here.
const LARGEST_EVENT_BYTES: usize = 1024 * 1024;

/// Reads one stream. Bytes in, whole events out.
#[derive(Debug)]
pub(crate) struct EventFilter {
    /// As the client asked for it.
    model: Arc<str>,
    /// Whether events carry another name; known from the first event that carries one.
    rename: Option<bool>,
    wants_usage: bool,
    partial: BytesMut,
    usage: Option<Usage>,
    data_events: u64,
    /// An event too large to hold is passing; until its end nothing is looked at.
    passing: bool,
    done: bool,
    failed: Option<Bytes>,
}

impl EventFilter {
    pub(crate) fn new(model: Arc<str>, wants_usage: bool) -> Self {
        Self {
            model,
            rename: None,
            wants_usage,
            partial: BytesMut::new(),
            usage: None,
            data_events: 0,
            passing: false,
            done: false,
            failed: None,
        }
    }

    /// Takes what arrived; appends what may leave to `out`. Nothing more is read after `[DONE]` or an error.
    pub(crate) fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        if self.ended() {
            return;
        }
        if self.partial.is_empty() && !self.passing && self.is_plain(&chunk) {
            out.push_back(chunk);
            return;
        }
        let mut rest = if self.partial.is_empty() {
            chunk
        } else {
            self.partial.extend_from_slice(&chunk);
            self.partial.split().freeze()
        };
        while !self.ended() {
            let Some(end) = event_end(&rest) else { break };
            let event = rest.split_to(end);
            if std::mem::take(&mut self.passing) {
                out.push_back(event);
            } else {
                self.event(event, out);
            }
        }
        if self.passing || rest.len() > LARGEST_EVENT_BYTES {
            self.passing = true;
            out.push_back(rest);
        } else if !rest.is_empty() {
            self.partial = BytesMut::from(rest);
        }
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Events that carried a piece of the answer: the best count of tokens when no usage event came.
    pub(crate) fn data_events(&self) -> u64 {
        self.data_events
    }

    /// `[DONE]` was seen.
    pub(crate) fn done(&self) -> bool {
        self.done
    }

    /// The model server ended the stream with an error of its own; for the log, never for the client.
    pub(crate) fn failed(&self) -> Option<&Bytes> {
        self.failed.as_ref()
    }

    fn ended(&self) -> bool {
        self.done || self.failed.is_some()
    }

    /// The common case, decided by three searches over the chunk: whole events that hold nothing of interest.
    fn is_plain(&mut self, chunk: &Bytes) -> bool {
        let plain = self.rename == Some(false)
            && chunk.ends_with(b"\n\n")
            && memmem::find(chunk, b"\"usage\"").is_none()
            && memmem::find(chunk, b"[DONE]").is_none()
            && memmem::find(chunk, b"\"error\"").is_none();
        if plain {
            self.data_events += memmem::find_iter(chunk, b"\n\n").count() as u64;
        }
        plain
    }

    fn event(&mut self, event: Bytes, out: &mut VecDeque<Bytes>) {
        let Some(data) = data_line(&event) else {
            out.push_back(event);
            return;
        };
        let json = &event[data.clone()];
        if json == b"[DONE]" {
            self.done = true;
            out.push_back(event);
            return;
        }
        if is_error(json) {
            self.failed = Some(event.slice(data));
            return;
        }
        if self.is_usage(json) && !self.wants_usage {
            return;
        }
        self.data_events += 1;
        match self.renamed(&event, data) {
            Some(renamed) => out.push_back(renamed),
            None => out.push_back(event),
        }
    }

    /// Reads the usage where there is one. True only for the event that carries nothing else.
    fn is_usage(&mut self, json: &[u8]) -> bool {
        if memmem::find(json, b"\"usage\"").is_none() {
            return false;
        }
        let Some(span) = top_level(json, "usage") else { return false };
        let Ok(Some(usage)) = serde_json::from_slice::<Option<Usage>>(&json[span]) else { return false };
        self.usage = Some(usage);
        top_level(json, "choices").is_some_and(|span| {
            json[span].iter().all(|byte| matches!(byte, b'[' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
        })
    }

    fn renamed(&mut self, event: &Bytes, data: std::ops::Range<usize>) -> Option<Bytes> {
        if self.rename == Some(false) {
            return None;
        }
        let span = top_level(&event[data.clone()], "model")?;
        let asked = serde_json::to_vec(&*self.model).ok()?;
        let span = data.start + span.start..data.start + span.end;
        let same = event[span.clone()] == asked;
        if self.rename.is_none() {
            self.rename = Some(!same);
        }
        (!same).then(|| Bytes::from([&event[..span.start], &asked, &event[span.end..]].concat()))
    }
}

/// `{"error": …}`, or `{"object": "error", …}` as older engines say it.
fn is_error(json: &[u8]) -> bool {
    let object_is_error = || top_level(json, "object").is_some_and(|span| json[span] == *b"\"error\"");
    memmem::find(json, b"\"error\"").is_some()
        && top_level(json, "choices").is_none()
        && (top_level(json, "error").is_some() || object_is_error())
}

/// The index behind the first event's blank line, whichever of the two line ends is used.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(line_feed) = memchr::memchr(b'\n', &bytes[at..]) {
        let next = at + line_feed + 1;
        match (bytes.get(next), bytes.get(next + 1)) {
            (Some(b'\n'), _) => return Some(next + 1),
            (Some(b'\r'), Some(b'\n')) => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

/// Where the value of the event's only `data` line stands; an event with several is not one of the API's.
fn data_line(event: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    while let Some(length) = memchr::memchr(b'\n', &event[start..]) {
        let line = &event[start..start + length];
        if let Some(value) = line.strip_prefix(b"data:") {
            let value_start = start + 5 + value.iter().take_while(|byte| **byte == b' ').count();
            let end = start + length - usize::from(line.ends_with(b"\r"));
            return (value_start <= end).then_some(value_start..end);
        }
        start += length + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: &str =
        "data: {\"choices\":[],\"model\":\"up\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";

    fn event(text: &str) -> String {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{text:?}}}}}],\"model\":\"up\"}}\n\n")
    }

    /// The stream cut at every place must give the same bytes.
    fn filtered(asked: &str, wants_usage: bool, stream: &str) -> (String, EventFilter) {
        let mut whole = None;
        for size in [1, 2, 3, 7, 64, usize::MAX] {
            let mut filter = EventFilter::new(asked.into(), wants_usage);
            let mut out = VecDeque::new();
            for chunk in stream.as_bytes().chunks(size.min(stream.len().max(1))) {
                filter.push(Bytes::copy_from_slice(chunk), &mut out);
            }
            let text = String::from_utf8(out.iter().flatten().copied().collect()).unwrap();
            match &whole {
                None => whole = Some((text, filter)),
                Some((first, _)) => assert_eq!(*first, text, "chunks of {size}"),
            }
        }
        whole.unwrap()
    }

    #[test]
    fn events_pass_unchanged_and_the_usage_event_is_taken_out() {
        let stream = format!("{}{}{USAGE}data: [DONE]\n\n", event("a"), event("b"));
        let (out, filter) = filtered("up", false, &stream);
        assert_eq!(out, format!("{}{}data: [DONE]\n\n", event("a"), event("b")));
        assert_eq!(filter.usage(), Some(Usage { prompt_tokens: 7, completion_tokens: 3 }));
        assert!(filter.done());
        assert_eq!(filtered("up", true, &stream).0, stream);
    }

    #[test]
    fn a_usage_event_in_one_chunk_with_others_is_found() {
        let mut filter = EventFilter::new("up".into(), false);
        let mut out = VecDeque::new();
        for chunk in [event("a"), event("b"), format!("{}{USAGE}", event("c"))] {
            filter.push(Bytes::from(chunk), &mut out);
        }
        assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), event("a").len() * 3);
        assert_eq!((filter.data_events(), filter.usage().unwrap().completion_tokens), (3, 3));
    }

    #[test]
    fn usage_beside_choices_stays() {
        let stream = "data: {\"choices\":[{\"delta\":{}}],\"model\":\"up\",\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[{}],\"usage\":null,\"model\":\"up\"}\n\n";
        assert_eq!(filtered("up", false, stream).0, stream);
    }

    #[test]
    fn the_model_s_name_is_put_back() {
        let stream = format!(
            "{}{}data: [DONE]\n\n",
            event("say \"model\":\"up\" please"),
            "data: {\"id\":\"1\", \"model\" : \"up\", \"choices\":[{\"model\":\"up\"}]}\n\n"
        );
        let (out, _) = filtered("gpt-4o", false, &stream);
        assert_eq!(
            out,
            format!(
                "{}{}data: [DONE]\n\n",
                event("say \"model\":\"up\" please")
                    .replace(",\"model\":\"up\"}\n", ",\"model\":\"gpt-4o\"}\n"),
                "data: {\"id\":\"1\", \"model\" : \"gpt-4o\", \"choices\":[{\"model\":\"up\"}]}\n\n"
            )
        );
    }

    #[test]
    fn comments_and_other_line_ends_pass() {
        let stream = ": hello\n\ndata: {\"choices\":[{}],\"model\":\"up\"}\r\n\r\nevent: x\ndata: {\"choices\":[{}]}\n\n";
        assert_eq!(filtered("up", false, stream).0, stream);
        let usage = USAGE.replace('\n', "\r\n");
        assert_eq!(filtered("up", false, &usage).0, "");
    }

    #[test]
    fn half_an_event_never_leaves() {
        let stream = format!("{}data: {{\"choices\":[", event("a"));
        assert_eq!(filtered("up", false, &stream).0, event("a"));
    }

    #[test]
    fn the_model_server_s_own_error_is_kept_back() {
        for error in [
            r#"data: {"error":{"message":"/srv/x 127.0.0.1"}}"#,
            r#"data: { "error" : {"message":"/srv/x 127.0.0.1"}}"#,
            r#"data: {"id":null,"error":"/srv/x 127.0.0.1"}"#,
            r#"data:{"object":"error","message":"/srv/x 127.0.0.1","code":500}"#,
        ] {
            // The name is known to need no change: the quick look decides.
            let stream = format!("{}{}{error}\n\ndata: [DONE]\n\n", event("a"), event("b"));
            let (out, filter) = filtered("up", false, &stream);
            assert_eq!(out, event("a") + &event("b"), "{error}");
            assert!(filter.failed().is_some() && !filter.done(), "{error}");
        }
        let harmless =
            r#"data: {"choices":[{"delta":{"content":"say \"error\""}}],"error":null,"model":"up"}"#;
        let stream = format!("{}{harmless}\n\n", event("a"));
        assert_eq!(filtered("up", false, &stream).0, stream);
    }

    #[test]
    fn an_endless_event_passes_in_bounded_memory() {
        let mut filter = EventFilter::new("up".into(), false);
        let mut out = VecDeque::new();
        filter.push(Bytes::from_static(b"data: "), &mut out);
        for _ in 0..40 {
            filter.push(Bytes::from(vec![b'x'; 64 * 1024]), &mut out);
            assert!(filter.partial.len() <= LARGEST_EVENT_BYTES + 64 * 1024);
        }
        filter.push(Bytes::from(format!("\n\n{}", event("after"))), &mut out);
        let all: Vec<u8> = out.iter().flatten().copied().collect();
        assert_eq!(all.len(), 6 + 40 * 64 * 1024 + 2 + event("after").len());
        assert!(all.ends_with(event("after").as_bytes()));
    }
}
