//! What a person and a script get from the command line: exit codes, the two outputs, the language.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::binary;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// Runs the binary away from any configuration that may lie around, with nothing of the caller's locale and colours.
fn portico(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(binary())
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .envs(variables.iter().copied())
        .current_dir(examples())
        .output()
        .expect("the binary starts")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A file with this text, in the folder where tests may write.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.toml", std::process::id()));
    std::fs::write(&path, text).expect("written");
    path
}

#[test]
fn check_accepts_the_reference_file_and_says_what_is_not_built() {
    let output = portico(&["check", "--config", "portico.toml"], &[]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("is not built yet") && stderr(&output).contains("0 errors, "));
    assert!(stdout(&output).contains("portico.toml is valid."));
    assert!(!stderr(&output).contains('\u{1b}'), "coloured without a terminal");
}

#[test]
fn check_says_everything_at_once_and_ends_with_two() {
    let path = file("wrong", "[site]\nemial = \"a@b.example\"\n[timeouts]\ndrain = 300\n");
    let named = path.to_str().expect("a name");
    let output = portico(&["check", "--config", named], &[]);
    assert_eq!((code(&output), stdout(&output)), (Some(2), String::new()));
    let said = stderr(&output);
    for piece in [
        "error[C012]",
        "did you mean `email`?",
        &format!("{named}:2:1"),
        "error[C013]",
        ":4:9",
        "2 errors, 0 warnings.",
    ] {
        assert!(said.contains(piece), "{piece} is missing:\n{said}");
    }
    let output = portico(&["check", "--json", "--config", named], &[]);
    assert_eq!((code(&output), stderr(&output)), (Some(2), String::new()));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&list[0]["code"], &list[0]["line"], &list[1]["column"]),
        (&"C012".into(), &2.into(), &9.into())
    );
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn the_file_is_named_found_or_left_out() {
    let output = portico(&["check"], &[("PORTICO_CONFIG", "local.toml")]);
    assert!(stdout(&output).contains("local.toml is valid."), "{}", stderr(&output));
    let output = portico(&["check"], &[]);
    assert!(stdout(&output).contains("portico.toml is valid."), "{}", stderr(&output));
    for missing in ["nowhere.toml", "."] {
        let output = portico(&["check", "--config", missing], &[]);
        assert_eq!(code(&output), Some(2));
        assert!(stderr(&output).contains("error[C001]"), "{}", stderr(&output));
    }
}

#[test]
fn run_refuses_what_it_cannot_protect() {
    let path = file("protect", "[[model]]\nname = \"m\"\npath = \"p\"\nuser = \"nobody\"\n");
    let output = portico(&["run", "--config", path.to_str().expect("a name")], &[]);
    assert_eq!(code(&output), Some(2));
    let said = stderr(&output);
    assert!(said.contains("error[C041]") && said.contains("model[0].user"), "{said}");
}

#[test]
fn the_terminal_decides_the_language() {
    let chinese = [("LANG", "zh_CN.UTF-8")];
    let said = stdout(&portico(&["--help"], &chinese));
    assert!(said.contains("用法:") && !said.contains("Usage"), "{said}");
    let output = portico(&["chek"], &chinese);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("没有命令 'chek'") && stderr(&output).contains("check"));
    let output = portico(&["chek"], &[]);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("a similar subcommand exists: 'check'"));
    assert!(stderr(&portico(&["check", "--config", "nowhere.toml"], &chinese)).contains("错误[C001]"));
}

#[test]
fn papers_are_written_from_the_tables() {
    let schema = portico(&["config", "schema"], &[]);
    let value: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    assert_eq!(value["properties"]["timeouts"]["properties"]["drain"]["default"], "120s");
    assert!(stdout(&portico(&["config", "reference"], &[])).contains("### `timeouts.drain`"));
    assert!(stdout(&portico(&["config", "reference", "--lang", "zh-CN"], &[])).contains("配置参考"));
    assert!(stdout(&portico(&["config", "explain", "timeouts.drain"], &[])).contains("1s to 1d"));
    let unknown = portico(&["config", "explain", "timeouts.drian"], &[]);
    assert_eq!(code(&unknown), Some(2));
    assert!(stderr(&unknown).contains("did you mean `timeouts.drain`?"));
    assert!(stdout(&portico(&["man"], &[])).contains(".TH portico 1"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&portico(&["completions", shell], &[])).contains("portico"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_whole_name() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("man-{}", std::process::id()));
    let output = portico(&["man", "--out", folder.to_str().expect("a name")], &[]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let page = std::fs::read_to_string(folder.join("portico-model-list.1")).expect("a page");
    assert!(page.contains("portico model list") && page.contains("\\-\\-config"), "{page}");
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let status =
        Command::new(binary()).args(["config", "schema"]).stdout(full).output().expect("the binary starts");
    assert_eq!(status.status.code(), Some(1));
}
