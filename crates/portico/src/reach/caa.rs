//! Who may issue for a name, by its CAA records (RFC 8659), and how and for whom (RFC 8657).

use serde::Serialize;

use super::Authority;
use super::finding::{Failure, Severity};
use super::judge::Found;
use crate::config::Challenge;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) critical: bool,
    pub(super) tag: String,
    pub(super) value: String,
}

/// The records at one name of the climb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) at: String,
    pub(super) records: Found<Record>,
}

/// What is asked of the records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) authority: Authority,
    pub(super) challenge: Challenge,
    pub(super) account: Option<&'a str>,
    pub(super) wildcard: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// No records from the name up to the root: everybody may issue.
    Absent,
    Permits {
        at: String,
    },
    Forbids {
        at: String,
        records: Vec<String>,
        /// The line that would permit it.
        wanted: String,
    },
    /// The authority may, but not by this challenge (`validationmethods`).
    ForbidsMethod {
        at: String,
        methods: String,
        challenge: &'static str,
    },
    /// The authority may, but only for another account (`accounturi`).
    ForbidsAccount {
        at: String,
        accounts: String,
        /// `None`: it is not known yet.
        ours: Option<String>,
    },
    /// A critical property that no authority has to know.
    Critical {
        at: String,
        tag: String,
    },
    /// What this authority is called in such records is not known here.
    Unknown {
        at: String,
        records: Vec<String>,
    },
    Failed {
        at: String,
        failure: Failure,
    },
}

/// Tags that are registered with IANA; only the first two are about certificates for servers.
const KNOWN_TAGS: [&str; 7] =
    ["issue", "issuewild", "iodef", "contactemail", "contactphone", "issuevmc", "issuemail"];

/// The climb from the name to the root: the first name that has records decides (RFC 8659, 3).
pub(super) fn judge(levels: &[Level], asked: Asked<'_>) -> (Severity, Verdict) {
    for Level { at, records } in levels {
        match records {
            Found::Records(records) => return decide(at, records, asked),
            Found::Nothing | Found::NoSuchName => {}
            Found::Failed(failure) => {
                // Silence may be this machine's own resolver; an authority has its own.
                let severity = if *failure == Failure::ServFail { Severity::Grave } else { Severity::Notice };
                return (severity, Verdict::Failed { at: at.clone(), failure: *failure });
            }
        }
    }
    (Severity::Fine, Verdict::Absent)
}

fn decide(at: &str, records: &[Record], asked: Asked<'_>) -> (Severity, Verdict) {
    let at = at.to_owned();
    let is = |record: &&Record, tag: &str| record.tag.eq_ignore_ascii_case(tag);
    if let Some(unknown) =
        records.iter().find(|record| record.critical && !KNOWN_TAGS.iter().any(|tag| is(record, tag)))
    {
        return (Severity::Grave, Verdict::Critical { at, tag: unknown.tag.clone() });
    }
    // For a wildcard `issuewild` stands in the place of `issue` where it is there at all (RFC 8659, 4.3).
    let by_wild = asked.wildcard && records.iter().any(|record| is(&record, "issuewild"));
    let tag = if by_wild { "issuewild" } else { "issue" };
    let properties: Vec<&Record> = records.iter().filter(|record| is(record, tag)).collect();
    if properties.is_empty() {
        return (Severity::Fine, Verdict::Permits { at });
    }
    let written = || properties.iter().map(|record| shown(record)).collect();
    let Some(identity) = asked.authority.identities().first() else {
        return (Severity::Notice, Verdict::Unknown { at, records: written() });
    };
    let issuers = properties.iter().filter_map(|record| Issuer::parse(&record.value));
    let ours: Vec<Issuer<'_>> = issuers
        .filter(|issuer| {
            asked.authority.identities().iter().any(|identity| issuer.domain.eq_ignore_ascii_case(identity))
        })
        .collect();
    if ours.is_empty() {
        let wanted = format!("{at}. CAA 0 {tag} \"{identity}\"");
        return (Severity::Grave, Verdict::Forbids { at, records: written(), wanted });
    }
    within_parameters(at, &ours, asked)
}

