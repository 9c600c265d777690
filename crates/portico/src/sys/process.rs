//! Starting and signalling processes.

use std::io;
use std::process::ExitStatus;
use std::sync::{OnceLock, mpsc};

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::procfs::{self, Identity};

type Job = Box<dyn FnOnce() + Send>;

/// Starts `command` from a thread that lives as long as this process, as the leader of a new process group, to be
/// sent SIGTERM when this process dies.
///
/// Why a thread of its own: the kernel sends the "parent died" signal when the *thread* that forked ends, and
/// threads of an async runtime may end at any time. Why SIGTERM and not SIGKILL: only the direct child gets it, and
/// a model server that is told to end takes its own children with it; one that is killed leaves them behind. What
/// stays nevertheless is found by its record at the next start.
pub(crate) async fn spawn(mut command: Command) -> io::Result<Child> {
    command.process_group(0);
    die_with_parent(&mut command);
    let (answer, child) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let job: Job = Box::new(move || {
        let _inside = runtime.enter();
        // Nobody waits any more: the child must not outlive the answer that nobody took.
        if let Err(Ok(mut orphan)) = answer.send(command.spawn()) {
            let _ = orphan.start_kill();
        }
    });
    spawner()?.send(job).map_err(|_| io::Error::other("the thread that starts processes is gone"))?;
    child.await.map_err(|_| io::Error::other("the thread that starts processes is gone"))?
}

/// Lets everybody else go first. Only of this thread: Linux keeps priorities by thread, whatever POSIX says.
pub(crate) fn lower_thread_priority() {
    // Where it may not be lowered, it is not.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
}

fn spawner() -> io::Result<&'static mpsc::Sender<Job>> {
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    if let Some(sender) = SPAWNER.get() {
        return Ok(sender);
    }
    let (sender, jobs) = mpsc::channel::<Job>();
    std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for job in jobs {
            job();
        }
    })?;
    // Two callers at once: the loser's thread ends with its sender, before it has started anything.
    Ok(SPAWNER.get_or_init(|| sender))
}

#[expect(unsafe_code, reason = "PR_SET_PDEATHSIG can only be set in the child, between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let set = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
        // The parent may have died before the line above: then nobody would send the signal.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        Ok(())
    };
    // SAFETY: the closure runs in the forked child, where only async-signal-safe calls are sound. It makes two plain
    // system calls, allocates nothing and takes no lock.
    unsafe { command.pre_exec(set) };
}

/// Sends a signal to exactly this process: never to a later one that was given the same number. That it is gone
/// already is no error.
pub(crate) fn signal(identity: Identity, signal: Signal) -> io::Result<()> {
    let Some(pid) = to_pid(identity.pid) else { return Ok(()) };
    let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // The handle is fixed to one process now; only then is it compared.
    if procfs::stat(identity.pid).is_none_or(|stat| stat.identity != identity) {
        return Ok(());
    }
    match rustix::process::pidfd_send_signal(&handle, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to a whole process group at once, so that no member can fork its way out between two signals.
pub(crate) fn signal_group(group: u32, signal: Signal) -> io::Result<()> {
    let Some(pid) = to_pid(group) else { return Ok(()) };
    match rustix::process::kill_process_group(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// 0 and 1 would mean "my own group" and "everybody": no child of ours has them.
fn to_pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().filter(|number| *number > 1).and_then(Pid::from_raw)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            // `wait` reports only ends, so one of the two is always there.
            (None, None) => Exit::Code(-1),
        }
    }
}

/// Makes the kernel choose this process first when memory runs out. Best effort: it may have ended already.
pub(crate) fn prefer_for_out_of_memory(pid: u32) {
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
}
