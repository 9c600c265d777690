//! What `run` refuses, what is only a warning, and what is not spoken about at all.

use super::super::problem::Code;
use super::*;

#[test]
fn a_protection_that_is_not_built_stops_the_start_and_only_warns_in_check() {
    let loaded = valid("[[model]]\nname = \"m\"\npath = \"p\"\nuser = \"nobody\"");
    let unbuilt = unbuilt(&loaded);
    let found: Vec<_> =
        unbuilt.iter().map(|problem| (problem.spot.key.as_str(), problem.severity, problem.code)).collect();
    assert_eq!(found, [("model[0].user", Severity::Error, Code::NotBuiltProtection)]);
    assert!(remarks(&loaded).iter().all(|problem| problem.severity == Severity::Warning));
}

#[test]
fn what_is_not_built_and_protects_nobody_is_a_warning() {
    for (text, key) in [
        ("[listen]\nmetrics = \"127.0.0.1:9999\"", "listen.metrics"),
        ("[access]\nadmin_allow = [\"10.0.0.1\"]", "access.admin_allow"),
        ("[plan.default]\nweight = 2", "plan.default.weight"),
        ("[plan.batch]\nweight = 2\nconcurrent = 1", "plan.batch"),
        ("[stream]\nkeep = \"1m\"", "stream.keep"),
        ("[[model]]\nname = \"m\"\npath = \"p\"\nprobe_timeout = \"5s\"", "model[0].probe_timeout"),
        ("[log]\nprompts = true", "log.prompts"),
        ("[log]\nrotate = { keep = 3 }", "log.rotate.keep"),
        ("[health]\ngenerate_every = \"1m\"", "health.generate_every"),
        ("[alerts]\nrepeat = \"1h\"", "alerts.repeat"),
        ("[[alerts.target]]\nname = \"a\"\nkind = \"slack\"\nurl_file = \"/u\"", "alerts.target[0]"),
        ("[firewall]\nbackend = \"ufw\"", "firewall.backend"),
        ("[store]\nkeep_usage = \"30d\"", "store.keep_usage"),
        ("[site]\nuser = \"portico\"", "site.user"),
    ] {
        let found = unbuilt(&valid(text));
        let found: Vec<_> =
            found.iter().map(|problem| (problem.spot.key.as_str(), problem.severity)).collect();
        assert_eq!(found, [(key, Severity::Warning)], "{text}");
    }
    let root = Environment { root: true, ..environment(&[]) };
    let loaded = read_in("[site]\nuser = \"portico\"", &root).expect("valid");
    assert_eq!(unbuilt(&loaded).first().map(|problem| problem.severity), Some(Severity::Error));
}

#[test]
fn defaults_empty_values_and_what_is_turned_off_are_never_spoken_about() {
    for text in [
        "[tls]\nissuer = \"off\"\nredirect = false\nhsts = \"0s\"\ncertificate = \"\"\nkey = \"\"\neab = { kid = \"\", hmac_file = \"\" }",
        "[site]\nnames = [\"a.example\"]\n[tls]\nissuer = \"off\"\nredirect = false",
        "[access]\nhtpasswd = \"\"\nadmin_allow = []\nlogin_page = false\nlockout = { failures = 10, window = \"600s\", ban = \"15m\" }",
        "[policy]\nmax_image_bytes = \"1MiB\"\nmax_image_pixels = 1000000\nimage_urls = \"fetch\"\nimage_url_hosts = [\"a.example\"]",
        "[policy]\nstrip_metadata = false\ndeny_keys = [\"seed\"]\nallow_keys = [\"x\"]\nmax_images = 2\nmax_choices = 4\nenabled = false",
        "[stream]\nkeep = \"0s\"\n[health]\ngenerate_every = \"0s\"\nheartbeat_url = \"\"",
        "[listen]\nmetrics = \"127.0.0.1:9321\"\nhttps = [\"127.0.0.1:8443\"]\nproxy_protocol = false",
        "[site]\nuser = \"\"\nemail = \"a@b.example\"",
        "[cors]\norigins = []\n[log]\nprompts = false\n[plan.default]\nconcurrent = 4\nmax_output_tokens = 100",
        "[[model]]\nname = \"m\"\npath = \"p\"\nuser = \"\"\nboxes = \"pixels\"\nsource = \"local\"",
    ] {
        let loaded = valid(text);
        assert_eq!(unbuilt(&loaded), [], "{text}");
        assert_eq!(remarks(&loaded), [], "{text}");
    }
}

#[test]
fn an_authority_needs_something_to_sign() {
    let loopback = "[listen]\nhttp = [\"127.0.0.1:80\"]\nhttps = [\"127.0.0.1:443\"]\n";
    for (text, wanted) in [
        ("[tls]\nissuer = \"letsencrypt\"\n".to_owned(), false),
        (format!("{loopback}[tls]\nissuer = \"zerossl\"\n"), false),
        (format!("{loopback}[tls]\nissuer = \"https://ca.lan/dir\"\n"), true),
        ("[listen]\nhttps = [\"203.0.113.9:443\"]\n[tls]\nissuer = \"letsencrypt\"\n".to_owned(), true),
        ("[site]\nnames = [\"a.example\"]\n".to_owned(), true),
    ] {
        let read = read_in(&text, &environment(&[]));
        assert_eq!(read.is_ok(), wanted, "{text}");
        if let Err(problems) = read {
            let found = problems.list.iter().any(|p| p.spot.key == "tls.issuer" && p.code == Code::Missing);
            assert!(found, "{text}: {problems:?}");
        }
    }
}
