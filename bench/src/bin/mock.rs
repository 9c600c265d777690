//! A model server that costs next to nothing: raw tokio and httparse on one thread, so that on a small machine the
//! CPU goes to what is measured. It answers in the API's shapes; what it says is made for `load` to check.
//!
//! `mock [--listen 127.0.0.1:0] [--model bench]` prints its address and serves until it is ended.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portico_bench::args::Args;
use portico_bench::shape::{self, Ask, EventTemplate, Picture};
use portico_bench::wire::{Connection, WireError};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};

struct Mock {
    model: String,
    models: Vec<u8>,
    /// Streams begun so far; decides the phase of the next.
    streams: AtomicU64,
}

fn main() -> ExitCode {
    let served = Args::read(std::env::args().skip(1), &["listen", "model"]).and_then(|args| serve(&args));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mock: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve(args: &Args) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let address = args.text("listen", "127.0.0.1:0");
    let model = args.text("model", "bench");
    let listed = format!(
        "{{\"object\":\"list\",\"data\":[{{\"id\":\"{model}\",\"object\":\"model\",\"created\":1790000000,\
         \"owned_by\":\"mock\",\"max_model_len\":32768}}]}}"
    );
    let mut models = Vec::new();
    shape::respond(&mut models, "200 OK", listed.as_bytes());
    let mock = Arc::new(Mock { model, models, streams: AtomicU64::new(0) });
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let listener = TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))?;
        let bound = listener.local_addr().map_err(|error| error.to_string())?;
        let mut out = io::stdout();
        writeln!(out, "{bound}").and_then(|()| out.flush()).map_err(|error| error.to_string())?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(converse(stream, Arc::clone(&mock)))),
                // Out of descriptors: those that are open will close.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    })
}

/// A client that goes away is none of the mock's business; one that sends rubbish is worth a line.
async fn converse(stream: TcpStream, mock: Arc<Mock>) {
    if let Err(WireError::Malformed(what)) = answer_all(stream, &mock).await {
        eprintln!("mock: {what}");
    }
}

async fn answer_all(stream: TcpStream, mock: &Mock) -> Result<(), WireError> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    let mut body = Vec::new();
    let mut out = Vec::with_capacity(2048);
    while let Some(head) = connection.read_request(&mut body).await? {
        let path = head.path.split('?').next().unwrap_or_default();
        match (head.method.as_str(), path) {
            ("POST", "/v1/chat/completions") => {
                let ask = Ask::read(&body);
                if ask.stream {
                    stream_events(&mut connection.stream, mock, ask, &mut out).await?;
                } else {
                    shape::answer(&mut out, &mock.model, ask.seed, Picture::in_body(&body));
                    connection.stream.write_all(&out).await?;
                }
            }
            ("GET", "/v1/models") => connection.stream.write_all(&mock.models).await?,
            ("GET", "/health") => {
                shape::respond(&mut out, "200 OK", b"{}");
                connection.stream.write_all(&out).await?;
            }
            _ => {
                shape::respond(&mut out, "404 Not Found", b"{\"error\":{\"message\":\"no such path here\"}}");
                connection.stream.write_all(&out).await?;
            }
        }
        if head.close {
            connection.stream.shutdown().await?;
            return Ok(());
        }
    }
    Ok(())
}

/// The first event at once, so that the time to it is the proxy's and not a timer's; the others on a grid of their
/// own. Each event is one write and one chunk, as a model server sends them; as fast as it goes, many share a write.
async fn stream_events(stream: &mut TcpStream, mock: &Mock, ask: Ask, out: &mut Vec<u8>) -> io::Result<()> {
    let mut event = EventTemplate::new(&mock.model, "null");
    let mut last = EventTemplate::new(&mock.model, "\"stop\"");
    let begin = Instant::now();
    let phase = phase(mock.streams.fetch_add(1, Ordering::Relaxed));
    out.clear();
    out.extend_from_slice(shape::STREAM_HEAD);
    for number in 0..ask.max_tokens {
        if ask.seed > 0 && number > 0 {
            let at = (phase + (number - 1) as f64) / ask.seed as f64;
            sleep_until(begin + Duration::from_secs_f64(at)).await;
        }
        if number + 1 == ask.max_tokens {
            last.append(number, out)
        } else {
            event.append(number, out)
        }
        if ask.seed > 0 || out.len() > 16 * 1024 {
            stream.write_all(out).await?;
            out.clear();
        }
    }
    if ask.include_usage {
        out.extend_from_slice(&shape::usage_event(&mock.model, ask.max_tokens));
    }
    out.extend_from_slice(&shape::chunk(shape::DONE));
    out.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(out).await
}

/// Where in the interval between two events a stream's events lie: 0 to 1, spread evenly for any number of streams
/// (multiples of the golden ratio), where chance would leave clusters that differ from run to run.
fn phase(stream: u64) -> f64 {
    (stream as f64 * 0.618_033_988_749_895).fract()
}
