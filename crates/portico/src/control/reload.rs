//! Parse → check → build → swap, or keep the old one and say why.
//!
//! Everything that can fail comes before anything is changed. Requests that are under way end under the
//! configuration they began with; their connections and streams are not touched.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::accounts::htpasswd;
use super::certificates::Certificates;
use super::models::{self, Plan};
use super::process::{Control, ReloadOutcome};
use super::unopened;
use crate::access::{Htpasswd, Rules};
use crate::config::{self, Config, Problems, Root};
use crate::front::{Cors, Snapshot, strict_transport_security};
use crate::observe::AccessLog;
use crate::sys::files::stamp;
use crate::types::{Text, text};
use crate::ui::Site;

pub(crate) async fn reload(control: &Control) -> ReloadOutcome {
    let loaded = match config::load(control.source.as_deref(), &control.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return ReloadOutcome::Wrong(problems),
    };
    if let Err(problems) = startable(&loaded) {
        return ReloadOutcome::Wrong(Box::new(problems));
    }
    let mut current = control.models.lock().await;
    let old = control.door.snapshot.load_full();
    let new = Arc::new(loaded.config);
    let diff = config::diff::diff(&old.config, &new);
    if !diff.needs_restart.is_empty() {
        let keys = diff.needs_restart.join(", ");
        return ReloadOutcome::Refused(text!(
            "{keys} can't change while Portico runs. Nothing was changed; restart it to use the new file.",
            "{keys} 无法在运行中更改。没有任何改动;请重启以使用新文件。"
        ));
    }
    let built = match build(&new, &old, control.certificates.as_ref()) {
        Ok(built) => built,
        Err(why) => return ReloadOutcome::Refused(why),
    };
    let plan = match Plan::new(&new, &current, Some(&old.config)) {
        Ok(plan) => plan,
        Err(error) => return ReloadOutcome::Refused(error.text()),
    };
    if !new.describes_local_mode()
        && let Err(error) = control.door.accounts.make_store().await
    {
        return ReloadOutcome::Refused(error.text());
    }
    if let Err(error) = control.error_log.change(&new.log) {
        return ReloadOutcome::Refused(unopened::error_log(&new.log, &error));
    }
    if let Some(log) = built.access_log {
        control.change_access_log(log);
    }
    if let Some(certificates) = &control.certificates {
        certificates.change(&new);
    }
    let accounts = &control.door.accounts;
    if let Some(htpasswd) = built.htpasswd
        && let Err(error) = accounts.set_htpasswd(htpasswd).await
    {
        tracing::error!("the htpasswd file was not taken over: {}", error.text().en);
    }
    accounts.authenticator().set_limits(new.access.lockout.clone());
    let (models, gone) = plan.carry_out(&new);
    *current = models;
    control.remember_leaving(gone);
    control.door.snapshot.store(Arc::new(Snapshot {
        is_local: new.describes_local_mode(),
        access: Rules::new(&new),
        cors: Cors::new(&new.cors),
        hsts: strict_transport_security(&new),
        tls: built.tls,
        models: models::registry(&current),
        site: built.site,
        account: old.account.clone(),
        cache_salt: old.cache_salt,
        config: new,
    }));
    ReloadOutcome::Done { changed: diff.changed }
}

/// What a configuration is refused for at a start and at a reload alike.
pub(crate) fn startable(loaded: &config::Loaded) -> Result<(), Problems> {
    let list: Vec<_> =
        config::unbuilt(loaded).into_iter().filter(|p| p.severity == config::Severity::Error).collect();
    if list.is_empty() {
        return Ok(());
    }
    Err(Problems { document: loaded.document.clone(), list, tongue: loaded.tongue })
}

struct Built {
    site: Arc<Site>,
    /// `None`: as before.
    access_log: Option<AccessLog>,
    tls: Option<Arc<ServerConfig>>,
    /// `None`: as before.
    htpasswd: Option<Htpasswd>,
}

fn build(new: &Config, old: &Snapshot, certificates: Option<&Certificates>) -> Result<Built, Text> {
    // A folder is held open: only opening it anew sees that another one was put in its place.
    let built_in = new.site.root == Root::Builtin && old.config.site.root == Root::Builtin;
    let site = if built_in && new.site.index == old.config.site.index {
        old.site.clone()
    } else {
        Arc::new(Site::open(&new.site).map_err(|error| error.text())?)
    };
    let same_log = new.log.access == old.config.log.access && new.log.format == old.config.log.format;
    let access_log = if same_log {
        None
    } else {
        let started = AccessLog::start(&new.log.access, new.log.format);
        Some(started.map_err(|error| unopened::access_log(&new.log, &error))?)
    };
    let tls = match certificates {
        Some(_) if new.tls.min_version == old.config.tls.min_version => old.tls.clone(),
        Some(certificates) => Some(certificates.server_config(new)?),
        None => None,
    };
    let same_file = new.access.htpasswd == old.config.access.htpasswd;
    let htpasswd = if same_file { None } else { Some(htpasswd(new)?) };
    Ok(Built { site, access_log, tls, htpasswd })
}

/// Reloads when the file has changed and has then been left alone for a moment, so that a half-written one is
/// not read. Looks once a second: that also sees renames and folders swapped by links, on every file system.
pub(crate) async fn watch_file(control: Arc<Control>) {
    let Some(path) = control.source.clone() else { return };
    let mut known = stamp(&path);
    let mut pending = None;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = stamp(&path);
        if now == known {
            pending = None;
        } else if pending == Some(now) {
            known = now;
            pending = None;
            // An editor that has moved the file away for a moment is not a wish for the defaults.
            if now.is_some() {
                control.reload().await;
            }
        } else {
            pending = Some(now);
        }
    }
}
