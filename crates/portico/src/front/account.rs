//! What the pages of identity ask for: logging in and out, one's own password and keys, invitations, and the first user.
//!
//! JSON over `POST`, from this site's own pages only. Whoever has come in with an API key can't do anything here: a key that
//! has got away must not be able to make more of itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Method, Response, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::admit;
use super::{Answer, Visit};
use crate::access::{
    Accounts, AccountsError, Actor, Caller, Judged, KeyWish, NewKey, NotDone, Person, composed, cookie_name,
    key_state, password_refused, role_word, token,
};
use crate::api::body::{self, Incoming};
use crate::observe::Record;
use crate::reason::{Reason, Refusal};
use crate::store::{ApiKey, Ending, Entry};
use crate::sys::clock::Instant;
use crate::types::{Text, text};

/// Names, passwords and tokens.
const LARGEST_BODY_BYTES: u64 = 16 * 1024;
const LONGEST_KEY_NAME_CHARS: usize = 100;

/// The one-time link of a first start, by which the first user is made.
#[derive(Debug, Default)]
pub(crate) struct Setup(Mutex<Option<Link>>);

#[derive(Debug)]
struct Link {
    /// SHA-256 of the token.
    digest: Vec<u8>,
    until: Instant,
}

impl Setup {
    pub(crate) const LIFETIME: Duration = Duration::from_secs(15 * 60);

    /// A new link's token, which is all that lets somebody in. An earlier one is dead.
    pub(crate) fn begin(&self) -> std::io::Result<String> {
        let token = token::<16>()?;
        let link = Link {
            digest: digest(&SHA256, token.as_bytes()).as_ref().to_vec(),
            until: Instant::now() + Self::LIFETIME,
        };
        *self.link() = Some(link);
        Ok(token)
    }

    /// Somebody exists now.
    pub(crate) fn end(&self) {
        *self.link() = None;
    }

    fn is_good(&self, token: &str) -> bool {
        let asked = digest(&SHA256, token.as_bytes());
        self.link().as_ref().is_some_and(|link| {
            Instant::now() < link.until && verify_slices_are_equal(&link.digest, asked.as_ref()).is_ok()
        })
    }

    fn link(&self) -> std::sync::MutexGuard<'_, Option<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    name: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    current: String,
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedKey {
    name: String,
    expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    token: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    token: String,
    name: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `name`: the path behind `/account/api/`.
pub(super) async fn run(
    visit: &Visit<'_>,
    name: &str,
    incoming: &mut dyn Incoming,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let desk = Desk { visit, accounts: &visit.door.accounts };
    let answer = match (&visit.parts.method, name) {
        (&Method::GET, "me") => desk.me(record).await?,
        (&Method::GET, "keys") => desk.keys(record).await?,
        (&Method::POST, _) => {
            admit::own_page(visit)?;
            desk.post(name, incoming, record).await?
        }
        (_, "me" | "keys" | "login" | "logout" | "password" | "invitation" | "invite" | "setup") => {
            return Err(Reason::MethodNotAllowed.into());
        }
        _ => return Err(Reason::NotFound.into()),
    };
    Ok(Answer::Local(answer))
}

struct Desk<'v> {
    visit: &'v Visit<'v>,
    accounts: &'v Accounts,
}

impl Desk<'_> {
    async fn post(
        &self,
        name: &str,
        incoming: &mut dyn Incoming,
        record: &mut Record,
    ) -> Result<Response<Bytes>, Refusal> {
        match name {
            "login" => self.login(self.read(incoming).await?).await,
            "logout" => self.logout(self.read(incoming).await?, record).await,
            "password" => self.password(self.read(incoming).await?, record).await,
            "sessions/end" => self.end_others(self.read(incoming).await?, record).await,
            "keys" => self.create_key(self.read(incoming).await?, record).await,
            "invitation" => self.invitation(self.read(incoming).await?),
            "invite" => self.accept(self.read(incoming).await?).await,
            "setup" => self.setup(self.read(incoming).await?).await,
            _ => match name.strip_prefix("keys/").and_then(|rest| rest.split_once('/')) {
                Some((id, "rotate")) => self.rotate_key(id, self.read(incoming).await?, record).await,
                Some((id, "revoke")) => self.revoke_key(id, self.read(incoming).await?, record).await,
                _ => Err(Reason::NotFound.into()),
            },
        }
    }

