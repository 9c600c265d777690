use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    body_bytes: 0,
    body_total_bytes: 0,
    header_bytes: 200,
    header_count: 5,
    target_bytes: 40,
    json_depth: 64,
};

fn judged(head: &str) -> Result<Verdict, Fault> {
    Head::default().judge(head.as_bytes(), Bounds::new(&LIMITS))
}

/// The framing of a good head, or the status of a bad one.
fn verdict(head: &str) -> Result<Framing, u16> {
    match judged(head) {
        Ok(Verdict::Whole { head_bytes, framing }) => {
            assert_eq!(head_bytes, head.len(), "{head:?}");
            Ok(framing)
        }
        Ok(Verdict::Unfinished) => Err(0),
        Err(fault) => Err(fault.reason.status().as_u16()),
    }
}

#[test]
fn request_lines_have_one_form() {
    let with = |line: &str| verdict(&format!("{line}\r\nHost: a\r\n\r\n"));
    for line in [
        "GET / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET //v1/x HTTP/1.1",
        "post /x?y=/z?&[]{}|\\^` HTTP/1.1",
        "M-SEARCH /\\[]{}|^ HTTP/1.1",
        "CONNECT / HTTP/1.1",
    ] {
        assert_eq!(with(line), Ok(Framing::None), "{line:?}");
    }
    for line in [
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET / x HTTP/1.1",
        "GET /HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/01.1",
        "GET / HTTPS/1.1",
        "GET http://a/ HTTP/1.1",
        "GET a/ HTTP/1.1",
        "GET @evil HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:443 HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET /é HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "G(T / HTTP/1.1",
        "AAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        assert_eq!(with(line), Err(400), "{line:?}");
    }
    assert_eq!(with(&format!("GET /{} HTTP/1.1", "x".repeat(40))), Err(414));
}

#[test]
fn fields_have_one_form() {
    let with = |fields: &str| verdict(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
    for (fields, wanted) in [
        ("X: y", Ok(Framing::None)),
        ("X:", Ok(Framing::None)),
        ("X:y\t z \t", Ok(Framing::None)),
        ("X: é", Ok(Framing::None)),
        ("x_forwarded_for: 1.2.3.4", Ok(Framing::None)),
        ("Connection: upgrade, host\r\nUpgrade: h2c", Ok(Framing::None)),
        ("Content-Length: 0", Ok(Framing::None)),
        ("content-LENGTH:\t007 ", Ok(Framing::Length(7))),
        ("Content-Length: 9999999999999999999", Ok(Framing::Length(9_999_999_999_999_999_999))),
        ("Transfer-Encoding: Chunked", Ok(Framing::Chunked)),
        ("Expect: 100-Continue", Ok(Framing::None)),
        ("X : y", Err(400)),
        ("X y", Err(400)),
        (": y", Err(400)),
        (" X: y", Err(400)),
        ("X: y\r\n z", Err(400)),
        ("X(: y", Err(400)),
        ("é: y", Err(400)),
        ("X: a\0b", Err(400)),
        ("X: a\u{b}b", Err(400)),
        ("X: a\rb", Err(400)),
        ("X: a\nb: c", Err(400)),
        ("host: a", Err(400)),
        ("Content-Length: 1\r\nContent-Length: 1", Err(400)),
        ("Content-Length: 1, 1", Err(400)),
        ("Content-Length: +1", Err(400)),
        ("Content-Length: -1", Err(400)),
        ("Content-Length: 0x1", Err(400)),
        ("Content-Length: 1 1", Err(400)),
        ("Content-Length: ", Err(400)),
        ("Content-Length: 99999999999999999999", Err(400)),
        ("Content_Length: 1", Err(400)),
        ("Transfer_Encoding: chunked", Err(400)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1", Err(400)),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", Err(400)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(400)),
        ("Transfer-Encoding: chunked, chunked", Err(400)),
        ("Transfer-Encoding: identity", Err(400)),
        ("Transfer-Encoding: gzip, chunked", Err(400)),
        ("Transfer-Encoding: \"chunked\"", Err(400)),
        ("Transfer-Encoding:", Err(400)),
        ("Expect: 200-ok", Err(417)),
        ("Expect: 100-continue\r\nExpect: 100-continue", Err(417)),
        ("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5", Err(431)),
        (&format!("X: {}", "y".repeat(200)), Err(431)),
    ] {
        assert_eq!(with(fields), wanted, "{fields:?}");
    }
    assert_eq!(verdict("GET / HTTP/1.1\r\n\r\n"), Err(400), "no Host");
    assert_eq!(verdict("GET / HTTP/1.1\r\nHost: \r\n\r\n"), Err(400), "an empty one");
    assert_eq!(verdict("GET / HTTP/1.0\r\n\r\n"), Ok(Framing::None));
    assert_eq!(verdict("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
    assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
}

#[test]
fn one_empty_line_may_come_first() {
    assert_eq!(verdict("\r\nGET / HTTP/1.0\r\n\r\n"), Ok(Framing::None));
    assert_eq!(verdict("\r\n\r\nGET / HTTP/1.0\r\n\r\n"), Err(400));
    assert_eq!(verdict("\nGET / HTTP/1.0\r\n\r\n"), Err(400));
    assert_eq!(verdict("\r"), Err(0), "its line feed may come");
}

#[test]
fn what_is_wrong_already_is_not_waited_for() {
    for (head, wanted) in [
        ("GE", 0),
        ("GET /x HTTP", 0),
        ("GET / HTTP/1.1\r\nHos", 0),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r", 0),
        ("\u{16}\u{3}\u{1}", 400),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 400),
        ("GET / HTTP/1.1 and more", 400),
        ("GET / HTTP/1.1\nHost", 400),
        ("GET / HTTP/1.1\r\nX: \0", 400),
        (&format!("GET /{}", "x".repeat(40)), 414),
        (&format!("GET / HTTP/1.1\r\n{}", "x".repeat(201)), 431),
    ] {
        assert_eq!(verdict(head), Err(wanted), "{head:?}");
    }
}

proptest! {
    /// However a head is cut into reads, it is judged alike, and at the latest when it is whole.
    #[test]
    fn where_the_reads_are_cut_makes_no_difference(
        head in "(\r\n)?(GET|POST|P ST) /[a-z]{0,3} HTTP/1\\.[01]\r?\n(Host: a\r\n)?((X|Content-Length|Expect) ?: ?[0-9a-z]{0,3}\r?\n){0,3}\r\n",
        cuts in prop::collection::vec(0_usize..80, 0..6),
    ) {
        let bytes = head.as_bytes();
        let bounds = Bounds::new(&LIMITS);
        let whole = Head::default().judge(bytes, bounds);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut head = Head::default();
        let mut cut = Ok(Verdict::Unfinished);
        for end in cuts {
            cut = head.judge(&bytes[..end], bounds);
            if cut != Ok(Verdict::Unfinished) {
                break;
            }
        }
        // Which rule was broken first may differ.
        prop_assert_eq!(cut.ok(), whole.ok());
    }
}
