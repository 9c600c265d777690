//! Known last words of model servers, and what to do about them.
//!
//! The texts on the left are what vLLM, PyTorch, llama.cpp and Python print; they are matched in lower case within
//! one line. The first rule that matches anywhere in the last lines wins, so the causes stand before the symptoms.

use super::state::Failure;
use crate::sys::process::Exit;
use crate::types::{Text, text};

struct Rule {
    /// All of these in one line.
    words: &'static [&'static str],
    failure: Failure,
    text: fn() -> Text,
}

macro_rules! rules {
    ($($failure:ident [$($words:literal),+] $en:literal $zh:literal;)*) => {
        &[$(Rule { words: &[$($words),+], failure: Failure::$failure, text: || Text::fixed($en, $zh) },)*]
    };
}

const RULES: &[Rule] = rules! {
    Lasting ["no cuda gpus are available"]
        "No NVIDIA GPU is available. See what `nvidia-smi` says; without a GPU use engine = \"llama.cpp\" and a .gguf model."
        "没有可用的 NVIDIA GPU。请查看 `nvidia-smi` 的输出;没有 GPU 时请使用 engine = \"llama.cpp\" 和 .gguf 模型。";
    Lasting ["failed to infer device type"]
        "vLLM finds no device to run on: no GPU, or its driver is not loaded. See what `nvidia-smi` says; without a GPU use engine = \"llama.cpp\"."
        "vLLM 找不到可用的设备:没有 GPU,或驱动未加载。请查看 `nvidia-smi` 的输出;没有 GPU 时请使用 engine = \"llama.cpp\"。";
    Lasting ["found no nvidia driver"]
        "The NVIDIA driver is not there. Install it, reboot, and see that `nvidia-smi` lists the GPU."
        "没有安装 NVIDIA 驱动。请安装后重启,并确认 `nvidia-smi` 能列出 GPU。";
    Lasting ["nvidia driver on your system is too old"]
        "The NVIDIA driver is too old for this vLLM. Update the driver, or install an older vLLM."
        "NVIDIA 驱动对此版本的 vLLM 来说太旧。请更新驱动,或安装较旧的 vLLM。";
    Lasting ["is larger than the maximum number of tokens that can be stored in kv cache"]
        "The context does not fit into the GPU's memory. Lower `--max-model-len` in args, or raise `--gpu-memory-utilization`."
        "上下文放不进 GPU 显存。请减小 args 中的 `--max-model-len`,或提高 `--gpu-memory-utilization`。";
    Lasting ["kv cache is needed, which is larger than the available kv cache memory"]
        "The context does not fit into the GPU's memory. Lower `--max-model-len` in args, or raise `--gpu-memory-utilization`."
        "上下文放不进 GPU 显存。请减小 args 中的 `--max-model-len`,或提高 `--gpu-memory-utilization`。";
    Lasting ["no available memory for the cache blocks"]
        "The model leaves no GPU memory for its context. Raise `--gpu-memory-utilization`, or take a smaller or quantised (FP8) model."
        "模型占满了显存,没有空间留给上下文。请提高 `--gpu-memory-utilization`,或使用更小或量化(FP8)的模型。";
    Lasting ["free memory on device", "is less than desired gpu memory utilization"]
        "Another program holds the GPU's memory. See `nvidia-smi`, end it, or lower `--gpu-memory-utilization`."
        "其他程序占用了 GPU 显存。请查看 `nvidia-smi`,结束该程序,或减小 `--gpu-memory-utilization`。";
    Lasting ["cuda out of memory"]
        "The GPU's memory is too small for the model as configured. Lower `--max-model-len`, take a smaller or quantised (FP8) model, or end other programs on the GPU (`nvidia-smi`)."
        "按当前配置,GPU 显存不足。请减小 `--max-model-len`,使用更小或量化(FP8)的模型,或结束 GPU 上的其他程序(`nvidia-smi`)。";
    Lasting ["outofmemoryerror"]
        "The GPU's memory is too small for the model as configured. Lower `--max-model-len`, take a smaller or quantised (FP8) model, or end other programs on the GPU (`nvidia-smi`)."
        "按当前配置,GPU 显存不足。请减小 `--max-model-len`,使用更小或量化(FP8)的模型,或结束 GPU 上的其他程序(`nvidia-smi`)。";
    Lasting ["greater than the derived max_model_len"]
        "`--max-model-len` is larger than what the model was made for. Lower it in args."
        "`--max-model-len` 超过了模型本身支持的长度。请在 args 中减小它。";
    Lasting ["bfloat16 is only supported on gpus with compute capability"]
        "This GPU is too old for bfloat16. Add \"--dtype\", \"float16\" to args."
        "该 GPU 太旧,不支持 bfloat16。请在 args 中加入 \"--dtype\", \"float16\"。";
    Lasting ["couldn't bind http server socket"]
        "Its address is taken by another program. End that program, or set another port in `endpoints`."
        "其监听地址被其他程序占用。请结束该程序,或在 endpoints 中设置其他端口。";
    Lasting ["address already in use"]
        "Its address is taken by another program. End that program, or set another port in `endpoints`."
        "其监听地址被其他程序占用。请结束该程序,或在 endpoints 中设置其他端口。";
    Lasting ["is not a local folder and is not a valid model identifier"]
        "The model is neither a folder of this machine nor a name that the hub knows. Correct `path`."
        "该模型既不是本机文件夹,也不是模型库中的名称。请更正 path。";
    Lasting ["outgoing traffic has been disabled"]
        "Files of the model are missing here. Run `portico model install` for it."
        "本机缺少模型文件。请运行 `portico model install` 安装该模型。";
    Lasting ["cannot find an appropriate cached snapshot folder"]
        "Files of the model are missing here. Run `portico model install` for it."
        "本机缺少模型文件。请运行 `portico model install` 安装该模型。";
    Lasting ["invalid magic"]
        "The model file is not GGUF, or it is damaged. Download it again, or correct `path`."
        "模型文件不是 GGUF 格式,或已损坏。请重新下载,或更正 path。";
    Lasting ["failed to load multimodal model"]
        "The file given by --mmproj does not belong to this model. Take the mmproj file from the model's own page."
        "--mmproj 指定的文件与该模型不匹配。请使用该模型页面提供的 mmproj 文件。";
    Lasting ["failed to load clip model"]
        "The file given by --mmproj does not belong to this model. Take the mmproj file from the model's own page."
        "--mmproj 指定的文件与该模型不匹配。请使用该模型页面提供的 mmproj 文件。";
    Lasting ["unknown model architecture"]
        "This llama.cpp does not know the model's architecture. Install a newer one with `portico model install`, or take another model."
        "此版本的 llama.cpp 不支持该模型架构。请用 `portico model install` 安装新版本,或更换模型。";
    Lasting ["failed to load model"]
        "The model file can't be loaded: it is damaged, incomplete, or of another kind. Download it again, or correct `path`."
        "无法加载模型文件:文件损坏、不完整或类型不符。请重新下载,或更正 path。";
    Lasting ["unrecognized arguments"]
        "It does not know one of the flags in `args`. Correct them; the last lines name the flag."
        "它不认识 args 中的某个参数。请更正;最后几行日志给出了参数名。";
    Lasting ["error: invalid argument"]
        "It does not know one of the flags in `args`. Correct them; the last lines name the flag."
        "它不认识 args 中的某个参数。请更正;最后几行日志给出了参数名。";
    Lasting ["error: no such file"]
        "A file named in `args` is not there. Correct the path; the last lines name it."
        "args 中指定的文件不存在。请更正路径;最后几行日志给出了文件名。";
    Lasting ["modulenotfounderror"]
        "A part of the engine's Python is missing. Run `portico model install` for it again."
        "引擎的 Python 环境缺少组件。请重新运行 `portico model install`。";
    Lasting ["no module named"]
        "A part of the engine's Python is missing. Run `portico model install` for it again."
        "引擎的 Python 环境缺少组件。请重新运行 `portico model install`。";
    Lasting ["no space left on device"]
        "A disk is full. Make room, best where the model server keeps its caches."
        "磁盘已满。请清理空间,尤其是模型服务存放缓存的位置。";
};

