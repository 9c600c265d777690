use bytes::Bytes;
use proptest::prelude::*;

use super::read::{MOST_VALUES, plain_run};
use super::write::write;
use super::*;
use crate::api::base64_map::Base64Map;

fn rewritten(text: &str) -> String {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let document =
        parse(&body, Base64Map::none(), 64).unwrap_or_else(|error| panic!("{text}: {}", error.text().en));
    String::from_utf8(write(document, &body).to_vec()).unwrap()
}

fn refused(body: &[u8]) -> String {
    match parse(body, Base64Map::none(), 64) {
        Ok(_) => panic!("accepted: {}", String::from_utf8_lossy(body)),
        Err(error) => error.text().en.into_owned(),
    }
}

#[test]
fn what_is_written_means_what_was_read() {
    for text in [
        r#"{"a":[1,-2,3.5,true,false,null,"x"],"b":{"c":"\u00e9\n\"\\\/\b\f\r\t\ud83d\ude42"}}"#,
        r#"  [ ]  "#,
        r#" { } "#,
        r#""only a string""#,
        r#"[0,-0,-0.0,1e2,1E+2,1.0,0.1,1e-400,9223372036854775807,-9223372036854775808]"#,
        "{\"long\":\"0123456789\u{4e2d}\u{6587}\"}",
    ] {
        let once: serde_json::Value = serde_json::from_str(text).unwrap();
        let twice: serde_json::Value = serde_json::from_str(&rewritten(text)).unwrap();
        assert_eq!(once, twice, "{text}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    let text = "[0.70,1e2,1.0,-0,0.1000000000000000055]";
    assert_eq!(rewritten(text), text);
    for (text, whole) in [
        ("7", Some(7)),
        ("-7", Some(-7)),
        ("9223372036854775807", Some(i64::MAX)),
        ("1.0", None),
        ("1e2", None),
        ("-0", None),
    ] {
        let Ok(Json::Number(number)) = parse(text.as_bytes(), Base64Map::none(), 1) else { panic!("{text}") };
        assert_eq!(number.whole(), whole, "{text}");
    }
}

#[test]
fn long_strings_are_slices_of_the_body() {
    for escape in ["", r"\/", r"\n"] {
        let text = format!(r#"{{"url":"data:image/png;base64,{}{escape}","n":1}}"#, "A".repeat(100_000));
        let body = Bytes::from(text.clone());
        let rope = write(parse(&body, Base64Map::none(), 64).unwrap(), &body);
        assert_eq!(rope.to_vec(), text.as_bytes());
        assert_eq!(rope.pieces_for_test(), 3);
        assert!(body.as_ptr_range().contains(&rope.piece_for_test(1).as_ptr()), "not copied");
    }
    let escaped = format!(r#""\u4e2d{}\n""#, "x".repeat(5000));
    let document = parse(escaped.as_bytes(), Base64Map::none(), 1).unwrap();
    assert!(matches!(document, Json::Source(_)));
    assert_eq!(document.text().unwrap(), format!("\u{4e2d}{}\n", "x".repeat(5000)));
}

/// What is known of a body before it is read changes how fast it is read, and nothing else.
#[test]
fn a_map_of_base64_makes_no_difference() {
    let long = "QUJD".repeat(10_000);
    for text in [
        format!(r#"{{"a":"{long}","b":["{long}","x{long}"]}}"#),
        format!(r#"{{"a":"data:image/png;base64,{long}==","b":"{long}\n{long}\u4e2d"}}"#),
        format!("{{\"a\":\"{long}\u{4e2d}{long}\",\"b\":1}}"),
        format!(r#"{{"{long}":1}}"#),
        format!(r#"{{"a":"{long}","a":"{long}"}}"#),
        format!("{{\"a\":\"{long}\u{1}{long}\"}}"),
        format!(r#"{{"a":"{long}"#),
        format!(r#"{long}"{long}""#),
        format!(r#"{{"a":"{long}\x{long}"}}"#),
    ] {
        let agree = |body: &[u8]| {
            let mut map = Base64Map::default();
            map.extend(body);
            let texts = |map: &Base64Map| match parse(body, map, 64) {
                Ok(document) => Ok(to_text(document)),
                Err(error) => Err(error.text().en),
            };
            assert_eq!(texts(&map), texts(Base64Map::none()));
        };
        for end in [text.len(), text.len() - 1, text.len() / 2] {
            agree(&text.as_bytes()[..end]);
        }
        let mut broken = text.into_bytes();
        broken[30_000] = 0xff;
        agree(&broken);
    }
}

#[test]
fn an_owned_long_string_is_moved_and_not_copied() {
    let text = "y".repeat(10_000);
    let place = text.as_ptr();
    let rope = write(Json::String(Cow::Owned(text)), &Bytes::new());
    assert_eq!(rope.pieces_for_test(), 3);
    assert_eq!(rope.piece_for_test(1).as_ptr(), place);
    let needs_escapes = format!("{}\n", "y".repeat(10_000));
    let rope = write(Json::String(Cow::Owned(needs_escapes.clone())), &Bytes::new());
    assert_eq!(serde_json::from_slice::<String>(&rope.to_vec()).unwrap(), needs_escapes);
}

#[test]
fn what_readers_could_understand_differently_is_refused() {
    for (text, why) in [
        (r#"{"a":1,"a":2}"#, "twice"),
        (r#"{"a":1,"\u0061":2}"#, "twice"),
        (r#"{"x":{"b":1,"b":1}}"#, "twice"),
        (r#"{"a":1} {"b":2}"#, "follows"),
        (r#"{"a":1}x"#, "follows"),
        ("{\"a\":1}\0", "follows"),
        (r#"{"a":NaN}"#, "not JSON"),
        (r#"{"a":Infinity}"#, "not JSON"),
        (r#"{"a":-Infinity}"#, "not JSON"),
        (r#"{"a":1e999}"#, "64 bits"),
        (r#"{"a":-1e999}"#, "64 bits"),
        (r#"{"a":9223372036854775808}"#, "64 bits"),
        (r#"{"a":-9223372036854775809}"#, "64 bits"),
        (r#"{"a":100000000000000000000}"#, "64 bits"),
        (r#"{"a":0.00000000000000000000000000000000000000001}"#, "64 bits"),
        (r#"{'a':1}"#, "not JSON"),
        (r#"{a:1}"#, "not JSON"),
        (r#"{"a":01}"#, "not JSON"),
        (r#"{"a":-}"#, "not JSON"),
        (r#"{"a":+1}"#, "not JSON"),
        (r#"{"a":.5}"#, "not JSON"),
        (r#"{"a":1.}"#, "not JSON"),
        (r#"{"a":1e}"#, "not JSON"),
        (r#"{"a":0x10}"#, "not JSON"),
        (r#"{"a":1,}"#, "not JSON"),
        (r#"{"a" 1}"#, "not JSON"),
        (r#"{"a":1 "b":2}"#, "not JSON"),
        (r#"{,}"#, "not JSON"),
        ("[1,]", "not JSON"),
        ("[1 2]", "not JSON"),
        ("[1}", "not JSON"),
        ("/**/{}", "not JSON"),
        ("{}//", "follows"),
        ("\u{b}{}", "not JSON"),
        ("\u{a0}{}", "not JSON"),
        ("True", "not JSON"),
        ("nul", "not JSON"),
        ("{\"a\":\"\u{1}\"}", "control character"),
        ("{\"a\":\"x\\\u{1}\"}", "no such escape"),
        ("{\"a\":\"\n\"}", "control character"),
        (r#"{"a\u0000":1}"#, "control character"),
        (r#"{"a\u0085":1}"#, "control character"),
        ("\u{feff}{}", "byte order mark"),
        (r#"{"a":"\ud800"}"#, "surrogate"),
        (r#"{"a":"\ud800\ud800"}"#, "surrogate"),
        (r#"{"a":"\udc00"}"#, "surrogate"),
        (r#"{"a":"\ud800x"}"#, "surrogate"),
        (r#"{"a":"\ud83d\u"}"#, "no such escape"),
        (r#"{"a":"\u12g4"}"#, "no such escape"),
        (r#"{"a":"\u+123"}"#, "no such escape"),
        (r#"{"a":"\x41"}"#, "no such escape"),
        (r#"{"a":"\"#, "no such escape"),
        (r#"{"a":"x"#, "too early"),
        (r#"{"a":"x\n"#, "too early"),
        ("[", "too early"),
        ("", "too early"),
        (" ", "too early"),
    ] {
        let said = refused(text.as_bytes());
        assert!(said.contains(why), "{text:?}: {said}");
    }
    assert!(refused(b"{\"a\":\"\xff\"}").contains("UTF-8"));
    assert!(refused(b"{\"a\":\"\xc0\xaf\"}").contains("UTF-8"), "overlong");
    assert!(refused(b"{\"a\":\"\xed\xa0\x80\"}").contains("UTF-8"), "a surrogate in UTF-8");
    let text = r#"{"a":1}"#;
    for utf_16 in [u16::to_le_bytes, u16::to_be_bytes] {
        refused(&text.encode_utf16().flat_map(utf_16).collect::<Vec<_>>());
        refused(&"\u{feff}{}".encode_utf16().flat_map(utf_16).collect::<Vec<_>>());
    }
}

#[test]
fn the_place_is_named() {
    assert!(refused(b"{\n \"a\": x}").ends_with("at line 2 column 7"), "{}", refused(b"{\n \"a\": x}"));
}

#[test]
fn duplicates_are_found_among_many_keys() {
    let many: String = (0..1000).map(|i| format!("\"k{i}\":0,")).collect();
    for twin in ["k999", "k0", "k31", "k32"] {
        refused(format!("{{{many}\"{twin}\":1}}").as_bytes());
    }
    assert!(parse(format!("{{{many}\"k1000\":1}}").as_bytes(), Base64Map::none(), 64).is_ok());
    refused(format!("{{\"{}\":1}}", "k".repeat(1025)).as_bytes());
    refused(format!("{{\"\\n{}\":1}}", "k".repeat(9000)).as_bytes());
}

#[test]
fn a_document_of_many_tiny_values_is_refused() {
    let array = |items: u32| format!("[{}0]", "0,".repeat(items as usize - 1));
    assert!(
        parse(array(MOST_VALUES - 1).as_bytes(), Base64Map::none(), 64).is_ok(),
        "the array is a value too"
    );
    refused(array(MOST_VALUES).as_bytes());
}

#[test]
fn depth_is_counted_exactly() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(64).as_bytes(), Base64Map::none(), 64).is_ok());
    refused(nested(65).as_bytes());
    refused(nested(100_000).as_bytes());
    refused("[".repeat(100_000).as_bytes());
    assert!(parse(b"[[],[],{},{\"a\":{}},[]]", Base64Map::none(), 3).is_ok(), "siblings do not add up");
}

#[test]
fn a_run_ends_where_it_should_whatever_the_block() {
    for length in [0, 1, 31, 32, 33, 63, 65, 255, 256, 257, 600] {
        let mut bytes = vec![b'a'; length];
        assert_eq!(plain_run(&bytes), length);
        for special in [b'"', b'\\', 0, 0x1f] {
            for at in 0..length {
                bytes[at] = special;
                assert_eq!(plain_run(&bytes), at);
                bytes[at] = 0x7f;
            }
        }
    }
}

/// Any JSON value, with odd strings.
fn any_value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("\\PC{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_document_of_another_writer_is_read_and_means_the_same(value in any_value()) {
        let text = value.to_string();
        // Keys with control characters are refused on purpose; the strategy makes none.
        prop_assert_eq!(rewritten(&text), text);
    }

    /// Whatever is accepted is what the other reader reads, too.
    #[test]
    fn nothing_is_accepted_that_another_reader_refuses(text in r#"[\[\]{}:,"\\u0-9.eE+\-ntfalsru \n]{0,24}"#) {
        if parse(text.as_bytes(), Base64Map::none(), 64).is_ok() {
            let other: Result<serde_json::Value, _> = serde_json::from_str(&text);
            prop_assert!(other.is_ok(), "{:?}", text);
            let written: serde_json::Value = serde_json::from_str(&rewritten(&text)).unwrap();
            prop_assert_eq!(written, other.unwrap());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes, Base64Map::none(), 8);
    }
}

/// Reads lines of two bodies in hexadecimal, and names those that do not mean the same.
const OTHER_READER: &str = r#"
import json, sys
def once(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), "a key twice"
    return dict(pairs)
def refuse(word):
    raise ValueError(word)
for line in sys.stdin:
    ours, sent = (bytes.fromhex(half) for half in line.split(","))
    try:
        read = [json.loads(body, object_pairs_hook=once, parse_constant=refuse) for body in (ours, sent)]
        same = repr(read[0]) == repr(read[1])
        json.dumps(read[0], ensure_ascii=False).encode("utf-8")
    except Exception as error:
        same = False
    if not same:
        print(ours)
"#;

/// Bodies of the corpus with bytes changed, lost and doubled: what is accepted here, Python reads too, and reads the same
/// in what is written from it.
#[test]
fn whatever_is_accepted_python_reads_the_same() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bodies");
    let mut bodies: Vec<Vec<u8>> = testkit::corpus::read(&folder)
        .into_iter()
        .map(|case| case.body)
        .filter(|body| body.len() < 2000)
        .collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or_default()
    };
    let pieces: &[&[u8]] = &[
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"0",
        b"-",
        b"1e5",
        b"\\u00e9",
        b" ",
        b"null",
        b"\xc3\xa9",
        b"\xff",
    ];
    let originals = bodies.len();
    for number in 0..12_000 {
        let mut body = bodies[number % originals].clone();
        if body.is_empty() {
            bodies.push(body);
            continue;
        }
        for _ in 0..=random(2) {
            let at = random(body.len());
            let end = (at + random(4)).min(body.len());
            body.splice(at..end, pieces[random(pieces.len())].iter().copied());
            if body.is_empty() {
                body.push(b' ');
            }
        }
        bodies.push(body);
    }
    let mut lines = String::new();
    let mut accepted = 0;
    for body in bodies {
        let body = Bytes::from(body);
        if let Ok(document) = parse(&body, Base64Map::none(), 64) {
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            lines += &format!("{},{}\n", hex(&body), hex(&write(document, &body).to_vec()));
            accepted += 1;
        }
    }
    assert!(accepted > 1000, "only {accepted} were accepted");
    let mut python = Command::new("python3")
        .args(["-I", "-c", OTHER_READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tests need Python 3");
    let mut input = python.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
