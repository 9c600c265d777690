//! Looks at the machine for [`super::engine`]: programs, weights, environment. Reads only, but for the one script
//! that Portico brings with it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::engine::{Surroundings, Weights};
use crate::config::{Engine, Model, Source};
use crate::sys::{files, procfs};

/// Serves with the `xllamacpp` package; written beside its virtual environment at every start.
const LLAMA_SERVER_SCRIPT: &str = include_str!("llama_server.py");

/// Written into a folder of weights when its download is complete: half a download is not a model.
pub(super) const COMPLETE: &str = ".portico-complete";

/// Where `portico model install` puts an engine, and where it is looked for.
pub(super) fn engine_folder(data_dir: &Path, engine: Engine) -> PathBuf {
    data_dir.join("engines").join(match engine {
        Engine::Vllm => "vllm",
        Engine::LlamaCpp => "llama.cpp",
        Engine::External => "external",
    })
}

/// Where `portico model install` puts the weights of a hub name.
pub(super) fn weights_folder(data_dir: &Path, hub_name: &str) -> PathBuf {
    data_dir.join("weights").join(file_stem(hub_name))
}

/// A model's name as a file name. Names that are fine stay as they are; others get a hash of the whole name, so
/// that `a/b` and `a_b` never share a file.
pub(crate) fn file_stem(name: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(fine) {
        return name.to_owned();
    }
    let readable: String = name
        .chars()
        .take(60)
        .map(|c| if fine(c) { c } else { '_' })
        .collect::<String>()
        .replacen('.', "_", 1);
    // FNV-1a: short, stable for ever, and nobody gains from a collision here.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{readable}-{hash:016x}")
}

pub(super) fn gather(
    model: &Model,
    data_dir: &Path,
    environment: BTreeMap<OsString, OsString>,
) -> Surroundings {
    let search_path = environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let installed = engine_folder(data_dir, model.engine).join("venv/bin");
    let own_vllm = Some(installed.join("vllm")).filter(|program| procfs::is_executable(program));
    let python = installed.join("python3");
    Surroundings {
        vllm: own_vllm.or_else(|| procfs::find_program("vllm", &search_path)),
        llama_server: procfs::find_program("llama-server", &search_path),
        python: procfs::is_executable(&python)
            .then(|| (python, engine_folder(data_dir, Engine::LlamaCpp).join("llama_server.py"))),
        weights: find_weights(model, data_dir, &environment),
        environment,
    }
}

/// Puts the script where [`gather`] said it is. Written only when it differs: the folder may be read-only later.
pub(super) fn write_script(path: &Path) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == LLAMA_SERVER_SCRIPT.as_bytes()) {
        return Ok(());
    }
    files::replace(path, LLAMA_SERVER_SCRIPT.as_bytes(), 0o644)
}

fn find_weights(model: &Model, data_dir: &Path, environment: &BTreeMap<OsString, OsString>) -> Weights {
    let written = Path::new(&model.path);
    if let Some(found) = local(written) {
        return found;
    }
    if !is_hub_name(model) {
        return Weights::NoSuchPath(std::path::absolute(written).unwrap_or_else(|_| written.to_owned()));
    }
    let downloaded = weights_folder(data_dir, &model.path);
    if downloaded.join(COMPLETE).is_file() {
        return Weights::Folder(downloaded);
    }
    cached(&model.path, environment).unwrap_or(Weights::NotInstalled)
}

fn local(path: &Path) -> Option<Weights> {
    if path.as_os_str().is_empty() {
        return None;
    }
    let absolute = std::path::absolute(path).ok()?;
    let metadata = fs::metadata(&absolute).ok()?;
    if metadata.is_dir() {
        Some(Weights::Folder(absolute))
    } else {
        // Opened to see that it may be: a path that can't be read helps nobody.
        fs::File::open(&absolute).is_ok().then_some(Weights::File(absolute))
    }
}

/// `ORGANISATION/NAME`: anything that looks like a path of this machine is none.
pub(super) fn is_hub_name(model: &Model) -> bool {
    let path = &model.path;
    let parts: Vec<&str> = path.split('/').collect();
    model.source != Source::Local
        && model.engine == Engine::Vllm
        && parts.len() == 2
        && parts.iter().all(|part| !part.is_empty() && !part.starts_with(['.', '~']))
        && !path.ends_with(".gguf")
}

