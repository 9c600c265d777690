//! Looks at real name servers: Knot, which answers as a zone's own server does, and Pebble's, which is told what to say.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use testkit::net::free_port;
use testkit::process::Process;
use testkit::temporary::Folder;
use testkit::wait::{SOON, until};

use super::*;
use crate::reach::caa::Verdict;
use crate::reach::finding::{Door, Failure, Heard, Knock, Pointing, What, Zone};
use crate::reach::judge::Found;
use crate::sys::http::{Limits, Target, fetch};

struct NameServer {
    at: SocketAddr,
    _process: Process,
    _folder: Folder,
}

/// `lines` of the zone "example.test". In "broken.test" everything is SERVFAIL: its contents are missing.
async fn knot(lines: &str) -> NameServer {
    let folder = Folder::new();
    let port = free_port();
    let place = folder.path().display();
    let mut configuration = format!(
        "server:\n  rundir: {place}\n  listen: 127.0.0.1@{port}\ndatabase:\n  storage: {place}\nlog:\n  - target: stderr\n    any: info\nzone:\n"
    );
    for (zone, lines) in [
        ("test", Some("ns A 127.0.0.1\nexample NS ns.test.\nbroken NS ns.test.")),
        ("example.test", Some(lines)),
        ("broken.test", None),
    ] {
        configuration += &format!("  - domain: {zone}\n    storage: {place}\n    file: {zone}.zone\n");
        if let Some(lines) = lines {
            let head = "$TTL 60\n@ SOA ns.test. admin.test. 1 60 60 60 60\n@ NS ns.test.";
            let contents = format!("$ORIGIN {zone}.\n{head}\n{lines}\n");
            fs::write(folder.path().join(format!("{zone}.zone")), contents).unwrap();
        }
    }
    let file = folder.path().join("knot.conf");
    fs::write(&file, configuration).unwrap();
    let program =
        ["/usr/sbin/knotd", "/usr/bin/knotd"].into_iter().find(|path| fs::exists(path).is_ok_and(|is| is));
    let mut command = Command::new(program.unwrap_or("knotd"));
    command.arg("-c").arg(&file);
    let process = Process::start(command, "knotd", folder.path());
    let server = NameServer { at: ([127, 0, 0, 1], port).into(), _process: process, _folder: folder };
    answers(&server, "ns.test").await;
    server
}

