//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::frames::{Frames, PREFACE, Tally};
use super::handshake::{self, Greeted, Protocol};
use super::http1;
use super::live::{ConnectionGuard, ConnectionLimits, LiveGuard};
use super::state::{Expired, InFlight, State};
use super::{Phase, Scheme};
use crate::api::body;
use crate::config::Limits;
use crate::front::{self, Body, BodyError, Connection as _, Door, Snapshot};
use crate::observe::Record;
use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;

/// How long a client that is being refused may go on sending before the connection is closed on it, and how long it
/// may pause: it could not read the refusal if its own sending met a closed socket first.
const LINGER_TIME: Duration = Duration::from_secs(30);
pub(super) const LINGER_PAUSE: Duration = Duration::from_secs(2);
/// The same when Portico is to end at once.
const LINGER_CUT: Duration = Duration::from_millis(200);
/// HTTP/2: so much of a request body may be under way on one stream, and on all streams of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const MAX_STREAMS: u32 = 100;
/// HTTP/2: streams that are reset before they are begun, at once; and in all, streams that we have to reset because of
/// what the client did (MadeYouReset, CVE-2025-8671).
const RESETS_BEFORE_BEGUN: usize = 20;
const CLIENT_ERRORS: usize = 64;

/// What a connection holds of the process; given back at its end.
pub(super) struct Shared {
    pub(super) door: Arc<Door>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) _live: LiveGuard,
    pub(super) guard: ConnectionGuard,
}

/// Serves until the connection ends. Dropped, it closes the socket and every request on it ends as "client left".
/// `is_proxy`: it comes from a proxy that has to say whose it is.
pub(super) async fn serve(
    mut stream: TcpStream,
    mut peer: IpAddr,
    scheme: Scheme,
    is_proxy: bool,
    mut shared: Shared,
) {
    let _ = stream.set_nodelay(true);
    let snapshot = shared.door.snapshot.load_full();
    // Nothing was asked yet, so nothing is lost at a stop.
    let stopping = beyond(shared.phase.clone(), Phase::Serving);
    let greeting = async {
        if is_proxy {
            peer = handshake::announced(&mut stream, peer).await?;
            if !shared.guard.belongs_to(peer, ConnectionLimits::of(&snapshot.config.listen)) {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
        match (scheme, &snapshot.tls) {
            (Scheme::Https, Some(config)) => handshake::greet(stream, config.clone()).await,
            _ => Ok(Greeted::Plain(stream)),
        }
    };
    let greeted = tokio::select! {
        biased;
        greeted = tokio::time::timeout(snapshot.config.timeouts.handshake, Box::pin(greeting)) => greeted,
        _ = stopping => return,
    };
    match greeted {
        Ok(Ok(Greeted::Secure(stream, protocol, tls))) => {
            let state = State::new(peer, Some(tls), &snapshot.config.timeouts);
            talk(*stream, Some(protocol), &snapshot, &state, shared).await;
        }
        Ok(Ok(Greeted::Plain(stream))) if scheme == Scheme::Http => {
            let state = State::new(peer, None, &snapshot.config.timeouts);
            talk(stream, None, &snapshot, &state, shared).await;
        }
        Ok(Ok(Greeted::Plain(stream))) => refuse_plain(stream, peer, shared.phase).await,
        Ok(Ok(Greeted::Proven)) => tracing::debug!("a certificate authority has checked a name"),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection was not begun"),
        Err(_) => tracing::debug!(%peer, "a connection was not begun within timeouts.handshake"),
    }
}

/// One connection's requests. `protocol`: as TLS has agreed on it; in the clear its first bytes tell.
async fn talk<S>(
    mut stream: S,
    protocol: Option<Protocol>,
    snapshot: &Snapshot,
    state: &Rc<State>,
    shared: Shared,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let limits = snapshot.config.limits.clone();
    let prefix = tokio::select! {
        biased;
        prefix = read_prefix(&mut stream, snapshot.config.timeouts.request_headers) => prefix,
        _ = beyond(shared.phase.clone(), Phase::Serving) => BytesMut::new(),
    };
    if prefix.is_empty() {
        // Nothing was asked, or nothing more is taken: a word of goodbye, where TLS has one.
        let _ = tokio::time::timeout(LINGER_PAUSE, stream.shutdown()).await;
        return;
    }
    match (protocol, prefix.starts_with(PREFACE)) {
        (None | Some(Protocol::Http2), true) => {
            state.becomes_http2();
            http2(stream, prefix, limits, state, shared).await;
        }
        (None | Some(Protocol::Http1), _) => {
            http1::serve(stream, prefix, http1::Bounds::new(&limits), state, shared).await;
        }
        (Some(Protocol::Http2), false) => {}
    }
}

/// A browser that was sent to the https port without https gets a sentence, not a broken connection.
async fn refuse_plain(mut stream: TcpStream, peer: IpAddr, phase: watch::Receiver<Phase>) {
    let answer = front::unread(b"", peer, &Reason::PlainHttp.into());
    let _ = tokio::time::timeout(LINGER_PAUSE, stream.write_all(&answer)).await;
    linger(stream, phase).await;
}

/// Enough bytes to tell the two protocols apart, or as many as came.
async fn read_prefix(stream: &mut (impl AsyncRead + Unpin), deadline: Duration) -> BytesMut {
    let mut prefix = BytesMut::with_capacity(4096);
    let read = async {
        while let Ok(1..) = stream.read_buf(&mut prefix).await {
            if prefix.len() >= PREFACE.len() || !PREFACE.starts_with(&prefix) {
                break;
            }
        }
    };
    // A deadline that has passed is noticed again by whoever goes on with what came.
    let _ = tokio::time::timeout(deadline, read).await;
    prefix
}

async fn http2<S>(stream: S, prefix: BytesMut, limits: Limits, state: &Rc<State>, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    // Twice what a head may have: what is only somewhat too large gets an answer.
    let largest_list_bytes = limits.header_bytes.saturating_mul(2);
    let tally = Tally::new(largest_list_bytes as usize + limits.target_bytes as usize + 1024);
    let io = Frames::new(stream, prefix, state.clone(), tally.clone());
    let mut connection = pin!(
        http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(largest_list_bytes)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_pending_accept_reset_streams(RESETS_BEFORE_BEGUN)
            .max_local_error_reset_streams(CLIENT_ERRORS)
            .serve_connection(TokioIo::new(io), service_fn(service(state, &shared.door)))
    );
    let mut watch = pin!(Watch::new(state, shared.phase.clone()));
    std::future::poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match std::task::ready!(watch.as_mut().poll_next(cx)) {
                Next::Close => connection.as_mut().graceful_shutdown(),
                Next::Cut => {}
                Next::Drop(_) => return Poll::Ready(()),
            }
        }
    })
    .await;
    record_unserved(state, &tally);
}

