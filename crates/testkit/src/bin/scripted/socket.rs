//! A TCP or Unix connection that can be read and written at the same time from one task.

use std::{io, os::fd::AsFd as _, time::Duration};

use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) async fn tcp(address: &str) -> io::Result<(Self, String)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok((Self::Tcp(listener), address))
    }

    pub(crate) fn unix(path: &str) -> io::Result<(Self, String)> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok((Self::Unix(UnixListener::bind(path)?), path.to_owned()))
    }

    pub(crate) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Each write is meant to leave as it is: tests look at what arrives together.
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }
}

/// Reads and writes take `&self`, so that a behaviour can write while the same task watches for the peer's end.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Appends what has arrived. `Ok(0)`: the peer has closed its side.
    pub(crate) async fn read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_read_buf(buffer)
                }
                Self::Unix(stream) => {
                    stream.readable().await?;
                    stream.try_read_buf(buffer)
                }
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Writes some of `bytes`; the answer is how many.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self {
                Self::Tcp(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
                Self::Unix(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Ends when the peer has closed its side, without reading what is before that end.
    pub(crate) async fn read_side_closed(&self) {
        loop {
            let ready = match self {
                Self::Tcp(stream) => stream.ready(Interest::READABLE).await,
                Self::Unix(stream) => stream.ready(Interest::READABLE).await,
            };
            if !ready.is_ok_and(|ready| !ready.is_read_closed()) {
                return;
            }
            // Unread bytes keep the socket ready for ever, so there is nothing to wait for but time.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Says that no more will be written; reading goes on.
    pub(crate) fn shutdown_write(&self) {
        let descriptor = match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        };
        // It fails only for a connection that is gone already.
        let _ = rustix::net::shutdown(descriptor, rustix::net::Shutdown::Write);
    }

    /// The close that follows is a reset. Unix sockets have none: there it stays a close.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // It fails only for a socket that is gone already.
            let _ = stream.set_zero_linger();
        }
    }
}
