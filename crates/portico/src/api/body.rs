//! Reading a request body from the network, within every limit.

mod budget;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

pub(crate) use self::budget::{BodyBudget, BudgetGuard};
use super::base64_map::Base64Map;
use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;
use crate::sys::deadline::Deadline;
use crate::sys::large_buffers;
use crate::types::text;

/// A request's body on its way in, whatever protocol carries it.
pub(crate) trait Incoming {
    /// Appends what has come; false at the end. Fails with the reason, for the log.
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<bool, String>>;

    /// Nothing more will come.
    fn is_ended(&self) -> bool;

    /// At least so many bytes are still to come.
    fn announced_bytes(&self) -> u64;

    /// Gives the connection to this request: from now on whatever comes is its body, up to the connection's end, and
    /// what is answered is written as it is. Fails with the rule that was broken, for the log.
    fn open(&mut self) -> Result<(), &'static str> {
        Err("the connection carries other requests, too")
    }
}

/// A whole body, and what was seen of it while it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    bytes: Bytes,
    base64: Base64Map,
}

impl Body {
    pub(super) const fn base64(&self) -> &Base64Map {
        &self.base64
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let mut base64 = Base64Map::default();
        base64.extend(&bytes);
        Self { bytes, base64 }
    }
}

impl std::ops::Deref for Body {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// What reading is bounded by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) body_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) idle: Duration,
}

/// The body must be plain JSON: no other type, no compression (a bomb otherwise).
pub(crate) fn check_headers(headers: &HeaderMap, bounds: Bounds) -> Result<(), Refusal> {
    let is_json = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).is_some_and(|value| {
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        essence.eq_ignore_ascii_case(b"application/json")
    });
    if !is_json || !is_plain(headers) {
        return Err(Reason::UnsupportedMediaType.into());
    }
    check_length(headers, bounds)
}

/// Not compressed.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|v| v.as_bytes().eq_ignore_ascii_case(b"identity"))
}

pub(crate) fn check_length(headers: &HeaderMap, bounds: Bounds) -> Result<(), Refusal> {
    match content_length(headers) {
        Some(length) if length > bounds.body_bytes => Err(too_large(bounds.body_bytes)),
        _ => Ok(()),
    }
}

/// Reads to the end. Dropping the future gives back what it holds.
pub(crate) async fn collect(
    body: &mut dyn Incoming,
    budget: &Arc<BodyBudget>,
    bounds: Bounds,
) -> Result<(Body, BudgetGuard), Refusal> {
    let mut guard = BudgetGuard::new(budget.clone());
    let mut whole = BytesMut::new();
    let mut base64 = Base64Map::default();
    let mut pace = Pace::default();
    loop {
        let before = whole.len();
        if !next_piece(body, &mut whole, bounds.idle, &mut pace).await? {
            return Ok((Body { bytes: large_buffers::freeze(whole), base64 }, guard));
        }
        if whole.len() as u64 > bounds.body_bytes {
            return Err(too_large(bounds.body_bytes));
        }
        guard.hold_at_least(whole.len() as u64, bounds.total_bytes)?;
        base64.extend(&whole);
        if before == 0 {
            let announced = body.announced_bytes().min(bounds.body_bytes);
            make_room(&mut whole, usize::try_from(announced).unwrap_or(0), &mut guard, bounds.total_bytes);
        }
    }
}

/// For what is announced. Untouched memory costs nothing, so a length that is only claimed takes none. A buffer that
/// was used before is touched, so it counts as if all had come.
fn make_room(whole: &mut BytesMut, announced: usize, guard: &mut BudgetGuard, total: u64) {
    if let Some(mut used) = large_buffers::take(whole.len() + announced)
        && guard.hold_at_least(used.capacity() as u64, total).is_ok()
    {
        used.extend_from_slice(whole);
        *whole = used;
    } else {
        whole.reserve(announced);
    }
}

