//! Between columns and values.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use serde::de::DeserializeOwned;

use super::super::chain::Link;
use super::super::{ApiKey, Digest, Entry, Invitation, Record, Role, Session, StoreError, User};

pub(super) fn user(row: &Row<'_>) -> Result<User> {
    Ok(User {
        name: row.get("name")?,
        password: row.get("password")?,
        role: match row.get_ref("role")?.as_str()? {
            "operator" => Role::Operator,
            _ => Role::User,
        },
        plan: row.get("plan")?,
        disabled: row.get("disabled")?,
        created: time(row, "created")?,
        epoch: unsigned(row, "epoch")?,
    })
}

pub(super) fn key(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row.get("id")?,
        user: row.get("user")?,
        name: row.get("name")?,
        digest: row.get("digest")?,
        created: time(row, "created")?,
        expires: optional_time(row, "expires")?,
        models: list(row, "models")?,
        networks: list(row, "networks")?,
        last_used: optional_time(row, "last_used")?,
        revoked: optional_time(row, "revoked")?,
        replaced_by: row.get("replaced_by")?,
    })
}

pub(super) fn invitation(row: &Row<'_>) -> Result<Invitation> {
    Ok(Invitation {
        digest: row.get("digest")?,
        user: row.get("user")?,
        created: time(row, "created")?,
        expires: time(row, "expires")?,
    })
}

pub(super) fn session(row: &Row<'_>) -> Result<Session> {
    Ok(Session {
        digest: row.get("digest")?,
        user: row.get("user")?,
        bound_to: row.get("bound_to")?,
        created: time(row, "created")?,
        expires: time(row, "expires")?,
        address: parsed(row, "address", row.get_ref("address")?.as_str()?)?,
        agent: row.get("agent")?,
    })
}

/// A record with its mac.
pub(super) fn link(row: &Row<'_>) -> Result<(Link, Digest)> {
    let link = Link {
        number: unsigned(row, "number")?,
        epoch: unsigned(row, "epoch")?,
        at_microseconds: row.get("at")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        target: row.get("target")?,
        address: row.get("address")?,
        detail: row.get("detail")?,
    };
    Ok((link, row.get("mac")?))
}

pub(super) fn record(row: &Row<'_>) -> Result<Record> {
    let (link, mac) = link(row)?;
    let address = link.address.as_deref().map(|address| parsed(row, "address", address)).transpose()?;
    let at = time(row, "at")?;
    let Link { number, epoch, at_microseconds: _, actor, action, target, address: _, detail } = link;
    Ok(Record { number, epoch, entry: Entry { at, actor, action, target, address, detail }, mac })
}

pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Operator => "operator",
    }
}

pub(super) fn microseconds(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_microsecond)
}

/// SQLite's numbers end where half of Rust's do.
pub(super) fn number(number: u64) -> std::result::Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Database(format!("{number} is too large a number")))
}

pub(super) fn unsigned(row: &Row<'_>, column: &str) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unreadable(row, column, Type::Integer, error))
}

fn time(row: &Row<'_>, column: &str) -> Result<Timestamp> {
    let microseconds = row.get(column)?;
    Timestamp::from_microsecond(microseconds).map_err(|error| unreadable(row, column, Type::Integer, error))
}

fn optional_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>> {
    let microseconds: Option<i64> = row.get(column)?;
    microseconds.map(|_| time(row, column)).transpose()
}

fn list<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<Vec<T>> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(row, column, Type::Text, error))
}

fn parsed<T: FromStr>(row: &Row<'_>, column: &str, text: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error| unreadable(row, column, Type::Text, error))
}

fn unreadable<E>(row: &Row<'_>, column: &str, kind: Type, error: E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let index = row.as_ref().column_index(column).unwrap_or_default();
    Error::FromSqlConversionFailure(index, kind, Box::new(error))
}
