//! What people read, as it stands on their terminal.

use super::super::render::json;
use super::*;

const WRONG: &str = r#"names = ["chat.example.com"]

[site]
names = ["*.example.com", "聊天.example"]
emial = "ops@example.com"

[listen]
http = ["localhost:80", "0.0.0.0:80"]
admin_password = "hunter2"

[timeouts]
drain = 300
handshake = "10h"

[access]
satisfy = "any"

[cors]
origins = ["https://a.example"]

[[model]]
name = "qwen"
engine = "vlm"
args = ["--host", "0.0.0.0"]

[[model]]
name = "qwen"
path = "Qwen/Qwen3-VL-8B-Instruct"
endpoints = ["http://192.168.1.5:3001"]
args = ["--port=80"]

[alerts.smtp]
password = "密码 12345"
"#;

const BROKEN: &str =
    "[site]\nnames = [\"a.example\"\nemail = ops\n\n[log\nlevel = \"info\"\nlevel = \"warn\"\n";

fn problems(text: &str) -> Box<Problems> {
    read(text).expect_err("it is wrong")
}

#[test]
fn everything_that_is_wrong_is_shown_at_once() {
    insta::assert_snapshot!("wrong_en", shown(&problems(WRONG), Tongue::English));
    insta::assert_snapshot!("wrong_zh", shown(&problems(WRONG), Tongue::Chinese));
}

#[test]
fn what_is_not_toml_is_shown_the_same_way() {
    insta::assert_snapshot!("broken_en", shown(&problems(BROKEN), Tongue::English));
}

#[test]
fn programs_get_json() {
    let problems = problems("[timeouts]\ndrain = 300\n");
    insta::assert_snapshot!("json", json(&problems.document, &problems.list, problems.tongue));
}

#[test]
fn run_says_why_it_does_not_start() {
    let text = "[[model]]\nname = \"m\"\npath = \"p\"\nuser = \"nobody\"\n";
    let loaded = valid(text);
    let list = unbuilt(&loaded);
    insta::assert_snapshot!(
        "refused",
        Render { tongue: Tongue::English, colour: false }.all(&loaded.document, &list)
    );
}

#[test]
fn secrets_are_masked_and_colour_is_only_colour() {
    let problems = problems(WRONG);
    let plain = shown(&problems, Tongue::English);
    let coloured = Render { tongue: Tongue::English, colour: true }.all(&problems.document, &problems.list);
    assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
    for secret in ["hunter2", "密码", "12345"] {
        assert!(WRONG.contains(secret) && !plain.contains(secret) && !coloured.contains(secret), "{secret}");
    }
}

const SLIPS: &str = "[site]\nemail = ops@example.com\nroot = \n\n[queue]\nmax_waiting = 10\nmax_waiting = 20\nkeepalive = 15\n[log\n";

#[test]
fn a_slip_of_the_pen_does_not_hide_the_rest() {
    insta::assert_snapshot!("slips_en", shown(&problems(SLIPS), Tongue::English));
    insta::assert_snapshot!("slips_zh", shown(&problems(SLIPS), Tongue::Chinese));
}
