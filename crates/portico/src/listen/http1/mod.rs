//! HTTP/1 towards clients: one request after the other over one stream.
//!
//! Written by hand, because a general server reads more forms of a request than one (absolute targets, several
//! lengths, chunk extensions, bare line feeds) and copies what it reads twice. `head`, `course` and `request` decide
//! what came, `response` how it is answered; `wire` moves the bytes. What is refused and why stands in
//! `docs/protocol.md`.

mod body;
mod course;
mod fault;
mod head;
mod request;
mod response;
mod wire;

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use self::body::RequestBody;
use self::request::Manners;
use self::response::{Coding, Plan};
use self::wire::{Incoming, Refused, Wire};
use super::connection::{LINGER_PAUSE, Next, Shared, Watch, linger};
use super::state::{Expired, InFlight, State};
use crate::front::{self, Body, Connection as _, Door};

#[cfg(feature = "fuzzing")]
pub(crate) use self::course::Course;
pub(crate) use self::head::Bounds;

/// An answer is gathered up to so many bytes before it is written.
const GATHERED_BYTES: usize = 64 * 1024;

/// Serves until the connection ends. Dropped, it closes the stream and its request ends as "client left".
pub(super) async fn serve<S>(stream: S, prefix: BytesMut, bounds: Bounds, state: &Rc<State>, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let wire = Rc::new(RefCell::new(Wire::new(stream, prefix, state.clone(), bounds)));
    let mut talk = Talk { wire: wire.clone(), state, door: &shared.door, doing: Doing::Reading };
    let mut watch = pin!(Watch::new(state, shared.phase.clone()));
    let end = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = talk.poll(cx) {
                return Poll::Ready(end);
            }
            match ready!(watch.as_mut().poll_next(cx)) {
                // What is under way is finished; `State` knows that nothing may follow.
                Next::Close if talk.is_idle() => return Poll::Ready(End::Idle),
                Next::Close | Next::Cut => {}
                Next::Drop(expired) => return Poll::Ready(talk.expired(expired)),
            }
        }
    })
    .await;
    // A request that is still there ends now, and gives the wire back.
    drop(talk);
    if let End::Gone = end {
        return;
    }
    let Some(wire) = Rc::into_inner(wire) else { return };
    let mut stream = wire.into_inner().into_stream();
    let refused = match end {
        End::Idle => {
            // TLS has a word for it, without which this could be an attack.
            let _ = tokio::time::timeout(LINGER_PAUSE, stream.shutdown()).await;
            return;
        }
        End::Gone | End::Closing => None,
        End::Refused(refused) => Some(refused),
    };
    if let Some(Refused { line, fault }) = refused {
        let answer = front::unread(&line, state.peer(), &fault.refusal());
        // Who sent this may be gone or not reading; there is nothing more to do for it.
        let _ = tokio::time::timeout(LINGER_PAUSE, stream.write_all(&answer)).await;
    }
    linger(stream, shared.phase.clone()).await;
}

/// How a connection comes to its end.
enum End {
    /// Nobody is there to be told anything.
    Gone,
    /// Nothing was asked that is not answered, and nothing more is wanted.
    Idle,
    /// Everything was said; the client may still be sending.
    Closing,
    /// What came is no request.
    Refused(Refused),
}

struct Talk<'a, S> {
    wire: Rc<RefCell<Wire<S>>>,
    state: &'a Rc<State>,
    door: &'a Arc<Door>,
    doing: Doing,
}

enum Doing {
    Reading,
    /// The request path is at work.
    Asking {
        answer: Pin<Box<dyn Future<Output = Response<Body>>>>,
        manners: Manners,
        guard: InFlight,
    },
    Answering(Answer),
}

/// An answer on its way out.
struct Answer {
    body: Body,
    plan: Plan,
    /// How the body has ended, once it has: `false` when it was broken off.
    ended: Option<bool>,
    _guard: InFlight,
}

