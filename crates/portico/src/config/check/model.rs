//! `[[model]]`

use std::net::IpAddr;
use std::path::PathBuf;

use super::listen::collide;
use super::{engine_args, gather};
use crate::config::checked::{EndpointAddress, Engine, Listen, MetricsAddress, Modality, Model, Site};
use crate::config::form;
use crate::config::keys::model as keys;
use crate::config::problem::{Code, Problem, Spot};
use crate::config::reader::Reader;
use crate::types::{Text, text};

/// Never empty: without `[[model]]` it is the one implicit external model.
pub(super) fn models(file: &mut Reader<'_, '_, '_>, site: Option<&Site>) -> Option<Vec<Model>> {
    let count = file.count("model");
    if count == 0 {
        return implicit(file, site);
    }
    let models: Vec<Option<Model>> =
        (0..count).map(|index| model(file.element("model", index), site)).collect();
    unique_names(file, &models);
    unique_children(file, &models);
    models.into_iter().collect()
}

/// One external model where vLLM is by default, under the names it gives itself.
fn implicit(file: &mut Reader<'_, '_, '_>, site: Option<&Site>) -> Option<Vec<Model>> {
    // No such table is written, so every key takes its default.
    let mut reader = file.section("model");
    let mut model = settings(&mut reader, String::new(), Engine::External, site)?;
    model.log = site?.data_dir.join("models/external.log");
    Some(vec![model])
}

fn model(mut reader: Reader<'_, '_, '_>, site: Option<&Site>) -> Option<Model> {
    let name = reader.take(&keys::NAME);
    let engine = reader.take(&keys::ENGINE);
    // A wrong name or engine must not hide what else is wrong; the model itself is dropped in that case.
    let assumed = engine.unwrap_or(Engine::External);
    let model = settings(&mut reader, name.clone().unwrap_or_default(), assumed, site);
    match engine {
        Some(Engine::External) => external(&mut reader),
        Some(engine @ (Engine::Vllm | Engine::LlamaCpp)) => supervised(&mut reader, engine),
        None => {}
    }
    model.filter(|_| name.is_some() && engine.is_some())
}

fn settings(
    reader: &mut Reader<'_, '_, '_>,
    name: String,
    engine: Engine,
    site: Option<&Site>,
) -> Option<Model> {
    let service = reader.judge.environment.service;
    let default_user = if service && engine != Engine::External { "portico-model" } else { "" };
    let default_log = site.map(|site| site.data_dir.join("models").join(format!("{}.log", file_name(&name))));
    let log = reader.take_or(&keys::LOG, None).map(|written| match written {
        Some(log) => Some(reader.absolute(log)),
        None => default_log,
    });
    let api_key_file = reader.take(&keys::API_KEY_FILE).map(|file| file.map(|file| reader.absolute(file)));
    let upstream_name = reader.take(&keys::UPSTREAM_NAME).map(|name| (!name.is_empty()).then_some(name));
    let modalities =
        reader.take_written(&keys::MODALITIES).ok().map(|list| list.filter(|list| !list.is_empty()));
    let endpoints = endpoints(reader);
    gather!(Model {
        name: Some(name),
        aliases: reader.take(&keys::ALIASES),
        upstream_name: upstream_name,
        engine: Some(engine),
        path: reader.take(&keys::PATH),
        source: reader.take(&keys::SOURCE),
        endpoints: endpoints,
        allow_public: reader.take(&keys::ALLOW_PUBLIC),
        api_key_file: api_key_file,
        args: reader.take(&keys::ARGS),
        user: reader.take_or(&keys::USER, default_user.to_owned()),
        log: log.flatten(),
        start_timeout: reader.take(&keys::START_TIMEOUT),
        probe_timeout: reader.take(&keys::PROBE_TIMEOUT),
        stop_grace: reader.take(&keys::STOP_GRACE),
        modalities: modality_list(reader, modalities),
        context: reader.take_written(&keys::CONTEXT).ok(),
        boxes: reader.take(&keys::BOXES),
    })
}

