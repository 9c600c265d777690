//! A load generator that checks every answer and reads the CPU time of what it loads, on one thread.
//!
//! `load MODE --target ADDRESS [options]`, MODE one of:
//! - `json`: plain calls over `--connections` kept connections;
//! - `sse`: `--connections` streams of `--rate` events a second each, 0 for as fast as it goes;
//! - `upload`: calls with a picture, the body `--mib` MiB;
//! - `newconn`: plain calls, each over a connection of its own;
//! - `handshake`: `GET /health`, each over a connection of its own.
//!
//! Plain calls (`json`, `newconn`) carry what `--authorization` gives, if anything. With `--tls x25519` or `--tls hybrid` all of it over TLS 1.3, see `stream`.
//!
//! After a warm-up comes the window of `--seconds`: what finishes in it counts, and the process tree of `--cpu-of` is
//! read at its two ends. `--beside` is a process (the mock) that is known to work too; CPU time that is neither's is
//! reported as foreign. One JSON object is printed; the exit code is 1 when any answer was wrong.

mod exchange;
mod modes;
mod picture;
mod stream;
mod tally;
mod window;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use portico_bench::args::Args;
use tokio::task::LocalSet;

use crate::modes::{Mode, Plan};
use crate::stream::{Dialer, KeyExchange};
use crate::tally::Shared;

const OPTIONS: &[&str] = &[
    "target",
    "connections",
    "seconds",
    "warmup",
    "rate",
    "mib",
    "model",
    "authorization",
    "cpu-of",
    "beside",
    "patience",
    "tls",
];

fn main() -> ExitCode {
    match Args::read(std::env::args().skip(1), OPTIONS).and_then(|args| run(&args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool, String> {
    let plan = plan(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let shared = Rc::new(Shared::default());
    let dialer = Rc::new(Dialer::new(plan.target, plan.tls)?);
    let before = window::memory(&plan)?;
    let measured = LocalSet::new().block_on(&runtime, async {
        let clients = modes::start(&plan, &dialer, &shared);
        let measured = window::measure(&plan, &shared, before).await;
        window::finish(&plan, &shared, clients).await;
        measured
    })?;
    let (report, fine) = shared.report(&plan, &measured);
    println!("{report}");
    Ok(fine)
}

fn plan(args: &Args) -> Result<Plan, String> {
    let mode = match args.words.as_slice() {
        [word] => Mode::named(word)?,
        _ => return Err(format!("one mode wanted, of {}", Mode::NAMES)),
    };
    let pid = |name| match args.value(name, 0_u32) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some(pid)),
        Err(error) => Err(error),
    };
    let target: SocketAddr = args.text("target", "").parse().map_err(|_| "--target: ADDRESS:PORT wanted")?;
    let seconds: f64 = args.value("seconds", 3.0)?;
    let warmup: f64 = args.value("warmup", 0.5)?;
    let patience: f64 = args.value("patience", 10.0)?;
    for (name, value, most) in
        [("seconds", seconds, 600.0), ("warmup", warmup, 60.0), ("patience", patience, 600.0)]
    {
        if !(0.05..=most).contains(&value) {
            return Err(format!("--{name}: between 0.05 and {most}"));
        }
    }
    let tls = match args.text("tls", "").as_str() {
        "" => None,
        name => Some(KeyExchange::named(name)?),
    };
    let plan = Plan {
        mode,
        target,
        tls,
        connections: args.value("connections", 64)?,
        seconds: Duration::from_secs_f64(seconds),
        warmup: Duration::from_secs_f64(warmup),
        rate: args.value("rate", 50)?,
        mib: args.value("mib", 4)?,
        model: args.text("model", "bench"),
        authorization: Some(args.text("authorization", "")).filter(|value| !value.is_empty()),
        measured_pid: pid("cpu-of")?,
        beside_pid: pid("beside")?,
        patience: Duration::from_secs_f64(patience),
    };
    if !(1..=10_000).contains(&plan.connections) || plan.rate > 10_000 || !(1..=64).contains(&plan.mib) {
        return Err("--connections 1 to 10000, --rate 0 to 10000, --mib 1 to 64".to_owned());
    }
    Ok(plan)
}
