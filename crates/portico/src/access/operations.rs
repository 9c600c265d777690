//! What may be done to people and keys, for the admin socket, the command line and the account page alike.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::accounts::{Accounts, AccountsError, Secret};
use super::credential::composed;
use super::key;
use super::password::PasswordHash;
use crate::store::{ApiKey, Change, Entry, Invitation, Role, StoreError, User};
use crate::types::{Text, text};

/// How long the old key still opens after a rotation, so that whoever uses it can change over.
pub(crate) const ROTATION_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an invitation waits.
pub(crate) const INVITATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
pub(crate) const LONGEST_NAME_CHARS: usize = 64;
const MOST_KEYS_OF_ONE: usize = 1000;

/// Who does something, for the audit trail.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// As [`Entry::actor`] has it.
    pub(crate) name: String,
    pub(crate) address: Option<IpAddr>,
}

/// What is wanted of a new key.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyWish {
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) models: Vec<String>,
    pub(crate) networks: Vec<IpNet>,
}

/// Shown once.
#[derive(Clone)]
pub(crate) struct NewKey {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) kept: ApiKey,
    /// When the key that it replaces ends.
    pub(crate) old_until: Option<Timestamp>,
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// What was asked for can't be.
    Refused(Text),
    /// There is nothing of that name.
    Missing(Text),
    Failed(AccountsError),
}

impl Actor {
    pub(crate) fn entry(&self, action: &str, target: &str, detail: String) -> Entry {
        Entry {
            at: Timestamp::now(),
            actor: self.name.clone(),
            action: action.to_owned(),
            target: target.to_owned(),
            address: self.address,
            detail,
        }
    }
}

/// A name as it is kept: composed, without what could be read in two ways.
pub(crate) fn checked_name(name: &str) -> Result<String, Text> {
    let name = composed(name.trim());
    let good = !name.is_empty()
        && name.chars().count() <= LONGEST_NAME_CHARS
        && name.chars().all(|c| !c.is_control() && !c.is_whitespace() && !":/\\\"'<>,".contains(c));
    if good {
        return Ok(name.into_owned());
    }
    Err(text!(
        "a user's name has 1 to {LONGEST_NAME_CHARS} characters and no spaces, quotes, commas, slashes, angle brackets or colons",
        "用户名为 1 到 {LONGEST_NAME_CHARS} 个字符,不能含空格、引号、逗号、斜杠、尖括号或冒号"
    ))
}

