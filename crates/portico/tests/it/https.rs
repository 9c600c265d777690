//! https at the edge: which certificate, which host, which answer in the clear, and whose connection it is.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use testkit::client::{self, Answer, Connection};
use testkit::net::Address;
use testkit::portico::Portico;
use testkit::tls::{self, Authority, Issued};
use testkit::wait::{self, SOON};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::authority::status;
use crate::command::{end_of, portico};
use crate::support::binary;

/// `issuer = "files"` with a pair of the test's own authority, in the folder of the test.
struct Files {
    authority: Authority,
    portico: Portico,
}

const NAMES: [&str; 2] = ["chat.test", "lab.test"];

fn configuration(listen: &str, tls: &str) -> String {
    format!(
        "[site]\nnames = [\"chat.test\", \"lab.test:8443\"]\ndata_dir = \"{{folder}}/data\"\n\
         [listen]\nhttp = [\"127.0.0.1:{{port}}\"]\nhttps = [\"127.0.0.1:{{port:https}}\"]\n\
         admin = \"unix:{{folder}}/admin.sock\"\n{listen}\n\
         [tls]\nissuer = \"files\"\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n{tls}\n\
         [access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\", \"192.0.2.0/24\"]\n\
         [log]\naccess = \"{{folder}}/access.log\"\n[health]\ninterval = \"0s\"\n"
    )
}

impl Files {
    async fn start(listen: &str, tls: &str) -> Self {
        let authority = Authority::new("the company's own");
        let issued = authority.issue(&NAMES);
        // The files lie beside the configuration before it starts.
        let portico = Portico::launch(binary(), &configuration(listen, tls), |command| {
            let folder = command.get_current_dir().expect("it has a folder").to_owned();
            place(&folder, &issued);
        });
        portico.serves().await;
        Self { authority, portico }
    }

    fn https(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.portico.port("https")))
    }

    async fn connect(&self, name: &str) -> std::io::Result<Connection> {
        tls::connect(self.https(), name, &self.authority.pem()).await
    }

    /// One request over https: the name in the handshake, the name in the request.
    async fn ask(&self, server_name: &str, host: &str, target: &str) -> Answer {
        let mut connection = self.connect(server_name).await.unwrap();
        connection.request("GET", target, &[("Host", host)], &[]).await.unwrap();
        connection.answer().await.unwrap()
    }

    async fn plain(&self, method: &str, host: &str, target: &str) -> Answer {
        client::once(&self.portico.address(), method, target, &[("Host", host)], &[]).await.unwrap()
    }

    /// The serial number that handshakes get.
    async fn serial(&self) -> Value {
        status(&self.portico).await["certificate"]["serial"].clone()
    }
}

fn place(folder: &Path, issued: &Issued) {
    write(&folder.join("chain.pem"), &issued.certificate_pem, 0o644);
    write(&folder.join("key.pem"), &issued.key_pem, 0o600);
}

/// In one step, as certificate tools do it.
fn write(path: &Path, content: &str, mode: u32) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn plain_http_is_sent_on_or_refused() {
    let site = Files::start("", "").await;
    for (method, host, target, status, location) in [
        ("GET", "chat.test", "/", 301, Some("https://chat.test/")),
        ("HEAD", "CHAT.test.", "/a%2Fb?x=1&y", 301, Some("https://chat.test/a%2Fb?x=1&y")),
        ("POST", "chat.test", "/x", 308, Some("https://chat.test/x")),
        ("GET", "lab.test", "/", 301, Some("https://lab.test:8443/")),
        ("GET", "lab.test:80", "/", 301, Some("https://lab.test:8443/")),
        ("GET", "chat.test", "//evil.test/x", 301, Some("https://chat.test//evil.test/x")),
        ("GET", "other.test", "/", 421, None),
        ("GET", "127.0.0.1", "/", 421, None),
        ("GET", "chat.test", "/v1/models", 403, None),
        ("POST", "chat.test", "/v1/chat/completions", 403, None),
        ("GET", "chat.test", "/v1/unknown", 403, None),
        ("GET", "chat.test", "/health", 200, None),
        ("GET", "other.test", "/health", 200, None),
        ("GET", "other.test", "/.well-known/acme-challenge/none", 404, None),
    ] {
        let answer = site.plain(method, host, target).await;
        let seen = (answer.head.status, answer.head.header("location"));
        assert_eq!(seen, (status, location), "{method} {host} {target}");
        assert_eq!(answer.head.header("strict-transport-security"), None, "never in the clear");
    }
    let refused = site.plain("POST", "chat.test", "/v1/chat/completions").await;
    assert_eq!(refused.json()["error"]["code"], "https_required");
    assert_eq!(refused.json()["error"]["type"], "permission_error");
    // A proxy in front that is trusted says where TLS ended; nobody else does.
    let said = [("Host", "chat.test"), ("X-Forwarded-Proto", "https")];
    let claimed = client::once(&site.portico.address(), "GET", "/", &said, &[]).await.unwrap();
    assert_eq!(claimed.head.status, 301);
    let behind = Files::start("trusted_proxies = [\"127.0.0.1\"]", "").await;
    let answer = client::once(&behind.portico.address(), "GET", "/v1/models", &said, &[]).await.unwrap();
    assert_ne!(answer.head.status, 403, "{}", answer.text());
}

