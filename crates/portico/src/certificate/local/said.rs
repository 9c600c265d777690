//! What is said about the local authority: why it can't be used, and what has become of it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::certificate::pair::PairError;
use crate::types::{Text, text};

/// Why there is no local certificate.
#[derive(Debug)]
pub(crate) enum LocalError {
    Folder(PathBuf, io::Error),
    Read(PathBuf, io::Error),
    Write(PathBuf, io::Error),
    /// Another process has held the lock for longer than making certificates takes.
    Locked(PathBuf),
    Make(rcgen::Error),
    Made(PairError),
}

/// What has become of the authority, to be told to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// There was none.
    Made { name: String },
    /// What was trusted is trusted for nothing any more.
    Replaced { name: String, why: Why },
    /// Others could read the key; now they can't.
    KeyWasOpen { key: PathBuf, mode: u32 },
}

/// Why an authority can't go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// So little is left that a new certificate could not last.
    Expired,
    /// Made while the clock was wrong.
    NotYetValid,
    /// It may not sign these, which the configuration asks for.
    Uncovered(Vec<String>),
    /// One of the two files is not what it should be, or missing.
    Unusable(String),
}

impl LocalError {
    pub(crate) fn text(&self) -> Text {
        match self {
            Self::Folder(path, error) => {
                let path = path.display();
                text!(
                    "the folder {path} for local certificates can't be used: {error}. Correct its owner and permissions, or site.data_dir.",
                    "无法使用本地证书目录 {path}:{error}。请更正其所有者和权限,或修改 site.data_dir。"
                )
            }
            Self::Read(path, error) => {
                let path = path.display();
                text!(
                    "{path} can't be read: {error}. Run this as the user that Portico runs as, or correct the file's owner and permissions.",
                    "无法读取 {path}:{error}。请以运行 Portico 的用户执行,或更正该文件的所有者和权限。"
                )
            }
            Self::Write(path, error) => {
                let path = path.display();
                text!(
                    "{path} can't be written: {error}. Correct the owner and permissions of its folder, or make room on the disk.",
                    "无法写入 {path}:{error}。请更正其目录的所有者和权限,或清理磁盘空间。"
                )
            }
            Self::Locked(path) => {
                let path = path.display();
                text!(
                    "another Portico has held {path} for ten seconds. Try again; if that goes on, end the process that `fuser {path}` names.",
                    "另一个 Portico 占用 {path} 已超过十秒。请重试;若仍如此,请结束 `fuser {path}` 所示的进程。"
                )
            }
            Self::Make(error) => {
                text!(
                    "the local certificate authority can't sign: {error}",
                    "本地证书颁发机构无法签发:{error}"
                )
            }
            Self::Made(error) => {
                let Text { en, zh } = error.text();
                text!("the local certificate can't be used: {en}", "无法使用本地证书:{zh}")
            }
        }
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().en)
    }
}

impl std::error::Error for LocalError {}

impl Notice {
    pub(crate) fn text(&self) -> Text {
        match self {
            Self::Made { name } => text!(
                "a local certificate authority was made: {name}. Browsers accept it after `portico cert trust`.",
                "已创建本地证书颁发机构:{name}。执行 `portico cert trust` 后浏览器才会接受。"
            ),
            Self::Replaced { name, why } => {
                let Text { en, zh } = why.text();
                text!(
                    "a new local certificate authority was made, because {en}: {name}. Whoever trusted the former one has to trust this one: run `portico cert trust` again.",
                    "由于{zh},已创建新的本地证书颁发机构:{name}。信任过旧机构的地方需要重新信任:请再次执行 `portico cert trust`。"
                )
            }
            Self::KeyWasOpen { key, mode } => {
                let key = key.display();
                text!(
                    "the key of the local certificate authority, {key}, could be read by other users (mode {mode:o}); now it can't (600). If somebody may have copied it, delete its folder, restart Portico, and run `portico cert trust` again.",
                    "本地证书颁发机构的密钥 {key} 曾可被其他用户读取(权限 {mode:o});现已改为 600。若可能已被他人复制,请删除其目录,重启 Portico,然后再次执行 `portico cert trust`。"
                )
            }
        }
    }
}

impl Why {
    fn text(&self) -> Text {
        match self {
            Self::Expired => text!("the former one is at its end", "旧机构即将到期"),
            Self::NotYetValid => text!(
                "the former one is not valid yet (it was made while the clock was wrong)",
                "旧机构尚未生效(创建时系统时钟有误)"
            ),
            Self::Uncovered(names) => {
                let names = names.join(", ");
                text!("the former one may not sign for {names}", "旧机构不能为 {names} 签发")
            }
            Self::Unusable(what) => text!("the former one can't be used ({what})", "旧机构无法使用({what})"),
        }
    }
}
