//! **The request path. Start reading here.**
//!
//! A request comes from `listen` (accept → TLS → connection) and goes down this page:
//!
//! ```text
//! handle ─ normalize ─ route ─ admit ─┬─ health, challenge    answered here
//!                                     ├─ page                 ui
//!                                     ├─ account              logging in, one's own password and keys
//!                                     └─ api: read and judge the call
//!                                          └─ generate: queue::Permit ─ upstream::send ─ answer
//! ```
//!
//! Values pass between stages as types. What a request holds (its record, its place or permit, its share of the body
//! budget, its connection to the model server) are guards that ride on the future first and on the response body
//! after: however the request ends, also by the client leaving, each is given back exactly once, by `Drop`.

mod account;
mod admit;
mod body;
mod cors;
mod generate;
mod headers;
mod models;
mod normalize;
mod pictures;
mod pulse;
mod realtime;
mod respond;
mod route;
mod scheme;
mod snapshot;
mod stream;
mod transcribe;
mod tunnel;
mod turn;

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::{Request, Response};

use self::respond::Context;
use self::route::Route;
use crate::access::{Caller, Surface};
use crate::api::body::Incoming;
use crate::api::{self, Call, Operation};
use crate::observe::Record;
use crate::reason::{Reason, Refusal};
use crate::sys::random;

pub(crate) use self::account::Setup;
pub(crate) use self::body::{Body, BodyError};
pub(crate) use self::cors::Cors;
pub(crate) use self::models::{Registry, Served};
pub(crate) use self::respond::unread;
pub(crate) use self::route::surface;
pub(crate) use self::scheme::strict_transport_security;
pub(crate) use self::snapshot::{Door, Snapshot};

/// Path and host of a request, for `fuzzing`.
#[cfg(feature = "fuzzing")]
pub(crate) fn target<'a>(
    parts: &'a http::request::Parts,
    limits: &crate::config::Limits,
) -> Option<(&'a str, Option<&'a str>)> {
    normalize::check(parts, limits).ok().map(|target| (target.path, target.host))
}

/// What was agreed on in a TLS handshake.
#[derive(Debug)]
pub(crate) struct Tls {
    /// As Nginx's `$ssl_protocol` has it.
    pub(crate) version: &'static str,
    /// The name that the client asked for, lower case (SNI).
    pub(crate) server_name: Option<Box<str>>,
}

/// What the request path must know of the connection that a request came over.
pub(crate) trait Connection {
    fn peer(&self) -> IpAddr;
    /// `None`: it is spoken in the clear.
    fn tls(&self) -> Option<&Tls>;
    /// Live answers are to be cut now, with a last word to the client. Whoever waits on the connection is woken.
    fn is_cut(&self) -> bool;
    /// Why an answer could not be brought to its end.
    fn why_gone(&self) -> Reason;
    /// How often everything written so far has reached the socket; wakes `waker` at the next time.
    fn flushes(&self, waker: &std::task::Waker) -> u64;
}

/// Answers one request. Dropped (the client left), it gives back everything it holds and its record says so.
pub(crate) async fn handle(
    door: &Door,
    connection: Rc<dyn Connection>,
    request: Request<impl Incoming + 'static>,
) -> Response<Body> {
    let snapshot = door.snapshot.load_full();
    let (parts, mut incoming) = request.into_parts();
    let client = crate::access::client_address(
        connection.peer(),
        &parts.headers,
        &snapshot.config.listen.trusted_proxies,
    );
    let id = random::request_id();
    let context = Context::new(&parts, id, &connection, &snapshot);
    let mut record = Record::open(id, client, &parts);
    record.tls = connection.tls().map(|tls| tls.version);
    let visit = Visit {
        door,
        snapshot: &snapshot,
        parts: &parts,
        client,
        connection: &connection,
        context: &context,
    };
    let answer = guarded(visit.answer(&mut incoming, &mut record), &*connection).await;
    if let Ok(Answer::Tunnel(mut tunnel, handshake)) = answer {
        tunnel.reads(Box::new(incoming));
        return respond::answer(Answer::Tunnel(tunnel, handshake), record, &context);
    }
    // A page or a list may have been asked for with a body that nobody wants.
    let drained = respond::drain(&parts, &mut incoming).await;
    match answer {
        Ok(answer) => respond::answer(answer, record, &context),
        Err(refusal) => respond::refusal(refusal, drained, record, &context, &snapshot.config.access),
    }
}

