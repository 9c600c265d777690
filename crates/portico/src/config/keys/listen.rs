//! `[listen]` and `[timeouts]`

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::table;
use crate::config::MetricsAddress;
use crate::config::form;
use crate::config::key::Built::{Later, Yes};
use crate::config::key::Default::{Depends, Is};
use crate::config::rule::{Flag, Form, List, Period, Whole};
use crate::types::Text;

pub(super) const NETWORK: Form<IpNet> = Form {
    read: form::network,
    words: &[],
    is: Text::fixed("an address or a network (CIDR)", "地址或网段(CIDR)"),
};

const LISTENER: Form<SocketAddr> =
    Form {
        read: form::listener, words: &[], is: Text::fixed("an address with a port", "带端口的地址")
    };

table! {
    LISTEN "listen"
    "Where Portico listens. A change of this section needs a restart." "Portico 的监听地址。修改此小节后需要重启。";

    HTTP "http": List<Form<SocketAddr>> = List { item: LISTENER, max: 32 },
        Depends(Text::fixed(r#"["127.0.0.1:8080"] in local mode, else ["0.0.0.0:80", "[::]:80"]"#, r#"本地模式为 ["127.0.0.1:8080"],否则为 ["0.0.0.0:80", "[::]:80"]"#)), Yes,
        "Addresses for plain http.", "明文 http 的监听地址。";
    HTTPS "https": List<Form<SocketAddr>> = List { item: LISTENER, max: 32 },
        Depends(Text::fixed(r#"["127.0.0.1:8443"] in local mode, else ["0.0.0.0:443", "[::]:443"]"#, r#"本地模式为 ["127.0.0.1:8443"],否则为 ["0.0.0.0:443", "[::]:443"]"#)), Yes,
        "Addresses for https.", "https 的监听地址。";
    ADMIN "admin": Form<Option<PathBuf>> = Form { read: form::unix_socket, words: &[], is: Text::fixed("unix:/path", "unix:/路径") },
        Depends(Text::fixed(
            "unix:/run/portico/admin.sock for root and the service, $XDG_RUNTIME_DIR/portico/admin.sock for others, else admin.sock in data_dir",
            "root 和系统服务为 unix:/run/portico/admin.sock,其他用户为 $XDG_RUNTIME_DIR/portico/admin.sock,再否则为 data_dir 下的 admin.sock")), Yes,
        "The socket that `portico status`, `reload` and `stop` talk to. A Unix socket only, mode 0660; the caller's uid is checked.",
        "`portico status`、`reload`、`stop` 所用的套接字。只能是 Unix 套接字,权限 0660,并检查调用者的 uid。";
    METRICS "metrics": Form<MetricsAddress> = Form { read: form::metrics, words: &[], is: Text::fixed("a loopback address with a port, or unix:/path; empty: none", "带端口的回环地址或 unix:/路径;留空则不监听") },
        Is(r#""127.0.0.1:9321""#), Later,
        "Read only: /metrics, /status, /stub_status. Loopback or a Unix socket; anything else is refused.",
        "只读:/metrics、/status、/stub_status。只能是回环地址或 Unix 套接字。";
    TRUSTED_PROXIES "trusted_proxies": List<Form<IpNet>> = List { item: NETWORK, max: 256 }, Is("[]"), Yes,
        "Proxies in front whose X-Forwarded-For (and PROXY protocol) is believed. Anybody else's is thrown away.",
        "前置代理的网段,只有它们的 X-Forwarded-For(及 PROXY 协议)会被采信,其他来源的一律丢弃。";
    PROXY_PROTOCOL "proxy_protocol": Flag = Flag, Is("false"), Yes,
        "Connections of trusted proxies begin with a PROXY protocol header.",
        "受信任代理的连接以 PROXY 协议头开始。";
    MAX_CONNECTIONS "max_connections": Whole<u32> = Whole::between(16, 1_000_000), Is("20000"), Yes,
        "Open connections of all clients together.", "所有客户端的连接总数上限。";
    MAX_CONNECTIONS_PER_ADDRESS "max_connections_per_address": Whole<u32> = Whole::between(1, 1_000_000), Is("512"), Yes,
        "Open connections of one client address; an IPv6 client counts by its /64.",
        "单个客户端地址的连接数上限;IPv6 按 /64 计。";
}

table! {
    TIMEOUTS "timeouts"
    "Named deadlines. There is never one total for a request." "各个有名字的时限。请求从来没有总时限。";

    HANDSHAKE "handshake": Period = Period::between("1s", "5m"), Is(r#""10s""#), Yes,
        "The TLS handshake of a client.", "客户端 TLS 握手的时限。";
    REQUEST_HEADERS "request_headers": Period = Period::between("1s", "10m"), Is(r#""30s""#), Yes,
        "From the first byte of a request to the end of its headers.", "从请求的第一个字节到请求头结束。";
    KEEP_ALIVE "keep_alive": Period = Period::between("1s", "1h"), Is(r#""75s""#), Yes,
        "How long an idle connection of a client stays open.", "客户端空闲连接保持打开的时间。";
    REQUEST_BODY_IDLE "request_body_idle": Period = Period::between("1s", "10m"), Is(r#""30s""#), Yes,
        "The gap between two pieces of a request body.", "请求体相邻两段数据之间的间隔。";
    WRITE_STALL "write_stall": Period = Period::between("1s", "1h"), Is(r#""30s""#), Yes,
        "How long a client may read nothing of its answer.", "客户端可以不读取回答的时间。";
    UPSTREAM_CONNECT "upstream_connect": Period = Period::between("10ms", "1m"), Is(r#""5s""#), Yes,
        "Connecting to a model server.", "连接模型服务的时限。";
    UPSTREAM_SEND "upstream_send": Period = Period::between("1s", "1h"), Is(r#""300s""#), Yes,
        "The gap between two writes of a request to a model server (Nginx's proxy_send_timeout).",
        "向模型服务发送请求时两次写入之间的间隔(即 Nginx 的 proxy_send_timeout)。";
    UPSTREAM_FIRST_BYTE "upstream_first_byte": Period = Period::between("1s", "1d"), Is(r#""300s""#), Yes,
        "From the sent request to the first byte of the answer (Nginx's proxy_read_timeout): the model server's own queue and the prefill of a long prompt with many images.",
        "从请求发出到收到回答的第一个字节(即 Nginx 的 proxy_read_timeout):包含模型服务自身的排队和多图长提示词的预填充。";
    STREAM_IDLE "stream_idle": Period = Period::between("1s", "1d"), Is(r#""300s""#), Yes,
        "The gap between two chunks of an answer.", "回答相邻两段数据之间的间隔。";
    DRAIN "drain": Period = Period::or_zero("1s", "1d", Text::fixed("cut at once", "立即切断")), Is(r#""120s""#), Yes,
        "How long live answers may finish on stop or upgrade.", "停止或升级时,进行中的回答还可以继续的时间。";
}
