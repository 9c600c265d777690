//! Model servers that Portico starts itself: real ones, and scripts in their place for what real ones do rarely.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::models;
use testkit::portico::Portico;
use testkit::wait::{self, SOON};

use crate::command::{ask, plain_surroundings};
use crate::support::binary;

/// In a script: waits until the test opens the gate, so that loading takes as long as the test wants.
pub(crate) const GATE: &str = "while [ ! -e {folder}/gate ]; do sleep 0.02; done\n";

/// The real thing.
pub(crate) fn real() -> String {
    format!("exec {} \"$@\"\n", models::llama_server().display())
}

/// The scripted model server with llama-server's flags for its address. `more` are its own flags.
pub(crate) fn scripted(more: &str) -> String {
    let program = testkit::scripted::binary();
    format!(
        "while [ $# -gt 0 ]; do case $1 in --host) host=$2;; --port) port=$2;; esac; shift; done\n\
         exec {} --host \"$host\" --port \"$port\" {more}\n",
        program.display()
    )
}

/// Starts Portico with `script` as the only `llama-server` there is; `{folder}` in it is Portico's own.
pub(crate) fn launch(configuration: &str, script: &str) -> Portico {
    Portico::launch(binary(), configuration, |command| {
        let folder = command.get_current_dir().expect("testkit gives it one").to_owned();
        write_engine(&folder, script);
        surround(command, &folder);
    })
}

pub(crate) fn write_engine(folder: &Path, script: &str) {
    let programs = folder.join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    let text = format!("#!/bin/sh\n{}", script.replace("{folder}", &folder.to_string_lossy()));
    let (new, engine) = (programs.join("new"), programs.join("llama-server"));
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(new, engine).unwrap();
}

/// The folder's programs first, then the system's own.
pub(crate) fn surround(command: &mut Command, folder: &Path) {
    plain_surroundings(command);
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder.join("bin").display()));
}

/// A `[[model]]` of the tiny vision model.
pub(crate) fn colour(port: &str) -> String {
    let parts = models::parts_folder().join("models");
    let (file, eye) = (parts.join("colour.gguf"), parts.join("colour-mmproj.gguf"));
    format!(
        "[[model]]\nname = \"colour\"\nengine = \"llama.cpp\"\npath = {file:?}\nendpoints = [\"http://127.0.0.1:{port}\"]\n\
         args = [\"--mmproj\", {eye:?}, \"--image-max-tokens\", \"49\", \"-c\", \"16384\", \"-np\", \"4\", \"-t\", \"1\"]\n\
         stop_grace = \"5s\"\n"
    )
}

/// A `[[model]]` for a script: the file exists, and nobody reads it.
pub(crate) fn pretended(name: &str, more: &str) -> String {
    format!(
        "[[model]]\nname = \"{name}\"\nengine = \"llama.cpp\"\npath = \"{{folder}}/portico.toml\"\n\
         endpoints = [\"http://127.0.0.1:{{port:{name}}}\"]\n{more}\n"
    )
}

pub(crate) fn open_gate(portico: &Portico) {
    std::fs::write(portico.folder().join("gate"), "").unwrap();
}

pub(crate) fn close_gate(portico: &Portico) {
    std::fs::remove_file(portico.folder().join("gate")).unwrap();
}

/// The model as `portico model list --json` tells it.
pub(crate) async fn model(portico: &Portico, name: &str) -> Value {
    let list = ask(portico, &["model", "list", "--json"]).await.expect(0).json();
    let found = list.as_array().and_then(|list| list.iter().find(|model| model["name"] == name));
    found.cloned().unwrap_or_else(|| panic!("no {name} in {list}"))
}

/// Waits until the model is as wanted.
pub(crate) async fn wait_for_model(
    portico: &Portico,
    name: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    wait::until(SOON * 3, &format!("{name} is {what}"), async || {
        Some(model(portico, name).await).filter(|model| wanted(model))
    })
    .await
}

pub(crate) async fn wait_for_state(portico: &Portico, name: &str, state: &str) -> Value {
    wait_for_model(portico, name, state, |model| model["state"] == state).await
}

pub(crate) fn pid(model: &Value) -> u32 {
    let pid = model["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    pid.unwrap_or_else(|| panic!("no process: {model}"))
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    // It fails only for a process that has ended.
    let _ = rustix::process::kill_process(pid, signal);
}

/// What a start of a model server marks all its processes with.
pub(crate) fn mark_of(pid: u32) -> Vec<u8> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = environment.split(|byte| *byte == 0).find(|line| line.starts_with(b"PORTICO_MODEL_PROCESS="));
    mark.unwrap_or_else(|| panic!("process {pid} is not marked")).to_owned()
}

/// Every live process that carries the mark, in whatever group or session.
pub(crate) fn marked(mark: &[u8]) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|line| line == mark)
    })
    .collect()
}

/// Ends with the test what a killed Portico leaves behind.
pub(crate) struct Marked(pub(crate) Vec<u8>);

impl Drop for Marked {
    fn drop(&mut self) {
        for pid in marked(&self.0) {
            signal(pid, rustix::process::Signal::KILL);
        }
    }
}

/// A picture for the models.
pub(crate) fn picture_of(colour: &str, model: &str, stream: bool) -> Value {
    let url = testkit::image::data_url(&testkit::image::named_png(colour, 56, 56));
    serde_json::json!({"model": model, "stream": stream, "max_tokens": 20, "temperature": 0, "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What colour is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]},
    ]})
}

pub(crate) fn hello(model: &str) -> Value {
    serde_json::json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

pub(crate) fn smollm2_file() -> PathBuf {
    models::Smollm2::file()
}
