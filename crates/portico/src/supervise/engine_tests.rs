use std::time::Duration;

use super::*;
use crate::config::{Boxes, Source};
use crate::types::Tongue;

/// A model as the configuration would give it.
pub(in crate::supervise) fn model(engine: Engine, path: &str, endpoint: EndpointAddress) -> Model {
    Model {
        name: "qwen3-vl-8b".to_owned(),
        aliases: Vec::new(),
        upstream_name: None,
        engine,
        path: path.to_owned(),
        source: Source::Auto,
        endpoints: vec![endpoint],
        allow_public: false,
        api_key_file: None,
        args: Vec::new(),
        user: String::new(),
        log: PathBuf::from("/nonexistent/model.log"),
        start_timeout: Duration::from_secs(600),
        probe_timeout: Duration::from_secs(60),
        stop_grace: Duration::from_secs(30),
        modalities: None,
        context: None,
        boxes: Boxes::Relative1000,
    }
}

fn tcp(host: &str) -> EndpointAddress {
    EndpointAddress::Tcp { host: host.to_owned(), port: 3001 }
}

fn surroundings(weights: Weights) -> Surroundings {
    let environment = [
        ("PATH", "/usr/bin"),
        ("HOME", "/home/x"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("CUDA_VISIBLE_DEVICES", "0"),
    ];
    Surroundings {
        environment: environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        vllm: Some("/e/vllm".into()),
        llama_server: None,
        python: Some(("/e/python".into(), "/e/llama_server.py".into())),
        weights,
    }
}

const DRAW: Draw<'_> = Draw { api_key: "SECRET-KEY", marker: "mark" };

fn english(result: Result<CommandLine, Text>) -> String {
    result.expect_err("this must be refused").pick(Tongue::English).to_owned()
}

fn words(line: &CommandLine) -> String {
    line.args.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[test]
fn vllm_listens_on_loopback_with_its_locks_and_the_users_flags_last() {
    let mut model = model(Engine::Vllm, "Qwen/Qwen3-VL-8B-Instruct", tcp("127.0.0.1"));
    model.args = vec!["--max-model-len".to_owned(), "32768".to_owned()];
    let line = command_line(&model, 2, &surroundings(Weights::Folder("/w".into())), DRAW).unwrap();
    assert_eq!(line.program, PathBuf::from("/e/vllm"));
    assert_eq!(
        words(&line),
        "serve /w --host 127.0.0.1 --port 3001 --served-model-name qwen3-vl-8b \
         --allowed-media-domains media.invalid --disable-fastapi-docs --max-model-len 32768"
    );
    let value = |name: &str| line.environment.get(OsStr::new(name)).and_then(|value| value.to_str());
    assert_eq!(value("VLLM_API_KEY"), Some("SECRET-KEY"));
    assert_eq!(value("VLLM_MAX_N_SEQUENCES"), Some("2"));
    assert_eq!(value("VLLM_MEDIA_URL_ALLOW_REDIRECTS"), Some("0"));
    assert_eq!(value("HF_HUB_OFFLINE"), Some("1"));
    assert_eq!(value(MARKER_NAME), Some("mark"));
    assert_eq!(value("CUDA_VISIBLE_DEVICES"), Some("0"));
    assert_eq!(value("AWS_SECRET_ACCESS_KEY"), None, "other programs' secrets stay here");
}

#[test]
fn the_key_is_never_an_argument() {
    for (engine, weights) in
        [(Engine::Vllm, Weights::Cached), (Engine::LlamaCpp, Weights::File("/w.gguf".into()))]
    {
        let line = command_line(&model(engine, "a/b", tcp("::1")), 1, &surroundings(weights), DRAW).unwrap();
        assert!(!words(&line).contains("SECRET-KEY"));
        assert!(line.environment.values().any(|value| value == "SECRET-KEY"));
    }
}

#[test]
fn llama_cpp_prefers_its_own_program_and_falls_back_on_the_wheel() {
    let model = model(Engine::LlamaCpp, "/w.gguf", EndpointAddress::Unix("/run/m.sock".into()));
    let mut around = surroundings(Weights::File("/w.gguf".into()));
    let line = command_line(&model, 1, &around, DRAW).unwrap();
    assert_eq!(line.program, PathBuf::from("/e/python"));
    assert_eq!(
        words(&line),
        "-I -u /e/llama_server.py --model /w.gguf --host /run/m.sock --alias qwen3-vl-8b"
    );
    around.llama_server = Some("/usr/bin/llama-server".into());
    let line = command_line(&model, 1, &around, DRAW).unwrap();
    assert_eq!(line.program, PathBuf::from("/usr/bin/llama-server"));
    assert_eq!(words(&line), "--model /w.gguf --host /run/m.sock --alias qwen3-vl-8b");
}

#[test]
fn only_loopback_and_unix_sockets_are_listened_on() {
    for (host, fine) in [
        ("127.0.0.1", true),
        ("127.8.8.8", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("localhost", true),
        ("0.0.0.0", false),
        ("::", false),
        ("10.0.0.1", false),
        ("gpu-box", false),
    ] {
        let model = model(Engine::Vllm, "a/b", tcp(host));
        let made = command_line(&model, 1, &surroundings(Weights::Cached), DRAW);
        assert_eq!(made.is_ok(), fine, "{host}");
    }
}

#[test]
fn flags_that_would_open_a_door_are_refused_however_they_are_written() {
    for flag in [
        "--host",
        "--host=0.0.0.0",
        "--port",
        "--uds=/x",
        "--api-key",
        "--api_key=k",
        "--api-k",
        "--ssl-keyfile",
    ] {
        let mut model = model(Engine::Vllm, "a/b", tcp("127.0.0.1"));
        model.args = vec!["--dtype".to_owned(), "half".to_owned(), flag.to_owned()];
        let said = english(command_line(&model, 1, &surroundings(Weights::Cached), DRAW));
        assert!(said.contains("Portico's to set"), "{flag}: {said}");
    }
    for flag in ["--max-model-len", "--api-server-count=2", "--dtype", "--hf-overrides", "-tp"] {
        let mut model = model(Engine::Vllm, "a/b", tcp("127.0.0.1"));
        model.args = vec![flag.to_owned()];
        assert!(command_line(&model, 1, &surroundings(Weights::Cached), DRAW).is_ok(), "{flag}");
    }
    let mut llama = model(Engine::LlamaCpp, "/w.gguf", tcp("127.0.0.1"));
    for flag in ["-m", "--model", "--api-key-file", "--host"] {
        llama.args = vec![flag.to_owned()];
        assert!(command_line(&llama, 1, &surroundings(Weights::File("/w".into())), DRAW).is_err(), "{flag}");
    }
    for flag in ["-ngl", "--mmproj", "-c", "--metrics"] {
        llama.args = vec![flag.to_owned()];
        assert!(command_line(&llama, 1, &surroundings(Weights::File("/w".into())), DRAW).is_ok(), "{flag}");
    }
}

#[test]
fn dangerous_switches_in_the_environment_stop_the_start() {
    let model = model(Engine::Vllm, "a/b", tcp("127.0.0.1"));
    for (value, fine) in
        [("1", false), ("true", false), ("yes", false), ("0", true), ("", true), ("false", true)]
    {
        for name in ["VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"] {
            let mut around = surroundings(Weights::Cached);
            around.environment.insert(name.into(), value.into());
            assert_eq!(command_line(&model, 1, &around, DRAW).is_ok(), fine, "{name}={value}");
        }
    }
}

#[test]
fn what_is_missing_is_named_with_its_fix() {
    let hub = model(Engine::Vllm, "a/b", tcp("127.0.0.1"));
    let file = model(Engine::LlamaCpp, "/w.gguf", tcp("127.0.0.1"));
    let mut bare = surroundings(Weights::File("/w.gguf".into()));
    (bare.vllm, bare.python) = (None, None);
    let socket = model(Engine::LlamaCpp, "/w.gguf", EndpointAddress::Unix("/run/model".into()));
    for (said, part) in [
        (
            english(command_line(&hub, 1, &surroundings(Weights::NotInstalled), DRAW)),
            "portico model install qwen3-vl-8b",
        ),
        (english(command_line(&hub, 1, &bare, DRAW)), "portico model install qwen3-vl-8b"),
        (english(command_line(&file, 1, &bare, DRAW)), "portico model install qwen3-vl-8b"),
        (
            english(command_line(&file, 1, &surroundings(Weights::NoSuchPath("/w.gguf".into())), DRAW)),
            "/w.gguf does not exist",
        ),
        (
            english(command_line(&file, 1, &surroundings(Weights::Folder("/w".into())), DRAW)),
            "one .gguf file",
        ),
        (
            english(command_line(&socket, 1, &surroundings(Weights::File("/w.gguf".into())), DRAW)),
            "unix:/run/model.sock",
        ),
    ] {
        assert!(said.contains(part), "{said}");
    }
}
