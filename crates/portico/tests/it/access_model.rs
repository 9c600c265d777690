//! Who may come in, written once more from the words of the documentation and without a look at the product: what the
//! tables of `access_table` and `access_nginx` are compared with.

use std::net::{IpAddr, Ipv6Addr};

/// Holds an address with each of the notations that a list may be written in.
const ALLOW: &[&str] = &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "127.0.0.0/29"];
const DENY: &[&str] = &["10.9.0.0/16", "203.0.113.0/24", "2001:db8:bad::/48", "127.0.0.7"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Site,
    Api,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Satisfy {
    All,
    Any,
}

/// What `[access]` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct House {
    pub(crate) scope: Scope,
    pub(crate) satisfy: Satisfy,
    pub(crate) allow: &'static [&'static str],
    pub(crate) deny: &'static [&'static str],
}

/// Every combination that a configuration may have: `any` without `allow` stops the start.
pub(crate) fn houses() -> Vec<House> {
    let mut houses = Vec::new();
    for scope in [Scope::Site, Scope::Api] {
        for satisfy in [Satisfy::All, Satisfy::Any] {
            for allow in [&[], ALLOW] {
                for deny in [&[], DENY] {
                    if satisfy == Satisfy::All || !allow.is_empty() {
                        houses.push(House { scope, satisfy, allow, deny });
                    }
                }
            }
        }
    }
    houses
}

/// How a request comes, and the address that it counts as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Comes {
    /// Through the trusted proxy 127.0.0.1, with this `X-Forwarded-For`.
    Forwarded(&'static str, &'static str),
    /// Over a connection from there.
    Directly(&'static str),
    /// Over a connection from there, where nobody is trusted, with an `X-Forwarded-For` that lies.
    Lying(&'static str),
}

impl Comes {
    pub(crate) const ALL: [Self; 15] = [
        Self::Forwarded("10.1.2.3", "10.1.2.3"),
        Self::Forwarded("10.9.9.9", "10.9.9.9"),
        Self::Forwarded("192.0.2.7", "192.0.2.7"),
        Self::Forwarded("192.0.2.8", "192.0.2.8"),
        Self::Forwarded("203.0.113.5", "203.0.113.5"),
        Self::Forwarded("2001:db8::1", "2001:db8::1"),
        Self::Forwarded("2001:db8:bad::1", "2001:db8:bad::1"),
        Self::Forwarded("2001:db9::1", "2001:db9::1"),
        Self::Forwarded("::ffff:10.1.2.3", "10.1.2.3"),
        Self::Forwarded("::ffff:203.0.113.5", "203.0.113.5"),
        // What stands on the left could have been written by anybody.
        Self::Forwarded("203.0.113.5, 10.1.2.3", "10.1.2.3"),
        Self::Directly("127.0.0.1"),
        Self::Directly("::1"),
        Self::Lying("127.0.0.5"),
        Self::Lying("127.0.0.7"),
    ];

    pub(crate) fn client(self) -> IpAddr {
        let (Self::Forwarded(_, text) | Self::Directly(text) | Self::Lying(text)) = self;
        text.parse().expect("an address")
    }
}

/// What a request shows of who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    Nothing,
    Password,
    WrongPassword,
    UnknownName,
    NotBase64,
    OtherScheme,
    Key,
    KeyInItsOwnHeader,
    /// Good from 10.0.0.0/8 only.
    KeyOfANetwork,
    RevokedKey,
    ExpiredKey,
    GarbageKey,
    Session,
    EndedSession,
    GarbageSession,
    KeyAndPassword,
    TwoKeys,
    SessionAndWrongKey,
    SessionAndWrongPassword,
    KeyAndGarbageSession,
}

