//! Programs of the distribution that tests need and that only root can install.

use std::{path::PathBuf, process::Command};

use crate::models;

/// Whether all of them are here. Where one is not, a test of theirs is to return: an ordinary user reads that it was
/// skipped and why. Where `./test` installs them, as root on Debian, a missing one is a failure.
#[must_use]
pub fn are_here(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let text =
        format!("{} is missing; as root, scripts/parts --certificates installs it", missing.join(", "));
    assert!(!rustix::process::geteuid().is_root() || find("apt-get").is_none(), "{text}");
    eprintln!("SKIPPED: {text}");
    false
}

/// Where it lies. Folders of administrators' programs count too: they are not in an ordinary user's PATH.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The scanner sslyze, to be given arguments. It needs no root and comes with `scripts/parts --certificates`.
#[must_use]
pub fn sslyze() -> Command {
    let python = models::parts_folder().join("scanner/bin/python3");
    assert!(python.exists(), "{} is missing: run scripts/parts --certificates first", python.display());
    let mut command = Command::new(python);
    command.args(["-m", "sslyze"]);
    command
}

/// Panics, and says what installs it, where it is missing.
pub(crate) fn need(program: &str) -> PathBuf {
    find(program)
        .unwrap_or_else(|| panic!("{program} is missing; as root, scripts/parts --certificates installs it"))
}
