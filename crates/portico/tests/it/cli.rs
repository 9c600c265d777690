//! The command line as a person and a script meet it.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use testkit::process::Exit;
use testkit::scripted::Scripted;
use testkit::temporary::Folder;

use crate::command::{ask, end_of, portico, portico_in, portico_with};
use crate::support::before_scripted;

const COMMANDS: [&str; 24] = [
    "run",
    "check",
    "status",
    "reload",
    "stop",
    "model",
    "model list",
    "model install",
    "model advise",
    "model start",
    "model stop",
    "model restart",
    "model logs",
    "cert",
    "cert status",
    "cert renew",
    "cert trust",
    "config",
    "config schema",
    "config reference",
    "config explain",
    "config diff",
    "completions",
    "man",
];

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[tokio::test]
async fn every_command_explains_itself_in_both_languages() {
    let folder = Folder::new();
    for (locale, usage) in [("C", "Usage:"), ("zh_CN.UTF-8", "用法:")] {
        for command in COMMANDS {
            let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
            let help = portico_in(folder.path(), &arguments, locale).await.expect(0);
            assert!(help.stdout.contains(usage) && help.stderr.is_empty(), "{command}: {help:?}");
            assert!(!help.stdout.contains('\u{1b}'), "no colours into a file: {command}");
            // Nothing is wider than the terminal that was asked for.
            let widest = help.stdout.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(110), "{command}: {}", help.stdout);
        }
    }
    let whole = portico(folder.path(), &["--help"]).await.expect(0).stdout;
    assert!(whole.contains("portico run") && whole.contains("Exit codes"), "where to begin: {whole}");
    let nothing = portico(folder.path(), &[]).await.expect(2);
    assert!(nothing.stdout.is_empty() && nothing.stderr.contains("Usage:"), "{nothing:?}");
    portico(folder.path(), &["--version"]).await.expect(0);
}

#[tokio::test]
async fn slips_get_a_hint_and_two() {
    let folder = Folder::new();
    for (typed, hint) in [
        ("chekc", "check"),
        ("check --jsn", "--json"),
        ("model lst", "list"),
        ("completions basch", "bash"),
        ("help modle", "model"),
        ("help model lst", "list"),
        ("config explain timeout.drain", "timeouts.drain"),
        ("check portico.toml", "--config portico.toml"),
        ("--config", "FILE"),
    ] {
        let arguments: Vec<&str> = typed.split(' ').collect();
        for locale in ["C", "zh_CN.UTF-8"] {
            let said = portico_in(folder.path(), &arguments, locale).await;
            assert_eq!(said.exit, Exit::Code(2), "{typed}: {said:?}");
            assert!(said.stderr.contains(hint) && said.stdout.is_empty(), "{typed}: {said:?}");
            let chinese = said.stderr.contains("错误");
            assert_eq!(chinese, locale != "C", "{typed}: {said:?}");
        }
    }
}

#[tokio::test]
async fn what_promises_json_keeps_it_without_a_portico() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("portico.toml"), own_socket(&folder)).unwrap();
    for (typed, code) in [
        ("check --json", 0),
        ("config schema", 0),
        ("config reference --json", 0),
        ("config explain timeouts.drain --json", 0),
        ("model list --json", 0),
    ] {
        let arguments: Vec<&str> = typed.split(' ').collect();
        portico(folder.path(), &arguments).await.expect(code).json();
    }
    // 1 where the machine has no GPU, 0 where it has one.
    portico(folder.path(), &["model", "advise", "--json"]).await.json();
    std::fs::write(folder.path().join("portico.toml"), "[site]\nnmes = []\n").unwrap();
    let wrong = portico(folder.path(), &["check", "--json"]).await.expect(2).json();
    assert!(wrong.to_string().contains("nmes"), "{wrong}");
}

#[tokio::test]
async fn what_promises_json_keeps_it_with_one() {
    let scripted = Scripted::start().await;
    let running = before_scripted(&scripted, "").await;
    let status = ask(&running, &["status", "--json"]).await.expect(0).json();
    assert_eq!(status["pid"], running.process().id(), "{status}");
    assert_eq!(status["models"][0]["name"], "scripted", "{status}");
    let models = ask(&running, &["model", "list", "--json"]).await.expect(0).json();
    assert_eq!(models[0]["state"], "ready", "{models}");
    let same = ask(&running, &["config", "diff", "--json"]).await.expect(0).json();
    assert_eq!(same["changed"], Value::Array(Vec::new()), "{same}");
    let screen = ask(&running, &["status"]).await.expect(0).stdout;
    assert!(screen.contains("scripted") && screen.contains("ready"), "{screen}");
    let refused = ask(&running, &["model", "stop", "scripted"]).await.expect(1);
    assert!(refused.stderr.contains("external"), "{refused:?}");
    let unknown = ask(&running, &["model", "stop", "other"]).await.expect(2);
    assert!(unknown.stderr.contains("scripted"), "it names the ones there are: {unknown:?}");
    let stopping = ask(&running, &["stop"]).await.expect(0);
    assert!(stopping.stdout.contains("Stopping"), "{stopping:?}");
    assert_eq!(running.process().wait(crate::command::DEADLINE).await, Exit::Code(0));
    for command in ["status", "reload", "stop"] {
        let nobody = ask(&running, &[command]).await.expect(1);
        assert!(nobody.stderr.contains("portico run"), "what to do: {nobody:?}");
    }
}

