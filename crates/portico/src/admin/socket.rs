//! The socket, who may use it, and its connections.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};

use super::handle;
use crate::access::Actor;
use crate::control::Control;
use crate::sys::users;
use crate::types::{Text, text};

/// Binds the socket with mode 0660. A file left by a Portico that is gone is replaced; one that somebody still
/// answers on is not.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, Text> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        text!(
            "the admin socket {shown} can't be made: {error}. Choose another path in listen.admin (shorter than 108 bytes, in a folder that you may write to).",
            "无法创建管理套接字 {shown}:{error}。请在 listen.admin 中换一个路径(短于 108 字节,所在目录可写)。"
        )
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(text!(
                "another Portico answers on the admin socket {shown}. Stop it with `portico stop`, or give this one its own listen.admin.",
                "另一个 Portico 正在管理套接字 {shown} 上应答。用 `portico stop` 停止它,或为本实例另设 listen.admin。"
            ));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Answers until the task is aborted.
pub(crate) async fn serve(listener: UnixListener, control: Arc<Control>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if may_ask(&stream) => {
                let actor = actor(&stream);
                tokio::spawn(connection(stream, control.clone(), actor));
            }
            Ok(_) => tracing::warn!("somebody without the right to it opened the admin socket"),
            Err(error) => {
                tracing::warn!(%error, "the admin socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Root, Portico's own user, and members of the socket's group by their primary group.
fn may_ask(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        peer.uid() == 0 || peer.uid() == uid || peer.gid() == gid
    })
}

/// The user of this machine who asks, for the audit trail.
fn actor(stream: &UnixStream) -> Actor {
    let name = stream.peer_cred().map_or_else(|_| "unknown".to_owned(), |peer| users::name_of(peer.uid()));
    Actor { name: format!("system:{name}"), address: None }
}

async fn connection(stream: UnixStream, control: Arc<Control>, actor: Actor) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (control, actor) = (control.clone(), actor.clone());
        async move { Ok::<Response<Full<Bytes>>, Infallible>(handle::answer(request, &control, actor).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "an admin connection ended badly");
    }
}
