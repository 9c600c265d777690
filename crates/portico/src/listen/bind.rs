//! Sockets that listen: one per address and data thread, sharing the port by `SO_REUSEPORT`.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::Scheme;
use crate::types::{Text, text};

/// Connections that may wait to be accepted, per socket.
const BACKLOG: i32 = 4096;
/// What the kernel takes of an answer beyond what the client has room for. Its own choice is megabytes, of which a
/// third has to be read before a socket counts as writable: a slow reader looked like one that had stopped, and a
/// stopped one cost its megabytes. Accepted sockets inherit it.
const UNSENT_BYTES: u32 = 128 * 1024;

/// The sockets of one thread.
pub(crate) type Bound = Vec<(Scheme, TcpListener)>;

#[derive(Debug)]
pub(crate) struct BindError {
    pub(crate) scheme: Scheme,
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

/// For each thread its listeners, in the order of the addresses. A port 0 is resolved once, for all threads.
pub(crate) fn bind(addresses: &[(Scheme, SocketAddr)], threads: usize) -> Result<Vec<Bound>, BindError> {
    let mut by_thread: Vec<Bound> = (0..threads).map(|_| Vec::new()).collect();
    for (scheme, address) in addresses {
        let fail = |source| BindError { scheme: *scheme, address: *address, source };
        // Sockets that share a port do not notice a second process of the same user that shares it too. A socket
        // that does not share does.
        drop(socket(*address, Sharing::Exclusive).map_err(fail)?);
        let mut address = *address;
        for listeners in &mut by_thread {
            let listener = socket(address, Sharing::Shared).map_err(fail)?;
            address = listener.local_addr().map_err(fail)?;
            listeners.push((*scheme, listener));
        }
    }
    Ok(by_thread)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Exclusive,
    Shared,
}

fn socket(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]:80` beside `0.0.0.0:80`: each family has its own socket.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl BindError {
    /// What happened and what to do.
    pub(crate) fn text(&self) -> Text {
        let address = self.address;
        let port = address.port();
        let key = match self.scheme {
            Scheme::Http => "listen.http",
            Scheme::Https => "listen.https",
        };
        match self.source.kind() {
            io::ErrorKind::AddrInUse => text!(
                "cannot listen on {address}: another program already does. Find it with `ss -ltnp 'sport = :{port}'` and stop it, or choose another port in {key}.",
                "无法监听 {address}:已有其他程序占用。用 `ss -ltnp 'sport = :{port}'` 找到并停止它,或在 {key} 中换一个端口。"
            ),
            io::ErrorKind::PermissionDenied => text!(
                "cannot listen on {address}: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE. Run as a service, or choose a port from 1024 on in {key}.",
                "无法监听 {address}:1024 以下的端口需要 root 或 CAP_NET_BIND_SERVICE 权限。请以服务方式运行,或在 {key} 中选择 1024 及以上的端口。"
            ),
            io::ErrorKind::AddrNotAvailable => text!(
                "cannot listen on {address}: this machine does not have that address. `ip -brief address` lists the ones it has; correct {key}.",
                "无法监听 {address}:本机没有该地址。`ip -brief address` 会列出本机地址;请更正 {key}。"
            ),
            _ => {
                let source = &self.source;
                text!("cannot listen on {address}: {source}.", "无法监听 {address}:{source}。")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_share_one_port_and_nobody_else_does() {
        let address = "127.0.0.1:0".parse().unwrap();
        let first = bind(&[(Scheme::Http, address)], 3).unwrap();
        let ports: Vec<u16> = first.iter().map(|list| list[0].1.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0));
        let taken = SocketAddr::from(([127, 0, 0, 1], ports[0]));
        let error = bind(&[(Scheme::Https, taken)], 3).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.text().en.contains("ss -ltnp") && error.text().en.contains("listen.https"));
    }
}
