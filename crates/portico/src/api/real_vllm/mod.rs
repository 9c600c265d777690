//! What Portico has judged and written, read by vLLM's own request classes: whatever is accepted here is accepted there,
//! and says the same as what the client wrote.
//!
//! Bodies are drawn from the table of parameters and from the corpus, then damaged; the same ones every time. No model
//! runs: the classes of the installed vLLM are enough.

mod generate;
mod samples;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use serde_json::{Value, json};

use self::generate::{Random, corpus, damaged, drawn};
use super::Operation;
use super::call::{Call, Recipient, Rules, tests};
use super::parameters::{Fate, table};
use crate::config::Policy;
use crate::reason::Reason;
use crate::types::{ServerKind, Tongue};

const OPERATIONS: [(Operation, &str); 8] = [
    (Operation::Chat, "chat"),
    (Operation::Completions, "completions"),
    (Operation::Embeddings, "embeddings"),
    (Operation::Responses, "responses"),
    (Operation::Messages, "messages"),
    (Operation::CountTokens, "count_tokens"),
    (Operation::Rerank, "rerank"),
    (Operation::Score, "score"),
];

const DRAWN: usize = 800;
const DAMAGED: usize = 2000;

/// What vLLM refuses although it is accepted here, as parts of its messages: rules that tie one key to another, which
/// the model server tells the client in a 400 of its own. What is not here is a difference nobody has looked at.
const KNOWN_REFUSALS: &[(&str, &str)] = &[
    ("", "When using `tool_choice`, `tools` must be set"),
    ("", "`tools` must not be an empty array"),
    ("", "when using `top_logprobs`, `logprobs` must be set"),
    ("", "not found in 'tools' parameter"),
    ("", "must be specified with 'tools' parameter"),
    ("", "n must be N when using greedy sampling"),
    // OpenAI's range has the 0; llama.cpp takes it.
    ("", "top_p must be in (N, N], got N.N"),
    // Texts and token ids in one list, which llama.cpp takes.
    ("embeddings", "input.list[int].N: Input should be a valid integer"),
    ("completions", "Input should be a valid integer"),
];

/// What vLLM refuses in the client's body and takes from what was written of it.
const KNOWN_REPAIRS: &[(&str, &str)] = &[
    // `{text}` is written as a text.
    ("rerank", "documents.str: Input should be a valid string"),
    ("rerank", "max_tokens_per_"),
    // Items of an assistant get the type that they lack, and annotations of an old answer are left out.
    ("responses", "input.str: Input should be a valid string"),
    ("responses", "Annotation"),
];

/// Why vLLM's reader takes what is refused here as JSON: two readers could understand it differently.
const KNOWN_STRICTNESS: &[&str] = &[
    "a byte order mark stands before it",
    "a key appears twice",
    "a key holds a control character",
    "a key is longer than N bytes",
    "a number does not fit into N bits",
    "it is nested too deeply",
    "it is not UTF-N",
    "there is half of a surrogate pair",
    "there is something that is not JSON (NaN or Infinity)",
    "there is something that is not JSON (UTF-16 or UTF-32)",
];

fn policy() -> Policy {
    Policy {
        max_choices: 4,
        max_images: 8,
        max_image_bytes: 1 << 20,
        max_image_pixels: 1 << 26,
        // What arrives is then what was asked, also of pictures.
        strip_metadata: false,
        ..tests::policy()
    }
}

/// A body and what became of it, for the other reader.
fn line(operation: Operation, on: &str, body: &[u8]) -> Option<Value> {
    let policy = policy();
    let rules = Rules { limits: &tests::LIMITS, policy: &policy, max_output_tokens: Some(8192) };
    match Call::judge(operation, &Bytes::copy_from_slice(body).into(), rules) {
        Ok(call) => {
            let recipient = Recipient {
                name: "upstream",
                context_tokens: Some(4096),
                server: Some(ServerKind::Vllm),
                stops_at_context: true,
                cache_salt: "salt",
            };
            Some(json!({ "on": on, "asked": hex(body), "written": hex(&call.body(recipient).to_vec()) }))
        }
        Err(refusal) if refusal.reason == Reason::InvalidJson => {
            Some(json!({ "on": on, "asked": hex(body), "refused": refusal.message(Tongue::English) }))
        }
        Err(_) => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The keys that Portico writes or leaves out, by operation: they may differ.
fn own_keys() -> Value {
    let own = |operation| {
        let theirs = table(operation).iter().filter(|parameter| parameter.fate != Fate::Sent);
        let mut keys: Vec<_> = theirs.map(|parameter| parameter.name).collect();
        keys.extend(["cache_salt", "max_tokens", "max_output_tokens", "request_id"]);
        keys
    };
    OPERATIONS.iter().map(|(operation, on)| ((*on).to_owned(), json!(own(*operation)))).collect()
}

/// What vLLM's classes have to say, a finding a line.
fn read_by_vllm(vllm: &Path, lines: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/python/vllm_reads.py");
    let mut python = Command::new(vllm.join("bin/python3"))
        .arg("-I")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the installed vLLM has a Python");
    let mut text = own_keys().to_string() + "\n";
    for line in lines {
        text += &format!("{line}\n");
    }
    let mut input = python.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_known(known: &[(&str, &str)], finding: &Value) -> bool {
    let (on, why) = (finding["on"].as_str().unwrap(), finding["why"].as_str().unwrap());
    known.iter().any(|(where_, part)| (*where_ == on || where_.is_empty()) && why.contains(part))
}

#[test]
#[ignore = "needs vLLM: 6 GB, half a minute"]
fn real_vllm_reads_what_is_written_as_the_client_meant_it() {
    let vllm =
        std::env::var_os("PORTICO_TEST_VLLM").expect("PORTICO_TEST_VLLM is the folder of an installed vLLM");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut lines = Vec::new();
    let mut accepted = BTreeMap::new();
    for (operation, on) in OPERATIONS {
        let mut bodies = corpus(on);
        bodies.extend((0..DRAWN).map(|_| drawn(operation, on, &mut random)));
        let seeds = bodies.len();
        let more: Vec<_> =
            (0..DAMAGED).map(|number| damaged(operation, &bodies[number % seeds], &mut random)).collect();
        bodies.extend(more);
        let read: Vec<_> = bodies.iter().filter_map(|body| line(operation, on, body)).collect();
        accepted.insert(on, read.iter().filter(|line| line["written"].is_string()).count());
        lines.extend(read);
    }
    println!("accepted: {accepted:?}");
    assert!(accepted.values().all(|count| *count > 300), "{accepted:?}");
    // For the test that sends them to a model.
    if let Some(file) = std::env::var_os("PORTICO_TEST_BODIES") {
        let accepted = lines.iter().filter(|line| line["written"].is_string());
        std::fs::write(file, accepted.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    let findings = read_by_vllm(Path::new(&vllm), &lines);
    let mut wrong = Vec::new();
    for finding in findings {
        let is_fine = match finding["kind"].as_str().unwrap() {
            "refused" => is_known(KNOWN_REFUSALS, &finding),
            "repaired" => is_known(KNOWN_REPAIRS, &finding),
            "listed" => {
                let why = finding["why"].as_str().unwrap();
                KNOWN_STRICTNESS.iter().any(|known| why.contains(known))
            }
            _ => false,
        };
        if is_fine {
            println!("{}", finding["shown"].as_str().unwrap());
        } else {
            wrong.push(format!("{finding:#}"));
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}
