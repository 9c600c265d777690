//! The length of an answer, and how many answers.
//!
//! The limit is always written, so that no model server falls back on its own idea of it: the smallest of what the
//! client names, what its plan allows, and what the context has room for. How long a prompt is in tokens is only known
//! to the model server, and servers differ where the two together are too long: vLLM refuses the call, llama.cpp stops
//! at the end of its context. So the room is counted as follows.
//!
//! - A limit that the client has named and that could fit stays: if it does not, the server says so, as without Portico.
//! - Where Portico names the limit (the client named none, or one as large as the whole context), a refusal would be its
//!   own fault. The prompt is counted high, and never so high that less than a sixteenth of the context is left.
//! - A server that is known to stop by itself gets the whole context: nothing is cut that would have fitted.

use super::json::Json;
use super::judge::{At, Judge, whole};
use crate::reason::Refusal;

/// A text seldom has more than a token for two bytes; English has one for four. Digits and gibberish have more.
const BYTES_A_TOKEN: u64 = 2;
/// What a template adds to a short conversation.
const TEMPLATE_TOKENS: u64 = 64;
/// A picture of some 2000×2000 pixels for Qwen3-VL, until its header is read.
const TOKENS_A_PICTURE: u64 = 4096;
/// What completions give where nothing is said, in every implementation of the API.
const DEFAULT_COMPLETION_TOKENS: u32 = 16;
/// More than any context; model servers read the number into 32 or 64 bits.
const LARGEST: i64 = i32::MAX as i64;

/// What is known of the limit before the model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OutputLimit {
    /// Of the client.
    pub(super) named: Option<u32>,
    /// Of its plan.
    pub(super) plan: Option<u32>,
    /// Counted high.
    pub(super) prompt_tokens: u64,
}

/// What a model server does with a prompt and a limit that are too long together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtTheEnd {
    Stops,
    MayRefuse,
}

impl OutputLimit {
    /// `None` only where neither client nor plan nor context sets one.
    pub(super) fn tokens(self, context: Option<u32>, at_the_end: AtTheEnd) -> Option<u32> {
        let wanted = [self.named, self.plan].into_iter().flatten().min();
        let Some(context) = context else { return wanted };
        if self.named.is_some() && wanted.is_some_and(|wanted| wanted < context) {
            return wanted;
        }
        let room = match at_the_end {
            AtTheEnd::Stops => context,
            AtTheEnd::MayRefuse => {
                let left = u64::from(context).saturating_sub(self.prompt_tokens);
                u32::try_from(left).unwrap_or(u32::MAX).max(context / 16)
            }
        };
        Some(wanted.unwrap_or(u32::MAX).min(room).max(1))
    }
}

/// `text_bytes` is everything but pictures, as it came.
pub(super) const fn prompt_tokens(text_bytes: u64, images: u32) -> u64 {
    text_bytes / BYTES_A_TOKEN + TEMPLATE_TOKENS + images as u64 * TOKENS_A_PICTURE
}

pub(super) const fn completion_default(named: Option<u32>) -> Option<u32> {
    match named {
        None => Some(DEFAULT_COMPLETION_TOKENS),
        named => named,
    }
}

pub(super) fn output_tokens(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    judge.found.max_tokens = Some(tokens(value, at, 1)?);
    Ok(())
}

pub(super) fn completion_tokens(
    judge: &mut Judge<'_>,
    value: &mut Json<'_>,
    at: At<'_>,
) -> Result<(), Refusal> {
    judge.found.max_completion_tokens = Some(tokens(value, at, 1)?);
    Ok(())
}

pub(super) fn min_tokens(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    judge.found.min_tokens = Some(tokens(value, at, 0)?);
    Ok(())
}

fn tokens(value: &Json<'_>, at: At<'_>, least: i64) -> Result<u32, Refusal> {
    let tokens = whole(value, at, least, LARGEST)?;
    Ok(u32::try_from(tokens).unwrap_or(u32::MAX))
}

/// `n` multiplies the work of one request.
pub(super) fn choices(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    whole(value, at, 1, judge.policy.max_choices.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_smallest_of_client_plan_and_room_is_written() {
        use AtTheEnd::{MayRefuse, Stops};
        let (named, plan, context) = (Some(100), Some(8192), Some(4096));
        for (named, plan, prompt_tokens, context, at_the_end, wanted) in [
            (None, None, 70, None, MayRefuse, None),
            (None, plan, 70, None, MayRefuse, plan),
            (named, plan, 70, None, MayRefuse, named),
            (named, None, 70, None, MayRefuse, named),
            (Some(9000), plan, 70, None, MayRefuse, plan),
            // It fits or the server says so.
            (named, plan, 70, context, MayRefuse, named),
            (Some(4000), plan, 4000, context, MayRefuse, Some(4000)),
            (Some(4000), Some(50), 4000, context, MayRefuse, Some(50)),
            (Some(4095), plan, 70, context, MayRefuse, Some(4095)),
            // It can't fit, or nobody has asked for it.
            (Some(4096), plan, 70, context, MayRefuse, Some(4026)),
            (Some(100_000), plan, 70, context, MayRefuse, Some(4026)),
            (Some(100_000), plan, 70, context, Stops, Some(4096)),
            (None, plan, 70, context, MayRefuse, Some(4026)),
            (None, None, 70, context, MayRefuse, Some(4026)),
            (None, None, 70, context, Stops, Some(4096)),
            (None, Some(50), 70, context, MayRefuse, Some(50)),
            (None, plan, 70, Some(32_768), MayRefuse, plan),
            (None, plan, 30_000, Some(32_768), MayRefuse, Some(2768)),
            (None, plan, 60_000, Some(32_768), MayRefuse, Some(2048)),
            (None, plan, 70, Some(1), MayRefuse, Some(1)),
        ] {
            let limit = OutputLimit { named, plan, prompt_tokens };
            assert_eq!(limit.tokens(context, at_the_end), wanted, "{limit:?} {context:?} {at_the_end:?}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_anybody_allows(
            named in prop::option::of(1_u32..100_000), plan in prop::option::of(1_u32..100_000),
            prompt_tokens in 0_u64..200_000, context in prop::option::of(1_u32..100_000), stops: bool,
        ) {
            let at_the_end = if stops { AtTheEnd::Stops } else { AtTheEnd::MayRefuse };
            let tokens = OutputLimit { named, plan, prompt_tokens }.tokens(context, at_the_end);
            let most = [named, plan, context].into_iter().flatten().min();
            prop_assert_eq!(tokens.is_some(), most.is_some());
            if let (Some(tokens), Some(most)) = (tokens, most) {
                prop_assert!((1..=most).contains(&tokens), "{} of {}", tokens, most);
            }
        }
    }
}
