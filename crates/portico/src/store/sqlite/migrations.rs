//! How a database of an earlier version becomes one of this version: steps of SQL, forward only.
//!
//! `user_version` says how many steps have been taken. A step that was released is never changed; each has a database of its
//! version among the tests (`released/`), which has to open and hold what it held.

use rusqlite::{Connection, TransactionBehavior};

/// Step by step; the first makes an empty database one of version 1.
pub(super) const STEPS: &[&str] = &[include_str!("schema/1.sql")];

pub(super) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A number that no version has is one that is not known.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Takes the steps that have not been taken, each whole or not at all.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    for (step, number) in steps.iter().zip(1_i64..).skip(version(connection)?) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