/// h2 answers what it can't accept by itself, with a reset or a bare 431, and tells nobody. How many streams that
/// were is known at the end.
fn record_unserved(state: &State, tally: &Tally) {
    let unserved = tally.opened().saturating_sub(state.begun()).min(u64::from(MAX_STREAMS));
    let unserved = (0..unserved).map(|_| "HTTP/2: a stream was refused before it became a request");
    for rule in unserved.chain(tally.flood()) {
        let refusal = Refusal::new(Reason::MalformedRequest).because(rule);
        Record::unread(state.peer(), Version::HTTP_2, &refusal, None, 0);
    }
}

type Served = Pin<Box<dyn Future<Output = Result<Response<Tracked>, Infallible>>>>;

/// hyper's service: the request path, with the request counted on its connection until its body has ended.
fn service(state: &Rc<State>, door: &Arc<Door>) -> impl Fn(Request<Incoming>) -> Served + use<> {
    let (state, door) = (state.clone(), door.clone());
    move |request| {
        let guard = state.begin();
        let (state, door) = (state.clone(), door.clone());
        Box::pin(async move {
            let mut answer = pin!(front::handle(&door, state, request.map(Http2Body)));
            let response = std::future::poll_fn(|cx| {
                guard.waits(cx.waker());
                answer.as_mut().poll(cx)
            })
            .await;
            guard.handed_over();
            Ok(response.map(|body| Tracked { body, guard }))
        })
    }
}

/// A request's body over HTTP/2.
struct Http2Body(Incoming);

