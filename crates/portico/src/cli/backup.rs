//! `portico backup` and `portico restore`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use serde_json::json;

use super::admin::{call_for, say};
use super::arguments::{BackupArguments, RestoreArguments};
use super::{Context, Exit, check};
use crate::config::{self, Config};
use crate::control;
use crate::store::Verdict;
use crate::store::backup::{Restored, Revived, Was, restore as restore_store};
use crate::sys::{files, users};
use crate::types::{Text, Tongue, text};

pub(crate) fn backup(context: &Context, arguments: &BackupArguments) -> Exit {
    let BackupArguments { file, passphrase_file, json: as_json } = arguments;
    let passphrase = match control::passphrase(passphrase_file) {
        Ok(passphrase) => passphrase,
        Err(why) => {
            say(context, context.tongue, &why);
            return Exit::Wrong;
        }
    };
    let asked = match call_for(
        context,
        StatusCode::OK,
        Method::POST,
        "/backup",
        &json!({"passphrase": passphrase}),
    ) {
        Ok(asked) => asked,
        Err(exit) => return exit,
    };
    // Made in the data folder, since who runs Portico may not write where the operator may.
    let made = PathBuf::from(asked.answer["path"].as_str().unwrap_or_default());
    let moved = std::fs::read(&made).and_then(|content| files::replace(file, &content, 0o600));
    let removed = files::remove(&made);
    if let Err(error) = moved.and(removed) {
        let shown = file.display();
        say(context, asked.tongue, &text!("{shown} can't be written: {error}", "无法写入 {shown}:{error}"));
        return Exit::No;
    }
    if *as_json {
        let answer = json!({"file": file, "bytes": asked.answer["bytes"], "files": asked.answer["files"]});
        return context.out.data(&format!("{answer:#}\n"));
    }
    let (file, bytes, files) = (file.display(), &asked.answer["bytes"], &asked.answer["files"]);
    let text = text!(
        "{file} holds everything that can't be made again: people, keys, the audit trail and {files} files of certificates ({bytes} bytes). Nobody reads it without the passphrase, and nor do you: keep that somewhere else.",
        "{file} 已包含所有无法重建的数据:用户、密钥、审计记录和 {files} 个证书文件({bytes} 字节)。没有口令任何人(包括您)都无法读取:请另行妥善保存口令。"
    );
    context.out.data(&format!("{}\n", text.pick(asked.tongue)))
}

pub(crate) fn restore(context: &Context, arguments: &RestoreArguments) -> Exit {
    let RestoreArguments { file, passphrase_file } = arguments;
    let loaded = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refuse(context, &problems.document, &problems.list, problems.tongue),
    };
    match restored(&loaded.config, file, passphrase_file) {
        Ok((restored, files)) => context.out.data(&report(&restored, &files, loaded.tongue)),
        Err(why) => {
            say(context, loaded.tongue, &why);
            Exit::No
        }
    }
}

fn restored(config: &Config, file: &Path, passphrase_file: &Path) -> Result<(Restored, Vec<PathBuf>), Text> {
    let passphrase = control::passphrase(passphrase_file)?;
    let actor = format!("system:{}", users::name_of(rustix::process::getuid().as_raw()));
    let data_dir = &config.site.data_dir;
    let restored = restore_store(data_dir, &config.database(), file, passphrase.as_bytes(), &actor)
        .map_err(|error| error.text())?;
    let files = control::put_back(data_dir, &restored.extras)?;
    Ok((restored, files))
}

fn report(restored: &Restored, files: &[PathBuf], tongue: Tongue) -> String {
    let mut out = String::new();
    let mut line = |text: Text| {
        let _ = writeln!(out, "{}", text.pick(tongue));
    };
    line(text!(
        "The backup is in place. `portico run` goes on with it.",
        "备份已恢复。`portico run` 将以此继续运行。"
    ));
    if let Some(replaced) = &restored.replaced {
        let replaced = replaced.display();
        line(text!("What was there before is kept as {replaced}.", "之前的数据保存为 {replaced}。"));
    }
    if let Verdict::Broken { number, .. } = restored.trail {
        line(text!(
            "BEWARE: the backup's audit trail is broken at record {number}.",
            "警告:备份中的审计记录在第 {number} 条处已被破坏。"
        ));
    }
    if let Some(head) = &restored.head {
        line(text!(
            "The audit trail goes on in a new epoch; its end is {head}.",
            "审计记录在新的纪元中继续;链尾为 {head}。"
        ));
    }
    match &restored.differences {
        Err(Text { en, zh }) => line(text!(
            "What was there before could not be read ({en}), so nobody can say who came back to life.",
            "无法读取之前的数据({zh}),因此无法列出哪些用户和密钥重新生效。"
        )),
        Ok(differences) => {
            for revived in &differences.revived {
                line(revived_text(revived));
            }
            for name in &differences.lost_users {
                line(text!(
                    "lost: the user {name}, added after the backup",
                    "丢失:备份之后添加的用户 {name}"
                ));
            }
            for key in &differences.lost_keys {
                let (id, user) = (&key.id, &key.user);
                line(text!(
                    "lost: the key {id} of {user}, made after the backup",
                    "丢失:备份之后创建的密钥 {id}({user})"
                ));
            }
        }
    }
    for path in files {
        let path = path.display();
        line(text!("put back: {path}", "已放回:{path}"));
    }
    out
}

fn revived_text(revived: &Revived) -> Text {
    let was = |was: &Was| match was {
        Was::Removed => text!("was removed", "已被删除"),
        Was::Disabled => text!("was disabled", "已被停用"),
        Was::Revoked => text!("was revoked", "已被吊销"),
        Was::Expired => text!("had expired", "已过期"),
        Was::OtherPassword => text!("had another password", "已更换密码"),
        Was::NoOperator => text!("was no operator any more", "已不再是管理员"),
    };
    match revived {
        Revived::User { name, was: how } => {
            let Text { en, zh } = was(how);
            text!("BACK TO LIFE: the user {name}, who {en}", "重新生效:用户 {name}({zh})")
        }
        Revived::Key { id, user, was: how } => {
            let Text { en, zh } = was(how);
            text!("BACK TO LIFE: the key {id} of {user}, which {en}", "重新生效:{user} 的密钥 {id}({zh})")
        }
    }
}
