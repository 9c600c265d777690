//! What is kept of certificates, in `data_dir/certificates`:
//!
//! ```text
//! lock                      whoever orders holds it
//! account-CA.json           the account at one CA: its key and its address (0600)
//! counters-CA.json          what was asked of that CA lately
//! SET/pair.pem              private key and chain in one file, so that they can't be of two certificates (0600)
//! SET/order.json            an order under way: its address and its private key (0600)
//! SET/journal.json          what worked, what failed, when to try again
//! ```
//!
//! Every file is replaced whole and synced (`sys::files`): a crash between any two steps leaves the old one or the new.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use crate::certificate::{Pair, PairError};
use crate::sys::files;
use crate::types::{Text, text};

/// Of keys and accounts.
const PRIVATE: u32 = 0o600;

/// The folder of one set of names, within one data folder.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
    set: PathBuf,
    /// The set's own name.
    pub(crate) id: String,
}

/// An order that has got as far as having a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenOrder {
    pub(crate) directory: String,
    pub(crate) url: String,
    pub(crate) key_pem: String,
}

/// Nobody else orders while this is held; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub(crate) struct OrderLock(#[expect(dead_code, reason = "held, not read")] File);

/// Why what was kept can't be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    Read(io::Error),
    Pair(PairError),
}

impl Unusable {
    pub(crate) fn text(&self) -> Text {
        match self {
            Unusable::Read(error) => text!("it can't be read: {error}", "无法读取:{error}"),
            Unusable::Pair(error) => error.text(),
        }
    }
}

impl Store {
    pub(crate) fn new(data_dir: &Path, names: &[String]) -> Self {
        let root = data_dir.join("certificates");
        let id = set_id(names);
        Self { set: root.join(&id), root, id }
    }

    /// The kept certificate; `None`: there is none yet.
    pub(crate) fn pair(&self) -> Result<Option<Pair>, Unusable> {
        match fs::read(self.pair_file()) {
            Ok(pem) => Pair::from_pem(&pem, &pem).map(Some).map_err(Unusable::Pair),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Unusable::Read(error)),
        }
    }

    /// A kept certificate of another set of names that this name is in: better than none while the set is new.
    pub(crate) fn other_pair_for(&self, name: &str, now: SystemTime) -> Option<Pair> {
        let sets = fs::read_dir(&self.root).ok()?;
        let pairs = sets.flatten().filter(|set| set.path() != self.set).filter_map(|set| {
            let pem = fs::read(set.path().join("pair.pem")).ok()?;
            Pair::from_pem(&pem, &pem).ok().filter(|pair| pair.leaf.covers(name) && now < pair.leaf.not_after)
        });
        pairs.max_by_key(|pair| pair.leaf.not_after)
    }

    /// Key first: a program that wants the chain skips it, and one that wants a key finds it at once.
    pub(crate) fn keep_pair(&self, key_pem: &str, chain_pem: &str) -> io::Result<()> {
        self.replace(&self.pair_file(), format!("{}\n{chain_pem}", key_pem.trim_end()).as_bytes())
    }

    pub(crate) fn pair_file(&self) -> PathBuf {
        self.set.join("pair.pem")
    }

    /// Without one, or with one that can't be read, it begins anew: it decides about waiting, not about trust.
    pub(crate) fn journal(&self) -> Journal {
        read_json(&self.set.join("journal.json")).unwrap_or_default()
    }

    pub(crate) fn keep_journal(&self, journal: &Journal) -> io::Result<()> {
        self.replace_json(&self.set.join("journal.json"), journal)
    }

    pub(crate) fn open_order(&self) -> Option<OpenOrder> {
        read_json(&self.set.join("order.json"))
    }

    pub(crate) fn keep_order(&self, order: &OpenOrder) -> io::Result<()> {
        self.replace_json(&self.set.join("order.json"), order)
    }

    pub(crate) fn forget_order(&self) -> io::Result<()> {
        files::remove(&self.set.join("order.json"))
    }

    /// Of a CA: its account, its counters.
    pub(crate) fn read_of_authority<T: DeserializeOwned>(&self, what: &str, directory: &str) -> Option<T> {
        read_json(&self.of_authority(what, directory))
    }

    pub(crate) fn keep_of_authority(
        &self,
        what: &str,
        directory: &str,
        value: &impl Serialize,
    ) -> io::Result<()> {
        self.replace_json(&self.of_authority(what, directory), value)
    }

    pub(crate) fn forget_of_authority(&self, what: &str, directory: &str) -> io::Result<()> {
        files::remove(&self.of_authority(what, directory))
    }

    fn of_authority(&self, what: &str, directory: &str) -> PathBuf {
        self.root.join(format!("{what}-{}.json", short_hash(directory.as_bytes())))
    }

    /// `None`: another process is ordering from this folder.
    pub(crate) fn lock(&self) -> io::Result<Option<OrderLock>> {
        self.make_folders()?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE)
            .open(self.root.join("lock"))?;
        Ok(files::try_lock(&file)?.then_some(OrderLock(file)))
    }

    fn make_folders(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.set)
    }

    fn replace_json(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        self.replace(path, &serde_json::to_vec_pretty(value)?)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.make_folders()?;
        files::replace(path, content, PRIVATE)
    }
}

/// A folder's name that says which names it is for, and is another for every other set of them.
fn set_id(names: &[String]) -> String {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let readable: String = names.first().map_or("none", String::as_str).replace(':', "_");
    format!("{}-{}", readable.get(..64).unwrap_or(&readable), short_hash(sorted.join("\n").as_bytes()))
}

fn short_hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a kept file can't be read, and is made anew");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_set_is_the_same_in_any_order_and_another_with_any_other_name() {
        let id = |names: &[&str]| set_id(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(id(&["a.example", "b.example"])[9..], id(&["b.example", "a.example"])[9..]);
        assert_ne!(id(&["a.example"]), id(&["a.example", "b.example"]));
        assert!(id(&["2001:db8::1"]).starts_with("2001_db8__1-"));
    }

    #[test]
    fn what_is_kept_is_for_its_owner_alone_and_one_process_orders() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), &["a.example".to_owned()]);
        assert!(store.pair().unwrap().is_none());
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        store.keep_pair(&made.signing_key.serialize_pem(), &made.cert.pem()).unwrap();
        assert_eq!(store.pair().unwrap().unwrap().leaf.names, ["a.example"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.pair_file()), 0o600);
        assert_eq!(mode(store.pair_file().parent().unwrap()), 0o700);
        let held = store.lock().unwrap();
        assert!(held.is_some() && store.lock().unwrap().is_none());
        drop(held);
        assert!(store.lock().unwrap().is_some());
        let mut journal = store.journal();
        journal.failures = 3;
        store.keep_journal(&journal).unwrap();
        assert_eq!(store.journal(), journal);
        fs::write(folder.path().join("certificates").join(&store.id).join("journal.json"), "{").unwrap();
        assert_eq!(store.journal(), Journal::default());
    }
}
