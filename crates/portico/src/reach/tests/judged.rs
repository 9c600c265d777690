//! Addresses and doors, pure.

use std::net::SocketAddr;

use super::*;
use crate::reach::finding::{Door, Failure, Heard, Knock, Nat, Pointing, Range, What, Zone};
use crate::reach::judge::{Addresses, Found, Knocked, NameSeen, Seen, judge};

const NAME: &str = "chat.example.com";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

fn found<T>(records: Vec<T>) -> Found<T> {
    if records.is_empty() { Found::Nothing } else { Found::Records(records) }
}

fn asked(addresses: &[&str]) -> Addresses {
    let all = ips(addresses);
    let v4 = all.iter().filter_map(|ip| if let IpAddr::V4(v4) = ip { Some(*v4) } else { None }).collect();
    let v6 = all.iter().filter_map(|ip| if let IpAddr::V6(v6) = ip { Some(*v6) } else { None }).collect();
    Addresses::Asked { v4: found(v4), v6: found(v6), zone: None }
}

fn knocked(door: Door, address: &str, heard: Heard) -> Knocked {
    let port = if door == Door::Http { 80 } else { 443 };
    Knocked { door, address: SocketAddr::new(ip(address), port), heard }
}

fn judged(
    question: &Question,
    own: &[&str],
    addresses: Addresses,
    knocked: Vec<Knocked>,
) -> Vec<(Severity, What)> {
    let name = NameSeen { name: NAME.to_owned(), addresses, knocked, caa: Vec::new() };
    let findings = judge(question, &Seen { own: ips(own), names: vec![name] });
    findings.into_iter().map(|finding| (finding.severity, finding.what)).collect()
}

#[test]
fn an_address_is_here_elsewhere_or_inside() {
    use Severity::{Fine, Grave, Notice};
    let here = |address| Pointing::Here { address: ip(address) };
    let elsewhere =
        |address, own: &[&str], nat| Pointing::Elsewhere { address: ip(address), own: ips(own), nat };
    let inside = |address, range| Pointing::Inside { address: ip(address), range };
    let stray = |address: &str, own: &[&str]| Pointing::StrayIpv6 {
        address: address.parse().unwrap(),
        own: own.iter().map(|own| own.parse().unwrap()).collect(),
    };
    let public = &["127.0.0.1", "203.0.113.7", "::1", "fe80::1"][..];
    let private = &["127.0.0.1", "10.0.0.5"][..];
    for (own, address, severity, wanted) in [
        (public, "203.0.113.7", Fine, here("203.0.113.7")),
        (public, "203.0.113.8", Grave, elsewhere("203.0.113.8", &["203.0.113.7"], Nat::Unlikely)),
        (private, "203.0.113.8", Notice, elsewhere("203.0.113.8", &["10.0.0.5"], Nat::Likely)),
        (&["10.0.0.5", "203.0.113.7"], "203.0.113.7", Fine, here("203.0.113.7")),
        (&[], "203.0.113.8", Notice, elsewhere("203.0.113.8", &[], Nat::Likely)),
        // A private address is nothing that a public authority can come to, even where it is this machine's.
        (private, "10.0.0.5", Grave, inside("10.0.0.5", Range::Private)),
        (public, "192.168.1.2", Grave, inside("192.168.1.2", Range::Private)),
        (public, "100.64.0.1", Grave, inside("100.64.0.1", Range::Private)),
        (public, "127.0.0.1", Grave, inside("127.0.0.1", Range::Loopback)),
        (public, "198.18.0.4", Grave, inside("198.18.0.4", Range::Benchmark)),
        (public, "198.19.255.4", Grave, inside("198.19.255.4", Range::Benchmark)),
        (public, "fd00::1", Grave, inside("fd00::1", Range::Private)),
        (public, "2001:db8::7", Grave, stray("2001:db8::7", &[])),
        (&["203.0.113.7", "2001:db8::7"], "2001:db8::7", Fine, here("2001:db8::7")),
        (&["2001:db8::9", "fe80::1"], "2001:db8::7", Grave, stray("2001:db8::7", &["2001:db8::9"])),
    ] {
        let told = judged(&question(&[NAME]), own, asked(&[address]), Vec::new());
        assert_eq!(told, [(severity, What::Name(wanted))], "{address} with {own:?}");
    }
}

#[test]
fn what_matters_depends_on_the_authority_and_the_challenge() {
    let private = Question { authority: Authority::Other, ..question(&[NAME]) };
    let told = judged(&private, &["10.0.0.5"], asked(&["10.0.0.5"]), Vec::new());
    assert_eq!(told, [(Severity::Fine, What::Name(Pointing::Here { address: ip("10.0.0.5") }))]);
    let dns = Question { challenge: Challenge::Dns01, ..question(&[NAME]) };
    for addresses in [asked(&["203.0.113.8"]), asked(&["10.0.0.1"]), asked(&["2001:db8::7"]), asked(&[])] {
        let told = judged(&dns, &["203.0.113.7"], addresses.clone(), Vec::new());
        assert_eq!(told[0].0, Severity::Notice, "{addresses:?}");
    }
}

