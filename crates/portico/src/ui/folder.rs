//! A folder of the owner's own pages: finding a file in it without ever leaving it.
//!
//! The root is opened once and stays open; names are resolved by the kernel from there with `RESOLVE_BENEATH`, so
//! that neither `..`, nor an absolute symbolic link, nor a race between a check and an open leads out. Links that
//! stay inside are followed: whoever can write one may also copy the file. Because the root stays open, swapping the
//! whole folder for another one takes a reload to be seen.
//!
//! Everything here blocks and runs on blocking threads.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::OpenError;
use super::conditional::HttpTime;
use super::kinds;
use super::negotiate::Encoding;
use crate::types::{Text, text};

/// An open root and how names are resolved in it.
pub(super) struct Folder {
    root: OwnedFd,
    resolver: Resolver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolver {
    /// One call to `openat2`: links are followed as long as they stay beneath the root.
    Kernel,
    /// For kernels before 5.6 and sandboxes that refuse `openat2`: one step a segment, no links at all.
    Walk,
}

/// An open regular file and what the answer says of it.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) length_bytes: u64,
    pub(super) modified: Option<HttpTime>,
    /// Of the version, without quotes: changes with inode, length, and the times of content and inode. The latter
    /// can't be set back, so that a replaced file of the same length and date (`cp -p`, `rsync`) has another tag.
    pub(super) tag: String,
    modified_nanoseconds: (i64, i64),
}

/// A file that answers a request.
pub(super) struct Found {
    /// Below the root; decides the content type.
    pub(super) name: String,
    /// It is the fallback.
    pub(super) instead: bool,
    pub(super) plain: Opened,
    /// Precompressed siblings that are not older.
    pub(super) siblings: Vec<(Encoding, Opened)>,
}

/// Why a name can't be served. None of it reaches the client.
#[derive(Debug)]
pub(super) enum Miss {
    /// There is no such file: a page of the application may have this path.
    Absent,
    /// It is there, but not to be served.
    Refused(Bar),
    /// The box failed, not the request.
    Failed(io::Error),
}

/// What keeps a file from being served. For the log and the operator; the client sees 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bar {
    NotRegular,
    Permission,
    Outside,
    Link,
}

impl Bar {
    pub(super) fn text(self) -> Text {
        match self {
            Bar::NotRegular => text!("not a regular file", "不是普通文件"),
            Bar::Permission => text!("permission denied", "没有权限"),
            Bar::Outside => text!("a link that leaves the root", "指向根目录之外的链接"),
            Bar::Link => text!("a link that may not be followed", "不允许跟随的链接"),
        }
    }
}

impl Folder {
    pub(super) fn open(path: &Path, index: &str) -> Result<Self, OpenError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT => OpenError::FolderMissing(path.to_owned()),
            Errno::NOTDIR => OpenError::NotAFolder(path.to_owned()),
            other => OpenError::FolderUnreadable(path.to_owned(), other.into()),
        })?;
        let folder = Self { resolver: probe(&root), root };
        match folder.file(index) {
            Ok(_) => Ok(folder),
            Err(Miss::Absent) => Err(OpenError::IndexMissing(path.join(index))),
            Err(Miss::Refused(bar)) => Err(OpenError::IndexRefused(path.join(index), bar)),
            Err(Miss::Failed(error)) => Err(OpenError::FolderUnreadable(path.join(index), error)),
        }
    }

    #[cfg(test)]
    pub(super) fn walking(mut self) -> Self {
        self.resolver = Resolver::Walk;
        self
    }

    /// The file of that name, or `fallback` where there is none. `wanted` are the encodings that the client takes:
    /// only their siblings are looked for.
    pub(super) fn find(
        &self,
        name: &str,
        fallback: Option<&str>,
        wanted: &[Encoding],
    ) -> Result<Found, Miss> {
        match (self.with_siblings(name, wanted), fallback) {
            (Err(Miss::Absent), Some(fallback)) => {
                Ok(Found { instead: true, ..self.with_siblings(fallback, wanted)? })
            }
            (result, _) => result,
        }
    }

    fn with_siblings(&self, name: &str, wanted: &[Encoding]) -> Result<Found, Miss> {
        let plain = self.file(name)?;
        let mut siblings = Vec::new();
        if kinds::kind(name).compressible {
            for encoding in wanted {
                // Whatever is wrong with a sibling, the plain file is there.
                if let Ok(packed) = self.file(&format!("{name}.{}", encoding.suffix()))
                    && packed.length_bytes > 0
                    && packed.modified_nanoseconds >= plain.modified_nanoseconds
                {
                    siblings.push((*encoding, packed));
                }
            }
        }
        Ok(Found { name: name.to_owned(), instead: false, plain, siblings })
    }

    /// Opens a regular file. Looks first through a handle that opens nothing: merely opening a device can act on it,
    /// and a FIFO waits. The second open does not wait either, should the name have changed hands in between.
    fn file(&self, name: &str) -> Result<Opened, Miss> {
        let looked = self.resolve(name, OFlags::PATH | OFlags::CLOEXEC).map_err(judge)?;
        regular(&rustix::fs::fstat(&looked).map_err(judge)?)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.resolve(name, flags).map_err(judge)?;
        let stat = rustix::fs::fstat(&file).map_err(judge)?;
        regular(&stat)?;
        Ok(Opened::new(File::from(file), &stat))
    }

    fn resolve(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.resolver {
            Resolver::Kernel => beneath(&self.root, name, flags),
            Resolver::Walk => walk(&self.root, name, flags),
        }
    }
}

