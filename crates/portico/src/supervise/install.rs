//! `portico model install`: the engine and the weights, so that a start needs no network.
//!
//! Blocking, and run by the command line only. The tools that download (pip, `hf`, `modelscope`) show their own
//! progress on standard error; what is here is put together so that running it again goes on where it was cut off.
//! llama.cpp's path is tested with the real package; vLLM's is untested on a GPU.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::fit::{self, Gpu};
use super::surroundings::{self, COMPLETE, engine_folder, weights_folder};
use crate::config::{Engine, Model, Source};
use crate::sys::{files, procfs};
use crate::types::{Text, text};

/// llama.cpp's server as a Python package, pinned: this build was tested, and no other.
const LLAMA_CPP: &str = "xllamacpp==2026.10.11549 --hash=sha256:c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261\n";
/// Older versions have holes that Portico's own rules only partly cover.
const VLLM: &str = "vllm>=0.23.1\n";
const HUGGING_FACE: &str = "huggingface_hub>=0.34\n";
const MODELSCOPE: &str = "modelscope>=1.40\n";

/// What `model install` needs to know.
#[derive(Debug)]
pub(crate) struct Installation<'a> {
    pub(crate) model: &'a Model,
    pub(crate) data_dir: &'a Path,
    /// Where `python3` and `nvidia-smi` are looked for.
    pub(crate) search_path: &'a OsStr,
}

/// Called before each step that takes time.
pub(crate) type Say<'a> = &'a mut dyn FnMut(&Text);

