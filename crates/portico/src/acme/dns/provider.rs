//! Who holds zones, what each wants to know, and how long a record has to live there.

use std::net::SocketAddr;
use std::time::Duration;

use base64_simd::STANDARD;
use dns_update::providers::ovh::OvhEndpoint;
use dns_update::providers::rfc2136::DnsAddress;
use dns_update::providers::route53::Route53Config;
use dns_update::providers::volcengine::VolcengineConfig;
use dns_update::{DnsUpdater, TsigAlgorithm};

use super::credentials::Credentials;
use crate::types::{Text, text};

/// One request to a provider.
const REQUEST_TIME: Option<Duration> = Some(Duration::from_secs(30));

pub(super) struct Provider {
    /// As `tls.dns.provider` says it.
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
    /// In seconds: a minute, or the least that the provider takes on its smallest plan.
    pub(super) time_to_live: u32,
    open: fn(&Credentials) -> Result<DnsUpdater, Text>,
}

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) need: Need,
    example: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Plain,
    Secret,
    Optional,
    OptionalSecret,
}

const fn plain(name: &'static str, example: &'static str) -> Key {
    Key { name, need: Need::Plain, example }
}

const fn secret(name: &'static str, example: &'static str) -> Key {
    Key { name, need: Need::Secret, example }
}

const fn optional(name: &'static str, example: &'static str) -> Key {
    Key { name, need: Need::Optional, example }
}

const fn optional_secret(name: &'static str, example: &'static str) -> Key {
    Key { name, need: Need::OptionalSecret, example }
}

/// The least times to live: Alibaba Cloud's and DNSPod's free plans, Volcano Engine and GoDaddy 600; Porkbun 600;
/// Gandi 300; deSEC 3600, of which the library takes care.
pub(super) const PROVIDERS: &[Provider] = &[
    Provider {
        name: "alidns",
        keys: &[
            plain("access_key_id", "LTAI..."),
            secret("access_key_secret", "..."),
            optional_secret("security_token", ""),
        ],
        time_to_live: 600,
        open: |credentials| {
            let token = credentials.optional("security_token");
            let (id, key) = (credentials.get("access_key_id"), credentials.get("access_key_secret"));
            quoted(DnsUpdater::new_alidns(id, key, None::<&str>, token, None::<&str>, REQUEST_TIME))
        },
    },
    Provider {
        name: "cloudflare",
        keys: &[secret("api_token", "...")],
        time_to_live: 60,
        open: |credentials| quoted(DnsUpdater::new_cloudflare(credentials.get("api_token"), REQUEST_TIME)),
    },
    Provider {
        name: "desec",
        keys: &[secret("token", "...")],
        time_to_live: 3600,
        open: |credentials| quoted(DnsUpdater::new_desec(credentials.get("token"), REQUEST_TIME)),
    },
    Provider {
        name: "digitalocean",
        keys: &[secret("api_token", "dop_v1_...")],
        time_to_live: 60,
        open: |credentials| quoted(DnsUpdater::new_digitalocean(credentials.get("api_token"), REQUEST_TIME)),
    },
    Provider {
        name: "gandi",
        keys: &[secret("personal_access_token", "...")],
        time_to_live: 300,
        open: |credentials| {
            quoted(DnsUpdater::new_gandiv5(credentials.get("personal_access_token"), REQUEST_TIME))
        },
    },
    Provider {
        name: "godaddy",
        keys: &[secret("api_key", "..."), secret("api_secret", "...")],
        time_to_live: 600,
        open: |credentials| {
            let (key, secret) = (credentials.get("api_key"), credentials.get("api_secret"));
            quoted(DnsUpdater::new_godaddy(key, secret, REQUEST_TIME))
        },
    },
    Provider {
        name: "hetzner",
        keys: &[secret("api_token", "...")],
        time_to_live: 60,
        open: |credentials| quoted(DnsUpdater::new_hetzner(credentials.get("api_token"), REQUEST_TIME)),
    },
    Provider {
        name: "huaweicloud",
        keys: &[plain("access_key", "..."), secret("secret_key", "..."), plain("region", "cn-north-4")],
        time_to_live: 60,
        open: |credentials| {
            let (key, secret) = (credentials.get("access_key"), credentials.get("secret_key"));
            quoted(DnsUpdater::new_huaweicloud(key, secret, credentials.get("region"), REQUEST_TIME))
        },
    },
    Provider {
        name: "ovh",
        keys: &[
            plain("endpoint", "ovh-eu"),
            plain("application_key", "..."),
            secret("application_secret", "..."),
            secret("consumer_key", "..."),
        ],
        time_to_live: 60,
        open: ovh,
    },
    Provider {
        name: "pdns",
        keys: &[
            plain("url", "http://192.0.2.53:8081"),
            secret("api_key", "..."),
            optional("server_id", "localhost"),
        ],
        time_to_live: 60,
        open: |credentials| {
            let (key, url) = (credentials.get("api_key"), credentials.optional("url"));
            quoted(DnsUpdater::new_pdns(key, url, credentials.optional("server_id"), REQUEST_TIME))
        },
    },
    Provider {
        name: "porkbun",
        keys: &[secret("api_key", "pk1_..."), secret("secret_api_key", "sk1_...")],
        time_to_live: 600,
        open: |credentials| {
            let (key, secret) = (credentials.get("api_key"), credentials.get("secret_api_key"));
            quoted(DnsUpdater::new_porkbun(key, secret, REQUEST_TIME))
        },
    },
    Provider {
        name: "rfc2136",
        keys: &[
            plain("server", "udp://192.0.2.53:53"),
            plain("key_name", "acme"),
            secret("key", "bm90IGEgcmVhbCBrZXksIGp1c3QgYW4gZXhhbXBsZQ=="),
            optional("algorithm", "hmac-sha256"),
        ],
        time_to_live: 60,
        open: rfc2136,
    },
    Provider {
        name: "route53",
        keys: &[
            plain("access_key_id", "AKIA..."),
            secret("secret_access_key", "..."),
            optional_secret("session_token", ""),
            optional("hosted_zone_id", ""),
        ],
        time_to_live: 60,
        open: |credentials| {
            let owned = |name| credentials.optional(name).map(str::to_owned);
            quoted(DnsUpdater::new_route53(Route53Config {
                access_key_id: credentials.get("access_key_id").to_owned(),
                secret_access_key: credentials.get("secret_access_key").to_owned(),
                session_token: owned("session_token"),
                region: None,
                hosted_zone_id: owned("hosted_zone_id"),
                private_zone_only: None,
                endpoint: None,
            }))
        },
    },
    Provider {
        name: "tencentcloud",
        keys: &[
            plain("secret_id", "AKID..."),
            secret("secret_key", "..."),
            optional_secret("session_token", ""),
        ],
        time_to_live: 600,
        open: |credentials| {
            let token = credentials.optional("session_token");
            let (id, key) = (credentials.get("secret_id"), credentials.get("secret_key"));
            quoted(DnsUpdater::new_tencentcloud(id, key, None::<&str>, token, REQUEST_TIME))
        },
    },
    Provider {
        name: "volcengine",
        keys: &[plain("access_key", "AKLT..."), secret("secret_key", "...")],
        time_to_live: 600,
        open: |credentials| {
            quoted(DnsUpdater::new_volcengine(VolcengineConfig {
                access_key: credentials.get("access_key").to_owned(),
                secret_key: credentials.get("secret_key").to_owned(),
                region: None,
                host: None,
                scheme: None,
                request_timeout: REQUEST_TIME,
            }))
        },
    },
];