/// How an answer has ended.
enum Answered {
    Next,
    Close,
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Talk<'_, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match &mut self.doing {
                Doing::Reading => {
                    let incoming = ready!(self.wire.borrow_mut().poll_head(cx));
                    match incoming {
                        Incoming::Request(request, manners) => self.ask(request, manners),
                        Incoming::Refused(refused) => return Poll::Ready(End::Refused(refused)),
                        Incoming::End => return Poll::Ready(End::Gone),
                    }
                }
                Doing::Asking { answer, .. } => {
                    let Poll::Ready(response) = answer.as_mut().poll(cx) else {
                        return self.wire.borrow_mut().poll_gone(cx).map(|()| End::Gone);
                    };
                    self.begin(response);
                }
                Doing::Answering(answer) => match ready!(answer.poll(&self.wire, cx)) {
                    Answered::Next if self.state.is_closing() => return Poll::Ready(End::Closing),
                    Answered::Next => self.doing = Doing::Reading,
                    Answered::Close => return Poll::Ready(End::Closing),
                    Answered::Gone => return Poll::Ready(End::Gone),
                },
            }
        }
    }

    fn ask(&mut self, request: Request<()>, manners: Manners) {
        let guard = self.state.begin();
        let request = request.map(|()| RequestBody::new(self.wire.clone()));
        let (door, state) = (self.door.clone(), self.state.clone());
        let answer = Box::pin(async move { front::handle(&door, state, request).await });
        self.doing = Doing::Asking { answer, manners, guard };
    }

    fn begin(&mut self, response: Response<Body>) {
        let Doing::Asking { answer, manners, guard } = std::mem::replace(&mut self.doing, Doing::Reading)
        else {
            return;
        };
        // It holds the other end of the wire.
        drop(answer);
        let (parts, body) = response.into_parts();
        let body_bytes = body.size_hint().exact();
        let mut wire = self.wire.borrow_mut();
        // Behind a body that was not read to its end nobody can find the next request.
        let may_keep = wire.is_behind() && !self.state.is_closing();
        let plan = response::plan(&parts, body_bytes, manners, may_keep);
        wire.tail(|out| response::write_head(&parts, body_bytes, plan, manners, out));
        let ended = (plan.coding == Coding::Empty || body_bytes == Some(0)).then_some(true);
        self.doing = Doing::Answering(Answer { body, plan, ended, _guard: guard });
    }

    /// Nothing was asked that is not answered.
    fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Reading) && self.wire.borrow().is_between()
    }

    fn expired(&mut self, expired: Expired) -> End {
        match expired {
            Expired::Headers => self.wire.borrow_mut().late().map_or(End::Gone, End::Refused),
            Expired::Idle | Expired::Stalled => End::Gone,
        }
    }
}

impl Answer {
    /// The wire is borrowed for moments only: the body of an answer that has got the connection reads from it.
    fn poll<S>(&mut self, wire: &RefCell<Wire<S>>, cx: &mut Context<'_>) -> Poll<Answered>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let waits = self.ended.is_none() && self.gather(wire, cx).is_pending();
            let mut wire = wire.borrow_mut();
            match wire.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Answered::Gone),
                Poll::Pending => return wire.poll_gone(cx).map(|()| Answered::Gone),
            }
            if let Some(whole) = self.ended {
                return Poll::Ready(match (whole, self.plan.keeps) {
                    (true, true) => {
                        wire.next();
                        Answered::Next
                    }
                    _ => Answered::Close,
                });
            }
            if waits {
                return wire.poll_gone(cx).map(|()| Answered::Gone);
            }
        }
    }

    /// Takes what the body has ready, up to a limit. Pending: there is no more for now.
    fn gather<S>(&mut self, wire: &RefCell<Wire<S>>, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while wire.borrow().outgoing_bytes() < GATHERED_BYTES {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let mut wire = wire.borrow_mut();
                    if let Ok(data) = frame.into_data() {
                        self.write(&mut wire, data);
                    }
                    if self.body.is_end_stream() {
                        self.end(&mut wire);
                        break;
                    }
                }
                Some(Err(_)) => {
                    self.ended = Some(false);
                    break;
                }
                None => {
                    self.end(&mut wire.borrow_mut());
                    break;
                }
            }
        }
        Poll::Ready(())
    }

    fn write<S>(&self, wire: &mut Wire<S>, data: Bytes)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // An empty chunk would be the last.
        if data.is_empty() {
            return;
        }
        if self.plan.coding == Coding::Chunked {
            wire.tail(|out| response::write_chunk_size(data.len(), out));
            wire.push(data);
            wire.tail(|out| out.extend_from_slice(b"\r\n"));
        } else {
            wire.push(data);
        }
    }

    fn end<S>(&mut self, wire: &mut Wire<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.plan.coding == Coding::Chunked {
            wire.tail(|out| out.extend_from_slice(b"0\r\n\r\n"));
        }
        self.ended = Some(true);
    }
}
