//! Which of ACME's resources (RFC 8555, section 7.1) a path is, by the paths that Pebble gives out.

/// Where [`super::Shim`] answers for itself.
pub(super) const RENEWAL_INFO: &str = "/renewal-info";

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Directory,
    NewNonce,
    NewAccount,
    Account,
    KeyChange,
    NewOrder,
    Order,
    Authorization,
    Challenge,
    Finalize,
    Certificate,
    RevokeCertificate,
    RenewalInfo,
    Other,
}

const PATHS: &[(&str, Resource)] = &[
    ("/dir", Resource::Directory),
    ("/nonce-plz", Resource::NewNonce),
    ("/sign-me-up", Resource::NewAccount),
    ("/my-account", Resource::Account),
    ("/list-orderz", Resource::Account),
    ("/rollover-account-key", Resource::KeyChange),
    ("/order-plz", Resource::NewOrder),
    ("/my-order", Resource::Order),
    ("/authZ", Resource::Authorization),
    ("/chalZ", Resource::Challenge),
    ("/finalize-order", Resource::Finalize),
    ("/certZ", Resource::Certificate),
    ("/revoke-cert", Resource::RevokeCertificate),
    (RENEWAL_INFO, Resource::RenewalInfo),
];

impl Resource {
    /// For a fault that is to hit everything.
    pub const ALL: &[Self] = &[
        Self::Directory,
        Self::NewNonce,
        Self::NewAccount,
        Self::Account,
        Self::KeyChange,
        Self::NewOrder,
        Self::Order,
        Self::Authorization,
        Self::Challenge,
        Self::Finalize,
        Self::Certificate,
        Self::RevokeCertificate,
        Self::RenewalInfo,
        Self::Other,
    ];

    pub(super) fn of(target: &str) -> Self {
        let first = target.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
        let known = PATHS.iter().find(|(path, _)| path.trim_start_matches('/') == first);
        known.map_or(Self::Other, |(_, resource)| *resource)
    }
}
