//! One Portico per data folder: two would each take the other's model processes for leftovers of a crash.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::sys::files::try_lock;

/// Held as long as the file is open; the kernel lets go of it however the process ends.
pub(super) struct DataDirLock(#[expect(dead_code, reason = "held, not read")] File);

/// Makes the folder (0700) where it is missing.
pub(super) fn make(data_dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

/// `None`: another process holds it.
pub(super) fn take(data_dir: &Path) -> io::Result<Option<DataDirLock>> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(data_dir.join("portico.lock"))?;
    if !try_lock(&file)? {
        return Ok(None);
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Some(DataDirLock(file)))
}
