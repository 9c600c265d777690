//! `portico model list --advisories`: the known holes of each model server's version, and what stands before them.

use std::io;

use serde_json::{Value, json};

use super::{Console, aligned, shown_name};
use crate::supervise::advisories::{self, Advisory, Applies, Cover};
use crate::supervise::clean;
use crate::types::{ServerKind, Text, Tongue, text};

pub(super) fn show(models: &[Value], as_json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if as_json {
        let list: Vec<Value> = models.iter().map(|model| in_json(model, console.tongue)).collect();
        return writeln!(console.out, "{}", serde_json::to_string_pretty(&list).unwrap_or_default());
    }
    for (index, model) in models.iter().enumerate() {
        if index > 0 {
            writeln!(console.out)?;
        }
        in_words(model, console)?;
    }
    Ok(())
}

/// What program a model's server is, as the admin socket or the configuration tells.
fn server(model: &Value) -> Option<ServerKind> {
    match model["server"].as_str() {
        Some("vllm") => Some(ServerKind::Vllm),
        Some("llama.cpp") => Some(ServerKind::LlamaCpp),
        _ => None,
    }
}

/// Those that apply, and those of which it can't be said.
fn concerning(model: &Value) -> impl Iterator<Item = (&'static Advisory, Applies)> {
    let list = server(model).map_or(&[][..], advisories::of);
    let version = model["version"].as_str().map(str::to_owned);
    list.iter()
        .map(move |advisory| (advisory, advisory.applies(version.as_deref())))
        .filter(|(_, applies)| *applies != Applies::No)
}

const fn word(cover: Cover) -> &'static str {
    match cover {
        Cover::Portico => "portico",
        Cover::Operator => "operator",
        Cover::Update => "update",
    }
}

fn in_json(model: &Value, tongue: Tongue) -> Value {
    let list: Vec<Value> = concerning(model)
        .map(|(advisory, applies)| {
            let Advisory { id, from, fixed, about, cover, rule } = advisory;
            json!({
                "id": id,
                "applies": match applies { Applies::Yes => json!(true), _ => Value::Null },
                "from": (!from.is_empty()).then_some(from),
                "fixed": fixed,
                "about": about.pick(tongue),
                "covered_by": word(*cover),
                "rule": rule.pick(tongue),
            })
        })
        .collect();
    json!({
        "name": model["name"],
        "server": model["server"],
        "version": model["version"],
        "upgrade_to": (!list.is_empty()).then_some(advisories::OLDEST_VLLM),
        "advisories": list,
    })
}

fn in_words(model: &Value, console: &mut Console<'_>) -> io::Result<()> {
    let name = shown_name(model);
    let list: Vec<_> = concerning(model).collect();
    let version = model["version"].as_str().map(|version| clean(version.as_bytes()));
    let floor = advisories::OLDEST_VLLM;
    let head = match (server(model), version) {
        (None, _) => text!(
            "{name}: it is not known what program answers, so no advisory can be looked up. Portico's rules hold for every program.",
            "{name}:不清楚由什么程序应答,无法查询安全公告。Portico 的规则对任何程序都生效。"
        ),
        (Some(ServerKind::LlamaCpp), _) => text!(
            "{name}: llama.cpp tells no version, and no rule depends on one. Keep it up to date.",
            "{name}:llama.cpp 不提供版本号,也没有依赖版本的规则。请保持更新。"
        ),
        (Some(ServerKind::Vllm), Some(version)) if list.is_empty() => text!(
            "{name}: vLLM {version}: no known advisory applies.",
            "{name}:vLLM {version}:没有适用的已知安全公告。"
        ),
        (Some(ServerKind::Vllm), Some(version)) => {
            let count = list.len();
            text!(
                "{name}: vLLM {version}: {count} known advisories. Update to {floor} or newer to be rid of them all.",
                "{name}:vLLM {version}:有 {count} 条已知安全公告。升级到 {floor} 或更高版本即可全部消除。"
            )
        }
        (Some(ServerKind::Vllm), None) => text!(
            "{name}: vLLM of an unknown version (it has to run and answer GET /version). These would apply, depending on it; {floor} and newer have none of them:",
            "{name}:vLLM 版本未知(它需要在运行并应答 GET /version)。视版本而定,可能适用以下公告;{floor} 及更高版本均不受影响:"
        ),
    };
    console.answer(&head)?;
    let rows: Vec<[String; 4]> = list.iter().map(|(advisory, _)| row(advisory, console.tongue)).collect();
    for line in aligned(&rows) {
        writeln!(console.out, "  {line}")?;
    }
    Ok(())
}

