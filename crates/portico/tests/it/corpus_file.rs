//! The files of `tests/corpus`: how they are read. What the lines mean stands in `tests/corpus/README.md`.

use std::path::{Path, PathBuf};

use crate::setup::{CHAT, chat};

/// One case of a file.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// `file: name`, for whoever reads a failure.
    pub(crate) title: String,
    /// In all the folder: no two calls in it say the same.
    pub(crate) number: usize,
    /// What the operator's log has to say of the refusal.
    pub(crate) rule: Option<String>,
    pub(crate) steps: Vec<Step>,
    /// What has to come of it, in order.
    pub(crate) wanted: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause,
    EndOfFile,
    /// A frame of HTTP/2, as its line says it.
    Frame(String),
}

/// All cases of a folder, file by file.
pub(crate) fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut files: Vec<PathBuf> =
        folder.read_dir().expect("the corpus is there").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in &files {
        read(file, &mut cases);
    }
    cases
}

fn read(file: &Path, cases: &mut Vec<Case>) {
    let text = std::fs::read_to_string(file).expect("a readable file");
    let file = file.file_stem().expect("a name").to_string_lossy().into_owned();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') || line.starts_with("why: ") {
            continue;
        }
        if let Some(name) = line.strip_prefix("case: ") {
            let title = format!("{file}: {name}");
            cases.push(Case { title, number: cases.len() + 1, ..Case::default() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{file}:{number}: no case before {line:?}"));
        let (mark, rest) = line.split_at(1);
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match mark {
            ">" => case.send(&format!("{rest}\\r\\n")),
            "|" => case.send(rest),
            "~" => case.steps.push(Step::Pause),
            "!" => case.steps.push(Step::EndOfFile),
            "*" => case.steps.push(Step::Frame(rest.to_owned())),
            "+" => case.steps.push(Step::Frame(line.to_owned())),
            "=" => case.wanted.push(rest.to_owned()),
            _ => match line.strip_prefix("rule: ") {
                Some(rule) => case.rule = Some(rule.to_owned()),
                None => panic!("{file}:{}: what is {line:?}?", number + 1),
            },
        }
    }
}

impl Case {
    fn send(&mut self, text: &str) {
        let bytes = written_out(text, self.number);
        match self.steps.last_mut() {
            Some(Step::Send(before)) => before.extend(bytes),
            _ => self.steps.push(Step::Send(bytes)),
        }
    }
}

/// The message of a call in a case: no two cases have the same.
pub(crate) fn message(name: &str, case: usize) -> String {
    format!("{case} {name}")
}

/// Escapes and braces replaced by what they stand for.
pub(crate) fn written_out(text: &str, case: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match next {
            '\\' => {
                let (byte, length) = escape(rest);
                out.push(byte);
                rest = &rest[length..];
            }
            '{' => {
                let end = closing_brace(rest).unwrap_or_else(|| panic!("a brace is open in {text:?}"));
                out.extend(filled_in(&rest[1..end], case));
                rest = &rest[end + 1..];
            }
            next => {
                out.extend(&rest.as_bytes()[..next.len_utf8()]);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    out
}

/// Of the brace that the text begins with; there may be others in between.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0;
    text.bytes().position(|byte| {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        open == 0
    })
}

fn escape(text: &str) -> (u8, usize) {
    match text.as_bytes()[1] {
        b'r' => (b'\r', 2),
        b'n' => (b'\n', 2),
        b't' => (b'\t', 2),
        b'0' => (0, 2),
        b'x' => (u8::from_str_radix(&text[2..4], 16).expect("two hexadecimal digits"), 4),
        other => (other, 2),
    }
}

fn filled_in(what: &str, case: usize) -> Vec<u8> {
    let body = |name: &str| chat(&message(name, case)).to_string();
    let (word, rest) = what.split_once(' ').unwrap_or((what, ""));
    match word {
        "get" => b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n".to_vec(),
        "post" => format!("POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
            .into_bytes(),
        "call" => {
            let (post, body) = (filled_in("post", case), body(rest));
            [post, format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()].concat()
        }
        "body" => body(rest).into_bytes(),
        "length" => body(rest).len().to_string().into_bytes(),
        "size" => format!("{:x}", body(rest).len()).into_bytes(),
        "chunks" => format!("{:x}\r\n{}\r\n0\r\n\r\n", body(rest).len(), body(rest)).into_bytes(),
        "repeat" => {
            let (count, text) = rest.split_once(' ').expect("a count and a text");
            written_out(text, case).repeat(count.parse().expect("a count"))
        }
        _ => panic!("what is {{{what}}}?"),
    }
}
