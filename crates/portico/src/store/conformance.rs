//! What every backend promises, written against the traits. A backend gives its [`Backend`] and calls [`promises!`].

use std::fmt::Debug;

use jiff::Timestamp;

use super::sample::{at, digest, entry, invitation, key, session, user};
use super::*;

pub(super) trait Store: People + Sessions + AuditTrail {}
impl<T: People + Sessions + AuditTrail> Store for T {}

/// A place for one store, empty at first.
pub(super) trait Backend {
    fn new() -> Self;
    /// One more way to the same store.
    fn handle(&self) -> Box<dyn Store>;
}

macro_rules! promises {
    ($backend:ty: $($promise:ident),* $(,)?) => {
        $(#[test]
        fn $promise() {
            $crate::store::conformance::$promise::<$backend>();
        })*
    };
}

/// All of them, for a backend.
macro_rules! all_promises {
    ($backend:ty) => {
        $crate::store::conformance::promises! { $backend:
            what_was_added_is_there_as_it_was_given,
            users_change_and_their_epochs_rise,
            a_first_user_is_the_first,
            what_a_user_has_goes_with_the_user,
            keys_are_rotated_once_and_by_their_owner,
            keys_are_revoked_once,
            uses_are_noted_and_never_go_back,
            an_invitation_is_accepted_once_and_in_time,
            sessions_expire_and_end,
            what_is_refused_leaves_no_trace,
            names_are_texts_and_nothing_else,
            each_change_has_its_record,
            the_newest_records_come_last,
            two_handles_do_not_lose_each_other_s_changes,
        }
    };
}
pub(super) use {all_promises, promises};

type Shared = Box<dyn Store>;

fn fresh<B: Backend>() -> (B, Shared) {
    let backend = B::new();
    let store = backend.handle();
    (backend, store)
}

fn done(store: &mut Shared, change: Change) {
    store.change(&change, &entry("a.change")).unwrap_or_else(|error| panic!("{change:?}: {error}"));
}

fn with(changes: impl IntoIterator<Item = Change>, store: &mut Shared) {
    changes.into_iter().for_each(|change| done(store, change));
}

fn refused(store: &mut Shared, change: Change, wanted: &str) {
    let before = (store.everyone().unwrap(), store.head().unwrap());
    let error = store.change(&change, &entry("a.change")).expect_err(&format!("{change:?}"));
    assert_eq!(kind(&error), wanted, "{change:?}");
    assert_eq!((store.everyone().unwrap(), store.head().unwrap()), before, "{change:?}");
}

fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Exists => "exists",
        StoreError::Missing => "missing",
        StoreError::TooLate => "too late",
        StoreError::Database(_) => "database",
    }
}

fn only<T: Debug + Clone>(found: &[T]) -> T {
    let [one] = found else { panic!("not one: {found:?}") };
    one.clone()
}

fn only_user(store: &mut Shared) -> User {
    only(&store.everyone().unwrap().users)
}

fn ada() -> String {
    "ada".to_owned()
}

pub(super) fn what_was_added_is_there_as_it_was_given<B: Backend>() {
    let (backend, mut store) = fresh::<B>();
    assert_eq!(store.everyone().unwrap(), Everyone::default());
    let plain = user("ada");
    let full = User {
        password: None,
        role: Role::Operator,
        plan: Some("gold".to_owned()),
        disabled: true,
        created: Timestamp::from_microsecond(1_234_567_890_123_456).unwrap(),
        epoch: 7,
        ..user("bob")
    };
    let full_key = ApiKey {
        expires: Some(at(50)),
        models: vec!["qwen".to_owned(), "模型, \"two\"".to_owned()],
        networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        last_used: Some(at(4)),
        revoked: Some(at(5)),
        replaced_by: Some("k3".to_owned()),
        ..key("k2", "bob")
    };
    with([Change::AddUser(full.clone()), Change::AddUser(plain.clone())], &mut store);
    with([Change::AddKey(key("k1", "ada")), Change::AddKey(full_key.clone())], &mut store);
    with([Change::AddInvitation(invitation("i", "bob"))], &mut store);
    store.add_session(&session("s", "ada"), &entry("login")).unwrap();
    let wanted = Everyone {
        users: vec![plain, full],
        keys: vec![key("k1", "ada"), full_key],
        invitations: vec![invitation("i", "bob")],
    };
    for mut store in [store, backend.handle()] {
        assert_eq!(store.everyone().unwrap(), wanted);
        assert_eq!(store.sessions(at(0)).unwrap(), [session("s", "ada")]);
    }
}

