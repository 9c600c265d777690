//! Messages that are accepted are those that tungstenite reads, and an event says to the model server what it said here.

#![no_main]

use std::io::{self, Cursor, Read, Write};

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::{Framed, frames, realtime_event};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let from_client = choice % 2 == 0;
    let at_once = frames(data, data.len(), from_client);
    let in_pieces = frames(data, usize::from(choice / 2) + 1, from_client);
    assert_eq!(at_once, in_pieces, "the cut makes a difference");
    let (messages, _) = at_once;
    other_reader(data, from_client, &messages);
    // Frames are hard to come by; the events in them are read for themselves, too.
    event(data);
    for message in &messages {
        if let Framed::Text(text) = message {
            event(text);
        }
    }
});

/// The bytes of one side; what is answered is thrown away.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn other_reader(data: &[u8], from_client: bool, messages: &[Framed]) {
    let role = if from_client { Role::Server } else { Role::Client };
    let config = WebSocketConfig::default().max_message_size(Some(1 << 16)).max_frame_size(Some(1 << 16));
    let mut other = WebSocket::from_raw_socket(Wire(Cursor::new(data)), role, Some(config));
    for message in messages {
        let theirs = other.read().expect("what is accepted here is a message everywhere");
        let theirs = match theirs {
            Message::Text(text) => Framed::Text(text.as_bytes().to_vec()),
            Message::Ping(payload) => Framed::Ping(payload.to_vec()),
            Message::Pong(_) => Framed::Pong,
            Message::Close(frame) => Framed::Close(frame.map(|frame| frame.code.into())),
            other => panic!("{other:?}"),
        };
        assert_eq!(*message, theirs);
    }
}

fn event(message: &[u8]) {
    let Some(written) = realtime_event(message) else { return };
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON");
    let (sent, written) = (read(message), read(&written));
    assert_eq!(sent["type"], written["type"]);
    for (key, value) in written.as_object().expect("an object") {
        match key.as_str() {
            "model" => assert_eq!(value, "upstream"),
            _ => assert_eq!(*value, sent[key], "{key}"),
        }
    }
}
