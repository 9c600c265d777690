//! A stand-in model server for faults that no real model server can be asked to commit.
//!
//! Where a test needs an answer rather than a fault, use the real server (`testkit::models`). HTTP/1.1 is written by
//! hand here, because a library would refuse to be as wrong as the tests need it.
//!
//! ```text
//! scripted [--listen 127.0.0.1:0 | --host H --port P | --unix PATH] [--model NAME] [--vllm VERSION] [--until-stdin-closes]
//! ```
//! The first line on stdout is `listening ADDRESS`. With `--vllm` it says that it is a vLLM of that version.
//!
//! # Choosing a behaviour
//! By the request: its `model`, or the text of its last user message (or its `prompt`, or `input`), where that begins
//! with `fault:`. Else by what `PUT /_scripted/fault` set (body `silent`, `error 503` …, empty to clear; for requests
//! with a body only; `PUT /_scripted/fault/all` is for GET as well, health checks too). Else a normal answer.
//! `N` counts SSE events, of which the first holds only the role; `DUR` is `500ms` or `2s`; what stands in brackets
//! may be left out. Where a fault is about events and the call is not streaming, the JSON body is cut in the middle
//! (die, hang, end-early) or comes late (slow-stream).
//!
//! | `fault:` | what happens |
//! | --- | --- |
//! | `slow-headers DUR` | a normal answer, after a pause before its first byte |
//! | `silent` | the request is read and never answered |
//! | `close-early` | the request is read, the connection closed without a byte |
//! | `reset` | the same, with a TCP reset |
//! | `garbage` | bytes that are not HTTP, then close |
//! | `status LINE` | the status line as given, e.g. `status HTTP/1.1 999 Odd`, then an empty body |
//! | `two-lengths` | two Content-Length headers that differ |
//! | `te-and-length` | Transfer-Encoding: chunked beside a Content-Length |
//! | `huge-headers [BYTES]` | a header of that size (1 MiB) before a normal answer |
//! | `many-headers [N]` | that many small headers (5000) before a normal answer |
//! | `early-hints` | one `103 Early Hints`, then a normal answer |
//! | `endless-1xx` | `103 Early Hints` for ever, one a millisecond |
//! | `switch` | `101 Switching Protocols` that nobody asked for |
//! | `more-body [BYTES]` | a correct answer and then more bytes (32) than Content-Length announced, in one write |
//! | `short-body` | closes before Content-Length is reached |
//! | `bad-chunk` | two events, then a chunk size that is no number |
//! | `die-mid-stream N [reset]` | N whole events, then the connection is closed (or reset) without an end |
//! | `die-mid-event` | two whole events and half of one, then closed |
//! | `end-early N` | N whole events and a correct end of the body, without `[DONE]` |
//! | `hang-mid-stream N` | N whole events, then nothing more, for ever |
//! | `engine-dead N [CODE]` | N whole events, then the engine's last words: an error event with that code (500) and `[DONE]`, or `response.failed` |
//! | `error CODE`, `error-500` | that status with an error in OpenAI's shape |
//! | `leaky-error` | a 500 whose text holds a loopback address and a path |
//! | `html` | 200 with a page of HTML instead of JSON |
//! | `split-events` | a normal stream, cut into chunks at arbitrary bytes, within UTF-8 characters too |
//! | `crlf-events` | a normal stream with CRLF line ends, comments, `event:` lines and `data:` without a blank |
//! | `slow-stream N DUR` | N events with text, one every DUR |
//! | `flood N BYTES` | N events of BYTES bytes of text, as fast as the socket takes them |
//! | `close-idle [DUR]` | a normal answer; DUR (50ms) later the kept connection is closed without a word |
//! | `llama-stream` | a normal answer of llama.cpp's; behind a stream the kept connection is closed 20 ms later without a word |
//! | `acao` | a normal answer with headers that must not pass: CORS, Server, Set-Cookie, hop-by-hop ones |
//! | `early CODE` | only by `PUT`: answers before it reads the body, and closes |
//! | `unread` | only by `PUT`: reads the head and never the body; the client's end is noticed when it is a reset |
//!
//! Of `GET /v1/realtime`, by `PUT /_scripted/fault/all` only:
//!
//! | `fault:` | what happens |
//! | --- | --- |
//! | `ws-refuse CODE` | that status with an error instead of the 101 |
//! | `ws-bad-accept` | a 101 for another key |
//! | `ws-no-upgrade` | a 101 without `Upgrade` |
//! | `ws-extension` | a 101 that chooses an extension |
//! | `ws-protocol` | a 101 that chooses a subprotocol |
//! | `ws-silent` | the handshake is never answered |
//! | `ws-slow DUR` | a good 101, after a pause |
//! | `ws-early` | a good 101 and the first event in one write, which is allowed |
//! | `ws-mute` | a good 101 without `session.created` behind it |
//!
//! The same way, and then at once behind `session.created`; or by the first message of a session, and then instead of
//! what would become of it: a text that begins with `fault:`, or whose `model` does, or whose `audio` does when it is
//! decoded (blanks may fill it up). What is not said to end the session leaves it to go on normally.
//!
//! | `fault:` | what happens |
//! | --- | --- |
//! | `ws-masked` | an event in a masked frame |
//! | `ws-rsv` | an event with the first reserved bit |
//! | `ws-binary` | an event as binary |
//! | `ws-bad-utf8` | an event that is not UTF-8 |
//! | `ws-no-json` | a text that is no JSON |
//! | `ws-huge BYTES` | an event of that size in one frame, as far as it is taken |
//! | `ws-long-control` | a ping of 126 bytes |
//! | `ws-fragments N` | an event in N fragments with a ping between each two, which is allowed |
//! | `ws-die` | the connection is closed without a close frame |
//! | `ws-reset` | the same, with a TCP reset |
//! | `ws-close CODE` | a close with that code; its answer is awaited |
//! | `ws-close-bad [CODE]` | a close of one byte, or with a code that must not be sent |
//! | `ws-ping-flood` | pings for ever, as fast as the socket takes them; what comes is still read |
//! | `ws-hang` | nothing is read or written any more |
//! | `ws-leaky-error` | an error event whose text holds a loopback address and a path |
//! | `ws-no-pong` | pings are not answered any more |
//! | `ws-usage N` | two utterances end, of N tokens each way |
//! | `ws-flood N BYTES` | N events of BYTES bytes of text, as fast as the socket takes them |
//!
//! A normal answer is `You said: …` (the number of images is added where there are any), with `usage` where
//! OpenAI's API has it: always without streaming, and on streams only by `stream_options.include_usage`. Paths:
//! `GET /health`, `GET /v1/models`, `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/responses`,
//! `/v1/messages`, `/v1/messages/count_tokens`, `/v1/rerank`, `/v1/score`,
//! `/v1/audio/transcriptions` (a form; the text is its prompt, or the size of its file), and `GET /v1/realtime`
//! (WebSocket: the text is the size of the audio, once an utterance has been committed with `final`); else 404.
//!
//! # For tests
//! `GET /_scripted/requests`: what was received, see `record.rs`; `DELETE` forgets it.
//! `GET /_scripted/connections`: `{"open", "total", "list"}`. Calls to these paths are not counted themselves.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own, with two lines to print"
)]

