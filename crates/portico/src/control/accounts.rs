//! Who may come in, as long as the process runs: the store and the htpasswd file opened, watched and looked after.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::process::Control;
use crate::access::{Accounts, Authenticator, Htpasswd, StorePlace, read_htpasswd};
use crate::config::Config;
use crate::store::Found;
use crate::sys::files::stamp;
use crate::types::{Text, text};

/// A changed file is in force within a second.
const LOOK: Duration = Duration::from_millis(250);
/// How often the use of keys is written down, and the head of the audit trail logged where it has moved.
const KEEP: Duration = Duration::from_secs(60);

/// Before anything listens: what is missing stops the start. With what has to be said of the store, loudly.
pub(crate) fn open(config: &Config) -> Result<(Accounts, Option<Text>), Text> {
    let htpasswd = htpasswd(config)?;
    let authenticator = Authenticator::new(config.access.lockout.clone()).map_err(|error| {
        text!("what verifies passwords can't be started: {error}", "无法启动密码验证:{error}")
    })?;
    let place = StorePlace { data_dir: config.site.data_dir.clone(), database: config.database() };
    // In local mode nobody is asked who he is: the first user makes the store.
    let open = !config.describes_local_mode();
    let (accounts, found) =
        Accounts::start(place, htpasswd, Arc::new(authenticator), open).map_err(|error| error.text())?;
    let path = config.database();
    let path = path.display();
    let loss = match found {
        Some(Found::SetAside { to, why }) => {
            let to = to.display();
            Some(text!(
                "THE STORE {path} WAS DAMAGED ({why}) and is set aside as {to}: no user and no key is known any more. `portico restore` brings a backup back",
                "存储 {path} 已损坏({why}),已移至 {to}:不再有任何用户和密钥。`portico restore` 可恢复备份"
            ))
        }
        Some(Found::Lost) => Some(text!(
            "THE STORE {path} IS GONE: no user and no key is known any more. `portico restore` brings a backup back",
            "存储 {path} 已丢失:不再有任何用户和密钥。`portico restore` 可恢复备份"
        )),
        Some(Found::New | Found::There) | None => None,
    };
    Ok((accounts, loss))
}

/// The file of the configuration; nobody, where it names none.
pub(crate) fn htpasswd(config: &Config) -> Result<Htpasswd, Text> {
    let Some(path) = &config.access.htpasswd else { return Ok(Htpasswd::default()) };
    let file = read_htpasswd(path)?;
    remark(path, &file);
    Ok(file)
}

fn remark(path: &Path, file: &Htpasswd) {
    for remark in &file.remarks {
        tracing::warn!(path = %path.display(), "htpasswd: {}", remark.text().en);
    }
}

/// Takes over the htpasswd file when it changes, and writes down what the request path has learnt.
pub(crate) async fn watch(control: Arc<Control>) {
    let mut known = Known::of(&control);
    let mut kept = tokio::time::Instant::now();
    let mut head = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Known::of(&control);
        if now != known {
            take_over(&control).await;
            known = now;
        }
        if kept.elapsed() >= KEEP {
            kept = tokio::time::Instant::now();
            keep(&control, &mut head).await;
        }
    }
}

/// Which file is watched, and what it was like.
#[derive(PartialEq)]
struct Known {
    path: Option<std::path::PathBuf>,
    stamp: Option<crate::sys::files::Stamp>,
}

impl Known {
    fn of(control: &Control) -> Self {
        let path = control.door.snapshot.load().config.access.htpasswd.clone();
        let stamp = path.as_deref().and_then(stamp);
        Self { path, stamp }
    }
}

/// A file that can't be read lets nobody in.
async fn take_over(control: &Control) {
    let config = control.door.snapshot.load().config.clone();
    let file = match htpasswd(&config) {
        Ok(file) => {
            tracing::info!(users = file.users.len(), "the htpasswd file was read anew");
            remark_on_keys(control, &file).await;
            file
        }
        Err(why) => {
            tracing::error!("{}", why.en);
            Htpasswd::default()
        }
    };
    if let Err(error) = control.door.accounts.set_htpasswd(file).await {
        tracing::error!("the htpasswd file was not taken over: {}", error.text().en);
    }
}

/// Whoever was taken out of the file may still have keys, which it does not hold.
async fn remark_on_keys(control: &Control, file: &Htpasswd) {
    let Ok(everyone) = control.door.accounts.everyone().await else { return };
    let directory = control.door.accounts.authenticator().directory();
    for person in directory.people().filter(|person| person.is_of_file()) {
        let is_gone = !file.users.contains_key(&*person.name);
        let keys = everyone.keys.iter().filter(|key| *key.user == *person.name && key.revoked.is_none());
        let keys = keys.count();
        if is_gone && keys > 0 {
            let name = &person.name;
            tracing::warn!(
                keys,
                "{name} is in the htpasswd file no more and still has keys: `portico user disable {name}` closes them too"
            );
        }
    }
}

async fn keep(control: &Control, head: &mut Option<crate::store::Head>) {
    let accounts = &control.door.accounts;
    if let Err(error) = accounts.keep_uses().await {
        tracing::warn!("when keys were used could not be written: {}", error.text().en);
    }
    // Outside of the database, where who changes it may not reach.
    if let Ok(Some(now)) = accounts.head().await
        && *head != Some(now)
    {
        tracing::info!(head = %now, "where the audit trail ends");
        *head = Some(now);
    }
}