#[tokio::test]
async fn without_a_redirect_both_serve() {
    let site = Files::start("", "redirect = false").await;
    assert_eq!(site.plain("GET", "chat.test", "/v1/models").await.head.status, 200);
    assert_eq!(site.ask("chat.test", "chat.test", "/v1/models").await.head.status, 200);
}

#[tokio::test]
async fn f45_hosts_and_handshakes_have_to_agree() {
    let site = Files::start("", "").await;
    for (server_name, host, target, wanted) in [
        ("chat.test", "chat.test", "/v1/models", 200),
        ("chat.test", "CHAT.TEST:443", "/v1/models", 200),
        // One certificate is for both.
        ("chat.test", "lab.test", "/v1/models", 200),
        ("chat.test", "other.test", "/v1/models", 421),
        ("chat.test", "127.0.0.1", "/v1/models", 421),
        ("chat.test", "other.test", "/health", 200),
    ] {
        let answer = site.ask(server_name, host, target).await;
        assert_eq!(answer.head.status, wanted, "{server_name} {host} {target}");
        let remembered = answer.head.header("strict-transport-security");
        let is_ours = host.to_ascii_lowercase().starts_with("chat.test") || host == "lab.test";
        assert_eq!(remembered, is_ours.then_some("max-age=15552000"), "{host}");
    }
    // A client that names nobody, or somebody else, gets the certificate all the same, and no page of ours.
    for (name, host, wanted) in [
        (None, "chat.test", 200),
        (Some("evil.test"), "chat.test", 421),
        (Some("evil.test"), "evil.test", 421),
    ] {
        let mut command = std::process::Command::new("curl");
        command.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", &format!("Host: {host}")]);
        let port = site.https().port();
        match name {
            None => command.arg(format!("https://127.0.0.1:{port}/v1/models")),
            Some(name) => command
                .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
                .arg(format!("https://{name}:{port}/v1/models")),
        };
        assert_eq!(end_of(command).await.stdout, wanted.to_string(), "{name:?} {host}");
    }
    let record =
        site.portico.wait_for_record("access.log", "one over TLS", |line| line["tls"] == "TLSv1.3").await;
    assert_eq!(record["protocol"], "HTTP/1.1");
}

#[tokio::test]
async fn http_2_is_spoken_and_what_is_no_tls_is_told_so() {
    let site = Files::start("", "").await;
    let port = site.https().port();
    let mut command = std::process::Command::new("curl");
    command.args(["-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]);
    command.args(["--resolve", &format!("chat.test:{port}:127.0.0.1")]);
    command.arg(format!("https://chat.test:{port}/v1/models"));
    assert_eq!(end_of(command).await.stdout, "2 200");
    // Somebody types the port of https behind http://.
    let answer = client::get(&Address::Tcp(site.https()), "/").await.unwrap();
    assert_eq!(answer.head.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    // Bytes that are neither, a handshake that never goes on, and one that only a check by an authority would make.
    let mut garbage = TcpStream::connect(site.https()).await.unwrap();
    garbage.write_all(&[0x80, 0x2e, 1, 3, 0]).await.unwrap();
    assert!(is_closed(garbage).await);
    let mut check = std::process::Command::new("openssl");
    check.args([
        "s_client",
        "-connect",
        &format!("127.0.0.1:{port}"),
        "-servername",
        "chat.test",
        "-alpn",
        "acme-tls/1",
    ]);
    assert_ne!(end_of(check).await.exit, testkit::process::Exit::Code(0));
}

async fn is_closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn the_oldest_version_is_the_configured_one_and_sessions_are_resumed() {
    for (tls, oldest_is_spoken) in [("", true), ("min_version = \"1.3\"", false)] {
        let site = Files::start("", tls).await;
        let port = site.https().port();
        let openssl = |more: &[&str]| {
            let mut command = std::process::Command::new("openssl");
            command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "chat.test"]);
            command.args(more);
            command
        };
        let spoken = end_of(openssl(&["-tls1_2"])).await.exit == testkit::process::Exit::Code(0);
        assert_eq!(spoken, oldest_is_spoken, "{tls:?}");
        let tls_1_1 = end_of(openssl(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])).await;
        assert_ne!(tls_1_1.exit, testkit::process::Exit::Code(0), "TLS 1.1 is never spoken");
        if oldest_is_spoken {
            let again = end_of(openssl(&["-tls1_2", "-reconnect"])).await.stdout;
            assert!(again.matches("Reused, TLSv1.2").count() == 5, "{again}");
        }
    }
}

