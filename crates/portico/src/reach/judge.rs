//! From what was seen to findings. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::caa::{self, Level};
use super::finding::{Door, Failure, Finding, Heard, Knock, Nat, Pointing, Range, Severity, What, Zone};
use super::{Authority, Question, clock};
use crate::config::Challenge;

/// What a lookup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// At least one.
    Records(Vec<T>),
    /// The name is there, such records are not.
    Nothing,
    NoSuchName,
    Failed(Failure),
}

impl<T> Found<T> {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        match self {
            Found::Records(records) => records.iter(),
            Found::Nothing | Found::NoSuchName | Found::Failed(_) => [].iter(),
        }
    }

    fn failure(&self) -> Option<Failure> {
        match self {
            Found::Failed(failure) => Some(*failure),
            Found::Records(_) | Found::Nothing | Found::NoSuchName => None,
        }
    }
}

/// Everything that was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Addresses of this machine's interfaces.
    pub(super) own: Vec<IpAddr>,
    pub(super) names: Vec<NameSeen>,
}

#[derive(Debug, Clone)]
pub(super) struct NameSeen {
    pub(super) name: String,
    pub(super) addresses: Addresses,
    pub(super) knocked: Vec<Knocked>,
    /// From the name to the root; empty where it is an address.
    pub(super) caa: Vec<Level>,
}

