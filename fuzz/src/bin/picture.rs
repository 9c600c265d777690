//! A picture that is accepted is accepted again once its metadata is out, as the same picture, with nothing left to take out.

#![no_main]

use base64::Engine as _;
use libfuzzer_sys::fuzz_target;
use portico::fuzzing::picture;

const KINDS: [&str; 4] = ["png", "jpeg", "webp", "gif"];

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let data = base64::engine::general_purpose::STANDARD.encode(data);
    let url = format!("data:image/{};base64,{data}", KINDS[usize::from(*kind) % KINDS.len()]);
    let Some((width, height, frames, stripped)) = picture(&url) else { return };
    assert!(stripped.len() <= url.len() && stripped.starts_with("data:image/"));
    assert_eq!(picture(&stripped), Some((width, height, frames, stripped.clone())));
});
