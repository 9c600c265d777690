//! Known holes of model servers, by version, and what Portico does about each.
//!
//! Portico's rules stand in front of every version alike: a rule that waits for a version number is off where the
//! number is not told. The table says which of them matter for the server that runs, and what is left to do by hand.

use crate::types::{ServerKind, Text};

/// What stands between a hole and a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    /// A rule of Portico's, always on.
    Portico,
    /// A rule that the operator has to switch on.
    Operator,
    /// Nothing but an update.
    Update,
}

#[derive(Debug)]
pub(crate) struct Advisory {
    pub(crate) id: &'static str,
    /// The first version with it; empty: the very first.
    pub(crate) from: &'static str,
    /// The first version without it; empty: none is known.
    pub(crate) fixed: &'static str,
    pub(crate) about: Text,
    pub(crate) cover: Cover,
    /// What covers it, or what to do.
    pub(crate) rule: Text,
}

/// Whether an advisory holds for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    Yes,
    No,
    /// The version is not known, or not a number.
    Unknown,
}

/// The floor: older ones have holes of CVE-2026-48746 and CVE-2026-54233. Portico's own rules stand before the first; an old
/// engine is still one lock less.
pub(crate) const OLDEST_VLLM: &str = "0.23.1";

use Cover::{Operator, Portico, Update};

const fn row(
    id: &'static str,
    (from, fixed): (&'static str, &'static str),
    about: Text,
    cover: Cover,
    rule: Text,
) -> Advisory {
    Advisory { id, from, fixed, about, cover, rule }
}

const ALLOWLIST: Text =
    Text::fixed("keys outside the table of parameters are refused", "参数表之外的请求键一律拒绝");
const SCHEMAS: Text = Text::fixed(
    "schemas are vetted: no regular expressions, known types, bounded",
    "审查模式:不允许正则表达式,类型须已知,大小受限",
);
const DATA_ONLY: Text = Text::fixed(
    "the model server never gets an address of an image, only its data",
    "模型服务只收到图片数据,从不收到图片地址",
);
const PARTS: Text = Text::fixed(
    "parts of other types than text and image_url are refused",
    "text 与 image_url 以外的内容片段一律拒绝",
);
const LOOPBACK: Text = Text::fixed(
    "the server listens on loopback only; let the firewall refuse its other ports",
    "模型服务仅监听回环地址;请让防火墙拒绝其其他端口",
);

