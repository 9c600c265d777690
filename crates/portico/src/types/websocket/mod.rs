//! WebSocket (RFC 6455), as far as Portico speaks it: text messages, and the frames that keep a connection. Pure.
//!
//! Where the RFC leaves a reader room, there is none here: what is not to the letter ends the connection. Messages are
//! put together and written anew in one frame, so nobody's framing reaches the other side.

mod frame;
mod handshake;
mod read;

pub(crate) use frame::{Mask, close, ping, pong, text};
pub(crate) use handshake::{accept, is_key};
pub(crate) use read::{Message, Reader, Sender, Violation};

/// Why a connection is closed (RFC 6455 section 7.4.1).
pub(crate) mod code {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const GOING_AWAY: u16 = 1001;
    pub(crate) const PROTOCOL_ERROR: u16 = 1002;
    pub(crate) const UNSUPPORTED_DATA: u16 = 1003;
    pub(crate) const NOT_UTF8: u16 = 1007;
    pub(crate) const POLICY_VIOLATION: u16 = 1008;
    pub(crate) const TOO_LARGE: u16 = 1009;
    pub(crate) const INTERNAL_ERROR: u16 = 1011;
}

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

/// A frame that is no part of a message carries at most so much (section 5.5).
const LONGEST_CONTROL_BYTES: usize = 125;
