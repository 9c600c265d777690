//! Taking connections off a listening socket.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::connection::{self, Shared};
use super::live::{ConnectionLimits, Connections, LiveThread};
use super::{Phase, Scheme};
use crate::front::Door;

/// Runs until the phase leaves [`Phase::Serving`]; the socket is closed then.
pub(crate) async fn accept(
    listener: TcpListener,
    scheme: Scheme,
    door: Arc<Door>,
    connections: Arc<Connections>,
    live: Rc<LiveThread>,
    mut phase: watch::Receiver<Phase>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listening socket can't be used"),
    };
    let mut pause = Backoff::default();
    while *phase.borrow_and_update() == Phase::Serving {
        let accepted = tokio::select! {
            biased;
            _ = phase.changed() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause.reset();
                let snapshot = door.snapshot.load();
                let listen = &snapshot.config.listen;
                let address = peer.ip().to_canonical();
                let trusted = crate::access::is_trusted(address, &listen.trusted_proxies);
                let limits = ConnectionLimits::of(listen);
                let Some(guard) = connections.enter(address, trusted, limits) else { continue };
                let is_proxy = trusted && listen.proxy_protocol;
                let shared = Shared { door: door.clone(), phase: phase.clone(), _live: live.enter(), guard };
                tokio::task::spawn_local(connection::serve(stream, address, scheme, is_proxy, shared));
            }
            Err(error) => match kind(&error) {
                ErrorClass::Connection => {}
                ErrorClass::Resource => pause.wait(&error).await,
                ErrorClass::Permanent => {
                    return tracing::error!(%error, "a listening socket has failed for good");
                }
            },
        }
    }
}

enum ErrorClass {
    /// Of the one connection that was to be accepted.
    Connection,
    /// Of the machine, and passing.
    Resource,
    Permanent,
}

fn kind(error: &io::Error) -> ErrorClass {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::PROTO
            | Errno::INTR
            | Errno::AGAIN
            | Errno::PERM
            | Errno::TIMEDOUT
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP,
        ) => ErrorClass::Connection,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => ErrorClass::Resource,
        _ => ErrorClass::Permanent,
    }
}

/// Waiting for the machine to have room again; said once, not at every try.
#[derive(Default)]
struct Backoff {
    pause: Duration,
}

impl Backoff {
    async fn wait(&mut self, error: &io::Error) {
        if self.pause.is_zero() {
            tracing::error!(%error, "no connection can be accepted for now; live ones go on");
        }
        self.pause = (self.pause * 2).clamp(Duration::from_millis(10), Duration::from_secs(1));
        tokio::time::sleep(self.pause).await;
    }

    fn reset(&mut self) {
        self.pause = Duration::ZERO;
    }
}
