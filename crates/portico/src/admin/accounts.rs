//! People, keys, the audit trail, and what would happen to a request: for the admin socket, and for the command line where
//! nobody runs.
//!
//! | request | answer |
//! |---|---|
//! | `GET /users` | everybody, of the store and of the htpasswd file |
//! | `POST /users` | `{"name", "password"?, "plan"?, "role"?}` → 201 |
//! | `POST /users/NAME/password`, `plan`, `role`, `disable`, `enable`, `remove`, `invite` | 200; `invite` gives the token of a one-time link |
//! | `GET /keys`, `POST /keys` | `{"user", "name"?, "expires"?, "models"?, "networks"?}` → 201 with the key, once |
//! | `POST /keys/ID/rotate`, `revoke` | 201 with the new key; 200 |
//! | `POST /access/explain` | `{"ip", "key"?, "user"?, "path"?, "method"?}` → what would happen and which line decides |
//! | `POST /backup` | `{"passphrase"}` → where the encrypted file lies, for who asks to take away |
//! | `GET /audit?N` | the newest N records, oldest first |
//! | `POST /audit/verify` | `{"head"?: "NUMBER:MAC"}` → whether the trail is whole |

use std::net::IpAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::access::{
    Accounts, AccountsError, Actor, KeyWish, NewKey, NotDone, Question, explain, key_state, role_word,
};
use crate::config::Config;
use crate::control;
use crate::front;
use crate::store::{ApiKey, Break, Record, Role, Verdict, in_hex};
use crate::types::{Text, percent_decoded, text};

