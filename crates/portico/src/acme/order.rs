//! One order, from the account to the signed chain (RFC 8555, 7.4).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, Error, Identifier, NewOrder, Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::time::Instant;

use super::account::{self, AccountSettings};
use super::authority::Authority;
use super::client::{Client, Fault};
use super::dns::{DnsSettings, Records};
use super::error::{Class, OrderError, is_bad_nonce, is_of_a_check};
use super::journal::Proof;
use super::solve;
use super::store::{OpenOrder, Store};
use crate::certificate::{ChallengeGuard, Challenges, Leaf, Pair};
use crate::types::text;

/// The library gives a rejected nonce two more tries; a CA that rejects every second one needs more than that.
const NONCE_TRIES: usize = 20;
/// How long the CA may take to look at the names, and to sign. Its own word (`Retry-After`) decides how often it is asked.
const CHECK_TIME: Duration = Duration::from_secs(180);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is wanted of a CA, and what helps to get it.
pub(super) struct Wanted<'a> {
    pub(super) authority: &'a Authority,
    pub(super) account: &'a AccountSettings,
    pub(super) client: &'a Client,
    pub(super) names: &'a [String],
    /// Empty: the CA's own choice.
    pub(super) profile: &'a str,
    pub(super) proof: Proof,
    pub(super) dns: &'a DnsSettings,
    /// The certificate that this one takes the place of.
    pub(super) replaces: Option<&'a Leaf>,
    pub(super) challenges: &'a Arc<Challenges>,
    pub(super) store: &'a Store,
    /// False: nothing is left behind.
    pub(super) keep: bool,
}

/// A key and the chain that was signed for it, in PEM and as they will be served.
pub(crate) struct Issued {
    pub(super) key_pem: String,
    pub(super) chain_pem: String,
    pub(super) pair: Pair,
}

