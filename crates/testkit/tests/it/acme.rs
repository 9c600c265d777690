//! The certificate authority: certbot, which is nobody's of ours, gets what it should.

use std::{net::Ipv4Addr, path::PathBuf, process::Command, time::Duration};

use testkit::{
    acme::{Caa, PROGRAMS, Pebble, PebbleOptions},
    dns::question::{Kind, ask},
    net::free_port,
    process::{Exit, Process},
    programs,
    temporary::Folder,
    tls,
};

/// A busy machine takes several seconds for Python alone.
const CERTBOT_DEADLINE: Duration = Duration::from_secs(90);

fn here() -> bool {
    programs::are_here(PROGRAMS) && programs::are_here(&["certbot", "openssl"])
}

struct Certbot {
    folder: Folder,
}

impl Certbot {
    fn new() -> Self {
        Self { folder: Folder::new() }
    }

    async fn run(&self, directory: &str, pebble: &Pebble, arguments: &[&str]) -> (Exit, String) {
        let mut command = Command::new("certbot");
        command.args(["certonly", "--non-interactive", "--agree-tos", "--server", directory]);
        command.args(["-m", "someone@example.test"]);
        for name in ["config", "work", "logs"] {
            command.arg(format!("--{name}-dir")).arg(self.folder.path().join(name));
        }
        command.args(arguments).env("REQUESTS_CA_BUNDLE", pebble.ca_file());
        let process = Process::start(command, "certbot", self.folder.path());
        let exit = process.wait(CERTBOT_DEADLINE).await;
        // Debian's certbot 2.1 stumbles over refusals when it prints them; its log has them whole.
        let log = std::fs::read_to_string(self.folder.path().join("logs/letsencrypt.log")).unwrap_or_default();
        (exit, process.output() + &log)
    }

    async fn over_http(&self, pebble: &Pebble, port: u16, name: &str, more: &[&str]) -> (Exit, String) {
        let port = port.to_string();
        let mut arguments =
            vec!["--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", &port, "-d", name];
        arguments.extend(more);
        self.run(&pebble.directory(), pebble, &arguments).await
    }

    fn live(&self, name: &str, file: &str) -> PathBuf {
        self.folder.path().join("config/live").join(name).join(file)
    }

    /// What OpenSSL reads in the certificate.
    fn shown(&self, name: &str, what: &str) -> String {
        let output = Command::new("openssl")
            .args(["x509", "-noout", what, "-in"])
            .arg(self.live(name, "cert.pem"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The chain that certbot got leads to the root.
fn verifies(folder: &Folder, root: &str, certbot: &Certbot, name: &str) -> bool {
    let file = folder.path().join("root.pem");
    std::fs::write(&file, root).unwrap();
    let status = Command::new("openssl")
        .arg("verify")
        .arg("-CAfile")
        .arg(file)
        .arg("-untrusted")
        .arg(certbot.live(name, "chain.pem"))
        .arg(certbot.live(name, "cert.pem"))
        .output()
        .unwrap();
    status.status.success()
}

#[tokio::test]
async fn certbot_gets_a_certificate_that_its_root_vouches_for() {
    if !here() {
        return;
    }
    let port = free_port();
    let options = PebbleOptions { http_port: port, validity_seconds: Some(120), ..PebbleOptions::default() };
    let mut pebble = Pebble::start(options).await;
    let certbot = Certbot::new();
    let (exit, output) = certbot.over_http(&pebble, port, "a.test", &[]).await;
    assert_eq!(exit, Exit::Code(0), "{output}\n{}", pebble.log());
    let folder = Folder::new();
    assert!(verifies(&folder, &pebble.root_pem().await, &certbot, "a.test"));

    let serial = certbot.shown("a.test", "-serial").replace("serial=", "");
    assert_eq!(pebble.certificate_status(&serial).await.as_deref(), Some("Valid"));
    // Two minutes are asked for: it is over within five, not within one.
    let ends_within = |seconds: &str| {
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-checkend", seconds, "-in"]).arg(certbot.live("a.test", "cert.pem"));
        !command.output().unwrap().status.success()
    };
    assert!(ends_within("300") && !ends_within("60"));

    // Another memory, other keys, the same address.
    let directory = pebble.directory();
    pebble.restart().await;
    assert_eq!(pebble.directory(), directory);
    assert_eq!(pebble.certificate_status(&serial).await, None);
    assert!(!verifies(&folder, &pebble.root_pem().await, &certbot, "a.test"));
    let (exit, output) = certbot.over_http(&pebble, port, "b.test", &[]).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("accountDoesNotExist"), "{output}");

    pebble.stop();
    assert!(tls::get(pebble.port(), "/dir", pebble.ca_pem()).await.is_err());
    pebble.restart().await;
    assert_eq!(tls::get(pebble.port(), "/dir", pebble.ca_pem()).await.unwrap().head.status, 200);
}

#[tokio::test]
async fn an_account_needs_its_external_key_and_a_blocked_name_is_refused() {
    if !here() {
        return;
    }
    let port = free_port();
    let blocked_names = vec!["blocked.test".to_owned()];
    let options = PebbleOptions { http_port: port, eab: true, blocked_names, ..PebbleOptions::default() };
    let pebble = Pebble::start(options).await;
    let certbot = Certbot::new();
    let (exit, output) = certbot.over_http(&pebble, port, "a.test", &[]).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("external account binding"), "{output}");
    let key = ["--eab-kid", pebble.eab_kid(), "--eab-hmac-key", pebble.eab_hmac_base64url()];
    let (exit, output) = certbot.over_http(&pebble, port, "a.test", &key).await;
    assert_eq!(exit, Exit::Code(0), "{output}");
    let (exit, output) = certbot.over_http(&pebble, port, "www.blocked.test", &key).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("rejectedIdentifier"), "{output}");
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
