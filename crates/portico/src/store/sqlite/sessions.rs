//! Browsers that are logged in.

use rusqlite::{Connection, params};

use super::super::{Ending, Session, StoreError};
use super::rows;

pub(super) fn live(connection: &Connection, now_microseconds: i64) -> rusqlite::Result<Vec<Session>> {
    let mut statement =
        connection.prepare("SELECT * FROM sessions WHERE expires > ?1 ORDER BY created, digest")?;
    statement.query_map([now_microseconds], rows::session)?.collect()
}

pub(super) fn forget_expired(connection: &Connection, now_microseconds: i64) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM sessions WHERE expires <= ?1", [now_microseconds])
}

pub(super) fn add(connection: &Connection, session: &Session) -> Result<(), StoreError> {
    let Session { digest, user, bound_to, created, expires, address, agent } = session;
    let (created, expires) = (created.as_microsecond(), expires.as_microsecond());
    connection.execute(
        "INSERT INTO sessions (digest, user, bound_to, created, expires, address, agent) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![digest, user, bound_to, created, expires, address.to_string(), agent],
    )?;
    Ok(())
}

pub(super) fn end(connection: &Connection, which: &Ending) -> Result<(), StoreError> {
    match which {
        Ending::One(digest) => {
            if connection.execute("DELETE FROM sessions WHERE digest = ?1", params![digest])? == 0 {
                return Err(StoreError::Missing);
            }
        }
        Ending::AllOf { user, except } => {
            connection.execute(
                "DELETE FROM sessions WHERE user = ?1 AND digest IS NOT ?2",
                params![user, except],
            )?;
        }
    }
    Ok(())
}