/// Each property permits by itself; one that permits is enough.
fn within_parameters(at: String, ours: &[Issuer<'_>], asked: Asked<'_>) -> (Severity, Verdict) {
    let (methods, challenge) = methods_of(asked.challenge);
    let by_method: Vec<&Issuer<'_>> = ours.iter().filter(|issuer| issuer.takes_method(methods)).collect();
    if by_method.is_empty() {
        let methods = joined(ours, "validationmethods");
        return (Severity::Grave, Verdict::ForbidsMethod { at, methods, challenge });
    }
    if by_method.iter().any(|issuer| issuer.takes_account(asked.account)) {
        return (Severity::Fine, Verdict::Permits { at });
    }
    let accounts = joined(ours, "accounturi");
    let severity = if asked.account.is_some() { Severity::Grave } else { Severity::Notice };
    (severity, Verdict::ForbidsAccount { at, accounts, ours: asked.account.map(str::to_owned) })
}

fn joined(ours: &[Issuer<'_>], tag: &str) -> String {
    let values: Vec<&str> = ours.iter().flat_map(|issuer| issuer.values(tag)).collect();
    values.join(", ")
}

fn shown(record: &Record) -> String {
    format!("{} {} \"{}\"", u8::from(record.critical) << 7, record.tag, record.value)
}

/// The methods that would do, and their name for people.
const fn methods_of(challenge: Challenge) -> (&'static [&'static str], &'static str) {
    match challenge {
        Challenge::Auto => (&["tls-alpn-01", "http-01"], "tls-alpn-01, http-01"),
        Challenge::TlsAlpn01 => (&["tls-alpn-01"], "tls-alpn-01"),
        Challenge::Http01 => (&["http-01"], "http-01"),
        Challenge::Dns01 => (&["dns-01"], "dns-01"),
    }
}

/// The value of an `issue` or `issuewild` property (RFC 8659, 4.2).
#[derive(Debug, PartialEq, Eq)]
struct Issuer<'a> {
    domain: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Issuer<'a> {
    /// `None`: nobody may by it. What does not follow the grammar counts as that (RFC 8659, 4.2).
    fn parse(value: &'a str) -> Option<Self> {
        const BLANK: [char; 2] = [' ', '\t'];
        let (domain, rest) = value.split_once(';').unwrap_or((value, ""));
        let domain = domain.trim_matches(BLANK);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !domain.split('.').all(is_label) {
            return None;
        }
        let mut parameters = Vec::new();
        let pieces: Vec<&str> = rest.split(';').map(|piece| piece.trim_matches(BLANK)).collect();
        for piece in &pieces {
            if piece.is_empty() {
                continue;
            }
            let (tag, value) = piece.split_once('=')?;
            let (tag, value) = (tag.trim_matches(BLANK), value.trim_matches(BLANK));
            if !is_label(tag) || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            parameters.push((tag, value));
        }
        Some(Self { domain, parameters })
    }

    fn values(&self, tag: &str) -> Vec<&'a str> {
        let matching = self.parameters.iter().filter(|(written, _)| written.eq_ignore_ascii_case(tag));
        matching.map(|(_, value)| *value).collect()
    }

    /// Twice the same parameter can't be satisfied (RFC 8657, 3 and 4).
    fn takes_method(&self, methods: &[&str]) -> bool {
        match self.values("validationmethods")[..] {
            [] => true,
            [listed] => listed.split(',').any(|listed| methods.contains(&listed.trim())),
            _ => false,
        }
    }

    fn takes_account(&self, account: Option<&str>) -> bool {
        match self.values("accounturi")[..] {
            [] => true,
            [uri] => account == Some(uri),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> = Asked {
        authority: Authority::LetsEncrypt,
        challenge: Challenge::Auto,
        account: Some("https://acme.test/account/7"),
        wildcard: false,
    };

    fn level(at: &str, records: &[(&str, &str)]) -> Level {
        let record = |(tag, value): &(&str, &str)| {
            let (critical, tag) = tag.strip_prefix('!').map_or((false, *tag), |tag| (true, tag));
            Record { critical, tag: tag.to_owned(), value: (*value).to_owned() }
        };
        let records = match records {
            [] => Found::Nothing,
            some => Found::Records(some.iter().map(record).collect()),
        };
        Level { at: at.to_owned(), records }
    }

    fn at(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn the_first_name_with_records_decides() {
        let levels = [
            level("a.example.com", &[]),
            level("example.com", &[("issue", "letsencrypt.org")]),
            level("com", &[("issue", "other.test")]),
        ];
        assert_eq!(judge(&levels, ASKED), (Severity::Fine, Verdict::Permits { at: at("example.com") }));
        assert_eq!(judge(&levels[..1], ASKED), (Severity::Fine, Verdict::Absent));
        let (severity, verdict) = judge(&levels[2..], ASKED);
        assert_eq!(severity, Severity::Grave);
        let records = vec!["0 issue \"other.test\"".to_owned()];
        let wanted = "com. CAA 0 issue \"letsencrypt.org\"".to_owned();
        assert_eq!(verdict, Verdict::Forbids { at: at("com"), records, wanted });
    }

    #[test]
    fn a_failure_counts_only_where_the_climb_comes_to_it() {
        let failed = |failure| Level { at: "example.com".to_owned(), records: Found::Failed(failure) };
        let above = level("com", &[("issue", "letsencrypt.org")]);
        for (failure, severity) in
            [(Failure::ServFail, Severity::Grave), (Failure::TimedOut, Severity::Notice)]
        {
            let wanted = Verdict::Failed { at: at("example.com"), failure };
            assert_eq!(judge(&[failed(failure), above.clone()], ASKED), (severity, wanted));
        }
        let below = level("a.example.com", &[("issue", "letsencrypt.org")]);
        assert_eq!(judge(&[below, failed(Failure::ServFail)], ASKED).0, Severity::Fine);
    }

    /// Records, and whether the authority may issue for the name and for `*.` of it.
    #[test]
    fn records_permit_or_forbid() {
        for (records, plain, wildcard) in [
            (&[("issue", "letsencrypt.org")][..], true, true),
            (&[("ISSUE", " LetsEncrypt.org ")], true, true),
            (&[("issue", ";")], false, false),
            (&[("issue", "")], false, false),
            (&[("issue", "%%%%%")], false, false),
            (&[("issue", "other.test"), ("issue", "letsencrypt.org")], true, true),
            (&[("issue", ";"), ("issue", "letsencrypt.org")], true, true),
            (&[("issue", "sectigo.com")], false, false),
            (&[("issue", "notletsencrypt.org")], false, false),
            (&[("issuewild", ";")], true, false),
            (&[("issuewild", "letsencrypt.org"), ("issue", ";")], false, true),
            (&[("issue", "letsencrypt.org"), ("issuewild", "other.test")], true, false),
            (&[("iodef", "mailto:a@example.com")], true, true),
            (&[("!issue", "letsencrypt.org")], true, true),
            (&[("!policy", "x"), ("issue", "letsencrypt.org")], false, false),
            (&[("policy", "x"), ("issue", "letsencrypt.org")], true, true),
            // Parameters.
            (&[("issue", "letsencrypt.org;")], true, true),
            (&[("issue", "letsencrypt.org; validationmethods=http-01")], true, true),
            (&[("issue", "letsencrypt.org;validationmethods=dns-01,http-01")], true, true),
            (&[("issue", "letsencrypt.org; validationmethods=dns-01")], false, false),
            (&[("issue", "letsencrypt.org; validationmethods=")], false, false),
            (
                &[("issue", "letsencrypt.org; validationmethods=http-01; validationmethods=http-01")],
                false,
                false,
            ),
            (&[("issue", "letsencrypt.org; accounturi=https://acme.test/account/7")], true, true),
            (&[("issue", "letsencrypt.org; accounturi=https://acme.test/account/70")], false, false),
            (&[("issue", "letsencrypt.org; unknown=thing")], true, true),
            (&[("issue", "letsencrypt.org; broken")], false, false),
            (&[("issue", "letsencrypt.org; accounturi=x:y"), ("issue", "letsencrypt.org")], true, true),
        ] {
            let levels = [level("example.com", records)];
            let may = |wildcard| judge(&levels, Asked { wildcard, ..ASKED }).0 == Severity::Fine;
            assert_eq!((may(false), may(true)), (plain, wildcard), "{records:?}");
        }
    }

    #[test]
    fn a_restriction_is_told_with_its_reason() {
        let levels = [level("example.com", &[("issue", "letsencrypt.org; validationmethods=dns-01")])];
        let (_, verdict) = judge(&levels, Asked { challenge: Challenge::Http01, ..ASKED });
        let methods = "dns-01".to_owned();
        assert_eq!(verdict, Verdict::ForbidsMethod { at: at("example.com"), methods, challenge: "http-01" });
        assert_eq!(judge(&levels, Asked { challenge: Challenge::Dns01, ..ASKED }).0, Severity::Fine);
        let levels = [level("example.com", &[("issue", "letsencrypt.org; accounturi=x:y")])];
        // An account that is not made yet may be that one or not.
        let (severity, verdict) = judge(&levels, Asked { account: None, ..ASKED });
        let accounts = "x:y".to_owned();
        let wanted = Verdict::ForbidsAccount { at: at("example.com"), accounts, ours: None };
        assert_eq!((severity, verdict), (Severity::Notice, wanted));
    }

    #[test]
    fn other_names_of_an_authority_are_known_and_an_unknown_authority_is_not_judged() {
        let levels = [level("example.com", &[("issue", "sectigo.com")])];
        let by = |authority| judge(&levels, Asked { authority, ..ASKED });
        assert_eq!(by(Authority::ZeroSsl).0, Severity::Fine);
        let records = vec!["0 issue \"sectigo.com\"".to_owned()];
        let wanted = Verdict::Unknown { at: at("example.com"), records };
        assert_eq!(by(Authority::Other), (Severity::Notice, wanted));
    }
}