/// A byte now and then would keep a connection, and what waits for it, for days: after a while a body has to keep
/// pace. The slowest telephone line is faster.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    began: Option<Instant>,
}

impl Pace {
    const GRACE: Duration = Duration::from_secs(10);
    const SLOWEST_BYTES_PER_SECOND: u64 = 1024;

    /// By when more than `received_bytes` have to be there. The clock begins at the first wait.
    fn due(&mut self, received_bytes: u64, now: Instant) -> Instant {
        let earned = Duration::from_secs(received_bytes / Self::SLOWEST_BYTES_PER_SECOND);
        *self.began.get_or_insert(now) + Self::GRACE + earned
    }
}

/// The same for a body that is sent on while it comes: only the time in which the client is waited for counts, because a
/// model server may take its own.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    waited: Duration,
    since: Option<Instant>,
    deadline: Deadline,
}

impl Patience {
    /// Nothing has come. Whether to give up; if not, the task is woken when it is time to.
    pub(crate) fn is_over(&mut self, received_bytes: u64, idle: Duration, cx: &Context<'_>) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs(received_bytes / Self::SLOWEST_BYTES_PER_SECOND);
        let left = (Pace::GRACE + earned).saturating_sub(self.waited);
        self.deadline.is_past(since + idle.min(left), cx)
    }