/// What the exit was about, if anything in the last lines or in the way it ended tells.
///
/// `out_of_memory`: the kernel has killed processes of this machine for want of memory since this one was started.
pub(super) fn recognise(last_lines: &[String], exit: Exit, out_of_memory: bool) -> Option<(Failure, Text)> {
    let lowered: Vec<String> = last_lines.iter().map(|line| line.to_lowercase()).collect();
    let matches = |rule: &&Rule| lowered.iter().any(|line| rule.words.iter().all(|word| line.contains(word)));
    if let Some(rule) = RULES.iter().find(matches) {
        return Some((rule.failure, (rule.text)()));
    }
    if is_out_of_memory(exit, out_of_memory) {
        return Some((
            Failure::Lasting,
            Text::fixed(
                "The kernel killed it because the machine's memory ran out (see `dmesg`). Free memory, or take a smaller model or context.",
                "内存耗尽,内核结束了它(见 `dmesg`)。请释放内存,或使用更小的模型或上下文。",
            ),
        ));
    }
    match exit {
        Exit::Signal(4) => Some((
            Failure::Lasting,
            Text::fixed(
                "This processor lacks instructions that the engine was built for. Install a build for this processor.",
                "该处理器缺少引擎所需的指令集。请安装适合该处理器的版本。",
            ),
        )),
        Exit::Code(126 | 127) => Some((
            Failure::Lasting,
            Text::fixed(
                "Its program, or one that it calls, can't be executed. The last lines name it.",
                "它的程序或其调用的程序无法执行。最后几行日志给出了名称。",
            ),
        )),
        Exit::Code(_) | Exit::Signal(_) => None,
    }
}

