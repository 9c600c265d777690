//! What is kept of a frame that came, right or wrong:
//!
//! | key | |
//! | --- | --- |
//! | `opcode`, `fin`, `rsv` | as it was sent |
//! | `masked`, `mask` | whether, and the key in hexadecimal digits |
//! | `length` | of the payload |
//! | `text` | the payload without its mask, or null where it is not UTF-8 |
//! | `code` | of a close; 1005 where it has none, null for other frames |

use serde_json::{Value, json};
use testkit::websocket::frame::{CLOSE, Frame};

pub(super) fn kept(frame: &Frame) -> Value {
    let Frame { fin, rsv, opcode, masked, mask, payload } = frame;
    let (code, text) = if *opcode == CLOSE {
        let (code, reason) = frame.close_code();
        (Some(code), Some(reason))
    } else {
        (None, String::from_utf8(payload.clone()).ok())
    };
    let mask: String = mask.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "opcode": opcode, "fin": fin, "rsv": rsv, "masked": masked, "mask": mask,
        "length": payload.len(), "text": text, "code": code,
    })
}
