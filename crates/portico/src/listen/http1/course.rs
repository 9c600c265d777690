//! Where a connection is in its requests: in a head, in a body, behind a whole request, or behind the last one that it
//! carries. Pure.

use super::fault::Fault;
use super::head::{Bounds, Framing, Head, Verdict};
use crate::types::{Chunked, Extras};

#[derive(Debug)]
pub(crate) struct Course {
    bounds: Bounds,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Head(Head),
    Length(u64),
    Chunked(Chunked),
    /// The request is whole. What comes now is the next one's.
    Behind,
    /// The request has got the connection: what comes is its own, and no HTTP.
    Open,
}

/// What was made of some bytes of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Where they lie now that belong to the body, in one piece.
    pub(crate) data: std::ops::Range<usize>,
    /// So many are done with. Less than all: the request is whole.
    pub(crate) used: usize,
}

impl Course {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, place: Place::Head(Head::default()) }
    }

    /// In a head: `bytes` is all of it so far, and perhaps what is behind it. Its length, when it is whole and good;
    /// until then all of it is wanted again, with more.
    pub(crate) fn judge(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Place::Head(head) = &mut self.place else { return Ok(None) };
        match head.judge(bytes, self.bounds)? {
            Verdict::Unfinished => Ok(None),
            Verdict::Whole { head_bytes, framing } => {
                self.place = match framing {
                    Framing::None => Place::Behind,
                    Framing::Length(length) => Place::Length(length),
                    Framing::Chunked => Place::Chunked(Chunked::new(Extras::Refused)),
                };
                Ok(Some(head_bytes))
            }
        }
    }

    /// In a body: what comes next of it.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<Passed, Fault> {
        match &mut self.place {
            Place::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                self.advance(here as u64);
                Ok(Passed { data: 0..here, used: here })
            }
            Place::Chunked(chunked) => {
                let decoded = chunked.decode(bytes);
                if let Some(rule) = decoded.broken {
                    return Err(Fault::malformed(rule));
                }
                if chunked.is_done() {
                    self.place = Place::Behind;
                }
                Ok(Passed { data: decoded.data, used: decoded.used })
            }
            Place::Open => Ok(Passed { data: 0..bytes.len(), used: bytes.len() }),
            Place::Head(_) | Place::Behind => Ok(Passed { data: 0..0, used: 0 }),
        }
    }

    /// So many bytes of a body of known length have been read.
    pub(crate) fn advance(&mut self, bytes: u64) {
        if let Place::Length(left) = &mut self.place {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                self.place = Place::Behind;
            }
        }
    }

    /// What is left of a body of known length.
    pub(crate) fn left_bytes(&self) -> Option<u64> {
        match self.place {
            Place::Length(left) => Some(left),
            _ => None,
        }
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.place, Place::Head(_))
    }

    pub(crate) fn is_behind(&self) -> bool {
        matches!(self.place, Place::Behind)
    }

    /// The whole request gets the connection.
    pub(crate) fn open(&mut self) {
        self.place = Place::Open;
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.place, Place::Open)
    }

    /// Nothing more comes over a connection that was open.
    pub(crate) fn end(&mut self) {
        self.place = Place::Behind;
    }

    /// The next request may begin.
    pub(crate) fn next(&mut self) {
        self.place = Place::Head(Head::default());
    }
}
