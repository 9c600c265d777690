//! Promises of the whole funnel.

mod agreement;
mod cases;
mod defaults;
mod robust;
mod shown;
mod source;
mod start;

use std::path::PathBuf;

use super::render::Render;
use super::*;

/// The reference file: every section and key.
pub(super) const REFERENCE: &str = include_str!("../../../../../examples/portico.toml");

pub(super) fn environment(pairs: &[(&str, &str)]) -> Environment {
    let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Environment { directory: PathBuf::from("/here"), variables, ..Environment::default() }
}

pub(super) fn read_in(text: &str, environment: &Environment) -> Result<Loaded, Box<Problems>> {
    let document = Document { path: Some(PathBuf::from("portico.toml")), text: text.to_owned() };
    judge(document, environment)
}

pub(super) fn read(text: &str) -> Result<Loaded, Box<Problems>> {
    read_in(text, &environment(&[("HOME", "/home/somebody")]))
}

pub(super) fn valid(text: &str) -> Loaded {
    read(text).unwrap_or_else(|problems| panic!("{text}\n{}", shown(&problems, Tongue::English)))
}

/// What is said about a file, whether it is usable or not.
pub(super) fn said(text: &str) -> Vec<Problem> {
    match read(text) {
        Ok(loaded) => remarks(&loaded),
        Err(problems) => problems.list,
    }
}

pub(super) fn shown(problems: &Problems, tongue: Tongue) -> String {
    Render { tongue, colour: false }.all(&problems.document, &problems.list)
}