pub(super) fn users_change_and_their_epochs_rise<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    with([Change::AddUser(user("ada"))], &mut store);
    let mut wanted = user("ada");
    done(&mut store, Change::SetPassword { user: ada(), password: "another".to_owned() });
    (wanted.password, wanted.epoch) = (Some("another".to_owned()), 1);
    assert_eq!(only_user(&mut store), wanted);
    done(&mut store, Change::SetPlan { user: ada(), plan: Some("gold".to_owned()) });
    wanted.plan = Some("gold".to_owned());
    assert_eq!(only_user(&mut store), wanted);
    done(&mut store, Change::SetPlan { user: ada(), plan: None });
    done(&mut store, Change::SetRole { user: ada(), role: Role::Operator });
    (wanted.plan, wanted.role) = (None, Role::Operator);
    assert_eq!(only_user(&mut store), wanted);
    for (disabled, epoch) in [(true, 2), (false, 3)] {
        done(&mut store, Change::SetDisabled { user: ada(), disabled });
        (wanted.disabled, wanted.epoch) = (disabled, epoch);
        assert_eq!(only_user(&mut store), wanted);
    }
    let nobody = || "nobody".to_owned();
    for change in [
        Change::SetPassword { user: nobody(), password: String::new() },
        Change::SetPlan { user: nobody(), plan: None },
        Change::SetRole { user: nobody(), role: Role::Operator },
        Change::SetDisabled { user: nobody(), disabled: true },
        Change::RemoveUser { user: nobody() },
    ] {
        refused(&mut store, change, "missing");
    }
    refused(&mut store, Change::AddUser(User { role: Role::Operator, ..user("ada") }), "exists");
}

pub(super) fn a_first_user_is_the_first<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    done(&mut store, Change::AddFirstUser(user("ada")));
    refused(&mut store, Change::AddFirstUser(user("bob")), "too late");
    refused(&mut store, Change::AddFirstUser(user("ada")), "too late");
    done(&mut store, Change::RemoveUser { user: ada() });
    done(&mut store, Change::AddFirstUser(user("bob")));
}

pub(super) fn what_a_user_has_goes_with_the_user<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    for name in ["ada", "bob"] {
        with([Change::AddUser(user(name)), Change::AddKey(key(&format!("k-{name}"), name))], &mut store);
        with([Change::AddInvitation(invitation(&format!("i-{name}"), name))], &mut store);
        store.add_session(&session(&format!("s-{name}"), name), &entry("login")).unwrap();
    }
    done(&mut store, Change::RemoveUser { user: ada() });
    let left = Everyone {
        users: vec![user("bob")],
        keys: vec![key("k-bob", "bob")],
        invitations: vec![invitation("i-bob", "bob")],
    };
    assert_eq!(store.everyone().unwrap(), left);
    assert_eq!(store.sessions(at(0)).unwrap(), [session("s-bob", "bob")]);
    // A new user of the name has nothing of the old one.
    done(&mut store, Change::AddUser(user("ada")));
    assert_eq!(store.everyone().unwrap().keys, left.keys);
}