#[tokio::test]
async fn f21_files_are_taken_over_when_they_are_good() {
    let site = Files::start("", "").await;
    let folder = site.portico.folder().to_owned();
    let first = site.serial().await;
    let changes = async |wanted: bool, what: &str| {
        let before = site.serial().await;
        wait::until(SOON, what, async || {
            let now = status(&site.portico).await;
            let changed = now["certificate"]["serial"] != before;
            if wanted { changed.then_some(()) } else { now["last_error"].is_object().then_some(()) }
        })
        .await;
        assert_eq!(site.serial().await != before, wanted, "{what}");
        assert!(site.connect("chat.test").await.is_ok(), "{what}: a good certificate is served");
    };
    let next = site.authority.issue(&NAMES);
    place(&folder, &next);
    changes(true, "a new pair is taken over").await;
    assert_ne!(site.serial().await, first);
    // The key of another certificate, a torn file, one that everybody can read.
    let another = site.authority.issue(&NAMES);
    write(&folder.join("key.pem"), &another.key_pem, 0o600);
    changes(false, "a key of another certificate is refused").await;
    let kind = async || status(&site.portico).await["last_error"]["kind"].clone();
    assert_eq!(kind().await, "unusable");
    write(&folder.join("chain.pem"), &another.certificate_pem, 0o644);
    changes(true, "when the chain follows, both are taken").await;
    write(&folder.join("chain.pem"), &another.certificate_pem[..200], 0o644);
    changes(false, "half a chain is refused").await;
    let last = site.authority.issue(&NAMES);
    write(&folder.join("chain.pem"), &last.certificate_pem, 0o644);
    write(&folder.join("key.pem"), &last.key_pem, 0o644);
    wait::until(SOON, "a key that everybody can read is refused", async || {
        (kind().await == "readable").then_some(())
    })
    .await;
    let shown = crate::command::ask(&site.portico, &["cert", "status"]).await.stdout;
    assert!(shown.contains("chmod 600"), "{shown}");
    std::fs::set_permissions(folder.join("key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    write(&folder.join("key.pem"), &last.key_pem, 0o600);
    changes(true, "it is taken when it is its owner's alone").await;
}

#[tokio::test]
async fn f19_without_its_files_it_starts_with_a_stand_in() {
    let portico = Portico::launch(binary(), &configuration("", ""), |_| {});
    portico.serves().await;
    let now = status(&portico).await;
    assert_eq!((&now["state"], &now["last_error"]["kind"]), (&"stand_in".into(), &"unreadable".into()));
    portico.wait_for_line("stderr", "a self-signed one stands in").await;
    let authority = Authority::new("late");
    place(portico.folder(), &authority.issue(&NAMES));
    wait::until(SOON, "the files are found", async || {
        (status(&portico).await["state"] == "valid").then_some(())
    })
    .await;
}

#[tokio::test]
async fn local_mode_serves_https_by_its_own_authority() {
    let configuration = "[site]\ndata_dir = \"{folder}/data\"\n[listen]\nhttp = [\"127.0.0.1:{port}\"]\n\
         https = [\"127.0.0.1:{port:https}\"]\nadmin = \"unix:{folder}/admin.sock\"\n[health]\ninterval = \"0s\"\n";
    let portico = Portico::start(binary(), configuration).await;
    let root = std::fs::read_to_string(portico.folder().join("data/certificates/local/ca.pem")).unwrap();
    let https = SocketAddr::from(([127, 0, 0, 1], portico.port("https")));
    for name in ["localhost", "127.0.0.1"] {
        let mut connection = tls::connect(https, name, &root).await.unwrap();
        connection.request("GET", "/", &[("Host", name)], &[]).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.head.status, answer.head.header("strict-transport-security")), (200, None));
    }
    assert_eq!(portico.get("/").await.head.status, 200, "http serves too");
    let now = status(&portico).await;
    assert_eq!((&now["issuer"], &now["state"]), (&"local".into(), &"valid".into()));
    let said = crate::command::ask(&portico, &["cert", "renew"]).await.expect(1).stderr;
    assert!(said.contains("does not come from a certificate authority"), "{said}");
    let greeting = portico.process().stdout();
    assert!(greeting.contains(&format!("https://localhost:{}/", https.port())), "{greeting}");
    // Kept over a restart, so that trust in it lasts.
    let portico = portico.crash_and_launch(binary(), configuration);
    portico.serves().await;
    assert!(tls::connect(https, "localhost", &root).await.is_ok());
}

