//! Reading a request body from the network, within every limit.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};

use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;
use crate::sys::deadline::Deadline;
use crate::types::text;

/// Bytes of all bodies being held, across all threads. A request takes its share as it grows and gives it back when
/// its [`BudgetGuard`] is dropped.
#[derive(Debug, Default)]
pub(crate) struct BodyBudget {
    held_bytes: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct BudgetGuard {
    budget: Arc<BodyBudget>,
    bytes: u64,
}

impl BudgetGuard {
    fn new(budget: Arc<BodyBudget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// `total`: what all requests together may hold.
    pub(crate) fn take(&mut self, bytes: u64, total: u64) -> Result<(), Refusal> {
        let grown = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= total);
        match self.budget.held_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(held) => Err(Refusal::new(Reason::ServerBusy)
                .because(format!("limits.body_total: {held} bytes are held, {bytes} more were needed"))),
        }
    }
}

impl Drop for BudgetGuard {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
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
    let is_plain =
        headers.get_all(CONTENT_ENCODING).iter().all(|v| v.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !is_json || !is_plain {
        return Err(Reason::UnsupportedMediaType.into());
    }
    match content_length(headers) {
        Some(length) if length > bounds.body_bytes => Err(too_large(bounds.body_bytes)),
        _ => Ok(()),
    }
}

/// Reads to the end. Dropping the future gives back what it holds.
pub(crate) async fn collect<B>(
    mut body: B,
    headers: &HeaderMap,
    budget: &Arc<BodyBudget>,
    bounds: Bounds,
) -> Result<(Bytes, BudgetGuard), Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut guard = BudgetGuard::new(budget.clone());
    let mut whole = BytesMut::new();
    let mut only: Option<Bytes> = None;
    let mut received = 0_u64;
    loop {
        let frame = match next_frame(&mut body, bounds.idle).await {
            Some(Ok(frame)) => frame,
            None => break,
            Some(Err(refusal)) => return Err(refusal),
        };
        let Ok(data) = frame.into_data() else { continue };
        received += data.len() as u64;
        if received > bounds.body_bytes {
            return Err(too_large(bounds.body_bytes));
        }
        guard.take(data.len() as u64, bounds.total_bytes)?;
        // Most bodies arrive in one piece and are used as they came.
        if whole.is_empty() && only.is_none() {
            only = Some(data);
            continue;
        }
        if let Some(first) = only.take() {
            let announced = content_length(headers).unwrap_or(0).min(bounds.body_bytes);
            whole.reserve(usize::try_from(announced).unwrap_or(0).max(first.len() + data.len()));
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok((only.unwrap_or_else(|| whole.freeze()), guard))
}

/// The next frame, or why there is none. Most are there already, so a deadline begins only where one is waited for.
async fn next_frame<B>(body: &mut B, idle: Duration) -> Option<Result<Frame<Bytes>, Refusal>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut deadline = Deadline::default();
    let mut until = None;
    std::future::poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(frame) => Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                Refusal::new(Reason::MalformedRequest).because(format!("reading the body: {error}"))
            })
        })),
        Poll::Pending => {
            let until = *until.get_or_insert_with(|| Instant::now() + idle);
            if deadline.is_past(until, cx) {
                Poll::Ready(Some(Err(Reason::BodyTimeout.into())))
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

fn too_large(limit_bytes: u64) -> Refusal {
    Refusal::new(Reason::BodyTooLarge).saying(text!(
        "The request body is larger than the {limit_bytes} bytes that are accepted here.",
        "请求体超过此处接受的 {limit_bytes} 字节。"
    ))
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use http_body_util::channel::Channel;

    use super::*;

    const BOUNDS: Bounds = Bounds { body_bytes: 100, total_bytes: 150, idle: Duration::from_secs(30) };

    async fn collect_pieces(
        pieces: &[&'static str],
        budget: &Arc<BodyBudget>,
    ) -> Result<(Bytes, BudgetGuard), Refusal> {
        let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(pieces.len());
        for piece in pieces {
            sender.send_data(Bytes::from_static(piece.as_bytes())).await.unwrap();
        }
        drop(sender);
        collect(body, &HeaderMap::new(), budget, BOUNDS).await
    }

    #[tokio::test]
    async fn pieces_become_one_body_and_the_budget_is_given_back() {
        let budget = Arc::new(BodyBudget::default());
        let (body, guard) = collect_pieces(&["ab", "cd", "e"], &budget).await.unwrap();
        assert_eq!(body, "abcde");
        assert_eq!(budget.held_bytes.load(Ordering::Relaxed), 5);
        drop(guard);
        assert_eq!(budget.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn limits_hold_for_one_body_and_for_all() {
        let budget = Arc::new(BodyBudget::default());
        let headers = HeaderMap::new();
        let large = collect(Full::new(Bytes::from(vec![b' '; 101])), &headers, &budget, BOUNDS).await;
        assert_eq!(large.unwrap_err().reason, Reason::BodyTooLarge);
        let held = collect(Full::new(Bytes::from(vec![b' '; 100])), &headers, &budget, BOUNDS).await.unwrap();
        let second = collect(Full::new(Bytes::from(vec![b' '; 51])), &headers, &budget, BOUNDS).await;
        assert_eq!(second.unwrap_err().reason, Reason::ServerBusy);
        drop(held);
        assert_eq!(budget.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_ends_at_its_deadline() {
        let (_open, body) = Channel::<Bytes, std::io::Error>::new(1);
        let housekeeping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                crate::sys::deadline::wake_late();
            }
        };
        let (headers, budget) = (HeaderMap::new(), Arc::new(BodyBudget::default()));
        let refused = tokio::select! {
            refused = collect(body, &headers, &budget, BOUNDS) => refused,
            () = housekeeping => unreachable!("it never ends"),
        };
        assert_eq!(refused.unwrap_err().reason, Reason::BodyTimeout);
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