    async fn read<T: DeserializeOwned>(&self, incoming: &mut dyn Incoming) -> Result<T, Refusal> {
        let bounds = body::Bounds { body_bytes: LARGEST_BODY_BYTES, ..self.visit.bounds() };
        body::check_headers(&self.visit.parts.headers, bounds)?;
        let (body, _budget) = body::collect(incoming, &self.visit.door.budget, bounds).await?;
        // The library's words could repeat a password.
        serde_json::from_slice(&body).map_err(|_| Reason::InvalidJson.into())
    }

    /// Who has come in, by a session or a password.
    async fn caller(&self, record: &mut Record) -> Result<Caller, Refusal> {
        let caller = admit::known(self.visit, record).await?;
        if caller.key().is_some() {
            return Err(Refusal::new(Reason::IdentityRequired).because("a key opens nothing of an account"));
        }
        Ok(caller)
    }

    async fn person(&self, record: &mut Record) -> Result<(Caller, std::sync::Arc<Person>), Refusal> {
        let caller = self.caller(record).await?;
        match caller.person().cloned() {
            Some(person) => Ok((caller, person)),
            None => Err(Reason::IdentityRequired.into()),
        }
    }

    fn actor(&self, person: &str) -> Actor {
        Actor { name: format!("user:{person}"), address: Some(self.visit.client) }
    }

    fn entry(&self, person: &str, action: &str, detail: &str) -> Entry {
        Entry {
            at: Timestamp::now(),
            actor: format!("user:{person}"),
            action: action.to_owned(),
            target: person.to_owned(),
            address: Some(self.visit.client),
            detail: detail.to_owned(),
        }
    }

    async fn me(&self, record: &mut Record) -> Result<Response<Bytes>, Refusal> {
        let realm = &self.visit.snapshot.config.access.realm;
        if self.visit.is_local() {
            return Ok(answer(
                StatusCode::OK,
                &json!({"mode": "local", "user": null, "session": null, "realm": realm}),
            ));
        }
        let caller = self.caller(record).await?;
        let mode = if caller.person().is_some() { "identity" } else { "network" };
        let session = caller.session().and_then(|digest| self.accounts.authenticator().session(&digest));
        Ok(answer(
            StatusCode::OK,
            &json!({
                "mode": mode,
                "user": caller.person().map(|person| shown(person)),
                "session": session.map(|session| json!({"expires": session.expires})),
                "realm": realm,
            }),
        ))
    }

    async fn login(&self, login: Login) -> Result<Response<Bytes>, Refusal> {
        if self.visit.is_local() {
            return Err(Refusal::new(Reason::NotFound).saying(text!(
                "Nobody has to log in here: Portico is in local mode.",
                "此处无需登录:Portico 处于本地模式。"
            )));
        }
        let name = composed(login.name.trim()).into_owned();
        match admit::by_password(self.visit, name, login.password.into_bytes(), false).await {
            Judged::Right { person, .. } => self.welcome(&person, StatusCode::OK).await,
            judged => Err(judged.refusal(self.visit.client)),
        }
    }

    /// A session for somebody who has shown who he is.
    async fn welcome(&self, person: &Person, status: StatusCode) -> Result<Response<Bytes>, Refusal> {
        let lifetime = self.visit.snapshot.config.access.session;
        let agent = admit::agent(self.visit);
        let token = self.accounts.log_in(person, self.visit.client, agent, lifetime).await.map_err(failed)?;
        let mut response = answer(status, &json!({"user": shown(person)}));
        response.headers_mut().insert(SET_COOKIE, self.cookie(&token, lifetime));
        Ok(response)
    }

    /// The person that a change has just made or changed.
    async fn welcome_by_name(&self, name: &str, status: StatusCode) -> Result<Response<Bytes>, Refusal> {
        let person = self.accounts.authenticator().directory().person(name).cloned();
        match person {
            Some(person) => self.welcome(&person, status).await,
            None => Err(Refusal::new(Reason::Internal).because("who was just changed is not there")),
        }
    }

    fn cookie(&self, token: &str, lifetime: Duration) -> HeaderValue {
        let (name, seconds) = (cookie_name(self.visit.is_secure()), lifetime.as_secs());
        let secure = if self.visit.is_secure() { "; Secure" } else { "" };
        let cookie = format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        let mut value = HeaderValue::try_from(cookie).expect("a token is made of URL-safe characters");
        value.set_sensitive(true);
        value
    }

