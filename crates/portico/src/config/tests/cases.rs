//! One line per rule: what is written, which code, which key, and a piece of what is said.

use super::super::problem::Code;
use super::super::render::Render;
use super::*;

#[test]
fn what_is_wrong_is_said_with_its_code_and_place() {
    let cases: &[(&str, Code, &str, &str)] = &[
        // names of keys and sections
        ("nmaes = []", Code::UnknownKey, "nmaes", ""),
        ("[site]\nemial = \"\"", Code::UnknownKey, "site.emial", "did you mean `email`?"),
        ("[acess]\n", Code::UnknownKey, "acess", "did you mean `access`?"),
        ("names = []", Code::UnknownKey, "names", "belongs to [site]"),
        ("[timeouts]\nhtpasswd = \"\"", Code::UnknownKey, "timeouts.htpasswd", "belongs to [access]"),
        ("[model]\nname = \"a\"", Code::WrongType, "model", "[[model]]"),
        ("model = [1]", Code::WrongType, "model", "[[model]]"),
        ("[[site]]\n", Code::WrongType, "site", "[site]"),
        ("site = 1", Code::WrongType, "site", "[site]"),
        ("[plan]\nweight = 1", Code::UnknownKey, "plan.weight", "[plan.default]"),
        ("[alerts.smtp]\npassword = \"x\"", Code::SecretInFile, "alerts.smtp.password", "`password_file`"),
        ("[site]\napi_token = \"x\"", Code::SecretInFile, "site.api_token", ""),
        // types and forms
        ("[timeouts]\ndrain = 300", Code::WrongType, "timeouts.drain", "\"300s\""),
        ("[limits]\nbody = 1024", Code::WrongType, "limits.body", "\"1024\""),
        ("[limits]\nbody = \"64m\"", Code::BadForm, "limits.body", "\"64MiB\""),
        ("[policy]\nenabled = \"yes\"", Code::WrongType, "policy.enabled", "write true"),
        ("[queue]\nmax_waiting = \"200\"", Code::WrongType, "queue.max_waiting", "write 200"),
        (
            "[queue]\nmax_running = \"many\"",
            Code::WrongType,
            "queue.max_running",
            "\"auto\" or a whole number",
        ),
        ("[queue]\nmax_running = 0", Code::OutOfRange, "queue.max_running", "from 1"),
        ("[access]\nallow = \"10.0.0.1\"", Code::WrongType, "access.allow", "[\"10.0.0.1\"]"),
        ("[log]\nlevel = \"warning\"", Code::UnknownWord, "log.level", "\"warn\""),
        (
            "[limits]\njson_depth = 99999999999999999999999999999999999999999",
            Code::OutOfRange,
            "limits.json_depth",
            "from 8 to 128",
        ),
        // site
        ("[site]\nnames = [\"*.example.com\"]", Code::BadForm, "site.names[0]", "wildcards"),
        ("[site]\nnames = [\"中文.example\"]", Code::BadForm, "site.names[0]", "punycode"),
        ("[site]\nnames = [\"10.0.0.1\"]", Code::BadForm, "site.names[0]", "IP address"),
        ("[site]\nnames = [\"a.example\", \"A.example\"]", Code::Duplicate, "site.names[1]", "twice"),
        ("[site]\nindex = \"../etc/passwd\"", Code::BadForm, "site.index", ""),
        // listeners
        ("[listen]\nhttp = []\nhttps = []", Code::Missing, "listen.http", "nothing to listen on"),
        (
            "[listen]\nhttp = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
            Code::Duplicate,
            "listen.http[1]",
            "collides",
        ),
        (
            "[listen]\nhttp = [\"127.0.0.1:80\", \"0.0.0.0:80\"]",
            Code::Duplicate,
            "listen.http[1]",
            "collides",
        ),
        ("[listen]\nhttp = [\"127.0.0.1:9321\"]", Code::Duplicate, "listen.http[0]", "listen.metrics"),
        ("[listen]\nhttp = [\"127.0.0.1:8443\"]", Code::Duplicate, "listen.http[0]", "collides"),
        ("[listen]\nmetrics = \"0.0.0.0:9321\"", Code::Unsafe, "listen.metrics", "loopback"),
        ("[listen]\nadmin = \"127.0.0.1:9000\"", Code::Unsafe, "listen.admin", "Unix socket"),
        ("[listen]\nadmin = \"unix:/a\"\nmetrics = \"unix:/a\"", Code::Duplicate, "listen.metrics", ""),
        (
            "[listen]\ntrusted_proxies = [\"0.0.0.0/0\"]",
            Code::Unsafe,
            "listen.trusted_proxies[0]",
            "any address",
        ),
        // tls
        ("[tls]\nissuer = \"files\"", Code::Missing, "tls.issuer", "certificate"),
        ("[tls]\nissuer = \"http://ca.lan/dir\"", Code::BadForm, "tls.issuer", "https"),
        ("[tls]\nfallback = \"off\"", Code::BadForm, "tls.fallback", ""),
        // access
        ("[access]\nsatisfy = \"any\"", Code::Unsafe, "access.satisfy", "empty"),
        (
            "[access]\nsatisfy = \"any\"\nallow = [\"0.0.0.0/0\"]",
            Code::Unsafe,
            "access.allow[0]",
            "everybody",
        ),
        ("[access]\nallow = [\"192.168.10.5/24\"]", Code::BadForm, "access.allow[0]", "192.168.10.0/24"),
        ("[cors]\norigins = [\"*\"]", Code::Unsafe, "cors.origins[0]", ""),
        ("[cors]\norigins = [\"https://a.example/\"]", Code::BadForm, "cors.origins[0]", "https://a.example"),
        // limits and plans
        (
            "[limits]\nbody = \"100MiB\"\nbody_total = \"10MiB\"",
            Code::Contradiction,
            "limits.body_total",
            "smaller",
        ),
        ("[plan.a]\nhours = \"8-20\"", Code::BadForm, "plan.a.hours", "20:00-08:00"),
        ("[plan.\"a b\"]\n", Code::BadForm, "plan.a b", ""),
        (
            "[plan.a]\nmodels = [\"qwen3\"]\n[[model]]\nname = \"qwen3-vl\"\nengine = \"external\"",
            Code::NoEffect,
            "plan.a.models[0]",
            "did you mean \"qwen3-vl\"?",
        ),
        ("[policy]\nendpoints = [\"chat\", \"chat\"]", Code::Duplicate, "policy.endpoints[1]", "twice"),
        ("[policy]\nimage_url_hosts = [\"a.example\"]", Code::NoEffect, "policy.image_url_hosts", "fetch"),
        // models
        ("[[model]]\nengine = \"external\"", Code::Missing, "model[0]", "`model[0].name` is missing"),
        ("[[model]]\nname = \"a\"", Code::Missing, "model[0].path", "path"),
        ("[[model]]\nname = \"a\"\nengine = \"llama.cpp\"", Code::Missing, "model[0].path", ".gguf"),
        (
            "[[model]]\nname = \"a\"\npath = \"b\"\nargs = [\"--host\", \"0.0.0.0\"]",
            Code::RefusedArgument,
            "model[0].args[0]",
            "`endpoints`",
        ),
        (
            "[[model]]\nname = \"a\"\npath = \"b\"\nendpoints = [\"http://10.0.0.1:3001\"]",
            Code::Unsafe,
            "model[0].endpoints[0]",
            "127.0.0.1:3001",
        ),
        (
            "[[model]]\nname = \"a\"\npath = \"b\"\nendpoints = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]",
            Code::Contradiction,
            "model[0].endpoints[1]",
            "exactly one",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = []",
            Code::Missing,
            "model[0].endpoints",
            "no endpoint",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"https://10.0.0.1:1\"]",
            Code::BadForm,
            "model[0].endpoints[0]",
            "tunnel",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://8.8.8.8:1\"]",
            Code::Unsafe,
            "model[0].endpoints[0]",
            "allow_public",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://169.254.169.254:80\"]",
            Code::Unsafe,
            "model[0].endpoints[0]",
            "",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://gpu.example.com:1\"]",
            Code::Unsafe,
            "model[0].endpoints[0]",
            "may be",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://127.0.0.1:8080\"]",
            Code::Contradiction,
            "model[0].endpoints[0]",
            "own listener",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://[::1]:8080\"]\n[listen]\nhttp = [\"[::1]:8080\"]",
            Code::Contradiction,
            "model[0].endpoints[0]",
            "own listener",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\nargs = [\"-x\"]",
            Code::NoEffect,
            "model[0].args",
            "",
        ),
        (
            "[[model]]\nname = \"a\"\npath = \"b\"\napi_key_file = \"/k\"",
            Code::NoEffect,
            "model[0].api_key_file",
            "",
        ),
        (
            "[[model]]\nname = \"a\"\npath = \"b\"\nmodalities = [\"image\"]",
            Code::Contradiction,
            "model[0].modalities",
            "text",
        ),
        (
            "[[model]]\nname = \"a\"\nengine = \"external\"\n[[model]]\nname = \"b\"\naliases = [\"a\"]\nengine = \"external\"",
            Code::Duplicate,
            "model[1].aliases[0]",
            "taken",
        ),
        (
            "[[model]]\nname = \"a\"\npath = \"p\"\n[[model]]\nname = \"b\"\npath = \"q\"",
            Code::Duplicate,
            "model[1].endpoints",
            "127.0.0.1:3001",
        ),
        (
            "[[model]]\nname = \"a\"\npath = \"p\"\nlog = \"/l\"\n[[model]]\nname = \"b\"\npath = \"q\"\nlog = \"/l\"\nendpoints = [\"http://127.0.0.1:3002\"]",
            Code::Duplicate,
            "model[1].log",
            "same log",
        ),
        // log, firewall, alerts, store
        ("[log]\naccess = \"/l\"\nerror = \"/l\"", Code::Duplicate, "log.error", "same file"),
        (
            "[firewall]\nopen = [\"80/tcp\"]\nclosed = [\"80/tcp\"]",
            Code::Contradiction,
            "firewall.closed[0]",
            "both",
        ),
        ("[firewall]\nopen = [\"80\"]", Code::BadForm, "firewall.open[0]", "443/tcp"),
        ("[[alerts.target]]\nname = \"a\"\nkind = \"mail\"", Code::Missing, "alerts.target[0].kind", "`to`"),
        (
            "[[alerts.target]]\nname = \"a\"\nkind = \"mail\"\nto = [\"a@b.example\"]",
            Code::Missing,
            "alerts.target[0].kind",
            "alerts.smtp",
        ),
        (
            "[[alerts.target]]\nname = \"a\"\nkind = \"slack\"",
            Code::Missing,
            "alerts.target[0].kind",
            "`url_file`",
        ),
        (
            "[[alerts.target]]\nname = \"a\"\nkind = \"slack\"\nurl_file = \"/u\"\n[[alerts.target]]\nname = \"a\"\nkind = \"ntfy\"\nurl_file = \"/u\"",
            Code::Duplicate,
            "alerts.target[1].name",
            "\"a\"",
        ),
        ("[store]\nurl = \"postgres://db/portico\"", Code::BadForm, "store.url", "PostgreSQL"),
    ];
    for (text, code, key, piece) in cases {
        let found = said(text);
        let shown = Render { tongue: Tongue::English, colour: false }
            .all(&Document { path: None, text: (*text).to_owned() }, &found);
        let is_said = found.iter().any(|problem| problem.code == *code && problem.spot.key == *key);
        assert!(
            is_said && shown.contains(piece),
            "{text}\nwants {} at `{key}` with {piece:?}:\n{shown}",
            code.word()
        );
    }
}

#[test]
fn one_mistake_is_said_once() {
    for text in [
        "[site]\nlanguage = \"fr\"",
        "[listen]\nhttp = [\"localhost:80\"]",
        "[site]\nnames = [\"*.a.example\"]",
        "[access]\nsatisfy = \"any\"\nallow = [\"10.0.0.5/8\"]",
        "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://0.0.0.0:1\"]",
        "[listen]\ntrusted_proxies = [\"x\"]",
    ] {
        let found = said(text);
        assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    }
}

#[test]
fn these_are_fine() {
    for text in [
        "[listen]\nhttp = [\"0.0.0.0:80\", \"[::]:80\"]",
        "[listen]\nhttp = [\"127.0.0.1:0\", \"127.0.0.1:0\"]",
        "[listen]\nmetrics = \"\"",
        "[tls]\nissuer = \"off\"\nredirect = false",
        "[queue]\nmax_running = 32",
        "[site]\nnames = [\"Chat.Example.com:8443\"]\n[tls]\nissuer = \"off\"",
        "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://vllm:8000\", \"unix:/run/v.sock\"]",
        "[[model]]\nname = \"a\"\nengine = \"external\"\nendpoints = [\"http://8.8.8.8:1\"]\nallow_public = true",
        "[[model]]\nname = \"a\"\npath = \"p\"\nendpoints = [\"unix:/run/v.sock\"]\nargs = [\"--max-model-len\", \"4096\"]",
        "[[model]]\nname = \"a/b\"\npath = \"p\"\n[[model]]\nname = \"a_b\"\npath = \"q\"\nendpoints = [\"http://127.0.0.1:3002\"]",
        "[health]\ninterval = \"0s\"",
        "[limits]\nbody = \"1048576\"",
    ] {
        let loaded = valid(text);
        assert_eq!(remarks(&loaded), [], "{text}");
    }
}
