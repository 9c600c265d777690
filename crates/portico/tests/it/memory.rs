//! Memory of one large call: what is on its way is held once, not copied about.

use testkit::portico::Portico;
use testkit::scripted::Scripted;

use crate::setup::{CHAT, Setup};

const MIB: usize = 1 << 20;
const EMBEDDINGS: &str = "/v1/embeddings";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A line of `/proc/PID/status`, in bytes.
fn status(portico: &Portico, name: &str) -> u64 {
    let path = format!("/proc/{}/status", portico.process().id());
    let text = std::fs::read_to_string(path).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
    let kib = line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().expect("a number");
    kib * 1024
}

/// Base64 of a PNG with so many bytes of pixels, every ninth of which is `ninth`, and a text if there is one.
fn large_png(bytes: usize, ninth: u8, text: &[u8]) -> String {
    let small = testkit::image::png([1, 2, 3], 64, 64);
    let text = if text.is_empty() { Vec::new() } else { crate::hostile_pictures::png_chunk(b"tEXt", text) };
    let pixels: Vec<u8> = (0..bytes).map(|at| if at % 9 == 0 { ninth } else { 0 }).collect();
    let pixels = crate::hostile_pictures::png_chunk(b"IDAT", &pixels);
    testkit::image::base64(&[&small[..33], &text, &pixels, &small[small.len() - 12..]].concat())
}

/// Megabytes in every spelling that a client may choose (less of those with escapes, over which a build for tests is
/// slow): the highest memory of the process, above what it had before, stays
/// below 2.2 times the body.
#[tokio::test]
async fn a_large_call_takes_little_more_than_its_body() {
    let scripted = Scripted::start().await;
    let picture = |data: &str| {
        format!(
            r#"{{"model":"scripted","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
        )
    };
    // An embedding's answer is small.
    let text = |content: &str| format!(r#"{{"model":"scripted","input":"{content}"}}"#);
    for (name, path, body) in [
        ("a picture", CHAT, picture(&large_png(14 * MIB, 0, b""))),
        ("a picture with texts in it", CHAT, picture(&large_png(14 * MIB, 0, b"Author\0somebody"))),
        ("a picture with escaped slashes", CHAT, picture(&large_png(4 * MIB, 0x3f, b"").replace('/', r"\/"))),
        ("plain text", EMBEDDINGS, text(&"word ".repeat(4 * MIB))),
        ("text with escapes", EMBEDDINGS, text(&r"line\n".repeat(6 * MIB / 6))),
        ("Chinese in escapes", EMBEDDINGS, text(&r"\u4e2d\u6587".repeat(6 * MIB / 12))),
    ] {
        let portico = Setup::before(&scripted).start().await;
        // The program itself comes into memory as it is used.
        let small = if path == CHAT { picture(&large_png(1000, 0x3f, b"")) } else { text("word") };
        portico.once("POST", path, &[JSON], small.as_bytes()).await;
        let before = status(&portico, "VmRSS:");
        let answer = portico.once("POST", path, &[JSON], body.as_bytes()).await;
        assert_eq!(answer.head.status, 200, "{name}: {}", answer.text());
        let grown = status(&portico, "VmHWM:") - before;
        let times = grown as f64 / body.len() as f64;
        assert!(times < 2.2, "{name}: {times:.2} times its {} bytes", body.len());
    }
}

/// A file that is sent on while it comes is not held.
#[tokio::test]
async fn an_upload_of_60_mib_takes_a_few() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[policy]\nendpoints = [\"transcriptions\"]").start().await;
    let field = |head: &str, content: &[u8]| {
        [format!("--b\r\nContent-Disposition: form-data; name={head}\r\n\r\n").as_bytes(), content, b"\r\n"]
            .concat()
    };
    let sound = [&b"OggS\0"[..], &vec![b'x'; 60 * MIB]].concat();
    let (model, file) = (field("model", b"scripted"), field("file; filename=a.ogg", &sound));
    let kind = ("Content-Type", "multipart/form-data; boundary=b");
    let before = status(&portico, "VmRSS:");
    let body = [&model[..], &file, b"--b--\r\n"].concat();
    let answer = portico.once("POST", "/v1/audio/transcriptions", &[kind], &body).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let grown = status(&portico, "VmHWM:") - before;
    assert!(grown < 8 * MIB as u64, "{grown} bytes");
    // With the model behind the file it has to be held, once.
    let body = [&file[..], &model, b"--b--\r\n"].concat();
    let answer = portico.once("POST", "/v1/audio/transcriptions", &[kind], &body).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let times = (status(&portico, "VmHWM:") - before) as f64 / body.len() as f64;
    assert!(times < 2.2, "{times:.2} times its bytes");
}

/// Without an announced length, too.
#[tokio::test]
async fn a_large_call_in_chunks_takes_little_more_than_its_body() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let body = format!(r#"{{"model":"scripted","input":"{}"}}"#, "word ".repeat(4 * MIB));
    let before = status(&portico, "VmRSS:");
    let mut connection = portico.connect().await;
    connection
        .request("POST", EMBEDDINGS, &[JSON, ("Transfer-Encoding", "chunked")], b"")
        .await
        .expect("sent");
    for piece in body.as_bytes().chunks(100_000) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        connection.send(chunk).await.expect("sent");
    }
    connection.send("0\r\n\r\n").await.expect("sent");
    assert_eq!(connection.answer().await.expect("an answer").head.status, 200);
    let times = (status(&portico, "VmHWM:") - before) as f64 / body.len() as f64;
    assert!(times < 2.2, "{times:.2} times its {} bytes", body.len());
}

/// What an earlier body has left resident is only given to who is counted for all of it.
#[tokio::test]
async fn who_announces_much_and_sends_little_gathers_no_memory() {
    const MOST_KEPT_BYTES: u64 = 8 * MIB as u64;
    let scripted = Scripted::start().await;
    let limits = "[limits]\nbody = \"1MiB\"\nbody_total = \"4MiB\"\n[timeouts]\nrequest_body_idle = \"5m\"";
    let portico = Setup::before(&scripted).with(limits).start().await;
    let body = format!(r#"{{"model":"scripted","input":"{}"}}"#, "A".repeat(1_000_000));
    let length = body.len().to_string();
    let before = status(&portico, "VmRSS:");
    // One connection, so that one thread keeps what the body has left.
    let mut honest = portico.connect().await;
    let mut liars = Vec::new();
    for _ in 0..64 {
        honest.request("POST", EMBEDDINGS, &[JSON], body.as_bytes()).await.expect("sent");
        if honest.answer().await.expect("an answer").head.status != 200 {
            break;
        }
        let mut liar = portico.connect().await;
        liar.request("POST", EMBEDDINGS, &[JSON, ("Content-Length", &length)], b"{").await.expect("sent");
        liars.push(liar);
        // By then the thread, if it is the same, has seen what came before.
        for _ in 0..2 {
            honest.request("GET", "/health", &[], b"").await.expect("sent");
            honest.answer().await.expect("an answer");
        }
    }
    let grown = status(&portico, "VmRSS:") - before;
    let most = 4 * MIB as u64 + MOST_KEPT_BYTES;
    assert!(grown < most, "{grown} bytes for {} who lie", liars.len());
}
