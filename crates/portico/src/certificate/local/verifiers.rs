//! What real verifiers make of what the authority signs: the constraints have to hold for those who trust its root.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Authority, Wanted, issue};

/// Whether the certificate's own names and the root's constraints let a client in that asks for this name.
type Verifier = fn(&Path, &CertificateDer<'_>, &str) -> bool;

/// The same certificates for both: what is asked for, whether it should be accepted, and the certificate's names.
fn judge(verifier: Verifier) {
    let folder = tempfile::tempdir().unwrap();
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let host = owned(&["gpu", "gpu.example.org"]);
    let everywhere = ["0.0.0.0:443".parse().unwrap(), "[::]:443".parse().unwrap()];
    let addresses = ["192.168.1.5", "203.0.113.9", "2001:db8::9"].map(|text| text.parse().unwrap());
    let wanted = Wanted::new(&owned(&["chat.example.com"]), &everywhere, &host, &addresses);
    let now = SystemTime::now();
    // Opened again, so that what signs is what was read from the disk.
    Authority::open_or_make(folder.path(), &wanted, now).unwrap();
    let authority = Authority::open_or_make(folder.path(), &wanted, now).unwrap();
    let root = super::root_file(folder.path());
    let pair = authority.pair(&wanted, now).unwrap();
    for name in [
        "localhost",
        "gpu",
        "gpu.example.org",
        "gpu.local",
        "chat.example.com",
        "127.0.0.1",
        "::1",
        "192.168.1.5",
        "203.0.113.9",
        "2001:db8::9",
    ] {
        assert!(verifier(&root, &pair.chain()[0], name), "{name} is refused");
    }
    assert!(!verifier(&root, &pair.chain()[0], "other.local"), "a name that is not in the certificate");
    for (names, asked, accepted) in [
        (&["nas.home.arpa"][..], "nas.home.arpa", true),
        (&["example.com"], "example.com", false),
        (&["localhost", "example.com"], "localhost", false),
        (&["a.gpu"], "a.gpu", false),
        (&["a.chat.example.com"], "a.chat.example.com", false),
        (&["example.org"], "example.org", false),
        (&["10.1.2.3"], "10.1.2.3", true),
        (&["203.0.113.10"], "203.0.113.10", false),
        (&["2001:db8::a"], "2001:db8::a", false),
    ] {
        let made = issue::leaf(&authority.issuer, owned(names), now).unwrap();
        assert_eq!(verifier(&root, &made.certificate, asked), accepted, "{names:?} asked for as {asked}");
    }
    let other = tempfile::tempdir().unwrap();
    let other = Authority::open_or_make(other.path(), &wanted, now).unwrap().pair(&wanted, now).unwrap();
    assert!(!verifier(&root, &other.chain()[0], "localhost"), "another authority's certificate");
}

#[test]
fn rustls_holds_the_constraints() {
    judge(|root, certificate, name| {
        let mut roots = RootCertStore::empty();
        let root = super::Root::from_pem(&std::fs::read(root).unwrap()).unwrap();
        roots.add(root.certificate).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let verdict =
            verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::since_unix_epoch(now));
        verdict.is_ok()
    });
}

#[test]
fn openssl_holds_the_constraints() {
    judge(|root, certificate, name| {
        let leaf = root.with_file_name("judged.der");
        std::fs::write(&leaf, certificate).unwrap();
        let option = if name.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver", option, name, "-CAfile"])
            .args([root, &leaf])
            .output()
            .expect("openssl is there");
        output.status.success()
    });
}

/// In ten years, and not a day after.
#[test]
fn the_root_lasts_as_long_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let authority = Authority::open_or_make(folder.path(), &Wanted::new(&[], &[], &[], &[]), now).unwrap();
    let lasts = authority.root().not_after().duration_since(now).unwrap();
    assert!(lasts.abs_diff(Duration::from_secs(3650 * 86_400)) < Duration::from_secs(2), "{lasts:?}");
}
