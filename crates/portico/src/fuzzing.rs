//! The pure readers of foreign bytes, for the targets in `fuzz/`, which is a workspace of its own. Behind the feature
//! `fuzzing`, and no part of the product.

use crate::config::Limits;
use crate::front;
use crate::listen::{Bounds, Course};

const LIMITS: Limits = Limits {
    body_bytes: 64 << 20,
    body_total_bytes: 1 << 30,
    header_bytes: 2048,
    header_count: 20,
    target_bytes: 512,
    json_depth: 64,
};

/// What the gate in front of HTTP/1 makes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gated {
    Refused,
    Unfinished,
    /// So many bytes are one request, or as much of it as is there.
    Passed {
        bytes: usize,
        is_whole: bool,
    },
}

/// The first request of `bytes`, read in pieces of so many bytes.
#[must_use]
pub fn gate(bytes: &[u8], piece_bytes: usize) -> Gated {
    let mut course = Course::new(Bounds::new(&LIMITS));
    let (mut judged_to, mut read_to) = (0, 0);
    while read_to < bytes.len() && !course.is_behind() {
        read_to = (read_to + piece_bytes.max(1)).min(bytes.len());
        if course.is_in_head() {
            match course.judge(&bytes[..read_to]) {
                Ok(None) => continue,
                Ok(Some(head_bytes)) => judged_to = head_bytes,
                Err(_) => return Gated::Refused,
            }
        }
        match course.decode(&mut bytes[judged_to..read_to].to_vec()) {
            Ok(passed) => judged_to += passed.used,
            Err(_) => return Gated::Refused,
        }
    }
    match course.is_in_head() {
        true => Gated::Unfinished,
        false => Gated::Passed { bytes: judged_to, is_whole: course.is_behind() },
    }
}

/// The path and the host, without its port, that a request is for; nothing where it is refused.
#[must_use]
pub fn target(request: http::Request<()>) -> Option<(String, Option<String>)> {
    let (parts, ()) = request.into_parts();
    let target = front::target(&parts, &LIMITS)?;
    Some((target.0.to_owned(), target.1.map(str::to_owned)))
}
