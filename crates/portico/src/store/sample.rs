//! People and entries for tests.

use jiff::{Span, Timestamp};

use super::{ApiKey, Entry, Invitation, Role, Session, User};

/// So many seconds after the beginning of March 2026.
pub(super) fn at(seconds: i64) -> Timestamp {
    let beginning: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    beginning.checked_add(Span::new().seconds(seconds)).unwrap()
}

pub(super) fn entry(action: &str) -> Entry {
    Entry {
        at: at(0),
        actor: "system:root".to_owned(),
        action: action.to_owned(),
        target: "ada".to_owned(),
        address: Some("2001:db8::1".parse().unwrap()),
        detail: String::new(),
    }
}

pub(super) fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        password: Some(format!("$argon2id$of {name}")),
        role: Role::User,
        plan: None,
        disabled: false,
        created: at(0),
        epoch: 0,
    }
}

pub(super) fn key(id: &str, user: &str) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        user: user.to_owned(),
        name: format!("{user}'s"),
        digest: digest(id),
        created: at(1),
        expires: None,
        models: Vec::new(),
        networks: Vec::new(),
        last_used: None,
        revoked: None,
        replaced_by: None,
    }
}

pub(super) fn session(token: &str, user: &str) -> Session {
    Session {
        digest: digest(token),
        user: user.to_owned(),
        bound_to: digest("binding"),
        created: at(2),
        expires: at(1000),
        address: "192.0.2.7".parse().unwrap(),
        agent: "Mozilla/5.0 (X11; Linux)".to_owned(),
    }
}

pub(super) fn invitation(token: &str, user: &str) -> Invitation {
    Invitation { digest: digest(token), user: user.to_owned(), created: at(3), expires: at(100) }
}

pub(super) fn digest(of: &str) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, of.as_bytes()).as_ref().try_into().unwrap()
}