/// Killed by the kernel: nobody here sends that signal to a leader that was not asked to end, and a person who does
/// wants to see it come back at once, so the kernel's own count has to agree.
pub(super) fn is_out_of_memory(exit: Exit, out_of_memory: bool) -> bool {
    exit == Exit::Signal(9) && out_of_memory
}

/// "exited with code 1", "was ended by signal 9".
pub(super) fn how(exit: Exit) -> Text {
    match exit {
        Exit::Code(code) => text!("exited with code {code}", "已退出,退出码 {code}"),
        Exit::Signal(signal) => text!("was ended by signal {signal}", "被信号 {signal} 结束"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tongue;

    #[test]
    fn last_words_are_recognised() {
        for (line, part) in [
            ("RuntimeError: No CUDA GPUs are available", "nvidia-smi"),
            ("RuntimeError: Failed to infer device type, please set the environment variable", "llama.cpp"),
            ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "too small"),
            (
                "ValueError: To serve at least one request with the models's max seq len (32768), (4.50 GiB KV cache is needed, which is larger than the available KV cache memory (1.20 GiB).",
                "--max-model-len",
            ),
            (
                "ValueError: Free memory on device (3.1/23.6 GiB) on startup is less than desired GPU memory utilization (0.9, 21.3 GiB).",
                "Another program",
            ),
            ("ValueError: No available memory for the cache blocks.", "quantised"),
            ("OSError: [Errno 98] Address already in use", "taken"),
            ("srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 3177", "taken"),
            ("gguf_init_from_file_impl: invalid magic characters: 'hell', expected 'GGUF'", "not GGUF"),
            ("E srv    load_model: failed to load multimodal model, 'x.gguf'", "--mmproj"),
            ("error loading model: llama_model_loader: failed to load model from /tmp/bad.gguf", "damaged"),
            ("llama-server: error: unrecognized arguments: --frobnicate", "flags"),
            ("OSError: a/b is not a local folder and is not a valid model identifier listed on", "neither"),
            ("error: No module named 'xllamacpp'; run `portico model install`", "install"),
        ] {
            let lines = ["before".to_owned(), line.to_owned(), "Traceback".to_owned()];
            let (failure, text) = recognise(&lines, Exit::Code(1), false).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(failure, Failure::Lasting);
            assert!(text.pick(Tongue::English).contains(part), "{line}: {text:?}");
        }
    }

    #[test]
    fn a_mismatched_projector_is_told_before_the_symptoms_that_follow_it() {
        let lines = [
            "mtmd_init_from_file: error: Failed to load CLIP model from a.gguf".to_owned(),
            "srv load_model: failed to load model".to_owned(),
        ];
        assert!(recognise(&lines, Exit::Code(1), false).unwrap().1.en.contains("--mmproj"));
    }

    #[test]
    fn the_way_it_ended_tells_where_the_lines_do_not() {
        assert!(recognise(&[], Exit::Signal(9), true).unwrap().1.en.contains("memory"));
        assert_eq!(
            recognise(&[], Exit::Signal(9), false),
            None,
            "somebody has sent it: it comes back at once"
        );
        assert_eq!(recognise(&["all is well".to_owned()], Exit::Code(1), true), None);
        assert_eq!(recognise(&[], Exit::Signal(11), false), None);
    }

    #[test]
    fn every_text_has_both_halves_and_every_rule_is_lower_case() {
        for rule in RULES {
            let text = (rule.text)();
            assert!(text.en.is_ascii(), "{text:?}");
            assert!(text.zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{text:?}");
            assert!(rule.words.iter().all(|word| *word == word.to_lowercase()), "{:?}", rule.words);
        }
    }
}
