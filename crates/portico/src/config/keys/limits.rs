//! `[limits]`, `[plan.NAME]`, `[queue]`, `[stream]`

use super::table;
use crate::config::form;
use crate::config::key::Built::{Later, Yes};
use crate::config::key::Default::Is;
use crate::config::rule::{AutoOr, Form, Limit, List, Number, Period, Size, Whole};
use crate::types::Text;

table! {
    LIMITS "limits"
    "How large a request may be." "请求可以有多大。";

    BODY "body": Size<u64> = Size::between("1KiB", "2GiB"), Is(r#""64MiB""#), Yes,
        "The body of one request.", "单个请求的请求体。";
    BODY_TOTAL "body_total": Size<u64> = Size::between("1MiB", "1TiB"), Is(r#""1GiB""#), Yes,
        "The bodies of all requests that are being read, together.", "正在读取的所有请求体之和。";
    HEADER_BYTES "header_bytes": Size<u32> = Size::between("1KiB", "1MiB"), Is(r#""32KiB""#), Yes,
        "The headers of one request, together.", "单个请求的所有请求头之和。";
    HEADER_COUNT "header_count": Whole<u32> = Whole::between(8, 1000), Is("100"), Yes,
        "How many headers one request may have.", "单个请求的请求头数量。";
    TARGET_BYTES "target_bytes": Size<u32> = Size::between("256", "64KiB"), Is(r#""8KiB""#), Yes,
        "Path and query of one request.", "单个请求的路径和查询串。";
    JSON_DEPTH "json_depth": Whole<u32> = Whole::between(8, 128), Is("64"), Yes,
        "How deep the JSON of a request may be nested.", "请求 JSON 的最大嵌套深度。";
}

table! {
    PLAN "plan.*"
    "What one identity may use; users and keys name a plan. `plan.default` holds for whoever names none. 0 means no limit, except for waiting." "单个身份可使用的额度;用户和密钥指定方案,未指定者使用 `plan.default`。0 表示不限,waiting 除外。";

    REQUESTS_PER_MINUTE "requests_per_minute": Limit<u32> = Limit(Whole::between(1, 10_000_000)), Is("60"), Later,
        "Requests in a minute.", "每分钟请求数。";
    TOKENS_PER_MINUTE "tokens_per_minute": Limit<u64> = Limit(Whole::between(1, 1_000_000_000_000)), Is("60000"), Later,
        "Tokens in a minute, prompt and answer together.", "每分钟 token 数,提示词与回答合计。";
    TOKENS_PER_DAY "tokens_per_day": Limit<u64> = Limit(Whole::between(1, 1_000_000_000_000_000)), Is("2000000"), Later,
        "Tokens in a day, prompt and answer together.", "每天 token 数,提示词与回答合计。";
    CONCURRENT "concurrent": Limit<u32> = Limit(Whole::between(1, 100_000)), Is("4"), Later,
        "Requests that run at once.", "同时运行的请求数。";
    WAITING "waiting": Whole<u32> = Whole::between(0, 100_000), Is("8"), Later,
        "Requests that wait in the queue beyond those that run; one more is 429. 0: none may wait.",
        "运行之外还可排队等待的请求数,再多则返回 429。0:不允许等待。";
    MAX_OUTPUT_TOKENS "max_output_tokens": Limit<u32> = Limit(Whole::between(1, 100_000_000)), Is("8192"), Yes,
        "Tokens of one answer. Requests that ask for more, or name no limit, get this one.", "单个回答的 token 数。要求更多或未指定上限的请求按此值处理。";
    WEIGHT "weight": Number = Number { min: 0.001, max: 1000.0 }, Is("1.0"), Later,
        "Share of the queue in relation to others.", "在队列中相对于他人的份额。";
    PLAN_MODELS "models": List<Form<String>> = List { item: Form { read: form::model_pattern, words: &["*"], is: Text::fixed("a model's name or alias", "模型名或别名") }, max: 256 }, Is(r#"["*"]"#), Later,
        "Models that may be used; \"*\" for all.", "可使用的模型;\"*\" 表示全部。";
    HOURS "hours": Form<Option<(u16, u16)>> = Form { read: form::hours, words: &[], is: Text::fixed("hours such as \"20:00-08:00\"; empty: always", "时间段,例如 \"20:00-08:00\";留空:全天") }, Is(r#""""#), Later,
        "Hours of the day in which the plan may be used.", "该方案可用的时间段。";
}

table! {
    QUEUE "queue"
    "Admission: how many requests run, how many wait, and for how long." "准入:多少请求在运行、多少在等待、等待多久。";

    MAX_RUNNING "max_running": AutoOr<u32> = AutoOr(Whole::between(1, 100_000)), Is(r#""auto""#), Yes,
        "Requests that a model runs at once. auto follows the model server's own queue, and is 64 where the server tells nothing.",
        "单个模型同时运行的请求数。auto 跟随模型服务自身的队列;服务未提供信息时为 64。";
    MAX_WAITING "max_waiting": Whole<u32> = Whole::between(0, 1_000_000), Is("200"), Yes,
        "Requests that wait for a model; one more is refused.", "等待某个模型的请求数,再多则拒绝。";
    MAX_WAIT "max_wait": Period = Period::between("100ms", "1d"), Is(r#""120s""#), Yes,
        "How long a request waits at most.", "请求最长的等待时间。";
    KEEPALIVE "keepalive": Period = Period::between("1s", "5m"), Is(r#""15s""#), Yes,
        "How often a waiting stream gets an SSE comment, so that nothing in between gives up.",
        "等待中的流式请求多久收到一次 SSE 注释,以免中间设备断开。";
}

table! {
    STREAM "stream"
    "Resuming an answer after a lost connection (opt-in per request)." "断线后继续接收回答(按请求启用)。";

    KEEP "keep": Period = Period::or_zero("1s", "1d", Text::fixed("never", "从不保留")), Is(r#""5m""#), Later,
        "How long a cut answer goes on and can be resumed.", "断开的回答继续生成并可恢复的时间。";
    KEEP_BYTES "keep_bytes": Size<u64> = Size::between("64KiB", "64GiB"), Is(r#""64MiB""#), Later,
        "Memory for kept answers, together.", "保留回答所用的内存总量。";
}
