//! One start: what was left over is ended, the address is seen to be free, the process is started and recorded.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::engine::{self, CommandLine, Draw, MARKER_NAME};
use super::group::Group;
use super::output::{self, Tail};
use super::record::{self, Leftover};
use super::state::Failure;
use super::{Spec, surroundings, target};
use crate::config::EndpointAddress;
use crate::sys::procfs::Identity;
use crate::sys::users::{self, User};
use crate::sys::{http, process, procfs, random};
use crate::types::{Text, text};

/// What a socket path may be long, without its final NUL (`sun_path` of Linux).
const MAX_SOCKET_PATH: usize = 107;

/// A process that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) group: Group,
    pub(super) api_key: Arc<str>,
    /// Heard when all output has been taken.
    pub(super) drained: oneshot::Receiver<()>,
}

/// Why there is none, with the fix.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) failure: Failure,
    pub(super) text: Text,
}

fn lasting(text: Text) -> Obstacle {
    Obstacle { failure: Failure::Lasting, text }
}

fn passing(text: Text) -> Obstacle {
    Obstacle { failure: Failure::Passing, text }
}

/// Starts the model. Takes as long as ending a leftover takes, if there is one.
pub(super) async fn launch(spec: &Spec, tail: &Tail) -> Result<Running, Obstacle> {
    let model = &spec.model;
    let record = record::path(&spec.data_dir, &model.name);
    end_leftover(&model.name, &record, model.stop_grace).await?;

    let environment: BTreeMap<_, _> = std::env::vars_os().collect();
    let around = surroundings::gather(model, &spec.data_dir, environment);
    let draw =
        |error: io::Error| passing(text!("No random numbers can be had: {error}", "无法获取随机数:{error}"));
    let (api_key, marker) = (random::hex(32).map_err(draw)?, random::hex(16).map_err(draw)?);
    let line =
        engine::command_line(model, spec.max_choices, &around, Draw { api_key: &api_key, marker: &marker })
            .map_err(lasting)?;
    if let Some((_, script)) = around.python.as_ref().filter(|(python, _)| *python == line.program) {
        surroundings::write_script(script).map_err(|error| unwritable(script, &error))?;
    }
    if let Some(address) = engine::endpoint(model) {
        free_address(&model.name, address).await?;
    }
    let owner = owner(&model.name, &model.user)?;

    tail.clear();
    let (mut child, drained) = start(&line, owner, &model.log, tail).await?;
    // It has not been waited for, so even one that has ended already is still there to be identified.
    let Some(leader) = child.id().and_then(procfs::stat).map(|stat| stat.identity) else {
        // What can't be told from others can't be ended safely later: it is ended now, while we hold it.
        let _ = child.start_kill();
        return Err(passing(Text::fixed(
            "/proc does not show the process that was just started. Portico needs a readable /proc.",
            "/proc 中看不到刚启动的进程。Portico 需要可读的 /proc。",
        )));
    };
    process::prefer_for_out_of_memory(leader.pid);
    remember(&record, leader, &marker);
    let group = Group::started(leader, format!("{MARKER_NAME}={marker}"));
    Ok(Running { child, group, api_key: api_key.into(), drained })
}

async fn end_leftover(name: &str, record: &Path, grace: Duration) -> Result<(), Obstacle> {
    match record::end_leftover(record, grace).await {
        Leftover::None | Leftover::Ended => Ok(()),
        Leftover::Owned { portico_pid } => Err(lasting(text!(
            "Model {name} is run by another Portico (process {portico_pid}) with the same data_dir. Stop that one, or give this one its own site.data_dir.",
            "模型 {name} 正由另一个 Portico(进程 {portico_pid})以相同的 data_dir 运行。请停止它,或为本实例设置单独的 site.data_dir。"
        ))),
        Leftover::Stays { pid } => Err(lasting(text!(
            "A process of model {name} from before (process {pid}) does not end even when killed: it hangs in the kernel, most often in the GPU's driver. Look at it with `ps -o pid,stat,wchan -p {pid}`; a reboot may be needed.",
            "模型 {name} 之前的进程(进程 {pid})无法结束:它卡在内核中,多半是 GPU 驱动。请用 `ps -o pid,stat,wchan -p {pid}` 查看;可能需要重启机器。"
        ))),
    }
}

