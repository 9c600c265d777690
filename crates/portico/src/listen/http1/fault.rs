//! What was wrong with bytes that were to be a request.

use crate::reason::{Reason, Refusal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    /// For the operator's log.
    pub(crate) rule: &'static str,
}

impl Fault {
    pub(super) const fn malformed(rule: &'static str) -> Self {
        Self::of(Reason::MalformedRequest, rule)
    }

    pub(super) const fn of(reason: Reason, rule: &'static str) -> Self {
        Self { reason, rule }
    }

    pub(crate) fn refusal(self) -> Refusal {
        Refusal::new(self.reason).because(self.rule)
    }
}
