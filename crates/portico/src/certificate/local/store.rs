//! The folder of the local authority, `certificates/local` below the data folder. Whoever writes holds the lock, so that two
//! processes that start at once see one authority.
//!
//! ```text
//! ca.pem          0644  the root, to be trusted
//! ca.key          0600
//! leaf.pem        0600  key and certificate in one file, so that they change at once
//! former-*.pem    0644  roots that were replaced, so that trust in them can be taken back; their keys are gone
//! *.unusable            what was found in place of the first two
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::said::{LocalError, Notice};
use crate::sys::files;

/// Making an authority takes milliseconds, so that who waits longer waits for something that hangs.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// Nothing that belongs here comes near.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Store {
    data_dir: PathBuf,
}

/// Held as long as the file is open; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub(super) struct LockGuard(#[expect(dead_code, reason = "held, not read")] File);

impl Store {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.data_dir.join("certificates/local").join(name)
    }

    /// Makes the folders where they are missing, and closes them to others.
    pub(super) fn make(&self) -> Result<(), LocalError> {
        for below in ["", "certificates", "certificates/local"] {
            let folder = self.data_dir.join(below);
            let made = match DirBuilder::new().recursive(below.is_empty()).mode(0o700).create(&folder) {
                Ok(()) if !below.is_empty() => self.give(&folder),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            };
            let closed = made.and_then(|()| {
                let open = fs::metadata(&folder)?.permissions().mode() & 0o077 != 0;
                let ours = below == "certificates/local";
                if ours && open {
                    fs::set_permissions(&folder, Permissions::from_mode(0o700))
                } else {
                    Ok(())
                }
            });
            closed.map_err(|error| LocalError::Folder(folder, error))?;
        }
        Ok(())
    }

    /// Waits for another process, at most ten seconds. The folders have to be there.
    pub(super) fn lock(&self) -> Result<LockGuard, LocalError> {
        let path = self.data_dir.join("certificates/lock");
        let file = self.open_lock(&path).map_err(|error| LocalError::Write(path.clone(), error))?;
        let since = Instant::now();
        loop {
            match files::try_lock(&file) {
                Ok(true) => return Ok(LockGuard(file)),
                Ok(false) if since.elapsed() > LONGEST_WAIT => return Err(LocalError::Locked(path)),
                Ok(false) => std::thread::sleep(BETWEEN_TRIES),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LocalError::Write(path, error)),
            }
        }
    }

    /// For reading where it exists: that is enough for the lock, also on a disk that can't be written.
    fn open_lock(&self, path: &Path) -> io::Result<File> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
                self.give(path)?;
                Ok(file)
            }
            opened => opened,
        }
    }

    /// `None`: there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, LocalError> {
        let path = self.path(name);
        match open(&path).and_then(read_all) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LocalError::Read(path, error)),
        }
    }

    /// As [`read`](Self::read); closes the file to others where it is not, which is worth telling.
    pub(super) fn read_secret(&self, name: &str) -> Result<(Option<Vec<u8>>, Option<Notice>), LocalError> {
        let path = self.path(name);
        let closed = |file: &File| -> io::Result<Option<Notice>> {
            let mode = file.metadata()?.permissions().mode() & 0o777;
            if mode & 0o077 == 0 {
                return Ok(None);
            }
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(Some(Notice::KeyWasOpen { key: path.clone(), mode }))
        };
        let read = open(&path).and_then(|file| Ok((closed(&file)?, read_all(file)?)));
        match read {
            Ok((notice, content)) => Ok((Some(content), notice)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, None)),
            Err(error) => Err(LocalError::Read(path, error)),
        }
    }

    pub(super) fn write(&self, name: &str, content: &[u8], mode: u32) -> Result<(), LocalError> {
        let path = self.path(name);
        let written = files::replace(&path, content, mode).and_then(|()| self.give(&path));
        written.map_err(|error| LocalError::Write(path, error))
    }

    /// Under another name, so that nothing is lost that somebody may still look for. That it is not there is no error.
    pub(super) fn set_aside(&self, name: &str, other: &str) -> Result<(), LocalError> {
        let path = self.path(name);
        match fs::rename(&path, self.path(other)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LocalError::Write(path, error)),
            _ => Ok(()),
        }
    }

    /// The files whose names begin so.
    pub(super) fn named(&self, beginning: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        paths
    }

    /// What root makes for a Portico that runs as somebody else has to be that user's: of whom the data folder is.
    fn give(&self, path: &Path) -> io::Result<()> {
        if rustix::process::geteuid().is_root() { files::own_like(path, &self.data_dir) } else { Ok(()) }
    }
}

/// Never through a link: root reads here what another user may have put there.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).expect("a flag of open(2)");
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn read_all(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut content)?;
    Ok(content)
}
