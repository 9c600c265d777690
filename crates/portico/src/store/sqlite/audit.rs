//! The chain of records.

use aws_lc_rs::hmac::Key;
use rusqlite::{Connection, Error, OptionalExtension as _, params};

use super::super::chain::{BEGINNING, Link, Walk};
use super::super::{Entry, Head, Record, StoreError, Verdict};
use super::rows;

/// Which epoch a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Epoch {
    Same,
    Next,
}

/// Within a transaction that nobody else can write beside.
pub(super) fn append(
    connection: &Connection,
    key: &Key,
    entry: &Entry,
    epoch: Epoch,
) -> Result<Head, StoreError> {
    let (last, last_epoch) = last(connection)?.map_or((BEGINNING, 1), |(head, epoch)| (head, epoch));
    let Entry { at, actor, action, target, address, detail } = entry;
    let link = Link {
        number: last.number + 1,
        epoch: last_epoch + u64::from(epoch == Epoch::Next),
        at_microseconds: at.as_microsecond(),
        actor: actor.clone(),
        action: action.clone(),
        target: target.clone(),
        address: address.map(|address| address.to_string()),
        detail: detail.clone(),
    };
    let head = Head { number: link.number, mac: link.mac(key, &last.mac) };
    connection.execute(
        "INSERT INTO audit (number, epoch, at, actor, action, target, address, detail, mac) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            rows::number(link.number)?,
            rows::number(link.epoch)?,
            link.at_microseconds,
            link.actor,
            link.action,
            link.target,
            link.address,
            link.detail,
            head.mac
        ],
    )?;
    Ok(head)
}

/// The newest record's head and epoch.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Option<(Head, u64)>> {
    connection
        .query_row("SELECT number, mac, epoch FROM audit ORDER BY number DESC LIMIT 1", [], |row| {
            let head = Head { number: rows::unsigned(row, "number")?, mac: row.get("mac")? };
            Ok((head, rows::unsigned(row, "epoch")?))
        })
        .optional()
}

pub(super) fn latest(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY number DESC LIMIT ?1")?;
    let mut records = statement.query_map([limit], rows::record)?.collect::<rusqlite::Result<Vec<_>>>()?;
    records.reverse();
    Ok(records)
}

/// Row by row: a chain may be longer than memory is worth.
pub(super) fn verify(connection: &Connection, key: &Key, awaited: Vec<Head>) -> rusqlite::Result<Verdict> {
    let mut walk = Walk::new(key, awaited);
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stepped = match rows::link(row) {
            Ok((link, mac)) => walk.step(&link, &mac),
            // A value that is none of what is written here.
            Err(
                Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::InvalidColumnType(..)
                | Error::Utf8Error(..),
            ) => Err(walk.unreadable()),
            Err(error) => return Err(error),
        };
        if let Err(broken) = stepped {
            return Ok(broken);
        }
    }
    Ok(walk.end())
}
