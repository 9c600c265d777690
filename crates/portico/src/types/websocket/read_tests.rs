use proptest::prelude::*;

use super::*;

const MOST: usize = 70_000;

/// What one side sent, read byte by byte: every way it can be cut is tried.
fn read(sender: Sender, wire: &[u8]) -> Result<Vec<Message>, Violation> {
    let whole = read_at_once(sender, wire);
    let mut reader = Reader::new(sender, MOST);
    let (mut input, mut messages) = (BytesMut::new(), Vec::new());
    let mut ended = Ok(());
    for byte in wire {
        input.extend_from_slice(&[*byte]);
        match reader.next(&mut input) {
            Ok(message) => messages.extend(message),
            Err(violation) => {
                ended = Err(violation);
                break;
            }
        }
    }
    let in_bytes = ended.map(|()| messages);
    assert_eq!(in_bytes, whole, "in pieces and at once");
    whole
}

fn read_at_once(sender: Sender, wire: &[u8]) -> Result<Vec<Message>, Violation> {
    let mut reader = Reader::new(sender, MOST);
    let (mut input, mut messages) = (BytesMut::from(wire), Vec::new());
    while let Some(message) = reader.next(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

fn code_of(sender: Sender, wire: &[u8]) -> Option<u16> {
    read(sender, wire).err().map(|violation| violation.code)
}

/// A client's frame under a mask of zeros.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, MASKED | u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn messages_are_put_together() {
    let wire = [
        client(TEXT, b"He"),
        client(FIN | PING, b"now?"),
        client(CONTINUATION, b""),
        client(FIN | CONTINUATION, b"llo"),
        client(FIN | PONG, b""),
        client(FIN | TEXT, b""),
        client(FIN | CLOSE, b"\x03\xe8bye"),
        client(FIN | TEXT, b"too late"),
    ]
    .concat();
    assert_eq!(
        read(Sender::Client, &wire).unwrap(),
        [
            Message::Ping(Bytes::from_static(b"now?")),
            Message::Text(Bytes::from_static(b"Hello")),
            Message::Pong,
            Message::Text(Bytes::new()),
            Message::Close(Some(1000)),
        ]
    );
}

#[test]
fn what_is_not_to_the_letter_ends_the_connection() {
    let long = |first: u8, second: u8, length: &[u8]| [&[first, second][..], length].concat();
    for (what, wire, wanted) in [
        ("no mask", b"\x81\x05Hello".to_vec(), 1002),
        ("a reserved bit", client(FIN | 0x40 | TEXT, b"x"), 1002),
        ("another", client(FIN | 0x10 | PING, b""), 1002),
        ("an unknown opcode", client(FIN | 0x3, b""), 1002),
        ("an unknown control", client(FIN | 0xb, b""), 1002),
        ("a control in fragments", client(PING, b""), 1002),
        ("a long control", long(FIN | PING, MASKED | 126, &[0, 126]), 1002),
        ("goes on without a beginning", client(FIN | CONTINUATION, b""), 1002),
        ("begins within another", [client(TEXT, b"a"), client(FIN | TEXT, b"b")].concat(), 1002),
        ("16 bits for a small length", long(FIN | TEXT, MASKED | 126, &[0, 125]), 1002),
        ("64 bits for a small length", long(FIN | TEXT, MASKED | 127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]), 1002),
        ("the top bit", long(FIN | TEXT, MASKED | 127, &[0x80, 0, 0, 0, 0, 0, 0, 0]), 1002),
        ("binary", client(FIN | BINARY, b"x"), 1003),
        ("no UTF-8", client(FIN | TEXT, b"\xff"), 1007),
        (
            "half a character at the end",
            [client(TEXT, b"\xe4\xbd"), client(FIN | CONTINUATION, b"")].concat(),
            1007,
        ),
        ("a surrogate", client(FIN | TEXT, b"\xed\xa0\x80"), 1007),
        ("a gigabyte", long(FIN | TEXT, MASKED | 127, &[0, 0, 0, 0, 0x40, 0, 0, 0]), 1009),
        ("a byte too many", long(FIN | TEXT, MASKED | 127, &[0, 0, 0, 0, 0, 1, 0x11, 0x71]), 1009),
        ("half a code", client(FIN | CLOSE, b"\x03"), 1002),
        ("no status received", client(FIN | CLOSE, b"\x03\xed"), 1002),
        ("abnormal", client(FIN | CLOSE, b"\x03\xee"), 1002),
        ("below all codes", client(FIN | CLOSE, b"\x03\xe7"), 1002),
        ("above all codes", client(FIN | CLOSE, b"\x13\x88"), 1002),
        ("a reason that is no text", client(FIN | CLOSE, b"\x03\xe8\xff"), 1007),
    ] {
        assert_eq!(code_of(Sender::Client, &wire), Some(wanted), "{what}");
    }
    assert_eq!(code_of(Sender::Server, &client(FIN | TEXT, b"x")), Some(1002), "a masked server");
    assert_eq!(read(Sender::Server, b"\x81\x05Hello"), Ok(vec![Message::Text(Bytes::from_static(b"Hello"))]));
}

#[test]
fn fragments_together_are_within_the_limit() {
    let mut reader = Reader::new(Sender::Server, 10);
    let mut input = BytesMut::from(&b"\x01\x06abcdef\x00\x04ghij"[..]);
    assert_eq!(reader.next(&mut input), Ok(None));
    assert_eq!(reader.held_bytes(), 10);
    input.extend_from_slice(b"\x00\x01");
    assert_eq!(reader.next(&mut input).unwrap_err().code, 1009);
}

#[test]
fn what_brings_no_message_is_counted() {
    let mut reader = Reader::new(Sender::Server, 10);
    let mut input = BytesMut::from(&b"\x89\x00\x8a\x00\x01\x01a\x80\x00\x81\x00"[..]);
    while let Ok(Some(_)) = reader.next(&mut input) {}
    assert_eq!(reader.small_frames(), 3);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec(".{0,40}|[a-z]{120,130}", 0..5),
        mask in prop::option::of(any::<[u8; 4]>()),
    ) {
        let sender = if mask.is_some() { Sender::Client } else { Sender::Server };
        let mut wire = Vec::new();
        for message in &messages {
            wire.extend_from_slice(&super::super::text(message.as_bytes(), mask));
        }
        wire.extend_from_slice(&super::super::close(4000, "done", mask));
        let read = read(sender, &wire).unwrap();
        let wanted = messages.into_iter().map(|message| Message::Text(message.into()));
        prop_assert_eq!(read, wanted.chain([Message::Close(Some(4000))]).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_makes_it_panic_or_grow(wire in prop::collection::vec(any::<u8>(), 0..400)) {
        for sender in [Sender::Client, Sender::Server] {
            let mut reader = Reader::new(sender, 64);
            let mut input = BytesMut::from(&wire[..]);
            while let Ok(Some(_)) = reader.next(&mut input) {}
            prop_assert!(reader.held_bytes() <= 64);
        }
    }
}