fn modality_list(
    reader: &mut Reader<'_, '_, '_>,
    list: Option<Option<Vec<Modality>>>,
) -> Option<Option<Vec<Modality>>> {
    if let Some(Some(list)) = &list
        && !list.contains(&Modality::Text)
    {
        let spot = reader.spot_of(&keys::MODALITIES);
        reader.judge.push(
            Problem::error(
                Code::Contradiction,
                &spot,
                text!("a chat model takes text", "对话模型必须接受文本"),
            )
            .label(text!("add \"text\"", "请加上 \"text\"")),
        );
    }
    list
}

fn endpoints(reader: &mut Reader<'_, '_, '_>) -> Option<Vec<EndpointAddress>> {
    let endpoints = reader.take(&keys::ENDPOINTS)?;
    if endpoints.is_empty() {
        let spot = reader.spot_of(&keys::ENDPOINTS);
        reader.judge.push(
            Problem::error(Code::Missing, &spot, text!("the model has no endpoint", "模型没有服务地址"))
                .label(text!("write [\"http://127.0.0.1:3001\"]", "请写 [\"http://127.0.0.1:3001\"]")),
        );
        return None;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        if let Some(first) = endpoints[..index].iter().position(|other| other == endpoint) {
            let spot = reader.spot_of_item(&keys::ENDPOINTS, index);
            let earlier = reader.spot_of_item(&keys::ENDPOINTS, first);
            reader.judge.push(
                Problem::error(
                    Code::Duplicate,
                    &spot,
                    text!("{endpoint} is written twice", "{endpoint} 写了两次"),
                )
                .also(&earlier, text!("first here", "第一次在此")),
            );
        }
    }
    Some(endpoints)
}

/// A model's name as a file name. What a file name can't hold is written as in a URL, so that no two names meet.
fn file_name(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && index > 0);
        if plain { shown.push(char::from(byte)) } else { shown.push_str(&format!("%{byte:02X}")) }
    }
    shown
}

/// Values are taken a second time here, so that one that is wrong does not keep the others from being judged.
fn external(reader: &mut Reader<'_, '_, '_>) {
    let endpoints = reader.take(&keys::ENDPOINTS).unwrap_or_default();
    let allow_public = reader.take(&keys::ALLOW_PUBLIC).unwrap_or(true);
    for (index, endpoint) in endpoints.iter().enumerate() {
        let EndpointAddress::Tcp { host, .. } = endpoint else { continue };
        let is_close = match host.parse::<IpAddr>() {
            Ok(address) => form::is_close(address),
            Err(_) => form::is_private_name(host),
        };
        if !is_close && !allow_public {
            let spot = reader.spot_of_item(&keys::ENDPOINTS, index);
            reader.judge.push(form::too_far(host).at(&spot));
        }
    }
    let written = |text: Option<String>| text.is_some_and(|text| !text.is_empty());
    let idle = [
        (reader.spot_of(&keys::PATH), written(reader.take(&keys::PATH))),
        (reader.spot_of(&keys::ARGS), reader.take(&keys::ARGS).is_some_and(|list| !list.is_empty())),
        (reader.spot_of(&keys::USER), written(reader.take_or(&keys::USER, String::new()))),
    ];
    for (spot, asked) in idle {
        if asked {
            no_effect(
                reader,
                &spot,
                text!(
                    "Portico does not start an external model server",
                    "external 模型服务不由 Portico 启动"
                ),
            );
        }
    }
}

