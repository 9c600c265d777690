//! What all bodies together may take of the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::reason::{Reason, Refusal};

/// Bytes of all bodies being held, across all threads. A request takes its share as it grows and gives it back when
/// its [`BudgetGuard`] is dropped.
#[derive(Debug, Default)]
pub(crate) struct BodyBudget {
    held_bytes: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct BudgetGuard {
    budget: Arc<BodyBudget>,
    bytes: u64,
}

#[cfg(test)]
impl BodyBudget {
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

impl BudgetGuard {
    pub(crate) fn new(budget: Arc<BodyBudget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// So many bytes are held now, more or fewer than before.
    pub(crate) fn hold(&mut self, bytes: u64, total: u64) -> Result<(), Refusal> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => Ok(()),
            Some(more) => self.take(more, total),
            None => {
                let less = self.bytes - bytes;
                self.bytes = bytes;
                self.budget.held_bytes.fetch_sub(less, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    pub(crate) fn hold_at_least(&mut self, bytes: u64, total: u64) -> Result<(), Refusal> {
        self.take(bytes.saturating_sub(self.bytes), total)
    }

    /// `total`: what all requests together may hold.
    pub(crate) fn take(&mut self, bytes: u64, total: u64) -> Result<(), Refusal> {
        let grown = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= total);
        match self.budget.held_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(held) => Err(Refusal::new(Reason::ServerBusy)
                .because(format!("limits.body_total: {held} bytes are held, {bytes} more were needed"))),
        }
    }
}

impl Drop for BudgetGuard {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
