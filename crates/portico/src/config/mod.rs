//! The configuration funnel: one file in, one checked value out.
//!
//! `raw` is the file as it is written, `keys` declares every key once, `check` judges all of it at once, and what other
//! rooms see is only [`Config`] from `checked`: whole, in range, with every default filled in. Nothing here opens a file
//! that the configuration names, asks the network, or starts anything: `portico check` must be safe to run anywhere.

mod check;
pub(crate) mod checked;
mod describe;
pub(crate) mod diff;
mod environment;
pub(crate) mod explain;
mod form;
mod key;
mod keys;
mod problem;
mod raw;
mod reader;
pub(crate) mod reference;
pub(crate) mod render;
mod rule;
pub(crate) mod schema;
mod source;
mod syntax;
mod wrong_type;

use std::path::{Path, PathBuf};

pub(crate) use checked::*;
pub(crate) use environment::Environment;
#[cfg(test)]
pub(crate) use form::DNS_PROVIDERS;
pub(crate) use problem::{Problem, Severity};
pub(crate) use source::Document;

#[cfg(test)]
mod tests;

use crate::types::Tongue;

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file as it was read, for showing problems in it.
    pub(crate) document: Document,
    /// What is accepted but should be looked at.
    pub(crate) warnings: Vec<Problem>,
    /// Written keys whose feature does not exist yet; see [`unbuilt`].
    unbuilt: Vec<Problem>,
    /// What messages about this configuration are written in.
    pub(crate) tongue: Tongue,
}

/// A configuration that can't be used, and everything that is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Problems {
    pub(crate) document: Document,
    pub(crate) list: Vec<Problem>,
    pub(crate) tongue: Tongue,
}

/// Reads and judges the configuration: the named file, or the one that is found, or the built-in defaults.
pub(crate) fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, Box<Problems>> {
    let path = source::find(path, environment);
    match source::read(path.clone(), environment) {
        Ok(document) => judge(document, environment),
        Err(problem) => Err(Box::new(Problems {
            document: Document { path, text: String::new() },
            list: vec![*problem],
            tongue: environment.tongue(),
        })),
    }
}

/// Judges a document that has been read. Pure.
pub(crate) fn judge(document: Document, environment: &Environment) -> Result<Loaded, Box<Problems>> {
    let check::Outcome { config, mut problems, mut unbuilt, language } = check::check(&document, environment);
    let tongue = match language {
        Some(Language::English) => Tongue::English,
        Some(Language::Chinese) => Tongue::Chinese,
        Some(Language::Auto) | None => environment.tongue(),
    };
    problems.sort_by_key(in_file_order);
    unbuilt.sort_by_key(in_file_order);
    let is_wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    match config {
        Some(config) if !is_wrong => Ok(Loaded { config, document, warnings: problems, unbuilt, tongue }),
        _ => {
            problems.extend(unbuilt.into_iter().map(as_warning));
            problems.sort_by_key(in_file_order);
            Err(Box::new(Problems { document, list: problems, tongue }))
        }
    }
}

/// What is written and not built yet. Errors are what would protect something: `run` refuses to start with them.
pub(crate) fn unbuilt(loaded: &Loaded) -> Vec<Problem> {
    loaded.unbuilt.clone()
}

/// Everything that `portico check` says about a usable configuration: all of it warnings.
pub(crate) fn remarks(loaded: &Loaded) -> Vec<Problem> {
    let mut remarks = loaded.warnings.clone();
    remarks.extend(loaded.unbuilt.iter().cloned().map(as_warning));
    remarks.sort_by_key(in_file_order);
    remarks
}

/// Where the Portico that runs with this file may be asked, although the file can't be used as it is now. `None` for
/// a file that could not even be read.
pub(crate) fn admin_socket_of_broken(document: &Document, environment: &Environment) -> Option<PathBuf> {
    if document.text.is_empty() {
        return None;
    }
    let rest = source::where_it_is_asked(document);
    judge(rest, environment).ok().map(|loaded| loaded.config.listen.admin)
}

/// A period as the file writes it (`90d`).
pub(crate) fn period(written: &str) -> Option<std::time::Duration> {
    form::duration(written).ok()
}

/// A network as the file writes it; an address alone is one, too.
pub(crate) fn network(written: &str) -> Option<ipnet::IpNet> {
    form::network(written).ok()
}

impl Loaded {
    /// Where it came from; `None`: built-in defaults.
    pub(crate) fn source(&self) -> Option<&PathBuf> {
        self.document.path.as_ref()
    }
}

fn as_warning(problem: Problem) -> Problem {
    Problem { severity: Severity::Warning, ..problem }
}

fn in_file_order(problem: &Problem) -> usize {
    problem.spot.span.as_ref().map_or(0, |span| span.start)
}

/// The known word that is most likely meant, if any is near.
pub(crate) fn nearest<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    words
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&written.to_ascii_lowercase(), word), word))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, word)| word)
}
