//! Why pages can't be served at all: found at start and at reload, told to the operator.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::folder::Bar;
use crate::types::{Text, text};

/// Pages that can't be opened. Each says what to do about it.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// `site.root = "builtin"` in a build without the page.
    NotBuilt,
    NoBuiltInIndex(String),
    /// `site.index` is no name of a file below the root.
    BadIndex(String),
    FolderMissing(PathBuf),
    NotAFolder(PathBuf),
    FolderUnreadable(PathBuf, io::Error),
    IndexMissing(PathBuf),
    IndexRefused(PathBuf, Bar),
}

impl OpenError {
    pub(crate) fn text(&self) -> Text {
        match self {
            Self::NotBuilt => text!(
                "this program was built without the built-in page: set `site.root` to a folder of pages, or build without --no-default-features",
                "此程序构建时未包含内置页面:请将 `site.root` 设为页面目录,或构建时去掉 --no-default-features"
            ),
            Self::NoBuiltInIndex(index) => text!(
                "the built-in page has no file `{index}`: leave `site.index` out, or set it to \"chat.html\"",
                "内置页面中没有文件 `{index}`:请删去 `site.index`,或将其设为 \"chat.html\""
            ),
            Self::BadIndex(index) => text!(
                "`site.index` is {index:?}, which names no file below `site.root`: give a relative path like \"chat.html\", without `..` and without names that begin with a dot",
                "`site.index` 的值 {index:?} 不是 `site.root` 之下的文件名:请写相对路径,例如 \"chat.html\",不含 `..`,各级名称不以点开头"
            ),
            Self::FolderMissing(path) => {
                let path = path.display();
                text!(
                    "`site.root` is {path}, and there is no such folder: create it, correct the path, or use \"builtin\"",
                    "`site.root` 指向的目录 {path} 不存在:请创建该目录、更正路径,或使用 \"builtin\""
                )
            }
            Self::NotAFolder(path) => {
                let path = path.display();
                text!(
                    "`site.root` is {path}, which is not a folder: name the folder that holds the pages",
                    "`site.root` 指向的 {path} 不是目录:请填写存放页面的目录"
                )
            }
            Self::FolderUnreadable(path, error) => {
                let path = path.display();
                text!(
                    "{path} can't be opened: {error}. The user that Portico runs as must be able to enter every folder above it and to read it; folders under /root are closed to others",
                    "无法打开 {path}:{error}。运行 Portico 的用户必须能进入其所有上级目录并读取它;/root 下的目录对其他用户不可见"
                )
            }
            Self::IndexMissing(path) => {
                let path = path.display();
                text!(
                    "the index {path} is missing: put the page there, or name another file in `site.index`",
                    "首页文件 {path} 不存在:请将页面放在该处,或在 `site.index` 中指定其他文件"
                )
            }
            Self::IndexRefused(path, bar) => {
                let (path, Text { en, zh }) = (path.display(), bar.text());
                text!(
                    "the index {path} can't be served ({en}): it must be a regular file inside `site.root` that the user Portico runs as can read",
                    "首页文件 {path} 无法提供({zh}):它必须是 `site.root` 之内的普通文件,且运行 Portico 的用户可读"
                )
            }
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text().en)
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::FolderUnreadable(_, error) => Some(error),
            _ => None,
        }
    }
}