fn row(advisory: &Advisory, tongue: Tongue) -> [String; 4] {
    let Advisory { id, from, fixed, about, cover, rule } = advisory;
    let range = if from.is_empty() { format!("< {fixed}") } else { format!("{from} - < {fixed}") };
    let cover = match cover {
        Cover::Portico => Text::fixed("covered", "已防护"),
        Cover::Operator => Text::fixed("TO DO", "待处理"),
        Cover::Update => Text::fixed("UPDATE", "需升级"),
    };
    let separator = if tongue == Tongue::Chinese { ":" } else { ": " };
    let what = format!("{}{separator}{}", about.pick(tongue), rule.pick(tongue));
    [(*id).to_owned(), range, cover.pick(tongue).to_owned(), what]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(model: Value, tongue: Tongue) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        show(&[model], false, &mut Console { out: &mut out, err: &mut err, tongue }).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn model(server: &str, version: Option<&str>) -> Value {
        json!({"name": "m", "server": server, "version": version})
    }

    #[test]
    fn what_applies_is_listed_with_what_covers_it() {
        let told = shown(model("vllm", Some("0.19.0")), Tongue::English);
        assert!(told.starts_with("m: vLLM 0.19.0: 5 known advisories. Update to 0.23.1"), "{told}");
        assert!(told.contains("CVE-2026-44223  0.18.0 - < 0.20.0  TO DO    penalties"), "{told}");
        assert!(told.contains("policy.deny_keys"), "{told}");
        assert!(told.contains("CVE-2026-44222  < 0.20.0           covered"), "{told}");
        assert!(!told.contains("CVE-2026-34756"), "fixed in that very version: {told}");
        assert!(shown(model("vllm", Some("0.19.0")), Tongue::Chinese).contains("待处理"));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let new = shown(model("vllm", Some("0.32.0+cpu")), Tongue::English);
        assert_eq!(new, "m: vLLM 0.32.0+cpu: no known advisory applies.\n");
        let unknown = shown(model("vllm", None), Tongue::English);
        assert!(unknown.contains("unknown version") && unknown.contains("CVE-2024-8768"), "{unknown}");
        assert!(shown(model("llama.cpp", None), Tongue::English).contains("tells no version"));
        assert!(
            shown(json!({"name": "m", "server": null}), Tongue::English).contains("not known what program")
        );
    }

    #[test]
    fn json_says_the_same() {
        let known = in_json(&model("vllm", Some("0.19.0")), Tongue::English);
        assert_eq!((&known["version"], &known["upgrade_to"]), (&json!("0.19.0"), &json!("0.23.1")));
        let penalty =
            known["advisories"].as_array().unwrap().iter().find(|a| a["id"] == "CVE-2026-44223").unwrap();
        assert_eq!(
            (&penalty["applies"], &penalty["covered_by"], &penalty["fixed"]),
            (&json!(true), &json!("operator"), &json!("0.20.0"))
        );
        let unknown = in_json(&model("vllm", None), Tongue::English);
        assert!(
            unknown["advisories"].as_array().unwrap().iter().all(|advisory| advisory["applies"].is_null())
        );
        assert_eq!(in_json(&model("vllm", Some("0.32.0")), Tongue::English)["upgrade_to"], Value::Null);
    }
}
