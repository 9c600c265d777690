//! A stream of events on its way from the model server to the client.
//!
//! Events pass as bytes. Three things are looked for without parsing each event: the usage event that Portico itself
//! asked for (read, and taken out where the client did not want it), the value of `model` (put back to the name that
//! was asked for), and the model server's own error (replaced, because its text may name addresses and paths).
//! An event leaves when it is whole, so a client never sees half of one before a final error. Where these things
//! stand in each API's events is told by [`meaning`].

mod meaning;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use self::meaning::Meaning;
use super::Usage;
use crate::types::Dialect;

/// An event that is larger than this without an end is passed on unread: it is not one that matters here.
const LARGEST_EVENT_BYTES: usize = 1024 * 1024;

/// Of the model server's own error, so much is for the log.
const LONGEST_LOGGED_BYTES: usize = 4096;

/// Reads one stream. Bytes in, whole events out.
#[derive(Debug)]
pub(crate) struct EventFilter {
    dialect: Dialect,
    /// As the client asked for it.
    model: Arc<str>,
    /// Whether a chat's events carry another name; known from the first event that carries one.
    rename: Option<bool>,
    wants_usage: bool,
    partial: BytesMut,
    usage: Option<Usage>,
    data_events: u64,
    /// All that were seen one by one, and all pieces.
    events: u64,
    /// An event too large to hold is passing, and this is what it means; until its end nothing is looked at.
    passing: Option<Meaning>,
    done: bool,
    failed: Option<Bytes>,
}

impl EventFilter {
    pub(crate) fn new(dialect: Dialect, model: Arc<str>, wants_usage: bool) -> Self {
        Self {
            dialect,
            model,
            rename: None,
            wants_usage,
            partial: BytesMut::new(),
            usage: None,
            data_events: 0,
            events: 0,
            passing: None,
            done: false,
            failed: None,
        }
    }

    /// Takes what arrived; appends what may leave to `out`. Nothing more is read after the end or an error.
    pub(crate) fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        if self.ended() {
            return;
        }
        if self.partial.is_empty() && self.passing.is_none() && self.is_plain(&chunk) {
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
            match self.passing.take() {
                Some(meaning) => {
                    self.done = meaning == Meaning::End;
                    out.push_back(event);
                }
                None => self.event(event, out),
            }
        }
        if self.ended() {
            return;
        }
        if self.passing.is_some() {
            out.push_back(rest);
        } else if rest.len() > LARGEST_EVENT_BYTES {
            match meaning::meaning_of_large(self.dialect, &rest) {
                Meaning::Failure => self.failed = Some(rest.slice(..LONGEST_LOGGED_BYTES)),
                meaning => {
                    self.passing = Some(meaning);
                    out.push_back(rest);
                }
            }
        } else if !rest.is_empty() {
            self.partial = BytesMut::from(rest);
        }
    }

    /// How many events passed, about: a last one of Portico's own is numbered after them.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Events that carried a piece of the answer: the best count of tokens when no usage event came.
    pub(crate) fn data_events(&self) -> u64 {
        self.data_events
    }

    /// The event that ends the stream was seen.
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

    /// The common case, decided by a few searches over the chunk: whole events that hold nothing of interest.
    fn is_plain(&mut self, chunk: &Bytes) -> bool {
        // A chat's events all carry the name; of the others those that do hold a word that is searched for.
        let plain = (self.rename == Some(false) || self.dialect != Dialect::Chat)
            && chunk.ends_with(b"\n\n")
            && meaning::holds_nothing_of_interest(self.dialect, chunk);
        if plain {
            let pieces = meaning::pieces(self.dialect, chunk);
            self.data_events += pieces;
            self.events += pieces;
        }
        plain
    }

    fn event(&mut self, event: Bytes, out: &mut VecDeque<Bytes>) {
        let Some(data) = data_line(&event) else {
            out.push_back(event);
            return;
        };
        let json = &event[data.clone()];
        self.events += 1;
        match meaning::meaning(self.dialect, &event, json) {
            Meaning::News => {}
            Meaning::Piece if self.is_usage(json) && !self.wants_usage => return,
            Meaning::Piece => self.data_events += 1,
            Meaning::End => self.done = true,
            Meaning::Failure => {
                self.failed = Some(event.slice(data.start..data.end.min(data.start + LONGEST_LOGGED_BYTES)));
                return;
            }
            Meaning::Foreign => return,
        }
        if self.dialect != Dialect::Chat {
            self.is_usage(json);
        }
        match self.renamed(&event, data) {
            Some(renamed) => out.push_back(renamed),
            None => out.push_back(event),
        }
    }

    /// Reads the usage where there is one. True only for an event that carries nothing else.
    fn is_usage(&mut self, json: &[u8]) -> bool {
        let Some(usage) = meaning::usage(self.dialect, json) else { return false };
        self.usage = Some(match self.dialect {
            Dialect::Chat => usage,
            Dialect::Responses | Dialect::Messages => usage.or_more(self.usage),
        });
        meaning::is_usage_alone(self.dialect, json)
    }

    fn renamed(&mut self, event: &Bytes, data: std::ops::Range<usize>) -> Option<Bytes> {
        if self.rename == Some(false) && self.dialect == Dialect::Chat {
            return None;
        }
        let span = meaning::model(self.dialect, &event[data.clone()])?;
        let asked = serde_json::to_vec(&*self.model).ok()?;
        let span = data.start + span.start..data.start + span.end;
        let same = event[span.clone()] == asked;
        if self.rename.is_none() {
            self.rename = Some(!same);
        }
        (!same).then(|| Bytes::from([&event[..span.start], &asked, &event[span.end..]].concat()))
    }
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
mod dialects;
#[cfg(test)]
mod tests;