impl Accounts {
    /// A hash of a password, made off the caller's thread.
    pub(crate) async fn hash(&self, password: &str) -> Result<PasswordHash, NotDone> {
        let composed = composed(password);
        match self.authenticator().verifier().hash(composed.as_bytes()).await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(error)) => Err(NotDone::Failed(AccountsError::Other(error))),
            Err(_busy) => Err(NotDone::Failed(AccountsError::Busy)),
        }
    }

    pub(crate) async fn add_user(
        &self,
        name: &str,
        password: Option<&str>,
        role: Role,
        plan: Option<String>,
        actor: &Actor,
    ) -> Result<String, NotDone> {
        let user = self.new_user(name, password, role, plan).await?;
        let name = user.name.clone();
        let entry = actor.entry("user.add", &name, word(role).to_owned());
        self.change_of(&name, Change::AddUser(user), entry).await?;
        Ok(name)
    }

    /// The first one, by the link of the first start. There must be nobody yet.
    pub(crate) async fn add_first_user(
        &self,
        name: &str,
        password: &str,
        actor: &Actor,
    ) -> Result<String, NotDone> {
        let user = self.new_user(name, Some(password), Role::Operator, None).await?;
        let name = user.name.clone();
        let entry = actor.entry("user.setup", &name, word(Role::Operator).to_owned());
        self.change_of(&name, Change::AddFirstUser(user), entry).await?;
        Ok(name)
    }

    async fn new_user(
        &self,
        name: &str,
        password: Option<&str>,
        role: Role,
        plan: Option<String>,
    ) -> Result<User, NotDone> {
        let name = checked_name(name).map_err(NotDone::Refused)?;
        let password = match password {
            Some(password) => Some(self.hash(password).await?.as_str().to_owned()),
            None => None,
        };
        Ok(User { name, password, role, plan, disabled: false, created: Timestamp::now(), epoch: 0 })
    }

    pub(crate) async fn set_password(
        &self,
        name: &str,
        password: &str,
        actor: &Actor,
    ) -> Result<(), NotDone> {
        let password = self.hash(password).await?.as_str().to_owned();
        let entry = actor.entry("user.password", name, String::new());
        self.change_of(name, Change::SetPassword { user: name.to_owned(), password }, entry).await
    }

    pub(crate) async fn set_plan(
        &self,
        name: &str,
        plan: Option<String>,
        actor: &Actor,
    ) -> Result<(), NotDone> {
        let entry = actor.entry("user.plan", name, plan.clone().unwrap_or_else(|| "default".to_owned()));
        self.change_of(name, Change::SetPlan { user: name.to_owned(), plan }, entry).await
    }

    pub(crate) async fn set_role(&self, name: &str, role: Role, actor: &Actor) -> Result<(), NotDone> {
        let entry = actor.entry("user.role", name, word(role).to_owned());
        self.change_of(name, Change::SetRole { user: name.to_owned(), role }, entry).await
    }

    pub(crate) async fn set_disabled(
        &self,
        name: &str,
        disabled: bool,
        actor: &Actor,
    ) -> Result<(), NotDone> {
        let action = if disabled { "user.disable" } else { "user.enable" };
        let entry = actor.entry(action, name, String::new());
        self.change_of(name, Change::SetDisabled { user: name.to_owned(), disabled }, entry).await
    }

    pub(crate) async fn remove_user(&self, name: &str, actor: &Actor) -> Result<(), NotDone> {
        let entry = actor.entry("user.remove", name, String::new());
        self.change_of(name, Change::RemoveUser { user: name.to_owned() }, entry).await
    }

    /// The token of a one-time link, and when it ends.
    pub(crate) async fn invite(&self, name: &str, actor: &Actor) -> Result<(String, Timestamp), NotDone> {
        let token = key::token::<16>().map_err(|error| NotDone::Failed(AccountsError::Other(error)))?;
        let digest = self.digest(Secret::Invitation(token.clone())).await.map_err(NotDone::Failed)?;
        let created = Timestamp::now();
        let expires = created.checked_add(INVITATION).unwrap_or(Timestamp::MAX);
        let invitation = Invitation { digest, user: name.to_owned(), created, expires };
        let entry = actor.entry("user.invite", name, String::new());
        self.change_of(name, Change::AddInvitation(invitation), entry).await?;
        Ok((token, expires))
    }

    /// The password of an invitation; `name`: whom it is for, as [`super::Authenticator::invited`] says.
    pub(crate) async fn accept_invitation(
        &self,
        token: &str,
        name: &str,
        password: &str,
        actor: &Actor,
    ) -> Result<(), NotDone> {
        let password = self.hash(password).await?.as_str().to_owned();
        let digest = self.digest(Secret::Invitation(token.to_owned())).await.map_err(NotDone::Failed)?;
        let change = Change::AcceptInvitation { digest, password, at: Timestamp::now() };
        self.change_of(name, change, actor.entry("user.invited", name, String::new())).await
    }

    pub(crate) async fn create_key(&self, wish: KeyWish, actor: &Actor) -> Result<NewKey, NotDone> {
        let everyone = self.everyone().await.map_err(NotDone::Failed)?;
        if everyone.keys.iter().filter(|key| key.user == wish.user && key.revoked.is_none()).count()
            >= MOST_KEYS_OF_ONE
        {
            return Err(NotDone::Refused(text!(
                "there are {MOST_KEYS_OF_ONE} keys of this user; revoke some first",
                "该用户已有 {MOST_KEYS_OF_ONE} 个密钥;请先吊销一些"
            )));
        }
        let is_known = everyone.users.iter().any(|user| user.name == wish.user);
        if !is_known && self.authenticator().directory().person(&wish.user).is_some() {
            // He is in the htpasswd file, which has no place for keys.
            self.add_user(&wish.user, None, Role::User, None, actor).await?;
        }
        let (new, user) = (self.new_key(&wish).await?, wish.user);
        let entry = actor.entry("key.create", &new.id, format!("of {user}"));
        self.change_of(&user, Change::AddKey(new.kept.clone()), entry).await?;
        Ok(new)
    }

    /// A new key in place of this one, which still opens for a day.
    pub(crate) async fn rotate_key(&self, id: &str, actor: &Actor) -> Result<NewKey, NotDone> {
        let old = self.key(id).await?;
        let now = Timestamp::now();
        if old.revoked.is_some() || old.expires.is_some_and(|expires| expires <= now) {
            return Err(NotDone::Refused(text!(
                "the key {id} has ended already; make a new one with `portico key create`",
                "密钥 {id} 已失效;请用 `portico key create` 创建新的密钥"
            )));
        }
        let wish = KeyWish {
            user: old.user.clone(),
            name: old.name.clone(),
            lifetime: old.expires.and_then(|expires| expires.duration_since(old.created).try_into().ok()),
            models: old.models.clone(),
            networks: old.networks.clone(),
        };
        let mut new = self.new_key(&wish).await?;
        let until = now.checked_add(ROTATION_OVERLAP).unwrap_or(Timestamp::MAX);
        let until = old.expires.map_or(until, |expires| expires.min(until));
        new.old_until = Some(until);
        let change = Change::RotateKey { old: id.to_owned(), until, new: new.kept.clone() };
        self.change_of(id, change, actor.entry("key.rotate", id, format!("to {}", new.id))).await?;
        Ok(new)
    }

    pub(crate) async fn revoke_key(&self, id: &str, actor: &Actor) -> Result<(), NotDone> {
        let change = Change::RevokeKey { id: id.to_owned(), at: Timestamp::now() };
        self.change_of(id, change, actor.entry("key.revoke", id, String::new())).await
    }

    pub(crate) async fn key(&self, id: &str) -> Result<ApiKey, NotDone> {
        let keys = self.everyone().await.map_err(NotDone::Failed)?.keys;
        keys.into_iter().find(|key| key.id == id).ok_or_else(|| missing(id))
    }

    async fn new_key(&self, wish: &KeyWish) -> Result<NewKey, NotDone> {
        let other = |error| NotDone::Failed(AccountsError::Other(error));
        let (key, id) = (key::draw().map_err(other)?, key::id().map_err(other)?);
        let digest = self.digest(Secret::Key(key.clone())).await.map_err(NotDone::Failed)?;
        let created = Timestamp::now();
        let kept = ApiKey {
            id: id.clone(),
            user: wish.user.clone(),
            name: wish.name.clone(),
            digest,
            created,
            expires: wish.lifetime.map(|time| created.checked_add(time).unwrap_or(Timestamp::MAX)),
            models: wish.models.clone(),
            networks: wish.networks.clone(),
            last_used: None,
            revoked: None,
            replaced_by: None,
        };
        Ok(NewKey { id, key, kept, old_until: None })
    }

    async fn change_of(&self, name: &str, change: Change, entry: Entry) -> Result<(), NotDone> {
        self.change(change, entry).await.map_err(|error| match error {
            AccountsError::Store(StoreError::Missing) => missing(name),
            AccountsError::Store(StoreError::Exists) => NotDone::Refused(text!(
                "there is a user {name} already; `portico user passwd {name}` changes the password",
                "用户 {name} 已存在;可用 `portico user passwd {name}` 修改密码"
            )),
            AccountsError::Store(StoreError::TooLate) => NotDone::Refused(text!(
                "it is too late for that: it was done already, or its time is over",
                "为时已晚:该操作已完成或已过期"
            )),
            other => NotDone::Failed(other),
        })
    }
}

