//! One answer on its way in, with the connection that carries it.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use super::choose::Chosen;
use super::connection::Connection;
use super::framing::Framing;
use super::pool;
use crate::sys::clock::Instant;
use crate::sys::deadline::Deadline;

/// The body of an answer. Read to its end, its connection goes back to the pool; dropped before, the connection is
/// closed, and with it the generation ends.
pub(crate) struct Exchange {
    framing: Framing,
    /// Gone once the body has ended or broken.
    connection: Option<Box<Connection>>,
    /// Why nothing can be read behind what was given out.
    broken: Option<&'static str>,
    endpoint: Chosen,
    /// Until the first piece, then between two pieces.
    deadline: Deadline,
    deadline_at: Instant,
    /// A piece has come since the deadline was set.
    moved: bool,
    stream_idle: Duration,
}

#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// No piece within the deadline.
    TimedOut,
    /// The connection broke before the end that was announced, or what came was not HTTP.
    Broken(String),
    /// More than the caller takes.
    TooLarge,
}

/// What one read has brought.
enum Piece<T> {
    Data(T),
    /// Bytes of the framing only.
    Nothing,
    End,
}

impl Exchange {
    pub(super) fn new(
        framing: Framing,
        connection: Box<Connection>,
        endpoint: Chosen,
        first: Instant,
        stream_idle: Duration,
    ) -> Self {
        Self {
            framing,
            connection: Some(connection),
            broken: None,
            endpoint,
            deadline: Deadline::default(),
            deadline_at: first,
            moved: false,
            stream_idle,
        }
    }

    /// The next piece; `None` at the announced end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        self.poll_piece(cx, Bytes::copy_from_slice)
    }

    /// Over a connection that was switched: takes something to be written, which is done as the answer is polled.
    pub(crate) fn write(&mut self, piece: Bytes) {
        if let Some(connection) = &mut self.connection {
            connection.append([piece]);
        }
    }

    /// Everything that was to be written has been.
    pub(crate) fn is_all_written(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.is_all_written())
    }

    /// So much of what was to be written is held.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.connection.as_ref().map_or(0, |connection| connection.unwritten_bytes())
    }

    /// The whole body, up to a limit.
    pub(crate) async fn collect(mut self, limit_bytes: usize) -> Result<Bytes, ExchangeError> {
        let announced = match self.framing {
            Framing::Length(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
            _ => 0,
        };
        if announced > limit_bytes {
            return Err(ExchangeError::TooLarge);
        }
        let mut whole = Vec::with_capacity(announced);
        let mut append = |data: &[u8]| {
            let fits = whole.len() + data.len() <= limit_bytes;
            if fits {
                whole.extend_from_slice(data);
            }
            fits
        };
        while let Some(fits) = std::future::poll_fn(|cx| self.poll_piece(cx, &mut append)).await {
            if !fits? {
                return Err(ExchangeError::TooLarge);
            }
        }
        Ok(whole.into())
    }

    fn poll_piece<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&[u8]) -> T,
    ) -> Poll<Option<Result<T, ExchangeError>>> {
        loop {
            match self.poll_read(cx, &mut take) {
                Poll::Ready(Ok(Piece::Data(data))) => {
                    self.moved = true;
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Ready(Ok(Piece::Nothing)) => {}
                Poll::Ready(Ok(Piece::End)) => return Poll::Ready(None),
                Poll::Ready(Err(why)) => {
                    self.connection = None;
                    return Poll::Ready(Some(Err(ExchangeError::Broken(why))));
                }
                Poll::Pending => return self.poll_deadline(cx),
            }
        }
    }

    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<Piece<T>, String>> {
        let Self { framing, connection, broken, .. } = self;
        if let Some(why) = broken {
            return Poll::Ready(Err((*why).to_owned()));
        }
        if *framing == Framing::Done {
            self.finish();
            return Poll::Ready(Ok(Piece::End));
        }
        let Some(connection) = connection else {
            return Poll::Ready(Err("the connection is gone".to_owned()));
        };
        let read = ready!(connection.poll_bytes(cx, |bytes| {
            let decoded = framing.decode(bytes);
            *broken = decoded.broken;
            let data = &bytes[decoded.data];
            (decoded.has_surplus, (!data.is_empty()).then(|| take(data)))
        }));
        Poll::Ready(match read {
            Ok(Some((has_surplus, data))) => {
                if has_surplus {
                    connection.spoil();
                }
                Ok(data.map_or(Piece::Nothing, Piece::Data))
            }
            Ok(None) if *framing == Framing::UntilClose => {
                *framing = Framing::Done;
                Ok(Piece::Nothing)
            }
            Ok(None) => Err("the connection was closed before its end".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The answer is complete. Whether its connection is clean enough for another request is asked when one wants it:
    /// by then also bytes that nobody asked for may have come.
    fn finish(&mut self) {
        if let Some(connection) = self.connection.take()
            && !connection.is_spoiled()
        {
            pool::give_back(self.endpoint.id, connection);
        }
    }

    fn poll_deadline<T>(&mut self, cx: &Context<'_>) -> Poll<Option<Result<T, ExchangeError>>> {
        // The clock is read once for all pieces that came without a wait.
        if std::mem::take(&mut self.moved) {
            self.deadline_at = Instant::now() + self.stream_idle;
        }
        if self.deadline.is_past(self.deadline_at, cx) {
            Poll::Ready(Some(Err(ExchangeError::TimedOut)))
        } else {
            Poll::Pending
        }
    }
}

impl std::fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExchangeError::TimedOut => f.write_str("the model server sent nothing for too long"),
            ExchangeError::Broken(why) => write!(f, "the model server's answer broke off: {why}"),
            ExchangeError::TooLarge => f.write_str("the model server's answer is larger than is taken"),
        }
    }
}
