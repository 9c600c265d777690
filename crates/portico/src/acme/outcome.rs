//! What the operator may want of a driver, and what became of it.

use tokio::sync::oneshot;

use crate::certificate::{Certificate, LastError};
use crate::types::text;

/// What the operator wants of a running driver.
#[derive(Debug)]
pub(crate) struct Wish {
    /// All of it, against a place for trying where the CA has one, and nothing is changed.
    pub(crate) dry_run: bool,
    pub(crate) answer: oneshot::Sender<Outcome>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done {
        /// The CA that has signed.
        authority: String,
        challenge: &'static str,
        certificate: Certificate,
    },
    Failed(LastError),
    /// Another process is ordering.
    Busy,
}

impl Outcome {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Outcome::Done { .. })
    }

    /// As `portico cert renew --json` says it.
    pub(crate) fn json(&self, dry_run: bool) -> serde_json::Value {
        match self {
            Outcome::Done { authority, challenge, certificate } => serde_json::json!({
                "renewed": !dry_run,
                "dry_run": dry_run,
                "authority": authority,
                "challenge": challenge,
                "certificate": certificate,
            }),
            Outcome::Failed(error) => {
                serde_json::json!({"renewed": false, "dry_run": dry_run, "error": error})
            }
            Outcome::Busy => {
                let why = text!(
                    "another process is ordering from the same site.data_dir; try again in a minute",
                    "另一个进程正在使用同一 site.data_dir 申请证书;请一分钟后再试"
                );
                serde_json::json!({"renewed": false, "dry_run": dry_run, "refused": why})
            }
        }
    }
}