/// A child without a record runs all the same; it would only not be found after a crash.
fn remember(record: &Path, leader: Identity, marker: &str) {
    if let Err(error) = record::write(record, leader, marker) {
        let record = record.display();
        tracing::warn!(
            "can't write {record} ({error}): should Portico crash, it will not find this model's process again"
        );
    }
}

async fn start(
    line: &CommandLine,
    owner: Option<User>,
    log: &Path,
    tail: &Tail,
) -> Result<(Child, oneshot::Receiver<()>), Obstacle> {
    let failed = |error: io::Error| {
        let program = line.program.display();
        match error.kind() {
            io::ErrorKind::NotFound => lasting(text!(
                "{program} can't be started: it, or the interpreter it names, is not there. Install the engine again with `portico model install`.",
                "无法启动 {program}:该程序或其解释器不存在。请用 `portico model install` 重新安装引擎。"
            )),
            io::ErrorKind::PermissionDenied => lasting(text!(
                "{program} can't be started: no permission. Make it executable for the user it runs as (`chmod a+rx`), and see that its file system is not mounted noexec.",
                "无法启动 {program}:没有权限。请让运行它的用户可执行它(`chmod a+rx`),并确认所在文件系统未以 noexec 挂载。"
            )),
            _ => passing(text!("{program} can't be started: {error}", "无法启动 {program}:{error}")),
        }
    };
    let (reader, mut writer) = io::pipe().map_err(failed)?;
    let drained = output::collect(reader, log.to_owned(), tail.clone()).map_err(failed)?;
    // Into an empty pipe, so it can't block; the key is not among the arguments.
    let words: Vec<_> = line.args.iter().map(|word| word.to_string_lossy()).collect();
    let _ = writeln!(writer, "[portico] starting {} {}", line.program.display(), words.join(" "));
    let mut command = Command::new(&line.program);
    command
        .args(&line.args)
        .env_clear()
        .envs(&line.environment)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer);
    if let Some(owner) = owner {
        command.uid(owner.user).gid(owner.group);
        // Caches go to its own home: Portico's is closed to it.
        command.env("HOME", &owner.home).envs([("USER", &owner.name), ("LOGNAME", &owner.name)]);
        for folder in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env_remove(folder);
        }
    }
    // The command goes into `spawn` and its ends of the pipe with it: the child alone holds it open.
    let child = process::spawn(command).await.map_err(failed)?;
    Ok((child, drained))
}

/// The child must be able to listen there; somebody else there would be taken for the model.
async fn free_address(name: &str, address: &EndpointAddress) -> Result<(), Obstacle> {
    match address {
        EndpointAddress::Tcp { host, port } => free_port(name, host, *port),
        EndpointAddress::Unix(path) => free_socket(name, path, address).await,
    }
}

fn free_port(name: &str, host: &str, port: u16) -> Result<(), Obstacle> {
    let address = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    match TcpListener::bind(SocketAddr::new(address, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let (en, zh) = match procfs::listener_of(port) {
                Some(pid) => {
                    let command: String = procfs::command(pid).unwrap_or_default().chars().take(80).collect();
                    let command = output::clean(command.as_bytes());
                    (format!("process {pid} ({command})"), format!("进程 {pid}({command})"))
                }
                None => ("another program".to_owned(), "其他程序".to_owned()),
            };
            Err(lasting(text!(
                "Port {port}, where model {name} should listen, is taken by {en}. End it, or set another port in `endpoints`.",
                "模型 {name} 要监听的端口 {port} 被{zh}占用。请结束它,或在 endpoints 中设置其他端口。"
            )))
        }
        Err(error) => Err(lasting(text!(
            "Model {name} can't listen on {host}:{port}: {error}",
            "模型 {name} 无法监听 {host}:{port}:{error}"
        ))),
    }
}

