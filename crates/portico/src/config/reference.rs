//! `portico config reference`: every key in Markdown, and as `--json`.

use super::key::Entry;
use super::problem::Code;
use super::{describe, explain, key, keys};
use crate::types::{Text, Tongue, text};

pub(crate) fn reference(tongue: Tongue) -> String {
    let pick = |text: Text| text.pick(tongue).to_owned();
    let mut page = format!("# {}\n\n{}\n", pick(text!("Configuration", "配置参考")), pick(opening()));
    for section in keys::SECTIONS {
        page.push_str(&format!("\n## `{}`\n\n{}\n", describe::header(section.at), section.text.pick(tongue)));
        for entry in section.keys {
            page.push('\n');
            page.push_str(&one(*entry, tongue));
        }
    }
    page.push_str(&format!("\n## {}\n\n", pick(text!("Problem codes", "问题代码"))));
    for code in Code::ALL {
        page.push_str(&format!("- `{}`: {}\n", code.word(), code.text().pick(tongue)));
    }
    page
}

fn opening() -> Text {
    text!(
        "Every key has a default, and an empty file is valid. Unknown keys are errors. Durations are written \"300s\", \"5m\", \"1h30m\", sizes \"64MiB\". Secrets stand in files of their own, named by the keys that end in `_file`. Relative paths are meant from the folder of the configuration file.\n\nWritten by `portico config reference`.",
        "每个键都有默认值,空文件也有效。未知的键是错误。时长写作 \"300s\"、\"5m\"、\"1h30m\",大小写作 \"64MiB\"。机密保存在单独的文件中,由以 `_file` 结尾的键给出路径。相对路径以配置文件所在文件夹为起点。\n\n由 `portico config reference` 生成。"
    )
}

fn one(entry: &dyn Entry, tongue: Tongue) -> String {
    let pick = |text: Text| text.pick(tongue).to_owned();
    let shape = entry.shape();
    let mut lines = vec![
        (text!("Takes", "取值"), pick(describe::kind(&shape))),
        (text!("Default", "默认"), code_if_literal(entry, pick(describe::default(entry)))),
    ];
    if let Some(range) = describe::range(&shape) {
        lines.push((text!("Range", "范围"), pick(range)));
    }
    lines.push((text!("Built", "已实现"), pick(describe::built(entry.built()))));
    let mut shown =
        format!("### `{}`\n\n{}\n\n", describe::plain_path(entry.at()), entry.text().pick(tongue));
    for (name, value) in lines {
        shown.push_str(&format!("- {}: {value}\n", name.pick(tongue)));
    }
    shown
}

fn code_if_literal(entry: &dyn Entry, shown: String) -> String {
    match entry.default() {
        key::Default::Is(written) => format!("`{written}`"),
        key::Default::Depends(_) | key::Default::Required => shown,
    }
}

pub(crate) fn reference_json(tongue: Tongue) -> String {
    let list: Vec<_> = keys::all().map(|entry| explain::json_key(entry, tongue)).collect();
    serde_json::to_string_pretty(&list).unwrap_or_else(|_| "[]".to_owned())
}
