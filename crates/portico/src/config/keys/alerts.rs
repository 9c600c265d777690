//! `[alerts]`

use std::path::PathBuf;

use super::table;
use super::tls::OPTIONAL_FILE;
use crate::config::form;
use crate::config::key::Built::Later;
use crate::config::key::Default::{Is, Required};
use crate::config::rule::{Form, List, OneOf, Period, Whole};
use crate::config::{AlertKind, SmtpSecurity};
use crate::types::Text;

table! {
    ALERTS "alerts"
    "Who is told when something is wrong, and when it is well again." "出现问题以及恢复时通知谁。";

    REPEAT "repeat": Period = Period::between("1m", "30d"), Is(r#""4h""#), Later,
        "How often an alert that goes on is repeated.", "持续中的告警多久重复一次。";
    QUIET "quiet": Form<Option<(u16, u16)>> = Form { read: form::hours, words: &[], is: Text::fixed("hours such as \"23:00-07:00\"; empty: never", "时间段,例如 \"23:00-07:00\";留空:没有") }, Is(r#""""#), Later,
        "Hours in which only critical alerts are sent.", "只发送严重告警的时间段。";
}

table! {
    SMTP "alerts.smtp"
    "The mail server for targets of kind mail." "mail 类目标使用的邮件服务器。";

    SMTP_HOST "host": Form<String> = Form { read: form::optional_host, words: &[], is: Text::fixed("a host name or address; empty: none", "主机名或地址;留空则无") }, Is(r#""""#), Later,
        "The server that takes mail.", "收取邮件的服务器。";
    SMTP_PORT "port": Whole<u16> = Whole::between(1, 65_535), Is("587"), Later,
        "Its port.", "服务器端口。";
    SMTP_SECURITY "security": OneOf<SmtpSecurity> = OneOf(&[("starttls", SmtpSecurity::StartTls), ("tls", SmtpSecurity::Tls), ("none", SmtpSecurity::None)]), Is(r#""starttls""#), Later,
        "How the way there is protected.", "连接的加密方式。";
    SMTP_USERNAME "username": Form<String> = Form { read: form::any_text, words: &[], is: Text::fixed("text", "文本") }, Is(r#""""#), Later,
        "User name, where the server wants one.", "用户名(服务器需要时)。";
    SMTP_PASSWORD_FILE "password_file": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Later,
        "File with the password.", "保存密码的文件。";
    SMTP_FROM "from": Form<String> = Form { read: form::email, words: &[], is: Text::fixed("a mail address", "邮件地址") }, Is(r#""""#), Later,
        "The sender of the mail.", "发件人。";
}

table! {
    TARGET "alerts.target[]"
    "One place that alerts are sent to." "告警发送的一个目标。";

    TARGET_NAME "name": Form<String> = Form { read: form::model_name, words: &[], is: Text::fixed("a name without blanks", "不含空格的名称") }, Required, Later,
        "Its name in `portico alert test NAME`.", "在 `portico alert test 名称` 中使用的名称。";
    TARGET_KIND "kind": OneOf<AlertKind> = OneOf(&[
            ("mail", AlertKind::Mail), ("webhook", AlertKind::Webhook), ("dingtalk", AlertKind::DingTalk), ("feishu", AlertKind::Feishu),
            ("wecom", AlertKind::WeCom), ("slack", AlertKind::Slack), ("ntfy", AlertKind::Ntfy), ("alertmanager", AlertKind::Alertmanager)]), Required, Later,
        "What it is.", "目标的类型。";
    TARGET_TO "to": List<Form<String>> = List { item: Form { read: form::email, words: &[], is: Text::fixed("a mail address", "邮件地址") }, max: 64 }, Is("[]"), Later,
        "Who gets the mail, for kind mail.", "收件人(mail 类)。";
    TARGET_URL_FILE "url_file": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Later,
        "File with the address that is called; it is a secret for chat robots. For every kind but mail.", "保存调用地址的文件(聊天机器人的地址即机密)。mail 以外的类型使用。";
    TARGET_SECRET_FILE "secret_file": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Later,
        "File with the secret that signs the call, where the robot wants one.", "保存签名密钥的文件(机器人要求时)。";
}
