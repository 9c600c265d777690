//! Does the model fit the GPU? Decisions only: what `nvidia-smi` printed goes in, advice comes out.
//!
//! The sizes are those of the published weights and configurations, rounded up; what the engine itself needs on top
//! is an estimate. Untested on a GPU by this project's own tests, so advice says what it is based on.

use crate::types::{Text, text};

/// One GPU as `nvidia-smi` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gpu {
    pub(crate) name: String,
    pub(crate) memory_mib: u64,
}

/// The question that [`parse`] reads the answer of.
pub(super) const NVIDIA_SMI_ARGS: &[&str] =
    &["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"];

/// Reads `NAME, MIB` lines. Lines without a number (`[N/A]` on machines that share memory) are left out.
pub(super) fn parse(csv: &str) -> Vec<Gpu> {
    csv.lines()
        .filter_map(|line| {
            let (name, memory) = line.rsplit_once(',')?;
            Some(Gpu { name: name.trim().to_owned(), memory_mib: memory.trim().parse().ok()? })
        })
        .collect()
}

/// A model that is known here well enough to say what it needs.
#[derive(Debug)]
struct Known {
    hub_name: &'static str,
    weights_bytes: u64,
    context_bytes_per_token: u64,
    /// The longest context it was made for: what vLLM takes when nothing is said.
    longest_context: u64,
}

const GB: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
/// Activations, the vision encoder's largest batch, CUDA graphs.
const ENGINE_BYTES: u64 = 2 * GB;

const KNOWN: &[Known] = &[
    known("Qwen/Qwen3-VL-8B-Instruct", 17_600, 147_456),
    known("Qwen/Qwen3-VL-8B-Thinking", 17_600, 147_456),
    known("Qwen/Qwen3-VL-8B-Instruct-FP8", 10_700, 147_456),
    known("Qwen/Qwen3-VL-8B-Thinking-FP8", 10_700, 147_456),
    known("Qwen/Qwen3-VL-4B-Instruct", 8_900, 147_456),
    known("Qwen/Qwen3-VL-4B-Instruct-FP8", 6_100, 147_456),
    known("Qwen/Qwen3-VL-2B-Instruct", 4_300, 114_688),
    known("Qwen/Qwen3-VL-2B-Instruct-FP8", 3_500, 114_688),
];

const fn known(hub_name: &'static str, weights_megabytes: u64, context_bytes_per_token: u64) -> Known {
    Known {
        hub_name,
        weights_bytes: weights_megabytes * 1_000_000,
        context_bytes_per_token,
        longest_context: 262_144,
    }
}

/// A model and flags for a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) path: &'static str,
    pub(crate) args: &'static [&'static str],
    pub(crate) text: Text,
}

/// What to run on these GPUs where nothing is chosen yet: Qwen3-VL-8B as in the recipe where there is room for it,
/// smaller in one way or another where there is not.
pub(crate) fn advise(gpus: &[Gpu]) -> Result<Advice, Text> {
    let Some(largest) = gpus.iter().max_by_key(|gpu| gpu.memory_mib) else { return Err(no_gpu()) };
    let Gpu { name, memory_mib } = largest;
    let gib = memory_mib / 1024;
    // What is sold as 40 and 24 GB reports a little less.
    match memory_mib {
        39_000.. => Ok(Advice {
            path: "Qwen/Qwen3-VL-8B-Instruct",
            args: &["--gpu-memory-utilization", "0.6", "--max-model-len", "32768", "--dtype", "float16"],
            text: text!(
                "{name} has {gib} GiB: Qwen3-VL-8B-Instruct with a context of 32768 tokens.",
                "{name} 有 {gib} GiB 显存:使用 Qwen3-VL-8B-Instruct,上下文 32768 个 token。"
            ),
        }),
        22_000.. => Ok(Advice {
            path: "Qwen/Qwen3-VL-8B-Instruct-FP8",
            args: &["--gpu-memory-utilization", "0.9", "--max-model-len", "16384"],
            text: text!(
                "{name} has {gib} GiB, too little for the full model with a long context: Qwen3-VL-8B-Instruct in its FP8 form, with a context of 16384 tokens.",
                "{name} 有 {gib} GiB 显存,放不下完整模型和长上下文:使用 FP8 版 Qwen3-VL-8B-Instruct,上下文 16384 个 token。"
            ),
        }),
        _ => Err(too_small(name, gib)),
    }
}

