//! `[[model]]`

use std::path::PathBuf;

use super::table;
use super::tls::OPTIONAL_FILE;
use crate::config::form;
use crate::config::key::Built::{Later, LaterProtects, Yes};
use crate::config::key::Default::{Depends, Is, Required};
use crate::config::rule::{Flag, Form, List, OneOf, Period, Whole};
use crate::config::{Boxes, EndpointAddress, Engine, Modality, Source};
use crate::types::Text;

const NAME_FORM: Form<String> =
    Form {
        read: form::model_name, words: &[], is: Text::fixed("a name without blanks", "不含空格的名称")
    };

const ANY: Form<String> = Form { read: form::any_text, words: &[], is: Text::fixed("text", "文本") };

table! {
    MODEL "model[]"
    "A model and its server. Without any [[model]]: one external model at http://127.0.0.1:3001, under the names it gives itself." "一个模型及其服务。完全没有 [[model]] 时:位于 http://127.0.0.1:3001 的一个外部模型,名称由它自己给出。";

    NAME "name": Form<String> = NAME_FORM, Required, Yes,
        "What clients ask for.", "客户端使用的模型名。";
    ALIASES "aliases": List<Form<String>> = List { item: NAME_FORM, max: 64 }, Is("[]"), Yes,
        "Other names that clients may use.", "客户端可使用的其他名称。";
    UPSTREAM_NAME "upstream_name": Form<String> = ANY, Is(r#""""#), Yes,
        "What the model server calls it. Empty: asked of the server, and `name` where it can't be asked.",
        "模型服务中的名称。留空:向服务查询,无法查询时使用 `name`。";
    ENGINE "engine": OneOf<Engine> = OneOf(&[("vllm", Engine::Vllm), ("llama.cpp", Engine::LlamaCpp), ("external", Engine::External)]), Is(r#""vllm""#), Yes,
        "vllm and llama.cpp are started and watched by Portico; external runs on its own.",
        "vllm 和 llama.cpp 由 Portico 启动并看护;external 自行运行。";
    PATH "path": Form<String> = ANY, Is(r#""""#), Yes,
        "Hub name, folder, or .gguf file. Needed unless external.", "模型库名称、文件夹或 .gguf 文件。external 以外必填。";
    SOURCE "source": OneOf<Source> = OneOf(&[("auto", Source::Auto), ("huggingface", Source::HuggingFace), ("modelscope", Source::ModelScope), ("local", Source::Local)]), Is(r#""auto""#), Yes,
        "Where the model is fetched from.", "从何处下载模型。";
    ENDPOINTS "endpoints": List<Form<EndpointAddress>> = List { item: Form { read: form::endpoint, words: &[], is: Text::fixed("http://host:port or unix:/path", "http://主机:端口 或 unix:/路径") }, max: 64 },
        Is(r#"["http://127.0.0.1:3001"]"#), Yes,
        "external: where its servers are, one or more, balanced. Otherwise: the one place where the child listens, loopback or a Unix socket.",
        "external:服务所在的一个或多个地址,自动均衡。否则:子进程监听的唯一地址,只能是回环地址或 Unix 套接字。";
    ALLOW_PUBLIC "allow_public": Flag = Flag, Is("false"), Yes,
        "External endpoints may be public addresses, over a way that is protected otherwise.", "允许外部服务使用公网地址(线路须另有保护)。";
    API_KEY_FILE "api_key_file": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Yes,
        "File with the key that an external server wants.", "保存外部服务所需密钥的文件。";
    ARGS "args": List<Form<String>> = List { item: ANY, max: 256 }, Is("[]"), Yes,
        "Further arguments of the model server. Those that Portico sets itself, or that would open the server, are refused.",
        "模型服务的其他参数。由 Portico 设置的、或会使服务暴露的参数会被拒绝。";
    USER "user": Form<String> = ANY, Depends(Text::fixed("portico-model under the service", "作为系统服务运行时为 portico-model")), LaterProtects,
        "The user that the model server runs as. Never Portico's own user under the service.", "运行模型服务的用户。作为系统服务时绝不是 Portico 自己的用户。";
    LOG "log": Form<Option<PathBuf>> = OPTIONAL_FILE, Depends(Text::fixed("models/NAME.log in data_dir", "data_dir 下的 models/模型名.log")), Yes,
        "Where the model server's output goes.", "模型服务输出的日志文件。";
    START_TIMEOUT "start_timeout": Period = Period::between("1s", "1d"), Is(r#""10m""#), Yes,
        "How long the model server may take until it answers a real request.", "模型服务从启动到能回答真实请求的时限。";
    PROBE_TIMEOUT "probe_timeout": Period = Period::between("1s", "1h"), Is(r#""60s""#), Later,
        "Hang: requests run, the engine's counters stand still, and a probe goes unanswered for so long.", "判定卡死:有请求在运行,引擎计数停滞,且探测这么久没有回应。";
    STOP_GRACE "stop_grace": Period = Period::or_zero("1s", "1h", Text::fixed("killed at once", "立即终止")), Is(r#""30s""#), Yes,
        "How long the model server may take to end before it is killed.", "模型服务被强制终止前的宽限时间。";
    MODALITIES "modalities": List<OneOf<Modality>> = List { item: OneOf(&[("text", Modality::Text), ("image", Modality::Image)]), max: 2 },
        Depends(Text::fixed("asked of the server; text and image where it can't be asked", "向服务查询;无法查询时为文本和图片")), Yes,
        "What the model takes.", "模型接受的输入。";
    CONTEXT "context": Whole<u32> = Whole::between(128, 100_000_000),
        Depends(Text::fixed("asked of the server; no cap where it can't be asked", "向服务查询;无法查询时不限")), Yes,
        "Tokens of prompt and answer together.", "提示词与回答合计的 token 数。";
    BOXES "boxes": OneOf<Boxes> = OneOf(&[("relative-1000", Boxes::Relative1000), ("pixels", Boxes::Pixels), ("none", Boxes::None)]), Is(r#""relative-1000""#), Yes,
        "How the model gives bounding boxes.", "模型给出边界框的方式。";
}
