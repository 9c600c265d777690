//! `portico cert trust`: browsers and programs of this machine are told to trust the local root.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::certificate::local::{self, Authority, LocalError, Notice, Root, Wanted};
use crate::certificate::trust::{self as trusting, Kind, Person, Place, Seriousness, Tools, Verdict, Wish};
use crate::cli::arguments::TrustArguments;
use crate::cli::{Context, Exit, check};
use crate::config::{self, Config, Issuer};
use crate::types::{Text, Tongue, text};

/// The root that is meant, and those before it.
struct Roots {
    data_dir: PathBuf,
    current: Option<Root>,
    /// As it would be made, in a dry run.
    imagined: Option<Root>,
    former: Vec<Root>,
    notices: Vec<Notice>,
}

pub(crate) fn trust(context: &Context, arguments: &TrustArguments) -> Exit {
    let loaded = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refuse(context, &problems.document, &problems.list, problems.tongue),
    };
    let (config, tongue) = (&loaded.config, loaded.tongue);
    let refuse = |why: &Text| {
        let label = text!("error", "错误");
        context.out.talk(&format!("{}: {}\n", label.pick(tongue), why.pick(tongue)));
        Exit::No
    };
    if config.tls.issuer != Issuer::Local && !arguments.remove {
        return refuse(&text!(
            "there is nothing to trust: tls.issuer is not \"local\", so that browsers know who has signed, or have to be told by other means.",
            "无需信任:tls.issuer 不是 \"local\",浏览器已认识签发者,或需以其他方式告知。"
        ));
    }
    let person = Person::of(&context.environment);
    let roots = match roots(config, person.as_ref(), arguments) {
        Ok(roots) => roots,
        Err(error) => return refuse(&error.text()),
    };
    let gone: Vec<&Root> = match arguments.remove {
        true => roots.former.iter().chain(&roots.current).collect(),
        false => roots.former.iter().collect(),
    };
    let file = local::root_file(&roots.data_dir);
    let trusted = roots.current.as_ref().or(roots.imagined.as_ref()).filter(|_| !arguments.remove);
    let places = if trusted.is_none() && gone.is_empty() {
        Vec::new()
    } else {
        let seriousness = if arguments.dry_run { Seriousness::DryRun } else { Seriousness::Do };
        let wish = Wish { trusted, gone: &gone, file: &file, seriousness };
        let tools = Tools::on(context.environment.variable("PATH").unwrap_or_default());
        trusting::fulfil(wish, context.environment.root, person.as_ref(), &tools)
    };
    let printed = if arguments.json {
        let value = as_json(&roots, &file, &places, tongue);
        context.out.data(&format!("{}\n", serde_json::to_string_pretty(&value).unwrap_or_default()))
    } else {
        say(context, arguments, &roots, &file, &places, tongue)
    };
    if printed == Exit::Fine { verdict(&places, arguments) } else { printed }
}

/// The one of this configuration; it is made where there is none, but for a dry run or a removal.
fn roots(config: &Config, person: Option<&Person>, arguments: &TrustArguments) -> Result<Roots, LocalError> {
    let (data_dir, now) = (data_dir(config, person)?, SystemTime::now());
    let names: Vec<String> = config.site.names.iter().map(|name| name.host.clone()).collect();
    let wanted = || Wanted::of_this_machine(&names, &config.listen.https);
    let mut notices = Vec::new();
    if !arguments.dry_run && !arguments.remove {
        let authority = Authority::open_or_make(&data_dir, &wanted(), now)?;
        // That one was made needs no saying here: the next lines do.
        let worth_saying = |notice: &&Notice| !matches!(notice, Notice::Made { .. });
        notices.extend(authority.notices().iter().filter(worth_saying).cloned());
    }
    let (current, former) = local::roots(&data_dir)?;
    let imagined = match current {
        None if !arguments.remove => Some(local::imagined(&wanted(), now)?),
        _ => None,
    };
    Ok(Roots { data_dir, current, imagined, former, notices })
}

/// Behind `sudo` the configuration means root's folder where it names none; the Portico that was meant may be the
/// person's own, and has its root in the person's.
fn data_dir(config: &Config, person: Option<&Person>) -> Result<PathBuf, LocalError> {
    let own = config.site.data_dir.clone();
    let theirs =
        person.filter(|person| person.is_behind_root()).map(|person| person.home.join(THEIR_DATA_DIR));
    match theirs {
        Some(theirs) if local::roots(&own)?.0.is_none() && local::roots(&theirs)?.0.is_some() => Ok(theirs),
        _ => Ok(own),
    }
}

/// The default of `site.data_dir` for who is not root.
const THEIR_DATA_DIR: &str = ".local/share/portico";

/// 0: it is as it was asked for, or would be; 1: somewhere it has failed, or there is no place where it could be.
fn verdict(places: &[Place], arguments: &TrustArguments) -> Exit {
    let any = |wanted: fn(&Verdict) -> bool| places.iter().any(|place| wanted(&place.verdict));
    let failed = any(|verdict| matches!(verdict, Verdict::Failed(_)));
    let fine = any(|verdict| matches!(verdict, Verdict::Done | Verdict::Already | Verdict::Would));
    let nothing_to_do = places.is_empty() && arguments.remove;
    if !failed && (fine || nothing_to_do) { Exit::Fine } else { Exit::No }
}

