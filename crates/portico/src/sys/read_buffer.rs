//! One buffer a thread to read sockets into, so that a connection that waits holds none.
//!
//! What has come is used, or copied to where it belongs, before the next poll of anything.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// What has come, given to `take`, which may change it but must not read itself; `None` at the end of the stream.
pub(crate) fn poll_read<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    cx: &mut Context<'_>,
    take: impl FnOnce(&mut [u8]) -> T,
) -> Poll<io::Result<Option<T>>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled_mut();
        Poll::Ready(Ok((!bytes.is_empty()).then(|| take(bytes))))
    })
}