impl Installation<'_> {
    /// Makes engine and weights ready; what is there already costs nothing. The error says what to do.
    pub(crate) fn run(&self, say: Say<'_>) -> Result<(), Text> {
        match self.model.engine {
            Engine::External => Err(Text::fixed(
                "This model is served by a server that Portico does not run: there is nothing to install.",
                "该模型由外部服务提供,Portico 不负责运行它:没有需要安装的内容。",
            )),
            Engine::LlamaCpp => self.llama_cpp(say),
            Engine::Vllm => self.vllm(say),
        }
    }

    fn llama_cpp(&self, say: Say<'_>) -> Result<(), Text> {
        if let Some(program) = procfs::find_program("llama-server", self.search_path) {
            let program = program.display();
            say(&text!("llama.cpp is there: {program}", "llama.cpp 已就绪:{program}"));
        } else if std::env::consts::ARCH != "x86_64" {
            return Err(Text::fixed(
                "There is no pinned build of llama.cpp for this processor. Build it, and put llama-server on Portico's PATH.",
                "没有适用于该处理器的固定版本 llama.cpp。请自行编译,并把 llama-server 放到 Portico 的 PATH 中。",
            ));
        } else {
            let folder = engine_folder(self.data_dir, Engine::LlamaCpp);
            let _lock = lock(&folder)?;
            self.environment(&folder, LLAMA_CPP, &["--require-hashes", "--no-deps"], say)?;
            can_import(&folder, "xllamacpp")?;
            surroundings::write_script(&folder.join("llama_server.py"))
                .map_err(|error| unwritable(&folder, &error))?;
        }
        let path = &self.model.path;
        if Path::new(path).is_file() {
            return Ok(());
        }
        Err(text!(
            "The engine is ready, the model is not: {path} does not exist. Download a .gguf file to there.",
            "引擎已就绪,但模型还没有:{path} 不存在。请把 .gguf 文件下载到该处。"
        ))
    }

    /// Untested on a GPU.
    fn vllm(&self, say: Say<'_>) -> Result<(), Text> {
        let gpus = gpus(self.search_path);
        if let Some(objection) = fit::objection(&self.model.path, &self.model.args, &gpus) {
            return Err(objection);
        }
        let folder = engine_folder(self.data_dir, Engine::Vllm);
        let _lock = lock(&folder)?;
        if let Some(program) = procfs::find_program("vllm", self.search_path) {
            let program = program.display();
            say(&text!("vLLM is there: {program}", "vLLM 已就绪:{program}"));
        } else {
            self.environment(&folder, VLLM, &[], say)?;
        }
        self.weights(say)
    }

    /// A virtual environment with exactly these requirements. What is in it is noted last, so a half-made one is made
    /// anew.
    fn environment(&self, folder: &Path, requirements: &str, pip: &[&str], say: Say<'_>) -> Result<(), Text> {
        let venv = folder.join("venv");
        let note = venv.join(COMPLETE);
        if fs::read_to_string(&note).is_ok_and(|made_from| made_from == requirements) {
            let venv = venv.display();
            say(&text!("The engine is there: {venv}", "引擎已就绪:{venv}"));
            return Ok(());
        }
        let python = self.python()?;
        let shown = venv.display();
        say(&text!("Making a Python environment in {shown}", "正在创建 Python 环境 {shown}"));
        run(Command::new(&python).args(["-m", "venv", "--clear"]).arg(&venv), "python3 -m venv")?;
        let package = requirements.split([' ', '=', '>', '\n']).next().unwrap_or_default();
        say(&text!("Installing {package} with pip", "正在用 pip 安装 {package}"));
        let list = folder.join("requirements.txt");
        files::replace(&list, requirements.as_bytes(), 0o644).map_err(|error| unwritable(&list, &error))?;
        let pip_args = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input"];
        run(
            Command::new(venv.join("bin/python3")).args(pip_args).args(pip).arg("--requirement").arg(&list),
            "pip install",
        )?;
        files::replace(&note, requirements.as_bytes(), 0o644).map_err(|error| unwritable(&note, &error))
    }

    /// A Python that can make virtual environments.
    fn python(&self) -> Result<PathBuf, Text> {
        let Some(python) = procfs::find_program("python3", self.search_path) else {
            return Err(Text::fixed(
                "Python 3 is not there. Install it: apt-get install -y python3 python3-venv",
                "没有 Python 3。请安装:apt-get install -y python3 python3-venv",
            ));
        };
        let version = "import sys; sys.exit(sys.version_info < (3, 10))";
        if !succeeds(Command::new(&python).args(["-I", "-c", version])) {
            return Err(Text::fixed(
                "Python 3.10 or newer is needed, and python3 is older. Install a newer one, and put it first on PATH.",
                "需要 Python 3.10 或更新版本,而当前 python3 较旧。请安装新版本并放在 PATH 最前。",
            ));
        }
        if !succeeds(Command::new(&python).args(["-I", "-c", "import venv, ensurepip"])) {
            return Err(Text::fixed(
                "This Python can't make virtual environments. Install what is missing: apt-get install -y python3-venv",
                "该 Python 无法创建虚拟环境。请安装缺少的组件:apt-get install -y python3-venv",
            ));
        }
        Ok(python)
    }

    /// Untested on a GPU, as only GPU models get here.
    fn weights(&self, say: Say<'_>) -> Result<(), Text> {
        let path = &self.model.path;
        if Path::new(path).exists() {
            return Ok(());
        }
        if !surroundings::is_hub_name(self.model) {
            return Err(text!(
                "{path} does not exist. Put the model there, or set path to its name on Hugging Face or ModelScope.",
                "{path} 不存在。请把模型放到该处,或把 path 设为它在 Hugging Face 或 ModelScope 上的名称。"
            ));
        }
        let folder = weights_folder(self.data_dir, path);
        if folder.join(COMPLETE).is_file() {
            let folder = folder.display();
            say(&text!("The weights are there: {folder}", "模型权重已就绪:{folder}"));
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
        enough_room(path, &folder)?;
        // An environment of its own for the hub's client, so that it works beside a vLLM that was there before.
        let (hub, tools, requirements) = if self.prefers_hugging_face()? {
            ("Hugging Face", self.data_dir.join("engines/hugging-face"), HUGGING_FACE)
        } else {
            ("ModelScope", self.data_dir.join("engines/modelscope"), MODELSCOPE)
        };
        let _lock = lock(&tools)?;
        self.environment(&tools, requirements, &[], say)?;
        // Both clients are asked in the same words.
        let client =
            tools.join("venv/bin").join(if requirements == HUGGING_FACE { "hf" } else { "modelscope" });
        say(&text!(
            "Downloading {path} from {hub}; when it is cut off, the same command goes on with it",
            "正在从 {hub} 下载 {path};如果中断,重新运行同一命令即可继续"
        ));
        run(Command::new(client).args(["download", path, "--local-dir"]).arg(&folder), "download")?;
        let note = folder.join(COMPLETE);
        files::replace(&note, hub.as_bytes(), 0o644).map_err(|error| unwritable(&note, &error))
    }

    /// `auto` asks Hugging Face first: five seconds, over the same proxies and certificates as the download.
    fn prefers_hugging_face(&self) -> Result<bool, Text> {
        // Any answer will do, and 401 is the usual one.
        const ASK: &str = "import os, urllib.error, urllib.request
try:
    hub = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
    urllib.request.urlopen(hub + '/api/whoami-v2', timeout=5)
except urllib.error.HTTPError:
    pass";
        Ok(match self.model.source {
            Source::HuggingFace => true,
            Source::ModelScope | Source::Local => false,
            Source::Auto => succeeds(Command::new(self.python()?).args(["-c", ASK])),
        })
    }
}