impl Shows {
    pub(crate) const ALL: [Self; 20] = [
        Self::Nothing,
        Self::Password,
        Self::WrongPassword,
        Self::UnknownName,
        Self::NotBase64,
        Self::OtherScheme,
        Self::Key,
        Self::KeyInItsOwnHeader,
        Self::KeyOfANetwork,
        Self::RevokedKey,
        Self::ExpiredKey,
        Self::GarbageKey,
        Self::Session,
        Self::EndedSession,
        Self::GarbageSession,
        Self::KeyAndPassword,
        Self::TwoKeys,
        Self::SessionAndWrongKey,
        Self::SessionAndWrongPassword,
        Self::KeyAndGarbageSession,
    ];

    /// "Taken in one place; two header credentials are 400, a header wins over the cookie."
    fn worth(self, client: IpAddr) -> Worth {
        match self {
            Self::Nothing => Worth::Nothing,
            Self::Password
            | Self::Key
            | Self::KeyInItsOwnHeader
            | Self::Session
            | Self::KeyAndGarbageSession => Worth::Good,
            Self::KeyOfANetwork if holds("10.0.0.0/8", client) => Worth::Good,
            Self::KeyOfANetwork => Worth::Wrong(403, "network_refused"),
            Self::WrongPassword
            | Self::UnknownName
            | Self::NotBase64
            | Self::OtherScheme
            | Self::SessionAndWrongPassword => Worth::Wrong(401, "wrong_credentials"),
            Self::GarbageKey | Self::SessionAndWrongKey => Worth::Wrong(401, "invalid_api_key"),
            Self::RevokedKey => Worth::Wrong(401, "key_revoked"),
            Self::ExpiredKey => Worth::Wrong(401, "key_expired"),
            Self::EndedSession | Self::GarbageSession => Worth::Wrong(401, "session_expired"),
            Self::KeyAndPassword | Self::TwoKeys => Worth::Ambiguous,
        }
    }
}

enum Worth {
    Nothing,
    Good,
    Ambiguous,
    /// Status and code, where it decides.
    Wrong(u16, &'static str),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Page,
    /// With `Accept: text/html`.
    PageOfABrowser,
    Asset,
    MissingPage,
    Login,
    Models,
    Model,
    Chat,
    /// A path under `/v1/` that is nothing.
    Unknown,
    /// A path that is something, by a method that it does not have.
    OtherMethod,
    /// OPTIONS that is no preflight.
    Options,
    Preflight,
    ForeignPreflight,
    Health,
    Ready,
}

impl Asks {
    pub(crate) const ALL: [Self; 15] = [
        Self::Page,
        Self::PageOfABrowser,
        Self::Asset,
        Self::MissingPage,
        Self::Login,
        Self::Models,
        Self::Model,
        Self::Chat,
        Self::Unknown,
        Self::OtherMethod,
        Self::Options,
        Self::Preflight,
        Self::ForeignPreflight,
        Self::Health,
        Self::Ready,
    ];

    pub(crate) const fn line(self) -> (&'static str, &'static str) {
        match self {
            Self::Page | Self::PageOfABrowser => ("GET", "/"),
            Self::Asset => ("GET", "/favicon.svg"),
            Self::MissingPage => ("GET", "/nothing.html"),
            Self::Login => ("GET", "/login"),
            Self::Models => ("GET", "/v1/models"),
            Self::Model => ("GET", "/v1/models/scripted"),
            Self::Chat => ("POST", "/v1/chat/completions"),
            Self::Unknown => ("GET", "/v1/nothing"),
            Self::OtherMethod => ("DELETE", "/v1/models"),
            Self::Options | Self::Preflight | Self::ForeignPreflight => ("OPTIONS", "/v1/chat/completions"),
            Self::Health => ("GET", "/health"),
            Self::Ready => ("GET", "/health/ready"),
        }
    }

    pub(crate) fn is_api(self) -> bool {
        self.line().1.starts_with("/v1/")
    }

    /// For whoever may come in. "Matched as exact method and path; everything else under `/v1/` is 404."
    const fn served(self) -> Expected {
        match self {
            Self::MissingPage => Expected::status(404),
            Self::Unknown | Self::OtherMethod | Self::Options => Expected::error(404, "not_found"),
            _ => Expected::status(200),
        }
    }
}

/// What an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    /// Of an error of the API.
    pub(crate) code: Option<&'static str>,
}

