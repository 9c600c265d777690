//! The one task of a supervised model: waits for what happens, asks [`Machine`] what follows, does it, says it.

use std::borrow::Cow;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::group::Unkillable;
use super::launch::{Running, launch};
use super::output::Tail;
use super::ready::{self, LastProblem, Question};
use super::state::{Action, Event, Failure, Grace, Machine, Next, Phase};
use super::{Command, LastExit, ModelStatus, Order, Spec, engine, failures, record, target};
use crate::sys::process::Exit;
use crate::sys::{http, procfs};
use crate::types::{ModelFacts, ModelState, Text, text};

/// What its children get when the leader is dead: nobody is served by what they still do.
const SHORT_GRACE: Duration = Duration::from_secs(5);
/// For the last output of a process that has ended; its children may hold the pipe open longer.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// For finding out whether a server that a request could not reach is reached by us.
const REACH: Duration = Duration::from_secs(2);
/// Last lines in a message, and last lines searched for a known cause.
const SHOWN_LINES: usize = 8;
const SEARCHED_LINES: usize = 80;

const NOTHING: Text = Text { en: Cow::Borrowed(""), zh: Cow::Borrowed("") };

type Doing<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What can be said at any time, also when orders are no longer taken.
pub(super) struct Calls {
    pub(super) unreachable: Arc<Notify>,
    pub(super) hurry: Arc<Notify>,
}

pub(super) struct Driver {
    spec: Spec,
    machine: Machine,
    began: Instant,
    orders: mpsc::Receiver<Order>,
    calls: Calls,
    /// Nobody has time for grace any more.
    hurried: bool,
    publish: watch::Sender<ModelStatus>,
    tail: Tail,

    running: Option<Running>,
    /// The leader has been seen to end.
    leader_ended: bool,
    /// The machine's count when this process was started.
    out_of_memory_kills: u64,
    probing: Doing<ModelFacts>,
    last_problem: LastProblem,
    checking: Doing<bool>,
    ending: Doing<Result<(), Unkillable>>,
    start_deadline: Option<Instant>,
    pause_until: Option<Instant>,

    facts: Arc<ModelFacts>,
    last_exit: Option<LastExit>,
    /// What went wrong last, until it is ready or stopped.
    trouble: Option<Text>,
}

/// What the select of [`Driver::next`] saw, before it is understood.
enum Seen {
    Order(Option<Order>),
    Unreachable,
    Hurry,
    Checked(bool),
    Ended(std::io::Result<std::process::ExitStatus>),
    Ready(ModelFacts),
    GroupGone(Result<(), Unkillable>),
    StartDeadline,
    PauseOver,
}

impl Driver {
    pub(super) fn new(
        spec: Spec,
        orders: mpsc::Receiver<Order>,
        calls: Calls,
        publish: watch::Sender<ModelStatus>,
    ) -> Self {
        Self {
            spec,
            machine: Machine::new(),
            began: Instant::now(),
            orders,
            calls,
            hurried: false,
            publish,
            tail: Tail::default(),
            running: None,
            leader_ended: false,
            out_of_memory_kills: 0,
            probing: None,
            last_problem: LastProblem::default(),
            checking: None,
            ending: None,
            start_deadline: None,
            pause_until: None,
            facts: Arc::default(),
            last_exit: None,
            trouble: None,
        }
    }

    /// Runs until a shutdown is complete.
    pub(super) async fn run(mut self) {
        self.happen(Event::Start).await;
        while self.machine.phase() != Phase::Over {
            let seen = self.next().await;
            self.understand(seen).await;
        }
    }

