//! An HTTP/2 client that sends exactly the frames it is given, right or wrong, and shows what comes back.
//!
//! Heads are written by [`Block`] without a table, so that any field can be sent, and one byte can stand for a long one.
//! Of an answer's head only the status is read: the client asks for a table of no size, and digits are few.

use std::{collections::BTreeMap, io, time::Duration};

use crate::{client::Connection, net::Address, wait::SOON};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame as it goes over the wire. The length is that of the payload.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[must_use]
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()))
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A head, compressed by nothing but what the caller asks for.
#[derive(Clone, Debug, Default)]
pub struct Block(pub Vec<u8>);

impl Block {
    /// A plain request's pseudo fields.
    #[must_use]
    pub fn request(method: &str, path: &str) -> Self {
        let fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")];
        fields.into_iter().fold(Self::default(), |block, (name, value)| block.field(name, value))
    }

    /// A field as a literal that goes into no table.
    #[must_use]
    pub fn field(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.literal(0x10, name.as_ref(), value.as_ref())
    }

    /// A field that goes into the table, where [`Block::again`] finds it.
    #[must_use]
    pub fn remembered(self, name: &str, value: &str) -> Self {
        self.literal(0x40, name.as_bytes(), value.as_bytes())
    }

    /// The field that was remembered last, once more, in one byte.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.0.push(0x80 | 62);
        self
    }

    fn literal(mut self, first: u8, name: &[u8], value: &[u8]) -> Self {
        self.0.push(first);
        for text in [name, value] {
            self.integer(text.len());
            self.0.extend(text);
        }
        self
    }

    /// With a prefix of seven bits (RFC 7541 section 5.1).
    fn integer(&mut self, value: usize) {
        let byte = |value: usize| u8::try_from(value).unwrap_or(0);
        if value < 127 {
            return self.0.push(byte(value));
        }
        self.0.push(127);
        let mut rest = value - 127;
        while rest >= 128 {
            self.0.push(byte(rest % 128) | 128);
            rest /= 128;
        }
        self.0.push(byte(rest));
    }

    /// As one `HEADERS` frame.
    #[must_use]
    pub fn headers(&self, stream: u32, flags: u8) -> Vec<u8> {
        frame(HEADERS, flags | END_HEADERS, stream, &self.0)
    }
}

/// What came back on one stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    pub status: Option<u16>,
    pub body: Vec<u8>,
    pub ended: bool,
    /// The code it was reset with.
    pub reset: Option<u32>,
}

/// One connection.
pub struct Http2 {
    connection: Connection,
    buffer: Vec<u8>,
    streams: BTreeMap<u32, Stream>,
    pub goaway: Option<u32>,
    pub pongs: usize,
    pub closed: bool,
}

impl Http2 {
    /// Says hello, and asks for heads that need no table.
    pub async fn open(address: &Address) -> Self {
        let mut client = Self::without_hello(address).await;
        let hello = [PREFACE, &settings(&[(1, 0)])].concat();
        client.send(&hello).await;
        client
    }

    pub async fn without_hello(address: &Address) -> Self {
        let connection = Connection::open(address).await;
        Self {
            connection,
            buffer: Vec::new(),
            streams: BTreeMap::new(),
            goaway: None,
            pongs: 0,
            closed: false,
        }
    }

    /// Bytes as they are. That the server has gone is seen when reading.
    pub async fn send(&mut self, bytes: &[u8]) {
        if self.connection.send(bytes).await.is_err() {
            self.closed = true;
        }
    }

    pub async fn shutdown_write(&mut self) -> io::Result<()> {
        self.connection.shutdown_write().await
    }

    #[must_use]
    pub fn stream(&self, stream: u32) -> Stream {
        self.streams.get(&stream).cloned().unwrap_or_default()
    }

    /// Reads until `enough`, the close, or the deadline. Settings are acknowledged, pings are answered.
    pub async fn read_until(&mut self, deadline: Duration, enough: impl Fn(&Self) -> bool) -> bool {
        let began = std::time::Instant::now();
        while !enough(self) {
            let left = deadline.saturating_sub(began.elapsed());
            if self.closed || left.is_zero() {
                return enough(self);
            }
            self.connection.set_deadline(left);
            match self.connection.read().await {
                Ok(bytes) if bytes.is_empty() => self.closed = true,
                Ok(bytes) => {
                    self.buffer.extend(bytes);
                    while self.take_frame().await {}
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(_) => self.closed = true,
            }
        }
        true
    }

    /// The end of a stream's answer.
    pub async fn answer(&mut self, stream: u32) -> Stream {
        self.read_until(SOON, |client| {
            let stream = client.stream(stream);
            stream.ended || stream.reset.is_some()
        })
        .await;
        self.stream(stream)
    }

    async fn take_frame(&mut self) -> bool {
        let Some(header) = self.buffer.first_chunk::<9>() else { return false };
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *header;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        if self.buffer.len() < 9 + length {
            return false;
        }
        let payload: Vec<u8> = self.buffer.drain(..9 + length).skip(9).collect();
        let code = |at: usize| {
            payload.get(at..at + 4).map(|code| code.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
        };
        match kind {
            DATA | HEADERS => {
                let answer = self.streams.entry(stream).or_default();
                if kind == DATA {
                    answer.body.extend(&payload);
                } else {
                    answer.status = status(&payload);
                }
                // 1xx is not the answer yet.
                answer.ended |= flags & END_STREAM != 0;
            }
            RST_STREAM => self.streams.entry(stream).or_default().reset = code(0),
            GOAWAY => self.goaway = code(4),
            SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, 0, &[])).await,
            PING if flags & ACK == 0 => self.send(&frame(PING, ACK, 0, &payload)).await,
            PING => self.pongs += 1,
            _ => {}
        }
        true
    }
}

/// `:status` comes first, behind perhaps the new size of the table.
fn status(block: &[u8]) -> Option<u16> {
    let mut block = block;
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match *block.first()? {
        known @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500].get(usize::from(known - 0x88)).copied(),
        0x08 | 0x18 | 0x48 => {
            let length = *block.get(1)?;
            let text = block.get(2..2 + usize::from(length & 0x7f))?;
            let digits = if length & 0x80 == 0 { text.to_vec() } else { digits(text) };
            String::from_utf8(digits).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// Digits in Huffman's code: 0 to 2 have five bits, the others six.
fn digits(text: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u8, |number, bit| number << 1 | bit);
    let (mut at, mut digits) = (0, Vec::new());
    while at + 5 <= bits.len() && digits.len() < 3 {
        let five = number(&bits[at..at + 5]);
        if five <= 2 {
            digits.push(b'0' + five);
            at += 5;
        } else {
            let Some(six) = bits.get(at..at + 6).map(number) else { break };
            digits.push(b'3'.wrapping_add(six.wrapping_sub(0b01_1001)));
            at += 6;
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_however_it_is_written() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8d]), Some(404));
        assert_eq!(status(&[0x08, 3, b'4', b'3', b'1']), Some(431));
        // 421: 011010 00010 00001.
        assert_eq!(status(&[0x48, 0x82, 0b0110_1000, 0b0100_0001]), Some(421));
    }

    #[test]
    fn long_fields_have_their_lengths_in_several_bytes() {
        let block = Block::default().field("x", "y".repeat(127 + 300));
        assert_eq!(block.0[..5], [0x10, 1, b'x', 127, 0xac]);
        assert_eq!(block.0[5], 2);
    }
}
