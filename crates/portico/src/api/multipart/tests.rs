use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// What a form says, its contents joined; `None` where it is refused or torn.
fn read(form: &[u8], piece_bytes: usize) -> Option<Vec<(PartHead, Vec<u8>)>> {
    let mut reader = Reader::new("b");
    let mut parts: Vec<(PartHead, Vec<u8>)> = Vec::new();
    for piece in form.chunks(piece_bytes.max(1)) {
        reader.input().extend_from_slice(piece);
        while let Some(event) = reader.next().ok()? {
            match event {
                Event::Part(head) => parts.push((head, Vec::new())),
                Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
                Event::PartEnd | Event::End => {}
            }
        }
    }
    reader.end().ok()?;
    Some(parts)
}

const FIELD: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n";

#[test]
fn a_form_is_read_however_it_is_cut() {
    let form = format!(
        "{FIELD}--b\r\ncontent-disposition: FORM-DATA; filename=\"a \\\"b\\\" c.wav\"; name=file\r\n\
         Content-Type: Audio/WAV; rate=8000\r\nContent-Transfer-Encoding: binary\r\nContent-Length: 5\r\n\r\n\
         \r\n-\r\n--\r\r\n--c\r\n--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n\r\n--b--\r\n"
    );
    let whole = read(form.as_bytes(), form.len()).unwrap();
    let names: Vec<_> = whole.iter().map(|(head, _)| head.name.as_str()).collect();
    assert_eq!(names, ["model", "file", "prompt"]);
    let (file, content) = &whole[1];
    assert_eq!(
        (file.filename.as_deref(), file.content_type.as_deref()),
        (Some("a \"b\" c.wav"), Some("audio/wav"))
    );
    assert_eq!(content, b"\r\n-\r\n--\r\r\n--c");
    assert_eq!((whole[0].1.as_slice(), whole[2].1.as_slice()), (&b"whisper"[..], &b""[..]));
    for piece_bytes in 1..form.len() {
        assert_eq!(read(form.as_bytes(), piece_bytes).as_ref(), Some(&whole), "{piece_bytes}");
    }
    for cut in 0..form.len() - 2 {
        assert_eq!(read(&form.as_bytes()[..cut], cut), None, "cut at {cut}");
    }
    assert_eq!(read(format!("{FIELD}--b--").as_bytes(), 99).unwrap().len(), 1);
}