    async fn next(&mut self) -> Seen {
        let Self { orders, calls, running, leader_ended, probing, checking, ending, .. } = self;
        let (start_deadline, pause_until) = (self.start_deadline, self.pause_until);
        // A report that comes during a check may be about what happened after it, so it is kept for another one.
        let may_check = checking.is_none();
        let leader = async {
            match running {
                Some(running) if !*leader_ended => running.child.wait().await,
                _ => pending().await,
            }
        };
        tokio::select! {
            order = orders.recv() => Seen::Order(order),
            status = leader => Seen::Ended(status),
            gone = done(ending) => Seen::GroupGone(gone),
            facts = done(probing) => Seen::Ready(facts),
            reached = done(checking) => Seen::Checked(reached),
            () = at(start_deadline) => Seen::StartDeadline,
            () = at(pause_until) => Seen::PauseOver,
            () = calls.unreachable.notified(), if may_check => Seen::Unreachable,
            () = calls.hurry.notified() => Seen::Hurry,
        }
    }

    async fn understand(&mut self, seen: Seen) {
        match seen {
            Seen::Order(Some(Order::Command(Command::Start))) => self.happen(Event::Start).await,
            Seen::Order(Some(Order::Command(Command::Stop))) => self.happen(Event::Stop).await,
            Seen::Order(Some(Order::Command(Command::Restart))) => self.happen(Event::Restart).await,
            Seen::Order(Some(Order::Replace(spec, begun))) => {
                self.replace(*spec).await;
                // Nobody may wait for it any more.
                let _ = begun.send(());
            }
            Seen::Order(Some(Order::Shutdown) | None) => {
                // No handle is left, or this was the last order: either way nothing more is listened to.
                self.orders.close();
                self.happen(Event::Shutdown).await;
            }
            Seen::Unreachable => self.check(),
            Seen::Hurry => {
                self.hurried = true;
                if self.ending.is_some() {
                    self.end_group(Grace::Short);
                }
            }
            Seen::Checked(reached) => {
                self.checking = None;
                if !reached {
                    self.happen(Event::Unreachable).await;
                }
            }
            Seen::Ended(status) => self.leader_ended(status).await,
            Seen::Ready(facts) => {
                self.probing = None;
                self.facts = Arc::new(facts);
                self.trouble = None;
                self.inspect();
                self.happen(Event::Answered).await;
            }
            Seen::GroupGone(result) => self.group_gone(result).await,
            Seen::StartDeadline => {
                self.start_deadline = None;
                self.trouble = Some(self.too_slow_text());
                self.happen(Event::StartDeadline).await;
            }
            Seen::PauseOver => {
                self.pause_until = None;
                self.happen(Event::PauseOver).await;
            }
        }
    }

    /// One event and all that follows from it, then the status.
    async fn happen(&mut self, event: Event) {
        let mut event = Some(event);
        while let Some(now) = event.take() {
            for action in self.machine.on(now, self.began.elapsed()) {
                // Only a start reports at once; it is always the last action.
                event = self.perform(action).await.or(event);
            }
        }
        self.say();
    }