impl Expected {
    const fn status(status: u16) -> Self {
        Self { status, code: None }
    }

    const fn error(status: u16, code: &'static str) -> Self {
        Self { status, code: Some(code) }
    }
}

impl House {
    pub(crate) fn toml(&self) -> String {
        let Self { scope, satisfy, allow, deny } = self;
        let scope = format!("{scope:?}").to_ascii_lowercase();
        let satisfy = format!("{satisfy:?}").to_ascii_lowercase();
        format!("scope = \"{scope}\"\nsatisfy = \"{satisfy}\"\nallow = {allow:?}\ndeny = {deny:?}\n")
    }

    pub(crate) fn allows(&self, client: IpAddr) -> bool {
        self.allow.iter().any(|network| holds(network, client))
    }

    pub(crate) fn denies(&self, client: IpAddr) -> bool {
        self.deny.iter().any(|network| holds(network, client))
    }

    pub(crate) fn expects(&self, client: IpAddr, shows: Shows, asks: Asks) -> Expected {
        let answer = self.decides(client, shows, asks);
        // The code stands in the API's errors only.
        if asks.is_api() { answer } else { Expected::status(answer.status) }
    }

    /// Whether `/health/ready` names models: "with identity also".
    pub(crate) fn names_models(&self, client: IpAddr, shows: Shows) -> bool {
        self.decides(client, shows, Asks::Models).status == 200
    }

    fn decides(&self, client: IpAddr, shows: Shows, asks: Asks) -> Expected {
        // "ACME challenges, preflights and /health are exempt from both."
        match asks {
            Asks::Health | Asks::Ready => return Expected::status(200),
            Asks::Preflight => return Expected::status(204),
            Asks::ForeignPreflight => return Expected::error(403, "origin_refused"),
            _ => {}
        }
        // "Networks guard pages and API, whatever scope. deny always wins."
        if self.denies(client) {
            return Expected::error(403, "network_refused");
        }
        // "A refused network is 403, before identity is asked (all)."
        let is_refused = !self.allow.is_empty() && !self.allows(client);
        if self.satisfy == Satisfy::All && is_refused {
            return Expected::error(403, "network_refused");
        }
        // Who has to say who he is must be able to.
        if asks == Asks::Login {
            return asks.served();
        }
        if self.satisfy == Satisfy::All && self.scope == Scope::Api && !asks.is_api() {
            return asks.served();
        }
        match shows.worth(client) {
            Worth::Ambiguous => Expected::error(400, "ambiguous_credentials"),
            Worth::Good => asks.served(),
            // "Networks alone suffice to come in, and a wrong credential from an allowed address counts as none."
            _ if self.satisfy == Satisfy::Any && self.allows(client) => asks.served(),
            // "Under any, neither network nor identity is 401."
            Worth::Nothing => Expected::error(401, "identity_required"),
            Worth::Wrong(status, code) => Expected::error(status, code),
        }
    }
}

/// Whether a network, as a list has it, holds an address.
fn holds(network: &str, client: IpAddr) -> bool {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, length.parse::<u32>().expect("a length")),
        None => (network, 128),
    };
    let base: IpAddr = base.parse().expect("an address");
    if base.is_ipv4() != client.is_ipv4() {
        return false;
    }
    let behind = bits(base).1.saturating_sub(length);
    bits(base).0.checked_shr(behind) == bits(client).0.checked_shr(behind)
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (Ipv6Addr::to_bits(address), 128),
    }
}

#[test]
fn the_model_knows_a_network_from_another() {
    for (network, client, wanted) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.6", false),
        ("127.0.0.0/29", "127.0.0.7", true),
        ("127.0.0.0/29", "127.0.0.8", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("10.0.0.0/8", "2001:db8::1", false),
    ] {
        assert_eq!(holds(network, client.parse().expect("an address")), wanted, "{network} {client}");
    }
}