#[tokio::test]
async fn completions_are_scripts_of_their_shell() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = portico(folder.path(), &["completions", shell]).await.expect(0).stdout;
        for word in ["reload", "completions", "restart", "config"] {
            assert!(script.contains(word), "{shell} knows no {word}");
        }
        let file = folder.path().join(shell);
        std::fs::write(&file, script).unwrap();
        // The other two are checked where they are installed.
        let Some(program) = installed(shell) else { continue };
        let mut command = Command::new(program);
        command.arg("-n").arg(&file);
        end_of(command).await.expect(0);
    }
    assert!(installed("bash").is_some(), "bash is what this test can't do without");
}

#[tokio::test]
async fn the_manual_is_troff_without_a_fault() {
    let folder = Folder::new();
    let page = portico(folder.path(), &["man"]).await.expect(0).stdout;
    assert!(page.contains(".TH portico 1") || page.contains(".TH PORTICO 1"), "{page}");
    let pages = folder.path().join("man");
    portico(folder.path(), &["man", "--out", &pages.to_string_lossy()]).await.expect(0);
    for command in COMMANDS {
        let file = pages.join(format!("portico-{}.1", command.replace(' ', "-")));
        assert!(file.is_file(), "{} is missing", file.display());
    }
    if let Some(groff) = installed("groff") {
        let mut command = Command::new(groff);
        command.args(["-man", "-Tutf8", "-Kutf8", "-ww"]).arg(pages.join("portico.1"));
        let shown = end_of(command).await.expect(0);
        assert!(shown.stdout.contains("portico") && shown.stderr.is_empty(), "{shown:?}");
    }
}

#[tokio::test]
async fn the_schema_accepts_every_example() {
    let folder = Folder::new();
    let schema = portico(folder.path(), &["config", "schema"]).await.expect(0);
    let properties = &schema.json()["properties"];
    for section in ["site", "listen", "access", "model", "log"] {
        assert!(properties.get(section).is_some(), "{section} is not in the schema");
    }
    std::fs::write(folder.path().join("schema.json"), &schema.stdout).unwrap();
    let check = "import json, sys, tomllib\n\
        try: import jsonschema\n\
        except ImportError: sys.exit(77)\n\
        schema = json.load(open(sys.argv[1]))\n\
        jsonschema.Draft202012Validator.check_schema(schema)\n\
        for name in sys.argv[2:]: jsonschema.validate(tomllib.load(open(name, 'rb')), schema)\n\
        try: jsonschema.validate({'site': {'nmes': []}}, schema)\n\
        except jsonschema.ValidationError: sys.exit(0)\n\
        sys.exit('it accepts anything')\n";
    let mut command = Command::new("python3");
    command.args(["-c", check]).arg(folder.path().join("schema.json")).args(examples());
    let checked = end_of(command).await;
    // Without the Python package nothing more can be said than above.
    assert!(matches!(checked.exit, Exit::Code(0 | 77)), "{checked:?}");
}

#[tokio::test]
async fn the_examples_and_an_empty_file_are_valid() {
    let folder = Folder::new();
    let empty = folder.path().join("empty.toml");
    std::fs::write(&empty, "").unwrap();
    let mut files = examples();
    assert!(!files.is_empty());
    files.push(empty);
    for file in files {
        let began = Instant::now();
        let checked = portico(folder.path(), &["check", "--config", &file.to_string_lossy()]).await.expect(0);
        println!("{}: {:?}, the start of the process included", file.display(), began.elapsed());
        assert!(checked.stdout.contains("valid"), "{checked:?}");
    }
}

#[tokio::test]
async fn colours_come_when_they_are_wanted_and_never_against_no_color() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("portico.toml"), "[site]\nnmes = []\n").unwrap();
    for (variables, coloured) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        for arguments in [&["check"][..], &["chekc"], &[]] {
            let said = portico_with(folder.path(), arguments, |command| {
                command.envs(variables.iter().copied());
            })
            .await
            .expect(2);
            assert_eq!(said.stderr.contains('\u{1b}'), coloured, "{arguments:?} {variables:?}: {said:?}");
        }
    }
}

fn examples() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(repository().join("examples")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|kind| kind == "toml")).collect()
}

/// No Portico of this machine answers there.
fn own_socket(folder: &Folder) -> String {
    format!("[listen]\nadmin = \"unix:{}/admin.sock\"\n", folder.path().display())
}

fn installed(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
