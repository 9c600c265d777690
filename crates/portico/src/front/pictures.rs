//! Pictures that were given by their address: fetched, judged like any other, and put in their place.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use super::Visit;
use crate::api::Call;
use crate::api::body::BudgetGuard;
use crate::fetch::Rules;
use crate::reason::{Reason, Refusal};
use crate::types::text;

/// Of one request, fetched at once.
const AT_ONCE: usize = 4;

/// Fetches all that the call wants. What is fetched counts like what was sent: against
/// `limits.body` for the request and against `limits.body_total` for all.
pub(super) async fn fetch(
    visit: &Visit<'_>,
    call: &mut Call,
    budget: &mut BudgetGuard,
    body_bytes: u64,
) -> Result<(), Refusal> {
    let (policy, limits) = (&visit.snapshot.config.policy, &visit.snapshot.config.limits);
    let rules = Rules { hosts: &policy.image_url_hosts, max_bytes: policy.max_image_bytes };
    let mut held = body_bytes;
    let hold = RefCell::new(|bytes: u64| {
        // As base64, which is how it is sent on.
        held = held.saturating_add(bytes.saturating_mul(4).div_ceil(3));
        if held > limits.body_bytes {
            let most = limits.body_bytes;
            return Err(Refusal::new(Reason::InvalidValue).saying(text!(
                "The request and the images at its addresses have more than the {most} bytes together that are accepted here.",
                "请求与其图片地址的内容合计超过此处接受的 {most} 字节。"
            )));
        }
        // Once as it comes and once as base64, for as long as both are there.
        budget.take(bytes.saturating_mul(7).div_ceil(3), limits.body_total_bytes)
    });
    let mut fetched = Vec::with_capacity(call.wanted().len());
    for some in call.wanted().chunks(AT_ONCE) {
        let fetches = some.iter().map(async |wanted| {
            let mut hold = |bytes| (hold.borrow_mut())(bytes);
            let picture = visit.door.fetcher.fetch(&wanted.url, rules, &mut hold).await;
            picture.map_err(|refusal| refusal.param(&wanted.param))
        });
        fetched
            .extend(together(fetches).await?.into_iter().map(|picture| (picture.media_type, picture.bytes)));
    }
    call.take_fetched(fetched, policy)
}

/// The results of all, in their order; the first failure ends the others.
async fn together<T, E>(
    futures: impl Iterator<Item = impl Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    let mut waiting: Vec<Result<T, Pin<Box<_>>>> = futures.map(|future| Err(Box::pin(future))).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for place in &mut waiting {
            if let Err(future) = place {
                match future.as_mut().poll(cx) {
                    Poll::Ready(Ok(result)) => *place = Ok(result),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    Ok(waiting.into_iter().filter_map(Result::ok).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_come_in_their_order_and_a_failure_at_once() {
        let after = async |seconds: u64| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if seconds == 5 { Err(seconds) } else { Ok(seconds) }
        };
        let began = tokio::time::Instant::now();
        assert_eq!(together([3, 1, 2].into_iter().map(after)).await, Ok(vec![3, 1, 2]));
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert_eq!(together([9, 5].into_iter().map(after)).await, Err(5));
        assert_eq!(began.elapsed(), Duration::from_secs(8));
    }
}