    async fn logout(&self, _: Nothing, record: &mut Record) -> Result<Response<Bytes>, Refusal> {
        // Who has no session any more has logged out already.
        if let Ok(caller) = self.caller(record).await
            && let (Some(person), Some(digest)) = (caller.person(), caller.session())
        {
            let entry = self.entry(&person.name, "logout", "");
            self.accounts.end_sessions(Ending::One(digest), entry).await.map_err(failed)?;
        }
        let mut response = no_content();
        response.headers_mut().insert(SET_COOKIE, self.cookie("", Duration::ZERO));
        Ok(response)
    }

    async fn password(&self, wish: NewPassword, record: &mut Record) -> Result<Response<Bytes>, Refusal> {
        let (_, person) = self.person(record).await?;
        if person.is_of_file() {
            return Err(Refusal::new(Reason::PasswordRefused).saying(text!(
                "This password is kept in a file of the operator's, who changes it there.",
                "该密码保存在管理员的文件中,由管理员修改。"
            )));
        }
        let (name, current) = (person.name.to_string(), wish.current.into_bytes());
        match admit::by_password(self.visit, name, current, false).await {
            Judged::Right { .. } => {}
            judged => return Err(judged.refusal(self.visit.client).param("current")),
        }
        chosen(&person.name, &wish.new, "new")?;
        let actor = self.actor(&person.name);
        self.accounts.set_password(&person.name, &wish.new, &actor).await.map_err(not_done)?;
        let all = Ending::AllOf { user: person.name.to_string(), except: None };
        let entry = self.entry(&person.name, "session.end", "another password");
        self.accounts.end_sessions(all, entry).await.map_err(failed)?;
        let mut response = self.welcome_by_name(&person.name, StatusCode::OK).await?;
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.body_mut() = Bytes::new();
        response.headers_mut().remove(CONTENT_TYPE);
        Ok(response)
    }

    async fn end_others(&self, _: Nothing, record: &mut Record) -> Result<Response<Bytes>, Refusal> {
        let (caller, person) = self.person(record).await?;
        let which = Ending::AllOf { user: person.name.to_string(), except: caller.session() };
        let entry = self.entry(&person.name, "session.end", "by their owner");
        self.accounts.end_sessions(which, entry).await.map_err(failed)?;
        Ok(no_content())
    }

    async fn keys(&self, record: &mut Record) -> Result<Response<Bytes>, Refusal> {
        let (_, person) = self.person(record).await?;
        let everyone = self.accounts.everyone().await.map_err(failed)?;
        let now = Timestamp::now();
        let own = everyone.keys.iter().filter(|key| *key.user == *person.name);
        let keys: Vec<Value> = own.map(|key| described(key, now)).collect();
        Ok(answer(StatusCode::OK, &json!({"keys": keys})))
    }

