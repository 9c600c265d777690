//! A model server that takes connections and says nothing on them, and an end that is to come at once.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::process::Exit;
use testkit::scripted::Scripted;
use testkit::wait::SOON;

use crate::setup::{CHAT, Setup, asked, chat, stream};
use crate::streams::begun;

/// What Docker's port proxy or an SSH tunnel does when the server behind it is gone: it accepts and closes.
fn hollow() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            count.fetch_add(1, Ordering::Relaxed);
            drop(connection);
        }
    });
    (address, taken)
}

#[tokio::test]
async fn an_endpoint_that_gives_no_answers_is_tried_once_a_second() {
    let ((hollow, taken), good) = (hollow(), Scripted::start().await);
    let portico = Setup::new().model("scripted", &[&hollow, &good.endpoint()], "").start().await;
    let (began, before) = (Instant::now(), taken.load(Ordering::Relaxed));
    let mut failed = 0;
    while began.elapsed() < Duration::from_millis(2500) {
        failed += usize::from(portico.post_json(CHAT, &chat("hello")).await.head.status != 200);
    }
    let tries = taken.load(Ordering::Relaxed) - before;
    assert!((2..=3).contains(&tries), "{tries} tries in 2.5 s");
    assert!(failed <= tries, "{failed} requests failed, with {tries} tries");
}

/// A client that reads nothing and keeps its connection does not hold it up.
#[tokio::test]
async fn a_second_signal_ends_at_once_whatever_clients_do() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut deaf = asked(&portico, &stream("fault:hang-mid-stream 2")).await;
    begun(&mut deaf).await;
    portico.process().signal(Signal::TERM);
    portico.wait_for_line("stderr", "stopping").await;
    let cut = Instant::now();
    portico.process().signal(Signal::TERM);
    assert_eq!(portico.process().wait(SOON).await, Exit::Code(0));
    assert!(cut.elapsed() < Duration::from_millis(1500), "{:?}", cut.elapsed());
    drop(deaf);
}