pub(super) fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

impl Provider {
    /// Sets up TLS, which reads files: not for a data thread.
    pub(super) fn open(&self, credentials: &Credentials) -> Result<DnsUpdater, Text> {
        (self.open)(credentials)
    }

    /// A whole file of credentials.
    pub(super) fn example(&self) -> String {
        let shown = self.keys.iter().filter(|key| !key.example.is_empty());
        let lines = shown.map(|key| format!("{} = \"{}\"", key.name, key.example));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The name server that the credentials name, where they name one.
    pub(super) fn server(&self, credentials: &Credentials) -> Option<DnsAddress> {
        credentials.optional("server").and_then(|server| DnsAddress::try_from(server).ok())
    }
}

pub(super) const fn socket(address: DnsAddress) -> SocketAddr {
    match address {
        DnsAddress::Udp(address) | DnsAddress::Tcp(address) => address,
    }
}

fn quoted(opened: dns_update::Result<DnsUpdater>) -> Result<DnsUpdater, Text> {
    opened.map_err(|error| Text::quoted(error.to_string()))
}

fn rfc2136(credentials: &Credentials) -> Result<DnsUpdater, Text> {
    let server = credentials.get("server");
    let Ok(address) = DnsAddress::try_from(server) else {
        return Err(text!(
            "`server` is \"{server}\", and must be an address: udp://192.0.2.53:53, or tcp:// in its place",
            "`server` 为 \"{server}\",必须是地址:udp://192.0.2.53:53,或改用 tcp://"
        ));
    };
    // The other ones of RFC 8945 are too weak, or not known to the library.
    let algorithm = match credentials.optional("algorithm").unwrap_or("hmac-sha256") {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        other => {
            return Err(text!(
                "`algorithm` is \"{other}\", and must be hmac-sha256, hmac-sha384 or hmac-sha512",
                "`algorithm` 为 \"{other}\",必须是 hmac-sha256、hmac-sha384 或 hmac-sha512"
            ));
        }
    };
    let Ok(key) = STANDARD.decode_to_vec(credentials.get("key")) else {
        return Err(text!("`key` is not base64", "`key` 不是 base64"));
    };
    quoted(DnsUpdater::new_rfc2136_tsig(address, credentials.get("key_name"), key, algorithm))
}

fn ovh(credentials: &Credentials) -> Result<DnsUpdater, Text> {
    let endpoint = credentials.get("endpoint");
    let Ok(endpoint) = endpoint.parse::<OvhEndpoint>() else {
        return Err(text!(
            "`endpoint` is \"{endpoint}\", and must be ovh-eu, ovh-us, ovh-ca, kimsufi-eu, kimsufi-ca, soyoustart-eu or soyoustart-ca",
            "`endpoint` 为 \"{endpoint}\",必须是 ovh-eu、ovh-us、ovh-ca、kimsufi-eu、kimsufi-ca、soyoustart-eu 或 soyoustart-ca"
        ));
    };
    let (key, secret) = (credentials.get("application_key"), credentials.get("application_secret"));
    quoted(DnsUpdater::new_ovh(key, secret, credentials.get("consumer_key"), endpoint, REQUEST_TIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DNS_PROVIDERS;

    #[test]
    fn the_configuration_knows_each_of_them() {
        let names: Vec<_> = PROVIDERS.iter().map(|provider| provider.name).collect();
        assert_eq!(names, DNS_PROVIDERS);
        assert!(names.is_sorted(), "{names:?}");
    }
}
