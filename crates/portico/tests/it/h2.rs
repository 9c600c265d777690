//! An HTTP/2 client (prior knowledge) for the tests: hyper's own, with the flow-control windows in the test's hand.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use testkit::portico::Portico;
use tokio::task::JoinHandle;

/// One connection.
pub(crate) struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    tasks: Tasks,
    authority: String,
}

/// What hyper spawns for a connection: the socket is with one of them.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let task = tokio::spawn(async move {
            future.await;
        });
        self.0.lock().expect("no test panics in here").push(task);
    }
}

/// A whole answer. `cut`: the stream was reset before its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
    pub(crate) cut: bool,
}

impl Http2 {
    pub(crate) async fn open(portico: &Portico) -> Self {
        Self::with_window(portico, 1 << 20).await
    }

    /// `window_bytes` of each stream's answer may be under way.
    pub(crate) async fn with_window(portico: &Portico, window_bytes: u32) -> Self {
        let authority = format!("127.0.0.1:{}", portico.port(""));
        let stream = tokio::net::TcpStream::connect(&authority).await.expect("a connection");
        let tasks = Tasks::default();
        let (sender, connection) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .initial_stream_window_size(window_bytes)
            .handshake(TokioIo::new(stream))
            .await
            .expect("a handshake");
        let driver = tokio::spawn(async move {
            // How the connection ends is the test's to look at, by its answers.
            let _ = connection.await;
        });
        Self { sender, driver, tasks, authority }
    }

    /// Sends, and reads the answer in the background. Aborted, the stream is reset.
    pub(crate) fn post(&mut self, path: &str, json: &Value) -> JoinHandle<Answer> {
        let request = self.request("POST", path).header("content-type", "application/json");
        let answer = self.sender.send_request(request.body(Full::from(json.to_string())).expect("a request"));
        tokio::spawn(async move { read(answer.await.expect("a head")).await })
    }

    /// Sends, and gives the head; the body is the test's to read or not.
    pub(crate) async fn begin(&mut self, path: &str, json: &Value) -> http::Response<hyper::body::Incoming> {
        let request = self.request("POST", path).header("content-type", "application/json");
        let request = request.body(Full::from(json.to_string())).expect("a request");
        self.sender.send_request(request).await.expect("a head")
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path).body(Full::default()).expect("a request");
        read(self.sender.send_request(request).await.expect("a head")).await
    }

    pub(crate) async fn send(&mut self, request: http::Request<Full<Bytes>>) -> hyper::Result<Answer> {
        Ok(read(self.sender.send_request(request).await?).await)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        http::Request::builder().method(method).uri(format!("http://{}{path}", self.authority))
    }

    /// Whether the server has ended the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Closes the socket under the streams.
    pub(crate) async fn close(self) {
        let tasks = std::mem::take(&mut *self.tasks.0.lock().expect("no test panics in here"));
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Answer {
    let (head, mut body) = response.into_parts();
    let mut text = Vec::new();
    let mut cut = false;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Err(_) => {
                cut = true;
                break;
            }
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    Answer { status: head.status.as_u16(), headers: head.headers, text, cut }
}