fn say(
    context: &Context,
    arguments: &TrustArguments,
    roots: &Roots,
    file: &Path,
    places: &[Place],
    tongue: Tongue,
) -> Exit {
    for notice in &roots.notices {
        context.out.talk(&format!("{}\n", notice.text().pick(tongue)));
    }
    let mut shown = String::new();
    match &roots.current {
        Some(root) => shown.push_str(&described(root, file, tongue)),
        None => {
            let folder = roots.data_dir.display();
            let none = match arguments.remove {
                true => text!(
                    "There is no local certificate authority in {folder}: nothing is to be taken back.",
                    "{folder} 中没有本地证书颁发机构:没有需要撤回的信任。"
                ),
                false => text!(
                    "There is no local certificate authority in {folder} yet: one would be made.\n",
                    "{folder} 中尚无本地证书颁发机构:将会创建。\n"
                ),
            };
            shown.push_str(&format!("{}\n", none.pick(tongue)));
        }
    }
    for place in places {
        shown.push_str(&line(place, arguments.remove, tongue));
    }
    let printed = context.out.data(&shown);
    if !arguments.remove && roots.current.is_some() {
        context.out.talk(&format!("\n{}\n", hints(file).pick(tongue)));
    }
    printed
}

fn described(root: &Root, file: &Path, tongue: Tongue) -> String {
    let (name, mark, file, day) = (&root.name, root.mark(), file.display(), day(root.not_after()));
    let head = text!(
        "{name} {mark}, until {day}\n  {file}\n  signs for local names and private addresses alone",
        "{name} {mark},有效期至 {day}\n  {file}\n  只为本地名称和私有地址签发"
    );
    let beyond = root.beyond().join(", ");
    if beyond.is_empty() {
        return format!("{}\n\n", head.pick(tongue));
    }
    let also = text!(", and for {beyond}", ",以及 {beyond}");
    format!("{}{}\n\n", head.pick(tongue), also.pick(tongue))
}

fn line(place: &Place, remove: bool, tongue: Tongue) -> String {
    let kind = match place.kind {
        Kind::System => text!("system store", "系统证书库"),
        Kind::Chromium => text!("Chromium, Chrome", "Chromium 与 Chrome"),
        Kind::Firefox => text!("Firefox", "Firefox 浏览器"),
    };
    let word = match (&place.verdict, remove) {
        (Verdict::Done, false) => text!("trusted now", "已信任"),
        (Verdict::Done, true) => text!("taken back", "已撤回"),
        (Verdict::Already, false) => text!("trusted already", "早已信任"),
        (Verdict::Already, true) => text!("not there", "本就没有"),
        (Verdict::Would, false) => text!("would be trusted", "将会信任"),
        (Verdict::Would, true) => text!("would be taken back", "将会撤回"),
        (Verdict::Skipped(_), _) => text!("skipped", "跳过"),
        (Verdict::Failed(_), _) => text!("failed", "失败"),
    };
    let mut line = format!("{}: {}", kind.pick(tongue), word.pick(tongue));
    if !place.path.as_os_str().is_empty() {
        line.push_str(&format!(" ({})", place.path.display()));
    }
    if let Some(why) = why(&place.verdict) {
        line.push_str(&format!("\n  {}", why.pick(tongue)));
    }
    line + "\n"
}

fn why(verdict: &Verdict) -> Option<&Text> {
    match verdict {
        Verdict::Skipped(why) | Verdict::Failed(why) => Some(why),
        Verdict::Done | Verdict::Already | Verdict::Would => None,
    }
}

fn hints(file: &Path) -> Text {
    let file = file.display();
    text!(
        "Browsers that are open have to be started again. To undo: portico cert trust --remove
Other machines and phones need the file {file} (docs/https-local.md says how);
programs with roots of their own, too: curl --cacert, SSL_CERT_FILE for Python, NODE_EXTRA_CA_CERTS for Node.js.",
        "已打开的浏览器需要重新启动。撤回:portico cert trust --remove
其他电脑和手机需要文件 {file}(做法见 docs/https-local.md);
自带根证书的程序也需要:curl 用 --cacert,Python 用 SSL_CERT_FILE,Node.js 用 NODE_EXTRA_CA_CERTS。"
    )
}

fn day(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "-".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

fn as_json(roots: &Roots, file: &Path, places: &[Place], tongue: Tongue) -> Value {
    let root = roots.current.as_ref().map(|root| {
        json!({
            "name": root.name,
            "mark": root.mark(),
            "file": file.display().to_string(),
            "not_after": jiff::Timestamp::try_from(root.not_after()).map(|time| time.to_string()).ok(),
            "beyond_local": root.beyond(),
        })
    });
    let place = |place: &Place| {
        let outcome = match place.verdict {
            Verdict::Done => "done",
            Verdict::Already => "already",
            Verdict::Would => "would",
            Verdict::Skipped(_) => "skipped",
            Verdict::Failed(_) => "failed",
        };
        let store = match place.kind {
            Kind::System => "system",
            Kind::Chromium => "chromium",
            Kind::Firefox => "firefox",
        };
        let path = Some(&place.path).filter(|path| !path.as_os_str().is_empty());
        json!({
            "store": store,
            "path": path.map(|path| path.display().to_string()),
            "outcome": outcome,
            "text": why(&place.verdict).map(|why| why.pick(tongue)),
        })
    };
    json!({
        "root": root,
        "notices": roots.notices.iter().map(|notice| notice.text().pick(tongue).to_owned()).collect::<Vec<_>>(),
        "stores": places.iter().map(place).collect::<Vec<_>>(),
    })
}
