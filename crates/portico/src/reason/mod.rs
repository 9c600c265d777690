//! Why a request ended: one closed list, and everything that follows from it.
//!
//! Status, OpenAI error type, error code, log word and the public text in both languages come from here and nowhere
//! else, so that a client, a log reader and an alert rule see the same word for the same thing.

mod refusal;

pub(crate) use refusal::{Refusal, Shape};

use http::StatusCode;

use crate::types::Text;

/// Declares the list once: variant, status, error type, code (also the log word), English, Chinese.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $status:literal $kind:ident $code:literal $en:literal $zh:literal;)*) => {
        /// Why a request ended. The code is what clients, logs and metrics see.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            #[cfg(test)]
            pub(crate) const ALL: &[Reason] = &[$(Reason::$variant,)*];

            pub(crate) fn status(self) -> StatusCode {
                let code: u16 = match self { $(Reason::$variant => $status,)* };
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            pub(crate) const fn kind(self) -> ErrorKind {
                match self { $(Reason::$variant => ErrorKind::$kind,)* }
            }

            /// The word in `error.code`, in the access log's `reason` and in metric labels.
            pub(crate) const fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code,)* }
            }

            pub(crate) const fn text(self) -> Text {
                match self { $(Reason::$variant => Text::fixed($en, $zh),)* }
            }
        }
    };
}

/// The `error.type` words of the OpenAI API that Portico uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Not an error: the answer was delivered.
    None,
    InvalidRequest,
    Authentication,
    Permission,
    NotFound,
    RateLimit,
    Overloaded,
    Upstream,
    Timeout,
    Internal,
}

impl ErrorKind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            ErrorKind::None => "none",
            ErrorKind::InvalidRequest => "invalid_request_error",
            ErrorKind::Authentication => "authentication_error",
            ErrorKind::Permission => "permission_error",
            ErrorKind::NotFound => "not_found_error",
            ErrorKind::RateLimit => "rate_limit_error",
            ErrorKind::Overloaded => "overloaded_error",
            ErrorKind::Upstream => "upstream_error",
            ErrorKind::Timeout => "timeout_error",
            ErrorKind::Internal => "internal_error",
        }
    }
}

