//! One question over UDP (RFC 1035), as a client of a name server asks it.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A = 1,
    Txt = 16,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 0: no error, 2: `SERVFAIL`, 3: `NXDOMAIN`, 5: refused.
    pub code: u8,
    /// The answers of the kind that was asked for: addresses, or texts with their strings joined.
    pub answers: Vec<String>,
}

const DEADLINE: Duration = Duration::from_secs(2);
const HEAD_BYTES: usize = 12;

/// Asks `server` for `name`, without recursion. It is asked once: what is lost is `TimedOut`.
pub async fn ask(server: SocketAddr, name: &str, kind: Kind) -> io::Result<Reply> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    // The socket is new and connected: only the server's own answer comes in, so the identifier may be any.
    let mut message = vec![0x70, 0x74, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        message.push(u8::try_from(label.len()).map_err(io::Error::other)?);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, kind as u8, 0, 1]);
    socket.send(&message).await?;
    let mut reply = vec![0; 4096];
    let length = timeout(DEADLINE, socket.recv(&mut reply))
        .await
        .map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
    reply.truncate(length);
    read(&reply, message.len(), kind).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "no reply of DNS"))
}

/// `records_at`: behind the question, which comes back as it was sent.
fn read(reply: &[u8], records_at: usize, kind: Kind) -> Option<Reply> {
    let code = reply.get(3)? & 0x0f;
    let count = usize::from(number(reply, 6)?);
    let mut at = records_at.max(HEAD_BYTES);
    let mut answers = Vec::new();
    for _ in 0..count {
        at = behind_name(reply, at)?;
        let length = usize::from(number(reply, at + 8)?);
        let data = reply.get(at + 10..at + 10 + length)?;
        if number(reply, at)? == kind as u16 {
            answers.push(match kind {
                Kind::A => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).to_string())?,
                Kind::Txt => joined(data)?,
            });
        }
        at += 10 + length;
    }
    Some(Reply { code, answers })
}

/// Names of records are passed over: labels up to the empty one, or up to a pointer.
fn behind_name(reply: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match reply.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 != 0 => return Some(at + 2),
            length => at += 1 + usize::from(*length),
        }
    }
}

fn joined(mut data: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (part, behind) = rest.split_at_checked(usize::from(*length))?;
        text.extend(part);
        data = behind;
    }
    String::from_utf8(text).ok()
}

fn number(reply: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*reply.get(at)?, *reply.get(at + 1)?]))
}
