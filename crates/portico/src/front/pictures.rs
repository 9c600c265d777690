//! Pictures that were given by their address: fetched, judged like any other, and put in their place.

use super::Visit;
use crate::api::Call;
use crate::api::body::BudgetGuard;
use crate::fetch::Rules;
use crate::reason::{Reason, Refusal};
use crate::types::text;

/// Fetches all that the call wants, one after the other. What is fetched counts like what was sent: against
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
    let mut hold = |bytes: u64| {
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
    };
    let mut fetched = Vec::with_capacity(call.wanted().len());
    for wanted in call.wanted() {
        let picture = visit.door.fetcher.fetch(&wanted.url, rules, &mut hold).await;
        let picture = picture.map_err(|refusal| refusal.param(&wanted.param))?;
        fetched.push((picture.media_type, picture.bytes));
    }
    call.take_fetched(fetched, policy)
}
