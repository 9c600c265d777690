//! Where a connection is in its requests: in a head, in a body, or behind a whole request. Pure.

use super::chunks::Chunks;
use super::fault::Fault;
use super::head::{Bounds, Framing, Head, Verdict};

#[derive(Debug)]
pub(crate) struct Course {
    bounds: Bounds,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Head(Head),
    Length(u64),
    Chunks(Chunks),
    /// The request is whole. What comes now is the next one's.
    Behind,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A head that is not whole: nothing of it passes. All of it is wanted again, with more.
    Unfinished,
    /// So many bytes are part of the request, and judged. Less than all: the request is whole.
    Passed(usize),
}

impl Course {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, place: Place::Head(Head::default()) }
    }

    /// In a head, `bytes` is all of it so far; in a body, what comes next.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        let mut passed = 0;
        if let Place::Head(head) = &mut self.place {
            match head.judge(bytes, self.bounds)? {
                Verdict::Unfinished => return Ok(Step::Unfinished),
                Verdict::Whole { head_bytes, framing } => {
                    passed = head_bytes;
                    self.place = match framing {
                        Framing::None => Place::Behind,
                        Framing::Length(length) => Place::Length(length),
                        Framing::Chunked => Place::Chunks(Chunks::default()),
                    };
                }
            }
        }
        let rest = &bytes[passed..];
        match &mut self.place {
            Place::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= here as u64;
                passed += here;
                if *left == 0 {
                    self.place = Place::Behind;
                }
            }
            Place::Chunks(chunks) => {
                passed += chunks.follow(rest)?;
                if chunks.is_done() {
                    self.place = Place::Behind;
                }
            }
            Place::Head(_) | Place::Behind => {}
        }
        Ok(Step::Passed(passed))
    }

    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.place, Place::Head(_))
    }

    pub(crate) fn is_behind(&self) -> bool {
        matches!(self.place, Place::Behind)
    }

    /// The next request may begin.
    pub(crate) fn next(&mut self) {
        self.place = Place::Head(Head::default());
    }
}