pub(super) fn keys_are_rotated_once_and_by_their_owner<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    with(["ada", "bob"].map(|name| Change::AddUser(user(name))), &mut store);
    let early = ApiKey { expires: Some(at(10)), ..key("early", "ada") };
    with([Change::AddKey(key("k1", "ada")), Change::AddKey(early)], &mut store);
    let rotate = |old: &str, new: ApiKey| Change::RotateKey { old: old.to_owned(), until: at(60), new };
    refused(&mut store, rotate("k1", key("k2", "bob")), "missing");
    refused(&mut store, rotate("k0", key("k2", "ada")), "missing");
    refused(&mut store, rotate("k1", key("early", "ada")), "exists");
    refused(&mut store, rotate("k1", ApiKey { digest: digest("early"), ..key("k2", "ada") }), "exists");
    done(&mut store, rotate("k1", key("k2", "ada")));
    done(&mut store, rotate("early", key("later", "ada")));
    refused(&mut store, rotate("k1", key("k3", "ada")), "too late");
    done(&mut store, Change::RevokeKey { id: "k2".to_owned(), at: at(5) });
    refused(&mut store, rotate("k2", key("k3", "ada")), "too late");
    let keys = store.everyone().unwrap().keys;
    let found = |id: &str| keys.iter().find(|key| key.id == id).unwrap().clone();
    let replaced = |id: &str, by: &str, until| ApiKey {
        expires: Some(until),
        replaced_by: Some(by.to_owned()),
        ..key(id, "ada")
    };
    assert_eq!(found("k1"), replaced("k1", "k2", at(60)));
    // Rotating gives no key more time than it had.
    assert_eq!(found("early"), replaced("early", "later", at(10)));
    assert_eq!(found("k2"), ApiKey { revoked: Some(at(5)), ..key("k2", "ada") });
}

pub(super) fn keys_are_revoked_once<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    with([Change::AddUser(user("ada")), Change::AddKey(key("k1", "ada"))], &mut store);
    refused(&mut store, Change::AddKey(key("k1", "ada")), "exists");
    refused(&mut store, Change::AddKey(ApiKey { digest: digest("k1"), ..key("k2", "ada") }), "exists");
    refused(&mut store, Change::AddKey(key("k2", "nobody")), "missing");
    refused(&mut store, Change::RevokeKey { id: "k2".to_owned(), at: at(5) }, "missing");
    for time in [5, 6] {
        done(&mut store, Change::RevokeKey { id: "k1".to_owned(), at: at(time) });
    }
    assert_eq!(only(&store.everyone().unwrap().keys).revoked, Some(at(5)));
}

pub(super) fn uses_are_noted_and_never_go_back<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    with([Change::AddUser(user("ada")), Change::AddKey(key("k1", "ada"))], &mut store);
    let head = store.head().unwrap();
    for (time, seen) in [(5, 5), (3, 5), (9, 9)] {
        store.note_use(&[("gone".to_owned(), at(time)), ("k1".to_owned(), at(time))]).unwrap();
        assert_eq!(only(&store.everyone().unwrap().keys).last_used, Some(at(seen)));
    }
    store.note_use(&[]).unwrap();
    assert_eq!(store.head().unwrap(), head, "a use is no record");
}

pub(super) fn an_invitation_is_accepted_once_and_in_time<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    with([Change::AddUser(User { password: None, ..user("ada") }), Change::AddUser(user("bob"))], &mut store);
    let accept = |token: &str, time: i64| Change::AcceptInvitation {
        digest: digest(token),
        password: "chosen".to_owned(),
        at: at(time),
    };
    refused(&mut store, Change::AddInvitation(invitation("i", "nobody")), "missing");
    with(["i1", "i2"].map(|token| Change::AddInvitation(invitation(token, "ada"))), &mut store);
    with([Change::AddInvitation(invitation("b", "bob"))], &mut store);
    refused(&mut store, Change::AddInvitation(invitation("b", "ada")), "exists");
    assert_eq!(store.everyone().unwrap().invitations, [invitation("i2", "ada"), invitation("b", "bob")]);
    // Who has been given a password needs no link any more.
    let carl = || "carl".to_owned();
    with([Change::AddUser(user("carl")), Change::AddInvitation(invitation("c", "carl"))], &mut store);
    with([Change::SetPassword { user: carl(), password: "hash".to_owned() }], &mut store);
    refused(&mut store, accept("c", 0), "too late");
    with([Change::RemoveUser { user: carl() }], &mut store);
    refused(&mut store, accept("i1", 50), "too late");
    refused(&mut store, accept("i2", 100), "too late");
    refused(&mut store, accept("never", 50), "too late");
    done(&mut store, accept("i2", 99));
    refused(&mut store, accept("i2", 99), "too late");
    let everyone = store.everyone().unwrap();
    let chosen = User { password: Some("chosen".to_owned()), epoch: 1, ..user("ada") };
    assert_eq!(everyone.users, [chosen, user("bob")]);
    assert_eq!(everyone.invitations, [invitation("b", "bob")]);
}