fn supervised(reader: &mut Reader<'_, '_, '_>, engine: Engine) {
    if reader.take(&keys::PATH).is_some_and(|path| path.is_empty()) {
        needs_path(reader, engine);
    }
    child_endpoints(reader);
    if reader.take(&keys::API_KEY_FILE).flatten().is_some() {
        let spot = reader.spot_of(&keys::API_KEY_FILE);
        let why = text!(
            "only external model servers have a key of their own",
            "只有 external 模型服务才有自己的密钥"
        );
        no_effect(reader, &spot, why);
    }
    for (index, argument) in reader.take(&keys::ARGS).unwrap_or_default().iter().enumerate() {
        if let Some(refused) = engine_args::refused(engine, argument) {
            let spot = reader.spot_of_item(&keys::ARGS, index);
            reader.judge.push(
                Problem::error(
                    Code::RefusedArgument,
                    &spot,
                    text!("`{argument}` is refused in `args`", "`args` 中不接受 `{argument}`"),
                )
                .why(refused),
            );
        }
    }
}

fn needs_path(reader: &mut Reader<'_, '_, '_>, engine: Engine) {
    let name = if reader.is_written(&keys::PATH) {
        reader.spot_of(&keys::PATH)
    } else {
        reader.spot_of(&keys::NAME)
    };
    let spot = Spot { key: reader.spot_of(&keys::PATH).key, span: name.span };
    let example = match engine {
        Engine::LlamaCpp => "path = \"/models/model.gguf\"",
        Engine::Vllm | Engine::External => "path = \"Qwen/Qwen3-VL-8B-Instruct\"",
    };
    reader.judge.push(
        Problem::error(
            Code::Missing,
            &spot,
            text!(
                "Portico starts this model server and needs its `path`",
                "此模型服务由 Portico 启动,必须写出 `path`"
            ),
        )
        .label(text!("add {example}", "请加上 {example}"))
        .help(text!(
            "or write engine = \"external\" if the server runs on its own",
            "如果服务自行运行,请写 engine = \"external\""
        )),
    );
}

fn child_endpoints(reader: &mut Reader<'_, '_, '_>) {
    let endpoints = reader.take(&keys::ENDPOINTS).unwrap_or_default();
    if endpoints.len() > 1 {
        let spot = reader.spot_of_item(&keys::ENDPOINTS, 1);
        reader.judge.push(
            Problem::error(
                Code::Contradiction,
                &spot,
                text!(
                    "a model server that Portico starts has exactly one endpoint",
                    "由 Portico 启动的模型服务只能有一个地址"
                ),
            )
            .label(text!("write a [[model]] of its own for it", "请为它另写一个 [[model]]")),
        );
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let EndpointAddress::Tcp { host, port } = endpoint else { continue };
        let is_loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        if !is_loopback {
            let spot = reader.spot_of_item(&keys::ENDPOINTS, index);
            reader.judge.push(
                Problem::error(
                    Code::Unsafe,
                    &spot,
                    text!(
                        "a model server that Portico starts listens on loopback or a Unix socket only",
                        "由 Portico 启动的模型服务只能监听回环地址或 Unix 套接字"
                    ),
                )
                .label(text!("write \"http://127.0.0.1:{port}\"", "请写 \"http://127.0.0.1:{port}\""))
                .why(text!(
                    "whoever reaches it goes around Portico: no identity, no limits, no record",
                    "能直接访问它的人会绕过 Portico:没有身份、限制和记录"
                )),
            );
        }
    }
}

fn no_effect(reader: &mut Reader<'_, '_, '_>, spot: &Spot, why: Text) {
    let key = &spot.key;
    let problem =
        Problem::warning(Code::NoEffect, spot, text!("`{key}` has no effect here", "`{key}` 在此处不起作用"));
    reader.judge.push(problem.why(why));
}

/// Names and aliases of all models share one space.
fn unique_names(file: &mut Reader<'_, '_, '_>, models: &[Option<Model>]) {
    let mut seen: Vec<(String, Spot)> = Vec::new();
    for (index, model) in models.iter().enumerate() {
        let Some(model) = model else { continue };
        let reader = file.element("model", index);
        let mut names = vec![(model.name.clone(), reader.spot_of(&keys::NAME))];
        for (at, alias) in model.aliases.iter().enumerate() {
            names.push((alias.clone(), reader.spot_of_item(&keys::ALIASES, at)));
        }
        for (name, spot) in names {
            match seen.iter().find(|(other, _)| *other == name) {
                Some((_, first)) => {
                    let problem = Problem::error(
                        Code::Duplicate,
                        &spot,
                        text!("the model name \"{name}\" is taken", "模型名 \"{name}\" 已被占用"),
                    )
                    .also(first, text!("first here", "第一次在此"));
                    file.judge.push(problem);
                }
                None => seen.push((name, spot)),
            }
        }
    }
}

