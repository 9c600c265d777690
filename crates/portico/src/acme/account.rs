//! The account at a CA: made once, kept, and made anew where the CA has forgotten it.

use std::path::{Path, PathBuf};

use base64_simd::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};

use super::authority::{Authority, ZERO_SSL_DIRECTORY};
use super::client::Client;
use super::error::OrderError;
use super::order::again;
use super::store::Store;
use crate::types::{percent_encoded, text};

const KEPT: &str = "account";
/// ZeroSSL gives external accounts by mail address, without asking for more (zerossl.com/documentation/acme).
const ZERO_SSL_EXTERNAL_ACCOUNT: &str = "https://api.zerossl.com/acme/eab-credentials-email";

/// What the configuration says about accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountSettings {
    /// Empty: none.
    pub(crate) email: String,
    pub(crate) eab_kid: String,
    pub(crate) eab_hmac_file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    /// The external account it is bound to; empty: none.
    #[serde(default)]
    eab_kid: String,
    credentials: AccountCredentials,
}

/// The kept account, or a new one. `keep`: false leaves nothing behind.
pub(super) async fn open(
    authority: &Authority,
    settings: &AccountSettings,
    client: &Client,
    store: &Store,
    keep: bool,
) -> Result<Account, OrderError> {
    if let Some(kept) = store.read_of_authority::<Kept>(KEPT, &authority.directory)
        && kept.directory == authority.directory
        && kept.eab_kid == settings.eab_kid
    {
        let builder = Account::builder_with_http(Box::new(client.clone()));
        return builder.from_credentials(kept.credentials).await.map_err(|error| failed(&error, client));
    }
    let external = external_account(authority, settings, client).await?;
    let contact = format!("mailto:{}", settings.email);
    let contacts: &[&str] = if settings.email.is_empty() { &[] } else { &[&contact] };
    let wanted = NewAccount { contact: contacts, terms_of_service_agreed: true, only_return_existing: false };
    let made = again(async || {
        let builder = Account::builder_with_http(Box::new(client.clone()));
        builder.create(&wanted, authority.directory.clone(), external.as_ref()).await
    });
    let (account, credentials) = made.await.map_err(|error| failed(&error, client))?;
    if keep {
        let kept =
            Kept { directory: authority.directory.clone(), eab_kid: settings.eab_kid.clone(), credentials };
        store
            .keep_of_authority(KEPT, &authority.directory, &kept)
            .map_err(|error| OrderError::disk(&error))?;
        tracing::info!(authority = authority.name, "an account was made at the certificate authority");
    }
    Ok(account)
}

/// The CA does not know it any more.
pub(super) fn forget(authority: &Authority, store: &Store) -> Result<(), OrderError> {
    store.forget_of_authority(KEPT, &authority.directory).map_err(|error| OrderError::disk(&error))
}

fn failed(error: &instant_acme::Error, client: &Client) -> OrderError {
    OrderError::of(error, client.seen().retry_after)
}

async fn external_account(
    authority: &Authority,
    settings: &AccountSettings,
    client: &Client,
) -> Result<Option<ExternalAccountKey>, OrderError> {
    if let Some(file) = &settings.eab_hmac_file {
        let key = read_key(file)?;
        return Ok(Some(ExternalAccountKey::new(settings.eab_kid.clone(), &key)));
    }
    if authority.directory != ZERO_SSL_DIRECTORY {
        return Ok(None);
    }
    if settings.email.is_empty() {
        return Err(OrderError::here(
            "email",
            text!(
                "ZeroSSL wants a mail address: write site.email, or tls.eab with what its developer page gives",
                "ZeroSSL 需要邮箱地址:请填写 site.email,或把其开发者页面给出的内容写入 tls.eab"
            ),
        ));
    }
    zero_ssl(&settings.email, client).await.map(Some)
}

#[derive(Deserialize)]
struct ZeroSsl {
    success: bool,
    #[serde(default)]
    eab_kid: String,
    #[serde(default)]
    eab_hmac_key: String,
}

async fn zero_ssl(email: &str, client: &Client) -> Result<ExternalAccountKey, OrderError> {
    let refused = |why: &str| {
        OrderError::here(
            "zerossl",
            text!(
                "ZeroSSL gave no external account: {why}. Its developer page gives one by hand, for tls.eab.",
                "ZeroSSL 没有给出外部账户:{why}。可在其开发者页面手动获取并写入 tls.eab。"
            ),
        )
    };
    let request = Request::builder()
        .method(Method::POST)
        .uri(ZERO_SSL_EXTERNAL_ACCOUNT)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .body(Full::new(Bytes::from(format!("email={}", percent_encoded(email)))))
        .map_err(|error| refused(&error.to_string()))?;
    let response = client.ask(request).await.map_err(|fault| refused(&fault.to_string()))?;
    let given: ZeroSsl =
        serde_json::from_slice(response.body()).map_err(|error| refused(&error.to_string()))?;
    match decoded(&given.eab_hmac_key) {
        Some(key) if given.success => Ok(ExternalAccountKey::new(given.eab_kid, &key)),
        _ => Err(refused("it refused this mail address")),
    }
}

fn read_key(file: &Path) -> Result<Vec<u8>, OrderError> {
    let shown = file.display();
    let bad = |why: &dyn std::fmt::Display| {
        OrderError::here(
            "eab",
            text!(
                "tls.eab.hmac_file {shown} can't be used: {why}",
                "无法使用 tls.eab.hmac_file {shown}:{why}"
            ),
        )
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(&error))?;
    decoded(text.trim()).ok_or_else(|| bad(&"it is not base64 as the authority gives it"))
}

/// Base64 of either alphabet, with or without its padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    if bare.is_empty() {
        return None;
    }
    let url_safe = URL_SAFE_NO_PAD.decode_to_vec(bare);
    url_safe.or_else(|_| STANDARD_NO_PAD.decode_to_vec(bare)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_every_base64() {
        for text in ["-_-_", "+/+/", "-_8", "+/8=", "-_8="] {
            assert!(decoded(text).is_some(), "{text}");
        }
        for text in ["", "=", "a b", "-/"] {
            assert!(decoded(text).is_none(), "{text}");
        }
        assert_eq!(percent_encoded("a+b@c.example"), "a%2Bb%40c.example");
    }
}