    /// Something has come.
    pub(crate) fn moved(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Faster than [`Pace`] asks for: a call that has its permit keeps others waiting. A voice is coded at less.
    const SLOWEST_BYTES_PER_SECOND: u64 = 8 * 1024;
}

/// Reads on; false at the end. Most of a body is there already, so a deadline begins only where one is waited for.
pub(crate) async fn next_piece(
    body: &mut dyn Incoming,
    into: &mut BytesMut,
    idle: Duration,
    pace: &mut Pace,
) -> Result<bool, Refusal> {
    let mut deadline = Deadline::default();
    let mut until = None;
    std::future::poll_fn(|cx| match body.poll_fill(cx, into) {
        Poll::Ready(Ok(has_more)) => Poll::Ready(Ok(has_more)),
        Poll::Ready(Err(why)) => Poll::Ready(Err(
            Refusal::new(Reason::MalformedRequest).because(format!("reading the body: {why}"))
        )),
        Poll::Pending => {
            let until = *until.get_or_insert_with(|| {
                let now = Instant::now();
                (now + idle).min(pace.due(into.len() as u64, now))
            });
            if deadline.is_past(until, cx) {
                Poll::Ready(Err(Reason::BodyTimeout.into()))
            } else {
                Poll::Pending
            }
        }
    })
    .await
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(crate) fn too_large(limit_bytes: u64) -> Refusal {
    Refusal::new(Reason::BodyTooLarge).saying(text!(
        "The request body is larger than the {limit_bytes} bytes that are accepted here.",
        "请求体超过此处接受的 {limit_bytes} 字节。"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { body_bytes: 100, total_bytes: 150, idle: Duration::from_secs(30) };

    /// What comes, piece by piece; then the end, or nothing more.
    struct Pieces {
        left: Vec<Vec<u8>>,
        ends: bool,
    }

    impl Incoming for Pieces {
        fn poll_fill(&mut self, _: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<bool, String>> {
            if self.left.is_empty() {
                return if self.ends { Poll::Ready(Ok(false)) } else { Poll::Pending };
            }
            into.extend_from_slice(&self.left.remove(0));
            Poll::Ready(Ok(true))
        }

        fn is_ended(&self) -> bool {
            self.ends && self.left.is_empty()
        }

        fn announced_bytes(&self) -> u64 {
            0
        }
    }

    fn pieces(pieces: &[&str]) -> Pieces {
        Pieces { left: pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect(), ends: true }
    }

    #[tokio::test]
    async fn pieces_become_one_body_and_the_budget_is_given_back() {
        let budget = Arc::new(BodyBudget::default());
        let (body, guard) = collect(&mut pieces(&["ab", "cd", "e"]), &budget, BOUNDS).await.unwrap();
        assert_eq!(**body, *b"abcde");
        assert_eq!(budget.held_bytes(), 5);
        drop(guard);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[tokio::test]
    async fn limits_hold_for_one_body_and_for_all() {
        let budget = Arc::new(BodyBudget::default());
        let of = |bytes: usize| pieces(&[&" ".repeat(bytes)]);
        let large = collect(&mut of(101), &budget, BOUNDS).await;
        assert_eq!(large.unwrap_err().reason, Reason::BodyTooLarge);
        let held = collect(&mut of(100), &budget, BOUNDS).await.unwrap();
        let second = collect(&mut of(51), &budget, BOUNDS).await;
        assert_eq!(second.unwrap_err().reason, Reason::ServerBusy);
        drop(held);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_ends_at_its_deadline() {
        let housekeeping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                crate::sys::deadline::wake_late();
            }
        };
        let budget = Arc::new(BodyBudget::default());
        let mut stopped = Pieces { left: vec![b"{".to_vec()], ends: false };
        let refused = tokio::select! {
            refused = collect(&mut stopped, &budget, BOUNDS) => refused,
            () = housekeeping => unreachable!("it never ends"),
        };
        assert_eq!(refused.unwrap_err().reason, Reason::BodyTimeout);
    }

    /// A byte every 200 ms, for ever.
    struct Drip {
        next: std::pin::Pin<Box<tokio::time::Sleep>>,
    }

    impl Incoming for Drip {
        fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<bool, String>> {
            std::task::ready!(std::future::Future::poll(self.next.as_mut(), cx));
            self.next.as_mut().reset(Instant::now() + Duration::from_millis(200));
            into.extend_from_slice(b"x");
            Poll::Ready(Ok(true))
        }

        fn is_ended(&self) -> bool {
            false
        }

        fn announced_bytes(&self) -> u64 {
            0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f42_a_body_that_drips_ends_too() {
        let began = Instant::now();
        let housekeeping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                crate::sys::deadline::wake_late();
            }
        };
        let budget = Arc::new(BodyBudget::default());
        let bounds = Bounds { body_bytes: 1 << 20, total_bytes: 1 << 20, ..BOUNDS };
        let mut drip = Drip { next: Box::pin(tokio::time::sleep(Duration::from_millis(100))) };
        let refused = tokio::select! {
            refused = collect(&mut drip, &budget, bounds) => refused,
            () = housekeeping => unreachable!("it never ends"),
        };
        assert_eq!(refused.unwrap_err().reason, Reason::BodyTimeout);
        let took = began.elapsed();
        assert!(took >= Pace::GRACE && took < Pace::GRACE * 2, "{took:?}");
    }

    #[test]
    fn a_body_earns_time_by_what_has_come() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.due(0, now), now + Duration::from_secs(10));
        let later = now + Duration::from_secs(8);
        assert_eq!(pace.due(20 * 1024, later), now + Duration::from_secs(30), "from the first wait");
    }

    #[test]
    fn only_plain_json_is_read() {
        let check = |name: http::HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(name, HeaderValue::from_static(value));
            check_headers(&headers, BOUNDS).err().map(|refusal| refusal.reason)
        };
        assert_eq!(check(CONTENT_TYPE, "application/json; charset=utf-8"), None);
        assert_eq!(check(CONTENT_TYPE, "Application/JSON"), None);
        assert_eq!(check(CONTENT_TYPE, "text/plain"), Some(Reason::UnsupportedMediaType));
        assert_eq!(check(CONTENT_ENCODING, "gzip"), Some(Reason::UnsupportedMediaType));
        assert_eq!(check(CONTENT_ENCODING, "identity"), None);
        assert_eq!(check(http::header::CONTENT_LENGTH, "101"), Some(Reason::BodyTooLarge));
        assert_eq!(
            check_headers(&HeaderMap::new(), BOUNDS).unwrap_err().reason,
            Reason::UnsupportedMediaType
        );
    }
}
