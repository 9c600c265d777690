//! A stream of events is read alike however it was cut, and nothing is added to it but the model's name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::events;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let wants_usage = choice % 2 == 0;
    let whole = events(data, data.len(), wants_usage);
    assert_eq!(whole, events(data, usize::from(choice / 2) + 1, wants_usage), "the cut makes a difference");
    assert_eq!(whole, events(data, 1, wants_usage), "single bytes make a difference");
    let (out, ..) = whole;
    let names = out.windows(7).filter(|name| name == b"\"asked\"").count();
    assert!(out.len() <= data.len() + names * 7);
});
