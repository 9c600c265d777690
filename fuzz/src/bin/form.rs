//! A form that is accepted is written anew alike however it was cut, and what is written is a form that says the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::form;

fuzz_target!(|data: &[u8]| {
    let Some((piece_bytes, data)) = data.split_first() else { return };
    let whole = form("b", data, data.len());
    let in_pieces = form("b", data, usize::from(*piece_bytes) + 1);
    assert_eq!(whole, in_pieces, "the cut makes a difference");
    let Some(sent) = whole else { return };
    // Clients can't know the boundary, but here it is no secret.
    if data.windows(12).any(|part| part == b"portico-ours") {
        return;
    }
    let again = form("portico-ours", &sent, sent.len());
    assert!(again.as_deref() == Some(&sent[..]), "{}", String::from_utf8_lossy(&sent));
});
