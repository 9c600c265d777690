use std::path::PathBuf;

use clap::Parser as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::arguments::{Arguments, Command};
use super::*;

#[test]
fn a_name_is_one_segment_of_the_path() {
    assert_eq!(percent_encoded("Qwen/Qwen3 VL?#%"), "Qwen%2FQwen3%20VL%3F%23%25");
    assert_eq!(percent_encoded("模"), "%E6%A8%A1");
    assert_eq!(percent_encoded("qwen3-vl_8b.q4~1"), "qwen3-vl_8b.q4~1");
}

fn shown(tongue: Tongue, models: &[Value]) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    table(models, &mut Console { out: &mut out, err: &mut err, tongue }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_lines_up_and_tells_what_is_wrong() {
    let models = [
        json!({"name": "qwen3-vl-8b", "engine": "vllm", "state": "ready", "detail": null, "pid": 4711, "restarts": 1,
            "since": null, "endpoints": [{"address": "http://127.0.0.1:3001", "up": true}]}),
        json!({"name": "模型", "engine": "external", "state": "down", "detail": {"en": "can't \u{1b}[31mconnect\nsecond line", "zh": "can't \u{1b}[31mconnect\nsecond line"},
            "endpoints": [{"address": "http://10.0.0.1:1", "up": false}]}),
    ];
    assert_eq!(
        shown(Tongue::English, &models),
        "MODEL        STATE  ENGINE    PID   RESTARTS  FOR  ENDPOINTS\n\
         qwen3-vl-8b  ready  vllm      4711  1         -    http://127.0.0.1:3001\n\
         模型         down   external  -     -         -    http://10.0.0.1:1 (down)\n  \
         can't connect\n  second line\n"
    );
    assert!(shown(Tongue::Chinese, &models).starts_with("模型         状态    引擎"));
}

#[test]
fn a_time_is_told_in_its_two_largest_units() {
    let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
    for (seconds, english, chinese) in [
        (0, "0 s", "0 秒"),
        (59, "59 s", "59 秒"),
        (60, "1 min", "1 分"),
        (3725, "1 h 2 min", "1 小时 2 分"),
        (90_000, "1 d 1 h", "1 天 1 小时"),
        (86_400, "1 d", "1 天"),
    ] {
        let since = json!(1_000_000 - seconds);
        assert_eq!(for_how_long(&since, now, Tongue::English), english);
        assert_eq!(for_how_long(&since, now, Tongue::Chinese), chinese);
    }
    assert_eq!(for_how_long(&json!(1_000_005), now, Tongue::English), "0 s", "clocks are set back");
    assert_eq!(for_how_long(&Value::Null, now, Tongue::English), "-");
}

/// An admin socket that answers one request, and what it was asked.
fn admin(answer: &'static str) -> (PathBuf, std::thread::JoinHandle<String>) {
    let path =
        std::env::temp_dir().join(format!("portico-admin-{}.sock", crate::sys::random::hex(6).unwrap()));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let socket = path.clone();
    let serving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::bind(&socket).unwrap();
            ready.send(()).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let taken = stream.read(&mut buffer).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::fs::remove_file(&socket).unwrap();
            String::from_utf8_lossy(&buffer[..taken]).lines().next().unwrap_or_default().to_owned()
        })
    });
    is_ready.recv().unwrap();
    (path, serving)
}

/// As it is typed.
fn parse(words: &[&str]) -> ModelCommand {
    let arguments = Arguments::try_parse_from([&["portico", "model"], words].concat()).unwrap();
    let Command::Model(arguments) = arguments.command else { panic!("{words:?} is not a model command") };
    arguments.command
}

fn model(engine: Engine) -> Model {
    use crate::config::{Boxes, EndpointAddress, Source};
    Model {
        name: "Qwen/q".to_owned(),
        aliases: vec!["default".to_owned()],
        upstream_name: None,
        engine,
        path: "/no/such.gguf".to_owned(),
        source: Source::Auto,
        endpoints: vec![EndpointAddress::Unix("/run/q.sock".into())],
        allow_public: false,
        api_key_file: None,
        args: Vec::new(),
        user: String::new(),
        log: PathBuf::from("/no/such.log"),
        start_timeout: Duration::from_secs(1),
        probe_timeout: Duration::from_secs(1),
        stop_grace: Duration::from_secs(1),
        modalities: None,
        context: None,
        boxes: Boxes::None,
    }
}

