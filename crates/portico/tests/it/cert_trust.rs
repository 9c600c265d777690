//! `portico cert trust`: real databases, the real store of the system, a real browser. As root all of it happens in a mount
//! namespace, so that the machine's own store is not touched; without root the system's store is left out.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use testkit::process::{Exit, Process};
use testkit::temporary::Folder;
use testkit::wait;

use crate::command::{Ended, plain_surroundings};
use crate::support::binary;

/// Rebuilding the system's store and starting a browser take their time on a machine full of tests.
const LONG: Duration = Duration::from_secs(100);
const BROWSER: &str = "/usr/bin/chromium";
/// Somebody whose browsers root is asked to tell.
const SOMEBODY: u32 = 4242;

/// The system's store with few certificates, so that rebuilding it is quick; no hooks, one of which rebuilds Java's; and one
/// more user.
const OWN_SYSTEM: &str = r#"set -e
mount -t tmpfs tmpfs /etc/ssl/certs
mkdir -p /usr/local/share/ca-certificates
mount -t tmpfs tmpfs /usr/local/share/ca-certificates
[ ! -d /etc/ca-certificates/update.d ] || mount -t tmpfs tmpfs /etc/ca-certificates/update.d
grep '^mozilla/' /etc/ca-certificates.conf | head -n 3 >"$1/ca-certificates.conf"
mount --bind "$1/ca-certificates.conf" /etc/ca-certificates.conf
update-ca-certificates
cp /etc/passwd "$1/passwd"
echo "somebody:x:4242:4242::$1/home:/bin/sh" >>"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
echo ready
exec sleep 1000"#;

/// A home, a data folder and a configuration that names them.
struct Machine {
    folder: Folder,
    /// Holds the namespace; `None`: not root.
    holder: Option<Process>,
}

