//! This machine's clock against the authority's.

use std::time::Duration;

use serde::Serialize;

use super::Clock;
use super::finding::Severity;

/// Half a minute for the way and for a `Date` that is cached, and half for clocks of ordinary machines.
const TOLD_FROM: Duration = Duration::from_secs(60);
/// Let's Encrypt lets a certificate begin an hour back for clocks that are behind; beyond that it is not valid yet.
const GRAVE_FROM: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Right,
    Ahead { seconds: u64 },
    Behind { seconds: u64 },
}

pub(super) fn judge(clock: Clock) -> (Severity, Verdict) {
    let (off, verdict): (_, fn(u64) -> Verdict) = match clock.ours.duration_since(clock.theirs) {
        Ok(ahead) => (ahead, |seconds| Verdict::Ahead { seconds }),
        Err(behind) => (behind.duration(), |seconds| Verdict::Behind { seconds }),
    };
    match off {
        off if off > GRAVE_FROM => (Severity::Grave, verdict(off.as_secs())),
        off if off > TOLD_FROM => (Severity::Notice, verdict(off.as_secs())),
        _ => (Severity::Fine, Verdict::Right),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_minute_is_told_and_an_hour_is_grave_either_way() {
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (seconds, severity) in [
            (0, Severity::Fine),
            (60, Severity::Fine),
            (61, Severity::Notice),
            (3600, Severity::Notice),
            (3601, Severity::Grave),
        ] {
            let off = Duration::from_secs(seconds);
            let fine = severity == Severity::Fine;
            let ahead = if fine { Verdict::Right } else { Verdict::Ahead { seconds } };
            let behind = if fine { Verdict::Right } else { Verdict::Behind { seconds } };
            assert_eq!(judge(Clock { theirs, ours: theirs + off }), (severity, ahead), "{seconds} ahead");
            assert_eq!(judge(Clock { theirs, ours: theirs - off }), (severity, behind), "{seconds} behind");
        }
    }
}
