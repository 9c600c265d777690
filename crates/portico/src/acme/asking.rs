//! What is asked of CAs, apart from when: so that the driver's patience can be tested without waiting a day.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use instant_acme::RenewalInfo;
use serde::Deserialize;

use super::account;
use super::authority::Authority;
use super::client::Client;
use super::error::{Class, OrderError};
use super::journal::Proof;
use super::order::{Issued, Wanted};
use super::schedule::Window;
use super::settings::Settings;
use super::store::Store;
use crate::certificate::{Challenges, Leaf};
use crate::config::Challenge;
use crate::reach;
use crate::sys::random;
use crate::types::text;

/// One order, as the driver wants it.
pub(crate) struct Job<'a> {
    pub(super) authority: &'a Authority,
    pub(super) proof: Proof,
    pub(super) replaces: Option<&'a Leaf>,
    /// False: nothing is left behind.
    pub(super) keep: bool,
}

/// What a CA suggests about renewing a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggestion {
    pub(super) window: Window,
    pub(super) explanation_url: Option<String>,
    pub(super) ask_again: Option<Duration>,
}

pub(crate) trait Asking {
    async fn order(&self, job: Job<'_>) -> Result<Issued, OrderError>;
    /// `None`: this CA suggests nothing.
    async fn suggestion(&self, directory: &str, leaf: &Leaf) -> Result<Option<Suggestion>, OrderError>;
}

/// Over the network.
pub(crate) struct Network {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) challenges: Arc<Challenges>,
}

impl Network {
    fn client(&self) -> Result<Client, OrderError> {
        // Read anew each time: the file may have been put right since.
        Client::new(self.settings.ca_file.as_deref()).map_err(|said| OrderError::here("ca_file", said))
    }
}

impl Network {
    /// With what can be seen from here. A few seconds, and only where the CA has refused.
    async fn explained(&self, error: OrderError, job: &Job<'_>, client: &Client) -> OrderError {
        let challenge = match job.proof {
            Proof::TlsAlpn01 => Challenge::TlsAlpn01,
            Proof::Http01 => Challenge::Http01,
            Proof::Dns01 => Challenge::Dns01,
        };
        let token = String::from_utf8_lossy(&random::request_id()).into_owned();
        let body = format!("{token}.portico");
        let _answering = self.challenges.answer_http(&token, &body);
        let question = reach::Question {
            names: self.settings.names.clone(),
            ports: reach::Ports { http: Some(80), https: Some(443) },
            authority: reach::Authority::of(&job.authority.issuer),
            challenge,
            account: None,
            proof: Some(reach::Proof { token, body }),
            resolver: None,
            clock: client.seen().clock,
        };
        let report = reach::look(&question).await;
        let refused = reach::Refused {
            kind: &error.kind,
            detail: &error.said.en,
            name: error.failed_checks.first().map(String::as_str),
            challenge,
        };
        let explanation = reach::explain(refused, &report.findings);
        OrderError { explanation, ..error }
    }
}

impl Asking for Network {
    async fn order(&self, job: Job<'_>) -> Result<Issued, OrderError> {
        let Self { settings, store, challenges } = self;
        let client = self.client()?;
        let account = settings.account_at(job.authority);
        let wanted = Wanted {
            authority: job.authority,
            account: &account,
            client: &client,
            names: &settings.names,
            profile: &settings.profile,
            proof: job.proof,
            dns: &settings.dns,
            replaces: job.replaces,
            challenges,
            store,
            keep: job.keep,
        };
        let ordered = match wanted.obtain().await {
            Err(error) if error.class == Class::NoAccount && job.keep => {
                tracing::warn!(
                    "the certificate authority does not know the account any more; another is made"
                );
                account::forget(job.authority, store)?;
                wanted.obtain().await
            }
            other => other,
        };
        match ordered {
            Err(error) if matches!(error.class, Class::NotProven | Class::Rejected) => {
                Err(self.explained(error, &job, &client).await)
            }
            other => other,
        }
    }

    async fn suggestion(&self, directory: &str, leaf: &Leaf) -> Result<Option<Suggestion>, OrderError> {
        #[derive(Deserialize)]
        struct Directory {
            #[serde(rename = "renewalInfo")]
            renewal_info: Option<String>,
        }
        let Some(id) = &leaf.renewal_id else { return Ok(None) };
        let client = self.client()?;
        let Directory { renewal_info } = get(&client, directory).await?;
        let Some(url) = renewal_info else { return Ok(None) };
        let info: RenewalInfo = get(&client, &format!("{url}/{id}")).await?;
        let window = Window {
            start: SystemTime::from(info.suggested_window.start),
            end: SystemTime::from(info.suggested_window.end),
        };
        // RFC 9773, 4.2: such an answer is as good as none.
        if window.end <= window.start {
            return Err(broken("its window ends before it begins"));
        }
        let ask_again = client.seen().retry_after;
        Ok(Some(Suggestion { window, explanation_url: info.explanation_url, ask_again }))
    }
}

async fn get<T: for<'de> Deserialize<'de>>(client: &Client, url: &str) -> Result<T, OrderError> {
    let request =
        Request::get(url).body(Full::new(Bytes::new())).map_err(|error| broken(&error.to_string()))?;
    let response = client.ask(request).await.map_err(|fault| broken(&fault.to_string()))?;
    if response.status() != StatusCode::OK {
        return Err(broken(&response.status().to_string()));
    }
    serde_json::from_slice(response.body()).map_err(|error| broken(&error.to_string()))
}

fn broken(why: &str) -> OrderError {
    OrderError {
        class: Class::Unavailable,
        kind: "renewalInfo".to_owned(),
        said: text!(
            "the certificate authority was asked about renewal, in vain: {why}",
            "向颁发机构询问续期时间失败:{why}"
        ),
        retry_after: None,
        failed_checks: Vec::new(),
        explanation: None,
    }
}
