//! Judges the whole file at once. One file per idea; each takes its section, says what is wrong, and gives the checked
//! section or nothing. A rule over several keys is judged only where each of them is right, so that one mistake is not
//! reported twice.

mod access;
mod alerts;
mod engine_args;
mod limits;
mod listen;
mod mode;
mod model;
mod operate;
mod policy;
mod site;
mod tls;

use std::path::PathBuf;

use super::checked::{Config, Language};
use super::problem::Problem;
use super::reader::{Judge, Reader};
use super::source::Document;
use super::{Environment, keys, raw, syntax};

pub(crate) struct Outcome {
    pub(crate) config: Option<Config>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) unbuilt: Vec<Problem>,
    pub(crate) language: Option<Language>,
}

/// Takes every value first and builds afterwards, so that one wrong key does not hide the next.
macro_rules! gather {
    ($kind:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        $(
            #[allow(clippy::redundant_locals, reason = "some values were taken before, for a rule over several keys")]
            let $field = $value;
        )*
        (|| Some($crate::config::checked::$kind { $($field: $field?),* }))()
    }};
}
use gather;

pub(crate) fn check(document: &Document, environment: &Environment) -> Outcome {
    let folder = document.path.as_ref().and_then(|path| path.parent()).map(PathBuf::from).unwrap_or_default();
    let mut judge = Judge {
        environment,
        base: environment.directory.join(folder),
        problems: Vec::new(),
        unbuilt: Vec::new(),
    };
    let mut syntax_problems = Vec::new();
    let parsed = syntax::parse(&document.text, &mut syntax_problems);
    let table = &parsed.table;
    raw::check_names(table.get_ref(), &mut judge.problems);
    let mut file = Reader::of_file(&mut judge, table.get_ref());
    let language = file.section("site").take(&keys::site::LANGUAGE);
    let config = config(&mut file);
    judge.problems.retain(|problem| parsed.is_sound(&document.text, problem));
    judge.unbuilt.retain(|problem| parsed.is_sound(&document.text, problem));
    syntax_problems.extend(judge.problems);
    let (problems, unbuilt) = (without_repeats(syntax_problems), without_repeats(judge.unbuilt));
    Outcome { config, problems, unbuilt, language }
}

fn config(file: &mut Reader<'_, '_, '_>) -> Option<Config> {
    let site = site::site(file);
    let access = access::access(file);
    // Whether this is local mode decides defaults of what follows; where names or networks are wrong it is not guessed.
    let local = mode::is_local(file, site.as_ref(), access.as_ref());
    let listen = listen::listen(file, site.as_ref(), local);
    let tls = tls::tls(file, site.as_ref(), local);
    let timeouts = listen::timeouts(file);
    let cors = access::cors(file);
    let limits = limits::limits(file);
    let queue = limits::queue(file);
    let stream = limits::stream(file);
    let policy = policy::policy(file);
    let models = model::models(file, site.as_ref());
    let plans = limits::plans(file, models.as_deref());
    let log = operate::log(file);
    let health = operate::health(file);
    let alerts = alerts::alerts(file);
    let firewall = operate::firewall(file);
    let store = operate::store(file);
    if let (Some(listen), Some(models)) = (&listen, &models) {
        model::check_loops(file, listen, models);
    }
    if let (Some(site), Some(listen), Some(tls)) = (&site, &listen, &tls) {
        tls::something_to_sign(file, site, listen, tls);
    }
    Some(Config {
        site: site?,
        listen: listen?,
        tls: tls?,
        timeouts: timeouts?,
        access: access?,
        cors: cors?,
        limits: limits?,
        plans: plans?,
        queue: queue?,
        stream: stream?,
        policy: policy?,
        models: models?,
        log: log?,
        health: health?,
        alerts: alerts?,
        firewall: firewall?,
        store: store?,
    })
}

/// Some values are read twice (the language, the listeners, a model's endpoints); what is said of them is said once.
fn without_repeats(problems: Vec<Problem>) -> Vec<Problem> {
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        if !kept.contains(&problem) {
            kept.push(problem);
        }
    }
    kept
}
