//! The data threads.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::front::Door;
use crate::listen::{Bound, Connections, LiveThread, Phase, accept};
use crate::observe::{LogHandle, flush_thread};
use crate::sys::deadline::wake_late;
use crate::sys::large_buffers;
use crate::upstream::sweep_thread;

/// How often a thread hands over its log lines, closes idle connections to model servers and frees idle memory.
const TICK: Duration = Duration::from_millis(200);
/// Cut answers get so long to say their last word.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a data thread is given.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) door: Arc<Door>,
    pub(super) connections: Arc<Connections>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Where access records go; swapped by a reload.
    pub(super) log: Arc<ArcSwap<LogHandle>>,
}

/// Starts one thread per entry of `listeners`. They end when the phase has left `Serving` and their connections are
/// gone, or shortly after `Cut`.
pub(super) fn start(listeners: Vec<Bound>, shared: &Shared) -> std::io::Result<Vec<JoinHandle<()>>> {
    listeners
        .into_iter()
        .enumerate()
        .map(|(index, listeners)| {
            let shared = shared.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            std::thread::Builder::new().name(format!("data-{index}")).spawn(move || {
                // The local set holds the connections: it has to go before the runtime whose timers they use.
                let tasks = LocalSet::new();
                tasks.block_on(&runtime, thread(listeners, shared));
                drop(tasks);
                flush_thread();
                // A name lookup or a file on a dead network disk may still be waited for; nobody wants it any more.
                runtime.shutdown_background();
            })
        })
        .collect()
}

async fn thread(listeners: Bound, shared: Shared) {
    let Shared { door, connections, mut phase, log } = shared;
    let live = Rc::new(LiveThread::default());
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|(scheme, listener)| {
            tokio::task::spawn_local(accept(
                listener,
                scheme,
                door.clone(),
                connections.clone(),
                live.clone(),
                phase.clone(),
            ))
        })
        .collect();
    let housekeeping = tokio::task::spawn_local(housekeeping(log));
    // An error means that whoever sets the phase is gone, which ends the thread as well.
    let _ = phase.wait_for(|phase| *phase > Phase::Serving).await;
    for task in accepting {
        let _ = task.await;
    }
    tokio::select! {
        () = live.none_left() => {}
        () = cut(phase) => {}
    }
    housekeeping.abort();
}

async fn cut(mut phase: watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase == Phase::Cut).await;
    tokio::time::sleep(LAST_WORDS).await;
}

async fn housekeeping(log: Arc<ArcSwap<LogHandle>>) {
    let mut attached = log.load_full();
    LogHandle::clone(&attached).attach_thread();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        flush_thread();
        sweep_thread();
        large_buffers::sweep_thread();
        wake_late();
        let wanted = log.load();
        if !Arc::ptr_eq(&wanted, &attached) {
            attached = wanted.clone();
            LogHandle::clone(&attached).attach_thread();
        }
    }
}
