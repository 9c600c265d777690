//! The end of the audit trail, noted beside the database in `audit.head`: a chain that was cut is shorter than the note.
//!
//! The note has a mac of its own, so that the database alone does not hold what an earlier one would have to say. It follows
//! the chain by a second at most while records are written, and is brought up to date when the store is closed: a fsync for
//! each login would cost more than the seconds are worth.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::hmac::Key;

use super::chain::Fields;
use super::secrets::{Secrets, digest};
use super::{Digest, Head, hex, place};
use crate::sys::clock::Instant;

const EVERY: Duration = Duration::from_secs(1);

/// The note, and what it does not say yet.
#[derive(Debug)]
pub(super) struct Noted {
    path: PathBuf,
    key: Key,
    waiting: Option<Head>,
    written: Option<Instant>,
}

impl Noted {
    pub(super) fn new(path: PathBuf, secrets: &Secrets) -> Self {
        Self { path, key: secrets.noted.clone(), waiting: None, written: None }
    }

    /// `None`: it is gone, or not as it was written.
    pub(super) fn read(&self) -> io::Result<Option<Head>> {
        match std::fs::read(&self.path) {
            Ok(content) => Ok(parsed(&content, &self.key)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The chain has got this far, durably.
    pub(super) fn follow(&mut self, head: Head) {
        self.waiting = Some(head);
        if self.written.is_none_or(|written| written.elapsed() >= EVERY) {
            self.write();
        }
    }

    /// What can't be written, as on a full disk, stays for the next time: an older note is true, too.
    pub(super) fn write(&mut self) {
        let Some(head) = self.waiting else { return };
        self.written = Some(Instant::now());
        if write(&self.path, head, &self.key).is_ok() {
            self.waiting = None;
        }
    }
}

pub(super) fn write(path: &Path, head: Head, key: &Key) -> io::Result<()> {
    let line = format!("{} {} {}\n", head.number, hex::encode(&head.mac), hex::encode(&mac(head, key)));
    place::replace(path, line.as_bytes())
}

fn parsed(content: &[u8], key: &Key) -> Option<Head> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let mut words = text.split(' ');
    let head = Head { number: words.next()?.parse().ok()?, mac: hex::decode(words.next()?)? };
    let fits = hex::decode(words.next()?) == Some(mac(head, key)) && words.next().is_none();
    fits.then_some(head)
}

fn mac(head: Head, key: &Key) -> Digest {
    digest(key, &Fields::default().number(head.number).bytes(&head.mac).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::chain::BEGINNING;
    use super::*;

    #[test]
    fn a_note_is_read_only_as_it_was_written() {
        let folder = testkit::temporary::Folder::new();
        let path = folder.path().join("audit.head");
        let secrets = Secrets::from_text(&"07".repeat(32)).unwrap();
        let mut noted = Noted::new(path.clone(), &secrets);
        assert_eq!(noted.read().unwrap(), None);
        write(&path, BEGINNING, &secrets.noted).unwrap();
        assert_eq!(noted.read().unwrap(), Some(BEGINNING));
        let [first, second] = [1, 2].map(|number| Head { number, mac: [number as u8; 32] });
        noted.follow(first);
        assert_eq!(noted.read().unwrap(), Some(first));
        noted.follow(second);
        noted.write();
        assert_eq!(noted.read().unwrap(), Some(second));
        let line = std::fs::read_to_string(&path).unwrap();
        for changed in [
            line.replacen('2', "1", 1),
            line.replacen("02", "01", 1),
            line.trim_end().to_owned(),
            line.trim_end().to_owned() + " \n",
            String::new(),
        ] {
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(noted.read().unwrap(), None, "{changed:?}");
        }
        let other = Noted::new(path.clone(), &Secrets::from_text(&"08".repeat(32)).unwrap());
        std::fs::write(&path, &line).unwrap();
        assert_eq!(other.read().unwrap(), None);
    }
}