/// The GPUs that `nvidia-smi` lists; none where it is missing or fails.
pub(crate) fn gpus(search_path: &OsStr) -> Vec<Gpu> {
    let Some(program) = procfs::find_program("nvidia-smi", search_path) else { return Vec::new() };
    let answer = Command::new(program).args(fit::NVIDIA_SMI_ARGS).stdin(Stdio::null()).output();
    answer.map(|answer| fit::parse(&String::from_utf8_lossy(&answer.stdout))).unwrap_or_default()
}

fn can_import(folder: &Path, module: &str) -> Result<(), Text> {
    let import = format!("import {module}");
    let answer = Command::new(folder.join("venv/bin/python3")).args(["-I", "-c", &import]).output();
    let problem = match answer {
        Ok(answer) if answer.status.success() => return Ok(()),
        Ok(answer) => String::from_utf8_lossy(&answer.stderr).lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(text!(
        "{module} is installed and can't be loaded: {problem}. Most often libraries are missing: apt-get install -y libstdc++6 libgomp1",
        "{module} 已安装但无法加载:{problem}。多半是缺少系统库:apt-get install -y libstdc++6 libgomp1"
    ))
}

fn enough_room(hub_name: &str, folder: &Path) -> Result<(), Text> {
    let (Some(need), Ok(disk)) = (fit::download_bytes(hub_name), rustix::fs::statvfs(folder)) else {
        return Ok(());
    };
    // A download that was cut off is counted twice; better than a disk that is full at 90 %.
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= need {
        return Ok(());
    }
    let (need, free, folder) = (need / 1_000_000_000, free / 1_000_000_000, folder.display());
    Err(text!(
        "{hub_name} needs about {need} GB, and the disk of {folder} has {free} GB left. Make room, or set site.data_dir to another disk.",
        "{hub_name} 约需 {need} GB,而 {folder} 所在磁盘只剩 {free} GB。请清理空间,或把 site.data_dir 设到其他磁盘。"
    ))
}

/// One installation at a time: two would take the environment apart under each other.
fn lock(folder: &Path) -> Result<File, Text> {
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(|error| unwritable(&path, &error))?;
    match files::try_lock(&file) {
        Ok(true) => Ok(file),
        Ok(false) | Err(_) => Err(Text::fixed(
            "Another `portico model install` is at work. Wait for it to end.",
            "另一个 `portico model install` 正在运行。请等待其结束。",
        )),
    }
}

/// Its output goes to standard error, where progress belongs: standard output stays for answers.
fn run(command: &mut Command, what: &str) -> Result<(), Text> {
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(text!(
            "`{what}` has failed ({status}); its own message is above. When the network was the cause, run the same command again.",
            "`{what}` 失败({status}),原因见上方输出。如果是网络问题,请重新运行同一命令。"
        )),
        Err(error) => {
            let program = Path::new(command.get_program()).display();
            Err(text!("{program} can't be started: {error}", "无法启动 {program}:{error}"))
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Text {
    let path = path.display();
    text!(
        "{path} can't be written: {error}. Run this as the user of Portico (or root), or set site.data_dir to a folder you may write to.",
        "无法写入 {path}:{error}。请以 Portico 的用户(或 root)运行,或把 site.data_dir 设为可写的文件夹。"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::engine::tests::model;
    use super::*;
    use crate::config::EndpointAddress;

    /// A folder with programs that stand in for the machine's.
    struct Machine(PathBuf);

    impl Machine {
        fn new(programs: &[(&str, &str)]) -> Self {
            let folder =
                std::env::temp_dir().join(format!("portico-inst-{}", crate::sys::random::hex(6).unwrap()));
            fs::create_dir_all(folder.join("bin")).unwrap();
            for (name, script) in programs {
                let path = folder.join("bin").join(name);
                fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            Self(folder)
        }

        /// What was said on the way, and the outcome.
        fn install(&self, engine: Engine, path: &str) -> (Vec<String>, Result<(), String>) {
            let model = model(engine, path, EndpointAddress::Unix("/x.sock".into()));
            let search_path = self.0.join("bin").into_os_string();
            let data_dir = self.0.join("data");
            let installation = Installation { model: &model, data_dir: &data_dir, search_path: &search_path };
            let mut said = Vec::new();
            let outcome = installation.run(&mut |text| said.push(text.en.to_string()));
            (said, outcome.map_err(|text| text.en.to_string()))
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A python3 that makes an environment whose python3 is itself, and fails where `$1`... holds the word.
    fn python(fails_at: &str) -> String {
        format!(
            "case \"$*\" in *'{fails_at}'*) echo broken >&2; exit 1;; esac\n\
             case \"$*\" in *'-m venv'*) for last; do :; done; /bin/mkdir -p \"$last/bin\"; /bin/cp \"$0\" \"$last/bin/python3\";; esac"
        )
    }

    #[test]
    fn each_missing_thing_is_named_with_the_command_that_brings_it() {
        for (programs, part) in [
            (vec![], "apt-get install -y python3 python3-venv"),
            (vec![("python3", python("version_info"))], "Python 3.10"),
            (vec![("python3", python("ensurepip"))], "apt-get install -y python3-venv"),
            (vec![("python3", python("-m pip"))], "run the same command again"),
            (vec![("python3", python("xllamacpp"))], "apt-get install -y libstdc++6 libgomp1"),
        ] {
            let programs: Vec<(&str, &str)> =
                programs.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let machine = Machine::new(&programs);
            let (_, outcome) = machine.install(Engine::LlamaCpp, "/bin/sh");
            let said = outcome.unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn an_engine_that_is_there_is_not_made_again() {
        let python = python("nothing-fails");
        let machine = Machine::new(&[("python3", python.as_str())]);
        let (said, outcome) = machine.install(Engine::LlamaCpp, "/bin/sh");
        assert_eq!(outcome, Ok(()));
        assert!(said.iter().any(|line| line.starts_with("Installing xllamacpp")), "{said:?}");
        let list = fs::read_to_string(machine.0.join("data/engines/llama.cpp/requirements.txt")).unwrap();
        assert!(list.contains("--hash=sha256:"), "what is installed is pinned by hash");
        let (said, outcome) = machine.install(Engine::LlamaCpp, "/bin/sh");
        assert_eq!((said.len(), outcome), (1, Ok(())), "{said:?}");
        let (_, outcome) = machine.install(Engine::LlamaCpp, "/no/such.gguf");
        assert!(outcome.unwrap_err().contains("Download a .gguf"));
    }

    #[test]
    fn a_gpu_that_is_missing_or_too_small_stops_it_before_any_download() {
        let bare = Machine::new(&[]);
        let (said, outcome) = bare.install(Engine::Vllm, "Qwen/Qwen3-VL-8B-Instruct");
        assert!(said.is_empty() && outcome.unwrap_err().contains("nvidia-smi"));
        let small = Machine::new(&[("nvidia-smi", "echo 'NVIDIA GeForce RTX 3060, 12288'")]);
        let (said, outcome) = small.install(Engine::Vllm, "Qwen/Qwen3-VL-8B-Instruct");
        assert!(said.is_empty() && outcome.unwrap_err().contains("Qwen3-VL-4B-Instruct-FP8"));
        let broken = Machine::new(&[("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")]);
        assert_eq!(gpus(broken.0.join("bin").as_os_str()), []);
    }

    #[test]
    fn two_at_once_are_refused() {
        let machine = Machine::new(&[]);
        let folder = machine.0.join("data/engines/llama.cpp");
        let held = lock(&folder).unwrap();
        assert!(lock(&folder).unwrap_err().en.contains("Another"));
        drop(held);
        assert!(lock(&folder).is_ok());
    }

    #[test]
    #[ignore = "downloads 34 MB from the package index"]
    fn the_real_engine_is_installed_and_serves() {
        let machine = Machine::new(&[]);
        let model = model(Engine::LlamaCpp, "/bin/sh", EndpointAddress::Unix("/x.sock".into()));
        let search_path = std::env::var_os("PATH").unwrap();
        let installation = Installation { model: &model, data_dir: &machine.0, search_path: &search_path };
        installation.run(&mut |_| {}).unwrap();
        can_import(&machine.0.join("engines/llama.cpp"), "xllamacpp").unwrap();
    }
}
