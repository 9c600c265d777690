//! Promises of the whole funnel.

use std::path::PathBuf;

use super::render::Render;
use super::*;

pub(super) const REFERENCE: &str = include_str!("../../../../examples/portico.toml");

pub(super) fn environment(pairs: &[(&str, &str)]) -> Environment {
    let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Environment { directory: PathBuf::from("/here"), variables, ..Environment::default() }
}

pub(super) fn read(text: &str) -> Result<Loaded, Box<Problems>> {
    let document = Document { path: Some(PathBuf::from("portico.toml")), text: text.to_owned() };
    judge(document, &environment(&[("HOME", "/home/somebody")]))
}

pub(super) fn shown(problems: &Problems) -> String {
    Render { tongue: Tongue::English, colour: false }.all(&problems.document, &problems.list)
}

#[test]
fn an_empty_file_is_local_mode_with_every_default() {
    let loaded = read("").expect("an empty file is valid");
    assert!(remarks(&loaded).is_empty() && unbuilt(&loaded).is_empty());
    assert_eq!(loaded.config.mode(), Mode::Local);
    assert!(may_start(&loaded.config).is_ok());
}

#[test]
fn the_reference_file_is_accepted_as_it_stands() {
    let loaded = read(REFERENCE).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert!(remarks(&loaded).iter().all(|problem| problem.severity == Severity::Warning));
}
