//! What can be found. Closed: every finding has its facts, its text in both languages (`text`) and its place in
//! [`super::explain`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use super::caa;
use super::clock;

/// All findings, good ones too, in the order of the names that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// The public name it is about; empty where it is about this machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    Fine,
    /// Worth knowing; an order can succeed all the same, as far as can be seen from here.
    Notice,
    /// An order fails by it, or visitors don't get in.
    Grave,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "check", content = "found", rename_all = "snake_case")]
pub(crate) enum What {
    Name(Pointing),
    Port(Knock),
    Caa(caa::Verdict),
    Clock(clock::Verdict),
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pointing {
    /// To an address of this machine.
    Here {
        address: IpAddr,
    },
    /// To an address that this machine does not have, where Portico answers all the same: a router, or a proxy.
    Through {
        address: IpAddr,
    },
    /// To an address that this machine does not have.
    Elsewhere {
        address: IpAddr,
        own: Vec<IpAddr>,
        nat: Nat,
    },
    /// To an address that has no meaning outside.
    Inside {
        address: IpAddr,
        range: Range,
    },
    /// To an IPv6 address that this machine does not have. CAs and browsers take IPv6 first.
    StrayIpv6 {
        address: Ipv6Addr,
        own: Vec<Ipv6Addr>,
    },
    NoSuchName {
        zone: Option<Zone>,
    },
    NoAddress {
        zone: Option<Zone>,
    },
    LookupFailed {
        record: &'static str,
        failure: Failure,
    },
}

/// Whether this machine may have a public address that it does not know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Nat {
    /// It has none of its own: a router or a cloud may hold the public one.
    Likely,
    /// It has a public address of its own.
    Unlikely,
}

/// Addresses that nobody outside can come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Range {
    Loopback,
    Private,
    /// 198.18.0.0/15 (RFC 2544): nobody's. Proxy programs answer with it in place of the real address.
    Benchmark,
}

/// Who answers for a name's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) servers: Vec<String>,
}

/// Why the DNS gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    /// The zone's own servers are silent, or its DNSSEC is broken.
    #[serde(rename = "servfail")]
    ServFail,
    Refused,
    TimedOut,
    Other,
}

/// What was met at a door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Knock {
    pub(crate) door: Door,
    pub(crate) address: SocketAddr,
    pub(crate) heard: Heard,
    /// The address is not one of this machine, which has no public one: a router stands between, and routers often
    /// treat their own inside differently.
    pub(crate) around: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Door {
    Http,
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Heard {
    Portico,
    Refused,
    /// No connection in time.
    TimedOut,
    /// This machine can't send there.
    NoRoute,
    /// A connection, and then nothing in time.
    Silent,
    /// The connection was cut right after the name had been said, before any answer.
    Cut,
    /// Something answers that does not speak TLS, or that wants none with this name.
    NoTls,
    Other {
        /// `None`: the answer was no HTTP.
        status: Option<u16>,
        /// As its `Server` says, shortened.
        server: Option<String>,
    },
    /// The page that carriers in mainland China answer with for names without an ICP filing.
    FilingBlock,
}
