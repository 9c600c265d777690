//! A request body that is not there yet when its request begins.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::reason::Refusal;

/// Where such a body comes from. Polled inside the task of the request.
pub(crate) trait Source {
    /// The length of all of it, where it is known before the first piece is taken.
    fn length_bytes(&self) -> Option<u64>;

    /// The next piece; `None` at the end. A refusal ends the request, and the model server sees it torn.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>>;
}

/// A source as the pieces that are written to the wire.
pub(super) struct Feed<'a> {
    source: &'a RefCell<dyn Source + 'a>,
    is_chunked: bool,
    is_ended: bool,
}

impl<'a> Feed<'a> {
    pub(super) fn new(source: &'a RefCell<dyn Source + 'a>) -> Self {
        Self { is_chunked: source.borrow().length_bytes().is_none(), source, is_ended: false }
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// What is to be written next. Not polled again once it has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<[Bytes; 3], Refusal>> {
        let piece = ready!(self.source.borrow_mut().poll_piece(cx))?;
        self.is_ended = piece.is_none();
        let nothing = Bytes::new;
        Poll::Ready(Ok(match piece {
            Some(piece) if self.is_chunked && !piece.is_empty() => {
                [Bytes::from(format!("{:x}\r\n", piece.len())), piece, Bytes::from_static(b"\r\n")]
            }
            // An empty chunk would be the last.
            Some(piece) => [piece, nothing(), nothing()],
            None if self.is_chunked => [Bytes::from_static(b"0\r\n\r\n"), nothing(), nothing()],
            None => [nothing(), nothing(), nothing()],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pieces(Option<u64>, Vec<&'static str>);

    impl Source for Pieces {
        fn length_bytes(&self) -> Option<u64> {
            self.0
        }

        fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
            Poll::Ready(Ok((!self.1.is_empty()).then(|| Bytes::from(self.1.remove(0)))))
        }
    }

    fn written(length: Option<u64>) -> String {
        let source = RefCell::new(Pieces(length, vec!["hello", "", "0123456789abcdef"]));
        let mut feed = Feed::new(&source);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut wire = Vec::new();
        while !feed.is_ended() {
            let Poll::Ready(Ok(pieces)) = feed.poll(&mut cx) else { panic!("it is all there") };
            pieces.iter().for_each(|piece| wire.extend_from_slice(piece));
        }
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn pieces_are_chunks_where_the_length_is_not_known() {
        assert_eq!(written(None), "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
        assert_eq!(written(Some(21)), "hello0123456789abcdef");
    }
}
