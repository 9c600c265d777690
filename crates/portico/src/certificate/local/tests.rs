use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn wanted(names: &[&str], host: &[&str]) -> Wanted {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    Wanted::new(
        &owned(names),
        &["0.0.0.0:443".parse().unwrap()],
        &owned(host),
        &["192.168.1.5".parse().unwrap()],
    )
}

fn open(folder: &Path, wanted: &Wanted, now: SystemTime) -> Authority {
    Authority::open_or_make(folder, wanted, now).unwrap()
}

fn mode(folder: &Path, name: &str) -> u32 {
    fs::metadata(folder.join("certificates").join(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_and_its_certificate_are_made_once() {
    let (folder, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
    let data_dir = folder.path().join("data");
    let wanted = wanted(&[], &["gpu", "gpu.example.org"]);
    let first = open(&data_dir, &wanted, now);
    assert_eq!(first.notices(), [Notice::Made { name: first.root().name.clone() }]);
    assert!(first.root().name.starts_with("Portico local CA (gpu, 20"), "{}", first.root().name);
    let pair = first.pair(&wanted, now).unwrap();
    assert_eq!(
        pair.leaf.names,
        ["localhost", "127.0.0.1", "::1", "gpu", "gpu.example.org", "gpu.local", "192.168.1.5"]
    );
    for (name, wanted) in
        [("local", 0o700), ("local/ca.pem", 0o644), ("local/ca.key", 0o600), ("local/leaf.pem", 0o600)]
    {
        assert_eq!(mode(&data_dir, name), wanted, "{name}");
    }
    let again = open(&data_dir, &wanted, now + DAY);
    assert!(again.notices().is_empty());
    assert_eq!(again.root().certificate, first.root().certificate);
    assert_eq!(again.pair(&wanted, now + DAY).unwrap().leaf, pair.leaf);
    let renewed = again.pair(&wanted, now + DAY * 61).unwrap();
    assert_ne!(renewed.leaf.serial, pair.leaf.serial);
    assert_eq!(open(&data_dir, &wanted, now).pair(&wanted, now + DAY * 61).unwrap().leaf, renewed.leaf);
}

#[test]
fn a_certificate_is_renewed_when_it_has_to_be() {
    let second = Duration::from_secs(1);
    let now = SystemTime::now();
    let leaf = Leaf {
        renewal_id: None,
        names: ["localhost", "gpu"].map(str::to_owned).to_vec(),
        not_before: now,
        not_after: now + DAY * 90,
        issuer: String::new(),
        serial: String::new(),
    };
    let localhost = ["localhost".to_owned()];
    for (at, new) in [
        (now, false),
        (now - second, true),
        (now + DAY * 60 - second, false),
        (now + DAY * 60, true),
        (now + DAY * 100, true),
        (SystemTime::UNIX_EPOCH + DAY, false),
    ] {
        assert_eq!(needs_new(&leaf, &localhost, at), new, "{at:?}");
    }
    assert!(!needs_new(&leaf, &["gpu".to_owned(), "localhost".to_owned()], now));
    assert!(needs_new(&leaf, &["localhost".to_owned(), "other".to_owned()], now));
}

#[test]
fn what_the_machine_happens_to_be_called_does_not_cost_the_trust() {
    let (folder, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
    let first = open(folder.path(), &wanted(&[], &["gpu"]), now);
    let renamed = wanted(&[], &["other"]);
    let second = open(folder.path(), &renamed, now);
    assert!(second.notices().is_empty());
    assert_eq!(first.root().certificate, second.root().certificate);
    let names = second.pair(&renamed, now).unwrap().leaf.names.clone();
    assert!(names.contains(&"other.local".to_owned()) && !names.contains(&"other".to_owned()), "{names:?}");
}

#[test]
fn what_the_configuration_asks_for_does_and_is_told() {
    let (folder, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
    let first = open(folder.path(), &wanted(&["chat.lan"], &["gpu"]), now);
    assert!(open(folder.path(), &wanted(&["other.lan"], &["gpu"]), now).notices().is_empty());
    let public = wanted(&["chat.example.com"], &["gpu"]);
    let second = open(folder.path(), &public, now);
    let why = Why::Uncovered(vec!["chat.example.com".to_owned()]);
    assert_eq!(second.notices(), [Notice::Replaced { name: second.root().name.clone(), why }]);
    let said = second.notices()[0].text();
    assert!(
        said.en.contains("chat.example.com") && said.en.contains("`portico cert trust` again"),
        "{said:?}"
    );
    assert!(second.pair(&public, now).unwrap().leaf.covers("chat.example.com"));
    let (current, former) = roots(folder.path()).unwrap();
    assert_eq!(current.unwrap().certificate, second.root().certificate);
    assert_eq!(former.len(), 1);
    assert_eq!(former[0].certificate, first.root().certificate);
}

#[test]
fn an_authority_at_its_end_is_replaced_and_a_clock_in_1970_judges_nothing() {
    let (folder, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
    let wanted = wanted(&[], &["gpu"]);
    let first = open(folder.path(), &wanted, now);
    let pair = first.pair(&wanted, now).unwrap();
    let asleep = open(folder.path(), &wanted, SystemTime::UNIX_EPOCH + DAY);
    assert!(asleep.notices().is_empty());
    assert_eq!(asleep.pair(&wanted, SystemTime::UNIX_EPOCH + DAY).unwrap().leaf, pair.leaf);
    assert!(open(folder.path(), &wanted, now + DAY * 3500).notices().is_empty());
    let whys = [(now + DAY * 3600, Why::Expired), (now, Why::NotYetValid)];
    for (at, wanted_why) in whys {
        let authority = open(folder.path(), &wanted, at);
        let [Notice::Replaced { why, .. }] = authority.notices() else { panic!("{:?}", authority.notices()) };
        assert_eq!(*why, wanted_why);
        // Made by another authority, so that the kept one is none any more.
        assert_ne!(authority.pair(&wanted, at).unwrap().leaf.serial, pair.leaf.serial);
    }
}

#[test]
fn broken_files_are_set_aside_and_told() {
    let wanted = wanted(&[], &["gpu"]);
    let other = tempfile::tempdir().unwrap();
    open(other.path(), &wanted, SystemTime::now());
    let foreign = fs::read(other.path().join("certificates/local/ca.key")).unwrap();
    let cases: [(&str, Option<&[u8]>, &str); 5] = [
        ("ca.pem", Some(b"junk"), "ca.pem.unusable"),
        ("ca.pem", None, ""),
        ("ca.key", Some(b"junk"), "former-"),
        ("ca.key", None, "former-"),
        ("ca.key", Some(&foreign), "former-"),
    ];
    for (name, content, aside) in cases {
        let (folder, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let before = open(folder.path(), &wanted, now);
        let local = folder.path().join("certificates/local");
        match content {
            Some(content) => fs::write(local.join(name), content).unwrap(),
            None => fs::remove_file(local.join(name)).unwrap(),
        }
        let after = open(folder.path(), &wanted, now);
        assert_ne!(before.root().certificate, after.root().certificate, "{name}");
        let is_told = matches!(after.notices(), [Notice::Replaced { why: Why::Unusable(what), .. }] if what.starts_with(name));
        assert!(
            is_told || matches!(after.notices(), [Notice::Made { .. }] if aside.is_empty()),
            "{:?}",
            after.notices()
        );
        let found = after.store.named(aside);
        assert!(!found.is_empty(), "{name}: no {aside}");
        assert!(open(folder.path(), &wanted, now).notices().is_empty());
        // The certificate that is served is broken more often than the authority.
        after.pair(&wanted, now).unwrap();
        fs::write(local.join("leaf.pem"), b"torn").unwrap();
        assert!(after.pair(&wanted, now).is_ok());
        assert!(after.kept_pair().is_some());
    }
}

#[test]
fn a_key_that_others_could_read_is_closed_and_told() {
    let (folder, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
    let wanted = wanted(&[], &["gpu"]);
    open(folder.path(), &wanted, now);
    let key = folder.path().join("certificates/local/ca.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(key.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let authority = open(folder.path(), &wanted, now);
    assert_eq!(authority.notices(), [Notice::KeyWasOpen { key, mode: 0o644 }]);
    assert_eq!((mode(folder.path(), "local"), mode(folder.path(), "local/ca.key")), (0o700, 0o600));
}

#[test]
fn two_at_once_see_one_authority() {
    let (folder, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
    let wanted = wanted(&[], &["gpu"]);
    let (data_dir, wanted) = (folder.path(), &wanted);
    let made = std::thread::scope(|scope| {
        let one = || {
            let authority = open(data_dir, wanted, now);
            (authority.root().certificate.clone(), authority.pair(wanted, now).unwrap().leaf.serial.clone())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(made.iter().all(|other| *other == made[0]));
}

#[test]
fn a_folder_that_cannot_be_used_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Authority::open_or_make(&file, &wanted(&[], &[]), SystemTime::now()).err().unwrap();
    assert!(error.to_string().contains("file"), "{error}");
    assert!(roots(&folder.path().join("nothing")).unwrap().0.is_none());
    assert!(!folder.path().join("nothing").exists());
}
