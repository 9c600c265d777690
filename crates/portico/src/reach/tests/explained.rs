//! Which finding explains a refusal, and what findings say.

use std::net::SocketAddr;

use super::*;
use crate::reach::caa::Verdict;
use crate::reach::finding::{Door, Failure, Heard, Knock, Nat, Pointing, Range, What, Zone};
use crate::types::Tongue;

const NAME: &str = "chat.example.com";

fn finding(severity: Severity, what: What) -> Finding {
    let name = if matches!(what, What::Clock(_)) { "" } else { NAME };
    Finding { severity, name: name.to_owned(), what }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn port(door: Door, heard: Heard) -> What {
    let port = if door == Door::Http { 80 } else { 443 };
    What::Port(Knock { door, address: SocketAddr::new([203, 0, 113, 8].into(), port), heard, around: false })
}

/// One of each kind.
fn every() -> Vec<What> {
    let address = IpAddr::from([203, 0, 113, 8]);
    let stray = "2001:db8::8".parse().unwrap();
    let zone = Some(Zone { name: "example.com".to_owned(), servers: vec!["ns1.example.net".to_owned()] });
    let example = || "example.com".to_owned();
    let records = || vec!["0 issue \"other.test\"".to_owned()];
    let mut every: Vec<What> = [
        Pointing::Here { address },
        Pointing::Through { address },
        Pointing::Elsewhere { address, own: vec![[203, 0, 113, 7].into()], nat: Nat::Unlikely },
        Pointing::Elsewhere { address, own: vec![[10, 0, 0, 5].into()], nat: Nat::Likely },
        Pointing::Elsewhere { address, own: vec![], nat: Nat::Likely },
        Pointing::Inside { address: [10, 0, 0, 1].into(), range: Range::Private },
        Pointing::Inside { address: [127, 0, 0, 1].into(), range: Range::Loopback },
        Pointing::Inside { address: [198, 18, 0, 1].into(), range: Range::Benchmark },
        Pointing::StrayIpv6 { address: stray, own: vec![] },
        Pointing::StrayIpv6 { address: stray, own: vec!["2001:db8::7".parse().unwrap()] },
        Pointing::NoSuchName { zone: zone.clone() },
        Pointing::NoSuchName { zone: None },
        Pointing::NoAddress { zone },
        Pointing::LookupFailed { record: "A", failure: Failure::ServFail },
        Pointing::LookupFailed { record: "A", failure: Failure::TimedOut },
        Pointing::LookupFailed { record: "A", failure: Failure::Other },
    ]
    .map(What::Name)
    .into();
    let other = |status, server: Option<&str>| Heard::Other { status, server: server.map(str::to_owned) };
    for heard in [
        Heard::Portico,
        Heard::Refused,
        Heard::TimedOut,
        Heard::NoRoute,
        Heard::Silent,
        Heard::Cut,
        Heard::NoTls,
        other(Some(404), Some("nginx")),
        other(Some(404), None),
        other(None, None),
        Heard::FilingBlock,
    ] {
        let knock = Knock { door: Door::Http, address: at("203.0.113.8:80"), heard, around: true };
        every.push(What::Port(knock.clone()));
        every.push(What::Port(Knock { door: Door::Https, around: false, ..knock }));
    }
    let ours = Some("https://acme.test/account/7".to_owned());
    every.extend(
        [
            Verdict::Absent,
            Verdict::Permits { at: example() },
            Verdict::Forbids { at: example(), records: records(), wanted: "example.com. CAA …".to_owned() },
            Verdict::ForbidsMethod { at: example(), methods: "dns-01".to_owned(), challenge: "http-01" },
            Verdict::ForbidsAccount { at: example(), accounts: "x:y".to_owned(), ours },
            Verdict::ForbidsAccount { at: example(), accounts: "x:y".to_owned(), ours: None },
            Verdict::Critical { at: example(), tag: "policy".to_owned() },
            Verdict::Unknown { at: example(), records: records() },
            Verdict::Failed { at: example(), failure: Failure::ServFail },
            Verdict::Failed { at: example(), failure: Failure::TimedOut },
        ]
        .map(What::Caa),
    );
    every.extend(
        [
            clock::Verdict::Right,
            clock::Verdict::Ahead { seconds: 90 },
            clock::Verdict::Behind { seconds: 7200 },
        ]
        .map(What::Clock),
    );
    every
}

#[test]
fn what_is_said() {
    let mut said = String::new();
    for what in every() {
        let text = finding(Severity::Grave, what).text();
        for tongue in [Tongue::English, Tongue::Chinese] {
            said.push_str(text.pick(tongue));
            said.push('\n');
        }
        said.push('\n');
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_report_is_json_of_facts() {
    let report = Report {
        findings: vec![
            finding(Severity::Grave, port(Door::Http, Heard::Other { status: Some(404), server: None })),
            finding(Severity::Fine, What::Name(Pointing::Here { address: [203, 0, 113, 8].into() })),
            finding(Severity::Fine, What::Caa(Verdict::Absent)),
            finding(
                Severity::Grave,
                What::Caa(Verdict::Failed { at: "example.com".to_owned(), failure: Failure::ServFail }),
            ),
            finding(Severity::Notice, What::Clock(clock::Verdict::Ahead { seconds: 90 })),
        ],
    };
    let wanted = serde_json::json!({"findings": [
        {"severity": "grave", "name": NAME, "check": "port", "found":
            {"door": "http", "address": "203.0.113.8:80", "heard": {"other": {"status": 404, "server": null}}, "around": false}},
        {"severity": "fine", "name": NAME, "check": "name", "found": {"here": {"address": "203.0.113.8"}}},
        {"severity": "fine", "name": NAME, "check": "caa", "found": "absent"},
        {"severity": "grave", "name": NAME, "check": "caa", "found":
            {"failed": {"at": "example.com", "failure": "servfail"}}},
        {"severity": "notice", "check": "clock", "found": {"ahead": {"seconds": 90}}},
    ]});
    assert_eq!(serde_json::to_value(&report).unwrap(), wanted);
}

/// The refusal, the findings, and the one of them that explains it.
#[test]
fn the_likeliest_finding_explains_a_refusal() {
    let grave = |what| finding(Severity::Grave, what);
    let stray =
        grave(What::Name(Pointing::StrayIpv6 { address: "2001:db8::8".parse().unwrap(), own: vec![] }));
    let elsewhere = grave(What::Name(Pointing::Elsewhere {
        address: [203, 0, 113, 8].into(),
        own: vec![],
        nat: Nat::Unlikely,
    }));
    let no_name = grave(What::Name(Pointing::NoSuchName { zone: None }));
    let private =
        grave(What::Name(Pointing::Inside { address: [10, 0, 0, 1].into(), range: Range::Private }));
    let no_80 = grave(port(Door::Http, Heard::Refused));
    let no_443 = grave(port(Door::Https, Heard::TimedOut));
    let other_443 = grave(port(Door::Https, Heard::Other { status: Some(404), server: None }));
    let block = grave(port(Door::Http, Heard::FilingBlock));
    let good = finding(Severity::Fine, port(Door::Http, Heard::Portico));
    let example = || "example.com".to_owned();
    let forbidden = grave(What::Caa(Verdict::Critical { at: example(), tag: "x".to_owned() }));
    let caa_fails = grave(What::Caa(Verdict::Failed { at: example(), failure: Failure::ServFail }));
    let late = grave(What::Clock(clock::Verdict::Behind { seconds: 9000 }));
    use Challenge::{Auto, Dns01, Http01, TlsAlpn01};
    for (kind, challenge, findings, wanted) in [
        ("dns", Auto, vec![&no_80, &no_name], Some(&no_name)),
        ("dns", Auto, vec![&elsewhere, &private], Some(&private)),
        ("dns", Auto, vec![&elsewhere, &no_80], None),
        ("dns", Dns01, vec![&no_name, &caa_fails], Some(&caa_fails)),
        ("caa", Auto, vec![&no_80, &caa_fails, &forbidden], Some(&forbidden)),
        ("caa", Dns01, vec![&forbidden], Some(&forbidden)),
        ("connection", Auto, vec![&no_80, &stray, &elsewhere], Some(&stray)),
        ("connection", Auto, vec![&elsewhere, &no_443], Some(&no_443)),
        ("connection", Http01, vec![&no_443, &no_80], Some(&no_80)),
        ("connection", TlsAlpn01, vec![&no_80, &no_443], Some(&no_443)),
        ("connection", TlsAlpn01, vec![&no_80], None),
        ("connection", Auto, vec![&good], None),
        ("connection", Dns01, vec![&no_80, &stray], None),
        ("unauthorized", Auto, vec![&no_80, &elsewhere, &other_443], Some(&other_443)),
        ("unauthorized", Auto, vec![&other_443, &block], Some(&block)),
        ("incorrectResponse", Auto, vec![&elsewhere], Some(&elsewhere)),
        ("tls", Auto, vec![&late, &other_443], Some(&other_443)),
        ("tls", Auto, vec![&late], Some(&late)),
        ("rejectedIdentifier", Auto, vec![&no_80, &private], Some(&private)),
        ("rateLimited", Auto, vec![&no_80, &stray, &no_name], None),
        ("", Auto, vec![&no_80], None),
    ] {
        let findings: Vec<Finding> = findings.into_iter().cloned().collect();
        for prefix in ["urn:ietf:params:acme:error:", ""] {
            let kind = format!("{prefix}{kind}");
            for name in [None, Some(NAME)] {
                let refused = Refused { kind: &kind, detail: "", name, challenge };
                let text = explain(refused, &findings);
                assert_eq!(text, wanted.map(Finding::text), "{kind} {challenge:?} {findings:#?}");
            }
        }
    }
}

#[test]
fn what_was_found_for_another_name_explains_nothing() {
    let findings = [finding(Severity::Grave, port(Door::Http, Heard::Refused))];
    let refused = Refused {
        kind: "connection",
        detail: "",
        name: Some("other.example.com"),
        challenge: Challenge::Auto,
    };
    assert_eq!(explain(refused, &findings), None);
}

#[test]
fn what_the_authority_saw_counts_more_than_what_is_seen_from_here() {
    let detail = "203.0.113.7: Invalid response from https://dnspod.qcloud.com/static/webblock.html?d=chat.example.com: 566";
    let refused = Refused {
        kind: "urn:ietf:params:acme:error:unauthorized",
        detail,
        name: Some(NAME),
        challenge: Challenge::Http01,
    };
    let text = explain(refused, &[]).unwrap();
    let said = text.pick(Tongue::English);
    assert!(said.contains("ICP filing") && said.contains(NAME) && said.contains("\"dns-01\""), "{said}");
    assert_eq!(explain(Refused { kind: "rateLimited", ..refused }, &[]), None);
}
