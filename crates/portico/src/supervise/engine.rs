//! From configuration and surroundings to a command line: data in, decision out, nothing touched.
//!
//! What holds for every engine: it listens on loopback or a Unix socket and nowhere else, wants a key that is drawn
//! anew for every start, and gets an environment made of an allowlist. The key travels in the environment, never in
//! the arguments: everybody on the machine can read those.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::config::{EndpointAddress, Engine, Model};
use crate::types::{Text, text};

/// A name that resolves nowhere (RFC 2606): the second lock against a model server that fetches image addresses.
const NO_MEDIA_DOMAIN: &str = "media.invalid";

/// Every process of one start carries this in its environment, so that all of them are found when it ends.
pub(super) const MARKER_NAME: &str = "PORTICO_MODEL_PROCESS";

/// What the machine offers, gathered by [`super::surroundings`].
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// Portico's own environment.
    pub(super) environment: BTreeMap<OsString, OsString>,
    /// The program `vllm`.
    pub(super) vllm: Option<PathBuf>,
    /// The program `llama-server`.
    pub(super) llama_server: Option<PathBuf>,
    /// A Python that has the `xllamacpp` package, and the script that serves with it.
    pub(super) python: Option<(PathBuf, PathBuf)>,
    pub(super) weights: Weights,
}

/// Where the model's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Weights {
    File(PathBuf),
    Folder(PathBuf),
    /// Under its hub name in the cache of the engine's own hub client.
    Cached,
    /// It looks like a file or folder of this machine, and is not there.
    NoSuchPath(PathBuf),
    /// It looks like a hub name, and has not been downloaded.
    NotInstalled,
}

/// What changes with every start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw<'a> {
    pub(super) api_key: &'a str,
    pub(super) marker: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    /// All of it: nothing is inherited. Relative paths in `args` hold because the working folder is inherited.
    pub(super) environment: BTreeMap<OsString, OsString>,
}

/// The command that starts this model, or what stands against it, with the fix.
pub(super) fn command_line(
    model: &Model,
    max_choices: u32,
    surroundings: &Surroundings,
    draw: Draw<'_>,
) -> Result<CommandLine, Text> {
    check_endpoint(model)?;
    match model.engine {
        Engine::Vllm => vllm(model, max_choices, surroundings, draw),
        Engine::LlamaCpp => llama_cpp(model, surroundings, draw),
        Engine::External => Err(Text::fixed(
            "An external model server is not started by Portico.",
            "外部模型服务不由 Portico 启动。",
        )),
    }
}

/// The address the child listens on.
pub(super) fn endpoint(model: &Model) -> Option<&EndpointAddress> {
    model.endpoints.first()
}

/// The name that the server goes by.
pub(super) fn served_name(model: &Model) -> &str {
    model.upstream_name.as_deref().unwrap_or(&model.name)
}

fn check_endpoint(model: &Model) -> Result<(), Text> {
    let name = &model.name;
    match endpoint(model) {
        Some(EndpointAddress::Unix(_)) => Ok(()),
        Some(EndpointAddress::Tcp { host, .. }) if is_loopback(host) => Ok(()),
        Some(address) => Err(text!(
            "Model {name} would listen on {address}, which is not loopback. Set endpoints = [\"http://127.0.0.1:PORT\"] or [\"unix:/path/to.sock\"].",
            "模型 {name} 将监听 {address},这不是本机回环地址。请设置 endpoints = [\"http://127.0.0.1:端口\"] 或 [\"unix:/path/to.sock\"]。"
        )),
        None => Err(text!(
            "Model {name} has no endpoint. Set endpoints = [\"http://127.0.0.1:3001\"].",
            "模型 {name} 没有 endpoint。请设置 endpoints = [\"http://127.0.0.1:3001\"]。"
        )),
    }
}

/// `localhost` is passed on as an address: what a resolver makes of the name is not ours to trust.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn listen_host(host: &str) -> &str {
    if host == "localhost" { "127.0.0.1" } else { host }
}