/// Two children can't listen in the same place, nor write the same log.
fn unique_children(file: &mut Reader<'_, '_, '_>, models: &[Option<Model>]) {
    let mut places: Vec<(&EndpointAddress, Spot)> = Vec::new();
    let mut logs: Vec<(PathBuf, Spot)> = Vec::new();
    for (index, model) in models.iter().enumerate() {
        let Some(model) = model.as_ref().filter(|model| model.engine != Engine::External) else { continue };
        let reader = file.element("model", index);
        let (mut place, log) = (reader.spot_of_item(&keys::ENDPOINTS, 0), reader.spot_of(&keys::LOG));
        if place.span.is_none() {
            place.span = reader.spot_of(&keys::NAME).span;
        }
        let Some(endpoint) = model.endpoints.first() else { continue };
        if let Some((_, first)) = places.iter().find(|(other, _)| *other == endpoint) {
            let problem = Problem::error(
                Code::Duplicate,
                &place,
                text!("two model servers would listen at {endpoint}", "两个模型服务都要监听 {endpoint}"),
            )
            .label(text!("give it a port of its own", "请给它一个独立的端口"))
            .also(first, text!("taken here", "已在此处占用"));
            file.judge.push(problem);
        }
        if let Some((_, first)) = logs.iter().find(|(other, _)| *other == model.log) {
            let problem = Problem::error(
                Code::Duplicate,
                &log,
                text!("two model servers would write the same log", "两个模型服务会写同一个日志文件"),
            )
            .also(first, text!("first here", "第一次在此"));
            file.judge.push(problem);
        }
        places.push((endpoint, place));
        logs.push((model.log.clone(), log));
    }
}

/// A model endpoint that is Portico's own listener would send every request round in a circle.
pub(super) fn check_loops(file: &mut Reader<'_, '_, '_>, listen: &Listen, models: &[Model]) {
    let metrics = match &listen.metrics {
        MetricsAddress::Tcp(address) => Some(*address),
        MetricsAddress::Unix(_) | MetricsAddress::Off => None,
    };
    let own: Vec<_> = listen.http.iter().chain(&listen.https).copied().chain(metrics).collect();
    for (index, model) in models.iter().enumerate() {
        for (at, endpoint) in model.endpoints.iter().enumerate() {
            let EndpointAddress::Tcp { host, port } = endpoint else { continue };
            let host = if host == "localhost" { "127.0.0.1" } else { host.as_str() };
            let Ok(address) = host.parse::<IpAddr>() else { continue };
            let address = std::net::SocketAddr::new(address, *port);
            let reachable = address.ip().is_loopback() || own.iter().any(|own| own.ip() == address.ip());
            let Some(taken) = own.iter().find(|own| reachable && collide(**own, address)) else { continue };
            let spot = file.element("model", index).spot_of_item(&keys::ENDPOINTS, at);
            file.judge.push(
                Problem::error(
                    Code::Contradiction,
                    &spot,
                    text!(
                        "{endpoint} is Portico's own listener {taken}",
                        "{endpoint} 是 Portico 自己的监听地址 {taken}"
                    ),
                )
                .label(text!("the model server needs another port", "模型服务需要使用其他端口")),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_of_models_make_names_of_files_that_never_meet() {
        for (name, file) in [
            ("qwen3-vl", "qwen3-vl"),
            ("a/b", "a%2Fb"),
            ("a.b", "a.b"),
            ("..", "%2E."),
            ("a_b", "a_b"),
            ("a%2Fb", "a%252Fb"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }
}
