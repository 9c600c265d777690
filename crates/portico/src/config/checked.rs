//! The configuration as the rooms use it: every key present, typed, in range.
//!
//! A room takes its own section apart completely, without `..`, so that a new key cannot be forgotten.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// Everything the file says, judged. Cheap to share behind an `Arc`; never changed in place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) site: Site,
    pub(crate) listen: Listen,
    pub(crate) tls: Tls,
    pub(crate) timeouts: Timeouts,
    pub(crate) access: Access,
    pub(crate) cors: Cors,
    pub(crate) limits: Limits,
    /// In file order; `default` is always there, first.
    pub(crate) plans: Vec<Plan>,
    pub(crate) queue: Queue,
    pub(crate) stream: Stream,
    pub(crate) policy: Policy,
    /// Never empty: without `[[model]]` it is the one implicit external model.
    pub(crate) models: Vec<Model>,
    pub(crate) log: Log,
    pub(crate) health: Health,
    pub(crate) alerts: Alerts,
    pub(crate) firewall: Firewall,
    pub(crate) store: Store,
}

/// A public name, lower case, with the port only where the file carries one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteName {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl SiteName {
    /// The one that this host is, as clients write it: in any case, with the final dot of DNS or without; no port.
    pub(crate) fn find<'n>(names: &'n [SiteName], host: &str) -> Option<&'n SiteName> {
        let host = host.strip_suffix('.').unwrap_or(host);
        names.iter().find(|name| name.host.eq_ignore_ascii_case(host))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Site {
    /// Empty: local mode, if nothing else speaks against it (see [`Config::mode`]).
    pub(crate) names: Vec<SiteName>,
    pub(crate) email: String,
    pub(crate) root: Root,
    pub(crate) index: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) user: String,
    pub(crate) language: Language,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    Builtin,
    Folder(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Auto,
    English,
    Chinese,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listen {
    pub(crate) http: Vec<SocketAddr>,
    pub(crate) https: Vec<SocketAddr>,
    /// False: `https` is the default, which follows the mode.
    pub(crate) https_written: bool,
    pub(crate) admin: PathBuf,
    pub(crate) metrics: MetricsAddress,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) proxy_protocol: bool,
    pub(crate) max_connections: u32,
    pub(crate) max_connections_per_address: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MetricsAddress {
    /// Written empty: no such listener.
    Off,
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tls {
    pub(crate) issuer: Issuer,
    /// A second CA; `None` when the file names none.
    pub(crate) fallback: Option<Issuer>,
    pub(crate) challenge: Challenge,
    pub(crate) profile: String,
    pub(crate) eab_kid: String,
    pub(crate) eab_hmac_file: Option<PathBuf>,
    pub(crate) dns_provider: String,
    pub(crate) dns_credentials_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) min_version: TlsVersion,
    pub(crate) hsts: Duration,
    pub(crate) redirect: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Issuer {
    LetsEncrypt,
    LetsEncryptStaging,
    ZeroSsl,
    Directory(String),
    Local,
    Files,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Challenge {
    Auto,
    TlsAlpn01,
    Http01,
    Dns01,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    Tls12,
    Tls13,
}

/// Named deadlines; there is never one total for a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timeouts {
    pub(crate) handshake: Duration,
    pub(crate) request_headers: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) request_body_idle: Duration,
    pub(crate) write_stall: Duration,
    pub(crate) upstream_connect: Duration,
    pub(crate) upstream_send: Duration,
    pub(crate) upstream_first_byte: Duration,
    pub(crate) stream_idle: Duration,
    pub(crate) drain: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Access {
    pub(crate) scope: Scope,
    pub(crate) satisfy: Satisfy,
    /// Empty: every address.
    pub(crate) allow: Vec<IpNet>,
    pub(crate) deny: Vec<IpNet>,
    pub(crate) htpasswd: Option<PathBuf>,
    pub(crate) realm: String,
    pub(crate) login_page: bool,
    pub(crate) session: Duration,
    pub(crate) lockout: Lockout,
    pub(crate) admin_allow: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Site,
    Api,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Satisfy {
    All,
    Any,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lockout {
    pub(crate) failures: u32,
    pub(crate) window: Duration,
    pub(crate) ban: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cors {
    pub(crate) origins: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) headers: Vec<String>,
    pub(crate) expose: Vec<String>,
    pub(crate) max_age: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    pub(crate) body_bytes: u64,
    pub(crate) body_total_bytes: u64,
    pub(crate) header_bytes: u32,
    pub(crate) header_count: u32,
    pub(crate) target_bytes: u32,
    pub(crate) json_depth: u32,
}

/// What one identity may use. `None` is no limit (written as 0), but for `waiting`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) tokens_per_minute: Option<u64>,
    pub(crate) tokens_per_day: Option<u64>,
    pub(crate) concurrent: Option<u32>,
    /// 0: none may wait.
    pub(crate) waiting: u32,
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) weight: f64,
    pub(crate) models: Vec<String>,
    /// Minutes of the day, from and to; `None`: always.
    pub(crate) hours: Option<(u16, u16)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Queue {
    /// `None`: auto.
    pub(crate) max_running: Option<u32>,
    pub(crate) max_waiting: u32,
    pub(crate) max_wait: Duration,
    pub(crate) keepalive: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stream {
    pub(crate) keep: Duration,
    pub(crate) keep_bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    pub(crate) enabled: bool,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) max_choices: u32,
    pub(crate) max_images: u32,
    pub(crate) max_image_bytes: u64,
    pub(crate) max_image_pixels: u64,
    pub(crate) image_urls: ImageUrls,
    pub(crate) image_url_hosts: Vec<String>,
    pub(crate) strip_metadata: bool,
    pub(crate) allow_keys: Vec<String>,
    pub(crate) deny_keys: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Models,
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    Rerank,
    Score,
    Transcriptions,
    Realtime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageUrls {
    Refuse,
    Fetch,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    /// What clients ask for. Empty only for the implicit model, which goes by the names its server gives itself.
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    /// What the model server calls it; `None`: asked of the server.
    pub(crate) upstream_name: Option<String>,
    pub(crate) engine: Engine,
    pub(crate) path: String,
    pub(crate) source: Source,
    /// Never empty.
    pub(crate) endpoints: Vec<EndpointAddress>,
    pub(crate) allow_public: bool,
    pub(crate) api_key_file: Option<PathBuf>,
    pub(crate) args: Vec<String>,
    pub(crate) user: String,
    pub(crate) log: PathBuf,
    pub(crate) start_timeout: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) stop_grace: Duration,
    /// `None`: asked of the server, text and image where it can't be asked.
    pub(crate) modalities: Option<Vec<Modality>>,
    /// `None`: asked of the server, no cap where it can't be asked.
    pub(crate) context: Option<u32>,
    pub(crate) boxes: Boxes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Vllm,
    LlamaCpp,
    External,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Auto,
    HuggingFace,
    ModelScope,
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modality {
    Text,
    Image,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boxes {
    Relative1000,
    Pixels,
    None,
}

/// Where a model server listens. Plain HTTP only: it is next door or it is not reached at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EndpointAddress {
    /// `host` as written (name or address literal without brackets) and port.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Log {
    pub(crate) access: LogTarget,
    pub(crate) format: LogFormat,
    /// `None`: standard error.
    pub(crate) error: Option<PathBuf>,
    pub(crate) level: tracing_level::Level,
    pub(crate) rotate_size_bytes: u64,
    pub(crate) rotate_keep: u32,
    pub(crate) prompts: bool,
}

/// The level names of the file, without tying this room to a logging crate.
pub(crate) mod tracing_level {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Level {
        Error,
        Warn,
        Info,
        Debug,
        Trace,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogTarget {
    Stdout,
    Off,
    File(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Recipe,
    Json,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// `None`: no probes.
    pub(crate) interval: Option<Duration>,
    /// `None`: never.
    pub(crate) generate_every: Option<Duration>,
    pub(crate) failures: u32,
    pub(crate) heartbeat_url: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alerts {
    pub(crate) repeat: Duration,
    /// Minutes of the day, from and to.
    pub(crate) quiet: Option<(u16, u16)>,
    pub(crate) smtp: Smtp,
    pub(crate) targets: Vec<AlertTarget>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Smtp {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: SmtpSecurity,
    pub(crate) username: String,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmtpSecurity {
    StartTls,
    Tls,
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlertTarget {
    pub(crate) name: String,
    pub(crate) kind: AlertKind,
    pub(crate) to: Vec<String>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) secret_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlertKind {
    Mail,
    Webhook,
    DingTalk,
    Feishu,
    WeCom,
    Slack,
    Ntfy,
    Alertmanager,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Firewall {
    pub(crate) backend: FirewallBackend,
    /// True: deny what is not opened.
    pub(crate) default: FirewallDefault,
    pub(crate) open: Vec<String>,
    pub(crate) closed: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirewallBackend {
    Auto,
    Nftables,
    Ufw,
    Firewalld,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirewallDefault {
    Deny,
    Allow,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Store {
    pub(crate) url: String,
    pub(crate) keep_usage: Duration,
}

impl Issuer {
    /// Whether certificates are ordered from an authority by ACME.
    pub(crate) fn is_acme(&self) -> bool {
        match self {
            Issuer::LetsEncrypt | Issuer::LetsEncryptStaging | Issuer::ZeroSsl | Issuer::Directory(_) => true,
            Issuer::Local | Issuer::Files | Issuer::Off => false,
        }
    }
}

impl Config {
    /// Whether the site is served over https at all.
    pub(crate) fn has_https(&self) -> bool {
        self.tls.issuer != Issuer::Off && !self.listen.https.is_empty()
    }

    /// Local mode is the contract's word for word: no names, every public listener on loopback, no htpasswd or networks, and
    /// no trusted proxies. It holds as long as there are no users and keys either, which the file does not tell.
    pub(crate) fn describes_local_mode(&self) -> bool {
        self.site.names.is_empty()
            && self.public_listeners_are_loopback()
            && self.access.htpasswd.is_none()
            && self.access.allow.is_empty()
            && self.access.deny.is_empty()
            && self.listen.trusted_proxies.is_empty()
    }

    /// Networks alone suffice to come in.
    pub(crate) fn lets_networks_in(&self) -> bool {
        self.access.satisfy == Satisfy::Any && !self.access.allow.is_empty()
    }

    /// The file of the store.
    pub(crate) fn database(&self) -> PathBuf {
        let file = self.store.url.strip_prefix("sqlite:").unwrap_or(&self.store.url);
        self.site.data_dir.join(file)
    }

    pub(crate) fn public_listeners_are_loopback(&self) -> bool {
        self.listen
            .http
            .iter()
            .chain(&self.listen.https)
            .all(|address| address.ip().to_canonical().is_loopback())
    }
}

impl EndpointAddress {
    /// The fixed `Host` that the model server sees, whatever the client sent.
    pub(crate) fn authority(&self) -> String {
        match self {
            EndpointAddress::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            EndpointAddress::Tcp { host, port } => format!("{host}:{port}"),
            EndpointAddress::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl std::fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EndpointAddress::Tcp { .. } => write!(f, "http://{}", self.authority()),
            EndpointAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