reasons! {
    /// Delivered to its end, whatever its status.
    Completed 200 None "completed" "The answer was delivered." "回答已送达。";
    /// The client went away first (Nginx's 499).
    ClientLeft 499 None "client_left" "The client closed the connection." "客户端已断开连接。";
    /// The client took nothing of its answer for `timeouts.write_stall`.
    ClientStalled 499 None "client_stalled" "The client stopped reading its answer." "客户端停止接收回答。";

    MalformedRequest 400 InvalidRequest "malformed_request"
        "The request is not valid HTTP." "请求不是合法的 HTTP。";
    InvalidJson 400 InvalidRequest "invalid_json"
        "The request body is not valid JSON." "请求体不是合法的 JSON。";
    InvalidForm 400 InvalidRequest "invalid_form"
        "The request body is not a valid multipart form." "请求体不是合法的 multipart 表单。";
    InvalidValue 400 InvalidRequest "invalid_value"
        "A field of the request has a value that is not accepted." "请求中有字段的值不被接受。";
    UnsupportedMediaType 415 InvalidRequest "unsupported_media_type"
        "The body must be JSON (Content-Type: application/json), not compressed." "请求体必须是未压缩的 JSON(Content-Type: application/json)。";
    ImagesNotSupported 400 InvalidRequest "images_not_supported"
        "This model does not take images." "该模型不支持图片。";
    ContextExceeded 400 InvalidRequest "context_length_exceeded"
        "The conversation is longer than the model's context." "对话长度超过了模型的上下文。";
    UpstreamRejected 400 InvalidRequest "upstream_rejected"
        "The model server did not accept the request." "模型服务没有接受该请求。";
    BodyTimeout 408 Timeout "body_timeout"
        "The request body did not arrive in time." "请求体未能及时到达。";
    HeadersTimeout 408 Timeout "headers_timeout"
        "The request's headers did not arrive in time." "请求头未能及时到达。";
    BodyTooLarge 413 InvalidRequest "body_too_large"
        "The request body is larger than allowed." "请求体超过允许的大小。";
    TargetTooLong 414 InvalidRequest "target_too_long"
        "The request's path and query are longer than allowed." "请求的路径和查询超过允许的长度。";
    ExpectationFailed 417 InvalidRequest "expectation_failed"
        "The request expects something other than 100-continue, which is all that is offered." "请求的 Expect 不是 100-continue,此处只支持该值。";
    UpgradeRequired 426 InvalidRequest "upgrade_required"
        "This address speaks WebSocket (version 13, over HTTP/1.1). Connect to it with ws:// or wss://." "此地址使用 WebSocket(版本 13,基于 HTTP/1.1)。请用 ws:// 或 wss:// 连接。";
    HeadersTooLarge 431 InvalidRequest "headers_too_large"
        "The request's headers are larger or more than allowed." "请求头过大或过多。";

    AmbiguousCredentials 400 InvalidRequest "ambiguous_credentials"
        "The request carries two credentials in its headers. Send one: Authorization or X-Api-Key."
        "请求头中带有两个凭据。请只发送一个:Authorization 或 X-Api-Key。";
    PasswordRefused 400 InvalidRequest "password_refused"
        "This password is not accepted." "不接受此密码。";
    IdentityRequired 401 Authentication "identity_required"
        "Say who you are: with an API key (Authorization: Bearer pk-…), with a name and a password (Basic), or by logging in on the page."
        "请表明身份:使用 API 密钥(Authorization: Bearer pk-…)、用户名和密码(Basic),或在页面上登录。";
    WrongCredentials 401 Authentication "wrong_credentials"
        "The name or the password is wrong." "用户名或密码错误。";
    InvalidKey 401 Authentication "invalid_api_key"
        "This API key is not known here. Check that it was copied whole; whoever runs this server can make a new one."
        "此处没有该 API 密钥。请检查是否复制完整;服务器管理员可以创建新的密钥。";
    KeyExpired 401 Authentication "key_expired"
        "This API key has expired. Make a new one on the account page, or ask whoever runs this server."
        "该 API 密钥已过期。请在账户页面创建新的密钥,或联系服务器管理员。";
    KeyRevoked 401 Authentication "key_revoked"
        "This API key was revoked. Make a new one on the account page, or ask whoever runs this server."
        "该 API 密钥已被吊销。请在账户页面创建新的密钥,或联系服务器管理员。";
    SessionExpired 401 Authentication "session_expired"
        "The session has ended. Log in again." "会话已结束。请重新登录。";
    TooManyAttempts 429 RateLimit "too_many_attempts"
        "Too many wrong passwords. Wait as long as Retry-After says; API keys and browsers that are logged in go on working."
        "密码错误次数过多。请等待 Retry-After 所示的时间;API 密钥和已登录的浏览器不受影响。";
    NetworkRefused 403 Permission "network_refused"
        "This network may not use this service." "该网络不允许使用此服务。";
    NotLocal 403 Permission "not_local"
        "Portico runs in local mode: it answers only programs and browsers on this machine, reached as localhost and without a proxy or tunnel in between. To share it, set site.names and [access] in portico.toml."
        "Portico 处于本地模式:只接受本机程序和浏览器以 localhost 直接访问,中间不能有代理或隧道。要共享,请在 portico.toml 中设置 site.names 和 [access]。";
    OriginRefused 403 Permission "origin_refused"
        "A page of another site may not do this here." "其他网站的页面不能在此执行该操作。";
    ModelNotAllowed 403 Permission "model_not_allowed"
        "This model may not be used with this key or plan. GET /v1/models lists those that may."
        "此密钥或套餐不能使用该模型。GET /v1/models 会列出可用的模型。";
    HttpsRequired 403 Permission "https_required"
        "This site is served over https only: use https:// in the address. A key that was sent with this request went over the network in the clear; consider replacing it."
        "此站点只通过 https 提供服务:请在地址中使用 https://。随本次请求发送的密钥已在网络上明文传输,建议更换。";
    PlainHttp 400 InvalidRequest "plain_http"
        "This port speaks https, and plain http was sent to it: use https:// in the address."
        "此端口使用 https,但收到的是明文 http:请在地址中使用 https://。";
    UnknownHost 421 InvalidRequest "unknown_host"
        "This server does not serve that host name." "此服务器不提供该主机名。";

    NotFound 404 NotFound "not_found" "There is nothing at this address." "这个地址没有内容。";
    MethodNotAllowed 405 InvalidRequest "method_not_allowed" "This method is not allowed here." "此处不允许该方法。";
    RangeNotSatisfiable 416 InvalidRequest "range_not_satisfiable" "The file does not have that range." "文件没有该范围。";
    ModelNotFound 404 NotFound "model_not_found" "There is no such model." "没有这个模型。";

    InvitationInvalid 410 NotFound "invitation_invalid"
        "This invitation was used already, or is too old. Ask for a new one (portico user invite NAME)."
        "该邀请链接已被使用或已过期。请索取新的链接(portico user invite 用户名)。";
    SetupLinkInvalid 410 NotFound "setup_link_invalid"
        "This link was used already, is older than 15 minutes, or somebody exists already. Restart Portico for a new one, or add somebody with: portico user add NAME --role operator."
        "该链接已被使用、超过 15 分钟或已有用户存在。重启 Portico 可获得新的链接,或用 portico user add 用户名 --role operator 添加用户。";

    ServerBusy 503 Overloaded "server_busy"
        "The server is holding as many requests as it can. Try again in a moment." "服务器同时处理的请求已达上限,请稍后再试。";
    QueueFull 503 Overloaded "queue_full"
        "Too many requests are waiting for this model. Try again in a moment." "等待该模型的请求过多,请稍后再试。";
    QueueTimeout 503 Overloaded "queue_timeout"
        "The request waited for the model as long as it may. Try again in a moment." "请求等待模型的时间已达上限,请稍后再试。";
    ModelUnavailable 503 Overloaded "model_unavailable"
        "The model server is not reachable. Try again in a moment." "模型服务暂时无法连接,请稍后再试。";
    ModelStopped 503 Overloaded "model_stopped"
        "The operator has stopped this model." "该模型已被管理员停止。";
    UpstreamBusy 503 Overloaded "upstream_busy"
        "The model server is busy. Try again in a moment." "模型服务繁忙,请稍后再试。";
    ShuttingDown 503 Overloaded "shutting_down"
        "The server is shutting down. Try again in a moment." "服务器正在关闭,请稍后再试。";

    UpstreamFailed 502 Upstream "upstream_failed"
        "The model server did not give a usable answer." "模型服务没有给出可用的回答。";
    UpstreamDied 502 Upstream "upstream_died"
        "The model server broke off in the middle of the answer." "模型服务在回答途中中断。";
    UpstreamTimeout 504 Timeout "upstream_timeout"
        "The model server did not answer in time." "模型服务未能及时回答。";
    Internal 500 Internal "internal_error"
        "Something went wrong inside Portico. The request id helps the operator to find it." "Portico 内部出错。请把请求编号告诉管理员。";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_words_and_texts_are_whole() {
        let mut seen = HashSet::new();
        for reason in Reason::ALL {
            let code = reason.code();
            assert!(seen.insert(code), "{code} twice");
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            let text = reason.text();
            assert!(text.en.ends_with('.') && text.zh.ends_with('。'), "{code}");
        }
    }

    #[test]
    fn kinds_follow_the_statuses_of_the_contract() {
        for reason in Reason::ALL {
            let wanted: &[ErrorKind] = match reason.status().as_u16() {
                200 | 499 => &[ErrorKind::None],
                401 => &[ErrorKind::Authentication],
                403 => &[ErrorKind::Permission],
                404 | 410 => &[ErrorKind::NotFound],
                429 => &[ErrorKind::RateLimit],
                408 | 504 => &[ErrorKind::Timeout],
                500 => &[ErrorKind::Internal],
                502 => &[ErrorKind::Upstream],
                503 => &[ErrorKind::Overloaded],
                400 | 405 | 413 | 414 | 415 | 416 | 417 | 421 | 426 | 431 => &[ErrorKind::InvalidRequest],
                other => panic!("{other} has no rule"),
            };
            assert!(wanted.contains(&reason.kind()), "{reason:?}");
        }
    }

    #[test]
    fn the_documented_list_is_this_one() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        let page = std::fs::read_to_string(page).unwrap();
        let list = page.split("\n## ").next().unwrap_or_default();
        let mut rows = list.lines().filter(|line| line.starts_with("| `"));
        for reason in Reason::ALL {
            let kind = match reason.kind() {
                ErrorKind::None => "–".to_owned(),
                kind => format!("`{}`", kind.word()),
            };
            let wanted = format!("| `{}` | {} | {kind} | ", reason.code(), reason.status().as_u16());
            let row = rows.next().unwrap_or_default();
            assert!(row.starts_with(&wanted), "docs/errors.md has {row:?} where {wanted:?} belongs");
        }
        assert_eq!(rows.next(), None, "docs/errors.md lists a code that does not exist");
    }
}
