//! The certificate authority: certbot, which is nobody's of ours, gets what it should.

use std::net::Ipv4Addr;

use testkit::{
    acme::{Caa, PROGRAMS, Pebble, PebbleOptions, Resource, Shim},
    dns::question::{Kind, ask},
    net::free_port,
    process::Exit,
    programs, tls,
};

use crate::certbot::{self, Certbot};

#[tokio::test]
async fn certbot_gets_a_certificate_that_its_root_vouches_for() {
    if !certbot::here() {
        return;
    }
    let port = free_port();
    let options = PebbleOptions { http_port: port, validity_seconds: Some(120), ..PebbleOptions::default() };
    let mut pebble = Pebble::start(options).await;
    let certbot = Certbot::new();
    let (exit, output) = certbot.over_http(&pebble, &pebble.directory(), port, "a.test", &[]).await;
    assert_eq!(exit, Exit::Code(0), "{output}\n{}", pebble.log());
    assert!(certbot.verifies("a.test", &pebble.root_pem().await));

    let serial = certbot.shown("a.test", "-serial").replace("serial=", "");
    assert_eq!(pebble.certificate_status(&serial).await.as_deref(), Some("Valid"));
    // Two minutes are asked for: it is over within five, not within one.
    assert!(certbot.ends_within("a.test", 300) && !certbot.ends_within("a.test", 60));

    // Another memory, other keys, the same address.
    let directory = pebble.directory();
    pebble.restart().await;
    assert_eq!(pebble.directory(), directory);
    assert_eq!(pebble.certificate_status(&serial).await, None);
    assert!(!certbot.verifies("a.test", &pebble.root_pem().await));
    let (exit, output) = certbot.over_http(&pebble, &pebble.directory(), port, "b.test", &[]).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("accountDoesNotExist"), "{output}");

    pebble.stop();
    assert!(tls::get(pebble.port(), "/dir", pebble.ca_pem()).await.is_err());
    pebble.restart().await;
    assert_eq!(tls::get(pebble.port(), "/dir", pebble.ca_pem()).await.unwrap().head.status, 200);
}

#[tokio::test]
async fn an_account_needs_its_external_key_and_a_blocked_name_is_refused() {
    if !certbot::here() {
        return;
    }
    let port = free_port();
    let blocked_names = vec!["blocked.test".to_owned()];
    let options = PebbleOptions { http_port: port, eab: true, blocked_names, ..PebbleOptions::default() };
    let pebble = Pebble::start(options).await;
    let certbot = Certbot::new();
    let (exit, output) = certbot.over_http(&pebble, &pebble.directory(), port, "a.test", &[]).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("external account binding"), "{output}");
    let key = ["--eab-kid", pebble.eab_kid(), "--eab-hmac-key", pebble.eab_hmac_base64url()];
    let (exit, output) = certbot.over_http(&pebble, &pebble.directory(), port, "a.test", &key).await;
    assert_eq!(exit, Exit::Code(0), "{output}");
    let (exit, output) =
        certbot.over_http(&pebble, &pebble.directory(), port, "www.blocked.test", &key).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("rejectedIdentifier"), "{output}");
}

#[tokio::test]
async fn proven_names_stay_proven_and_chains_are_several_where_that_is_asked_for() {
    if !certbot::here() {
        return;
    }
    let port = free_port();
    let options = PebbleOptions {
        http_port: port,
        authz_reuse_percent: 100,
        sleep_seconds: 1,
        strict: true,
        alternate_chains: 1,
        ..PebbleOptions::default()
    };
    let pebble = Pebble::start(options).await;
    let shim = Shim::start(&pebble);
    let certbot = Certbot::new();
    for _ in 0..2 {
        let again = ["--force-renewal"];
        let (exit, output) = certbot.over_http(&pebble, &shim.directory(), port, "a.test", &again).await;
        assert_eq!(exit, Exit::Code(0), "{output}");
    }
    assert_eq!((shim.count(Resource::NewOrder), shim.count(Resource::Challenge)), (2, 1));
    assert_eq!(pebble.log().matches("Generated issuance chain").count(), 2);
    assert!(pebble.log().contains("maximum random VA sleep time to 1"), "{}", pebble.log());
    // The chain is the leaf and the intermediate, without the root.
    let intermediate = pebble.intermediate_pem().await;
    assert!(certbot.verifies("a.test", &format!("{intermediate}{}", pebble.root_pem().await)));
    assert!(!certbot.verifies("a.test", &intermediate));
}

#[tokio::test]
async fn nonces_are_refused_as_often_as_asked() {
    if !certbot::here() {
        return;
    }
    let pebble = Pebble::start(PebbleOptions { nonce_reject_percent: 100, ..PebbleOptions::default() }).await;
    let (exit, output) =
        Certbot::new().over_http(&pebble, &pebble.directory(), free_port(), "a.test", &[]).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("urn:ietf:params:acme:error:badNonce"), "{output}");
}

#[tokio::test]
async fn its_name_server_says_what_it_is_told() {
    if !programs::are_here(PROGRAMS) {
        return;
    }
    let pebble = Pebble::start(PebbleOptions::default()).await;
    let names = pebble.names();
    let asked = async |kind| {
        let reply = ask(names.address(), "a.test", kind).await.unwrap();
        (reply.code, reply.answers)
    };
    assert_eq!(asked(Kind::A).await, (0, vec!["127.0.0.1".to_owned()]));
    names.set_a("a.test", &[Ipv4Addr::new(192, 0, 2, 7)]).await;
    assert_eq!(asked(Kind::A).await, (0, vec!["192.0.2.7".to_owned()]));
    names.set_a("a.test", &[]).await;
    assert_eq!(asked(Kind::A).await, (0, vec!["127.0.0.1".to_owned()]));
    names.set_default_a(None).await;
    assert!(asked(Kind::A).await.1.is_empty());
    names.set_default_a(Some(Ipv4Addr::LOCALHOST)).await;
    names.add_txt("a.test", "one").await;
    names.add_txt("a.test", "two").await;
    assert_eq!(asked(Kind::Txt).await, (0, vec!["one".to_owned(), "two".to_owned()]));
    names.clear_txt("a.test").await;
    assert!(asked(Kind::Txt).await.1.is_empty());
    names.set_servfail("a.test", true).await;
    assert_eq!(asked(Kind::A).await.0, 2);
    names.set_servfail("a.test", false).await;
    assert_eq!(asked(Kind::A).await.0, 0);
    names.set_aaaa("a.test", &["2001:db8::7".parse().unwrap()]).await;
    names.set_caa("a.test", &[Caa { tag: "issue", value: "ca.test" }]).await;
    names.set_cname("b.test", "a.test").await;
    assert!(names.questions("a.test").await.len() >= 8);
    assert!(names.questions("c.test").await.is_empty());
}