impl Wanted<'_> {
    pub(super) async fn obtain(&self) -> Result<Issued, OrderError> {
        let account = self.account().await?;
        if let Some(issued) = self.resumed(&account).await {
            return Ok(issued);
        }
        self.check_profile(&account)?;
        let mut order = self.begin(&account).await?;
        self.prove(&mut order).await?;
        let key = KeyPair::generate().map_err(|error| unsigned(&error))?;
        if self.keep {
            let open = OpenOrder {
                directory: self.authority.directory.clone(),
                url: order.url().to_owned(),
                key_pem: key.serialize_pem(),
            };
            self.store.keep_order(&open).map_err(|error| OrderError::disk(&error))?;
        }
        self.finish(&mut order, &key).await
    }

    /// The CA may have forgotten the account; then a new one is made at once.
    async fn account(&self) -> Result<Account, OrderError> {
        let Self { authority, account, client, store, keep, .. } = *self;
        account::open(authority, account, client, store, keep).await
    }

    /// An order whose end was not seen, because the process ended: the CA has counted it, so it is fetched.
    async fn resumed(&self, account: &Account) -> Option<Issued> {
        let open = self.store.open_order().filter(|_| self.keep)?;
        if open.directory == self.authority.directory
            && let Ok(key) = KeyPair::from_pem(&open.key_pem)
            && let Ok(mut order) = again(async || account.order(open.url.clone()).await).await
            && let OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid = order.state().status
            && let Ok(issued) = self.finish(&mut order, &key).await
        {
            tracing::info!("an order that was under way at the last end was brought to its own");
            return Some(issued);
        }
        // What stays behind costs another look at the next order.
        let _ = self.store.forget_order();
        None
    }

    fn check_profile(&self, account: &Account) -> Result<(), OrderError> {
        let profile = self.profile;
        if profile.is_empty() || account.profiles().any(|known| known.name == profile) {
            return Ok(());
        }
        let mut known: Vec<&str> = account.profiles().map(|known| known.name).collect();
        known.sort_unstable();
        let known = known.join(", ");
        let said = if known.is_empty() {
            text!(
                "tls.profile is \"{profile}\", and this certificate authority offers no profiles: leave it empty",
                "tls.profile 为 \"{profile}\",但该颁发机构不提供任何配置:请留空"
            )
        } else {
            text!(
                "tls.profile is \"{profile}\", and this certificate authority offers {known}",
                "tls.profile 为 \"{profile}\",但该颁发机构提供的是 {known}"
            )
        };
        Err(OrderError::here("profile", said))
    }

    async fn begin(&self, account: &Account) -> Result<Order, OrderError> {
        let identifiers: Vec<Identifier> = self.names.iter().map(|name| identifier(name)).collect();
        let wanted = |replaces: Option<CertificateIdentifier<'static>>| {
            let mut order = NewOrder::new(&identifiers);
            if !self.profile.is_empty() {
                order = order.profile(self.profile);
            }
            match replaces {
                Some(replaces) => order.replaces(replaces),
                None => order,
            }
        };
        if let Some(replaces) = self.replaces.and_then(|leaf| leaf.renewal_id.as_deref()).and_then(renewal_id)
        {
            let order = wanted(Some(replaces));
            match again(async || account.new_order(&order).await).await {
                Ok(order) => return Ok(order),
                // It does not do renewal information, or says nothing of the certificate that is replaced.
                Err(Error::Unsupported(_)) => {}
                Err(Error::Other(other)) if !other.is::<Fault>() => {}
                Err(error) => {
                    let error = self.failed(&error);
                    // What else could be wrong with it is found by asking without.
                    if !matches!(error.class, Class::NotReplaceable | Class::Rejected) {
                        return Err(error);
                    }
                }
            }
        }
        let order = wanted(None);
        again(async || account.new_order(&order).await).await.map_err(|error| self.failed(&error))
    }

    /// Shows the CA every name that it has not seen lately, and waits for its judgement.
    async fn prove(&self, order: &mut Order) -> Result<(), OrderError> {
        let mut answers = Answers::default();
        let proven = self.answer(order, &mut answers).await;
        let judged = match proven {
            Ok(()) => self.judgement(order).await,
            Err(error) => Err(error),
        };
        answers.end().await;
        judged
    }

    async fn answer(&self, order: &mut Order, answers: &mut Answers) -> Result<(), OrderError> {
        let failed = |error: Error| self.failed(&error);
        // Fetched first, because each fetch may meet a nonce that is rejected.
        again(async || {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                authorization?;
            }
            Ok(())
        })
        .await
        .map_err(failed)?;
        // Everything is in place before the CA is told to look: a record in DNS takes its time to be seen.
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(failed)?;
            let name = authorization.identifier().to_string();
            // The CA has seen it lately, or has given it up, which the order will say.
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(challenge) = authorization.challenge(self.proof.kind()) else {
                let word = self.proof.word();
                return Err(OrderError::here(
                    "challenge",
                    text!(
                        "{name}: the certificate authority offers no {word}",
                        "{name}:该颁发机构不提供 {word}"
                    ),
                ));
            };
            match solve::answer(self.proof, &name, &challenge, self.challenges)? {
                Some(guard) => answers.here.push(guard),
                None => {
                    let records = match &mut answers.in_dns {
                        Some(records) => records,
                        none => none.insert(Records::none(self.dns).await?),
                    };
                    records.publish(&name, &challenge.key_authorization().dns_value()).await?;
                }
            }
        }
        if let Some(records) = &answers.in_dns {
            records.are_seen().await?;
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(failed)?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            if let Some(mut challenge) = authorization.challenge(self.proof.kind()) {
                match again(async || challenge.set_ready().await).await {
                    // It has looked at once, in vain; the order says so of every name.
                    Err(Error::Api(problem)) if is_of_a_check(&problem) => {}
                    told => told.map_err(failed)?,
                }
            }
        }
        Ok(())
    }

    /// Until the CA has seen all names, or one of them in vain.
    async fn judgement(&self, order: &mut Order) -> Result<(), OrderError> {
        let status = self.wait_for(order, |status| {
            matches!(
                status,
                OrderStatus::Ready | OrderStatus::Valid | OrderStatus::Processing | OrderStatus::Invalid
            )
        });
        match status.await? {
            OrderStatus::Invalid => Err(self.why_invalid(order).await),
            _ => Ok(()),
        }
    }

    async fn why_invalid(&self, order: &mut Order) -> OrderError {
        let mut problems = Vec::new();
        let read = again(async || {
            problems.clear();
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                let name = authorization.identifier().to_string();
                let state = authorization.refresh().await?;
                let found = state.challenges.iter().find_map(|challenge| challenge.error.clone());
                problems.extend(found.map(|problem| (name, problem)));
            }
            Ok(())
        })
        .await;
        match (read, &order.state().error) {
            (Ok(()), _) if !problems.is_empty() => OrderError::not_proven(problems),
            (_, Some(problem)) if is_of_a_check(problem) => {
                OrderError::not_proven(vec![(self.names.join(" "), problem.clone())])
            }
            (_, Some(problem)) => OrderError::of_problem(problem, None),
            (Err(error), None) => self.failed(&error),
            (Ok(()), None) => OrderError::here(
                "invalid",
                text!(
                    "the certificate authority has ended the order without saying why",
                    "颁发机构终止了订单,但未说明原因"
                ),
            ),
        }
    }

    async fn finish(&self, order: &mut Order, key: &KeyPair) -> Result<Issued, OrderError> {
        if order.state().status == OrderStatus::Ready {
            let request = signing_request(self.names, key).map_err(|error| unsigned(&error))?;
            again(async || order.finalize_csr(&request).await).await.map_err(|error| self.failed(&error))?;
        }
        let status = self
            .wait_for(order, |status| matches!(status, OrderStatus::Valid | OrderStatus::Invalid))
            .await?;
        if status == OrderStatus::Invalid {
            return Err(self.why_invalid(order).await);
        }
        let chain = again(async || order.certificate().await).await.map_err(|error| self.failed(&error))?;
        self.accept(key, chain.unwrap_or_default())
    }

    /// A chain that could not be served must not take the place of one that can.
    fn accept(&self, key: &KeyPair, chain_pem: String) -> Result<Issued, OrderError> {
        let key_pem = key.serialize_pem();
        let unusable = |why: &crate::types::Text| {
            let (en, zh) = (&why.en, &why.zh);
            OrderError::here(
                "unusable",
                text!(
                    "the certificate authority has signed something that can't be served: {en}",
                    "颁发机构签发的证书无法使用:{zh}"
                ),
            )
        };
        let pair = Pair::from_pem(chain_pem.as_bytes(), key_pem.as_bytes())
            .map_err(|error| unusable(&error.text()))?;
        if let Some(missing) = self.names.iter().find(|name| !pair.leaf.covers(name)) {
            return Err(unusable(&text!("it is not for {missing}", "其中不包含 {missing}")));
        }
        Ok(Issued { key_pem, chain_pem, pair })
    }

    async fn wait_for(
        &self,
        order: &mut Order,
        wanted: impl Fn(OrderStatus) -> bool,
    ) -> Result<OrderStatus, OrderError> {
        let until = Instant::now() + CHECK_TIME;
        let mut pause = FIRST_PAUSE;
        while !wanted(order.state().status) {
            let asked = self.client.seen().retry_after.unwrap_or_default().min(CHECK_TIME);
            tokio::time::sleep(pause.max(asked)).await;
            if Instant::now() > until {
                return Err(self.failed(&Error::Timeout(None)));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            again(async || order.refresh().await.map(|_| ())).await.map_err(|error| self.failed(&error))?;
        }
        Ok(order.state().status)
    }

    fn failed(&self, error: &Error) -> OrderError {
        OrderError::of(error, self.client.seen().retry_after)
    }
}

