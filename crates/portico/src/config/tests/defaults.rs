//! What holds where nothing is written, and how the surroundings decide.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::*;

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|address| address.parse().expect("an address")).collect()
}

#[test]
fn an_empty_file_is_local_mode_with_every_default() {
    let loaded = valid("");
    assert!(remarks(&loaded).is_empty() && unbuilt(&loaded).is_empty());
    let config = loaded.config;
    assert!(config.describes_local_mode());
    assert_eq!(config.listen.http, addresses(&["127.0.0.1:8080"]));
    assert_eq!(config.listen.https, addresses(&["127.0.0.1:8443"]));
    assert_eq!((config.tls.issuer, config.tls.redirect), (Issuer::Local, false));
    assert_eq!(config.plans.len(), 1);
    assert_eq!(config.timeouts.drain, Duration::from_secs(120));
    let [model] = &config.models[..] else { panic!("one implicit model") };
    assert_eq!((model.name.as_str(), model.engine), ("", Engine::External));
    assert_eq!(model.endpoints, [EndpointAddress::Tcp { host: "127.0.0.1".to_owned(), port: 3001 }]);
}

#[test]
fn names_make_it_public_and_networks_do_too() {
    let config = valid("[site]\nnames = [\"a.example\"]").config;
    assert_eq!(config.listen.http, addresses(&["0.0.0.0:80", "[::]:80"]));
    assert_eq!(config.listen.https, addresses(&["0.0.0.0:443", "[::]:443"]));
    assert_eq!((config.tls.issuer, config.tls.redirect), (Issuer::LetsEncrypt, true));
    for text in [
        "[access]\nallow = [\"10.0.0.1\"]",
        "[access]\ndeny = [\"10.0.0.1\"]",
        "[access]\nhtpasswd = \"/h\"",
        "[listen]\ntrusted_proxies = [\"10.0.0.1\"]",
    ] {
        let config = valid(text).config;
        assert_eq!(config.listen.http, addresses(&["0.0.0.0:80", "[::]:80"]), "{text}");
        assert_eq!((config.tls.issuer, config.tls.redirect), (Issuer::Local, true), "{text}");
    }
    // One public listener is enough to leave local mode; the other's default follows.
    let config = valid("[listen]\nhttp = [\"0.0.0.0:8080\"]").config;
    assert_eq!(config.listen.https, addresses(&["0.0.0.0:443", "[::]:443"]));
    let config = valid("[listen]\nhttp = [\"127.0.0.1:9000\"]").config;
    assert!(config.describes_local_mode());
    assert_eq!(config.listen.https, addresses(&["127.0.0.1:8443"]));
}

#[test]
fn places_follow_who_runs_it() {
    let ordinary = environment(&[("HOME", "/home/a"), ("XDG_RUNTIME_DIR", "/run/user/1000")]);
    let data_home = environment(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data/a")]);
    let relative = environment(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")]);
    let root = Environment { root: true, ..ordinary.clone() };
    let service = Environment { service: true, ..ordinary.clone() };
    for (environment, data_dir, admin, access) in [
        (&ordinary, "/home/a/.local/share/portico", "/run/user/1000/portico/admin.sock", LogTarget::Stdout),
        (&data_home, "/data/a/portico", "/data/a/portico/admin.sock", LogTarget::Stdout),
        (
            &relative,
            "/home/a/.local/share/portico",
            "/home/a/.local/share/portico/admin.sock",
            LogTarget::Stdout,
        ),
        (&root, "/var/lib/portico", "/run/portico/admin.sock", LogTarget::Stdout),
        (
            &service,
            "/var/lib/portico",
            "/run/portico/admin.sock",
            LogTarget::File("/var/log/portico/access.log".into()),
        ),
    ] {
        let config = read_in("[[model]]\nname = \"a/b\"\npath = \"p\"", environment).expect("valid").config;
        assert_eq!(config.site.data_dir, Path::new(data_dir));
        assert_eq!(config.listen.admin, Path::new(admin));
        assert_eq!(config.log.access, access);
        assert_eq!(config.models[0].log, Path::new(data_dir).join("models/a%2Fb.log"));
        assert_eq!(config.models[0].user, if environment.service { "portico-model" } else { "" });
    }
    let deep = environment(&[("HOME", &format!("/home/{}", "a".repeat(100)))]);
    let problems = read_in("", &deep).expect_err("the kernel takes no such path");
    assert!(shown(&problems, Tongue::English).contains("shorter `listen.admin`"));
}

#[test]
fn relative_paths_are_meant_from_the_folder_of_the_file() {
    let document = Document {
        path: Some("etc/portico.toml".into()),
        text: "[site]\nroot = \"pages\"\ndata_dir = \"data\"\n[log]\naccess = \"a.log\"\nerror = \"/e.log\""
            .to_owned(),
    };
    let config = judge(document, &environment(&[])).expect("valid").config;
    assert_eq!(config.site.root, Root::Folder("/here/etc/pages".into()));
    assert_eq!(config.site.data_dir, Path::new("/here/etc/data"));
    assert_eq!(config.log.access, LogTarget::File("/here/etc/a.log".into()));
    assert_eq!(config.log.error, Some("/e.log".into()));
}

#[test]
fn the_language_of_messages_is_the_files_or_else_the_terminals() {
    let chinese = environment(&[("HOME", "/h"), ("LANG", "zh_CN.UTF-8")]);
    assert_eq!(read_in("", &chinese).expect("valid").tongue, Tongue::Chinese);
    assert_eq!(read_in("[site]\nlanguage = \"en\"", &chinese).expect("valid").tongue, Tongue::English);
    assert_eq!(valid("[site]\nlanguage = \"zh-CN\"").tongue, Tongue::Chinese);
    assert_eq!(read("[site]\nlanguage = \"zh-CN\"\nx = 1").expect_err("unknown key").tongue, Tongue::Chinese);
}
