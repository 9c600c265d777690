//! The body of every response. The request's record rides on it: the end of the body is the end of the request.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Connection;
use super::stream::{Event, StreamBody};
use super::tunnel::Tunnel;
use crate::observe::Record;
use crate::reason::Reason;

pub(crate) struct Body {
    kind: Kind,
    /// Taken when the end has been written down.
    record: Option<Record>,
    /// What the record says when the body comes to its end.
    reason: Reason,
    ending: Ending,
}

/// What must be known when a body is thrown away.
pub(super) struct Ending {
    /// The answer has no body on the wire (HEAD, 304): its end is its head.
    pub(super) headless: bool,
    pub(super) connection: Rc<dyn Connection>,
}

enum Kind {
    Bytes(Bytes),
    Page(crate::ui::Body),
    Stream(Box<StreamBody>),
    Tunnel(Box<Tunnel>),
}

/// Tears the connection (or the stream of HTTP/2) down, so that a cut answer can't be taken for a whole one.
#[derive(Debug)]
pub(crate) struct BodyError(pub(crate) Reason);

impl Body {
    pub(super) fn bytes(bytes: Bytes, record: Record, reason: Reason, ending: Ending) -> Self {
        Self { kind: Kind::Bytes(bytes), record: Some(record), reason, ending }
    }

    pub(super) fn page(page: crate::ui::Body, record: Record, reason: Reason, ending: Ending) -> Self {
        Self { kind: Kind::Page(page), record: Some(record), reason, ending }
    }

    pub(super) fn stream(stream: Box<StreamBody>, record: Record, ending: Ending) -> Self {
        Self { kind: Kind::Stream(stream), record: Some(record), reason: Reason::Completed, ending }
    }

    pub(super) fn tunnel(tunnel: Box<Tunnel>, record: Record, ending: Ending) -> Self {
        Self { kind: Kind::Tunnel(tunnel), record: Some(record), reason: Reason::Completed, ending }
    }

    fn end(&mut self, reason: Reason) {
        if let Some(mut record) = self.record.take() {
            match &mut self.kind {
                Kind::Stream(stream) => stream.settle(&mut record),
                Kind::Tunnel(tunnel) => tunnel.settle(&mut record),
                Kind::Bytes(_) | Kind::Page(_) => {}
            }
            record.end(reason);
        }
    }

    fn count(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.bytes_out += bytes as u64;
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match &mut this.kind {
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                if bytes.is_empty() {
                    this.end(this.reason);
                    return Poll::Ready(None);
                }
                this.count(bytes.len());
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Page(page) => match ready!(Pin::new(page).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    this.count(frame.data_ref().map_or(0, Bytes::len));
                    Poll::Ready(Some(Ok(frame)))
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "a file could not be read to its end");
                    this.end(Reason::Internal);
                    Poll::Ready(Some(Err(BodyError(Reason::Internal))))
                }
                None => {
                    this.end(this.reason);
                    Poll::Ready(None)
                }
            },
            Kind::Stream(_) | Kind::Tunnel(_) => {
                let Some(record) = &mut this.record else { return Poll::Ready(None) };
                let event = match &mut this.kind {
                    Kind::Tunnel(tunnel) => ready!(tunnel.poll_event(cx, record)),
                    Kind::Stream(stream) => ready!(stream.poll_event(cx, record)),
                    Kind::Bytes(_) | Kind::Page(_) => return Poll::Ready(None),
                };
                match event {
                    Event::Data(bytes) => {
                        record.bytes_out += bytes.len() as u64;
                        Poll::Ready(Some(Ok(Frame::data(bytes))))
                    }
                    Event::End(reason) => {
                        this.end(reason);
                        Poll::Ready(None)
                    }
                    Event::Abort(reason) => {
                        this.end(reason);
                        Poll::Ready(Some(Err(BodyError(reason))))
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Page(page) => page.is_end_stream(),
            Kind::Stream(_) | Kind::Tunnel(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Page(page) => page.size_hint(),
            Kind::Stream(_) | Kind::Tunnel(_) => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    /// hyper drops a body that is at its end without asking it once more; any other body that is dropped belongs
    /// to a client that left, or reads no more.
    fn drop(&mut self) {
        let ended = self.ending.headless || http_body::Body::is_end_stream(self);
        self.end(if ended { self.reason } else { self.ending.connection.why_gone() });
    }
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.code())
    }
}

impl std::error::Error for BodyError {}
