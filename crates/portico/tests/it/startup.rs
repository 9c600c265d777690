//! Starts that can't be: exit 2, every reason at once, and what to do.

use std::path::Path;
use std::process::Command;

use testkit::portico::Portico;
use testkit::process::Exit;
use testkit::temporary::Folder;

use crate::command::{DEADLINE, ask, plain_surroundings, portico, portico_with};
use crate::support::{OWN_FOLDER, binary};

/// The error output of a start that is refused.
async fn refused(configuration: &str) -> String {
    let portico = Portico::launch(binary(), configuration, plain_surroundings);
    assert_eq!(portico.process().wait(DEADLINE).await, Exit::Code(2), "{}", portico.process().output());
    assert_eq!(portico.process().stdout(), "", "nothing was served");
    portico.process().stderr()
}

/// `OWN_FOLDER` with other lines in its sections.
fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(OWN_FOLDER.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old} is not in the configuration");
        text.replace(old, new)
    })
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused_by_every_command() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    std::fs::create_dir(path("folder.toml")).unwrap();
    std::fs::write(path("gbk.toml"), b"# \xc4\xe3\xba\xc3\n").unwrap();
    std::fs::write(path("huge.toml"), vec![b'#'; 2 << 20]).unwrap();
    std::fs::write(path("broken.toml"), "[site\nnames = \n").unwrap();
    for (file, words) in [
        ("missing.toml", &["no file", "--config"][..]),
        ("folder.toml", &["is a folder"]),
        ("gbk.toml", &["UTF-8", "line 1", "iconv"]),
        ("huge.toml", &["larger than 1 MiB"]),
        ("broken.toml", &["broken.toml:1:"]),
    ] {
        for command in ["run", "check", "status", "reload"] {
            let said = portico(folder.path(), &[command, "--config", &path(file)]).await.expect(2);
            assert_says(&said.stderr, words);
        }
        let from_variable = portico_with(folder.path(), &["check"], |command| {
            command.env("PORTICO_CONFIG", path(file));
        });
        assert_says(&from_variable.await.expect(2).stderr, words);
    }
    // In the working folder it is found, and not passed over for being unreadable.
    std::fs::create_dir(path("portico.toml")).unwrap();
    assert_says(&portico(folder.path(), &["run"]).await.expect(2).stderr, &["is a folder"]);
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let wrong = "[site]\nnmes = [\"a.example\"]\n[listen]\nhttp = [\"127.0.0.1\"]\n[timeouts]\ndrain = \"soon\"\n\
        [limits]\nbody = \"-1\"\n[[model]]\nname = \"m\"\nengine = \"vlm\"\n";
    let said = refused(wrong).await;
    assert_says(&said, &["nmes", "names", "listen", "drain", "soon", "body", "vlm", "vllm", "5 errors"]);
    for place in [":2:1", ":4:", ":6:", ":8:", ":11:"] {
        assert!(said.contains(&format!("portico.toml{place}")), "{place}: {said}");
    }
}

#[tokio::test]
async fn keys_that_would_protect_and_are_not_built_stop_the_start_and_warn_in_check() {
    for (key, configuration) in
        [("model[0].user", "[[model]]\nname = \"m\"\npath = \"p\"\nuser = \"nobody\"\n".to_owned())]
    {
        let said = refused(&configuration).await;
        assert_says(&said, &[key, "help:"]);
        assert!(said.contains("not built yet"), "{key}: {said}");
        let folder = Folder::new();
        let file = folder.path().join("portico.toml");
        std::fs::write(&file, configuration.replace("{port}", "18080")).unwrap();
        let checked = portico(folder.path(), &["check"]).await.expect(0);
        assert_says(&checked.stderr, &["warning"]);
        assert!(checked.stdout.contains("valid"), "{key}: {checked:?}");
    }
}

#[tokio::test]
async fn what_asks_for_nothing_is_no_error() {
    let quiet = "[tls]\nissuer = \"off\"\nredirect = false\nfallback = \"\"\nca_file = \"\"\ncertificate = \"\"\nkey = \"\"\n\
        [access]\nhtpasswd = \"\"\nallow = []\ndeny = []\n[cors]\norigins = []\n";
    let portico = Portico::start(binary(), &format!("{OWN_FOLDER}{quiet}")).await;
    assert_eq!(portico.get("/").await.head.status, 200);
}

#[tokio::test]
async fn names_with_networks_and_no_certificates_serve_on_loopback() {
    let configuration = with(&[("[site]", "[site]\nnames = [\"chat.example.com\"]")])
        + "[tls]\nissuer = \"off\"\n[access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.9/32\"]\n";
    let portico = Portico::start(binary(), &configuration).await;
    let page = portico.once("GET", "/", &[("Host", "chat.example.com"), ("Accept", "text/html")], b"").await;
    assert_eq!(page.head.status, 200, "{}", page.text());
    assert_eq!(portico.get("/").await.head.status, 421, "localhost is not the site's name");
    assert_says(&portico.process().stdout(), &["chat.example.com", "access.allow"]);
}

#[tokio::test]
async fn a_taken_public_port_is_named_with_who_holds_it() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let said = refused(&with(&[("127.0.0.1:{port}", &taken.to_string())])).await;
    assert_says(&said, &[&taken.to_string(), "listen.http"]);
    assert_says(&said, &["another program", "ss -ltnp"]);
}