#[test]
fn nothing_is_forgiven() {
    let part = |head: &str| format!("--b\r\n{head}\r\n\r\nx\r\n--b--\r\n");
    let disposed = |rest: &str| part(&format!("Content-Disposition: form-data; {rest}"));
    assert!(read(disposed("name=\"x\"").as_bytes(), 99).is_some());
    for (what, form) in [
        ("text before the first boundary", format!("hello\r\n{FIELD}--b--\r\n")),
        ("a line end before it", format!("\r\n{FIELD}--b--\r\n")),
        ("text behind the last", format!("{FIELD}--b--\r\nhello")),
        ("two line ends behind it", format!("{FIELD}--b--\r\n\r\n")),
        ("blanks behind a boundary", format!("{FIELD}--b--  \r\n")),
        ("blanks behind the first", FIELD.replacen("--b", "--b ", 1) + "--b--\r\n"),
        ("another boundary that begins alike", format!("{FIELD}--bb\r\n")),
        ("one hyphen at the end", format!("{FIELD}--b-\r\n")),
        ("bare line feeds", format!("{FIELD}--b--\r\n").replace("\r\n", "\n")),
        (
            "a bare line feed in a head",
            part("Content-Disposition: form-data; name=\"x\"\nContent-Type: audio/wav"),
        ),
        (
            "a bare return in a head",
            part("Content-Disposition: form-data; name=\"x\"\rContent-Type: audio/wav"),
        ),
        ("a NUL in a name", disposed("name=\"x\0\"")),
        ("a folded line", part("Content-Disposition: form-data;\r\n name=\"x\"")),
        ("no head", "--b\r\n\r\nx\r\n--b--\r\n".to_owned()),
        ("a line without a colon", part("Content-Disposition form-data; name=\"x\"")),
        ("a blank before the colon", part("Content-Disposition : form-data; name=\"x\"")),
        ("an attachment", part("Content-Disposition: attachment; name=\"x\"")),
        ("no disposition", part("Content-Type: audio/wav")),
        (
            "two of them",
            part("Content-Disposition: form-data; name=\"x\"\r\ncontent-disposition: form-data; name=\"y\""),
        ),
        (
            "two types",
            part("Content-Disposition: form-data; name=\"x\"\r\nContent-Type: a/b\r\nContent-Type: a/c"),
        ),
        ("an unknown header", part("Content-Disposition: form-data; name=\"x\"\r\nX-Other: 1")),
        ("base64", part("Content-Disposition: form-data; name=\"x\"\r\nContent-Transfer-Encoding: base64")),
        (
            "a form in a form",
            part("Content-Disposition: form-data; name=\"x\"\r\nContent-Type: multipart/mixed; boundary=b"),
        ),
        ("a type that is none", part("Content-Disposition: form-data; name=\"x\"\r\nContent-Type: audio")),
        ("a length that is none", part("Content-Disposition: form-data; name=\"x\"\r\nContent-Length: -1")),
        ("no name", disposed("filename=\"x\"")),
        ("an empty name", disposed("name=\"\"")),
        ("two names", disposed("name=\"x\"; name=\"y\"")),
        ("two file names", disposed("name=\"x\"; filename=\"a\"; filename=\"b\"")),
        ("a second kind of file name", disposed("name=\"x\"; filename*=utf-8''a")),
        ("an unknown parameter", disposed("name=\"x\"; size=1")),
        ("an open quote", disposed("name=\"x")),
        ("a lone backslash", disposed("name=\"a\\b\"")),
        ("an escaped end", disposed("name=\"x\\\"")),
        ("text behind a quote", disposed("name=\"x\"y")),
        ("a name of two words", disposed("name=x y")),
        ("an empty parameter", disposed("name=\"x\";")),
        ("two semicolons", disposed("name=\"x\";; filename=\"y\"")),
        ("blanks around the sign", disposed("name = \"x\"")),
        (
            "a head without an end",
            format!("--b\r\nContent-Disposition: form-data; name=\"{}\"", "x".repeat(3000)),
        ),
        ("a long head", disposed(&format!("name=\"{}\"", "x".repeat(2100)))),
        ("17 parts", format!("{}--b--\r\n", FIELD.repeat(17))),
        ("nothing", String::new()),
        ("no part", "--b".to_owned()),
    ] {
        for piece_bytes in [1, 7, form.len()] {
            assert_eq!(read(form.as_bytes(), piece_bytes), None, "{what}: {form:?}");
        }
    }
    let latin =
        [b"--b\r\nContent-Disposition: form-data; name=\"\xe9\"\r\n\r\nx\r\n--b--\r\n".as_slice()].concat();
    assert_eq!(read(&latin, 99), None, "names are UTF-8");
}

#[test]
fn one_boundary_is_found_or_none() {
    let of = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        boundary(&headers).ok()
    };
    assert_eq!(of("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
    assert_eq!(of("Multipart/Form-Data;boundary=\"a b:c\"").as_deref(), Some("a b:c"));
    assert_eq!(of(&format!("multipart/form-data; boundary={}", "x".repeat(70))).map(|b| b.len()), Some(70));
    for wrong in [
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=abc",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"abc \"",
        "multipart/form-data; boundary=a;boundary=b",
        "multipart/form-data; boundary=abc; charset=utf-8",
        "multipart/form-data; boundary=abc;",
        "multipart/form-data; boundary=a@b",
        "multipart/form-data; boundary*=utf-8''abc",
        "multipart/form-data, multipart/form-data; boundary=abc",
    ] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
    assert_eq!(of(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    let mut two = HeaderMap::new();
    two.append(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=a"));
    two.append(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=b"));
    assert!(boundary(&two).is_err());
}

proptest! {
    #[test]
    fn any_content_comes_through(content in "(\r\n|--|b|-|\r|x){0,40}", piece_bytes in 1_usize..50) {
        prop_assume!(!content.contains("\r\n--b") && !format!("\r\n{content}").contains("\r\n--b--"));
        let form = format!("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{content}\r\n--b--");
        let parts = read(form.as_bytes(), piece_bytes);
        prop_assert_eq!(parts.map(|parts| parts[0].1.clone()), Some(content.into_bytes()));
    }
}
