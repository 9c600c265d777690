//! A request's body, as the request path reads it: from the wire, straight to where it belongs.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::Wire;
use crate::api::body::Incoming;

pub(super) struct RequestBody<S> {
    wire: Rc<RefCell<Wire<S>>>,
}

impl<S> RequestBody<S> {
    pub(super) const fn new(wire: Rc<RefCell<Wire<S>>>) -> Self {
        Self { wire }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming for RequestBody<S> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<bool, String>> {
        self.wire.borrow_mut().poll_fill(cx, into)
    }

    fn is_ended(&self) -> bool {
        self.wire.borrow().is_behind()
    }

    fn announced_bytes(&self) -> u64 {
        self.wire.borrow().announced_bytes()
    }

    fn open(&mut self) -> Result<(), &'static str> {
        self.wire.borrow_mut().open()
    }
}
