//! Why a certificate authority refused, by what was seen from here and by its own words.

use super::block;
use super::caa;
use super::finding::{Door, Finding, Heard, Pointing, Severity, What};
use super::text;
use crate::config::Challenge;
use crate::types::Text;

/// What the authority said (RFC 8555, 6.7).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    /// `urn:ietf:params:acme:error:connection`, with or without what stands before the last word.
    pub(crate) kind: &'a str,
    /// Its own words; may be empty.
    pub(crate) detail: &'a str,
    /// The name it is about, where that is known.
    pub(crate) name: Option<&'a str>,
    /// The challenge that was tried; `Auto` where it is not known.
    pub(crate) challenge: Challenge,
}

/// The likeliest reason; `None` where nothing that was found has to do with it.
pub(crate) fn explain(refused: Refused<'_>, findings: &[Finding]) -> Option<Text> {
    let kind = refused.kind.rsplit(':').next().unwrap_or_default();
    // The authority saw what can't be seen from here.
    if matches!(kind, "unauthorized" | "connection" | "incorrectResponse")
        && block::is_named_in(refused.detail)
    {
        return Some(text::filing_block(refused.name.unwrap_or_default()));
    }
    let about = |finding: &&Finding| {
        finding.severity > Severity::Fine
            && refused.name.is_none_or(|name| finding.name.is_empty() || finding.name == name)
    };
    let ranked = findings
        .iter()
        .filter(about)
        .filter_map(|finding| Some((rank(kind, refused.challenge, finding)?, finding)));
    // Of equals the graver one, and of those the first.
    let likeliest = ranked.min_by_key(|(rank, finding)| (*rank, std::cmp::Reverse(finding.severity)));
    likeliest.map(|(_, finding)| finding.text())
}

/// The lower, the likelier; `None`: has nothing to do with it.
fn rank(kind: &str, challenge: Challenge, finding: &Finding) -> Option<u8> {
    let by_connection = challenge != Challenge::Dns01;
    match (kind, &finding.what) {
        ("caa", What::Caa(verdict)) => {
            Some(if matches!(verdict, caa::Verdict::Failed { .. }) { 1 } else { 0 })
        }
        // Let's Encrypt calls a CAA lookup that fails a problem of the DNS.
        ("dns", What::Caa(caa::Verdict::Failed { .. })) => Some(4),
        ("dns", What::Name(pointing)) => by_dns(pointing).filter(|_| by_connection),
        ("rejectedIdentifier", What::Name(Pointing::Inside { .. })) => Some(0),
        ("connection" | "unauthorized" | "incorrectResponse" | "tls", What::Name(pointing))
            if by_connection =>
        {
            by_pointing(pointing)
        }
        ("connection" | "unauthorized" | "incorrectResponse" | "tls", What::Port(knock))
            if is_used(challenge, knock.door) =>
        {
            by_answer(kind, &knock.heard)
        }
        ("tls", What::Clock(_)) => Some(9),
        _ => None,
    }
}

fn by_dns(pointing: &Pointing) -> Option<u8> {
    match pointing {
        Pointing::NoSuchName { .. } => Some(0),
        Pointing::LookupFailed { .. } => Some(1),
        Pointing::NoAddress { .. } => Some(2),
        // "No valid A records": private ones don't count.
        Pointing::Inside { .. } => Some(3),
        Pointing::Here { .. }
        | Pointing::Through { .. }
        | Pointing::Elsewhere { .. }
        | Pointing::StrayIpv6 { .. } => None,
    }
}

/// A wrong IPv6 address explains everything that follows, so it stands before what was met there.
fn by_pointing(pointing: &Pointing) -> Option<u8> {
    match pointing {
        Pointing::StrayIpv6 { .. } => Some(1),
        Pointing::Inside { .. } => Some(2),
        Pointing::Elsewhere { .. } => Some(6),
        Pointing::LookupFailed { .. } => Some(8),
        Pointing::Here { .. }
        | Pointing::Through { .. }
        | Pointing::NoSuchName { .. }
        | Pointing::NoAddress { .. } => None,
    }
}

fn by_answer(kind: &str, heard: &Heard) -> Option<u8> {
    let answered = kind != "connection";
    match heard {
        Heard::FilingBlock => Some(0),
        Heard::Cut => Some(3),
        Heard::Refused | Heard::TimedOut | Heard::Silent => Some(if answered { 7 } else { 4 }),
        Heard::Other { .. } | Heard::NoTls => Some(if answered { 4 } else { 7 }),
        Heard::Portico | Heard::NoRoute => None,
    }
}

fn is_used(challenge: Challenge, door: Door) -> bool {
    match challenge {
        Challenge::Auto => true,
        Challenge::TlsAlpn01 => door == Door::Https,
        Challenge::Http01 => door == Door::Http,
        Challenge::Dns01 => false,
    }
}