pub(super) fn sessions_expire_and_end<B: Backend>() {
    let (backend, mut store) = fresh::<B>();
    with(["ada", "bob"].map(|name| Change::AddUser(user(name))), &mut store);
    for (token, name) in [("a1", "ada"), ("a2", "ada"), ("a3", "ada"), ("b1", "bob")] {
        store.add_session(&session(token, name), &entry("login")).unwrap();
    }
    let short = Session { expires: at(10), address: "::1".parse().unwrap(), ..session("short", "bob") };
    store.add_session(&short, &entry("login")).unwrap();
    let error = store.add_session(&session("a1", "bob"), &entry("login")).unwrap_err();
    assert_eq!(kind(&error), "exists");
    // Somebody of an htpasswd file is not among the users.
    store.add_session(&session("file", "carl"), &entry("login")).unwrap();
    store.end_sessions(&Ending::AllOf { user: "carl".to_owned(), except: None }, &entry("logout")).unwrap();
    let live = |store: &mut Shared, time| {
        let mut tokens = Vec::new();
        for session in store.sessions(at(time)).unwrap() {
            let known = ["a1", "a2", "a3", "b1", "short"];
            tokens.push(known.into_iter().find(|token| digest(token) == session.digest).unwrap());
        }
        tokens.sort_unstable();
        tokens
    };
    assert_eq!(live(&mut store, 9), ["a1", "a2", "a3", "b1", "short"]);
    assert_eq!(live(&mut store, 10), ["a1", "a2", "a3", "b1"]);
    // Forgotten, and not only hidden.
    assert_eq!(live(&mut backend.handle(), 0), ["a1", "a2", "a3", "b1"]);
    store.end_sessions(&Ending::One(digest("a1")), &entry("logout")).unwrap();
    let error = store.end_sessions(&Ending::One(digest("a1")), &entry("logout")).unwrap_err();
    assert_eq!(kind(&error), "missing");
    let others = Ending::AllOf { user: ada(), except: Some(digest("a3")) };
    store.end_sessions(&others, &entry("logout.all")).unwrap();
    assert_eq!(live(&mut store, 0), ["a3", "b1"]);
    store.end_sessions(&Ending::AllOf { user: ada(), except: None }, &entry("logout.all")).unwrap();
    store.end_sessions(&Ending::AllOf { user: ada(), except: None }, &entry("logout.all")).unwrap();
    assert_eq!(live(&mut store, 0), ["b1"]);
}

/// Neither the change nor its record.
pub(super) fn what_is_refused_leaves_no_trace<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    with([Change::AddUser(user("ada")), Change::AddInvitation(invitation("i", "ada"))], &mut store);
    // The first step of these would fit: the user's earlier invitation goes, the new key is added.
    with([Change::AddUser(user("bob")), Change::AddInvitation(invitation("b", "bob"))], &mut store);
    refused(&mut store, Change::AddInvitation(invitation("b", "ada")), "exists");
    let sessions = store.sessions(at(0)).unwrap();
    let head = store.head().unwrap();
    store.end_sessions(&Ending::One(digest("s")), &entry("logout")).unwrap_err();
    assert_eq!((store.sessions(at(0)).unwrap(), store.head().unwrap()), (sessions, head));
}

pub(super) fn names_are_texts_and_nothing_else<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    let names = [
        "李明",
        "Ада Лавлейс",
        "zoe\u{301}",
        "zo\u{e9}",
        "👩‍💻",
        "'; DROP TABLE users; --",
        "a\0b",
        "ADA",
        "ada",
        " ada ",
        "%_",
        "\u{202e}ada",
        "",
    ];
    for name in names {
        let odd = ApiKey { name: name.to_owned(), ..key(&format!("k{name}"), name) };
        with([Change::AddUser(user(name)), Change::AddKey(odd)], &mut store);
        let said = Entry { target: name.to_owned(), detail: name.repeat(3), ..entry(name) };
        let agent = Session { agent: name.to_owned(), ..session(name, name) };
        store.add_session(&agent, &said).unwrap();
        assert_eq!(store.latest(1).unwrap()[0].entry, said);
    }
    for name in names {
        refused(&mut store, Change::AddUser(user(name)), "exists");
        done(&mut store, Change::SetPlan { user: name.to_owned(), plan: Some(format!("plan of {name}")) });
    }
    let everyone = store.everyone().unwrap();
    assert_eq!(everyone.users.len(), names.len());
    for User { name, plan, .. } in everyone.users {
        assert_eq!(plan, Some(format!("plan of {name}")));
    }
    assert!(everyone.keys.iter().all(|key| key.name == key.user && key.id == format!("k{}", key.user)));
    done(&mut store, Change::RemoveUser { user: "%_".to_owned() });
    assert_eq!(store.everyone().unwrap().users.len(), names.len() - 1);
}