/// What is asked for, by the operator.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    /// With its query.
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) actor: Actor,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    password: Option<String>,
    plan: Option<String>,
    role: Option<Role>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanWish {
    plan: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedKey {
    user: String,
    name: Option<String>,
    /// Seconds.
    expires: Option<u64>,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    networks: Vec<IpNet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    ip: IpAddr,
    key: Option<String>,
    user: Option<String>,
    path: Option<String>,
    method: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleWish {
    role: Role,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passphrase {
    passphrase: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    head: Option<String>,
}

type Answer = Result<(StatusCode, Value), (StatusCode, Text)>;

/// `None`: it is about something else.
pub(crate) async fn answer(
    request: &Request<'_>,
    accounts: &Accounts,
    config: &Config,
) -> Option<(StatusCode, Value)> {
    let desk = Desk { request, accounts, config };
    let answer = desk.answer().await?;
    Some(answer.unwrap_or_else(|(status, why)| (status, json!({"refused": why}))))
}

struct Desk<'a> {
    request: &'a Request<'a>,
    accounts: &'a Accounts,
    config: &'a Config,
}

impl Desk<'_> {
    async fn answer(&self) -> Option<Answer> {
        let (path, query) = self.request.target.split_once('?').unwrap_or((self.request.target, ""));
        let get = *self.request.method == Method::GET;
        let post = *self.request.method == Method::POST;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        Some(match parts[..] {
            ["users"] if get => self.users().await,
            ["users"] if post => self.add_user().await,
            ["users", name, verb] if post => {
                let name = String::from_utf8_lossy(&percent_decoded(name)).into_owned();
                self.user(&name, verb).await?
            }
            ["keys"] if get => self.keys().await,
            ["keys"] if post => self.create_key().await,
            ["keys", id, "rotate"] if post => self.rotate_key(id).await,
            ["keys", id, "revoke"] if post => self.revoke_key(id).await,
            ["access", "explain"] if post => self.explain(),
            ["backup"] if post => self.backup().await,
            ["audit"] if get => self.audit(query).await,
            ["audit", "verify"] if post => self.verify().await,
            _ => return None,
        })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, (StatusCode, Text)> {
        serde_json::from_slice(self.request.body).map_err(|error| {
            // Without the value, which may be a password.
            let (line, column) = (error.line(), error.column());
            let why = text!(
                "the request can't be read at line {line}, column {column}",
                "无法读取请求:第 {line} 行第 {column} 列"
            );
            (StatusCode::BAD_REQUEST, why)
        })
    }

    async fn users(&self) -> Answer {
        let everyone = self.accounts.everyone().await.map_err(failed)?;
        let directory = self.accounts.authenticator().directory();
        let keys_of =
            |name: &str| everyone.keys.iter().filter(|key| key.user == name && key.revoked.is_none()).count();
        let invited = |name: &str| {
            let now = Timestamp::now();
            everyone.invitations.iter().any(|found| found.user == name && found.expires > now)
        };
        let mut users: Vec<Value> = directory
            .people()
            .map(|person| {
                json!({
                    "name": &*person.name,
                    "role": role_word(person.role),
                    "plan": person.plan.as_deref().unwrap_or("default"),
                    "disabled": person.disabled,
                    "password": match (person.is_of_file(), &person.password) {
                        (true, _) => "htpasswd",
                        (false, Some(_)) => "own",
                        (false, None) => "none",
                    },
                    "invited": invited(&person.name),
                    "keys": keys_of(&person.name),
                })
            })
            .collect();
        users.sort_by(|left, right| left["name"].as_str().cmp(&right["name"].as_str()));
        Ok((StatusCode::OK, Value::Array(users)))
    }

    async fn add_user(&self) -> Answer {
        let NewUser { name, password, plan, role } = self.read()?;
        if let Some(plan) = &plan {
            self.check_plan(plan)?;
        }
        let role = role.unwrap_or(Role::User);
        let name = self
            .accounts
            .add_user(&name, password.as_deref(), role, plan, &self.request.actor)
            .await
            .map_err(not_done)?;
        Ok((StatusCode::CREATED, json!({"name": name})))
    }

    async fn user(&self, name: &str, verb: &str) -> Option<Answer> {
        let (accounts, actor) = (self.accounts, &self.request.actor);
        let done = match verb {
            "password" => match self.read::<Password>() {
                Ok(wish) => accounts.set_password(name, &wish.password, actor).await,
                Err(wrong) => return Some(Err(wrong)),
            },
            "plan" => {
                let plan = self.read::<PlanWish>().and_then(|wish| {
                    wish.plan.as_deref().map_or(Ok(()), |plan| self.check_plan(plan)).map(|()| wish.plan)
                });
                match plan {
                    Ok(plan) => accounts.set_plan(name, plan.filter(|plan| plan != "default"), actor).await,
                    Err(wrong) => return Some(Err(wrong)),
                }
            }
            "role" => match self.read::<RoleWish>() {
                Ok(wish) => accounts.set_role(name, wish.role, actor).await,
                Err(wrong) => return Some(Err(wrong)),
            },
            "disable" => accounts.set_disabled(name, true, actor).await,
            "enable" => accounts.set_disabled(name, false, actor).await,
            "remove" => accounts.remove_user(name, actor).await,
            "invite" => {
                let invited = accounts.invite(name, actor).await.map_err(not_done);
                return Some(invited.map(|(token, expires)| {
                    (StatusCode::OK, json!({"name": name, "token": token, "expires": expires}))
                }));
            }
            _ => return None,
        };
        Some(done.map_err(not_done).map(|()| (StatusCode::OK, json!({"name": name}))))
    }

    fn check_plan(&self, plan: &str) -> Result<(), (StatusCode, Text)> {
        if self.config.plans.iter().any(|known| known.name == plan) {
            return Ok(());
        }
        let names: Vec<&str> = self.config.plans.iter().map(|known| known.name.as_str()).collect();
        let names = names.join(", ");
        let why = text!(
            "the configuration has no [plan.{plan}]; there are: {names}",
            "配置中没有 [plan.{plan}];现有:{names}"
        );
        Err((StatusCode::BAD_REQUEST, why))
    }

    async fn keys(&self) -> Answer {
        let keys = self.accounts.everyone().await.map_err(failed)?.keys;
        let now = Timestamp::now();
        let used = |id: &str| self.accounts.authenticator().directory().last_used(id);
        let keys = keys.iter().map(|key| described(key, used(&key.id), now)).collect();
        Ok((StatusCode::OK, Value::Array(keys)))
    }

    async fn create_key(&self) -> Answer {
        let WantedKey { user, name, expires, models, networks } = self.read()?;
        let wish = KeyWish {
            user,
            name: name.unwrap_or_default(),
            lifetime: expires.map(Duration::from_secs),
            models,
            networks,
        };
        let new = self.accounts.create_key(wish, &self.request.actor).await.map_err(not_done)?;
        Ok((StatusCode::CREATED, new_key(&new)))
    }

    async fn rotate_key(&self, id: &str) -> Answer {
        let new = self.accounts.rotate_key(id, &self.request.actor).await.map_err(not_done)?;
        Ok((StatusCode::CREATED, new_key(&new)))
    }

    async fn revoke_key(&self, id: &str) -> Answer {
        self.accounts.revoke_key(id, &self.request.actor).await.map_err(not_done)?;
        Ok((StatusCode::OK, json!({"id": id})))
    }

    fn explain(&self) -> Answer {
        let Asked { ip, key, user, path, method } = self.read()?;
        let path = path.unwrap_or_else(|| "/v1/chat/completions".to_owned());
        let method =
            method.unwrap_or_else(|| if path.starts_with("/v1/chat") { "POST" } else { "GET" }.into());
        let wrong = |what: &str| {
            (StatusCode::BAD_REQUEST, text!("{what} is no method of HTTP", "{what} 不是 HTTP 方法"))
        };
        let method =
            Method::from_bytes(method.to_ascii_uppercase().as_bytes()).map_err(|_| wrong(&method))?;
        let surface = front::surface(&method, &path, &self.config.policy.endpoints);
        let question = Question { address: ip, surface, key: key.as_deref(), user: user.as_deref() };
        let found = explain(self.config, self.accounts.authenticator(), &question);
        Ok((StatusCode::OK, found))
    }

    async fn backup(&self) -> Answer {
        let Passphrase { passphrase } = self.read()?;
        let data_dir = &self.config.site.data_dir;
        let extras = control::extras(data_dir).map_err(|error| {
            let why = text!("the certificates can't be read: {error}", "无法读取证书:{error}");
            (StatusCode::INTERNAL_SERVER_ERROR, why)
        })?;
        let (files, to) = (extras.len(), data_dir.join(format!("backup.{}.new", std::process::id())));
        let entry = self.request.actor.entry("backup", "", String::new());
        let bytes = self.accounts.backup(extras, passphrase, to.clone(), entry).await.map_err(failed)?;
        Ok((StatusCode::OK, json!({"path": to, "bytes": bytes, "files": files})))
    }

    async fn audit(&self, query: &str) -> Answer {
        let limit = query.parse().unwrap_or(100);
        let records = self.accounts.audit(limit).await.map_err(failed)?;
        Ok((StatusCode::OK, records.iter().map(record).collect()))
    }

    async fn verify(&self) -> Answer {
        let Known { head } = self.read()?;
        let known = match head.as_deref().map(str::parse) {
            Some(Err(())) => {
                let why =
                    text!("a head is NUMBER:MAC, as the log has it", "链尾的格式为 编号:MAC,与日志中相同");
                return Err((StatusCode::BAD_REQUEST, why));
            }
            Some(Ok(head)) => Some(head),
            None => None,
        };
        let answer = match self.accounts.verify_audit(known).await.map_err(failed)? {
            Verdict::Whole { records, head } => json!({
                "whole": true,
                "records": records,
                "head": head.map(|head| head.to_string()),
            }),
            Verdict::Broken { number, how } => json!({
                "whole": false,
                "number": number,
                "how": match how {
                    Break::Changed => "changed",
                    Break::Missing => "missing",
                    Break::Cut => "cut",
                    Break::Unnoted => "unnoted",
                },
            }),
        };
        Ok((StatusCode::OK, answer))
    }
}

fn described(key: &ApiKey, used: Option<Timestamp>, now: Timestamp) -> Value {
    json!({
        "id": key.id,
        "user": key.user,
        "name": key.name,
        "created": key.created,
        "expires": key.expires,
        "last_used": used.max(key.last_used),
        "models": key.models,
        "networks": key.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "revoked": key.revoked,
        "replaced_by": key.replaced_by,
        "state": key_state(key, now),
    })
}

fn new_key(new: &NewKey) -> Value {
    let kept = &new.kept;
    json!({
        "id": new.id,
        "key": new.key,
        "user": kept.user,
        "name": kept.name,
        "expires": kept.expires,
        "old_until": new.old_until,
    })
}

fn record(record: &Record) -> Value {
    let entry = &record.entry;
    json!({
        "number": record.number,
        "time": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "address": entry.address,
        "detail": entry.detail,
        "mac": in_hex(&record.mac),
    })
}

fn failed(error: AccountsError) -> (StatusCode, Text) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.text())
}

fn not_done(error: NotDone) -> (StatusCode, Text) {
    let status = match error {
        NotDone::Refused(_) => StatusCode::CONFLICT,
        NotDone::Missing(_) => StatusCode::NOT_FOUND,
        NotDone::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.text())
}