impl Machine {
    async fn start() -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("home")).unwrap();
        let machine = Self { holder: holder(folder.path()).await, folder };
        machine.configure("");
        machine
    }

    fn configure(&self, more: &str) {
        let data_dir = self.path("data");
        let text = format!("[site]\ndata_dir = {data_dir:?}\n{more}\n");
        fs::write(self.path("portico.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Any program, in the namespace.
    fn command(&self, program: &Path) -> Command {
        let mut command = match &self.holder {
            Some(holder) => {
                let mut command = Command::new("nsenter");
                command.args(["-t", &holder.id().to_string(), "-m", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        plain_surroundings(&mut command);
        for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "SUDO_USER", "DOAS_USER"] {
            command.env_remove(variable);
        }
        command.env("HOME", self.path("home"));
        command
    }

    async fn end(&self, command: Command) -> Ended {
        let folder = Folder::new();
        let process = Process::start(command, "command", folder.path());
        let exit = process.wait(LONG).await;
        Ended { exit, stdout: process.stdout(), stderr: process.stderr() }
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Ended {
        let mut command = self.command(Path::new(program));
        command.args(arguments);
        self.end(command).await
    }

    async fn portico(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(binary());
        command.arg("--config").arg(self.path("portico.toml")).args(["cert", "trust"]).args(arguments);
        self.end(command).await
    }

    /// A database as a browser makes it.
    async fn database(&self, name: &str, password: Option<&str>) -> PathBuf {
        let path = self.path("home").join(name);
        fs::create_dir_all(&path).unwrap();
        let database = format!("sql:{}", path.display());
        let mut command = self.command(Path::new("certutil"));
        command.args(["-N", "-d", &database]);
        match password {
            Some(password) => {
                fs::write(self.path("password"), password).unwrap();
                command.arg("-f").arg(self.path("password"));
            }
            None => {
                command.arg("--empty-password");
            }
        }
        self.end(command).await.expect(0);
        path
    }

    fn root(&self) -> String {
        fs::read_to_string(self.path("data/certificates/local/ca.pem")).unwrap()
    }

    /// A certificate for this name, signed with the authority's key.
    async fn leaf(&self, name: &str) -> (PathBuf, PathBuf) {
        let (key, certificate) = (self.path(&format!("{name}.key")), self.path(&format!("{name}.pem")));
        let script = r#"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj /CN=Portico |
            openssl x509 -req -CA "$2/ca.pem" -CAkey "$2/ca.key" -days 30 -out "$1.pem" -extfile "$1.extensions""#;
        let extensions = format!("subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n");
        fs::write(self.path(&format!("{name}.extensions")), extensions).unwrap();
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", script, "sh"]).arg(self.path(name)).arg(self.path("data/certificates/local"));
        self.end(command).await.expect(0);
        (certificate, key)
    }
}

async fn holder(folder: &Path) -> Option<Process> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", OWN_SYSTEM, "sh"]).arg(folder);
    let holder = Process::start(command, "namespace", folder);
    wait::until(LONG, "the namespace is there", async || {
        assert_eq!(holder.exited(), None, "{}", holder.output());
        holder.stdout().contains("ready").then_some(())
    })
    .await;
    Some(holder)
}

/// Store and outcome of each place.
fn outcomes(ended: &Ended) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let stores = ended.json()["stores"].as_array().unwrap().clone();
    stores.iter().map(|store| (word(&store["store"]), word(&store["outcome"]))).collect()
}

/// What is said of one store.
fn text_of(ended: &Ended, store: &str) -> String {
    let stores = ended.json()["stores"].as_array().unwrap().clone();
    let found = stores.iter().find(|found| found["store"] == store).unwrap();
    found["text"].as_str().unwrap_or_default().to_owned()
}

/// The files of a database and when they were changed.
fn state(database: &Path) -> Vec<(PathBuf, SystemTime, Vec<u8>)> {
    let entry = |path: PathBuf| {
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        let content = fs::read(&path).unwrap();
        (path, changed, content)
    };
    let mut files: Vec<_> = fs::read_dir(database).unwrap().map(|file| entry(file.unwrap().path())).collect();
    files.sort();
    files
}

const CHROMIUM: &str = ".pki/nssdb";
const FIREFOX: &str = ".mozilla/firefox/abc.default-release";

#[tokio::test]
async fn it_trusts_once_and_takes_itself_back() {
    let machine = Machine::start().await;
    let (chromium, firefox) = (machine.database(CHROMIUM, None).await, machine.database(FIREFOX, None).await);
    let system = |outcome: &'static str| if machine.holder.is_some() { outcome } else { "skipped" };
    let all = |outcome: &'static str| {
        [("system", system(outcome)), ("chromium", outcome), ("firefox", outcome)]
            .map(|(store, outcome)| (store.to_owned(), outcome.to_owned()))
    };
    let untouched = (state(&chromium), state(&firefox));

    let dry = machine.portico(&["--dry-run", "--json"]).await.expect(0);
    assert_eq!(outcomes(&dry), all("would"));
    assert!(!machine.path("data").exists(), "a dry run makes nothing");
    assert_eq!((state(&chromium), state(&firefox)), untouched);
    assert_eq!(outcomes(&machine.portico(&["--remove", "--json"]).await.expect(0)), []);

    let first = machine.portico(&["--json"]).await.expect(0);
    assert_eq!(outcomes(&first), all("done"));
    let (leaf, _) = machine.leaf("localhost").await;
    let leaf = leaf.to_str().unwrap();
    for database in [&chromium, &firefox] {
        let database = format!("sql:{}", database.display());
        let kept = machine.run("certutil", &["-L", "-d", &database]).await.expect(0).stdout;
        assert!(kept.contains("Portico local CA (") && kept.contains("C,,"), "{kept}");
        let added =
            machine.run("certutil", &["-A", "-d", &database, "-n", "leaf", "-t", ",,", "-i", leaf]).await;
        added.expect(0);
        machine.run("certutil", &["-V", "-d", &database, "-n", "leaf", "-u", "V"]).await.expect(0);
        machine.run("certutil", &["-D", "-d", &database, "-n", "leaf"]).await.expect(0);
    }
    if machine.holder.is_some() {
        machine.run("openssl", &["verify", "-CApath", "/etc/ssl/certs", leaf]).await.expect(0);
    }

    let before = (state(&chromium), state(&firefox));
    let again = machine.portico(&["--json"]).await.expect(0);
    assert_eq!(outcomes(&again), all("already"));
    assert_eq!((state(&chromium), state(&firefox)), before, "what is there is not touched");
    assert_eq!(again.json()["root"], first.json()["root"]);

    let said = machine.portico(&[]).await.expect(0);
    assert!(said.stdout.contains("Firefox: trusted already"), "{said:?}");
    assert!(said.stderr.contains("portico cert trust --remove"), "{said:?}");

    let removed = machine.portico(&["--remove", "--json"]).await.expect(0);
    assert_eq!(outcomes(&removed), all("done"));
    for database in [&chromium, &firefox] {
        let database = format!("sql:{}", database.display());
        let kept = machine.run("certutil", &["-L", "-d", &database]).await.expect(0).stdout;
        assert!(!kept.contains("Portico"), "{kept}");
    }
    if machine.holder.is_some() {
        machine.run("openssl", &["verify", "-CApath", "/etc/ssl/certs", leaf]).await.expect(2);
        let left = "ls -A /usr/local/share/ca-certificates; ls /etc/ssl/certs | grep portico";
        assert_eq!(machine.run("sh", &["-c", left]).await.stdout, "");
    }
    let all_gone = [("system", "already"), ("chromium", "already"), ("firefox", "already")];
    let all_gone = all_gone.map(|(store, outcome)| (store.to_owned(), outcome.to_owned()));
    assert_eq!(outcomes(&machine.portico(&["--remove", "--json"]).await.expect(0)), all_gone);
}

#[tokio::test]
async fn a_new_authority_takes_the_place_of_the_former() {
    let machine = Machine::start().await;
    let firefox = machine.database(FIREFOX, None).await;
    machine.portico(&[]).await.expect(0);
    let former = machine.root();
    machine.configure("names = [\"chat.example.com\"]\n[tls]\nissuer = \"local\"");
    let ended = machine.portico(&[]).await.expect(0);
    assert!(ended.stderr.contains("may not sign for chat.example.com"), "{ended:?}");
    assert!(ended.stdout.contains("chat.example.com") && ended.stdout.contains("trusted now"), "{ended:?}");
    assert_ne!(machine.root(), former);
    let database = format!("sql:{}", firefox.display());
    let kept = machine.run("certutil", &["-L", "-d", &database]).await.expect(0).stdout;
    assert_eq!(kept.matches("Portico local CA").count(), 1, "{kept}");
    if machine.holder.is_some() {
        let files = machine.run("ls", &["/usr/local/share/ca-certificates"]).await.expect(0).stdout;
        assert_eq!(files.lines().count(), 1, "{files}");
    }
    // Also what somebody had imported by hand, under a name of their own choice.
    let ended = machine.portico(&["--remove"]).await.expect(0);
    assert!(ended.stdout.contains("Firefox: taken back"), "{ended:?}");
    machine.configure("names = [\"chat.example.com\"]");
    let refused = machine.portico(&[]).await.expect(1);
    assert!(refused.stderr.contains("tls.issuer"), "{refused:?}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_what_to_type() {
    let machine = Machine::start().await;
    let firefox = machine.database(FIREFOX, Some("secret")).await;
    let ended = machine.portico(&["--json"]).await;
    let said = text_of(&ended, "firefox");
    let typed = said.split_once(": ").unwrap().1.to_owned();
    assert!(typed.starts_with("certutil -d sql:"), "{said}");
    // It works as it stands, but for the password, which is given by a file here.
    let typed = format!("{typed} -f {}", machine.path("password").display());
    machine.run("sh", &["-c", &typed]).await.expect(0);
    assert_eq!(text_of(&machine.portico(&["--json"]).await.expect(0), "firefox"), "");
    assert!(firefox.join("cert9.db").exists());
    if machine.holder.is_none() {
        eprintln!("SKIPPED: missing and broken programs of the system need root and a mount namespace");
        return;
    }

    machine.portico(&["--remove"]).await;
    let broken = machine.path("broken");
    fs::write(&broken, "#!/bin/sh\necho no space left >&2\nexit 1\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let program = machine.run("sh", &["-c", "command -v update-ca-certificates"]).await.expect(0).stdout;
    machine.run("mount", &["--bind", broken.to_str().unwrap(), program.trim()]).await.expect(0);
    machine.run("mount", &["--bind", "/dev/null", "/usr/bin/certutil"]).await.expect(0);
    let ended = machine.portico(&["--json"]).await.expect(1);
    assert!(text_of(&ended, "system").contains("taken back: no space left"), "{ended:?}");
    assert_eq!(machine.run("ls", &["/usr/local/share/ca-certificates"]).await.stdout, "");
    assert!(text_of(&ended, "firefox").contains("sudo apt-get install libnss3-tools"), "{ended:?}");
}

#[tokio::test]
async fn root_works_for_whoever_typed_sudo() {
    let machine = Machine::start().await;
    if machine.holder.is_none() {
        eprintln!("SKIPPED: working for somebody else needs root");
        return;
    }
    let home = machine.path("home");
    std::os::unix::fs::chown(&home, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    machine
        .run(
            "setpriv",
            &[
                "--reuid=4242",
                "--regid=4242",
                "--clear-groups",
                "mkdir",
                "-p",
                home.join(FIREFOX).to_str().unwrap(),
            ],
        )
        .await
        .expect(0);
    let database = format!("sql:{}", home.join(FIREFOX).display());
    machine
        .run(
            "setpriv",
            &[
                "--reuid=4242",
                "--regid=4242",
                "--clear-groups",
                "certutil",
                "-N",
                "--empty-password",
                "-d",
                &database,
            ],
        )
        .await
        .expect(0);
    let sudo = |arguments: &[&str]| {
        let mut command = machine.command(binary());
        command.arg("--config").arg(machine.path("portico.toml")).args(["cert", "trust", "--json"]);
        command.args(arguments).env("HOME", "/root").env("SUDO_USER", "somebody");
        command
    };
    let ended = machine.end(sudo(&[])).await.expect(0);
    let firefox = ("firefox".to_owned(), "done".to_owned());
    assert!(outcomes(&ended).contains(&firefox), "{ended:?}");
    let browser_is_here = Path::new(BROWSER).exists();
    assert_eq!(home.join(CHROMIUM).exists(), browser_is_here);
    let theirs = machine.run("find", &[home.to_str().unwrap(), "!", "-user", "4242"]).await.expect(0);
    assert_eq!(theirs.stdout, "", "all of it is theirs");
    if browser_is_here {
        assert_eq!(fs::metadata(home.join(".pki")).unwrap().mode() & 0o777, 0o700);
    }

    // The Portico that was meant may be theirs, and not the system's.
    let own = home.join(".local/share/portico");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::rename(machine.path("data"), &own).unwrap();
    let root = fs::read_to_string(own.join("certificates/local/ca.pem")).unwrap();
    let ended = machine.end(sudo(&[])).await.expect(0);
    assert!(outcomes(&ended).contains(&("firefox".to_owned(), "already".to_owned())), "{ended:?}");
    assert!(ended.json()["root"]["file"].as_str().unwrap().starts_with(own.to_str().unwrap()));
    assert!(!machine.path("data").exists() && root.contains("BEGIN CERTIFICATE"));
}

#[tokio::test]
async fn an_ordinary_user_is_told_what_root_has_to_type() {
    let machine = Machine::start().await;
    if machine.holder.is_none() {
        eprintln!("SKIPPED: the other tests run as an ordinary user here");
        return;
    }
    std::os::unix::fs::chown(machine.folder.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    std::os::unix::fs::chown(machine.path("home"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let mut command = machine.command(Path::new("setpriv"));
    command.args(["--reuid=4242", "--regid=4242", "--clear-groups"]).arg(binary());
    command.arg("--config").arg(machine.path("portico.toml")).args(["cert", "trust", "--json"]);
    let ended = machine.end(command).await;
    let wanted = if Path::new(BROWSER).exists() { Exit::Code(0) } else { Exit::Code(1) };
    assert_eq!(ended.exit, wanted, "{ended:?}");
    let said = text_of(&ended, "system");
    let typed = said.split_once("type: ").unwrap().1.replace("sudo ", "");
    machine.run("sh", &["-c", &typed]).await.expect(0);
    let ended = machine.portico(&["--json"]).await.expect(0);
    assert!(outcomes(&ended).contains(&("system".to_owned(), "already".to_owned())), "{ended:?}");
}

#[tokio::test]
async fn a_browser_goes_by_it() {
    if !browser_is_here() {
        return;
    }
    let machine = Machine::start().await;
    // The authority is made, and trusted in another home.
    let mut command = machine.command(binary());
    command.arg("--config").arg(machine.path("portico.toml")).args(["cert", "trust"]);
    command.env("HOME", machine.path(""));
    machine.end(command).await.expect(0);
    let (_server, port) = serve(&machine, "localhost").await;
    let address = format!("https://localhost:{port}/");
    let before = open(&machine, &address).await;
    assert!(before.contains("ERR_CERT_AUTHORITY_INVALID") && !before.contains("s_server"), "{before}");
    machine.portico(&[]).await.expect(0);
    let after = open(&machine, &address).await;
    assert!(after.contains("s_server") && !after.contains("ERR_CERT"), "{after}");
}

#[tokio::test]
async fn a_browser_takes_nothing_public_from_it() {
    if !browser_is_here() {
        return;
    }
    let machine = Machine::start().await;
    machine.portico(&[]).await.expect(0);
    let (_server, port) = serve(&machine, "example.com").await;
    let shown = open(&machine, &format!("https://example.com:{port}/")).await;
    assert!(shown.contains("ERR_CERT_INVALID") && !shown.contains("s_server"), "{shown}");
}

fn browser_is_here() -> bool {
    let is_here = Path::new(BROWSER).exists();
    if !is_here {
        eprintln!("SKIPPED: there is no Chromium; as root, scripts/parts --browser installs it");
    }
    is_here
}

/// A page behind a certificate for this name, and its port.
async fn serve(machine: &Machine, name: &str) -> (Process, u16) {
    let (certificate, key) = machine.leaf(name).await;
    let mut command = Command::new("openssl");
    command
        .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
        .arg(certificate)
        .arg("-key")
        .arg(key);
    let server = Process::start(command, name, machine.folder.path());
    let port = wait::until(LONG, "the server says its port", async || {
        let said = server.stdout();
        said.lines().find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok())
    });
    let port = port.await;
    (server, port)
}

/// What the browser shows of a page.
async fn open(machine: &Machine, address: &str) -> String {
    let profile = Folder::new();
    let mut command = machine.command(Path::new(BROWSER));
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
    command.arg("--host-resolver-rules=MAP example.com 127.0.0.1");
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg(address);
    machine.end(command).await.expect(0).stdout
}
