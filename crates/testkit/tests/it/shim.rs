//! The authority with moods: it is a whole authority, and each mood really happens.

use std::{
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use testkit::{
    acme::{self, Fault, Pebble, PebbleOptions, Renewal, Resource, RetryAfter, Shim},
    client::Answer,
    net::free_port,
    process::{Exit, Process},
    programs,
    temporary::Folder,
    tls,
    wait::SOON,
};

use crate::certbot::{self, Certbot};

async fn get(shim: &Shim, target: &str) -> std::io::Result<Answer> {
    tls::get(shim.port(), target, shim.ca_pem()).await
}

async fn directory(shim: &Shim) -> Value {
    get(shim, "/dir").await.unwrap().json()
}

/// The answers to `newOrder` with these members, and to the order's own URL if there is one.
async fn order(shim: &Shim, members: &Value) -> Vec<Value> {
    let folder = Folder::new();
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", include_str!("acme_order.py"), &shim.directory(), &members.to_string()]);
    command.env("REQUESTS_CA_BUNDLE", shim.ca_file());
    let process = Process::start(command, "order", folder.path());
    assert_eq!(process.wait(Duration::from_secs(60)).await, Exit::Code(0), "{}", process.output());
    process.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn certbot_takes_it_for_a_whole_authority() {
    if !certbot::here() {
        return;
    }
    let port = free_port();
    let pebble = Pebble::start(PebbleOptions { http_port: port, ..PebbleOptions::default() }).await;
    let shim = Shim::start(&pebble);
    let certbot = Certbot::new();
    let (exit, output) = certbot.over_http(&pebble, &shim.directory(), port, "a.test", &[]).await;
    assert_eq!(exit, Exit::Code(0), "{output}");
    assert!(certbot.verifies("a.test", &pebble.root_pem().await));

    let counts = shim.counts();
    for resource in [Resource::NewAccount, Resource::NewOrder, Resource::Challenge, Resource::Finalize] {
        assert_eq!(counts.get(&resource), Some(&1), "{resource:?} in {counts:?}");
    }
    assert_eq!(counts.get(&Resource::RenewalInfo), None);
    let asked = &shim.requests_for(Resource::NewOrder)[0];
    assert_eq!(asked.payload, json!({ "identifiers": [{ "type": "dns", "value": "a.test" }] }));
    assert_eq!(asked.protected["url"], format!("https://localhost:{}/order-plz", shim.port()));
    assert!(
        asked.protected["kid"]
            .as_str()
            .unwrap()
            .starts_with(&shim.directory().replace("/dir", "/my-account/"))
    );
    assert!(asked.user_agent.as_deref().unwrap().contains("CertbotACMEClient"));
    assert_eq!((asked.method.as_str(), asked.status), ("POST", Some(201)));

    shim.forget_requests();
    shim.fail(&[Resource::NewOrder], Fault::rate_limited(RetryAfter::Seconds(3600)));
    let (exit, output) = certbot.over_http(&pebble, &shim.directory(), port, "b.test", &[]).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("rateLimited") && output.contains("Retry-After: 3600"), "{output}");
    assert_eq!(shim.count(Resource::Finalize), 0);
    assert_eq!(shim.requests_for(Resource::NewOrder)[0].status, Some(429));
    // Pebble has not seen it.
    assert_eq!(pebble.log().matches("POST /order-plz").count(), 1);
}

#[tokio::test]
async fn an_order_says_again_what_it_was_asked_with() {
    if !certbot::here() {
        return;
    }
    let pebble = Pebble::start(PebbleOptions::default()).await;
    let shim = Shim::start(&pebble);
    let members = json!({ "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "profile": "shortlived" });
    let answers = order(&shim, &members).await;
    assert_eq!(answers.len(), 2);
    for answer in &answers {
        assert_eq!(answer["body"]["replaces"], members["replaces"]);
        assert_eq!(answer["body"]["profile"], "shortlived");
        assert_eq!(answer["body"]["status"], "pending");
    }
    assert_eq!(shim.requests_for(Resource::NewOrder)[0].payload["replaces"], members["replaces"]);

    shim.set_profiles(&[("classic", "ninety days")]);
    let answers = order(&shim, &json!({ "profile": "shortlived" })).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0]["status"], 400);
    assert_eq!(answers[0]["body"]["type"], "urn:ietf:params:acme:error:invalidProfile");
    assert!(answers[0]["headers"]["Replay-Nonce"].is_string());
    let answers = order(&shim, &json!({ "profile": "classic" })).await;
    assert_eq!(answers[1]["body"]["profile"], "classic");
    assert!(order(&shim, &json!({})).await[1]["body"].get("replaces").is_none());
}

#[tokio::test]
async fn renewal_information_and_profiles_are_what_the_test_says() {
    if !programs::are_here(acme::PROGRAMS) {
        return;
    }
    let pebble = Pebble::start(PebbleOptions::default()).await;
    let shim = Shim::start(&pebble);
    let plain = directory(&shim).await;
    assert!(plain.get("renewalInfo").is_none() && plain["meta"].get("profiles").is_none(), "{plain}");
    assert_eq!(plain["newOrder"], format!("https://localhost:{}/order-plz", shim.port()));
    assert_eq!(get(&shim, "/renewal-info/a.b").await.unwrap().head.status, 404);

    let second = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    shim.set_renewal(Some(Renewal::between(second(1_800_000_000), second(1_800_086_400))));
    let moved = Renewal {
        explanation_url: Some("https://localhost/why"),
        retry_after: None,
        ..Renewal::between(second(1_700_000_000), second(1_700_000_001))
    };
    shim.set_renewal_of("a.b", moved);
    shim.set_profiles(&[("shortlived", "six days"), ("classic", "ninety days")]);
    let said = directory(&shim).await;
    assert_eq!(said["renewalInfo"], format!("https://localhost:{}/renewal-info", shim.port()));
    assert_eq!(said["meta"]["profiles"], json!({ "shortlived": "six days", "classic": "ninety days" }));
    assert!(said["meta"].get("termsOfService").is_some());

    let answer = get(&shim, "/renewal-info/c.d").await.unwrap();
    assert_eq!(answer.head.header("retry-after"), Some("21600"));
    assert_eq!(
        answer.json(),
        json!({ "suggestedWindow": { "start": "2027-01-15T08:00:00Z", "end": "2027-01-16T08:00:00Z" } })
    );
    let answer = get(&shim, "/renewal-info/a.b").await.unwrap();
    assert_eq!(answer.head.header("retry-after"), None);
    assert_eq!(answer.json()["suggestedWindow"]["end"], "2023-11-14T22:13:21Z");
    assert_eq!(answer.json()["explanationURL"], "https://localhost/why");
    assert_eq!(shim.renewal_queries(), ["a.b", "c.d", "a.b"]);
}

#[tokio::test]
async fn each_fault_happens_and_passes() {
    if !programs::are_here(acme::PROGRAMS) {
        return;
    }
    let pebble = Pebble::start(PebbleOptions::default()).await;
    let shim = Shim::start(&pebble);
    let fail = |fault| shim.fail_next(Resource::Directory, 1, fault);

    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_014_400);
    fail(Fault::rate_limited(RetryAfter::Date(noon)));
    let answer = get(&shim, "/dir").await.unwrap();
    assert_eq!(answer.head.status, 429);
    assert_eq!(answer.head.header("retry-after"), Some("Fri, 15 Jan 2027 12:00:00 GMT"));
    assert_eq!(answer.head.header("content-type"), Some("application/problem+json"));
    assert!(answer.head.header("replay-nonce").is_some());
    assert_eq!(answer.json()["type"], "urn:ietf:params:acme:error:rateLimited");

    shim.fail_next(
        Resource::Directory,
        2,
        Fault::Page { status: 503, retry_after: Some(RetryAfter::Text("soon")) },
    );
    for _ in 0..2 {
        let answer = get(&shim, "/dir").await.unwrap();
        assert_eq!((answer.head.status, answer.head.header("retry-after")), (503, Some("soon")));
        assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    }
    assert_eq!(get(&shim, "/dir").await.unwrap().head.status, 200);

    fail(Fault::Close);
    assert!(get(&shim, "/dir").await.is_err());
    fail(Fault::Cut);
    assert_eq!(get(&shim, "/dir").await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    fail(Fault::Padded { bytes: 3_000_000 });
    let answer = get(&shim, "/dir").await.unwrap();
    assert!(answer.body.len() > 3_000_000 && answer.json()["newOrder"].is_string());
    let started = Instant::now();
    fail(Fault::Slow(Duration::from_millis(300)));
    assert_eq!(get(&shim, "/dir").await.unwrap().head.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));

    fail(Fault::Hang);
    let address = ([127, 0, 0, 1], shim.port()).into();
    let mut hanging = tls::connect(address, "localhost", shim.ca_pem()).await.unwrap();
    hanging.set_deadline(Duration::from_millis(200));
    hanging.request("GET", "/dir", &[], &[]).await.unwrap();
    assert_eq!(hanging.head().await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert!(shim.requests().iter().filter(|request| request.fault.is_some()).count() == 8);

    shim.fail(Resource::ALL, Fault::Page { status: 500, retry_after: None });
    for target in ["/dir", "/nonce-plz", "/renewal-info/a.b", "/whatever"] {
        assert_eq!(get(&shim, target).await.unwrap().head.status, 500, "{target}");
    }
    shim.clear_faults();
    assert_eq!(get(&shim, "/dir").await.unwrap().head.status, 200);

    // With the value goes the hanging connection, too.
    drop(shim);
    assert!(hanging.is_closed_within(SOON).await);
}

#[tokio::test]
async fn a_pebble_that_went_away_is_seen_and_comes_back() {
    if !programs::are_here(acme::PROGRAMS) {
        return;
    }
    let mut pebble = Pebble::start(PebbleOptions::default()).await;
    let shim = Shim::start(&pebble);
    pebble.stop();
    assert_eq!(get(&shim, "/dir").await.unwrap().head.status, 502);
    pebble.restart().await;
    assert_eq!(get(&shim, "/dir").await.unwrap().head.status, 200);
}

/// The scanner sees a real server, and says so in a form that tests can read.
#[tokio::test]
async fn sslyze_scans_it() {
    if !programs::are_here(acme::PROGRAMS) {
        return;
    }
    let pebble = Pebble::start(PebbleOptions::default()).await;
    let shim = Shim::start(&pebble);
    let folder = Folder::new();
    let report = folder.path().join("report.json");
    let mut command = programs::sslyze();
    command.args(["--tlsv1_1", "--tlsv1_3", "--json_out"]).arg(&report);
    command.arg(format!("localhost:{}", shim.port()));
    let process = Process::start(command, "sslyze", folder.path());
    // Its exit code speaks of Mozilla's recommendation, which is nothing to a shim.
    process.wait(Duration::from_secs(90)).await;
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let accepted = |version: &str| {
        let result = &report["server_scan_results"][0]["scan_result"][version]["result"];
        result["accepted_cipher_suites"].as_array().unwrap_or_else(|| panic!("{version}: {report}")).len()
    };
    assert_eq!((accepted("tls_1_1_cipher_suites"), accepted("tls_1_3_cipher_suites")), (0, 3));
}
