//! `[access]` and `[cors]`

use std::path::PathBuf;

use ipnet::IpNet;

use super::listen::NETWORK;
use super::table;
use super::tls::OPTIONAL_FILE;
use crate::config::form;
use crate::config::key::Built::{Later, Yes};
use crate::config::key::Default::Is;
use crate::config::rule::{Flag, Form, List, OneOf, Period, Whole};
use crate::config::{Satisfy, Scope};
use crate::types::Text;

const HEADER: Form<String> = Form {
    read: form::header_name,
    words: &[],
    is: Text::fixed("a header name, with * at its end for a prefix", "头名称,末尾可用 * 表示前缀"),
};

table! {
    ACCESS "access"
    "Who may come in." "谁可以进入。";

    SCOPE "scope": OneOf<Scope> = OneOf(&[("site", Scope::Site), ("api", Scope::Api)]), Is(r#""site""#), Yes,
        "What asks for identity: everything, or only the API. Networks guard both.",
        "哪些内容要求身份:全部(site),或仅 API(api)。网段规则对两者都有效。";
    SATISFY "satisfy": OneOf<Satisfy> = OneOf(&[("all", Satisfy::All), ("any", Satisfy::Any)]), Is(r#""all""#), Yes,
        "How networks and identity combine: both, or either. deny always wins; any with an empty allow is refused.",
        "网段与身份的组合方式:两者都要(all)或任一即可(any)。deny 始终优先;any 而 allow 为空会被拒绝。";
    ALLOW "allow": List<Form<IpNet>> = List { item: NETWORK, max: 4096 }, Is("[]"), Yes,
        "Networks that may come in. Empty: every address.", "允许进入的网段。留空:所有地址。";
    DENY "deny": List<Form<IpNet>> = List { item: NETWORK, max: 4096 }, Is("[]"), Yes,
        "Networks that may not come in, whatever else is said.", "无论如何都不允许进入的网段。";
    HTPASSWD "htpasswd": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Yes,
        "An existing htpasswd file whose users may come in.", "已有的 htpasswd 文件,其中的用户可以进入。";
    REALM "realm": Form<String> = Form { read: form::realm, words: &[], is: Text::fixed("text without quotes", "不含引号的文本") }, Is(r#""Qwen3-VL-8B""#), Yes,
        "The name in the browser's password box.", "浏览器密码框中显示的名称。";
    LOGIN_PAGE "login_page": Flag = Flag, Is("true"), Yes,
        "Browsers get a login page and a session. Scripts may always use Basic; SDKs use Bearer keys.",
        "浏览器使用登录页和会话。脚本始终可用 Basic,SDK 使用 Bearer 密钥。";
    SESSION "session": Period = Period::between("1m", "365d"), Is(r#""7d""#), Yes,
        "How long a browser stays logged in.", "浏览器保持登录的时间。";
    ADMIN_ALLOW "admin_allow": List<Form<IpNet>> = List { item: NETWORK, max: 4096 }, Is("[]"), Later,
        "Networks from which /admin answers.", "允许访问 /admin 的网段。";
}

table! {
    LOCKOUT "access.lockout"
    "What guessing passwords leads to." "猜测密码的后果。";

    LOCKOUT_FAILURES "failures": Whole<u32> = Whole::between(1, 1000), Is("10"), Yes,
        "So many failures within the window lock an address out.", "在时间窗内失败这么多次就封禁该地址。";
    LOCKOUT_WINDOW "window": Period = Period::between("1s", "1d"), Is(r#""10m""#), Yes,
        "The time over which failures are counted.", "统计失败次数的时间窗。";
    LOCKOUT_BAN "ban": Period = Period::between("1s", "30d"), Is(r#""15m""#), Yes,
        "How long an address stays locked out.", "封禁的时长。";
}

table! {
    CORS "cors"
    "Which other web sites may use the API from a browser." "哪些其他网站可以从浏览器调用 API。";

    ORIGINS "origins": List<Form<String>> = List { item: Form { read: form::origin, words: &[], is: Text::fixed("an origin", "来源") }, max: 256 }, Is("[]"), Yes,
        "Origins that may call the API. Empty: none but Portico's own page.", "可以调用 API 的来源。留空:只有 Portico 自己的页面。";
    METHODS "methods": List<Form<String>> = List { item: Form { read: form::method, words: &[], is: Text::fixed("an HTTP method", "HTTP 方法") }, max: 16 }, Is(r#"["GET", "POST", "OPTIONS"]"#), Yes,
        "Methods that a preflight grants.", "预检允许的方法。";
    HEADERS "headers": List<Form<String>> = List { item: HEADER, max: 128 },
        Is(r#"["DNT", "User-Agent", "X-Requested-With", "If-Modified-Since", "Cache-Control", "Content-Type", "Range", "Authorization", "X-Api-Key", "X-Stainless-*"]"#), Yes,
        "Request headers that a preflight grants.", "预检允许的请求头。";
    EXPOSE "expose": List<Form<String>> = List { item: HEADER, max: 128 },
        Is(r#"["Content-Length", "Content-Range", "X-Request-Id", "Retry-After", "X-RateLimit-*"]"#), Yes,
        "Answer headers that scripts may read.", "脚本可以读取的响应头。";
    MAX_AGE "max_age": Period = Period::or_zero("1s", "365d", Text::fixed("not remembered", "不缓存")), Is(r#""17280000s""#), Yes,
        "How long a browser may remember a preflight.", "浏览器缓存预检结果的时间。";
}
