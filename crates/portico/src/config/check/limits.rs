//! `[limits]`, `[plan.NAME]`, `[queue]`, `[stream]`

use super::gather;
use crate::config::checked::{Limits, Model, Plan, Queue, Stream};
use crate::config::form;
use crate::config::keys::limits as keys;
use crate::config::problem::{Code, Problem, Severity};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn limits(file: &mut Reader<'_, '_, '_>) -> Option<Limits> {
    let mut reader = file.section("limits");
    let body = reader.take(&keys::BODY);
    let total = reader.take(&keys::BODY_TOTAL);
    if let (Some(body), Some(total)) = (body, total)
        && body > total
    {
        let written = if reader.is_written(&keys::BODY_TOTAL) {
            reader.spot_of(&keys::BODY_TOTAL)
        } else {
            reader.spot_of(&keys::BODY)
        };
        reader.judge.push(
            Problem::error(
                Code::Contradiction,
                &written,
                text!(
                    "`limits.body_total` is smaller than `limits.body`",
                    "`limits.body_total` 小于 `limits.body`"
                ),
            )
            .why(text!(
                "a body of the size that is allowed could never be read",
                "达到允许大小的请求体将永远无法读取"
            )),
        );
    }
    gather!(Limits {
        body_bytes: body,
        body_total_bytes: total,
        header_bytes: reader.take(&keys::HEADER_BYTES),
        header_count: reader.take(&keys::HEADER_COUNT),
        target_bytes: reader.take(&keys::TARGET_BYTES),
        json_depth: reader.take(&keys::JSON_DEPTH),
    })
}

pub(super) fn queue(file: &mut Reader<'_, '_, '_>) -> Option<Queue> {
    let mut reader = file.section("queue");
    gather!(Queue {
        max_running: reader.take(&keys::MAX_RUNNING),
        max_waiting: reader.take(&keys::MAX_WAITING),
        max_wait: reader.take(&keys::MAX_WAIT),
        keepalive: reader.take(&keys::KEEPALIVE),
    })
}

pub(super) fn stream(file: &mut Reader<'_, '_, '_>) -> Option<Stream> {
    let mut reader = file.section("stream");
    gather!(Stream { keep: reader.take(&keys::KEEP), keep_bytes: reader.take(&keys::KEEP_BYTES) })
}

/// `plan.default` comes first, whether it is written or not.
pub(super) fn plans(file: &mut Reader<'_, '_, '_>, models: Option<&[Model]>) -> Option<Vec<Plan>> {
    let mut section = file.section("plan");
    let mut names = section.names();
    names.retain(|name| name != "default");
    names.insert(0, "default".to_owned());
    let plans: Vec<Option<Plan>> =
        names.into_iter().map(|name| plan(section.section(&name), name, models)).collect();
    plans.into_iter().collect()
}

fn plan(mut reader: Reader<'_, '_, '_>, name: String, models: Option<&[Model]>) -> Option<Plan> {
    if name != "default" {
        reader.note_whole(Severity::Warning);
        let spot = reader.spot();
        if let Err(wrong) = form::model_name(&name) {
            reader.judge.push(wrong.at(&spot));
        }
    }
    let patterns = reader.take(&keys::PLAN_MODELS);
    if let (Some(patterns), Some(models)) = (&patterns, models) {
        for (index, pattern) in patterns.iter().enumerate() {
            known_model(&mut reader, index, pattern, models);
        }
    }
    gather!(Plan {
        name: Some(name),
        requests_per_minute: reader.take(&keys::REQUESTS_PER_MINUTE),
        tokens_per_minute: reader.take(&keys::TOKENS_PER_MINUTE),
        tokens_per_day: reader.take(&keys::TOKENS_PER_DAY),
        concurrent: reader.take(&keys::CONCURRENT),
        waiting: reader.take(&keys::WAITING),
        max_output_tokens: reader.take(&keys::MAX_OUTPUT_TOKENS),
        weight: reader.take(&keys::WEIGHT),
        models: patterns,
        hours: reader.take(&keys::HOURS),
    })
}

/// A name that no model has is a slip of the pen; it opens nothing, so it is only a warning. The implicit model's names
/// are not known here.
fn known_model(reader: &mut Reader<'_, '_, '_>, index: usize, pattern: &str, models: &[Model]) {
    let names = || models.iter().flat_map(|model| std::iter::once(&model.name).chain(&model.aliases));
    if pattern == "*"
        || models.iter().any(|model| model.name.is_empty())
        || names().any(|name| name == pattern)
    {
        return;
    }
    let spot = reader.spot_of_item(&keys::PLAN_MODELS, index);
    let problem = Problem::warning(
        Code::NoEffect,
        &spot,
        text!("no model is called \"{pattern}\"", "没有名为 \"{pattern}\" 的模型"),
    );
    let near = crate::config::nearest(pattern, names().map(String::as_str));
    reader.judge.push(match near {
        Some(near) => problem.label(text!("did you mean \"{near}\"?", "是否想写 \"{near}\"?")),
        None => problem,
    });
}
