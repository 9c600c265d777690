//! Whether others can reach this machine by its names: what a certificate authority will meet, seen from here.
//!
//! Addresses in the DNS, the two public ports, CAA records and the clock are looked at side by side, each for at most
//! [`LOOK`]. Nothing is decided by it: an order goes on whatever is found, and where it fails, [`explain`] says which
//! finding is the likeliest reason. `judge`, `caa`, `clock`, `block` and `explain` are pure; `lookup` and `knock`
//! do.
//!
//! Never here: a claim about what others see. A look from inside can't know of a filter upstream, so every text says
//! what was met from here. Nothing secret is sent: whoever answers is not known yet, and certificates are not verified.

mod block;
mod caa;
mod clock;
mod explain;
mod finding;
mod judge;
mod knock;
mod lookup;
mod text;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

pub(crate) use self::explain::{Refused, explain};
pub(crate) use self::finding::Report;
#[cfg(test)]
use self::finding::{Finding, Severity};
use self::judge::{Knocked, NameSeen, Seen};
use self::lookup::Lookup;
use crate::config::{Challenge, Issuer};
use crate::sys::machine;

/// The most that one lookup or one knock may take. A look is two of them long: ports are known after addresses.
pub(crate) const LOOK: Duration = Duration::from_secs(2);
/// Of one name; more are not knocked at.
const MOST_ADDRESSES: usize = 4;

/// What is to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Host names, `*.` of one, or addresses; without ports.
    pub(crate) names: Vec<String>,
    pub(crate) ports: Ports,
    pub(crate) authority: Authority,
    pub(crate) challenge: Challenge,
    /// The URL of the account at the authority, where one is known (RFC 8657, 3).
    pub(crate) account: Option<String>,
    /// Something that only this process answers with. `None`: `/health` has to do.
    pub(crate) proof: Option<Proof>,
    /// Asked instead of the system's resolvers.
    pub(crate) resolver: Option<SocketAddr>,
    /// Of an answer of the authority, where there is one.
    pub(crate) clock: Option<Clock>,
}

/// Where others come in. These are the public ports (80 and 443), whatever Portico itself listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) http: Option<u16>,
    pub(crate) https: Option<u16>,
}

/// A token below `/.well-known/acme-challenge/` that is being answered while the look goes on, and the answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) token: String,
    pub(crate) body: String,
}

/// The `Date` of an answer of the authority, and this machine's time when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) theirs: SystemTime,
    pub(crate) ours: SystemTime,
}

/// Who is asked for certificates, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    LetsEncrypt,
    ZeroSsl,
    /// Its name in CAA records is not known, and it may well be inside of a private network.
    Other,
}

impl Authority {
    pub(crate) fn of(issuer: &Issuer) -> Self {
        match issuer {
            Issuer::LetsEncrypt | Issuer::LetsEncryptStaging => Authority::LetsEncrypt,
            Issuer::ZeroSsl => Authority::ZeroSsl,
            Issuer::Directory(_) | Issuer::Local | Issuer::Files | Issuer::Off => Authority::Other,
        }
    }

    /// What stands for it in CAA records; the first is what it asks its customers to write. ZeroSSL's certificates are
    /// Sectigo's, which goes by its older names too.
    const fn identities(self) -> &'static [&'static str] {
        match self {
            Authority::LetsEncrypt => &["letsencrypt.org"],
            Authority::ZeroSsl => &["sectigo.com", "comodoca.com", "usertrust.com", "trust-provider.com"],
            Authority::Other => &[],
        }
    }
}

/// Looks at everything side by side; takes at most two times [`LOOK`], whatever hangs. When the future is dropped,
/// everything that was opened is closed.
pub(crate) async fn look(question: &Question) -> Report {
    let lookup = Lookup::new(question.resolver);
    let mut looking = JoinSet::new();
    for (index, name) in question.names.iter().enumerate() {
        let (name, lookup) = (name.clone(), lookup.clone());
        let (ports, proof) = (question.ports, question.proof.clone());
        looking.spawn(async move { (index, look_at(name, lookup, ports, proof).await) });
    }
    // One that panicked is missing; the others still count.
    let mut names: Vec<(usize, NameSeen)> = Vec::new();
    while let Some(looked) = looking.join_next().await {
        names.extend(looked);
    }
    names.sort_by_key(|(index, _)| *index);
    let seen =
        Seen { own: machine::all_addresses(), names: names.into_iter().map(|(_, seen)| seen).collect() };
    Report { findings: judge::judge(question, &seen) }
}

async fn look_at(name: String, lookup: Lookup, ports: Ports, proof: Option<Proof>) -> NameSeen {
    if let Ok(address) = name.parse::<IpAddr>() {
        let knocked = knock_at(&name, vec![address], ports, proof.as_ref()).await;
        return NameSeen { addresses: judge::Addresses::Written(address), knocked, caa: Vec::new(), name };
    }
    // A wildcard has no address of its own.
    if let Some(parent) = name.strip_prefix("*.") {
        let caa = lookup.caa(parent).await;
        return NameSeen { addresses: judge::Addresses::Wildcard, knocked: Vec::new(), caa, name };
    }
    let reaching = async {
        let (v4, v6) = tokio::join!(lookup.v4(&name), lookup.v6(&name));
        let found = v4.iter().copied().map(IpAddr::V4).take(MOST_ADDRESSES);
        let found = found.chain(v6.iter().copied().map(IpAddr::V6).take(MOST_ADDRESSES)).collect();
        (v4, v6, knock_at(&name, found, ports, proof.as_ref()).await)
    };
    let ((v4, v6, knocked), zone, caa) = tokio::join!(reaching, lookup.zone(&name), lookup.caa(&name));
    NameSeen { addresses: judge::Addresses::Asked { v4, v6, zone }, knocked, caa, name }
}

/// Every door of every address at once.
async fn knock_at(name: &str, found: Vec<IpAddr>, ports: Ports, proof: Option<&Proof>) -> Vec<Knocked> {
    let mut knocking = JoinSet::new();
    for address in found {
        let doors = [(finding::Door::Http, ports.http), (finding::Door::Https, ports.https)];
        for (door, port) in doors.into_iter().filter_map(|(door, port)| Some((door, port?))) {
            let (name, proof) = (name.to_owned(), proof.cloned());
            let at = SocketAddr::new(address, port);
            knocking.spawn(async move {
                Knocked { door, address: at, heard: knock::knock(&name, door, at, proof.as_ref()).await }
            });
        }
    }
    let mut knocked: Vec<Knocked> = Vec::new();
    while let Some(heard) = knocking.join_next().await {
        knocked.extend(heard);
    }
    knocked.sort_by_key(|knocked| (knocked.address.ip(), knocked.door));
    knocked
}