/// A call that has no answer yet when live answers are cut still gets a status, and so does one that panics: only
/// that request is lost.
async fn guarded(
    answer: impl Future<Output = Result<Answer, Refusal>>,
    connection: &dyn Connection,
) -> Result<Answer, Refusal> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| match std::panic::catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
        Ok(Poll::Pending) if connection.is_cut() => Poll::Ready(Err(Reason::ShuttingDown.into())),
        Ok(other) => other,
        Err(_) => Poll::Ready(Err(Refusal::new(Reason::Internal).because("it ended in a panic"))),
    })
    .await
}

/// One request, as the stages see it.
struct Visit<'a> {
    door: &'a Door,
    snapshot: &'a Arc<Snapshot>,
    parts: &'a http::request::Parts,
    client: IpAddr,
    connection: &'a Rc<dyn Connection>,
    context: &'a Context,
}

/// What a stage found to answer with.
enum Answer {
    /// Small and made here.
    Local(Response<bytes::Bytes>),
    Page(Response<crate::ui::Body>),
    /// A whole answer of the model.
    Whole(generate::Whole),
    /// A stream, running or still waiting for its turn.
    Stream(Box<stream::StreamBody>, turn::Position),
    /// A session, over the connection itself.
    Tunnel(Box<tunnel::Tunnel>, realtime::Handshake),
}