/// What has become of a key, in a word.
pub(crate) fn key_state(key: &ApiKey, now: Timestamp) -> &'static str {
    let has_ended = key.expires.is_some_and(|expires| expires <= now);
    match (key.revoked, has_ended, &key.replaced_by) {
        (Some(_), _, _) => "revoked",
        (None, true, _) => "expired",
        (None, false, Some(_)) => "rotated",
        (None, false, None) => "active",
    }
}

pub(crate) const fn word(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Operator => "operator",
    }
}

fn missing(name: &str) -> NotDone {
    NotDone::Missing(text!(
        "there is no {name}; `portico user list` and `portico key list` show who and what there is",
        "没有 {name};`portico user list` 和 `portico key list` 会列出已有的用户和密钥"
    ))
}

impl NotDone {
    pub(crate) fn text(&self) -> Text {
        match self {
            NotDone::Refused(why) | NotDone::Missing(why) => why.clone(),
            NotDone::Failed(error) => error.text(),
        }
    }
}

/// Without the key.
impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_written_in_basic_and_read_in_one_way() {
        for (name, wanted) in [
            ("ada", Some("ada")),
            (" ada ", Some("ada")),
            ("ada.lovelace@example.com", Some("ada.lovelace@example.com")),
            ("小明", Some("小明")),
            ("jose\u{301}", Some("josé")),
            ("", None),
            ("a:b", None),
            ("a b", None),
            ("a\nb", None),
            ("a/b", None),
            ("<a>", None),
            (&"x".repeat(65), None),
        ] {
            assert_eq!(checked_name(name).ok().as_deref(), wanted, "{name:?}");
        }
    }
}