/// Whether this model with these flags has room; `None`: nothing is known that speaks against it.
pub(super) fn objection(hub_name: &str, args: &[String], gpus: &[Gpu]) -> Option<Text> {
    let Some(largest) = gpus.iter().max_by_key(|gpu| gpu.memory_mib) else { return Some(no_gpu()) };
    let known = KNOWN.iter().find(|known| known.hub_name.eq_ignore_ascii_case(hub_name))?;
    let context = number(args, "--max-model-len").map_or(known.longest_context, |tokens| tokens as u64);
    let parallel = number(args, "--tensor-parallel-size").unwrap_or(1.0).max(1.0) as u64;
    let share = number(args, "--gpu-memory-utilization").unwrap_or(0.9).clamp(0.0, 1.0);
    let need = (known.weights_bytes + context * known.context_bytes_per_token) / parallel + ENGINE_BYTES;
    let have = (largest.memory_mib * MIB) as f64 * share;
    if have >= need as f64 {
        return None;
    }
    let name = &largest.name;
    let (need, have, percent) = (tenths(need as f64), tenths(have), share * 100.0);
    let suggestion = match advise(gpus) {
        Ok(advice) => {
            let (path, args) = (advice.path, quoted(advice.args));
            text!(
                "Set path = \"{path}\" and args = [{args}].",
                "请设置 path = \"{path}\" 和 args = [{args}]。"
            )
        }
        Err(text) => text,
    };
    let (suggest_en, suggest_zh) = (&suggestion.en, &suggestion.zh);
    Some(text!(
        "{hub_name} with a context of {context} tokens needs about {need} GB, and {percent:.0} % of {name} are {have} GB. {suggest_en}",
        "{hub_name} 在 {context} 个 token 的上下文下约需 {need} GB,而 {name} 的 {percent:.0}% 是 {have} GB。{suggest_zh}"
    ))
}

/// How large the download is, where it is known.
pub(super) fn download_bytes(hub_name: &str) -> Option<u64> {
    KNOWN.iter().find(|known| known.hub_name.eq_ignore_ascii_case(hub_name)).map(|known| known.weights_bytes)
}

/// `"a", "b"` as the configuration file writes it.
pub(crate) fn quoted(args: &[&str]) -> String {
    args.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn tenths(bytes: f64) -> String {
    format!("{:.1}", bytes / GB as f64)
}

/// The last one wins, as in vLLM; `32k` and `32K` are its spellings too (thousands and 1024s).
fn number(args: &[String], flag: &str) -> Option<f64> {
    let mut found = None;
    let mut words = args.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some((name, value)) if name == flag => Some(value),
            None if word == flag => words.peek().copied(),
            _ => None,
        };
        if let Some(value) = value {
            let (digits, factor) = match value.char_indices().last() {
                Some((at, 'k')) => (&value[..at], 1000.0),
                Some((at, 'K')) => (&value[..at], 1024.0),
                _ => (value, 1.0),
            };
            found = digits.parse::<f64>().ok().map(|number| number * factor).or(found);
        }
    }
    found
}

fn no_gpu() -> Text {
    Text::fixed(
        "vLLM needs an NVIDIA GPU, and `nvidia-smi` lists none. Install the driver and reboot; or, without a GPU, use engine = \"llama.cpp\" and the path of a .gguf file.",
        "vLLM 需要 NVIDIA GPU,而 `nvidia-smi` 没有列出任何 GPU。请安装驱动并重启;没有 GPU 时请使用 engine = \"llama.cpp\",并把 path 设为 .gguf 文件。",
    )
}