fn vllm(
    model: &Model,
    max_choices: u32,
    surroundings: &Surroundings,
    draw: Draw<'_>,
) -> Result<CommandLine, Text> {
    refuse_dangerous_environment(&surroundings.environment)?;
    refuse_reserved(model, VLLM_RESERVED)?;
    let name = &model.name;
    let Some(program) = surroundings.vllm.clone() else {
        return Err(text!(
            "The program `vllm` is not there. Run `portico model install {name}`, or put vllm on Portico's PATH.",
            "找不到程序 `vllm`。请运行 `portico model install {name}`,或把 vllm 放到 Portico 的 PATH 中。"
        ));
    };
    let weights: OsString = match &surroundings.weights {
        Weights::File(path) | Weights::Folder(path) => path.into(),
        Weights::Cached => (&model.path).into(),
        Weights::NoSuchPath(path) => return Err(no_such_path(name, path)),
        Weights::NotInstalled => return Err(not_installed(model)),
    };
    let mut args: Vec<OsString> = vec!["serve".into(), weights];
    match endpoint(model) {
        Some(EndpointAddress::Unix(path)) => args.extend(["--uds".into(), path.into()]),
        Some(EndpointAddress::Tcp { host, port }) => {
            args.extend([
                "--host".into(),
                listen_host(host).into(),
                "--port".into(),
                port.to_string().into(),
            ]);
        }
        None => {}
    }
    args.extend(["--served-model-name".into(), served_name(model).into()]);
    args.extend(["--allowed-media-domains".into(), NO_MEDIA_DOMAIN.into(), "--disable-fastapi-docs".into()]);
    // Last, so that they win over everything above that is not a lock.
    args.extend(model.args.iter().map(OsString::from));

    let mut environment = allowed_environment(&surroundings.environment);
    let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
    set("VLLM_API_KEY", draw.api_key);
    set("VLLM_MEDIA_URL_ALLOW_REDIRECTS", "0");
    set("VLLM_MEDIA_EGRESS_BLOCK_PRIVATE", "1");
    set("VLLM_MAX_N_SEQUENCES", &max_choices.max(1).to_string());
    set("VLLM_NO_USAGE_STATS", "1");
    set("DO_NOT_TRACK", "1");
    set("PYTHONUNBUFFERED", "1");
    // The files are here by now: no start may depend on a hub that is slow, blocked, or has a newer revision.
    set("HF_HUB_OFFLINE", "1");
    set("TRANSFORMERS_OFFLINE", "1");
    set(MARKER_NAME, draw.marker);
    Ok(CommandLine { program, args, environment })
}

fn llama_cpp(model: &Model, surroundings: &Surroundings, draw: Draw<'_>) -> Result<CommandLine, Text> {
    refuse_reserved(model, LLAMA_RESERVED)?;
    let name = &model.name;
    let weights = match &surroundings.weights {
        Weights::File(path) => path.clone(),
        Weights::NoSuchPath(path) => return Err(no_such_path(name, path)),
        Weights::Folder(_) | Weights::Cached | Weights::NotInstalled => {
            let path = &model.path;
            return Err(text!(
                "Model {name}: llama.cpp needs one .gguf file, and `{path}` is none. Set path to the file.",
                "模型 {name}:llama.cpp 需要一个 .gguf 文件,而 `{path}` 不是。请把 path 设为该文件。"
            ));
        }
    };
    let (program, mut args) = match (&surroundings.llama_server, &surroundings.python) {
        (Some(program), _) => (program.clone(), Vec::new()),
        // -I: nothing from the environment, the working folder or the user's own packages gets into this Python.
        (None, Some((python, script))) => (python.clone(), vec!["-I".into(), "-u".into(), script.into()]),
        (None, None) => {
            return Err(text!(
                "llama.cpp is not there. Run `portico model install {name}`, or put llama-server on Portico's PATH.",
                "找不到 llama.cpp。请运行 `portico model install {name}`,或把 llama-server 放到 Portico 的 PATH 中。"
            ));
        }
    };
    args.extend(["--model".into(), weights.into()]);
    match endpoint(model) {
        Some(EndpointAddress::Unix(path)) if path.extension() != Some(OsStr::new("sock")) => {
            let path = path.display();
            return Err(text!(
                "Model {name}: llama.cpp takes only socket paths that end in .sock. Set endpoints = [\"unix:{path}.sock\"].",
                "模型 {name}:llama.cpp 只接受以 .sock 结尾的套接字路径。请设置 endpoints = [\"unix:{path}.sock\"]。"
            ));
        }
        Some(EndpointAddress::Unix(path)) => args.extend(["--host".into(), path.into()]),
        Some(EndpointAddress::Tcp { host, port }) => {
            args.extend([
                "--host".into(),
                listen_host(host).into(),
                "--port".into(),
                port.to_string().into(),
            ]);
        }
        None => {}
    }
    args.extend(["--alias".into(), served_name(model).into()]);
    args.extend(model.args.iter().map(OsString::from));

    let mut environment = allowed_environment(&surroundings.environment);
    environment.insert("LLAMA_API_KEY".into(), draw.api_key.into());
    environment.insert(MARKER_NAME.into(), draw.marker.into());
    Ok(CommandLine { program, args, environment })
}