#[rustfmt::skip]
static VLLM: &[Advisory] = &[
    row("CVE-2024-8768", ("", "0.5.5"), Text::fixed("an empty prompt ends the engine", "空提示词会使引擎崩溃"), Portico,
        Text::fixed("empty prompts are refused", "拒绝空提示词")),
    row("CVE-2024-8939", ("", "0.5.1"), Text::fixed("best_of fills the engine's memory", "best_of 耗尽引擎内存"), Portico, ALLOWLIST),
    row("CVE-2025-24357", ("", "0.7.0"), Text::fixed("loading weights runs code in them", "加载权重会执行其中的代码"), Update,
        Text::fixed("load weights that you trust; update", "只加载可信权重;请升级")),
    row("CVE-2025-25183", ("", "0.7.2"), Text::fixed("prefix cache: prompts with equal hashes", "前缀缓存哈希碰撞"), Portico,
        Text::fixed("the cache is salted by Portico", "缓存由 Portico 加盐")),
    row("CVE-2025-29770", ("", "0.8.0"), Text::fixed("guided decoding with outlines fills the disk", "outlines 引导解码写满磁盘"), Portico, ALLOWLIST),
    row("CVE-2025-29783", ("0.6.5", "0.8.0"), Text::fixed("objects are unpickled from an open port", "开放端口反序列化不可信对象"), Update, LOOPBACK),
    row("CVE-2025-30202", ("0.5.2", "0.8.5"), Text::fixed("a port of several-machine set-ups tells everybody its state", "多机部署的端口向所有人公开内部状态"), Update, LOOPBACK),
    row("CVE-2025-32444", ("0.6.5", "0.8.5"), Text::fixed("objects are unpickled from an open port", "开放端口反序列化不可信对象"), Update, LOOPBACK),
    row("CVE-2025-46560", ("0.8.0", "0.8.5"), Text::fixed("placeholders are expanded in quadratic time", "占位符展开耗时为平方级"), Portico,
        Text::fixed("control tokens in text are defused, pictures counted", "文本中的控制标记被拆解,图片数量受限")),
    row("CVE-2025-46570", ("", "0.9.0"), Text::fixed("the prefix cache tells by its timing what others ask", "前缀缓存耗时泄露他人提问"), Portico,
        Text::fixed("the cache is salted by Portico", "缓存由 Portico 加盐")),
    row("CVE-2025-46722", ("0.7.0", "0.9.0"), Text::fixed("pictures of other sizes share a hash", "不同尺寸图片哈希相同"), Portico,
        Text::fixed("the cache is salted by Portico", "缓存由 Portico 加盐")),
    row("CVE-2025-47277", ("0.6.5", "0.8.5"), Text::fixed("objects are unpickled from an open port", "开放端口反序列化不可信对象"), Update, LOOPBACK),
    row("CVE-2025-48887", ("0.6.4", "0.9.0"), Text::fixed("a tool parser runs for ever on the model's own answer", "工具解析器在模型回答上无限回溯"), Update,
        Text::fixed("a hung server is restarted; update", "挂起的服务会被重启;请升级")),
    row("CVE-2025-48942", ("0.8.0", "0.9.0"), Text::fixed("an invalid schema ends the engine", "无效模式使引擎崩溃"), Portico, SCHEMAS),
    row("CVE-2025-48943", ("0.8.0", "0.9.0"), Text::fixed("an invalid regular expression ends the engine", "无效正则使引擎崩溃"), Portico, SCHEMAS),
    row("CVE-2025-48944", ("0.8.0", "0.9.0"), Text::fixed("`type` and `pattern` of tools end the engine", "工具的 type 和 pattern 使引擎崩溃"), Portico, SCHEMAS),
    row("CVE-2025-48956", ("0.1.0", "0.10.1.1"), Text::fixed("endless headers fill the memory", "超大请求头耗尽内存"), Portico,
        Text::fixed("headers are bounded, and an allowlist of them is sent on", "请求头受限,且只转发白名单")),
    row("CVE-2025-59425", ("", "0.11.0"), Text::fixed("the key is compared in a time that tells of it", "密钥比较存在时序泄露"), Portico,
        Text::fixed("the server's key is random and never a client's", "服务密钥随机生成,与客户端无关")),
    row("CVE-2025-6242", ("0.5.0", "0.11.0"), Text::fixed("image addresses reach the inner network", "图片地址可访问内网"), Portico, DATA_ONLY),
    row("CVE-2025-61620", ("", "0.11.0"), Text::fixed("a client's template runs for ever", "客户端模板可无限执行"), Portico, ALLOWLIST),
    row("CVE-2025-62164", ("0.10.2", "0.11.1"), Text::fixed("prompt_embeds corrupt memory", "prompt_embeds 破坏内存"), Portico, ALLOWLIST),
    row("CVE-2025-62372", ("0.5.5", "0.11.1"), Text::fixed("embeddings of the wrong shape end the engine", "形状错误的嵌入使引擎崩溃"), Portico, PARTS),
    row("CVE-2025-62426", ("0.5.5", "0.11.1"), Text::fixed("chat_template_kwargs block the server", "chat_template_kwargs 阻塞服务"), Portico,
        Text::fixed("only named switches pass", "只允许列出的开关")),
    row("CVE-2025-66448", ("", "0.11.1"), Text::fixed("loading a model runs code of its repository", "加载模型会执行其仓库代码"), Update,
        Text::fixed("load models that you trust; update", "只加载可信模型;请升级")),
    row("CVE-2025-9141", ("0.10.0", "0.10.1.1"), Text::fixed("the Qwen3-coder tool parser runs the model's answer", "Qwen3-coder 工具解析器会执行模型回答"), Update,
        Text::fixed("update, or use another --tool-call-parser", "请升级,或更换 --tool-call-parser")),
    row("CVE-2026-22773", ("0.6.4", "0.12.0"), Text::fixed("a picture of one pixel ends the engine (Idefics3)", "单像素图片使引擎崩溃(Idefics3)"), Update,
        Text::fixed("update; no other family is concerned", "请升级;其他模型族不受影响")),
    row("CVE-2026-22778", ("0.8.3", "0.14.1"), Text::fixed("broken pictures tell addresses in memory; videos overflow it", "损坏图片泄露内存地址,视频导致溢出"), Portico,
        Text::fixed("the server's errors are not passed on, videos are refused", "不转发服务的错误原文,拒绝视频")),
    row("CVE-2026-24779", ("", "0.14.1"), Text::fixed("image addresses reach the inner network", "图片地址可访问内网"), Portico, DATA_ONLY),
    row("CVE-2026-27893", ("0.10.1", "0.18.0"), Text::fixed("code of a model's repository runs although it is forbidden", "即使禁止,模型仓库代码仍会执行"), Update,
        Text::fixed("load models that you trust; update", "只加载可信模型;请升级")),
    row("CVE-2026-34755", ("0.7.0", "0.19.0"), Text::fixed("a video of thousands of frames in one address", "单个地址包含数千帧视频"), Portico, PARTS),
    row("CVE-2026-34756", ("0.1.0", "0.19.0"), Text::fixed("a huge n fills the memory", "超大 n 耗尽内存"), Portico,
        Text::fixed("n is an integer up to policy.max_choices", "n 必须是不超过 policy.max_choices 的整数")),
    row("CVE-2026-44222", ("", "0.20.0"), Text::fixed("vision tokens in text end a Qwen-VL worker", "文本中的视觉标记使 Qwen-VL 崩溃"), Portico,
        Text::fixed("control tokens in text are defused", "文本中的控制标记被拆解")),
    row("CVE-2026-44223", ("0.18.0", "0.20.0"), Text::fixed("penalties end the engine where it decodes speculatively", "推测解码时惩罚参数使引擎崩溃"), Operator,
        Text::fixed("with --speculative-config: policy.deny_keys = [\"frequency_penalty\", \"presence_penalty\", \"repetition_penalty\"]",
            "使用 --speculative-config 时请设置 policy.deny_keys = [\"frequency_penalty\", \"presence_penalty\", \"repetition_penalty\"]")),
    row("CVE-2026-48746", ("0.3.0", "0.22.0"), Text::fixed("a Host header skips the server's key", "特制 Host 可绕过服务密钥"), Portico,
        Text::fixed("the server gets a fixed Host, and Portico asks for identity itself", "服务只收到固定 Host,身份由 Portico 验证")),
    row("CVE-2026-54233", ("", "0.23.1rc0"), Text::fixed("a sound file grows to gigabytes", "音频解码膨胀到数 GB"), Operator,
        Text::fixed("keep transcriptions out of policy.endpoints, where they are not by default, or update",
            "不要在 policy.endpoints 中开放 transcriptions(默认未开放),或请升级")),
    row("CVE-2026-9540", ("0.19.0", "0.19.1"), Text::fixed("an unspecified request ends the server; reported for this one version", "未公开细节的拒绝服务;仅报告于该版本"), Update,
        Text::fixed("a server that ends is restarted; update", "崩溃的服务会被重启;请升级")),
];