    async fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn => return Some(self.spawn().await),
            Action::Probe => self.probe(),
            Action::Quiet => {
                self.probing = None;
                self.checking = None;
                self.start_deadline = None;
            }
            Action::EndGroup(grace) => self.end_group(grace),
            Action::Pause(pause) => self.pause_until = Some(Instant::now() + pause),
            Action::CancelPause => self.pause_until = None,
            Action::Finish => {}
        }
        None
    }

    async fn spawn(&mut self) -> Event {
        // What is down stays so until a process runs: looking for a missing file once a minute must not make the
        // state flicker.
        if self.publish.borrow().state != ModelState::Down {
            self.say();
        }
        match launch(&self.spec, &self.tail).await {
            Ok(running) => {
                tracing::info!(model = %self.spec.model.name, pid = running.group.leader().pid, "model process started");
                self.running = Some(running);
                self.leader_ended = false;
                self.out_of_memory_kills = procfs::out_of_memory_kills();
                Event::Spawned
            }
            Err(obstacle) => {
                self.note_trouble(obstacle.text);
                Event::NotSpawned(obstacle.failure)
            }
        }
    }

    fn probe(&mut self) {
        let (Some(running), Some(address)) = (&self.running, engine::endpoint(&self.spec.model)) else {
            return;
        };
        let question = Question {
            target: target(address),
            api_key: Arc::clone(&running.api_key),
            name: engine::served_name(&self.spec.model).to_owned(),
            probe: self.spec.probe,
            patience: self.spec.model.probe_timeout,
        };
        self.last_problem.take();
        self.probing = Some(Box::pin(ready::until_ready(question, self.last_problem.clone())));
        self.start_deadline = Some(Instant::now() + self.spec.model.start_timeout);
    }

    /// A request could not connect. Between that and now it may have been back for long, so look first.
    fn check(&mut self) {
        let is_ready = matches!(self.machine.phase(), Phase::Ready { .. });
        let Some(address) =
            engine::endpoint(&self.spec.model).filter(|_| is_ready && self.checking.is_none())
        else {
            return;
        };
        let target = target(address);
        self.checking = Some(Box::pin(async move { http::reach(&target, REACH).await.is_ok() }));
    }

    fn end_group(&mut self, grace: Grace) {
        let Some(running) = &self.running else { return };
        let grace = match grace {
            _ if self.hurried => Duration::ZERO,
            Grace::Full => self.spec.model.stop_grace,
            Grace::Short => self.spec.model.stop_grace.min(SHORT_GRACE),
        };
        let group = running.group.clone();
        self.ending = Some(Box::pin(async move { group.end(grace).await }));
    }

    async fn leader_ended(&mut self, status: std::io::Result<std::process::ExitStatus>) {
        self.leader_ended = true;
        let exit = status.map_or(Exit::Code(-1), Exit::from);
        self.last_exit = Some(LastExit { exit, at: SystemTime::now() });
        if matches!(self.machine.phase(), Phase::Ending(_)) {
            return;
        }
        if let Some(running) = &mut self.running {
            // Its children may keep the pipe open: then what has come so far has to do.
            let _ = timeout(LAST_WORDS, &mut running.drained).await;
        }
        let out_of_memory = procfs::out_of_memory_kills() > self.out_of_memory_kills;
        let cause = failures::recognise(&self.tail.last(SEARCHED_LINES), exit, out_of_memory);
        let was_ready = matches!(self.machine.phase(), Phase::Ready { .. });
        let failure = match &cause {
            // What has run can run again, whatever its last lines say; but not into the same lack of memory.
            Some((failure, _)) if !was_ready || failures::is_out_of_memory(exit, out_of_memory) => *failure,
            _ => Failure::Passing,
        };
        self.note_trouble(self.exit_text(exit, cause.map(|(_, text)| text)));
        self.happen(Event::Exited(failure)).await;
    }

    async fn group_gone(&mut self, result: Result<(), Unkillable>) {
        self.ending = None;
        let Some(running) = self.running.take() else { return };
        if result.is_err() {
            let (name, pid) = (&self.spec.model.name, running.group.leader().pid);
            tracing::error!(
                "processes of model {name} (group {pid}) do not end even when killed: they hang in the kernel"
            );
        } else {
            record::forget(&record::path(&self.spec.data_dir, &self.spec.model.name));
        }
        // Dropping the child hands a leader that was not waited for to the runtime, which reaps it.
        drop(running);
        self.happen(Event::GroupGone).await;
    }

    /// A look at the doors that it has opened, now that it is ready.
    fn inspect(&mut self) {
        let name = &self.spec.model.name;
        let Some(running) = &mut self.running else { return };
        running.group.remember();
        for listener in procfs::public_listeners(&running.group.members()) {
            tracing::warn!(
                "model {name} listens on {listener}, which other machines may reach: have the firewall refuse it"
            );
        }
    }

    async fn replace(&mut self, spec: Spec) {
        let same = same_process(&self.spec, &spec);
        self.spec = spec;
        let stopped = matches!(
            self.machine.phase(),
            Phase::Idle | Phase::Over | Phase::Ending(Next::Idle | Next::Over)
        );
        if same || stopped {
            self.say();
        } else {
            self.happen(Event::Restart).await;
        }
    }

    fn note_trouble(&mut self, text: Text) {
        if self.trouble.as_ref() != Some(&text) {
            tracing::warn!(model = %self.spec.model.name, "{}", text.en);
        }
        self.trouble = Some(text);
    }

    fn say(&mut self) {
        let state = self.machine.state();
        if matches!(state, ModelState::Ready | ModelState::Stopped) {
            self.trouble = None;
        }
        let running = self.running.as_ref().filter(|_| !self.leader_ended);
        let status = ModelStatus {
            state,
            since: SystemTime::now(),
            detail: self.detail(state),
            pid: running.map(|running| running.group.leader().pid),
            restarts: self.machine.restarts(),
            last_exit: self.last_exit,
            facts: Arc::clone(&self.facts),
            api_key: running.map(|running| Arc::clone(&running.api_key)),
        };
        self.publish.send_if_modified(|published| {
            let since = if published.state == status.state { published.since } else { status.since };
            let status = ModelStatus { since, ..status };
            let changed = *published != status;
            if published.state != status.state {
                tracing::info!(model = %self.spec.model.name, state = status.state.word(), "model state");
            }
            *published = status;
            changed
        });
    }

    fn detail(&self, state: ModelState) -> Option<Text> {
        let name = &self.spec.model.name;
        let trouble = self.trouble.clone();
        match (state, self.machine.phase()) {
            (ModelState::Ready, _) => None,
            (ModelState::Stopped, _) => Some(text!(
                "Stopped by the operator. `portico model start {name}` starts it.",
                "已被管理员停止。`portico model start {name}` 可启动。"
            )),
            (_, Phase::GivenUp | Phase::Ending(Next::GiveUp)) => {
                let Text { en, zh } = trouble.unwrap_or(NOTHING);
                Some(text!(
                    "Given up: it has ended ten times within ten minutes without being ready. Fix the cause, then `portico model restart {name}`. {en}",
                    "已放弃:十分钟内退出十次且从未就绪。请先解决原因,再运行 `portico model restart {name}`。{zh}"
                ))
            }
            _ => Some(trouble.unwrap_or_else(|| starting_text(&self.spec))),
        }
    }

    fn exit_text(&self, exit: Exit, cause: Option<Text>) -> Text {
        let how = failures::how(exit);
        let log = self.spec.model.log.display();
        let (how_en, how_zh) = (&how.en, &how.zh);
        let cause = cause.unwrap_or(NOTHING);
        let (cause_en, cause_zh) = (&cause.en, &cause.zh);
        let lines = self.tail.last(SHOWN_LINES).join("\n  ");
        text!(
            "The model server {how_en}. {cause_en}\nIts last lines (all of them in {log}):\n  {lines}",
            "模型服务{how_zh}。{cause_zh}\n最后几行日志(全部见 {log}):\n  {lines}"
        )
    }

    fn too_slow_text(&self) -> Text {
        let seconds = self.spec.model.start_timeout.as_secs();
        let log = self.spec.model.log.display();
        let problem = self.last_problem.take().unwrap_or_default();
        text!(
            "The model server was not ready within {seconds} s (last: {problem}); it is ended and started again. Look into {log}; if loading takes so long, raise start_timeout.",
            "模型服务在 {seconds} 秒内未就绪(最后:{problem}),将结束并重新启动。请查看 {log};如果加载确实需要更久,请增大 start_timeout。"
        )
    }
}

/// While nothing is wrong yet.
pub(super) fn starting_text(spec: &Spec) -> Text {
    let log = spec.model.log.display();
    text!(
        "Starting; it has not answered a request yet. Its output is in {log}.",
        "正在启动,尚未应答请求。其输出在 {log}。"
    )
}

/// Whether the running process is what the new configuration would start too.
pub(super) fn same_process(old: &Spec, new: &Spec) -> bool {
    let parts = |spec: &Spec| {
        let model = &spec.model;
        (
            model.engine,
            model.path.clone(),
            model.source,
            engine::served_name(model).to_owned(),
            engine::endpoint(model).cloned(),
            model.args.clone(),
            (model.user.clone(), model.log.clone(), spec.data_dir.clone(), spec.max_choices),
        )
    };
    parts(old) == parts(new)
}

async fn done<T>(doing: &mut Doing<T>) -> T {
    match doing {
        Some(doing) => doing.await,
        None => pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