pub(super) fn each_change_has_its_record<B: Backend>() {
    let (backend, mut store) = fresh::<B>();
    assert_eq!((store.latest(9).unwrap(), store.head().unwrap()), (vec![], None));
    assert_eq!(store.verify(None).unwrap(), Verdict::Whole { records: 0, head: None });
    let entries = [
        entry("user.add"),
        Entry { address: None, detail: "two words".to_owned(), ..entry("login.failed") },
        Entry { address: Some("::ffff:192.0.2.1".parse().unwrap()), at: at(-5), ..entry("login") },
        Entry { actor: "-".to_owned(), target: String::new(), ..entry("logout") },
    ];
    store.change(&Change::AddUser(user("ada")), &entries[0]).unwrap();
    store.append(&entries[1]).unwrap();
    store.add_session(&session("s", "ada"), &entries[2]).unwrap();
    store.end_sessions(&Ending::One(digest("s")), &entries[3]).unwrap();
    for mut store in [backend.handle(), store] {
        let records = store.latest(9).unwrap();
        assert_eq!(records.iter().map(|record| record.entry.clone()).collect::<Vec<_>>(), entries);
        assert_eq!(
            records.iter().map(|record| (record.number, record.epoch)).collect::<Vec<_>>(),
            [(1, 1), (2, 1), (3, 1), (4, 1)]
        );
        let head = Head { number: 4, mac: records[3].mac };
        assert_eq!(store.head().unwrap(), Some(head));
        let earlier = Head { number: 2, mac: records[1].mac };
        for known in [None, Some(&head), Some(&earlier)] {
            assert_eq!(store.verify(known).unwrap(), Verdict::Whole { records: 4, head: Some(head) });
        }
        for (known, number) in
            [(Head { number: 5, mac: head.mac }, 5), (Head { number: 2, mac: head.mac }, 2)]
        {
            let verdict = store.verify(Some(&known)).unwrap();
            assert_eq!(verdict, Verdict::Broken { number, how: Break::Cut });
        }
    }
}

pub(super) fn the_newest_records_come_last<B: Backend>() {
    let (_backend, mut store) = fresh::<B>();
    for number in 1..=20 {
        store.append(&Entry { detail: number.to_string(), ..entry("login") }).unwrap();
    }
    for (limit, first) in [(0, 21), (1, 20), (3, 18), (100, 1)] {
        let numbers: Vec<u64> = store.latest(limit).unwrap().iter().map(|record| record.number).collect();
        assert_eq!(numbers, (first..21).collect::<Vec<_>>());
    }
}

pub(super) fn two_handles_do_not_lose_each_other_s_changes<B: Backend>() {
    let backend = B::new();
    let writers = [backend.handle(), backend.handle()];
    std::thread::scope(|scope| {
        for (writer, mut store) in writers.into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..40 {
                    done(&mut store, Change::AddUser(user(&format!("{writer}-{number}"))));
                    // One of both comes first, and the other is told so.
                    let contested = store.change(&Change::AddUser(user(&format!("c{number}"))), &entry("x"));
                    assert!(matches!(contested, Ok(()) | Err(StoreError::Exists)), "{contested:?}");
                }
            });
        }
    });
    let mut store = backend.handle();
    assert_eq!(store.everyone().unwrap().users.len(), 120);
    let verdict = store.verify(None).unwrap();
    assert!(matches!(verdict, Verdict::Whole { records: 120, .. }), "{verdict:?}");
}
