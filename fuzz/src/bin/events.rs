//! A stream of events is read alike however it was cut, and nothing is added to it but the model's name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::events;

fuzz_target!(|data: &[u8]| {
    let [dialect, choice, data @ ..] = data else { return };
    let wants_usage = choice % 2 == 0;
    // Of several empty lines at the end, some may wait for what follows.
    let read = |piece_bytes| {
        let (mut out, done, failed, tokens) = events(*dialect, data, piece_bytes, wants_usage);
        out.truncate(out.trim_ascii_end().len());
        (out, done, failed, tokens)
    };
    let whole = read(data.len());
    assert_eq!(whole, read(usize::from(choice / 2) + 1), "the cut makes a difference");
    assert_eq!(whole, read(1), "single bytes make a difference");
    let (out, ..) = whole;
    let names = out.windows(7).filter(|name| name == b"\"asked\"").count();
    assert!(out.len() <= data.len() + names * 7);
});
