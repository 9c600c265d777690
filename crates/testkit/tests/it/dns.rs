//! The name server: updates change what it answers, and what it answers decides over a certificate.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, time::Duration};

use testkit::{
    acme::{Pebble, PebbleOptions},
    dns::{self, Knot, question::Kind},
    process::{Exit, Process},
    programs,
    temporary::Folder,
};

use crate::certbot::{self, Certbot};

fn here() -> bool {
    programs::are_here(dns::PROGRAMS) && programs::are_here(&["knsupdate"])
}

/// A script that sends one update; `{DOMAIN}` is `$CERTBOT_DOMAIN`'s place.
fn script(folder: &Folder, name: &str, knot: &Knot, key: &str, update: &str) -> PathBuf {
    let (address, zone) = (knot.address(), knot.zone());
    let text = format!(
        "#!/bin/sh\nknsupdate -y 'hmac-sha256:{}:{key}' <<END\nserver {} {}\nzone {zone}.\nupdate {update}\nsend\nEND\n",
        knot.key_name(),
        address.ip(),
        address.port(),
    );
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn run(folder: &Folder, script: PathBuf) -> Exit {
    Process::start(Command::new(script), "update", folder.path()).wait(Duration::from_secs(20)).await
}

#[tokio::test]
async fn updates_need_the_key_and_are_for_txt_records() {
    if !here() {
        return;
    }
    let knot = Knot::with("example.test", "mail A 192.0.2.1").await;
    let folder = Folder::new();
    let send =
        async |key: &str, update: &str| run(&folder, script(&folder, "send", &knot, key, update)).await;
    let name = "_acme-challenge.www.example.test";
    assert!(knot.txt(name).await.is_empty());
    let good = knot.key_base64();
    assert_eq!(send(good, &format!("add {name}. 1 TXT \"one\"")).await, Exit::Code(0));
    assert_eq!(send(good, &format!("add {name}. 1 TXT \"two\" \"parts\"")).await, Exit::Code(0));
    let mut texts = knot.txt(name).await;
    texts.sort();
    assert_eq!(texts, ["one", "twoparts"]);
    assert_eq!(send(good, &format!("delete {name}. TXT \"one\"")).await, Exit::Code(0));
    assert_eq!(knot.txt(name).await, ["twoparts"]);
    assert_eq!((knot.updates_taken(), knot.updates_refused()), (3, 0));

    let bad = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmchd3I=";
    assert_ne!(send(bad, &format!("add {name}. 1 TXT \"three\"")).await, Exit::Code(0));
    assert_ne!(send(good, "add mail.example.test. 1 A 192.0.2.2").await, Exit::Code(0));
    assert_eq!((knot.updates_taken(), knot.updates_refused()), (3, 2));
    assert_eq!(knot.txt(name).await, ["twoparts"]);
    assert_eq!(knot.ask("mail.example.test", Kind::A).await.answers, ["192.0.2.1"]);
    assert_eq!(knot.ask("any.example.test", Kind::A).await.answers, ["127.0.0.1"]);
    assert_eq!(knot.ask("other.test", Kind::A).await.code, 5);
}

#[tokio::test]
async fn certbot_proves_a_whole_domain_by_its_records() {
    if !(here() && certbot::here()) {
        return;
    }
    let knot = Knot::start("example.test").await;
    let pebble = Pebble::start(PebbleOptions { dns: Some(knot.address()), ..PebbleOptions::default() }).await;
    let (certbot, folder) = (Certbot::new(), Folder::new());
    let record = "_acme-challenge.$CERTBOT_DOMAIN.";
    let add = format!("add {record} 1 TXT \"$CERTBOT_VALIDATION\"");
    let add = script(&folder, "add", &knot, knot.key_base64(), &add);
    let remove = script(&folder, "remove", &knot, knot.key_base64(), &format!("delete {record} TXT"));
    let prove = async |hook: &str| {
        let manual = ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook", hook];
        let cleanup = ["--manual-cleanup-hook", &remove.to_string_lossy()];
        let names = ["-d", "example.test", "-d", "*.example.test"];
        certbot.run(&pebble, &pebble.directory(), &[&manual[..], &cleanup[..], &names[..]].concat()).await
    };
    // Nothing was set, nothing is proven.
    let (exit, output) = prove("true").await;
    assert_eq!(exit, Exit::Code(1));
    assert!(output.contains("urn:ietf:params:acme:error:unauthorized"), "{output}");

    let (exit, output) = prove(&add.to_string_lossy()).await;
    assert_eq!(exit, Exit::Code(0), "{output}\n{}", pebble.log());
    assert!(certbot.verifies("example.test", &pebble.root_pem().await));
    assert!(knot.txt("_acme-challenge.example.test").await.is_empty());
    assert!(knot.updates_taken() >= 4);
}
