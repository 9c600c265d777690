//! `[site]`

use std::path::{Path, PathBuf};

use super::gather;
use crate::config::Environment;
use crate::config::checked::{Root, Site};
use crate::config::keys::site as keys;
use crate::config::problem::{Code, Problem};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn site(file: &mut Reader<'_, '_, '_>) -> Option<Site> {
    let mut reader = file.section("site");
    let names = reader.take(&keys::NAMES);
    let default_data_dir = default_data_dir(reader.judge.environment);
    let data_dir = reader.take_or(&keys::DATA_DIR, None).map(|written| match written {
        Some(folder) => reader.absolute(folder),
        None => default_data_dir,
    });
    let root = reader.take(&keys::ROOT).map(|root| {
        if root == Path::new("builtin") { Root::Builtin } else { Root::Folder(reader.absolute(root)) }
    });
    for (index, name) in names.iter().flatten().enumerate() {
        let first = names.iter().flatten().position(|other| other.host == name.host).unwrap_or(index);
        if first < index {
            let host = &name.host;
            let spot = reader.spot_of_item(&keys::NAMES, index);
            let earlier = reader.spot_of_item(&keys::NAMES, first);
            reader.judge.push(
                Problem::error(
                    Code::Duplicate,
                    &spot,
                    text!("the name \"{host}\" is written twice", "域名 \"{host}\" 写了两次"),
                )
                .also(&earlier, text!("first here", "第一次在此")),
            );
        }
    }
    gather!(Site {
        names: names,
        email: reader.take(&keys::EMAIL),
        root: root,
        index: reader.take(&keys::INDEX),
        data_dir: data_dir,
        user: reader.take(&keys::USER),
        language: reader.take(&keys::LANGUAGE),
    })
}

fn default_data_dir(environment: &Environment) -> PathBuf {
    if environment.root || environment.service {
        return PathBuf::from("/var/lib/portico");
    }
    // The XDG specification ignores relative values.
    let absolute = |name| environment.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| environment.directory.clone())
        .join("portico")
}
