//! The keys that decide how an answer is read.

use super::json::Json;
use super::judge::{At, Judge, flag, no_such_field, object};
use crate::reason::Refusal;

pub(super) fn stream(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    judge.found.stream = flag(value, at)?;
    Ok(())
}

/// What the client wants of it is remembered; what is sent is Portico's own.
pub(super) fn stream_options(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (key, value) in &object(value, at)?.0 {
        let here = at.field(key);
        match (&**key, value) {
            ("include_usage" | "include_obfuscation" | "continuous_usage_stats", Json::Null) => {}
            ("include_usage", value) => judge.found.wants_usage = flag(value, here)?,
            ("include_obfuscation" | "continuous_usage_stats", value) => _ = flag(value, here)?,
            _ => return Err(no_such_field(at, key)),
        }
    }
    Ok(())
}

/// Read before everything else, by [`super::call`].
pub(super) fn asked_model(_: &mut Judge<'_>, _: &mut Json<'_>, _: At<'_>) -> Result<(), Refusal> {
    Ok(())
}
