use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::config::{Limits, Timeouts};
use crate::listen::state::InFlight;

const GET: &str = "GET /one HTTP/1.1\r\nHost: a\r\n\r\n";
const NEXT: &str = "GET /two HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

/// A client, and a gate that is read as hyper does.
struct Both {
    client: DuplexStream,
    gate: Gate<DuplexStream>,
    state: Rc<State>,
}

fn both() -> Both {
    let secs = Duration::from_secs;
    let timeouts = Timeouts {
        handshake: secs(1),
        request_headers: secs(1),
        keep_alive: secs(1),
        request_body_idle: secs(1),
        write_stall: secs(1),
        upstream_connect: secs(1),
        upstream_send: secs(1),
        upstream_first_byte: secs(1),
        stream_idle: secs(1),
        drain: secs(1),
    };
    let limits = Limits {
        body_bytes: 0,
        body_total_bytes: 0,
        header_bytes: 200,
        header_count: 10,
        target_bytes: 40,
        json_depth: 64,
    };
    let (client, server) = tokio::io::duplex(1 << 20);
    let state = State::new("192.0.2.1".parse().unwrap(), &timeouts);
    let gate = Gate::new(server, BytesMut::new(), state.clone(), Bounds::new(&limits));
    Both { client, gate, state }
}

impl Both {
    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// One read of hyper's; `None`: it would have to wait.
    async fn read(&mut self) -> Option<io::Result<String>> {
        let mut place = [0; 4096];
        poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut place);
            Poll::Ready(match Pin::new(&mut self.gate).poll_read(cx, &mut buf) {
                Poll::Ready(result) => {
                    Some(result.map(|()| String::from_utf8(buf.filled().to_vec()).unwrap()))
                }
                Poll::Pending => None,
            })
        })
        .await
    }

    async fn passed(&mut self) -> String {
        self.read().await.expect("something passes").expect("no error")
    }

    async fn answer(&mut self, request: InFlight) {
        drop(request);
        self.gate.write_all(b"answer").await.unwrap();
        self.gate.flush().await.unwrap();
    }

    fn refused(self) -> Refused {
        self.gate.into_parts().1.expect("a refusal")
    }
}

#[tokio::test]
async fn the_next_head_passes_only_behind_the_answer() {
    let mut both = both();
    both.send(&format!("{GET}{NEXT}")).await;
    assert_eq!(both.passed().await, GET);
    let request = both.state.begin();
    assert!(both.read().await.is_none());
    both.send("GET /three").await;
    assert!(both.read().await.is_none());
    both.answer(request).await;
    assert_eq!(both.passed().await, NEXT);
    let request = both.state.begin();
    both.answer(request).await;
    assert!(both.read().await.is_none());
    both.send(" HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(both.passed().await, "GET /three HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_leaves_behind_its_next_request_is_noticed() {
    let mut both = both();
    both.send(&format!("{POST}{NEXT}")).await;
    assert_eq!(both.passed().await, POST);
    let _request = both.state.begin();
    assert!(both.read().await.is_none());
    both.client.shutdown().await.unwrap();
    assert_eq!(both.passed().await, "", "the end");
}

#[tokio::test]
async fn a_head_passes_when_it_is_whole_and_its_body_as_it_comes() {
    let mut both = both();
    let (head, body) = POST.split_at(POST.len() - 5);
    for byte in head[..head.len() - 1].chars() {
        both.send(&byte.to_string()).await;
        assert!(both.read().await.is_none());
    }
    both.send(&head[head.len() - 1..]).await;
    assert_eq!(both.passed().await, head);
    let _request = both.state.begin();
    for byte in body.chars() {
        both.send(&byte.to_string()).await;
        assert_eq!(both.passed().await, byte.to_string());
    }
    assert!(both.read().await.is_none());
}

#[tokio::test]
async fn a_bad_head_is_the_end_and_nothing_of_it_passes() {
    let mut both = both();
    both.send(&format!("{GET}GET /x y HTTP/1.1\r\n\r\n")).await;
    assert_eq!(both.passed().await, GET);
    let request = both.state.begin();
    both.answer(request).await;
    assert_eq!(both.passed().await, "");
    both.send(GET).await;
    assert_eq!(both.passed().await, "", "and stays so");
    let refused = both.refused();
    assert_eq!(
        (refused.line.as_slice(), refused.fault.reason),
        (&b"GET /x y HTTP/1.1"[..], Reason::MalformedRequest)
    );
}

#[tokio::test]
async fn bad_chunks_in_the_first_read_take_their_head_with_them_and_later_ones_are_an_error() {
    let head = "POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut at_once = both();
    at_once.send(&format!("{head}x\r\n")).await;
    assert_eq!(at_once.passed().await, "");
    assert_eq!(at_once.refused().fault.reason, Reason::MalformedRequest);

    let mut later = both();
    later.send(&format!("{head}5\r\nhello\r\n")).await;
    assert_eq!(later.passed().await, format!("{head}5\r\nhello\r\n"));
    let _request = later.state.begin();
    later.send("5;x\r\n").await;
    assert_eq!(later.read().await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
}

/// A head that hyper does not see the end of would make a head of its body.
#[tokio::test]
async fn a_body_never_passes_before_its_head_was_understood() {
    let mut both = both();
    both.send(&POST[..POST.len() - 4]).await;
    assert_eq!(both.passed().await, POST[..POST.len() - 4]);
    both.send("ello").await;
    assert_eq!(both.read().await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_head_that_breaks_off_or_is_late_is_refused_and_silence_is_not() {
    let mut broken = both();
    broken.send("GET /one HT").await;
    assert!(broken.read().await.is_none());
    broken.client.shutdown().await.unwrap();
    assert_eq!(broken.passed().await, "");
    assert_eq!(broken.refused().line, b"GET /one HT");

    let mut late = both();
    late.gate.is_late();
    late.send("GET /one HT").await;
    assert!(late.read().await.is_none());
    late.gate.is_late();
    assert_eq!(late.refused().fault.reason, Reason::HeadersTimeout);

    let mut silent = both();
    silent.send("\r\n").await;
    silent.client.shutdown().await.unwrap();
    assert_eq!(silent.passed().await, "");
    assert!(silent.gate.into_parts().1.is_none());
}

/// Nothing will come from the socket that could wake it.
#[tokio::test]
async fn whoever_reads_is_woken_for_a_request_that_is_here_already() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut both = both();
    both.send(&format!("{GET}{NEXT}")).await;
    assert_eq!(both.passed().await, GET);
    let request = both.state.begin();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = count.clone().into();
    let flush =
        |both: &mut Both| Pin::new(&mut both.gate).poll_flush(&mut Context::from_waker(&waker)).is_ready();
    assert!(both.read().await.is_none());
    assert!(flush(&mut both));
    assert_eq!(count.0.load(Ordering::Relaxed), 0, "the answer is under way");
    drop(request);
    assert!(flush(&mut both) && flush(&mut both));
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "and only once");
    assert_eq!(both.passed().await, NEXT);
}