fn no_such_path(name: &str, path: &Path) -> Text {
    let path = path.display();
    text!(
        "Model {name}: {path} does not exist or can't be read. Put the model there, or correct `path` in portico.toml; Portico looks again every minute.",
        "模型 {name}:{path} 不存在或无法读取。请把模型放到该处,或更正 portico.toml 中的 path;Portico 每分钟会再检查一次。"
    )
}

fn not_installed(model: &Model) -> Text {
    let (name, path) = (&model.name, &model.path);
    text!(
        "Model {name}: `{path}` has not been downloaded. Run `portico model install {name}`.",
        "模型 {name}:`{path}` 尚未下载。请运行 `portico model install {name}`。"
    )
}

/// Flags that would move the listener or change the key, so that Portico would guard nothing.
const VLLM_RESERVED: &[&str] =
    &["--host", "--port", "--uds", "--api-key", "--ssl-keyfile", "--ssl-certfile", "--headless", "--model"];
const LLAMA_RESERVED: &[&str] = &[
    "--host",
    "--port",
    "--api-key",
    "--api-key-file",
    "--ssl-key-file",
    "--ssl-cert-file",
    "--api-prefix",
    "--model",
    "-m",
];

fn refuse_reserved(model: &Model, reserved: &[&str]) -> Result<(), Text> {
    for argument in &model.args {
        let written = argument.split('=').next().unwrap_or_default();
        let flag = written.replace('_', "-");
        // Python's argument parser also takes unambiguous beginnings.
        let hits = |reserved: &&&str| **reserved == flag || (flag.len() > 4 && reserved.starts_with(&flag));
        if let Some(reserved) = reserved.iter().find(hits) {
            let name = &model.name;
            return Err(text!(
                "Model {name}: `{written}` in args is Portico's to set ({reserved}). Remove it; where the server listens is said by `endpoints`, and its key is drawn at every start.",
                "模型 {name}:args 中的 `{written}` 由 Portico 设置({reserved})。请删除它;监听位置由 endpoints 决定,密钥在每次启动时随机生成。"
            ));
        }
    }
    Ok(())
}

/// Both open administrative doors of vLLM that no key guards.
fn refuse_dangerous_environment(environment: &BTreeMap<OsString, OsString>) -> Result<(), Text> {
    for name in ["VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"] {
        let value = environment.get(OsStr::new(name)).and_then(|value| value.to_str()).unwrap_or_default();
        if !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "false" | "no" | "off") {
            return Err(text!(
                "{name} is set in Portico's environment: it opens administrative paths of vLLM without a key. Unset it and start Portico again.",
                "Portico 的环境中设置了 {name}:它会在没有密钥的情况下开放 vLLM 的管理接口。请取消该变量后重新启动 Portico。"
            ));
        }
    }
    Ok(())
}

/// Names that a model server may need; all others stay here, above all other programs' secrets.
fn is_allowed(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TEMP",
        "TERM",
        "LD_LIBRARY_PATH",
        "LIBRARY_PATH",
        "CC",
        "CXX",
        "CUDA_HOME",
        "CUDA_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
    ];
    const PREFIXES: &[&str] = &[
        "LC_",
        "CUDA_",
        "NVIDIA_",
        "NCCL_",
        "GLOO_",
        "OMP_",
        "MKL_",
        "KMP_",
        "OPENBLAS_",
        "GGML_",
        "HF_",
        "HUGGINGFACE_",
        "MODELSCOPE_",
        "TRANSFORMERS_",
        "TOKENIZERS_",
        "TORCH_",
        "TORCHINDUCTOR_",
        "PYTORCH_",
        "TRITON_",
        "VLLM_",
        "FLASHINFER_",
        "HIP_",
        "HSA_",
        "ROCR_",
        "ROCM_",
        "RAY_",
    ];
    // Their spelling differs from program to program.
    const PROXIES: &[&str] = &["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
    EXACT.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || PROXIES.contains(&name.to_ascii_lowercase().as_str())
}

fn allowed_environment(own: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    own.iter()
        .filter(|(name, _)| name.to_str().is_some_and(is_allowed))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
#[path = "engine_tests.rs"]
pub(super) mod tests;