/// What is known of a program. llama.cpp tells no version, and nothing is known of it that depends on one.
pub(crate) fn of(server: ServerKind) -> &'static [Advisory] {
    match server {
        ServerKind::Vllm => VLLM,
        ServerKind::LlamaCpp => &[],
    }
}

impl Advisory {
    pub(crate) fn applies(&self, version: Option<&str>) -> Applies {
        let Some(version) = version.and_then(Version::read) else { return Applies::Unknown };
        let bound = |written: &str| Version::read(written);
        let begun = bound(self.from).is_none_or(|from| version >= from);
        let over = bound(self.fixed).is_some_and(|fixed| version >= fixed);
        if begun && !over { Applies::Yes } else { Applies::No }
    }
}

/// Whether a vLLM is older than the floor; what can't be read (a build from source) counts as new.
pub(crate) fn is_old_vllm(version: &str) -> bool {
    Version::read(version).zip(Version::read(OLDEST_VLLM)).is_some_and(|(version, floor)| {
        // A candidate of the floor has what the floor has.
        version.numbers < floor.numbers
    })
}

/// The first vLLM that was seen (measured) to shorten a limit that goes beyond the context instead of refusing the call.
/// Some older ones may do so too, and earlier ones did not.
const SHORTENS_LIMITS: &str = "0.32.0";

pub(crate) fn vllm_stops_at_context(version: &str) -> bool {
    Version::read(version)
        .zip(Version::read(SHORTENS_LIMITS))
        .is_some_and(|(version, first)| version >= first)
}

