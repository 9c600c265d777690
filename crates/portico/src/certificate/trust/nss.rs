//! The databases of browsers: Chromium and its kin share one in the home, every profile of Firefox has its own. All are
//! NSS's, kept by its `certutil`.

use std::fs;
use std::path::{Path, PathBuf};

use super::person::Person;
use super::tool::{Answer, Tools};
use super::{Kind, Place, Seriousness, Verdict, Wish, quoted};
use crate::certificate::local::Root;
use crate::types::{Text, text};

/// In the home. Chromium makes the newer one, below the person's data, only where this one is missing, and goes by this one
/// wherever it is there.
const CHROMIUM: &str = ".pki/nssdb";
const NEWER_CHROMIUM: &str = "pki/nssdb";
/// A folder with this is a database.
const DATABASE: &str = "cert9.db";
/// Browsers in a box of their own, whose home is not the person's: Snap, Flatpak.
const BOXED_CHROMIUM: [(&str, &str); 2] = [("snap", "current/.pki/nssdb"), (".var/app", ".pki/nssdb")];
/// Folders of profiles: of the packages of distributions, as of version 147, of Snap, and of Flatpak.
const FIREFOX: [&str; 5] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox",
];
/// Those that go by the database in the home.
const CHROMIUM_KIN: [&str; 9] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "brave-browser",
    "microsoft-edge",
    "microsoft-edge-stable",
    "vivaldi",
    "opera",
];
/// Trusted to name servers, and for nothing else.
const TRUST: &str = "C,,";
/// An empty password: what a database has that was never given one. Without it `certutil` would ask on the terminal.
const NO_PASSWORD: [&str; 2] = ["-f", "/dev/null"];
const PACKAGES: [(&str, &str); 6] = [
    ("apt-get", "apt-get install libnss3-tools"),
    ("dnf", "dnf install nss-tools"),
    ("yum", "yum install nss-tools"),
    ("zypper", "zypper install mozilla-nss-tools"),
    ("pacman", "pacman -S nss"),
    ("apk", "apk add nss-tools"),
];

pub(super) fn fulfil(wish: Wish<'_>, person: Option<&Person>, tools: &Tools) -> Vec<Place> {
    let Some(person) = person else {
        let nobody =
            Text::fixed("HOME is not set: nobody's browsers are here", "未设置 HOME:没有任何人的浏览器");
        return [Kind::Chromium, Kind::Firefox].map(|kind| none(kind, nobody.clone())).to_vec();
    };
    let certutil = tools.find("certutil");
    let mut places = Vec::new();
    for (kind, folders) in [(Kind::Chromium, chromium(person, tools)), (Kind::Firefox, firefox(person))] {
        if folders.is_empty() {
            places.push(none(kind, not_here(kind, person)));
        }
        for path in folders {
            let verdict = match &certutil {
                Some(certutil) => Database { path: &path, certutil, person, tools }.verdict(wish),
                // Nothing was ever put into a database that is not there.
                None if wish.trusted.is_none() && !path.exists() => Verdict::Already,
                None => Verdict::Skipped(certutil_missing(tools)),
            };
            places.push(Place { kind, path, verdict });
        }
    }
    places
}

fn none(kind: Kind, why: Text) -> Place {
    Place { kind, path: PathBuf::new(), verdict: Verdict::Skipped(why) }
}

fn not_here(kind: Kind, person: &Person) -> Text {
    let home = person.home.display();
    match kind {
        Kind::Firefox => text!("{home} has no profile of Firefox", "{home} 中没有 Firefox 配置文件夹"),
        _ => text!(
            "there is no Chromium or Chrome, and no {CHROMIUM} in {home}",
            "没有 Chromium 或 Chrome,{home} 中也没有 {CHROMIUM}"
        ),
    }
}

fn certutil_missing(tools: &Tools) -> Text {
    let known = PACKAGES.iter().find(|(program, _)| tools.find(program).is_some());
    let typed = known.map_or("apt-get install libnss3-tools", |(_, typed)| *typed);
    text!(
        "`certutil` is missing; type: sudo {typed}, and then this command again",
        "缺少 `certutil`;请执行:sudo {typed},然后重新运行本命令"
    )
}

