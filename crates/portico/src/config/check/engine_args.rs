//! Arguments of model servers that the file may not give: Portico sets them itself, or they would open the server.

use crate::config::checked::Engine;
use crate::types::{Text, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// `endpoints` says where the child listens.
    Place,
    /// `name`, `path` and `upstream_name` say what it serves.
    Model,
    /// The child is reached by Portico alone; a key or TLS on that hop would lock Portico out.
    Hop,
    /// Another listener, another protocol or another configuration beside the one that Portico watches.
    Door,
    /// Requests could read files of this machine, or change the server.
    Reach,
}

impl Why {
    fn text(self) -> Text {
        match self {
            Why::Place => text!(
                "`endpoints` says where the model server listens",
                "模型服务的监听地址由 `endpoints` 决定"
            ),
            Why::Model => text!(
                "`path` and `upstream_name` say what is served",
                "提供什么模型由 `path` 和 `upstream_name` 决定"
            ),
            Why::Hop => text!(
                "only Portico talks to the model server, over loopback; keys and TLS belong to the front door",
                "只有 Portico 经回环地址访问模型服务;密钥和 TLS 属于前门"
            ),
            Why::Door => {
                text!("it would open another door beside Portico's", "它会在 Portico 之外再开一道门")
            }
            Why::Reach => text!(
                "requests could read files of this machine or change the server",
                "请求可能借此读取本机文件或更改服务"
            ),
        }
    }
}

/// vLLM's command line (`vllm serve --help`). Written with dashes; underscores mean the same to it.
const VLLM: &[(&str, Why)] = &[
    ("--host", Why::Place),
    ("--port", Why::Place),
    ("--uds", Why::Place),
    ("--root-path", Why::Place),
    ("--model", Why::Model),
    ("--model-tag", Why::Model),
    ("--served-model-name", Why::Model),
    ("--api-key", Why::Hop),
    ("--ssl-keyfile", Why::Hop),
    ("--ssl-certfile", Why::Hop),
    ("--ssl-ca-certs", Why::Hop),
    ("--ssl-cert-reqs", Why::Hop),
    ("--config", Why::Door),
    ("--middleware", Why::Door),
    ("--grpc", Why::Door),
    ("--headless", Why::Door),
    ("--allowed-local-media-path", Why::Reach),
];

/// llama.cpp's server (`llama-server --help`).
const LLAMA_CPP: &[(&str, Why)] = &[
    ("--host", Why::Place),
    ("--port", Why::Place),
    ("--api-prefix", Why::Place),
    ("-m", Why::Model),
    ("--model", Why::Model),
    ("-mu", Why::Model),
    ("--model-url", Why::Model),
    ("-a", Why::Model),
    ("--alias", Why::Model),
    ("-hf", Why::Model),
    ("-hfr", Why::Model),
    ("--hf-repo", Why::Model),
    ("-hff", Why::Model),
    ("--hf-file", Why::Model),
    ("--api-key", Why::Hop),
    ("--api-key-file", Why::Hop),
    ("--ssl-key-file", Why::Hop),
    ("--ssl-cert-file", Why::Hop),
    ("--path", Why::Reach),
    ("--props", Why::Reach),
    ("--slot-save-path", Why::Reach),
    ("--media-path", Why::Reach),
];

/// Why the argument is refused, if it is. Values of arguments never begin with a dash unless they are arguments.
pub(super) fn refused(engine: Engine, argument: &str) -> Option<Text> {
    if !argument.starts_with('-') {
        return None;
    }
    let name = argument.split('=').next().unwrap_or(argument).replace('_', "-");
    let (list, abbreviates) = match engine {
        // Python's argparse takes any unambiguous beginning of a long name: `--hos 0.0.0.0`.
        Engine::Vllm => (VLLM, name.len() > 3 && name.starts_with("--")),
        Engine::LlamaCpp => (LLAMA_CPP, false),
        Engine::External => return None,
    };
    list.iter()
        .find(|(refused, _)| *refused == name || (abbreviates && refused.starts_with(&name)))
        .map(|(_, why)| why.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_the_server_is_refused_however_it_is_written() {
        for argument in [
            "--host",
            "--host=0.0.0.0",
            "--hos",
            "--port",
            "--api_key=x",
            "--uds",
            "--served-model-name",
            "--ssl-cert",
            "--config",
        ] {
            assert!(refused(Engine::Vllm, argument).is_some(), "{argument}");
        }
        for argument in [
            "--gpu-memory-utilization",
            "0.6",
            "--max-model-len",
            "--dtype",
            "--enable-prefix-caching",
            "/host",
            "--",
        ] {
            assert!(refused(Engine::Vllm, argument).is_none(), "{argument}");
        }
        for argument in ["--host", "--port", "-m", "--api-key-file", "--path"] {
            assert!(refused(Engine::LlamaCpp, argument).is_some(), "{argument}");
        }
        for argument in ["-c", "4096", "--mmproj", "-ngl", "--threads", "--parallel"] {
            assert!(refused(Engine::LlamaCpp, argument).is_none(), "{argument}");
        }
        assert!(refused(Engine::External, "--host").is_none());
    }
}
