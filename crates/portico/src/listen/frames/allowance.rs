//! What a client may send over HTTP/2 that asks for nothing. Pure: the time is given.
//!
//! h2 bounds the memory that such frames take, not how many come: each costs a parse, some an answer, a reset a request
//! that reaches the model server and is thrown away there (Rapid Reset, CVE-2023-44487).

use super::scan::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use crate::sys::bucket::{Bucket, Rate};
use crate::sys::clock::Instant;

/// Requests that a client may take back: a hundred at once, as when a page with all its streams is closed, then ten a
/// second.
const RESETS: Rate = Rate { at_once: 100.0, per_second: 10.0 };
/// `PING`, `SETTINGS`, `PRIORITY`, empty `DATA` and whatever else is no request, no body and no window. Clients that
/// measure the way ping once a round trip.
const IDLE: Rate = Rate { at_once: 300.0, per_second: 50.0 };
/// Windows are opened as answers are read: more often, and cheaper.
const WINDOWS: Rate = Rate { at_once: 5_000.0, per_second: 2_000.0 };
/// One head, in so many frames behind the first: at 16 KiB each they are far more than a head may have.
const CONTINUATIONS: u32 = 8;

/// What is left of a connection's allowance.
#[derive(Debug)]
pub(crate) struct Allowance {
    has_settings: bool,
    resets: Bucket,
    idle: Bucket,
    windows: Bucket,
    /// Of the head that is open, its bytes and the frames behind its first.
    head: Option<(usize, u32)>,
    longest_head_bytes: usize,
    last_stream: u32,
    opened: u64,
}

/// What there was too much of, or what should not have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flood(pub(crate) &'static str);

fn take(bucket: &mut Bucket, now: Instant, what: &'static str) -> Result<(), Flood> {
    if bucket.take(now) { Ok(()) } else { Err(Flood(what)) }
}

impl Allowance {
    /// `longest_head_bytes`: of a head as it is on the wire, compressed.
    pub(crate) fn new(longest_head_bytes: usize, now: Instant) -> Self {
        Self {
            has_settings: false,
            resets: Bucket::new(RESETS, now),
            idle: Bucket::new(IDLE, now),
            windows: Bucket::new(WINDOWS, now),
            head: None,
            longest_head_bytes,
            last_stream: 0,
            opened: 0,
        }
    }

    pub(crate) fn take(&mut self, frame: Frame, now: Instant) -> Result<(), Flood> {
        // RFC 9113 section 3.4; h2 would serve a request that comes first.
        if !std::mem::replace(&mut self.has_settings, true)
            && (frame.kind != SETTINGS || frame.flags & ACK != 0)
        {
            return Err(Flood("HTTP/2: the preface does not end with SETTINGS"));
        }
        match frame.kind {
            HEADERS => {
                if frame.stream > self.last_stream {
                    self.last_stream = frame.stream;
                    self.opened += 1;
                }
                self.head_part(frame, 0)
            }
            CONTINUATION => match self.head {
                Some((_, parts)) => self.head_part(frame, parts + 1),
                // Nothing is open: h2 ends the connection.
                None => Ok(()),
            },
            RST_STREAM => take(&mut self.resets, now, "HTTP/2: too many streams were reset"),
            WINDOW_UPDATE => take(&mut self.windows, now, "HTTP/2: too many windows were opened"),
            DATA if frame.length_bytes > 0 || frame.flags & END_STREAM != 0 => Ok(()),
            _ => take(&mut self.idle, now, "HTTP/2: too many frames that ask for nothing"),
        }
    }

    fn head_part(&mut self, frame: Frame, parts: u32) -> Result<(), Flood> {
        let before_bytes = if parts == 0 { 0 } else { self.head.map_or(0, |(bytes, _)| bytes) };
        let bytes = before_bytes + frame.length_bytes as usize;
        if bytes > self.longest_head_bytes || parts > CONTINUATIONS {
            return Err(Flood("HTTP/2: a head without an end"));
        }
        self.head = (frame.flags & END_HEADERS == 0).then_some((bytes, parts));
        Ok(())
    }

    /// Streams that the client has opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, length_bytes: u32, flags: u8, stream: u32) -> Frame {
        Frame { length_bytes, kind, flags, stream }
    }

    /// Behind the first `SETTINGS`.
    fn greeted(now: Instant) -> Allowance {
        Allowance { has_settings: true, ..Allowance::new(40_000, now) }
    }

    #[test]
    fn settings_come_first() {
        let now = Instant::now();
        let first = |frame| Allowance::new(40_000, now).take(frame, now).is_ok();
        assert!(first(frame(SETTINGS, 0, 0, 0)));
        assert!(!first(frame(SETTINGS, 0, ACK, 0)));
        assert!(!first(frame(HEADERS, 10, END_HEADERS, 1)));
        assert!(!first(frame(6, 8, 0, 0)));
    }

    /// How many such frames pass at once.
    fn passed(frame: Frame, allowance: &mut Allowance, now: Instant) -> usize {
        (0..10_000).take_while(|_| allowance.take(frame, now).is_ok()).count()
    }

    #[test]
    fn each_kind_has_its_allowance_and_earns_it_back() {
        let now = Instant::now();
        let fresh = || greeted(now);
        let ping = frame(6, 8, 0, 0);
        for (frame, wanted) in [
            (frame(RST_STREAM, 4, 0, 1), 100),
            (ping, 300),
            (frame(4, 0, 0, 0), 300),
            (frame(2, 5, 0, 1), 300),
            (frame(DATA, 0, 0, 1), 300),
            (frame(0xbe, 0, 0, 1), 300),
            (frame(WINDOW_UPDATE, 4, 0, 1), 5_000),
            (frame(DATA, 1, 0, 1), 10_000),
            (frame(DATA, 0, END_STREAM, 1), 10_000),
        ] {
            assert_eq!(passed(frame, &mut fresh(), now), wanted, "{frame:?}");
        }
        let mut spent = fresh();
        passed(ping, &mut spent, now);
        assert_eq!(passed(ping, &mut spent, now + Duration::from_secs(2)), 100);
        assert_eq!(passed(ping, &mut spent, now + Duration::from_secs(100)), 300, "and no more");
    }

    #[test]
    fn a_head_has_an_end() {
        let now = Instant::now();
        let mut allowance = greeted(now);
        assert!(allowance.take(frame(HEADERS, 16_000, 0, 1), now).is_ok());
        assert_eq!(passed(frame(CONTINUATION, 0, 0, 1), &mut allowance, now), 8);
        let mut allowance = greeted(now);
        assert!(allowance.take(frame(HEADERS, 16_000, 0, 1), now).is_ok());
        assert_eq!(passed(frame(CONTINUATION, 16_000, 0, 1), &mut allowance, now), 1, "by its bytes");
        let mut allowance = greeted(now);
        for stream in [1, 3, 5, 5] {
            assert!(allowance.take(frame(HEADERS, 30_000, END_HEADERS, stream), now).is_ok());
        }
        assert_eq!(allowance.opened(), 3, "a stream has one head; what comes again are trailers");
    }
}