/// As Python's packages count: `0.10.1.1`, `0.23.1rc0` before `0.23.1`, `+cpu` and `.post1` of no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: [u32; 4],
    is_final: bool,
}

impl Version {
    fn read(written: &str) -> Option<Self> {
        let written = written.split('+').next().unwrap_or_default();
        let mut numbers = [0; 4];
        let mut is_final = true;
        for (index, part) in written.trim_start_matches('v').split('.').enumerate() {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let suffix = &part[digits..];
            is_final &= !["rc", "a", "b", "dev"].iter().any(|mark| suffix.starts_with(mark));
            match part[..digits].parse() {
                Ok(number) if index < numbers.len() => numbers[index] = number,
                // The first must be a number, or it is no version.
                _ if index == 0 => return None,
                _ => {}
            }
            if !suffix.is_empty() {
                break;
            }
        }
        Some(Self { numbers, is_final })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_their_makers_mean_them() {
        let ordered =
            ["0.5", "0.9.2+cpu", "0.10.0", "0.10.1", "0.10.1.1", "0.23.1rc0", "0.23.1", "0.32.0+cpu", "1.0"];
        for pair in ordered.windows(2) {
            assert!(Version::read(pair[0]) < Version::read(pair[1]), "{pair:?}");
        }
        assert_eq!(Version::read("v0.9.1"), Version::read("0.9.1+cu128"));
        assert_eq!(Version::read("0.9.1.post1"), Version::read("0.9.1"));
        for none in ["", "dev", "main"] {
            assert_eq!(Version::read(none), None, "{none}");
        }
    }

    #[test]
    fn old_versions_are_told_from_new_ones() {
        for (version, older) in [
            ("0.22.0", true),
            ("0.23.0.post1", true),
            ("0.9.2+cpu", true),
            ("0.23", true),
            ("0.23.1", false),
            ("0.23.1rc0", false),
            ("0.32.0+cpu", false),
            ("1.0", false),
            ("dev", false),
            ("", false),
        ] {
            assert_eq!(is_old_vllm(version), older, "{version}");
        }
    }

    #[test]
    fn a_vllm_that_shortens_limits_is_told_from_one_that_may_refuse() {
        for (version, stops) in [
            ("0.32.0+cpu", true),
            ("0.32.1", true),
            ("1.0", true),
            ("0.31.9", false),
            ("0.32.0rc1", false),
            ("dev", false),
        ] {
            assert_eq!(vllm_stops_at_context(version), stops, "{version}");
        }
    }

    #[test]
    fn ranges_begin_and_end_where_they_say() {
        let applies = |id: &str, version: &str| {
            VLLM.iter().find(|advisory| advisory.id == id).unwrap().applies(Some(version))
        };
        for (id, version, wanted) in [
            ("CVE-2026-44223", "0.17.9", Applies::No),
            ("CVE-2026-44223", "0.18.0", Applies::Yes),
            ("CVE-2026-44223", "0.19.1+cpu", Applies::Yes),
            ("CVE-2026-44223", "0.20.0", Applies::No),
            ("CVE-2026-48746", "0.21.9", Applies::Yes),
            ("CVE-2026-48746", "0.22.0", Applies::No),
            ("CVE-2026-54233", "0.23.0", Applies::Yes),
            ("CVE-2026-54233", "0.23.1rc0", Applies::No),
            ("CVE-2025-48956", "0.10.1", Applies::Yes),
            ("CVE-2025-48956", "0.10.1.1", Applies::No),
            ("CVE-2025-48956", "built-by-me", Applies::Unknown),
        ] {
            assert_eq!(applies(id, version), wanted, "{id} {version}");
        }
        assert!(VLLM.iter().all(|advisory| advisory.applies(None) == Applies::Unknown));
        assert!(
            VLLM.iter().all(|advisory| advisory.applies(Some("0.32.0")) == Applies::No),
            "nothing is open"
        );
    }

    #[test]
    fn each_stands_there_once_with_bounds_that_can_be_read() {
        let mut ids: Vec<_> = VLLM.iter().map(|advisory| advisory.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), VLLM.len());
        for advisory in VLLM {
            for bound in [advisory.from, advisory.fixed] {
                assert!(bound.is_empty() || Version::read(bound).is_some(), "{}", advisory.id);
            }
            assert!(!advisory.fixed.is_empty(), "{}", advisory.id);
        }
    }
}
