//! `[log]`, `[health]`, `[firewall]`, `[store]`

use std::path::PathBuf;

use super::table;
use crate::config::form;
use crate::config::key::Built::{Later, Yes};
use crate::config::key::Default::{Depends, Is};
use crate::config::rule::{Flag, Form, List, OneOf, Period, Size, Whole};
use crate::config::tracing_level::Level;
use crate::config::{FirewallBackend, FirewallDefault, LogFormat};
use crate::types::Text;

const PORT_RULE: Form<String> = Form {
    read: form::port_rule,
    words: &["ssh"],
    is: Text::fixed("a port with its protocol, such as \"443/tcp\"", "带协议的端口,例如 \"443/tcp\""),
};

table! {
    LOG "log"
    "What is written down." "记录哪些日志。";

    ACCESS "access": Form<PathBuf> = Form { read: form::file, words: &["stdout", "off"], is: Text::fixed("the path of a file", "文件路径") },
        Depends(Text::fixed("\"stdout\"; under the service /var/log/portico/access.log", "\"stdout\";作为系统服务时为 /var/log/portico/access.log")), Yes,
        "Where one line per request goes.", "每个请求一行的访问日志写到何处。";
    FORMAT "format": OneOf<LogFormat> = OneOf(&[("recipe", LogFormat::Recipe), ("json", LogFormat::Json)]), Is(r#""json""#), Yes,
        "json, or recipe: Nginx's qwen_combined to the letter.", "json,或 recipe:与 Nginx 的 qwen_combined 完全一致。";
    ERROR "error": Form<PathBuf> = Form { read: form::file, words: &["stderr"], is: Text::fixed("the path of a file", "文件路径") }, Is(r#""stderr""#), Yes,
        "Where Portico's own messages go.", "Portico 自身的消息写到何处。";
    LEVEL "level": OneOf<Level> = OneOf(&[("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug), ("trace", Level::Trace)]), Is(r#""info""#), Yes,
        "How much Portico says about itself.", "Portico 自身消息的详细程度。";
    PROMPTS "prompts": Flag = Flag, Is("false"), Later,
        "Content is never logged unless this is true.", "除非为 true,否则绝不记录内容。";
}

table! {
    ROTATE "log.rotate"
    "When a log file is put aside." "何时轮换日志文件。";

    ROTATE_SIZE "size": Size<u64> = Size::between("1MiB", "1TiB"), Is(r#""100MiB""#), Later,
        "At this size a new file is begun.", "达到该大小时另起新文件。";
    ROTATE_KEEP "keep": Whole<u32> = Whole::between(1, 10_000), Is("14"), Later,
        "So many old files are kept.", "保留的旧文件数。";
}

table! {
    HEALTH "health"
    "How model servers are watched." "如何监视模型服务。";

    INTERVAL "interval": Period = Period::or_zero("1s", "1h", Text::fixed("no probes; endpoints are judged by traffic alone", "不探测;只按实际流量判断")), Is(r#""15s""#), Yes,
        "How often a model server is asked whether it lives.", "多久询问一次模型服务是否存活。";
    GENERATE_EVERY "generate_every": Period = Period::or_zero("10s", "1d", Text::fixed("never", "从不")), Is(r#""5m""#), Later,
        "How often one real token is generated, only when none has flowed since.", "多久真实生成一个 token;仅在这段时间没有任何输出时进行。";
    FAILURES "failures": Whole<u32> = Whole::between(1, 100), Is("2"), Yes,
        "So many failures in a row mark an endpoint down.", "连续失败这么多次即判定端点不可用。";
    HEARTBEAT_URL "heartbeat_url": Form<String> = Form { read: form::https_or_http, words: &[], is: Text::fixed("a web address; empty: none", "网址;留空则无") }, Is(r#""""#), Later,
        "Fetched every minute while all is well, so that a dead box is noticed elsewhere.", "一切正常时每分钟访问一次,以便在别处发现机器宕机。";
}

table! {
    FIREWALL "firewall"
    "What `portico firewall` would set up on this machine." "`portico firewall` 要在本机设置的规则。";

    BACKEND "backend": OneOf<FirewallBackend> = OneOf(&[("auto", FirewallBackend::Auto), ("nftables", FirewallBackend::Nftables), ("ufw", FirewallBackend::Ufw), ("firewalld", FirewallBackend::Firewalld)]), Is(r#""auto""#), Later,
        "Which firewall is spoken to.", "使用哪种防火墙。";
    DEFAULT "default": OneOf<FirewallDefault> = OneOf(&[("deny", FirewallDefault::Deny), ("allow", FirewallDefault::Allow)]), Is(r#""deny""#), Later,
        "What happens to a port that is not named.", "未列出的端口如何处理。";
    OPEN "open": List<Form<String>> = List { item: PORT_RULE, max: 256 }, Is(r#"["ssh", "80/tcp", "443/tcp"]"#), Later,
        "Ports that stay open. ssh: the port(s) that sshd really listens on.", "保持开放的端口。ssh:sshd 实际监听的端口。";
    CLOSED "closed": List<Form<String>> = List { item: PORT_RULE, max: 256 }, Is(r#"["8000/tcp", "3001/tcp"]"#), Later,
        "Ports that are refused even where the default is to allow.", "即使默认允许也拒绝的端口。";
}

table! {
    STORE "store"
    "Where users, keys and usage are kept." "用户、密钥和用量的存储。";

    URL "url": Form<String> = Form { read: form::store_url, words: &[], is: Text::fixed("sqlite:FILE", "sqlite:文件") }, Is(r#""sqlite:portico.db""#), Yes,
        "The database. A relative file is meant from data_dir.", "数据库。相对路径以 data_dir 为起点。";
    KEEP_USAGE "keep_usage": Period = Period::between("1d", "3650d"), Is(r#""400d""#), Later,
        "How long the ledger of usage is kept.", "用量记录的保留时间。";
}
