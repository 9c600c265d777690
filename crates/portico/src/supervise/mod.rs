//! Model processes: started, asked whether they are ready, restarted when they end, and ended as a whole.
//!
//! Start reading at [`Supervised`], the handle, then `driver`, which does what `state` decides. `engine` turns the
//! configuration into a command line, `launch` starts it, `group` ends it.
//!
//! This room must never: listen beyond loopback and Unix sockets, put a key into arguments, end a process by its
//! name, or let a model that fails take anything else with it.

pub(crate) mod advisories;
mod driver;
mod engine;
mod facts;
mod failures;
mod fit;
mod group;
mod install;
mod launch;
mod output;
mod ready;
mod record;
mod state;
mod surroundings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{Notify, mpsc, oneshot, watch};

pub(crate) use facts::{AskError, ask};
pub(crate) use fit::{advise, quoted};
pub(crate) use install::{Installation, gpus};
pub(crate) use output::clean;
pub(crate) use ready::Probe;

use crate::config::{EndpointAddress, Model};
use crate::sys::http::Target;
use crate::sys::process::Exit;
use crate::types::{ModelFacts, ModelState, Text};

/// One model to run, and what of the rest of the configuration it depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    /// `engine` is not `External`.
    pub(crate) model: Model,
    pub(crate) data_dir: PathBuf,
    /// `policy.max_choices`: the engine is told, as a second lock.
    pub(crate) max_choices: u32,
    /// `ConnectOnly` where `health.interval` is `0s`.
    pub(crate) probe: Probe,
}

impl Spec {
    /// Whether going on from `running` to this takes a start of the process.
    pub(crate) fn needs_another_process_than(&self, running: &Self) -> bool {
        !driver::same_process(running, self)
    }
}

/// What an operator may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Start,
    Stop,
    Restart,
}

/// How a model is, now.
#[derive(Clone, PartialEq)]
pub(crate) struct ModelStatus {
    pub(crate) state: ModelState,
    /// When this state began.
    pub(crate) since: SystemTime,
    /// Why it is not ready, in words, with the fix. `None` when it is ready.
    pub(crate) detail: Option<Text>,
    pub(crate) pid: Option<u32>,
    /// Starts after the first.
    pub(crate) restarts: u32,
    pub(crate) last_exit: Option<LastExit>,
    /// Of the last time it became ready; kept while it restarts.
    pub(crate) facts: Arc<ModelFacts>,
    /// What the running process wants in `Authorization: Bearer`; another one after every start.
    pub(crate) api_key: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastExit {
    pub(crate) exit: Exit,
    pub(crate) at: SystemTime,
}

impl std::fmt::Debug for ModelStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { state, since, detail, pid, restarts, last_exit, facts, api_key } = self;
        f.debug_struct("ModelStatus")
            .field("state", state)
            .field("since", since)
            .field("detail", detail)
            .field("pid", pid)
            .field("restarts", restarts)
            .field("last_exit", last_exit)
            .field("facts", facts)
            .field("api_key", &api_key.as_ref().map(|_| "(secret)"))
            .finish()
    }
}

/// What is told to the driver.
#[derive(Debug)]
enum Order {
    Command(Command),
    Replace(Box<Spec>, oneshot::Sender<()>),
    Shutdown,
}

/// Orders that wait for the driver, which takes them at once but while it starts a process.
const WAITING_ORDERS: usize = 16;

/// A model process under supervision. Clones are the same model.
///
/// When the last clone is dropped the process is ended as by [`Supervised::shutdown`], but nobody waits for it then.
#[derive(Debug, Clone)]
pub(crate) struct Supervised {
    orders: mpsc::Sender<Order>,
    unreachable: Arc<Notify>,
    hurry: Arc<Notify>,
    status: watch::Receiver<ModelStatus>,
}

impl Supervised {
    /// Starts the model, and the one task that watches it, on the current runtime: the control plane's, never one of
    /// the data plane's.
    pub(crate) fn start(spec: Spec) -> Self {
        let (orders, incoming) = mpsc::channel(WAITING_ORDERS);
        let (unreachable, hurry) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (publish, status) = watch::channel(ModelStatus {
            state: ModelState::Loading,
            since: SystemTime::now(),
            detail: Some(driver::starting_text(&spec)),
            pid: None,
            restarts: 0,
            last_exit: None,
            facts: Arc::default(),
            api_key: None,
        });
        let calls = driver::Calls { unreachable: Arc::clone(&unreachable), hurry: Arc::clone(&hurry) };
        let driver = driver::Driver::new(spec, incoming, calls, publish);
        tokio::spawn(Box::pin(driver.run()));
        Self { orders, unreachable, hurry, status }
    }

    /// The present status, and all later ones.
    pub(crate) fn status(&self) -> watch::Receiver<ModelStatus> {
        self.status.clone()
    }

    /// Until a shutdown is complete.
    pub(crate) fn is_there(&self) -> bool {
        self.status.has_changed().is_ok()
    }

    /// Passes on what the operator wants; the outcome is seen in the status.
    pub(crate) async fn command(&self, command: Command) {
        // It fails only after a shutdown, when there is nothing to command any more.
        let _ = self.orders.send(Order::Command(command)).await;
    }

    /// The request path could not connect: look now instead of at the next occasion. Never blocks; many calls are one.
    pub(crate) fn report_unreachable(&self) {
        self.unreachable.notify_one();
    }

    /// Goes on with a changed configuration, and returns when that has begun. The process is restarted only if its command line, address, user or log
    /// would differ; a model that the operator has stopped stays stopped.
    pub(crate) async fn replace(&self, spec: Spec) {
        let (begun, wait) = oneshot::channel();
        let _ = self.orders.send(Order::Replace(Box::new(spec), begun)).await;
        // It fails only after a shutdown, when there is nothing to go on with.
        let _ = wait.await;
    }

    /// No more grace: what is being ended is killed now, and what will be ended is killed then.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Ends the process, and returns when none of its group is left: after `stop_grace` at the latest they are
    /// killed. Dropping the future does not take the order back.
    pub(crate) async fn shutdown(&self) {
        let _ = self.orders.send(Order::Shutdown).await;
        let mut status = self.status.clone();
        // The driver drops its end when all is over.
        while status.changed().await.is_ok() {}
    }
}

/// The address in the form the control plane's client takes.
pub(crate) fn target(address: &EndpointAddress) -> Target {
    match address {
        EndpointAddress::Tcp { host, port } => Target::Tcp { host: host.clone(), port: *port },
        EndpointAddress::Unix(path) => Target::Unix(path.clone()),
    }
}