mod answer;
mod connection;
mod control;
mod dialect;
mod fault;
mod perform;
mod record;
mod socket;
mod websocket;

use std::{io::Read as _, process::ExitCode, sync::Arc};

use record::State;
use socket::{Listener, Socket};

struct Options {
    listen: String,
    unix: Option<String>,
    model: String,
    vllm: Option<String>,
    until_stdin_closes: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("scripted: {problem}");
            ExitCode::from(2)
        }
    }
}

async fn start() -> Result<(), String> {
    let options = options(std::env::args().skip(1))?;
    let (listener, address) = match &options.unix {
        Some(path) => Listener::unix(path),
        None => Listener::tcp(&options.listen).await,
    }
    .map_err(|error| format!("cannot listen: {error}"))?;
    println!("listening {address}");
    let state = Arc::new(State::new(options.model, options.vllm));
    tokio::select! {
        () = serve(listener, state) => {}
        () = stdin_closed(), if options.until_stdin_closes => {}
    }
    if let Some(path) = &options.unix {
        // Best effort: the next start removes a stale one.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

async fn serve(listener: Listener, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok(socket) => drop(tokio::spawn(one(socket, Arc::clone(&state)))),
            // Out of file descriptors, most likely: the next one may fit again.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn one(socket: Socket, state: Arc<State>) {
    let number = state.opened();
    connection::serve(&socket, &state, number).await;
    drop(socket);
    state.closed(number);
}

/// On a thread of its own: a read of stdin cannot be given up, and would hold up the end of the runtime.
async fn stdin_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while matches!(std::io::stdin().read(&mut buffer), Ok(length) if length > 0) {}
        closed.send(())
    });
    // An error would mean that the thread is gone: the end, too.
    let _ = wait.await;
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        listen: "127.0.0.1:0".into(),
        unix: None,
        model: "scripted-model".into(),
        vllm: None,
        until_stdin_closes: false,
    };
    let (mut host, mut port) = (None, None);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--listen" => options.listen = value()?,
            "--unix" => options.unix = Some(value()?),
            "--model" => options.model = value()?,
            "--vllm" => options.vllm = Some(value()?),
            "--host" => host = Some(value()?),
            "--port" => port = Some(value()?),
            "--until-stdin-closes" => options.until_stdin_closes = true,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    if host.is_some() || port.is_some() {
        let (host, port) = (host.as_deref().unwrap_or("127.0.0.1"), port.as_deref().unwrap_or("0"));
        options.listen = format!("{host}:{port}");
    }
    Ok(options)
}
