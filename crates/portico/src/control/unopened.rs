//! What is said of a log that can't be opened, at a start and at a reload.

use std::io;

use crate::config::{Log, LogTarget};
use crate::types::{Text, text};

pub(crate) fn access_log(log: &Log, error: &io::Error) -> Text {
    let path = match &log.access {
        LogTarget::File(path) => path.display().to_string(),
        LogTarget::Stdout | LogTarget::Off => String::new(),
    };
    text!(
        "the access log {path} can't be opened: {error}. Correct log.access, or the owner and permissions of its folder.",
        "无法打开访问日志 {path}:{error}。请更正 log.access,或其目录的所有者和权限。"
    )
}

pub(crate) fn error_log(log: &Log, error: &io::Error) -> Text {
    let path = log.error.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    text!(
        "the error log {path} can't be opened: {error}. Correct log.error, or the owner and permissions of its folder.",
        "无法打开错误日志 {path}:{error}。请更正 log.error,或其目录的所有者和权限。"
    )
}
