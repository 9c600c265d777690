//! An answer of a model server that is accepted is the one that httparse sees, with the same end however it was cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::answer;

fuzz_target!(|data: &[u8]| {
    let Some((piece_bytes, data)) = data.split_first() else { return };
    let whole = answer(data, data.len());
    let in_pieces = answer(data, usize::from(*piece_bytes) + 1);
    let Some(mut whole) = whole else { return assert!(in_pieces.is_none_or(|answer| answer.is_broken)) };
    let mut in_pieces = in_pieces.expect("the cut makes a difference");
    // How much of a broken body was read before, and what came behind an end, depends on the reads.
    for answer in [&mut whole, &mut in_pieces] {
        answer.has_surplus &= !answer.is_broken;
    }
    assert_eq!(whole, in_pieces, "the cut makes a difference");
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut at = 0;
    // Behind informational heads.
    let status = loop {
        let mut response = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = response.parse(&data[at..]) else { panic!("no head") };
        at += length;
        match response.code {
            Some(100..=199) => {}
            other => break other,
        }
    };
    assert_eq!((status, at), (Some(whole.status), whole.head_bytes));
    assert!(whole.body.len() <= data.len() - whole.head_bytes);
    assert!(!data[..at].windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'), "a lone line feed");
    if !whole.is_chunked {
        assert_eq!(whole.body, data[at..][..whole.body.len()]);
    }
});