/// What answers for the names while the CA looks.
#[derive(Default)]
struct Answers {
    /// Held, not read.
    here: Vec<ChallengeGuard>,
    in_dns: Option<Records>,
}

impl Answers {
    async fn end(self) {
        if let Some(records) = self.in_dns {
            records.remove().await;
        }
    }
}

/// Asks again where the CA did not like a nonce: it has not looked at the rest then (RFC 8555, 6.5).
pub(super) async fn again<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..NONCE_TRIES {
        match ask().await {
            Err(error) if is_bad_nonce(&error) => {}
            other => return other,
        }
    }
    ask().await
}

fn identifier(name: &str) -> Identifier {
    match name.parse::<IpAddr>() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(name.to_owned()),
    }
}

/// RFC 9773, 4.1: two parts with a dot between them.
pub(super) fn renewal_id(text: &str) -> Option<CertificateIdentifier<'static>> {
    let (authority, serial) = text.split_once('.')?;
    Some(CertificateIdentifier {
        authority_key_identifier: authority.to_owned().into(),
        serial: serial.to_owned().into(),
    })
}

fn signing_request(names: &[String], key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    Ok(parameters.serialize_request(key)?.der().to_vec())
}

fn unsigned(error: &rcgen::Error) -> OrderError {
    OrderError::here(
        "key",
        text!("a key for the certificate can't be made: {error}", "无法生成证书密钥:{error}"),
    )
}