impl body::Incoming for Http2Body {
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<bool, String>> {
        loop {
            match std::task::ready!(Pin::new(&mut self.0).poll_frame(cx)) {
                None => return Poll::Ready(Ok(false)),
                Some(Err(error)) => return Poll::Ready(Err(error.to_string())),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        into.extend_from_slice(&data);
                        return Poll::Ready(Ok(true));
                    }
                    // Nobody has judged them, and nothing in them would mean anything here.
                    Err(_) => return Poll::Ready(Err("trailers behind the body".to_owned())),
                },
            }
        }
    }

    fn is_ended(&self) -> bool {
        self.0.is_end_stream()
    }

    fn announced_bytes(&self) -> u64 {
        self.0.size_hint().lower()
    }
}

/// A response body that keeps its connection counted as busy, and knows whether its pieces are taken.
struct Tracked {
    body: Body,
    guard: InFlight,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.guard.asked();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(_))) => self.guard.handed_over(),
            Poll::Ready(_) => {}
            Poll::Pending => self.guard.waits(cx.waker()),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a connection's task has to do besides serving.
pub(super) enum Next {
    /// Finish what is under way, take nothing new.
    Close,
    /// Live answers have been told to end; poll once more.
    Cut,
    /// Nothing more can be expected of the client.
    Drop(Expired),
}

/// The deadlines and the phase, as one thing to poll.
pub(super) struct Watch<'a> {
    state: &'a Rc<State>,
    timer: Pin<Box<tokio::time::Sleep>>,
    phase: Pin<Box<dyn Future<Output = Phase>>>,
    receiver: watch::Receiver<Phase>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(state: &'a Rc<State>, receiver: watch::Receiver<Phase>) -> Self {
        let first = state.deadline().min(Instant::now() + state.shortest_limit());
        let timer = Box::pin(tokio::time::sleep_until(first));
        let phase = Box::pin(beyond(receiver.clone(), Phase::Serving));
        Self { state, timer, phase, receiver }
    }

    pub(super) fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        if let Poll::Ready(phase) = self.phase.as_mut().poll(cx) {
            self.phase = Box::pin(beyond(self.receiver.clone(), phase));
            if phase == Phase::Cut {
                self.state.cut();
                return Poll::Ready(Next::Cut);
            }
            return Poll::Ready(self.close());
        }
        loop {
            // Moved only when it fires: progress then costs nothing.
            std::task::ready!(self.timer.as_mut().poll(cx));
            match self.state.expired(Instant::now()) {
                Some(Expired::Idle) if !self.state.is_closing() => return Poll::Ready(self.close()),
                Some(expired) => {
                    // One answer that is not taken ends the connection: it holds a place at the model.
                    if expired == Expired::Stalled {
                        self.state.stalled();
                    }
                    return Poll::Ready(Next::Drop(expired));
                }
                None => self.set_timer(),
            }
        }
    }

    fn close(&mut self) -> Next {
        self.state.close();
        self.set_timer();
        Next::Close
    }

    fn set_timer(&mut self) {
        let next = self.state.deadline().min(Instant::now() + self.state.shortest_limit());
        self.timer.as_mut().reset(next);
    }
}

/// Resolves to the first phase after `known`; never, when whoever sets it is gone.
async fn beyond(mut receiver: watch::Receiver<Phase>, known: Phase) -> Phase {
    match receiver.wait_for(|phase| *phase > known).await {
        Ok(phase) => *phase,
        Err(_) => std::future::pending().await,
    }
}

/// Closes our side, then takes in what is still coming, so that the last answer can be read.
pub(super) async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, phase: watch::Receiver<Phase>) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut scratch = BytesMut::with_capacity(16 * 1024);
    let rest = async {
        while let Ok(Ok(1..)) = tokio::time::timeout(LINGER_PAUSE, stream.read_buf(&mut scratch)).await {
            scratch.clear();
        }
    };
    let cut = async {
        beyond(phase, Phase::Draining).await;
        tokio::time::sleep(LINGER_CUT).await;
    };
    tokio::select! {
        _ = tokio::time::timeout(LINGER_TIME, rest) => {}
        () = cut => {}
    }
}

/// Streams of one HTTP/2 connection stay on its thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
