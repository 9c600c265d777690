//! Users, keys and invitations.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::{ApiKey, Change, Digest, Everyone, Invitation, StoreError, User};
use super::rows;

type Done = Result<(), StoreError>;

pub(super) fn everyone(connection: &Connection) -> rusqlite::Result<Everyone> {
    Ok(Everyone {
        users: super::all(connection, "SELECT * FROM users ORDER BY name", rows::user)?,
        keys: super::all(connection, "SELECT * FROM keys ORDER BY created, id", rows::key)?,
        invitations: super::all(connection, "SELECT * FROM invitations ORDER BY user", rows::invitation)?,
    })
}

/// Within a transaction, which the caller takes back where this fails.
pub(super) fn change(connection: &Connection, change: &Change) -> Done {
    match change {
        Change::AddUser(user) => add_user(connection, user),
        Change::AddFirstUser(user) => match count_users(connection)? {
            0 => add_user(connection, user),
            _ => Err(StoreError::TooLate),
        },
        Change::SetPassword { user, password } => {
            // Who has a password needs no link to choose one; a forgotten link would be a second way in.
            connection.execute("DELETE FROM invitations WHERE user = ?1", params![user])?;
            set_password(connection, user, password)
        }
        Change::SetPlan { user, plan } => {
            one(connection.execute("UPDATE users SET plan = ?2 WHERE name = ?1", params![user, plan])?)
        }
        Change::SetRole { user, role } => {
            let role = rows::role(*role);
            one(connection.execute("UPDATE users SET role = ?2 WHERE name = ?1", params![user, role])?)
        }
        Change::SetDisabled { user, disabled } => one(connection.execute(
            "UPDATE users SET disabled = ?2, epoch = epoch + 1 WHERE name = ?1",
            params![user, disabled],
        )?),
        Change::RemoveUser { user } => {
            connection.execute("DELETE FROM sessions WHERE user = ?1", params![user])?;
            one(connection.execute("DELETE FROM users WHERE name = ?1", params![user])?)
        }
        Change::AddKey(key) => add_key(connection, key),
        Change::RotateKey { old, until, new } => {
            let until = until.as_microsecond();
            rotate_key(connection, old, until, new)
        }
        // The first time counts.
        Change::RevokeKey { id, at } => one(connection.execute(
            "UPDATE keys SET revoked = ifnull(revoked, ?2) WHERE id = ?1",
            params![id, at.as_microsecond()],
        )?),
        Change::AddInvitation(invitation) => add_invitation(connection, invitation),
        Change::AcceptInvitation { digest, password, at } => {
            accept_invitation(connection, digest, password, at.as_microsecond())
        }
    }
}

pub(super) fn note_use(connection: &Connection, id: &str, used_microseconds: i64) -> rusqlite::Result<usize> {
    connection.execute(
        "UPDATE keys SET last_used = max(ifnull(last_used, ?2), ?2) WHERE id = ?1",
        params![id, used_microseconds],
    )
}

fn count_users(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM users", [], |row| row.get(0))
}

fn add_user(connection: &Connection, user: &User) -> Done {
    let User { name, password, role, plan, disabled, created, epoch } = user;
    connection.execute(
        "INSERT INTO users (name, password, role, plan, disabled, created, epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![name, password, rows::role(*role), plan, disabled, created.as_microsecond(), rows::number(*epoch)?],
    )?;
    Ok(())
}

fn set_password(connection: &Connection, user: &str, password: &str) -> Done {
    one(connection.execute(
        "UPDATE users SET password = ?2, epoch = epoch + 1 WHERE name = ?1",
        params![user, password],
    )?)
}

fn add_key(connection: &Connection, key: &ApiKey) -> Done {
    let ApiKey {
        id,
        user,
        name,
        digest,
        created,
        expires,
        models,
        networks,
        last_used,
        revoked,
        replaced_by,
    } = key;
    let list = "a list of texts can be written as JSON";
    connection.execute(
        "INSERT INTO keys (id, user, name, digest, created, expires, models, networks, last_used, revoked, replaced_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            id,
            user,
            name,
            digest,
            created.as_microsecond(),
            rows::microseconds(*expires),
            serde_json::to_string(models).expect(list),
            serde_json::to_string(networks).expect(list),
            rows::microseconds(*last_used),
            rows::microseconds(*revoked),
            replaced_by
        ],
    )?;
    Ok(())
}

/// The new one is the same user's; what has been revoked or rotated before can't be rotated.
fn rotate_key(connection: &Connection, old: &str, until_microseconds: i64, new: &ApiKey) -> Done {
    let found = connection.query_row(
        "SELECT revoked IS NOT NULL OR replaced_by IS NOT NULL FROM keys WHERE id = ?1 AND user = ?2",
        params![old, new.user],
        |row| row.get(0),
    );
    if found.optional()?.ok_or(StoreError::Missing)? {
        return Err(StoreError::TooLate);
    }
    add_key(connection, new)?;
    one(connection.execute(
        "UPDATE keys SET replaced_by = ?2, expires = min(ifnull(expires, ?3), ?3) WHERE id = ?1",
        params![old, new.id, until_microseconds],
    )?)
}

fn add_invitation(connection: &Connection, invitation: &Invitation) -> Done {
    let Invitation { digest, user, created, expires } = invitation;
    connection.execute("DELETE FROM invitations WHERE user = ?1", params![user])?;
    connection.execute(
        "INSERT INTO invitations (digest, user, created, expires) VALUES (?1, ?2, ?3, ?4)",
        params![digest, user, created.as_microsecond(), expires.as_microsecond()],
    )?;
    Ok(())
}

fn accept_invitation(connection: &Connection, digest: &Digest, password: &str, at_microseconds: i64) -> Done {
    let user: Option<String> = connection
        .query_row(
            "DELETE FROM invitations WHERE digest = ?1 AND expires > ?2 RETURNING user",
            params![digest, at_microseconds],
            |row| row.get(0),
        )
        .optional()?;
    set_password(connection, &user.ok_or(StoreError::TooLate)?, password)
}

/// By name, so one row has changed or none.
const fn one(changed_rows: usize) -> Done {
    match changed_rows {
        0 => Err(StoreError::Missing),
        _ => Ok(()),
    }
}