/// What the hubs' own clients have downloaded before, as in the recipe.
fn cached(hub_name: &str, environment: &BTreeMap<OsString, OsString>) -> Option<Weights> {
    let variable =
        |name: &str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home_cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let hugging_face = variable("HF_HUB_CACHE")
        .or_else(|| Some(variable("HF_HOME")?.join("hub")))
        .or_else(|| Some(home_cache.clone()?.join("huggingface/hub")));
    if let Some(hub) = hugging_face {
        let snapshots = hub.join(format!("models--{}", hub_name.replace('/', "--"))).join("snapshots");
        let whole = |folder: &fs::DirEntry| folder.path().join("config.json").exists();
        if fs::read_dir(snapshots)
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| whole(&entry))))
        {
            return Some(Weights::Cached);
        }
    }
    let model_scope = variable("MODELSCOPE_CACHE").or_else(|| Some(home_cache?.join("modelscope/hub")))?;
    // Their client writes dots in names as three underscores.
    let spelled = hub_name.replace('.', "___");
    [model_scope.join("models").join(&spelled), model_scope.join(&spelled)]
        .into_iter()
        .find(|folder| folder.join("config.json").is_file())
        .map(Weights::Folder)
}

#[cfg(test)]
mod tests {
    use super::super::engine::tests::model;
    use super::*;
    use crate::config::EndpointAddress;

    #[test]
    fn names_become_file_names_that_differ_when_the_names_differ() {
        assert_eq!(file_stem("qwen3-vl-8b"), "qwen3-vl-8b");
        for odd in ["a/b", "../../etc/passwd", "", ".hidden", "模型", "a b", "x\0y"] {
            let stem = file_stem(odd);
            assert!(
                !stem.contains(['/', '\0']) && !stem.starts_with('.') && !stem.is_empty(),
                "{odd:?} -> {stem}"
            );
        }
        assert_ne!(file_stem("a/b"), file_stem("a_b"));
        assert_ne!(file_stem("a/b"), file_stem("a b"));
    }

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn weights_are_found_where_people_have_them() {
        let home =
            std::env::temp_dir().join(format!("portico-weights-{}", crate::sys::random::hex(6).unwrap()));
        let data = home.join("data");
        let environment = BTreeMap::from([("HOME".into(), home.clone().into_os_string())]);
        let found = |engine, path: &str| {
            find_weights(&model(engine, path, EndpointAddress::Unix("/x".into())), &data, &environment)
        };
        let hub = "Qwen/Qwen2.5-VL";
        assert_eq!(found(Engine::Vllm, hub), Weights::NotInstalled);
        touch(&home.join(".cache/modelscope/hub/models/Qwen/Qwen2___5-VL/config.json"));
        assert_eq!(
            found(Engine::Vllm, hub),
            Weights::Folder(home.join(".cache/modelscope/hub/models/Qwen/Qwen2___5-VL"))
        );
        touch(&home.join(".cache/huggingface/hub/models--Qwen--Qwen2.5-VL/snapshots/abc/config.json"));
        assert_eq!(found(Engine::Vllm, hub), Weights::Cached);
        let ours = weights_folder(&data, hub);
        touch(&ours.join("config.json"));
        assert_eq!(found(Engine::Vllm, hub), Weights::Cached, "half a download is not a model");
        touch(&ours.join(COMPLETE));
        assert_eq!(found(Engine::Vllm, hub), Weights::Folder(ours));

        let file = home.join("m.gguf");
        let text = file.to_str().unwrap();
        assert_eq!(found(Engine::LlamaCpp, text), Weights::NoSuchPath(file.clone()));
        touch(&file);
        assert_eq!(found(Engine::LlamaCpp, text), Weights::File(file));
        assert_eq!(found(Engine::Vllm, home.to_str().unwrap()), Weights::Folder(home.clone()));
        assert!(matches!(found(Engine::Vllm, "./a/b"), Weights::NoSuchPath(_)));
        fs::remove_dir_all(home).unwrap();
    }
}
