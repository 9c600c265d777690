//! One HTTP/1.1 connection to a model server, with its driver beside it and its written bytes counted.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::config::EndpointAddress;
use crate::types::Rope;

/// A model server's response head may hold so many bytes, and 100 fields (hyper's own limit); beyond that it is garbage.
const MAX_BUFFER_BYTES: usize = 256 * 1024;

pub(super) struct Connection {
    pub(super) sender: http1::SendRequest<Rope>,
    pub(super) driver: http1::Connection<TokioIo<Counted>, Rope>,
    /// Bytes written to the socket since it was opened.
    pub(super) written: Rc<Cell<u64>>,
}

/// Connects and shakes hands. Dropping the future closes the socket.
pub(super) async fn open(address: &EndpointAddress, deadline: Duration) -> io::Result<Box<Connection>> {
    let connect = async {
        match address {
            EndpointAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            EndpointAddress::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
        }
    };
    let socket = tokio::time::timeout(deadline, connect)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")))?;
    let written = Rc::new(Cell::new(0));
    let io = TokioIo::new(Counted { socket, written: written.clone() });
    let (sender, driver) =
        http1::Builder::new().max_buf_size(MAX_BUFFER_BYTES).handshake(io).await.map_err(io::Error::other)?;
    // Boxed once, because it is handed from request to request.
    Ok(Box::new(Connection { sender, driver, written }))
}

impl Connection {
    /// Polls the socket's side. `Ready` means that the connection has come to its end, well or badly.
    pub(super) fn poll_driver(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        Pin::new(&mut self.driver).poll(cx)
    }

    /// Whether it is idle, open and without a byte that nobody asked for.
    pub(super) fn is_clean(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll_driver(cx).is_pending() && self.sender.is_ready()
    }
}

use std::future::Future as _;

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket that counts what was written to it: "not one byte" has to be known, not believed.
pub(super) struct Counted {
    socket: Socket,
    written: Rc<Cell<u64>>,
}

impl Counted {
    fn count(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = result {
            self.written.set(self.written.get() + *bytes as u64);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.count(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        self.count(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