#[tokio::test]
async fn a_port_of_https_that_nobody_asked_for_costs_https_alone() {
    let taken = std::net::TcpListener::bind("127.0.0.1:8443");
    let configuration = "[site]\ndata_dir = \"{folder}/data\"\n[listen]\nhttp = [\"127.0.0.1:{port}\"]\n\
         admin = \"unix:{folder}/admin.sock\"\n";
    // Whoever holds it, this test or another program: it can't be had.
    let portico = Portico::start(binary(), configuration).await;
    drop(taken);
    portico.wait_for_line("stderr", "https is not served").await;
    let written = configuration.replace("admin", "https = [\"127.0.0.1:{port}\"]\nadmin");
    let folder = testkit::temporary::Folder::new();
    std::fs::write(
        folder.path().join("portico.toml"),
        written.replace("{folder}", &folder.path().display().to_string()).replace("{port}", "18443"),
    )
    .unwrap();
    let said = portico_check(folder.path()).await;
    assert!(said.contains("collides"), "{said}");
}

async fn portico_check(folder: &Path) -> String {
    portico(folder, &["check"]).await.expect(2).stderr
}

#[tokio::test]
async fn f46_the_proxy_protocol_is_for_trusted_proxies_alone() {
    let listen = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true";
    let authority = Authority::new("behind a balancer");
    let issued = authority.issue(&NAMES);
    let portico = Portico::launch(binary(), &configuration(listen, ""), |command| {
        place(command.get_current_dir().expect("it has a folder"), &issued);
    });
    let http = Address::loopback(portico.port(""));
    let asked = async |head: &[u8]| {
        let Ok(mut connection) = Connection::try_open(&http).await else { return None };
        let request = b"GET /health HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n";
        connection.send([head, request].concat()).await.ok()?;
        connection.answer().await.ok().map(|answer| answer.head.status)
    };
    wait::until(SOON, "it listens", async || asked(b"PROXY TCP4 192.0.2.7 127.0.0.1 5 80\r\n").await).await;
    let record = portico
        .wait_for_record("access.log", "the announced client", |line| line["remote"] == "192.0.2.7")
        .await;
    assert_eq!(record["status"], 200);
    // It has to be there, and has to be right.
    assert_eq!(asked(b"").await, None);
    assert_eq!(asked(b"PROXY TCP4 192.0.2.7 127.0.0.1 5\r\n").await, None);
    // The address that is announced is the one that networks decide over.
    let mut connection = Connection::try_open(&http).await.unwrap();
    let request = b"PROXY TCP4 203.0.113.9 127.0.0.1 5 80\r\nGET /v1/x HTTP/1.1\r\nHost: chat.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    connection.send(request).await.unwrap();
    let refused = connection.answer().await.unwrap();
    assert_eq!(refused.json()["error"]["code"], "https_required", "a stranger's headers are not believed");
    // In front of TLS as well, in its second version.
    let mut stream = TcpStream::connect(("127.0.0.1", portico.port("https"))).await.unwrap();
    let mut head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    head.extend([192, 0, 2, 8, 127, 0, 0, 1, 0, 5, 1, 187]);
    stream.write_all(&head).await.unwrap();
    let mut connection = tls::over(stream, "chat.test", &authority.pem()).await.unwrap();
    connection.request("GET", "/v1/models", &[("Host", "chat.test")], &[]).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().head.status, 200);
    portico
        .wait_for_record("access.log", "the client over TLS", |line| {
            line["remote"] == "192.0.2.8" && line["tls"] == "TLSv1.3"
        })
        .await;
    // A stranger's line is no request.
    let strangers = Files::start("proxy_protocol = true", "").await;
    let mut connection = strangers.portico.connect().await;
    connection
        .send(b"PROXY TCP4 192.0.2.7 127.0.0.1 5 80\r\nGET /health HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(connection.answer().await.unwrap().head.status, 400);
}
