use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[test]
fn a_name_is_one_segment_of_the_path() {
    assert_eq!(escaped("Qwen/Qwen3 VL?#%"), "Qwen%2FQwen3%20VL%3F%23%25");
    assert_eq!(escaped("模"), "%E6%A8%A1");
    assert_eq!(escaped("qwen3-vl_8b.q4~1"), "qwen3-vl_8b.q4~1");
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
            "since": "2026-11-23T14:00:00Z", "endpoints": [{"address": "http://127.0.0.1:3001", "up": true}]}),
        json!({"name": "模型", "engine": "external", "state": "down", "detail": {"en": "can't \u{1b}[31mconnect\nsecond line", "zh": "can't \u{1b}[31mconnect\nsecond line"},
            "endpoints": [{"address": "http://10.0.0.1:1", "up": false}]}),
    ];
    assert_eq!(
        shown(Tongue::English, &models),
        "MODEL        STATE  ENGINE    PID   RESTARTS  SINCE                 ENDPOINTS\n\
         qwen3-vl-8b  ready  vllm      4711  1         2026-11-23T14:00:00Z  http://127.0.0.1:3001\n\
         模型         down   external  -     -         -                     http://10.0.0.1:1 (down)\n  \
         can't connect\n  second line\n"
    );
    assert!(shown(Tongue::Chinese, &models).starts_with("模型         状态   引擎"));
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