/// A socket file that nobody answers on stays behind after a kill, and servers refuse to start over it.
async fn free_socket(name: &str, path: &Path, address: &EndpointAddress) -> Result<(), Obstacle> {
    let shown = path.display();
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(lasting(text!(
            "The socket path of model {name} is longer than {MAX_SOCKET_PATH} bytes: {shown}",
            "模型 {name} 的套接字路径超过 {MAX_SOCKET_PATH} 字节:{shown}"
        )));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(lasting(text!(
            "{shown}, where model {name} should listen, is there and is not a socket. Remove it, or set another path in `endpoints`.",
            "模型 {name} 要监听的 {shown} 已存在且不是套接字。请删除它,或在 endpoints 中设置其他路径。"
        )));
    }
    match http::reach(&target(address), Duration::from_secs(1)).await {
        Err(error) if error.is_refused() => {
            std::fs::remove_file(path).map_err(|error| unwritable(path, &error))
        }
        _ => Err(lasting(text!(
            "The socket {shown}, where model {name} should listen, is in use by another program. End it, or set another path in `endpoints`.",
            "模型 {name} 要监听的套接字 {shown} 正被其他程序使用。请结束它,或在 endpoints 中设置其他路径。"
        ))),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Obstacle {
    let path = path.display();
    lasting(text!(
        "{path} can't be written: {error}. Give Portico's user the right to, or make room on that disk.",
        "无法写入 {path}:{error}。请给 Portico 的用户写权限,或清理该磁盘。"
    ))
}

/// Whom a process runs as.
/// The user to run as; `None`: as Portico. Supplementary groups are not taken over.
fn owner(name: &str, user: &str) -> Result<Option<User>, Obstacle> {
    if user.is_empty() {
        return Ok(None);
    }
    let Some(found) = users::find(user) else {
        return Err(lasting(text!(
            "Model {name} should run as user {user}, whom this machine does not know. Make the user (`useradd --system {user}`), or correct `user`.",
            "模型 {name} 应以用户 {user} 运行,但本机没有该用户。请创建(`useradd --system {user}`)或更正 user。"
        )));
    };
    let own = rustix::process::geteuid();
    if own.as_raw() == found.user {
        return Ok(None);
    }
    if !own.is_root() {
        return Err(lasting(text!(
            "Model {name} should run as user {user}, and only root can start processes of other users. Remove `user`, or start Portico as root.",
            "模型 {name} 应以用户 {user} 运行,而只有 root 能以其他用户启动进程。请删除 user,或以 root 启动 Portico。"
        )));
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tongue;

    #[tokio::test]
    async fn a_taken_port_names_who_holds_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let obstacle = free_port("m", "127.0.0.1", port).unwrap_err();
        let said = obstacle.text.pick(Tongue::English).to_owned();
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        drop(listener);
        free_port("m", "127.0.0.1", port).unwrap();
    }

    #[tokio::test]
    async fn only_dead_sockets_are_removed() {
        let folder = std::env::temp_dir().join(format!("portico-socket-{}", random::hex(6).unwrap()));
        let path = folder.join("m.sock");
        let address = EndpointAddress::Unix(path.clone());
        free_address("m", &address).await.unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(free_address("m", &address).await.is_err(), "somebody answers there");
        drop(listener);
        free_address("m", &address).await.unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "a file of somebody's").unwrap();
        assert!(free_address("m", &address).await.is_err());
        assert!(path.exists());
        let long = EndpointAddress::Unix(folder.join("x".repeat(120)));
        assert!(free_address("m", &long).await.is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