impl Opened {
    fn new(file: File, stat: &Stat) -> Self {
        let (seconds, nanoseconds) = (stat.st_mtime, stat.st_mtime_nsec as i64);
        let mut hasher = DefaultHasher::new();
        for number in [seconds, nanoseconds, stat.st_ctime, stat.st_ctime_nsec as i64, stat.st_size] {
            hasher.write_i64(number);
        }
        hasher.write_u64(stat.st_dev);
        hasher.write_u64(stat.st_ino);
        Self {
            file: Arc::new(file),
            length_bytes: stat.st_size.unsigned_abs(),
            modified: HttpTime::from_unix(seconds),
            tag: format!("{:016x}", hasher.finish()),
            modified_nanoseconds: (seconds, nanoseconds),
        }
    }
}

fn regular(stat: &Stat) -> Result<(), Miss> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        // A folder without the slash is as good as nothing: the application may have a page there.
        FileType::Directory => Err(Miss::Absent),
        _ => Err(Miss::Refused(Bar::NotRegular)),
    }
}

fn judge(error: Errno) -> Miss {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Miss::Absent,
        Errno::ACCESS | Errno::PERM => Miss::Refused(Bar::Permission),
        Errno::XDEV => Miss::Refused(Bar::Outside),
        Errno::LOOP => Miss::Refused(Bar::Link),
        Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP => Miss::Refused(Bar::NotRegular),
        other => Miss::Failed(other.into()),
    }
}

/// Asks the kernel once. Old sandboxes answer EPERM to calls they do not know.
fn probe(root: &OwnedFd) -> Resolver {
    match beneath(root, ".", OFlags::PATH | OFlags::CLOEXEC) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Resolver::Walk,
        _ => Resolver::Kernel,
    }
}

fn beneath(root: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: something was renamed while the kernel looked, and it could not be sure.
    let mut tries = 8;
    loop {
        match rustix::fs::openat2(root, name, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tries > 0 => tries -= 1,
            other => return other,
        }
    }
}

/// No segment may be a link: without the kernel's help nobody knows where it ends.
fn walk(root: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder: Option<OwnedFd> = None;
    let (folders, file) = name.rsplit_once('/').map_or(("", name), |(folders, file)| (folders, file));
    for segment in folders.split('/').filter(|segment| !segment.is_empty()) {
        folder = Some(rustix::fs::openat(folder.as_ref().unwrap_or(root), segment, step, Mode::empty())?);
    }
    let parent = folder.as_ref().unwrap_or(root);
    let opened = rustix::fs::openat(parent, file, flags | OFlags::NOFOLLOW, Mode::empty())?;
    // O_PATH opens the link itself; it is no regular file, but then it would be called one that may not be followed.
    match flags.contains(OFlags::PATH) {
        true if FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode) == FileType::Symlink => {
            Err(Errno::LOOP)
        }
        _ => Ok(opened),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_not_found_and_what_it_cannot_do_is_a_failure() {
        for error in [Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG] {
            assert!(matches!(judge(error), Miss::Absent), "{error}");
        }
        for (error, wanted) in [
            (Errno::ACCESS, Bar::Permission),
            (Errno::PERM, Bar::Permission),
            (Errno::XDEV, Bar::Outside),
            (Errno::LOOP, Bar::Link),
            (Errno::NXIO, Bar::NotRegular),
        ] {
            assert!(matches!(judge(error), Miss::Refused(bar) if bar == wanted), "{error}");
        }
        for error in [Errno::MFILE, Errno::IO, Errno::AGAIN] {
            assert!(matches!(judge(error), Miss::Failed(_)), "{error}");
        }
    }

    #[test]
    fn this_kernel_resolves_beneath() {
        let root = tempfile::tempdir().expect("a folder");
        let root = rustix::fs::open(root.path(), OFlags::PATH, Mode::empty()).expect("open");
        // Otherwise the tests of links would all be tests of `walk`.
        assert_eq!(probe(&root), Resolver::Kernel);
    }
}
