//! What happens to a model process next: a table of decisions without a clock, I/O or tasks.
//!
//! The driver tells what happened and when ([`Event`], `now` counted from its own start), and does what comes back
//! ([`Action`]), in order. The life of a process:
//!
//! ```text
//! Idle ─► Starting ─► Ready            Ending(next) ─► Idle | Starting | BackingOff | GivenUp | Over
//!            ▲  │exit, deadline │exit      ▲
//!            │  └───────────────┴──────────┘      every end goes through Ending: the leader's exit says nothing
//!            └──── BackingOff ◄── Ending          about its children, which may hold the GPU's memory
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::types::ModelState;

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, and the one for failures that time alone rarely cures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Ready for so long: what went wrong before is history.
const PROVEN_AFTER: Duration = Duration::from_secs(60);
/// So many exits ...
const GIVE_UP_EXITS: usize = 10;
/// ... in so long, without having been ready in between: a person has to look.
const GIVE_UP_WINDOW: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The operator (or Portico's own start) wants it to run.
    Start,
    /// The operator wants it not to run.
    Stop,
    /// The operator, or a changed command line, wants a fresh process.
    Restart,
    /// Portico ends.
    Shutdown,
    Spawned,
    /// Nothing was started: what is needed for it is missing.
    NotSpawned(Failure),
    /// It answered a real request.
    Answered,
    /// It was ready, but nobody could connect any more.
    Unreachable,
    /// The leader of the group has ended, whatever its children do.
    Exited(Failure),
    /// `start_timeout` has passed without an answer.
    StartDeadline,
    /// No process of the group is left.
    GroupGone,
    PauseOver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// May be gone at the next try.
    Passing,
    /// Stays until somebody changes something: tried again slowly, since a disk may still be mounted.
    Lasting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Start the process; report `Spawned` or `NotSpawned`.
    Spawn,
    /// Ask whether it is ready until it is; report `Answered`. Report `StartDeadline` if that takes too long.
    Probe,
    /// No more probing, no deadline.
    Quiet,
    /// End the whole group; report `GroupGone`.
    EndGroup(Grace),
    /// Report `PauseOver` after this long.
    Pause(Duration),
    /// No more pause.
    CancelPause,
    /// Nothing will follow.
    Finish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grace {
    /// The process may finish what it does.
    Full,
    /// The leader is dead: what its children do is of no use to anybody.
    Short,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Stopped by the operator, or not started yet.
    Idle,
    Starting,
    Ready {
        since: Duration,
    },
    Ending(Next),
    /// Waiting before the next try; after a lasting failure requests are refused meanwhile.
    BackingOff(Failure),
    GivenUp,
    Over,
}

/// What follows when the group is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Idle,
    Start,
    BackOff(Failure),
    GiveUp,
    Over,
}

