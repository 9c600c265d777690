//! A stream of events is read alike however it was cut, and nothing is added to it but the model's name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::events;

fuzz_target!(|data: &[u8]| {
    let [dialect, choice, data @ ..] = data else { return };
    let wants_usage = choice % 2 == 0;
    let read = |piece_bytes| {
        let (out, done, failed, tokens) = events(*dialect, data, piece_bytes, wants_usage);
        (one_empty_line(out.trim_ascii_end()), done, failed, tokens)
    };
    let whole = read(data.len());
    assert_eq!(whole, read(usize::from(choice / 2) + 1), "the cut makes a difference");
    assert_eq!(whole, read(1), "single bytes make a difference");
    let (out, ..) = whole;
    let names = out.windows(7).filter(|name| name == b"\"asked\"").count();
    assert!(out.len() <= data.len() + names * 7);
});

/// Several empty lines end an event as one does. Those around an event that is left out, and at the end, may stay or wait
/// for what follows.
fn one_empty_line(out: &[u8]) -> Vec<u8> {
    let mut was_empty = true;
    let lines = out.split_inclusive(|byte| *byte == b'\n').filter(|line| {
        let is_empty = matches!(*line, b"\n" | b"\r\n");
        !std::mem::replace(&mut was_empty, is_empty) || !is_empty
    });
    lines.flatten().copied().collect()
}