/// Outcome, standard output, standard error.
fn run_on(words: &[&str], model: Model, admin: &Path) -> (Outcome, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, tongue: Tongue::English };
    let models = [model];
    let setting = Setting { models: &models, admin, data_dir: Path::new("/no/such/data") };
    let outcome = run(parse(words), setting, &mut console).unwrap();
    (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn without_a_running_portico_the_list_comes_from_the_configuration_and_says_so() {
    let nobody = Path::new("/no/such/admin.sock");
    let (outcome, out, err) = run_on(&["list"], model(Engine::LlamaCpp), nobody);
    assert_eq!(outcome, Outcome::Fine);
    assert!(out.contains("Qwen/q  not running  llama.cpp"), "{out}");
    assert!(err.contains("Portico is not running") && err.contains("portico run"), "{err}");
    let (_, out, _) = run_on(&["list", "--json"], model(Engine::LlamaCpp), nobody);
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(list[0]["endpoints"][0]["address"], "unix:/run/q.sock");
    assert_eq!(list[0]["log"], "/no/such.log");

    let (outcome, out, err) = run_on(&["restart", "default"], model(Engine::LlamaCpp), nobody);
    assert_eq!((outcome, &*out), (Outcome::No, ""));
    assert!(err.contains("portico run"), "{err}");
}

#[test]
fn orders_go_to_the_models_own_name_and_refusals_are_shown() {
    let (path, serving) = admin("HTTP/1.1 202 Accepted\r\ncontent-length: 19\r\n\r\n{\"state\":\"loading\"}");
    let (outcome, out, _) = run_on(&["start", "default"], model(Engine::LlamaCpp), &path);
    assert_eq!(outcome, Outcome::Fine);
    assert!(out.contains("now loading"), "{out}");
    assert_eq!(serving.join().unwrap(), "POST /models/Qwen%2Fq/start HTTP/1.1");

    let (path, serving) =
        admin("HTTP/1.1 409 Conflict\r\ncontent-length: 23\r\n\r\n{\"error\":\"is external\"}");
    let (outcome, _, err) = run_on(&["stop", "Qwen/q"], model(Engine::External), &path);
    assert_eq!((outcome, &*err), (Outcome::No, "error: Qwen/q: is external\n"));
    serving.join().unwrap();
}

#[test]
fn what_does_not_exist_is_answered_with_what_does() {
    let nobody = Path::new("/no/such/admin.sock");
    for words in [&["logs", "x"][..], &["start", "x"], &["install", "x"]] {
        let (outcome, _, err) = run_on(words, model(Engine::LlamaCpp), nobody);
        assert_eq!(outcome, Outcome::Wrong);
        assert!(err.contains("Configured: Qwen/q"), "{err}");
    }
    let (outcome, _, err) = run_on(&["logs", "default"], model(Engine::LlamaCpp), nobody);
    assert_eq!(outcome, Outcome::No);
    assert!(err.contains("has printed nothing yet"), "{err}");
    let (outcome, _, err) = run_on(&["logs", "default"], model(Engine::External), nobody);
    assert_eq!(outcome, Outcome::No);
    assert!(err.contains("does not run"), "{err}");
    let (outcome, out, _) = run_on(&["install"], model(Engine::External), nobody);
    assert_eq!(outcome, Outcome::Fine);
    assert!(out.contains("nothing to install"), "{out}");
}

#[test]
fn the_running_portico_is_asked_over_its_socket() {
    let (path, serving) = admin("HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n[{\"name\":\"m\"}]");
    let Asked::Answer(status, value) = ask_socket(&path, Method::GET, "/models") else { panic!("no answer") };
    assert_eq!((status, value), (StatusCode::OK, json!([{"name": "m"}])));
    assert_eq!(serving.join().unwrap(), "GET /models HTTP/1.1");
    assert!(matches!(ask_socket(&path, Method::GET, "/models"), Asked::NotRunning));

    let (path, serving) = admin("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    assert!(matches!(ask_socket(&path, Method::GET, "/"), Asked::Failed(_)));
    serving.join().unwrap();
}