impl Visit<'_> {
    async fn answer(&self, incoming: &mut dyn Incoming, record: &mut Record) -> Result<Answer, Refusal> {
        let target = normalize::check(self.parts, &self.snapshot.config.limits)?;
        match route::find(&self.parts.method, target.path, &self.snapshot.config.policy.endpoints) {
            Route::Health => respond::health(&self.parts.method).map(Answer::Local),
            Route::Ready => {
                let known = admit::host(self, &target).is_ok()
                    && self.needs_https().is_ok()
                    && admit::enter(self, Surface::Api, record).await.is_ok();
                Ok(Answer::Local(respond::ready(self.snapshot, self.door, known)))
            }
            // Whoever asks knows a token that nobody can guess, and needs neither a known host nor an identity.
            Route::Challenge => respond::challenge(&self.door.challenges, target.path).map(Answer::Local),
            Route::Page => {
                admit::host(self, &target)?;
                if let Some(response) = self.https_elsewhere(&target) {
                    return Ok(Answer::Local(response));
                }
                match admit::enter(self, Surface::Page, record).await {
                    Ok(_) => self.site_page(target.path).await.map(Answer::Page),
                    Err(refusal) => self.login_page(refusal, record).await,
                }
            }
            Route::Account => {
                admit::host(self, &target)?;
                if let Some(response) = self.https_elsewhere(&target) {
                    return Ok(Answer::Local(response));
                }
                admit::enter(self, Surface::Login, record).await?;
                let pages = self.snapshot.account.as_ref().ok_or(Reason::NotFound)?;
                // Four addresses of one document, beside the files that it is made of.
                let is_file = target.path.starts_with("/account/");
                let path = if is_file { target.path } else { "/account.html" };
                Box::pin(pages.answer(&self.page(path))).await.map(Answer::Page)
            }
            Route::AccountApi(name) => {
                admit::host(self, &target)?;
                self.needs_https()?;
                admit::enter(self, Surface::Login, record).await?;
                Box::pin(account::run(self, name, incoming, record)).await
            }
            Route::Api(_) | Route::UnknownApi if self.parts.method == http::Method::OPTIONS => {
                self.needs_https_here(&target)?;
                match self.snapshot.cors.preflight(self.parts) {
                    Some(answer) => answer.map(Answer::Local),
                    None => {
                        admit::enter(self, Surface::Api, record).await?;
                        Err(Reason::NotFound.into())
                    }
                }
            }
            Route::Api(operation) => {
                self.needs_https_here(&target)?;
                let caller = admit::enter(self, Surface::Api, record).await?;
                self.api(operation, target.path, &caller, incoming, record).await
            }
            Route::UnknownApi => {
                self.needs_https_here(&target)?;
                admit::enter(self, Surface::Api, record).await?;
                Err(Reason::NotFound.into())
            }
        }
    }

    /// A host that is served, over https where the site has it.
    fn needs_https_here(&self, target: &normalize::Target<'_>) -> Result<(), Refusal> {
        admit::host(self, target)?;
        self.needs_https()
    }

    fn is_local(&self) -> bool {
        self.door.is_local(self.snapshot)
    }

    fn page<'r>(&'r self, path: &'r str) -> crate::ui::PageRequest<'r> {
        crate::ui::PageRequest { method: &self.parts.method, path, headers: &self.parts.headers }
    }

    /// A page of the site. What is for some and not for others is not for caches that serve both.
    async fn site_page(&self, path: &str) -> Result<Response<crate::ui::Body>, Refusal> {
        let mut response = Box::pin(self.snapshot.site.answer(&self.page(path))).await?;
        if !self.is_local() && self.snapshot.access.guards_pages() {
            crate::ui::keep_private(response.headers_mut());
        }
        Ok(response)
    }

    /// The login page in place of one that asks for identity, for browsers that ask for a page. The status is still 401: it is
    /// not what was asked for.
    async fn login_page(&self, refusal: Refusal, record: &mut Record) -> Result<Answer, Refusal> {
        let pages = self.snapshot.account.as_ref().filter(|_| self.snapshot.config.access.login_page);
        let is_asked = refusal.reason.kind() == crate::reason::ErrorKind::Authentication
            && crate::ui::wants_page(&self.parts.method, &self.parts.headers);
        let Some(pages) = pages.filter(|_| is_asked) else { return Err(refusal) };
        record.private = Some(refusal.private.as_ref().into());
        let page = Box::pin(pages.in_place("/account.html", &self.page("/"), refusal.reason)).await?;
        Ok(Answer::Page(page))
    }

    async fn api(
        &self,
        operation: Operation,
        path: &str,
        caller: &Caller,
        incoming: &mut dyn Incoming,
        record: &mut Record,
    ) -> Result<Answer, Refusal> {
        match operation {
            Operation::ListModels => Ok(Answer::Local(respond::models(self.snapshot, caller))),
            Operation::RetrieveModel => respond::model(self.snapshot, caller, path).map(Answer::Local),
            Operation::Transcriptions => Box::pin(transcribe::run(self, caller, incoming, record)).await,
            Operation::Realtime => Box::pin(realtime::run(self, caller, incoming, record)).await,
            Operation::Chat
            | Operation::Completions
            | Operation::Embeddings
            | Operation::Responses
            | Operation::Messages
            | Operation::CountTokens
            | Operation::Rerank
            | Operation::Score => {
                let plan = self.snapshot.plan_of(caller);
                let longest = plan.and_then(|plan| plan.max_output_tokens);
                let (mut call, mut budget) = self.read(operation, longest, incoming, record).await?;
                let served = self.snapshot.models.find(&call.facts.model)?;
                models::may_use(self.snapshot, caller, served)?;
                served.check(&call, &self.snapshot.config.policy)?;
                if !call.wanted().is_empty() {
                    Box::pin(pictures::fetch(self, &mut call, &mut budget, record.bytes_in)).await?;
                }
                let origin = headers::Origin::of(self);
                let turn = turn::Turn::new(self.snapshot, served);
                let cache_salt = caller.person().map(|person| person.cache_salt);
                let cache_salt = cache_salt.unwrap_or(self.snapshot.cache_salt);
                let job = generate::Job::new(turn, call, origin, cache_salt, budget);
                job.run(record, self.context, self.connection).await
            }
        }
    }

    fn bounds(&self) -> api::body::Bounds {
        let config = &self.snapshot.config;
        api::body::Bounds {
            body_bytes: config.limits.body_bytes,
            total_bytes: config.limits.body_total_bytes,
            idle: config.timeouts.request_body_idle,
        }
    }

    /// Reads the body within its limits and judges it.
    async fn read(
        &self,
        operation: Operation,
        max_output_tokens: Option<u32>,
        incoming: &mut dyn Incoming,
        record: &mut Record,
    ) -> Result<(Call, api::body::BudgetGuard), Refusal> {
        let config = &self.snapshot.config;
        let bounds = self.bounds();
        api::body::check_headers(&self.parts.headers, bounds)?;
        let (body, budget) = api::body::collect(incoming, &self.door.budget, bounds).await?;
        record.bytes_in = body.len() as u64;
        let rules = api::call::Rules { limits: &config.limits, policy: &config.policy, max_output_tokens };
        let call = Call::judge(operation, &body, rules)?;
        record.model = Some(call.facts.model.clone());
        record.stream = call.facts.stream;
        record.images = call.facts.images;
        Ok((call, budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Uncut;

    impl Connection for Uncut {
        fn peer(&self) -> IpAddr {
            IpAddr::from([127, 0, 0, 1])
        }

        fn tls(&self) -> Option<&Tls> {
            None
        }

        fn is_cut(&self) -> bool {
            false
        }

        fn why_gone(&self) -> Reason {
            Reason::ClientLeft
        }

        fn flushes(&self, _: &std::task::Waker) -> u64 {
            0
        }
    }

    #[tokio::test]
    async fn f41_a_panic_ends_its_request_and_nothing_else() {
        let refused = guarded(async { panic!("on purpose") }, &Uncut).await;
        assert_eq!(refused.err().map(|refusal| refusal.reason), Some(Reason::Internal));
    }
}
