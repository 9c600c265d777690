//! One side's bytes on their way to messages.

use bytes::BytesMut;

use crate::sys::bucket::{Bucket, Rate};
use crate::sys::clock::Instant;
use crate::types::websocket::{Message, Reader, Sender, Violation, code};

/// Frames that bring no message, and messages that are refused: browsers send none of the first and nobody honest many
/// of the second.
const IDLE_FRAMES: Rate = Rate { at_once: 300.0, per_second: 20.0 };

pub(super) struct Side {
    reader: Reader,
    pub(super) input: BytesMut,
    idle: Bucket,
    counted: u64,
}

impl Side {
    pub(super) fn new(sender: Sender, longest_message_bytes: usize) -> Self {
        Self {
            reader: Reader::new(sender, longest_message_bytes),
            input: BytesMut::new(),
            idle: Bucket::new(IDLE_FRAMES, Instant::now()),
            counted: 0,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Message>, Violation> {
        let message = self.reader.next(&mut self.input);
        if self.input.is_empty() {
            // A session lasts; the place of its largest message need not.
            self.input = BytesMut::new();
        }
        while self.counted < self.reader.small_frames() {
            self.counted += 1;
            self.one_more("too many frames that bring no message")?;
        }
        message
    }

    /// Another thing that there should not be many of.
    pub(super) fn one_more(&mut self, rule: &'static str) -> Result<(), Violation> {
        match self.idle.take(Instant::now()) {
            true => Ok(()),
            false => Err(Violation { code: code::POLICY_VIOLATION, rule }),
        }
    }

    /// A message is held once as it comes and once as it leaves.
    pub(super) fn held_bytes(&self) -> u64 {
        2 * (self.input.len() + self.reader.held_bytes()) as u64
    }
}