#[tokio::test]
async fn a_privileged_port_without_the_privilege_says_how_to_get_it() {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if first.trim().parse::<u16>().is_ok_and(|first| first <= 79) {
        println!("skipped: everybody may bind port 79 here");
        return;
    }
    let portico = as_nobody(&with(&[("127.0.0.1:{port}", "127.0.0.1:79")]), |_| {});
    assert_eq!(portico.process().wait(DEADLINE).await, Exit::Code(2), "{}", portico.process().output());
    assert_says(&portico.process().stderr(), &["127.0.0.1:79", "CAP_NET_BIND_SERVICE"]);
}

#[tokio::test]
async fn folders_that_cannot_be_written_stop_the_start() {
    // A file where a folder should be: that stops root as well.
    for (old, new, words) in [
        ("{folder}/data", "{folder}/portico.toml/data", &["data folder", "site.data_dir"][..]),
        ("{folder}/access.log", "{folder}/portico.toml/access.log", &["access log", "log.access"]),
        (
            "access = \"{folder}/access.log\"",
            "error = \"{folder}/portico.toml/error.log\"",
            &["error log", "log.error"],
        ),
        ("unix:{folder}/admin.sock", "unix:{folder}/portico.toml/a.sock", &["admin socket", "listen.admin"]),
        ("data_dir", "root = \"{folder}/nowhere\"\ndata_dir", &["nowhere", "site.root"]),
    ] {
        assert_says(&refused(&with(&[(old, new)])).await, words);
    }
    // And permissions stop who is not root, also where the folder is there already.
    let model = "[[model]]\nname = \"m\"\nengine = \"llama.cpp\"\npath = \"/m.gguf\"\n";
    for closed in ["data", "log"] {
        let configuration = with(&[("access.log", "log/access.log")]) + model;
        let portico = as_nobody(&configuration, |folder| {
            std::fs::create_dir(folder.join(closed)).unwrap();
            close(&folder.join(closed));
        });
        assert_eq!(portico.process().wait(DEADLINE).await, Exit::Code(2), "{}", portico.process().output());
        assert_says(&portico.process().stderr(), &["Permission denied", closed]);
    }
}

#[tokio::test]
async fn an_admin_socket_that_is_too_long_or_taken_is_refused() {
    let long = format!("{{folder}}/{}.sock", "x".repeat(110));
    assert_says(&refused(&with(&[("{folder}/admin.sock", &long)])).await, &["listen.admin"]);

    let first = Portico::start(binary(), OWN_FOLDER).await;
    let socket = first.folder().join("admin.sock").to_string_lossy().into_owned();
    let second = refused(&with(&[("{folder}/admin.sock", &socket)])).await;
    assert_says(&second, &["another Portico", &socket, "portico stop"]);
    ask(&first, &["status"]).await;
    // One that nobody answers on is left over and is taken over.
    first.process().signal(rustix::process::Signal::KILL);
    first.process().wait(DEADLINE).await;
    assert!(Path::new(&socket).exists());
    let third = Portico::start(binary(), &with(&[("{folder}/admin.sock", &socket)])).await;
    assert_eq!(third.stop(DEADLINE).await, Exit::Code(0));
    assert!(!Path::new(&socket).exists(), "it takes its socket with it");
}

#[tokio::test]
async fn without_a_configuration_and_a_model_server_the_user_learns_what_is_missing() {
    if std::net::TcpStream::connect("127.0.0.1:3001").is_ok() {
        println!("skipped: somebody answers on 127.0.0.1:3001");
        return;
    }
    let portico = Portico::start(binary(), OWN_FOLDER).await;
    let warned = portico.wait_for_line("stderr", "http://127.0.0.1:3001").await;
    assert_says(&warned, &["Connection refused", "portico.toml", "[[model]]"]);
    let status = ask(&portico, &["status"]).await.expect(1).stdout;
    assert_says(&status, &["http://127.0.0.1:3001", "no model server answers"]);
    let listed = ask(&portico, &["model", "list"]).await.expect(0).stdout;
    assert_says(&listed, &["http://127.0.0.1:3001", "down"]);
    for verb in ["stop", "start", "restart", "logs"] {
        let refused = ask(&portico, &["model", verb]).await.expect(1);
        assert_says(&refused.stderr, &["http://127.0.0.1:3001"]);
        let unknown = ask(&portico, &["model", verb, "other"]).await.expect(2);
        assert_says(&unknown.stderr, &["other", "http://127.0.0.1:3001"]);
    }
    assert_eq!(portico.get("/health").await.head.status, 200);
    assert_eq!(portico.get("/health/ready").await.head.status, 503);
}

/// A start by a user without rights. `prepare` gets its folder first.
fn as_nobody(configuration: &str, prepare: impl FnOnce(&Path)) -> Portico {
    Portico::launch(binary(), configuration, |command| {
        let folder = command.get_current_dir().unwrap_or(Path::new("/")).to_owned();
        if rustix::process::geteuid().is_root() {
            // Where the binary is may be closed to others.
            let copy = folder.join("portico");
            std::fs::copy(binary(), &copy).unwrap();
            for path in [folder.clone(), copy.clone(), folder.join("portico.toml")] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            prepare(&folder);
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            *command = Command::new(copy);
            std::os::unix::process::CommandExt::uid(command, NOBODY);
            std::os::unix::process::CommandExt::gid(command, NOBODY);
            command.args(arguments).current_dir(&folder);
        } else {
            prepare(&folder);
        }
        plain_surroundings(command);
        command.env("HOME", &folder);
    })
}

const NOBODY: u32 = 65534;

fn close(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o500)).unwrap();
}
