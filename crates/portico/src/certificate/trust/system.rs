//! The system's store: what `curl`, OpenSSL, GnuTLS, Python's `ssl` and Go go by, and Firefox and Chromium do not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tool::Tools;
use super::{Kind, Place, Seriousness, Verdict, Wish, quoted};
use crate::certificate::local::Root;
use crate::sys::files;
use crate::types::{Text, text};

/// A kind of system.
struct System {
    /// Where the operator's own roots are put.
    anchors: &'static str,
    /// What takes them over from there.
    program: &'static str,
    /// Where they are seen afterwards.
    bundle: &'static str,
}

/// In the order of asking: some have the program of another one as well.
const SYSTEMS: [System; 4] = [
    // Fedora, RHEL and their kin
    System {
        anchors: "/etc/pki/ca-trust/source/anchors",
        program: "update-ca-trust",
        bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    },
    // Arch
    System {
        anchors: "/etc/ca-certificates/trust-source/anchors",
        program: "update-ca-trust",
        bundle: "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
    },
    // openSUSE
    System {
        anchors: "/etc/pki/trust/anchors",
        program: "update-ca-certificates",
        bundle: "/var/lib/ca-certificates/ca-bundle.pem",
    },
    // Debian, Ubuntu, Alpine
    System {
        anchors: DEBIAN_ANCHORS,
        program: "update-ca-certificates",
        bundle: "/etc/ssl/certs/ca-certificates.crt",
    },
];
/// Missing on some, and made then.
const DEBIAN_ANCHORS: &str = "/usr/local/share/ca-certificates";
/// Debian leaves links behind to what is gone.
const LINKS: &str = "/etc/ssl/certs";
/// Of what a program has said, in characters.
const MOST_SAID: usize = 300;

pub(super) fn fulfil(wish: Wish<'_>, root: bool, tools: &Tools) -> Place {
    let there = |system: &&System| {
        let ready = system.anchors == DEBIAN_ANCHORS || Path::new(system.anchors).is_dir();
        ready && tools.find(system.program).is_some()
    };
    let Some(system) = SYSTEMS.iter().find(there) else {
        let verdict = Verdict::Skipped(Text::fixed(
            "this system has no store that Portico knows; on most, a package `ca-certificates` brings it",
            "此系统没有 Portico 认识的证书库;多数系统可安装软件包 `ca-certificates`",
        ));
        return Place { kind: Kind::System, path: PathBuf::new(), verdict };
    };
    // A root that is only imagined has no file yet.
    let trusted = wish.trusted.filter(|_| wish.file.exists());
    let path = match trusted.or(wish.gone.first().copied()) {
        Some(root) => system.file(root),
        None => PathBuf::from(system.anchors),
    };
    Place { kind: Kind::System, path, verdict: system.verdict(wish, root, tools) }
}

impl System {
    fn verdict(&self, wish: Wish<'_>, root: bool, tools: &Tools) -> Verdict {
        let missing = wish.trusted.filter(|trusted| !self.holds(trusted));
        let left: Vec<PathBuf> =
            wish.gone.iter().map(|root| self.file(root)).filter(|path| path.exists()).collect();
        if missing.is_none() && left.is_empty() {
            return Verdict::Already;
        }
        if !root {
            let sure = wish.file.exists() || missing.is_none();
            return Verdict::Skipped(if sure {
                self.by_hand(missing, &left, wish.file)
            } else {
                only_root()
            });
        }
        if wish.seriousness == Seriousness::DryRun {
            return Verdict::Would;
        }
        match self.change(missing, &left, tools) {
            Ok(()) => Verdict::Done,
            Err(error) => Verdict::Failed(error),
        }
    }

    fn file(&self, root: &Root) -> PathBuf {
        Path::new(self.anchors).join(format!("{}.crt", stem(root)))
    }

    /// Both the file and what the program has made of it: one without the other is a run that was cut off.
    fn holds(&self, root: &Root) -> bool {
        let kept = fs::read_to_string(self.file(root)).is_ok_and(|kept| kept == root.pem());
        kept && fs::read_to_string(self.bundle).is_ok_and(|bundle| contains(&bundle, root))
    }

    /// Takes its own file away again where the program fails, so that nothing is half done.
    fn change(&self, missing: Option<&Root>, left: &[PathBuf], tools: &Tools) -> Result<(), Text> {
        let failed = |path: &Path, error: &io::Error| {
            let path = path.display();
            text!("{path} can't be changed: {error}", "无法修改 {path}:{error}")
        };
        for path in left {
            files::remove(path).map_err(|error| failed(path, &error))?;
            forget_links(path);
        }
        if let Some(root) = missing {
            let path = self.file(root);
            files::replace(&path, root.pem().as_bytes(), 0o644).map_err(|error| failed(&path, &error))?;
        }
        let program = self.program;
        let found = tools.find(program).unwrap_or_else(|| PathBuf::from(program));
        let said = match tools.run::<&str>(&found, &[], None, "") {
            Ok(answer) if answer.success => match missing.filter(|root| !self.holds(root)) {
                None => return Ok(()),
                Some(_) => format!("nothing came into {}. {}", self.bundle, answer.said),
            },
            Ok(answer) => answer.said,
            Err(error) => error.to_string(),
        };
        let undone = missing.map(|root| files::remove(&self.file(root)));
        let said: String = said.chars().take(MOST_SAID).collect();
        Err(match undone {
            Some(Err(_)) | None => text!("`{program}` has failed: {said}", "`{program}` 失败:{said}"),
            Some(Ok(())) => text!(
                "`{program}` has failed, and the root was taken back: {said}",
                "`{program}` 失败,已撤回根证书:{said}"
            ),
        })
    }

    fn by_hand(&self, missing: Option<&Root>, left: &[PathBuf], file: &Path) -> Text {
        let mut lines: Vec<String> =
            left.iter().map(|path| format!("sudo rm {}", quoted(&path.to_string_lossy()))).collect();
        if let Some(root) = missing {
            let (from, to) = (file.to_string_lossy(), self.file(root));
            lines.push(format!("sudo install -D -m 644 {} {}", quoted(&from), to.display()));
        }
        lines.push(format!("sudo {}", self.program));
        let typed = lines.join(" && ");
        text!("only root may change it; type: {typed}", "只有 root 可以修改;请执行:{typed}")
    }
}

/// Where there is no file yet that could be named.
fn only_root() -> Text {
    Text::fixed("only root may change it", "只有 root 可以修改")
}

/// Of the file's name, by which Portico knows its own again.
fn stem(root: &Root) -> String {
    format!("portico-local-{}", root.mark())
}

fn contains(bundle: &str, root: &Root) -> bool {
    let solid = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let pem = root.pem();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    solid(bundle).contains(&body)
}

/// Links to the file and links to those. That one stays is untidy and no trust.
fn forget_links(gone: &Path) {
    let Some(stem) = gone.file_stem().and_then(|stem| stem.to_str()) else { return };
    for entry in fs::read_dir(LINKS).into_iter().flatten().flatten() {
        let path = entry.path();
        if fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().contains(stem)) {
            let _stays = fs::remove_file(&path);
        }
    }
}
