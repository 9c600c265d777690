//! The clients of each mode. Each is one task that sends its next request when the last is answered.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use portico_bench::shape::MAX_EVENTS;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::exchange::{self, Connection, Failure, Request};
use crate::stream::{Dialer, KeyExchange};
use crate::tally::Shared;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Json,
    Sse,
    Upload,
    NewConnection,
    Handshake,
}

impl Mode {
    pub const NAMES: &str = "json, sse, upload, newconn, handshake";

    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "json" => Ok(Self::Json),
            "sse" => Ok(Self::Sse),
            "upload" => Ok(Self::Upload),
            "newconn" => Ok(Self::NewConnection),
            "handshake" => Ok(Self::Handshake),
            _ => Err(format!("mode \"{name}\" is none of {}", Self::NAMES)),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sse => "sse",
            Self::Upload => "upload",
            Self::NewConnection => "newconn",
            Self::Handshake => "handshake",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Json | Self::NewConnection => "request",
            Self::Sse => "event",
            Self::Upload => "MiB",
            Self::Handshake => "connection",
        }
    }
}

#[derive(Debug)]
pub struct Plan {
    pub mode: Mode,
    pub target: SocketAddr,
    /// Over TLS, with this key exchange.
    pub tls: Option<KeyExchange>,
    pub connections: usize,
    pub seconds: Duration,
    pub warmup: Duration,
    /// Events per second and stream.
    pub rate: u64,
    pub mib: usize,
    pub model: String,
    /// Of plain calls.
    pub authorization: Option<String>,
    pub measured_pid: Option<u32>,
    pub beside_pid: Option<u32>,
    /// How long one answer may take beyond what it should.
    pub patience: Duration,
}

/// Paced streams run so long before the window, after the last has begun, and after it, before the first ends.
const MARGIN: Duration = Duration::from_millis(250);
/// Events in a stream that goes as fast as it can; it begins again at its end.
const FLAT_EVENTS: u64 = 20_000;

impl Plan {
    pub fn paced(&self) -> bool {
        self.mode == Mode::Sse && self.rate > 0
    }

    pub fn before_window(&self) -> Duration {
        if self.paced() { self.warmup + MARGIN } else { self.warmup }
    }

    /// Paced streams begin during the warm-up one after the other, and end one after the other in as long.
    pub fn after_window(&self) -> Duration {
        if self.paced() { self.warmup + MARGIN } else { Duration::ZERO }
    }

    fn plain(&self, close: bool) -> Request {
        Request::plain(self.target, &self.model, close, self.authorization.as_deref())
    }

    fn events(&self) -> u64 {
        if !self.paced() {
            return FLAT_EVENTS;
        }
        let lasts = self.warmup + MARGIN + self.seconds + MARGIN;
        ((lasts.as_secs_f64() * self.rate as f64).ceil() as u64).clamp(1, MAX_EVENTS)
    }
}

pub fn start(plan: &Plan, dialer: &Rc<Dialer>, shared: &Rc<Shared>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let upload =
        (plan.mode == Mode::Upload).then(|| Request::upload(plan.target, &plan.model, plan.mib << 20));
    for index in 0..plan.connections {
        let (dialer, shared) = (Rc::clone(dialer), Rc::clone(shared));
        let client = Client { dialer, patience: plan.patience, shared };
        match (plan.mode, &upload) {
            (Mode::Sse, _) => {
                let wait = if plan.paced() {
                    plan.warmup.mul_f64(index as f64 / plan.connections as f64)
                } else {
                    Duration::ZERO
                };
                let events = plan.events();
                let request = Request::stream(plan.target, &plan.model, events, plan.rate);
                clients.spawn_local(client.streams(request, events, wait, plan.paced(), plan.seconds));
            }
            (Mode::Upload, Some(request)) => {
                drop(clients.spawn_local(client.calls(request.clone(), plan.mib as u64)))
            }
            (Mode::NewConnection, _) => {
                let request = plan.plain(true);
                clients.spawn_local(client.calls_over_new_connections(request));
            }
            (Mode::Handshake, _) => drop(clients.spawn_local(client.health_over_new_connections())),
            (Mode::Json | Mode::Upload, _) => {
                clients.spawn_local(client.calls(plan.plain(false), 1));
            }
        }
    }
    clients
}

struct Client {
    dialer: Rc<Dialer>,
    patience: Duration,
    shared: Rc<Shared>,
}

impl Client {
    /// Calls over one connection; where the server announced its close, over the next.
    async fn calls(self, mut request: Request, units: u64) {
        let mut kept: Option<Connection> = None;
        let mut body = Vec::new();
        while !self.shared.over() && !self.shared.hopeless() {
            let fresh = kept.is_none();
            let number = self.shared.next_request();
            let begin = Instant::now();
            let answered = self.bounded(self.patience, async {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => self.dialer.connect(&self.shared).await?,
                };
                let again = exchange::call(&mut connection, &mut request, number, &mut body).await?;
                Ok(again.then_some(connection))
            });
            let Some(connection) = answered.await else { continue };
            self.shared.right_answer(units, begin.elapsed());
            if connection.is_none() && !fresh {
                self.shared.reconnect();
            }
            kept = connection;
        }
    }

    /// A connection for each call, closed by the server, as the request says.
    async fn calls_over_new_connections(self, mut request: Request) {
        let mut body = Vec::new();
        while !self.shared.over() && !self.shared.hopeless() {
            let number = self.shared.next_request();
            let begin = Instant::now();
            let answered = self.bounded(self.patience, async {
                let mut connection = self.dialer.connect(&self.shared).await?;
                exchange::call(&mut connection, &mut request, number, &mut body).await?;
                Ok(connection.expect_close().await?)
            });
            if answered.await.is_some() {
                self.shared.right_answer(1, begin.elapsed());
            }
        }
    }

    /// A connection for each question after its health, closed by the server.
    async fn health_over_new_connections(self) {
        while !self.shared.over() && !self.shared.hopeless() {
            self.shared.next_request();
            let begin = Instant::now();
            let answered = self.bounded(self.patience, async {
                let mut connection = self.dialer.connect(&self.shared).await?;
                exchange::health(&mut connection, self.dialer.target()).await
            });
            if answered.await.is_some() {
                self.shared.right_answer(1, begin.elapsed());
            }
        }
    }

    /// One paced stream over the whole measurement, or flat-out streams until the window is over.
    async fn streams(self, request: Request, events: u64, wait: Duration, paced: bool, window: Duration) {
        sleep(wait).await;
        let mut kept: Option<Connection> = None;
        let patience = self.patience + window + wait + wait + 2 * MARGIN;
        while !self.shared.over() && !self.shared.hopeless() {
            self.shared.next_request();
            let answered = self.bounded(patience, async {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => self.dialer.connect(&self.shared).await?,
                };
                let again = exchange::stream(&mut connection, &request, events, &self.shared).await?;
                Ok(again.then_some(connection))
            });
            if let Some(connection) = answered.await {
                self.shared.right_stream();
                kept = connection;
            }
            if paced {
                return;
            }
        }
    }

    /// The result, or `None` after counting why there is none. After an error a little pause: a server that refuses
    /// is not to be hammered.
    async fn bounded<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Option<T> {
        let failure = match timeout(patience, work).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::new("timeout", format!("no whole answer within {patience:?}")),
        };
        self.shared.error(&failure);
        sleep(Duration::from_millis(5)).await;
        None
    }
}