#[test]
fn where_portico_answers_the_way_does_not_matter() {
    let knocks = || vec![knocked(Door::Http, "203.0.113.8", Heard::Portico)];
    for (own, address) in [("203.0.113.7", "203.0.113.8"), ("10.0.0.5", "203.0.113.8")] {
        let told = judged(&question(&[NAME]), &[own], asked(&[address]), knocks());
        assert_eq!(told[0], (Severity::Fine, What::Name(Pointing::Through { address: ip(address) })));
    }
    // Another address of the same name is still wrong.
    let told = judged(&question(&[NAME]), &["203.0.113.7"], asked(&["203.0.113.8", "2001:db8::7"]), knocks());
    assert!(matches!(told[1], (Severity::Grave, What::Name(Pointing::StrayIpv6 { .. }))), "{told:?}");
}

#[test]
fn no_record_no_name_and_no_answer_are_told_apart() {
    use Found::{Failed, NoSuchName, Nothing, Records};
    let zone = Some(Zone { name: "example.com".to_owned(), servers: vec!["ns.example.net".to_owned()] });
    let here: std::net::Ipv4Addr = "203.0.113.7".parse().unwrap();
    let failed = |record, failure| Pointing::LookupFailed { record, failure };
    let (servfail, timed_out) = (Failure::ServFail, Failure::TimedOut);
    for (v4, v6, wanted) in [
        (NoSuchName, NoSuchName, vec![(Severity::Grave, Pointing::NoSuchName { zone: zone.clone() })]),
        (Nothing, Nothing, vec![(Severity::Grave, Pointing::NoAddress { zone: zone.clone() })]),
        (
            Failed(servfail),
            Failed(timed_out),
            vec![(Severity::Grave, failed("A", servfail)), (Severity::Grave, failed("AAAA", timed_out))],
        ),
        (Failed(servfail), Nothing, vec![(Severity::Grave, failed("A", servfail))]),
        (
            Records(vec![here]),
            Failed(servfail),
            vec![
                (Severity::Fine, Pointing::Here { address: here.into() }),
                (Severity::Notice, failed("AAAA", servfail)),
            ],
        ),
        (Records(vec![here]), Nothing, vec![(Severity::Fine, Pointing::Here { address: here.into() })]),
    ] {
        let addresses = Addresses::Asked { v4, v6, zone: zone.clone() };
        let told = judged(&question(&[NAME]), &["203.0.113.7"], addresses.clone(), Vec::new());
        let wanted: Vec<_> = wanted.into_iter().map(|(s, pointing)| (s, What::Name(pointing))).collect();
        assert_eq!(told, wanted, "{addresses:?}");
    }
}

#[test]
fn a_door_is_as_bad_as_the_challenge_needs_it() {
    use Challenge::{Auto, Dns01, Http01, TlsAlpn01};
    use Severity::{Fine, Grave, Notice};
    let other = || Heard::Other { status: Some(404), server: None };
    for (challenge, own, http, https, wanted) in [
        (Auto, "203.0.113.7", Heard::Portico, Heard::Portico, [Fine, Fine]),
        (Auto, "203.0.113.7", Heard::Refused, Heard::Portico, [Notice, Fine]),
        (Auto, "203.0.113.7", Heard::Portico, Heard::TimedOut, [Fine, Notice]),
        (Auto, "203.0.113.7", Heard::Refused, other(), [Grave, Grave]),
        (TlsAlpn01, "203.0.113.7", Heard::Silent, Heard::Cut, [Notice, Grave]),
        (Http01, "203.0.113.7", Heard::Silent, Heard::Cut, [Grave, Notice]),
        (Dns01, "203.0.113.7", Heard::FilingBlock, Heard::NoTls, [Notice, Notice]),
        (Http01, "203.0.113.7", Heard::FilingBlock, Heard::NoRoute, [Grave, Notice]),
        // Behind a router what is met there from inside says little, but a page of refusal says all.
        (Auto, "10.0.0.5", Heard::Refused, other(), [Notice, Notice]),
        (Auto, "10.0.0.5", Heard::FilingBlock, Heard::Cut, [Grave, Notice]),
    ] {
        let address = "203.0.113.7";
        let knocks =
            vec![knocked(Door::Http, address, http.clone()), knocked(Door::Https, address, https.clone())];
        let asking = Question { challenge, ..question(&[NAME]) };
        let told = judged(&asking, &[own], asked(&[address]), knocks);
        let ports: Vec<_> = told
            .iter()
            .filter_map(|(severity, what)| match what {
                What::Port(Knock { around, .. }) => {
                    assert_eq!(*around, own == "10.0.0.5");
                    Some(*severity)
                }
                _ => None,
            })
            .collect();
        assert_eq!(ports, wanted, "{challenge:?} {http:?} {https:?}");
    }
}
