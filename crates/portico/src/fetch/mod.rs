//! Fetches pictures that a client gave by their address, because the model server must not: it stands inside.
//!
//! The client chooses where Portico connects to, so this is the one place from which a stranger could look around in
//! the network. Whatever the address is, in any spelling, by any name and after any redirect, no socket is opened to
//! anything but a public address; and what goes wrong on the way there has one text, so that nothing can be learnt from
//! it. `url` and `address` decide and are pure; `resolve` and `exchange` do.
//!
//! Never here: judging what arrives as a picture. That is `api::vision`'s, by the same rules as for any other.

mod address;
mod exchange;
mod resolve;
mod url;

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

pub(crate) use self::address::is_public;
use self::resolve::Resolver;
use self::url::{Address, Host};
use crate::reason::{Reason, Refusal};
use crate::types::{Text, text};

/// At once, of all requests together.
const MOST_FETCHES: usize = 16;
/// For one picture, from waiting for a place to its last byte.
const TOTAL: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: u32 = 3;

/// Fetches pictures. One for the whole process.
pub(crate) struct Fetcher {
    places: Semaphore,
    resolver: Resolver,
    tls: OnceCell<exchange::Tls>,
}

/// What the configuration says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// When not empty, only these, after redirects too.
    pub(crate) hosts: &'a [String],
    pub(crate) max_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Fetched {
    /// Without parameters.
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// Asked before bytes are held; refuses where there is no more room for them.
pub(crate) type Hold<'h> = &'h mut (dyn FnMut(u64) -> Result<(), Refusal> + 'h);

impl Default for Fetcher {
    fn default() -> Self {
        Self { places: Semaphore::new(MOST_FETCHES), resolver: Resolver::default(), tls: OnceCell::new() }
    }
}

impl Fetcher {
    /// Fetches one picture. Dropping the future closes whatever it opened.
    pub(crate) async fn fetch(
        &self,
        url: &str,
        rules: Rules<'_>,
        hold: Hold<'_>,
    ) -> Result<Fetched, Refusal> {
        let address = Address::parse(url).map_err(Fault::refusal)?;
        let fetching = async {
            let _place =
                self.places.acquire().await.map_err(|_| Fault::unreachable("the fetcher is closed"))?;
            self.follow(address, rules, hold).await
        };
        match timeout(TOTAL, fetching).await {
            Ok(fetched) => fetched.map_err(Fault::refusal),
            Err(_) => Err(Fault::unreachable(format!("not within {TOTAL:?}")).refusal()),
        }
    }

    /// Each address is judged from the start, wherever it came from.
    async fn follow(&self, first: Address, rules: Rules<'_>, hold: Hold<'_>) -> Result<Fetched, Fault> {
        let mut address = first;
        for _ in 0..=MOST_REDIRECTS {
            judge_host(&address, rules.hosts)?;
            let answer = self.ask(&address, rules.max_bytes, hold).await?;
            match answer {
                exchange::Answer::Picture(fetched) => return Ok(fetched),
                exchange::Answer::Elsewhere(location) => address = address.redirected(&location)?,
            }
        }
        Err(Fault::said(
            "too many redirects",
            Text::fixed(
                "The image's address leads from one address to the next. Give the last one.",
                "图片地址重定向次数过多。请直接给出最终地址。",
            ),
        ))
    }

    async fn ask(
        &self,
        address: &Address,
        max_bytes: u64,
        hold: Hold<'_>,
    ) -> Result<exchange::Answer, Fault> {
        let found = match &address.host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => self.resolver.addresses(name).await?,
        };
        // One that is not public among many is how a name is moved inside between two questions.
        if let Some(ip) = found.iter().find(|ip| !is_public(**ip) || resolve::is_own(**ip)) {
            return Err(Fault::unreachable(format!("{} is {ip}, which is not public", address.host)));
        }
        let tls = match address.scheme {
            url::Scheme::Https => Some(self.tls.get_or_try_init(exchange::tls).await?),
            url::Scheme::Http => None,
        };
        exchange::get(address, &found, tls, max_bytes, hold).await
    }
}

fn judge_host(address: &Address, hosts: &[String]) -> Result<(), Fault> {
    let host = address.host.to_string();
    if hosts.is_empty() || hosts.iter().any(|known| known.trim_end_matches('.') == host) {
        return Ok(());
    }
    Err(Fault::said(
        format!("{host} is not in policy.image_url_hosts"),
        Text::fixed(
            "Images are not fetched from this host here. Send the image inside the request as a data: URL.",
            "此处不从该主机抓取图片。请以 data: URL 的形式把图片放在请求中。",
        ),
    ))
}

/// Why there is no picture.
#[derive(Debug)]
pub(crate) struct Fault {
    refusal: Refusal,
}

impl Fault {
    /// The one text for everything that has to do with the network: a refused address, a name that does not exist, a
    /// closed port and silence look alike.
    fn unreachable(private: impl Into<String>) -> Self {
        Self::said(
            private,
            Text::fixed(
                "The image could not be fetched from its address. Check that it is public and answers quickly, or send the image inside the request as a data: URL.",
                "无法从该地址取得图片。请确认地址可公开访问且响应及时,或以 data: URL 的形式把图片放在请求中。",
            ),
        )
    }

    fn said(private: impl Into<String>, says: Text) -> Self {
        let private = format!("fetching an image: {}", private.into());
        Self { refusal: Refusal::new(Reason::InvalidValue).saying(says).because(private) }
    }

    fn too_large(max_bytes: u64) -> Self {
        Self::said(
            "too large",
            text!(
                "The image at the address has more than the {max_bytes} bytes that are accepted.",
                "该地址的图片超过可接受的 {max_bytes} 字节。"
            ),
        )
    }

    fn refusal(self) -> Refusal {
        self.refusal
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self { refusal }
    }
}