/// Where there is none yet and a browser is, it is the one in the home that will be made. Beside a newer one it is not: the
/// browser would turn away from what is kept there.
fn chromium(person: &Person, tools: &Tools) -> Vec<PathBuf> {
    let older = person.home.join(CHROMIUM);
    let own = [older.clone(), person.data.join(NEWER_CHROMIUM)];
    let boxed = BOXED_CHROMIUM.iter().flat_map(|(folder, below)| {
        folders(&person.home.join(folder)).into_iter().map(move |folder| folder.join(below))
    });
    let mut found: Vec<PathBuf> = own.into_iter().chain(boxed).filter(|folder| folder.is_dir()).collect();
    if found.is_empty() && CHROMIUM_KIN.iter().any(|name| tools.find(name).is_some()) {
        found.push(older);
    }
    found
}

fn firefox(person: &Person) -> Vec<PathBuf> {
    let profiles = FIREFOX.iter().flat_map(|folder| folders(&person.home.join(folder)));
    profiles.filter(|profile| profile.join(DATABASE).is_file()).collect()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

struct Database<'a> {
    path: &'a Path,
    certutil: &'a Path,
    person: &'a Person,
    tools: &'a Tools,
}

impl Database<'_> {
    fn verdict(&self, wish: Wish<'_>) -> Verdict {
        match self.fulfil(wish) {
            Ok(verdict) | Err(verdict) => verdict,
        }
    }

    /// The error is a verdict as well: nothing more can be done here.
    fn fulfil(&self, wish: Wish<'_>) -> Result<Verdict, Verdict> {
        let missing = match wish.trusted {
            Some(root) if !self.find(root)?.is_some_and(|entry| entry.is_trusted()) => Some(root),
            _ => None,
        };
        let mut left = Vec::new();
        for root in wish.gone {
            left.extend(self.find(root)?);
        }
        if missing.is_none() && left.is_empty() {
            return Ok(Verdict::Already);
        }
        if wish.seriousness == Seriousness::DryRun {
            return Ok(Verdict::Would);
        }
        for entry in left {
            self.ask(&["-D", "-n", &entry.nickname], "").and_then(|answer| self.sound(answer))?;
        }
        if let Some(root) = missing {
            self.make()?;
            let nickname = nickname(root);
            let answer = self.ask(&["-A", "-a", "-t", TRUST, "-n", &nickname], &root.pem())?;
            if answer.said.contains("SEC_ERROR_BAD_PASSWORD") {
                return Ok(Verdict::Skipped(self.locked(&nickname, wish.file)));
            }
            let said = self.sound(answer)?.said;
            if !self.find(root)?.is_some_and(|entry| entry.is_trusted()) {
                return Err(self.failed(&said));
            }
        }
        Ok(Verdict::Done)
    }

    /// Whatever it is called there: what was in a database keeps its name, also where it is added under another one.
    fn find(&self, root: &Root) -> Result<Option<Entry>, Verdict> {
        if !self.path.join(DATABASE).exists() {
            return Ok(None);
        }
        let list = self.ask(&["-L"], "").and_then(|answer| self.sound(answer))?.stdout;
        for entry in list.lines().filter_map(Entry::read) {
            if entry.nickname.starts_with(&root.name) {
                let kept = self.ask(&["-L", "-a", "-n", &entry.nickname], "")?.stdout;
                if is_same(&kept, root) {
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    /// As the browser would make it: closed to others, without a password.
    fn make(&self) -> Result<(), Verdict> {
        if self.path.join(DATABASE).exists() {
            return Ok(());
        }
        let folders =
            [self.path.parent().unwrap_or(self.path), self.path].map(|folder| folder.as_os_str().to_owned());
        let arguments = ["-m", "700", "-p"].map(std::ffi::OsString::from).into_iter().chain(folders);
        let arguments: Vec<_> = arguments.collect();
        let mkdir = self.tools.find("mkdir").unwrap_or_else(|| PathBuf::from("/bin/mkdir"));
        let answer = self.tools.run(&mkdir, &arguments, Some(self.person), "");
        self.sound(answer.map_err(|error| self.failed(&error.to_string()))?)?;
        let answer = self.ask(&["-N", "--empty-password"], "")?;
        self.sound(answer).map(|_| ())
    }

    fn ask(&self, arguments: &[&str], input: &str) -> Result<Answer, Verdict> {
        let mut all = vec!["-d".to_owned(), self.name()];
        all.extend(arguments.iter().map(ToString::to_string));
        if arguments.first() != Some(&"-N") {
            all.extend(NO_PASSWORD.map(str::to_owned));
        }
        let answer = self.tools.run(self.certutil, &all, Some(self.person), input);
        answer.map_err(|error| self.failed(&error.to_string()))
    }

    fn name(&self) -> String {
        format!("sql:{}", self.path.display())
    }

    fn sound(&self, answer: Answer) -> Result<Answer, Verdict> {
        if answer.success { Ok(answer) } else { Err(self.failed(&answer.said)) }
    }

    fn failed(&self, said: &str) -> Verdict {
        let last = said.lines().last().unwrap_or_default();
        Verdict::Failed(text!("`certutil` has failed: {last}", "`certutil` 失败:{last}"))
    }

    fn locked(&self, nickname: &str, file: &Path) -> Text {
        let typed = format!(
            "certutil -d {} -A -t {TRUST} -n {} -i {}",
            quoted(&self.name()),
            quoted(nickname),
            quoted(&file.to_string_lossy())
        );
        text!(
            "a password protects it; type, and give the password when you are asked: {typed}",
            "它受密码保护;请执行以下命令并在提示时输入密码:{typed}"
        )
    }
}

/// What the root is called in a database: NSS takes no two of one name.
fn nickname(root: &Root) -> String {
    format!("{} {}", root.name, root.mark())
}

/// A line in the list of a database.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    nickname: String,
    flags: String,
}

impl Entry {
    /// The name, and behind it the trust for TLS, mail and code, each of them letters or nothing.
    fn read(line: &str) -> Option<Self> {
        let (nickname, flags) = line.trim_end().rsplit_once(' ')?;
        let is_entry = flags.matches(',').count() == 2 && !flags.contains('/');
        let (nickname, flags) = (nickname.trim_end().to_owned(), flags.to_owned());
        is_entry.then_some(Self { nickname, flags })
    }

    fn is_trusted(&self) -> bool {
        self.flags.split(',').next().is_some_and(|servers| servers.contains('C'))
    }
}

fn is_same(pem: &str, root: &Root) -> bool {
    let body =
        |pem: &str| pem.lines().filter(|line| !line.starts_with('-')).map(str::trim).collect::<String>();
    body(pem) == body(&root.pem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_older_database_is_made_beside_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        let data = home.join("data");
        let person = Person { home: home.clone(), data: data.clone(), becomes: None };
        let (older, newer) = (home.join(".pki/nssdb"), data.join("pki/nssdb"));
        let boxed = home.join("snap/chromium/current/.pki/nssdb");
        for (made, wanted) in
            [(&newer, vec![&newer]), (&boxed, vec![&newer, &boxed]), (&older, vec![&older, &newer, &boxed])]
        {
            fs::create_dir_all(made).unwrap();
            let found = chromium(&person, &Tools::on(""));
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn the_list_is_read_as_certutil_writes_it() {
        let list = "\nCertificate Nickname                                         Trust Attributes\n\
                    \x20                                                            SSL,S/MIME,JAR/XPI\n\n\
                    Portico local CA (gpu, 2026-11-28) 4ba19ff9                  C,,  \n\
                    Other                                                        ,,   \n\
                    A company's                                                  CT,C,C\n";
        let entries: Vec<_> = list.lines().filter_map(Entry::read).collect();
        let shown: Vec<_> = entries.iter().map(|entry| (&*entry.nickname, entry.is_trusted())).collect();
        assert_eq!(
            shown,
            [("Portico local CA (gpu, 2026-11-28) 4ba19ff9", true), ("Other", false), ("A company's", true)]
        );
    }
}