    async fn create_key(&self, wish: WantedKey, record: &mut Record) -> Result<Response<Bytes>, Refusal> {
        let (_, person) = self.person(record).await?;
        let name = wish.name.trim();
        if name.chars().count() > LONGEST_KEY_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(Refusal::new(Reason::InvalidValue).param("name").saying(text!(
                "A key's name has up to {LONGEST_KEY_NAME_CHARS} characters.",
                "密钥名称最多 {LONGEST_KEY_NAME_CHARS} 个字符。"
            )));
        }
        let days = match wish.expires.as_deref() {
            None => None,
            Some("30d") => Some(30),
            Some("90d") => Some(90),
            Some("365d") => Some(365),
            Some(_) => return Err(Refusal::new(Reason::InvalidValue).param("expires")),
        };
        let wish = KeyWish {
            user: person.name.to_string(),
            name: name.to_owned(),
            lifetime: days.map(|days: u64| Duration::from_secs(days * 24 * 60 * 60)),
            ..KeyWish::default()
        };
        let new = self.accounts.create_key(wish, &self.actor(&person.name)).await.map_err(not_done)?;
        Ok(answer(StatusCode::CREATED, &new_key(&new)))
    }

    /// One of the caller's own.
    async fn own_key(&self, id: &str, person: &Person) -> Result<ApiKey, Refusal> {
        let key = self.accounts.key(id).await.map_err(not_done)?;
        if *key.user == *person.name { Ok(key) } else { Err(Reason::NotFound.into()) }
    }

    async fn rotate_key(
        &self,
        id: &str,
        _: Nothing,
        record: &mut Record,
    ) -> Result<Response<Bytes>, Refusal> {
        let (_, person) = self.person(record).await?;
        self.own_key(id, &person).await?;
        let new = self.accounts.rotate_key(id, &self.actor(&person.name)).await.map_err(not_done)?;
        Ok(answer(StatusCode::CREATED, &new_key(&new)))
    }

    async fn revoke_key(
        &self,
        id: &str,
        _: Nothing,
        record: &mut Record,
    ) -> Result<Response<Bytes>, Refusal> {
        let (_, person) = self.person(record).await?;
        self.own_key(id, &person).await?;
        self.accounts.revoke_key(id, &self.actor(&person.name)).await.map_err(not_done)?;
        Ok(no_content())
    }

    fn invitation(&self, Token { token }: Token) -> Result<Response<Bytes>, Refusal> {
        match self.accounts.authenticator().invited(&token) {
            Some(name) => Ok(answer(StatusCode::OK, &json!({"name": name}))),
            None => Err(Reason::InvitationInvalid.into()),
        }
    }

    async fn accept(&self, Accept { token, password }: Accept) -> Result<Response<Bytes>, Refusal> {
        let name = self.accounts.authenticator().invited(&token).ok_or(Reason::InvitationInvalid)?;
        chosen(&name, &password, "password")?;
        let actor = self.actor(&name);
        self.accounts.accept_invitation(&token, &name, &password, &actor).await.map_err(
            |error| match error {
                NotDone::Refused(_) | NotDone::Missing(_) => Reason::InvitationInvalid.into(),
                NotDone::Failed(error) => failed(error),
            },
        )?;
        self.visit.door.setup.end();
        self.welcome_by_name(&name, StatusCode::OK).await
    }

    async fn setup(&self, First { token, name, password }: First) -> Result<Response<Bytes>, Refusal> {
        let setup = &self.visit.door.setup;
        let directory = self.accounts.authenticator().directory();
        if !setup.is_good(&token) || !directory.is_empty() {
            return Err(Reason::SetupLinkInvalid.into());
        }
        chosen(name.trim(), &password, "password")?;
        let actor = Actor { name: "-".to_owned(), address: Some(self.visit.client) };
        match self.accounts.add_first_user(&name, &password, &actor).await {
            Ok(name) => {
                setup.end();
                self.welcome_by_name(&name, StatusCode::CREATED).await
            }
            Err(NotDone::Refused(_)) if self.accounts.authenticator().has_people() => {
                Err(Reason::SetupLinkInvalid.into())
            }
            Err(NotDone::Refused(why)) => {
                Err(Refusal::new(Reason::InvalidValue).param("name").saying(sentence(why)))
            }
            Err(error) => Err(not_done(error)),
        }
    }
}

fn chosen(name: &str, password: &str, param: &str) -> Result<(), Refusal> {
    match password_refused(name, password) {
        Some(why) => Err(Refusal::new(Reason::PasswordRefused).param(param).saying(why)),
        None => Ok(()),
    }
}

fn shown(person: &Person) -> Value {
    json!({
        "name": &*person.name,
        "role": role_word(person.role),
        "plan": person.plan.as_deref(),
        "password": if person.is_of_file() { "file" } else { "own" },
    })
}

/// Without its digest.
fn described(key: &ApiKey, now: Timestamp) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "created": key.created,
        "expires": key.expires,
        "last_used": key.last_used,
        "models": key.models,
        "networks": key.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "state": key_state(key, now),
    })
}

fn new_key(new: &NewKey) -> Value {
    let mut value = described(&new.kept, new.kept.created);
    value["key"] = json!(new.key);
    if let Some(until) = new.old_until {
        value["old_until"] = json!(until);
    }
    value
}

fn failed(error: AccountsError) -> Refusal {
    match error {
        AccountsError::Busy => {
            Refusal::new(Reason::ServerBusy).because("changes of accounts wait to be written")
        }
        error => Refusal::new(Reason::Internal).because(error.text().en),
    }
}

fn not_done(error: NotDone) -> Refusal {
    match error {
        NotDone::Refused(why) => Refusal::new(Reason::InvalidValue).saying(sentence(why)),
        NotDone::Missing(_) => Reason::NotFound.into(),
        NotDone::Failed(error) => failed(error),
    }
}

/// From the half sentence of a terminal.
fn sentence(why: Text) -> Text {
    let Text { en, zh } = why;
    let mut letters = en.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let rest = letters.as_str();
    text!("{first}{rest}.", "{zh}。")
}

fn answer(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