#[derive(Debug, Clone)]
pub(super) enum Addresses {
    /// The name is one.
    Written(IpAddr),
    /// A wildcard: there is nothing to look up.
    Wildcard,
    Asked {
        v4: Found<Ipv4Addr>,
        v6: Found<Ipv6Addr>,
        zone: Option<Zone>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Knocked {
    pub(super) door: Door,
    pub(super) address: SocketAddr,
    pub(super) heard: Heard,
}

/// All findings: name by name, and within one its addresses, its ports, its CAA records; then the clock.
pub(super) fn judge(question: &Question, seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &seen.names {
        let told = |(severity, what)| Finding { severity, name: name.name.clone(), what };
        findings.extend(pointings(question, &seen.own, name).into_iter().map(told));
        findings.extend(knocks(question, &seen.own, name).into_iter().map(told));
        if !name.caa.is_empty() {
            let asked = caa::Asked {
                authority: question.authority,
                challenge: question.challenge,
                account: question.account.as_deref(),
                wildcard: matches!(name.addresses, Addresses::Wildcard),
            };
            let (severity, verdict) = caa::judge(&name.caa, asked);
            findings.push(told((severity, What::Caa(verdict))));
        }
    }
    if let Some(clock) = question.clock {
        let (severity, verdict) = clock::judge(clock);
        findings.push(Finding { severity, name: String::new(), what: What::Clock(verdict) });
    }
    findings
}

fn pointings(question: &Question, own: &[IpAddr], seen: &NameSeen) -> Vec<(Severity, What)> {
    let (v4, v6, zone) = match &seen.addresses {
        Addresses::Wildcard => return Vec::new(),
        Addresses::Written(address) => {
            let (severity, pointing) = pointing(question, own, *address, &seen.knocked);
            return vec![(severity, What::Name(pointing))];
        }
        Addresses::Asked { v4, v6, zone } => (v4, v6, zone),
    };
    let found = v4.iter().copied().map(IpAddr::V4).chain(v6.iter().copied().map(IpAddr::V6));
    let mut told: Vec<_> = found.map(|address| pointing(question, own, address, &seen.knocked)).collect();
    let none = told.is_empty();
    // One family is enough to be found by.
    let failed = if none { by_connection(question.challenge) } else { Severity::Notice };
    for (record, failure) in [("A", v4.failure()), ("AAAA", v6.failure())] {
        if let Some(failure) = failure {
            told.push((failed, Pointing::LookupFailed { record, failure }));
        }
    }
    if told.is_empty() {
        let zone = zone.clone();
        let no_such_name = matches!(v4, Found::NoSuchName) || matches!(v6, Found::NoSuchName);
        let pointing =
            if no_such_name { Pointing::NoSuchName { zone } } else { Pointing::NoAddress { zone } };
        told.push((by_connection(question.challenge), pointing));
    }
    told.into_iter().map(|(severity, pointing)| (severity, What::Name(pointing))).collect()
}

fn pointing(
    question: &Question,
    own: &[IpAddr],
    address: IpAddr,
    knocked: &[Knocked],
) -> (Severity, Pointing) {
    let failing = by_connection(question.challenge);
    if let Some(range) = inside(address)
        && question.authority != Authority::Other
    {
        return (failing, Pointing::Inside { address, range });
    }
    if is_own(own, address) {
        return (Severity::Fine, Pointing::Here { address });
    }
    if knocked.iter().any(|knocked| knocked.address.ip() == address && knocked.heard == Heard::Portico) {
        return (Severity::Fine, Pointing::Through { address });
    }
    match (address, nat(own)) {
        // A router translates IPv4 only; the clouds that translate IPv6 are few.
        (IpAddr::V6(address), _) => {
            let own = own.iter().filter_map(|own| match own {
                IpAddr::V6(own) if inside(IpAddr::V6(*own)).is_none() => Some(*own),
                _ => None,
            });
            (failing, Pointing::StrayIpv6 { address, own: own.collect() })
        }
        (_, nat) => {
            let severity = if nat == Nat::Likely { Severity::Notice } else { failing };
            let own = own.iter().copied().filter(IpAddr::is_ipv4).filter(|own| !own.is_loopback()).collect();
            (severity, Pointing::Elsewhere { address, own, nat })
        }
    }
}

fn knocks(question: &Question, own: &[IpAddr], seen: &NameSeen) -> Vec<(Severity, What)> {
    let answered = |door, address: IpAddr| {
        seen.knocked.iter().any(|knocked| {
            knocked.door == door && knocked.address.ip() == address && knocked.heard == Heard::Portico
        })
    };
    let judged = seen.knocked.iter().map(|knocked| {
        let address = knocked.address.ip();
        let around = !is_own(own, address) && nat(own) == Nat::Likely;
        let other = if knocked.door == Door::Http { Door::Https } else { Door::Http };
        let severity = match (&knocked.heard, question.challenge) {
            (Heard::Portico, _) => Severity::Fine,
            (Heard::NoRoute, _) | (_, Challenge::Dns01) => Severity::Notice,
            (Heard::FilingBlock, _) => Severity::Grave,
            _ if around => Severity::Notice,
            // One of two ways is enough.
            (_, Challenge::Auto) if answered(other, address) => Severity::Notice,
            (_, Challenge::TlsAlpn01) if knocked.door == Door::Http => Severity::Notice,
            (_, Challenge::Http01) if knocked.door == Door::Https => Severity::Notice,
            _ => Severity::Grave,
        };
        let heard = knocked.heard.clone();
        (severity, What::Port(Knock { door: knocked.door, address: knocked.address, heard, around }))
    });
    judged.collect()
}

/// How bad it is that nobody comes in: with DNS-01 the certificate does not depend on it.
fn by_connection(challenge: Challenge) -> Severity {
    match challenge {
        Challenge::Dns01 => Severity::Notice,
        Challenge::Auto | Challenge::TlsAlpn01 | Challenge::Http01 => Severity::Grave,
    }
}

fn is_own(own: &[IpAddr], address: IpAddr) -> bool {
    address.is_loopback() || own.contains(&address)
}

/// Where no address of the machine is known, nothing speaks against a router either.
fn nat(own: &[IpAddr]) -> Nat {
    let has_public = own.iter().any(|own| own.is_ipv4() && inside(*own).is_none());
    if has_public { Nat::Unlikely } else { Nat::Likely }
}

/// The private ranges that people have: RFC 1918, 6598, 3927, 4193, and what RFC 2544 set aside.
fn inside(address: IpAddr) -> Option<Range> {
    let private = match address {
        IpAddr::V4(v4) => match v4.octets() {
            [198, 18 | 19, ..] => return Some(Range::Benchmark),
            [100, second, ..] if second & 0xc0 == 64 => true,
            [0, ..] => true,
            _ => v4.is_private() || v4.is_link_local(),
        },
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    };
    match address {
        address if address.is_loopback() => Some(Range::Loopback),
        _ if private => Some(Range::Private),
        _ => None,
    }
}
