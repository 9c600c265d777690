//! `[site]`

use std::path::PathBuf;

use super::table;
use crate::config::form;
use crate::config::key::Built::{LaterProtectsRoot, Yes};
use crate::config::key::Default::{Depends, Is};
use crate::config::rule::{Form, List, OneOf};
use crate::config::{Language, SiteName};
use crate::types::Text;

table! {
    SITE "site"
    "What is served, and under which names." "提供什么内容,使用哪些域名。";

    NAMES "names": List<Form<SiteName>> = List {
            item: Form { read: form::site_name, words: &[], is: Text::fixed("a host name, with a port where links need one", "域名;链接需要端口时带上端口") },
            max: 64,
        }, Is("[]"), Yes,
        "Public names; the first is the canonical one. Empty: local mode, where only this machine is served and nobody is asked who they are.",
        "公开域名,第一个为主域名。留空即本地模式:只服务本机,不验证身份。";
    EMAIL "email": Form<String> = Form { read: form::email, words: &[], is: Text::fixed("a mail address", "邮件地址") }, Is(r#""""#), Yes,
        "Contact that the certificate authority writes to.",
        "证书颁发机构的联系邮箱。";
    ROOT "root": Form<PathBuf> = Form { read: form::file, words: &["builtin"], is: Text::fixed("a folder", "文件夹") }, Is(r#""builtin""#), Yes,
        "The built-in chat page, or a folder of your own pages.",
        "内置聊天页面,或您自己页面所在的文件夹。";
    INDEX "index": Form<String> = Form { read: form::index_page, words: &[], is: Text::fixed("a page inside of the root", "根目录内的页面") }, Is(r#""chat.html""#), Yes,
        "The page that answers \"/\" and unknown page paths (GET and HEAD that accept HTML, no file extension). Everything else that is unknown is 404.",
        "响应 \"/\" 和未知页面路径(接受 HTML、无扩展名的 GET 和 HEAD)的页面;其他未知路径返回 404。";
    DATA_DIR "data_dir": Form<Option<PathBuf>> = Form { read: form::optional_file, words: &[], is: Text::fixed("a folder", "文件夹") },
        Depends(Text::fixed(
            "/var/lib/portico for root and the service, $XDG_DATA_HOME/portico (~/.local/share/portico) for others",
            "root 和系统服务为 /var/lib/portico,其他用户为 $XDG_DATA_HOME/portico(~/.local/share/portico)")), Yes,
        "Where Portico keeps what it must remember. A change needs a restart.",
        "Portico 保存数据的位置。修改后需要重启。";
    USER "user": Form<String> = Form { read: form::any_text, words: &[], is: Text::fixed("a user of this machine", "本机用户") }, Is(r#""""#), LaterProtectsRoot,
        "The user that Portico becomes after binding its ports when it was started as root. Empty: it stays who it is. A change needs a restart.",
        "以 root 启动时,绑定端口后切换到的用户。留空则不切换。修改后需要重启。";
    LANGUAGE "language": OneOf<Language> = OneOf(&[("auto", Language::Auto), ("en", Language::English), ("zh-CN", Language::Chinese)]), Is(r#""auto""#), Yes,
        "The language of the command line and of alerts; auto follows LC_ALL, LC_MESSAGES and LANG. Pages follow the browser.",
        "命令行和告警使用的语言;auto 依次参照 LC_ALL、LC_MESSAGES 和 LANG。页面跟随浏览器。";
}
