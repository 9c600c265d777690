//! The measured stretch of time: what the processes used in it, and the orderly end after it.

use std::time::{Duration, Instant};

use portico_bench::process::{Memory, Reading, Spent, Tree, machine_busy_seconds};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::exchange::Failure;
use crate::modes::Plan;
use crate::tally::{Phase, Shared};

#[derive(Debug)]
pub struct Measured {
    pub seconds: f64,
    pub spent: Option<Spent>,
    pub beside: Option<Spent>,
    pub own: Option<Spent>,
    /// Paced streams without an event when the window began: it holds their beginnings, too.
    pub late_streams: usize,
    /// Busy CPU time of the whole machine less that of the three above: other work disturbs.
    pub foreign_seconds: Option<f64>,
    /// Before the first connection, and at the end of the window.
    pub memory_before: Option<Memory>,
    pub memory: Option<Memory>,
}

/// A process tree that is read at both ends of the window.
struct Watched {
    pid: u32,
    tree: Tree,
    before: Reading,
}

impl Watched {
    fn begin(pid: u32) -> Result<Self, String> {
        let tree = Tree::of(pid).map_err(|error| error.to_string())?;
        let before = tree.reading().map_err(|error| error.to_string())?;
        Ok(Self { pid, tree, before })
    }

    fn end(&self) -> Result<Spent, String> {
        let after = self.tree.reading().map_err(|error| error.to_string())?;
        Ok(self.before.until(&after))
    }

    /// A process that came or went took CPU time that was not read.
    fn unchanged(&self) -> Result<(), String> {
        match Tree::of(self.pid) {
            Ok(tree) if tree == self.tree => Ok(()),
            _ => Err(format!("the processes below {} changed during the measurement", self.pid)),
        }
    }
}

/// What the measured processes hold now.
pub fn memory(plan: &Plan) -> Result<Option<Memory>, String> {
    let tree = plan.measured_pid.map(Tree::of).transpose().map_err(|error| error.to_string())?;
    Ok(tree.map(|tree| tree.memory()))
}

pub async fn measure(
    plan: &Plan,
    shared: &Shared,
    memory_before: Option<Memory>,
) -> Result<Measured, String> {
    let watch = |pid: Option<u32>| pid.map(Watched::begin).transpose();
    sleep(plan.before_window()).await;
    let late_streams = if plan.paced() { plan.connections.saturating_sub(shared.begun()) } else { 0 };
    let busy_before = machine_busy_seconds();
    let own = Watched::begin(std::process::id())?;
    let beside = watch(plan.beside_pid)?;
    let measured = watch(plan.measured_pid)?;
    let begin = Instant::now();
    shared.phase.set(Phase::Window);
    let end = begin + plan.seconds;
    while Instant::now() < end && !shared.hopeless() {
        sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now()))).await;
    }
    let spent = measured.as_ref().map(Watched::end).transpose()?;
    let seconds = begin.elapsed().as_secs_f64();
    shared.phase.set(Phase::Over);
    let beside_spent = beside.as_ref().map(Watched::end).transpose()?;
    let own_spent = own.end()?;
    let busy = machine_busy_seconds().zip(busy_before).map(|(after, before)| after - before);
    let known: f64 = [spent, beside_spent, Some(own_spent)].iter().flatten().map(|spent| spent.seconds).sum();
    let memory = measured.as_ref().map(|watched| watched.tree.memory());
    if let Some(measured) = &measured {
        measured.unchanged()?;
    }
    Ok(Measured {
        seconds,
        spent,
        beside: beside_spent,
        own: Some(own_spent),
        late_streams,
        foreign_seconds: busy.map(|busy| (busy - known).max(0.0)),
        memory_before,
        memory,
    })
}

/// Every request that was sent gets its answer checked, also those that end after the window.
pub async fn finish(plan: &Plan, shared: &Shared, mut clients: JoinSet<()>) {
    let all = async { while clients.join_next().await.is_some() {} };
    if timeout(plan.after_window() + plan.patience, all).await.is_err() {
        for _ in 0..clients.len() {
            shared.error(&Failure::new("timeout", "no end of the answer"));
        }
        clients.abort_all();
    }
}
