//! Why a picture may not pass.

use super::kind::Kind;
use crate::types::{Text, text};

/// One rule that a picture broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// A word for logs and tests.
    pub(crate) rule: &'static str,
    /// For the client. It quotes nothing of the picture but numbers.
    pub(crate) says: Text,
}

impl Fault {
    pub(super) const fn new(rule: &'static str, says: Text) -> Self {
        Self { rule, says }
    }

    /// The file ends before its format's end mark, or a length in it points behind its end.
    pub(super) fn truncated(kind: Kind) -> Self {
        let name = kind.name();
        Self::new(
            "truncated",
            text!("The {name} is cut off: send the whole file.", "{name} 图片不完整:请发送完整的文件。"),
        )
    }

    /// Two readers may see different pictures in it, or none.
    pub(super) fn damaged(kind: Kind, rule: &'static str, what: Text) -> Self {
        let (name, en, zh) = (kind.name(), what.en, what.zh);
        Self::new(
            rule,
            text!(
                "The {name} is damaged or made to mislead: {en}. Save it anew as PNG or JPEG.",
                "{name} 图片已损坏或经过伪造:{zh}。请重新另存为 PNG 或 JPEG。"
            ),
        )
    }

    /// A picture, but of a sort that model servers don't read alike.
    pub(super) fn unusual(kind: Kind, rule: &'static str, what: Text) -> Self {
        let (name, en, zh) = (kind.name(), what.en, what.zh);
        Self::new(
            rule,
            text!(
                "This sort of {name} is not accepted ({en}). Save it as an ordinary PNG or JPEG.",
                "不接受这种 {name}({zh})。请另存为普通的 PNG 或 JPEG。"
            ),
        )
    }
}