/// Every name is 127.0.0.1 until it is told otherwise. The second value takes orders.
async fn pebble() -> (NameServer, Target) {
    let folder = Folder::new();
    let (port, orders) = (free_port(), free_port());
    let mut command = Command::new("pebble-challtestsrv");
    command.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
    command.args(["-dns01", &format!("127.0.0.1:{port}"), "-management", &format!("127.0.0.1:{orders}")]);
    let process = Process::start(command, "challtestsrv", folder.path());
    let server = NameServer { at: ([127, 0, 0, 1], port).into(), _process: process, _folder: folder };
    answers(&server, "any.test").await;
    let target = Target::Tcp { host: "127.0.0.1".to_owned(), port: orders };
    until(SOON, "the name server takes orders", async || {
        tell(&target, "clear-servfail", r#"{"host":"any.test"}"#).await
    })
    .await;
    (server, target)
}

async fn answers(server: &NameServer, name: &str) {
    until(SOON, "the name server answers", async || match Lookup::new(Some(server.at)).v4(name).await {
        Found::Records(_) => Some(()),
        _ => None,
    })
    .await;
}

async fn tell(orders: &Target, order: &str, body: &'static str) -> Option<()> {
    let limits = Limits { connect: SOON, total: SOON, max_body_bytes: 4096 };
    let body = Bytes::from_static(body.as_bytes());
    let answer = fetch(orders, Method::POST, &format!("/{order}"), &[], body, limits).await;
    answer.ok().filter(|(status, ..)| status.is_success()).map(|_| ())
}

async fn looked(server: &NameServer, name: &str) -> Vec<(Severity, What)> {
    let question = Question { resolver: Some(server.at), ..question(&[name]) };
    let report = look(&question).await;
    assert!(report.findings.iter().all(|finding| finding.name == name), "{report:?}");
    report.findings.into_iter().map(|finding| (finding.severity, finding.what)).collect()
}

/// The findings of some kind, as they come.
fn only(told: &[(Severity, What)], kind: fn(&What) -> bool) -> Vec<(Severity, What)> {
    told.iter().filter(|(_, what)| kind(what)).cloned().collect()
}

#[tokio::test]
async fn records_of_a_zone_are_read() {
    let server = knot(
        "a A 192.0.2.200\na AAAA 2001:db8::200\nalias CNAME a\nempty TXT x\nlonely A 192.0.2.201\ndangling CNAME no.example.test.",
    )
    .await;
    for name in ["a.example.test", "alias.example.test"] {
        let told = looked(&server, name).await;
        let addresses: Vec<IpAddr> = told
            .iter()
            .filter_map(|(_, what)| match what {
                What::Name(Pointing::Elsewhere { address, .. }) => Some(*address),
                What::Name(Pointing::StrayIpv6 { address, .. }) => Some((*address).into()),
                _ => None,
            })
            .collect();
        assert_eq!(addresses, ["192.0.2.200".parse::<IpAddr>().unwrap(), "2001:db8::200".parse().unwrap()]);
        assert_eq!(told.last(), Some(&(Severity::Fine, What::Caa(Verdict::Absent))), "{name}");
    }
    let told = looked(&server, "lonely.example.test").await;
    assert_eq!(told.len(), 2, "an address and no CAA record: {told:?}");
    let zone = Some(Zone { name: "example.test".to_owned(), servers: vec!["ns.test".to_owned()] });
    for (name, wanted) in [
        ("no.example.test", Pointing::NoSuchName { zone: zone.clone() }),
        ("a.b.no.example.test", Pointing::NoSuchName { zone: zone.clone() }),
        ("dangling.example.test", Pointing::NoSuchName { zone: zone.clone() }),
        ("empty.example.test", Pointing::NoAddress { zone }),
        ("not.registered.test", Pointing::NoSuchName { zone: None }),
    ] {
        assert_eq!(looked(&server, name).await[0], (Severity::Grave, What::Name(wanted)), "{name}");
    }
}

#[tokio::test]
async fn caa_records_are_climbed_to() {
    let server = knot(
        r#"
@ CAA 0 issue "other.test"
a.b A 192.0.2.200
le CAA 0 issue "letsencrypt.org; validationmethods=tls-alpn-01,http-01"
le CAA 0 issuewild ";"
dns CAA 0 issue "letsencrypt.org; validationmethods=dns-01"
account CAA 0 issue "letsencrypt.org; accounturi=https://acme.test/account/7"
critical CAA 128 policy "x"
critical CAA 0 issue "letsencrypt.org""#,
    )
    .await;
    let caa = async |name: &str| {
        let told = looked(&server, name).await;
        let caa = only(&told, |what| matches!(what, What::Caa(_)));
        assert_eq!(caa.len(), 1, "{told:?}");
        caa[0].clone()
    };
    let example = |label: &str| format!("{label}example.test");
    let records = vec![r#"0 issue "other.test""#.to_owned()];
    let wanted = r#"example.test. CAA 0 issue "letsencrypt.org""#.to_owned();
    let forbids = Verdict::Forbids { at: example(""), records, wanted };
    let wild = Verdict::Forbids {
        at: example("le."),
        records: vec![r#"0 issuewild ";""#.to_owned()],
        wanted: r#"le.example.test. CAA 0 issuewild "letsencrypt.org""#.to_owned(),
    };
    let methods = "dns-01".to_owned();
    let challenge = "tls-alpn-01, http-01";
    let accounts = "https://acme.test/account/7".to_owned();
    for (name, severity, wanted) in [
        ("a.b", Severity::Grave, forbids),
        ("le", Severity::Fine, Verdict::Permits { at: example("le.") }),
        ("under.le", Severity::Fine, Verdict::Permits { at: example("le.") }),
        ("*.le", Severity::Grave, wild),
        ("dns", Severity::Grave, Verdict::ForbidsMethod { at: example("dns."), methods, challenge }),
        (
            "account",
            Severity::Notice,
            Verdict::ForbidsAccount { at: example("account."), accounts, ours: None },
        ),
        (
            "critical",
            Severity::Grave,
            Verdict::Critical { at: example("critical."), tag: "policy".to_owned() },
        ),
    ] {
        assert_eq!(caa(&format!("{name}.example.test")).await, (severity, What::Caa(wanted)), "{name}");
    }
}

#[tokio::test]
async fn a_broken_zone_is_no_missing_name() {
    let server = knot("").await;
    let failure = Failure::ServFail;
    let lookup = |record| (Severity::Grave, What::Name(Pointing::LookupFailed { record, failure }));
    let at = "a.broken.test".to_owned();
    let caa = (Severity::Grave, What::Caa(Verdict::Failed { at, failure }));
    assert_eq!(looked(&server, "a.broken.test").await, [lookup("A"), lookup("AAAA"), caa]);
}

#[tokio::test]
async fn a_resolver_that_hangs_takes_two_seconds_and_no_more() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let names = ["a.example.test", "*.b.example.test", "c.d.e.f.example.test"];
    let asking = Question { resolver: Some(silent.local_addr().unwrap()), ..question(&names) };
    let began = Instant::now();
    let report = look(&asking).await;
    let took = began.elapsed();
    assert!(took < 2 * LOOK, "{took:?}");
    let failure = Failure::TimedOut;
    let wanted = What::Name(Pointing::LookupFailed { record: "A", failure });
    assert_eq!(report.findings[0].what, wanted);
    for name in names {
        let about = report.findings.iter().filter(|finding| finding.name == name);
        assert!(about.clone().count() > 0 && about.clone().all(|finding| finding.severity > Severity::Fine));
    }
}

#[tokio::test]
async fn records_that_fail_beside_others_that_do_not() {
    let (server, orders) = pebble().await;
    tell(&orders, "add-aaaa", r#"{"host":"six.test","addresses":["2001:db8::9"]}"#).await.unwrap();
    tell(&orders, "add-caa", r#"{"host":"caa.test","policies":[{"tag":"issue","value":"sectigo.com"}]}"#)
        .await
        .unwrap();
    tell(&orders, "set-servfail", r#"{"host":"bad.test"}"#).await.unwrap();
    let local = Question {
        authority: Authority::ZeroSsl,
        resolver: Some(server.at),
        ..question(&["six.test", "caa.test", "a.bad.test", "bad.test"])
    };
    let report = look(&local).await;
    let about = |name: &str| -> Vec<(Severity, What)> {
        let about = report.findings.iter().filter(|finding| finding.name == name);
        about.map(|finding| (finding.severity, finding.what.clone())).collect()
    };
    let six = about("six.test");
    assert!(matches!(six[1], (Severity::Grave, What::Name(Pointing::StrayIpv6 { .. }))), "{six:?}");
    let permits = Verdict::Permits { at: "caa.test".to_owned() };
    assert_eq!(about("caa.test").last(), Some(&(Severity::Fine, What::Caa(permits))));
    let failed = Verdict::Failed { at: "bad.test".to_owned(), failure: Failure::ServFail };
    let failed = (Severity::Grave, What::Caa(failed));
    assert_eq!(about("a.bad.test").last(), Some(&failed));
    assert_eq!(about("bad.test").last(), Some(&failed));
    let refused = Refused { kind: "caa", detail: "", name: Some("bad.test"), challenge: Challenge::Auto };
    assert!(explain(refused, &report.findings).is_some_and(|text| text.en.contains("SERVFAIL")));
}

#[tokio::test]
async fn a_whole_look_from_name_to_answer() {
    let (server, _) = pebble().await;
    let proof = Proof { token: "token".to_owned(), body: "token.thumbprint".to_owned() };
    let http =
        doors::door(doors::Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\ntoken.thumbprint"))
            .await
            .port();
    let nobody = free_port();
    let now = SystemTime::now();
    let asking = Question {
        ports: Ports { http: Some(http), https: Some(nobody) },
        authority: Authority::of(&Issuer::Directory("https://ca.test/dir".to_owned())),
        proof: Some(proof),
        resolver: Some(server.at),
        clock: Some(Clock { theirs: now, ours: now + Duration::from_secs(7200) }),
        ..question(&["chat.test", "127.0.0.1"])
    };
    let report = look(&asking).await;
    let mut wanted = Vec::new();
    for name in ["chat.test", "127.0.0.1"] {
        let mut told = |severity, what| wanted.push(Finding { severity, name: name.to_owned(), what });
        let heard = |door, port, heard| {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            What::Port(Knock { door, address, heard, around: false })
        };
        told(Severity::Fine, What::Name(Pointing::Here { address: [127, 0, 0, 1].into() }));
        told(Severity::Fine, heard(Door::Http, http, Heard::Portico));
        told(Severity::Notice, heard(Door::Https, nobody, Heard::Refused));
        if name == "chat.test" {
            told(Severity::Fine, What::Caa(Verdict::Absent));
        }
    }
    let clock = What::Clock(clock::Verdict::Ahead { seconds: 7200 });
    wanted.push(Finding { severity: Severity::Grave, name: String::new(), what: clock });
    assert_eq!(report, Report { findings: wanted });
}