fn too_small(name: &str, gib: u64) -> Text {
    text!(
        "{name} has {gib} GiB, too little for Qwen3-VL-8B. Smaller: path = \"Qwen/Qwen3-VL-4B-Instruct-FP8\" with --max-model-len 16384 (12 GB), path = \"Qwen/Qwen3-VL-2B-Instruct\" with --max-model-len 8192 (8 GB), or engine = \"llama.cpp\" with a quantised .gguf file.",
        "{name} 有 {gib} GiB 显存,不足以运行 Qwen3-VL-8B。可选更小的:path = \"Qwen/Qwen3-VL-4B-Instruct-FP8\" 加 --max-model-len 16384(12 GB),path = \"Qwen/Qwen3-VL-2B-Instruct\" 加 --max-model-len 8192(8 GB),或 engine = \"llama.cpp\" 加量化的 .gguf 文件。"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(memory_mib: u64) -> Vec<Gpu> {
        vec![Gpu { name: "NVIDIA X".to_owned(), memory_mib }]
    }

    #[test]
    fn nvidia_smi_is_read() {
        let printed =
            "NVIDIA GeForce RTX 4090, 24564\nTesla, Inc. Odd, 81920\nNVIDIA GB10, [N/A]\n\nnonsense\n";
        assert_eq!(
            parse(printed),
            [
                Gpu { name: "NVIDIA GeForce RTX 4090".to_owned(), memory_mib: 24_564 },
                Gpu { name: "Tesla, Inc. Odd".to_owned(), memory_mib: 81_920 },
            ]
        );
        assert_eq!(
            parse("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
            []
        );
    }

    #[test]
    fn advice_follows_the_memory() {
        for (memory, path) in [
            (81_559, Some("Qwen/Qwen3-VL-8B-Instruct")),
            (40_536, Some("Qwen/Qwen3-VL-8B-Instruct")),
            (39_999, Some("Qwen/Qwen3-VL-8B-Instruct")),
            (32_607, Some("Qwen/Qwen3-VL-8B-Instruct-FP8")),
            (24_564, Some("Qwen/Qwen3-VL-8B-Instruct-FP8")),
            (22_731, Some("Qwen/Qwen3-VL-8B-Instruct-FP8")),
            (16_376, None),
            (8_188, None),
        ] {
            assert_eq!(advise(&gpu(memory)).ok().map(|advice| advice.path), path, "{memory} MiB");
        }
        assert!(advise(&[]).is_err());
    }

    #[test]
    fn what_is_advised_meets_no_objection() {
        for memory in [22_731, 24_564, 39_999, 40_536, 81_559] {
            let advice = advise(&gpu(memory)).unwrap();
            let args: Vec<String> = advice.args.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(objection(advice.path, &args, &gpu(memory)), None, "{memory} MiB");
        }
    }

    #[test]
    fn what_has_no_room_is_told_with_numbers() {
        let args = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let full = "Qwen/Qwen3-VL-8B-Instruct";
        for (model, flags, memory, fits) in [
            (full, "--gpu-memory-utilization 0.6 --max-model-len 32768", 24_564, false),
            (full, "--gpu-memory-utilization=0.95 --max-model-len=8k", 24_564, true),
            (full, "", 81_559, true),
            (full, "", 40_536, false),
            (full, "--max-model-len 32768 --tensor-parallel-size 2", 24_564, true),
            ("Qwen/Qwen3-VL-4B-Instruct-FP8", "--max-model-len 16384", 12_282, true),
            ("Qwen/Qwen3-VL-2B-Instruct", "--max-model-len 8192", 8_188, true),
            ("somebody/unknown", "", 8_188, true),
        ] {
            let said = objection(model, &args(flags), &gpu(memory));
            assert_eq!(said.is_none(), fits, "{model} {flags} on {memory}: {said:?}");
        }
        let said = objection(full, &args("--max-model-len 32768"), &gpu(24_564)).unwrap();
        assert!(said.en.contains("-FP8") && said.en.contains("NVIDIA X"), "{said:?}");
        assert!(objection("somebody/unknown", &[], &[]).unwrap().en.contains("nvidia-smi"));
    }
}
