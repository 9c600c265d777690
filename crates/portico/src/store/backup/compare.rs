//! What changes hands when a backup takes the place of a store: a key that was revoked since is good again.

use std::collections::HashMap;

use jiff::Timestamp;

use super::super::{ApiKey, Everyone, Role, User};

/// What an operator has to look at after a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Usable now, and not so before.
    pub(crate) revived: Vec<Revived>,
    /// Only in the store that was replaced: names of users, and keys with their users.
    pub(crate) lost_users: Vec<String>,
    pub(crate) lost_keys: Vec<LostKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostKey {
    pub(crate) id: String,
    pub(crate) user: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revived {
    User { name: String, was: Was },
    Key { id: String, user: String, was: Was },
}

/// What it was in the store that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Was {
    Removed,
    Disabled,
    Revoked,
    Expired,
    /// A user whose password is an earlier one again.
    OtherPassword,
    /// An operator again.
    NoOperator,
}

pub(super) fn differences(backup: &Everyone, replaced: &Everyone, now: Timestamp) -> Differences {
    let (theirs, ours) = (by_name(backup), by_name(replaced));
    let users = backup.users.iter().filter_map(|user| {
        let was = user_was(user, ours.get(user.name.as_str()).copied())?;
        Some(Revived::User { name: user.name.clone(), was })
    });
    let keys_there: HashMap<&str, &ApiKey> = replaced.keys.iter().map(|key| (key.id.as_str(), key)).collect();
    let usable = |key: &&ApiKey| {
        unusable(key, now).is_none() && theirs.get(key.user.as_str()).is_some_and(|user| !user.disabled)
    };
    let keys = backup.keys.iter().filter(usable).filter_map(|key| {
        let was = key_was(keys_there.get(key.id.as_str()).copied(), &ours, now)?;
        Some(Revived::Key { id: key.id.clone(), user: key.user.clone(), was })
    });
    let in_backup: HashMap<&str, &ApiKey> = backup.keys.iter().map(|key| (key.id.as_str(), key)).collect();
    let lost_keys = replaced.keys.iter().filter(|key| !in_backup.contains_key(key.id.as_str()));
    let lost_users = replaced.users.iter().filter(|user| !theirs.contains_key(user.name.as_str()));
    Differences {
        revived: users.chain(keys).collect(),
        lost_users: lost_users.map(|user| user.name.clone()).collect(),
        lost_keys: lost_keys.map(|key| LostKey { id: key.id.clone(), user: key.user.clone() }).collect(),
    }
}

fn user_was(user: &User, before: Option<&User>) -> Option<Was> {
    match before {
        _ if user.disabled => None,
        None => Some(Was::Removed),
        Some(before) if before.disabled => Some(Was::Disabled),
        Some(before) if user.password.is_some() && user.password != before.password => {
            Some(Was::OtherPassword)
        }
        Some(before) if user.role == Role::Operator && before.role != Role::Operator => Some(Was::NoOperator),
        Some(_) => None,
    }
}

/// Of a key that is usable in the backup.
fn key_was(before: Option<&ApiKey>, users: &HashMap<&str, &User>, now: Timestamp) -> Option<Was> {
    let Some(before) = before else { return Some(Was::Removed) };
    unusable(before, now).or_else(|| match users.get(before.user.as_str()) {
        None => Some(Was::Removed),
        Some(user) if user.disabled => Some(Was::Disabled),
        Some(_) => None,
    })
}

fn unusable(key: &ApiKey, now: Timestamp) -> Option<Was> {
    if key.revoked.is_some() {
        return Some(Was::Revoked);
    }
    key.expires.is_some_and(|expires| expires <= now).then_some(Was::Expired)
}

fn by_name(everyone: &Everyone) -> HashMap<&str, &User> {
    everyone.users.iter().map(|user| (user.name.as_str(), user)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::{at, key, user};
    use super::*;

    fn everyone(users: &[User], keys: &[ApiKey]) -> Everyone {
        Everyone { users: users.to_vec(), keys: keys.to_vec(), invitations: Vec::new() }
    }

    #[test]
    fn what_is_usable_again_is_told_with_its_reason() {
        let ada = user("ada");
        let disabled = User { disabled: true, ..user("ada") };
        let operator = User { role: Role::Operator, ..user("ada") };
        let other = User { password: Some("later".to_owned()), ..user("ada") };
        let revoked = ApiKey { revoked: Some(at(5)), ..key("k", "ada") };
        let expired = ApiKey { expires: Some(at(10)), ..key("k", "ada") };
        let not_yet = ApiKey { expires: Some(at(11)), ..key("k", "ada") };
        let key = key("k", "ada");
        let both = |was| {
            vec![
                Revived::User { name: "ada".to_owned(), was },
                Revived::Key { id: "k".to_owned(), user: "ada".to_owned(), was },
            ]
        };
        let only_user = |was| vec![Revived::User { name: "ada".to_owned(), was }];
        let only_key = |was| vec![Revived::Key { id: "k".to_owned(), user: "ada".to_owned(), was }];
        let keys = |key: &ApiKey| vec![key.clone()];
        let cases = [
            (&ada, keys(&key), Some(&ada), keys(&key), vec![]),
            (&ada, keys(&key), None, vec![], both(Was::Removed)),
            (&ada, keys(&key), Some(&ada), vec![], only_key(Was::Removed)),
            (&ada, keys(&key), Some(&disabled), keys(&key), both(Was::Disabled)),
            (&ada, keys(&key), Some(&ada), keys(&revoked), only_key(Was::Revoked)),
            (&ada, keys(&key), Some(&ada), keys(&expired), only_key(Was::Expired)),
            (&ada, keys(&key), Some(&ada), keys(&not_yet), vec![]),
            (&ada, keys(&key), Some(&other), keys(&key), only_user(Was::OtherPassword)),
            (&operator, keys(&key), Some(&ada), keys(&key), only_user(Was::NoOperator)),
            // Not usable in the backup either.
            (&disabled, keys(&key), Some(&disabled), keys(&revoked), vec![]),
            (&disabled, keys(&key), None, vec![], vec![]),
            (&ada, keys(&revoked), Some(&ada), keys(&key), vec![]),
            (&ada, keys(&expired), Some(&ada), vec![], vec![]),
        ];
        for (number, (user, keys, before, keys_before, revived)) in cases.into_iter().enumerate() {
            let before: Vec<User> = before.into_iter().cloned().collect();
            let found = differences(
                &everyone(std::slice::from_ref(user), &keys),
                &everyone(&before, &keys_before),
                at(10),
            );
            assert_eq!(found, Differences { revived, ..Differences::default() }, "case {number}");
        }
    }

    #[test]
    fn what_is_only_in_the_replaced_store_is_lost() {
        let backup = everyone(&[user("ada")], &[key("k", "ada")]);
        let replaced = everyone(&[user("ada"), user("bob")], &[key("k", "ada"), key("l", "bob")]);
        let wanted = Differences {
            revived: vec![],
            lost_users: vec!["bob".to_owned()],
            lost_keys: vec![LostKey { id: "l".to_owned(), user: "bob".to_owned() }],
        };
        assert_eq!(differences(&backup, &replaced, at(0)), wanted);
    }
}