#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    /// Failures since it was last proven: the exponent of the pause.
    failures: u32,
    /// When it exited without having been ready since the one before.
    exits: VecDeque<Duration>,
    /// How often a process was started after the first.
    restarts: u32,
    started_before: bool,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Idle, failures: 0, exits: VecDeque::new(), restarts: 0, started_before: false }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// What clients, the queue and the page see.
    pub(super) fn state(&self) -> ModelState {
        match self.phase {
            Phase::Ready { .. } => ModelState::Ready,
            Phase::Idle | Phase::Over | Phase::Ending(Next::Idle | Next::Over) => ModelState::Stopped,
            Phase::Starting | Phase::Ending(Next::Start) => ModelState::Loading,
            Phase::BackingOff(Failure::Passing) | Phase::Ending(Next::BackOff(Failure::Passing)) => {
                ModelState::Loading
            }
            Phase::BackingOff(Failure::Lasting) | Phase::Ending(Next::BackOff(Failure::Lasting)) => {
                ModelState::Down
            }
            Phase::GivenUp | Phase::Ending(Next::GiveUp) => ModelState::Down,
        }
    }

    /// The only place where the phase changes. An event that means nothing in a phase changes nothing.
    pub(super) fn on(&mut self, event: Event, now: Duration) -> Vec<Action> {
        use Phase::{BackingOff, Ending, GivenUp, Idle, Over, Ready, Starting};
        match (self.phase, event) {
            (Over | Ending(Next::Over), Event::Start | Event::Stop | Event::Restart | Event::Shutdown) => {
                vec![]
            }

            (Idle | GivenUp, Event::Start | Event::Restart) => self.start_fresh(),
            (BackingOff(_), Event::Start | Event::Restart) => {
                let mut actions = vec![Action::CancelPause];
                actions.extend(self.start_fresh());
                actions
            }
            (Starting | Ready { .. }, Event::Restart) => {
                self.forget_failures();
                self.end(Next::Start, Grace::Full)
            }
            (Ending(_), Event::Start | Event::Restart) => {
                self.forget_failures();
                self.phase = Ending(Next::Start);
                vec![]
            }

            (Starting | Ready { .. }, Event::Stop) => self.end(Next::Idle, Grace::Full),
            (Starting | Ready { .. }, Event::Shutdown) => self.end(Next::Over, Grace::Full),
            (Ending(_), Event::Stop) => self.turn(Next::Idle),
            (Ending(_), Event::Shutdown) => self.turn(Next::Over),
            (BackingOff(_), Event::Stop) => self.rest(Idle, &[Action::CancelPause]),
            (BackingOff(_), Event::Shutdown) => self.rest(Over, &[Action::CancelPause, Action::Finish]),
            (GivenUp, Event::Stop) => self.rest(Idle, &[]),
            (Idle | GivenUp, Event::Shutdown) => self.rest(Over, &[Action::Finish]),

            (Starting, Event::Spawned) => {
                self.restarts += u32::from(self.started_before);
                self.started_before = true;
                vec![Action::Probe]
            }
            // Looking for a missing file costs nothing, so this never counts towards giving up.
            (Starting, Event::NotSpawned(failure)) => self.back_off(failure),
            (Starting, Event::Answered) => {
                self.exits.clear();
                self.rest(Ready { since: now }, &[Action::Quiet])
            }
            (Starting, Event::StartDeadline) => {
                let next = self.after_exit(Failure::Passing, now);
                self.end(next, Grace::Full)
            }
            // The process is there, so this is a hiccup or the moment before its exit is seen: probe again.
            (Ready { since }, Event::Unreachable) => {
                self.note_ready_time(since, now);
                self.rest(Starting, &[Action::Probe])
            }
            (Starting, Event::Exited(failure)) => {
                let next = self.after_exit(failure, now);
                self.end(next, Grace::Short)
            }
            (Ready { since }, Event::Exited(failure)) => {
                self.note_ready_time(since, now);
                self.end(Next::BackOff(failure), Grace::Short)
            }

            (Ending(next), Event::GroupGone) => self.after_end(next),
            (BackingOff(_), Event::PauseOver) => {
                self.phase = Starting;
                vec![Action::Spawn]
            }
            _ => vec![],
        }
    }

    fn start_fresh(&mut self) -> Vec<Action> {
        self.forget_failures();
        self.phase = Phase::Starting;
        vec![Action::Spawn]
    }

    fn end(&mut self, next: Next, grace: Grace) -> Vec<Action> {
        self.phase = Phase::Ending(next);
        vec![Action::Quiet, Action::EndGroup(grace)]
    }

    fn turn(&mut self, next: Next) -> Vec<Action> {
        self.phase = Phase::Ending(next);
        vec![]
    }

    fn rest(&mut self, phase: Phase, actions: &[Action]) -> Vec<Action> {
        self.phase = phase;
        actions.to_vec()
    }

    fn after_end(&mut self, next: Next) -> Vec<Action> {
        match next {
            Next::Idle => self.rest(Phase::Idle, &[]),
            Next::Start => self.rest(Phase::Starting, &[Action::Spawn]),
            Next::BackOff(failure) => self.back_off(failure),
            Next::GiveUp => self.rest(Phase::GivenUp, &[]),
            Next::Over => self.rest(Phase::Over, &[Action::Finish]),
        }
    }

    fn back_off(&mut self, failure: Failure) -> Vec<Action> {
        let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let pause = match failure {
            Failure::Passing => doubled.min(LONGEST_PAUSE),
            Failure::Lasting => LONGEST_PAUSE,
        };
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::BackingOff(failure);
        vec![Action::Pause(pause)]
    }

    /// Counts an exit that came before it was ready.
    fn after_exit(&mut self, failure: Failure, now: Duration) -> Next {
        self.exits.push_back(now);
        while self.exits.front().is_some_and(|first| now.saturating_sub(*first) > GIVE_UP_WINDOW) {
            self.exits.pop_front();
        }
        if self.exits.len() >= GIVE_UP_EXITS { Next::GiveUp } else { Next::BackOff(failure) }
    }

    fn note_ready_time(&mut self, since: Duration, now: Duration) {
        if now.saturating_sub(since) >= PROVEN_AFTER {
            self.forget_failures();
        }
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.exits.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Duration = Duration::ZERO;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn machine(events: &[Event]) -> Machine {
        let mut machine = Machine::new();
        for event in events {
            machine.on(*event, ZERO);
        }
        machine
    }

    const STARTING: &[Event] = &[Event::Start, Event::Spawned];
    const READY: &[Event] = &[Event::Start, Event::Spawned, Event::Answered];

    #[test]
    fn every_step_of_a_life_leads_where_it_should() {
        use Action as A;
        use Event as E;
        use Failure::{Lasting, Passing};
        let backing_off: &[E] = &[E::Start, E::Spawned, E::Exited(Passing), E::GroupGone];
        let missing: &[E] = &[E::Start, E::NotSpawned(Lasting)];
        let stopping: &[E] = &[E::Start, E::Spawned, E::Answered, E::Stop];
        let one = Duration::from_secs(1);
        let end = |grace| vec![A::Quiet, A::EndGroup(grace)];
        let table: &[(&[E], E, Vec<A>, ModelState)] = &[
            (&[], E::Start, vec![A::Spawn], ModelState::Loading),
            (&[], E::Stop, vec![], ModelState::Stopped),
            (&[], E::Shutdown, vec![A::Finish], ModelState::Stopped),
            (&[E::Start], E::Spawned, vec![A::Probe], ModelState::Loading),
            (&[E::Start], E::NotSpawned(Lasting), vec![A::Pause(LONGEST_PAUSE)], ModelState::Down),
            (&[E::Start], E::NotSpawned(Passing), vec![A::Pause(one)], ModelState::Loading),
            (STARTING, E::Answered, vec![A::Quiet], ModelState::Ready),
            (STARTING, E::Start, vec![], ModelState::Loading),
            (STARTING, E::StartDeadline, end(Grace::Full), ModelState::Loading),
            (STARTING, E::Exited(Passing), end(Grace::Short), ModelState::Loading),
            (STARTING, E::Exited(Lasting), end(Grace::Short), ModelState::Down),
            (STARTING, E::Stop, end(Grace::Full), ModelState::Stopped),
            (STARTING, E::Restart, end(Grace::Full), ModelState::Loading),
            (READY, E::Start, vec![], ModelState::Ready),
            (READY, E::Answered, vec![], ModelState::Ready),
            (READY, E::StartDeadline, vec![], ModelState::Ready),
            (READY, E::Unreachable, vec![A::Probe], ModelState::Loading),
            (READY, E::Exited(Passing), end(Grace::Short), ModelState::Loading),
            (READY, E::Stop, end(Grace::Full), ModelState::Stopped),
            (READY, E::Restart, end(Grace::Full), ModelState::Loading),
            (READY, E::Shutdown, end(Grace::Full), ModelState::Stopped),
            (backing_off, E::PauseOver, vec![A::Spawn], ModelState::Loading),
            (backing_off, E::Start, vec![A::CancelPause, A::Spawn], ModelState::Loading),
            (backing_off, E::Restart, vec![A::CancelPause, A::Spawn], ModelState::Loading),
            (backing_off, E::Stop, vec![A::CancelPause], ModelState::Stopped),
            (backing_off, E::Shutdown, vec![A::CancelPause, A::Finish], ModelState::Stopped),
            (missing, E::PauseOver, vec![A::Spawn], ModelState::Loading),
            (stopping, E::GroupGone, vec![], ModelState::Stopped),
            (stopping, E::Start, vec![], ModelState::Loading),
            (stopping, E::Exited(Passing), vec![], ModelState::Stopped),
            (stopping, E::Shutdown, vec![], ModelState::Stopped),
        ];
        for (history, event, actions, state) in table {
            let mut machine = machine(history);
            assert_eq!(&machine.on(*event, ZERO), actions, "{history:?} then {event:?}");
            assert_eq!(machine.state(), *state, "{history:?} then {event:?}");
        }
    }

    #[test]
    fn what_follows_a_stop_is_the_last_wish() {
        let wishes: &[(&[Event], Phase, Vec<Action>)] = &[
            (&[Event::Stop], Phase::Idle, vec![]),
            (&[Event::Stop, Event::Start], Phase::Starting, vec![Action::Spawn]),
            (&[Event::Stop, Event::Start, Event::Stop], Phase::Idle, vec![]),
            (&[Event::Restart], Phase::Starting, vec![Action::Spawn]),
            (&[Event::Restart, Event::Shutdown], Phase::Over, vec![Action::Finish]),
            (&[Event::Shutdown, Event::Start], Phase::Over, vec![Action::Finish]),
        ];
        for (wishes, phase, actions) in wishes {
            let mut machine = machine(READY);
            for wish in *wishes {
                machine.on(*wish, ZERO);
            }
            assert_eq!(&machine.on(Event::GroupGone, ZERO), actions, "{wishes:?}");
            assert_eq!(machine.phase(), *phase, "{wishes:?}");
        }
    }

    /// Runs one start that exits before it is ready, and returns the pause that follows (`None`: given up).
    fn fail_once(machine: &mut Machine, now: Duration) -> Option<Duration> {
        machine.on(Event::Spawned, now);
        machine.on(Event::Exited(Failure::Passing), now);
        let pause = match machine.on(Event::GroupGone, now)[..] {
            [Action::Pause(pause)] => Some(pause),
            [] => None,
            ref other => panic!("{other:?}"),
        };
        machine.on(Event::PauseOver, now);
        pause
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_ten_exits_in_ten_minutes_are_enough() {
        let mut machine = machine(&[Event::Start]);
        let mut now = ZERO;
        let mut pauses = Vec::new();
        while let Some(pause) = fail_once(&mut machine, now) {
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!((machine.phase(), machine.state()), (Phase::GivenUp, ModelState::Down));
        assert_eq!(machine.restarts(), 9);
        assert_eq!(machine.on(Event::Restart, now), [Action::Spawn]);
        assert_eq!(fail_once(&mut machine, now), Some(seconds(1)), "a person's restart begins anew");
    }

    #[test]
    fn slow_failures_are_tried_for_ever() {
        let mut machine = machine(&[Event::Start]);
        let mut now = ZERO;
        for _ in 0..100 {
            now += seconds(90);
            assert!(fail_once(&mut machine, now).is_some());
        }
    }

    #[test]
    fn being_ready_for_a_minute_resets_the_pause_and_less_does_not() {
        for (ready_for, pause) in [(seconds(59), seconds(8)), (seconds(60), seconds(1))] {
            let mut machine = machine(&[Event::Start]);
            for _ in 0..3 {
                fail_once(&mut machine, ZERO);
            }
            machine.on(Event::Spawned, ZERO);
            machine.on(Event::Answered, ZERO);
            machine.on(Event::Exited(Failure::Passing), ready_for);
            assert_eq!(machine.on(Event::GroupGone, ready_for), [Action::Pause(pause)], "{ready_for:?}");
        }
    }

    #[test]
    fn something_missing_is_looked_for_once_a_minute_and_never_given_up() {
        let mut machine = machine(&[Event::Start]);
        for _ in 0..50 {
            let actions = machine.on(Event::NotSpawned(Failure::Lasting), ZERO);
            assert_eq!(actions, [Action::Pause(LONGEST_PAUSE)]);
            assert_eq!(machine.state(), ModelState::Down);
            machine.on(Event::PauseOver, ZERO);
        }
    }

    #[test]
    fn no_order_of_events_leaves_two_processes_or_a_group_that_nobody_ends() {
        // A small exhaustive walk: all sequences of five events. `alive` follows what a driver would have done.
        use Event as E;
        let all = [
            E::Start,
            E::Stop,
            E::Restart,
            E::Shutdown,
            E::Spawned,
            E::NotSpawned(Failure::Lasting),
            E::Answered,
            E::Unreachable,
            E::Exited(Failure::Passing),
            E::StartDeadline,
            E::GroupGone,
            E::PauseOver,
        ];
        let mut sequences: Vec<Vec<Event>> = vec![vec![]];
        for _ in 0..5 {
            sequences = sequences
                .into_iter()
                .flat_map(|sequence| {
                    all.iter().map(move |event| sequence.iter().copied().chain([*event]).collect())
                })
                .collect();
        }
        for sequence in sequences {
            let (mut machine, mut alive, mut ending) = (Machine::new(), false, false);
            for event in &sequence {
                // Events that a driver can't report then.
                let possible = match event {
                    E::Spawned | E::NotSpawned(_) => machine.phase() == Phase::Starting && !alive,
                    E::Answered | E::StartDeadline | E::Unreachable | E::Exited(_) => alive,
                    E::GroupGone => ending,
                    _ => true,
                };
                if !possible {
                    break;
                }
                alive |= *event == E::Spawned;
                if *event == E::GroupGone {
                    (alive, ending) = (false, false);
                }
                for action in machine.on(*event, ZERO) {
                    match action {
                        Action::Spawn => assert!(!alive && !ending, "{sequence:?}"),
                        Action::EndGroup(_) => {
                            assert!(!ending, "{sequence:?}");
                            ending = true;
                        }
                        Action::Finish => assert!(!alive, "{sequence:?}"),
                        _ => {}
                    }
                }
                // The driver performs `Spawn` at once, so a start is always answered before anything else.
                if machine.phase() == Phase::Starting && !alive && !matches!(event, E::Spawned) {
                    alive = true;
                    machine.on(E::Spawned, ZERO);
                }
                let at_rest = matches!(
                    machine.phase(),
                    Phase::Idle | Phase::GivenUp | Phase::Over | Phase::BackingOff(_)
                );
                assert!(!(alive && at_rest), "{sequence:?} leaves a process in {:?}", machine.phase());
            }
        }
    }
}
