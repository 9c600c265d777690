//! An order while nobody runs: this process listens for as long as it takes, and answers challenges and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{Certificates, NotRenewed, Wanted};
use crate::acme::{Driver, Outcome};
use crate::certificate::Challenges;
use crate::config::Config;
use crate::types::{Text, text};

/// Whoever is not done by then is no certificate authority.
const ANSWER_TIME: Duration = Duration::from_secs(10);
const MOST_HEAD_BYTES: u64 = 8 * 1024;

/// Why it could not be tried.
#[derive(Debug)]
pub(crate) enum NotTried {
    Renewal(NotRenewed),
    Other(Text),
}

/// Blocks until the CA has signed or refused.
pub(crate) fn renew_alone(config: &Config, dry_run: bool) -> Result<Outcome, NotTried> {
    let Some(Wanted::FromAuthority(settings)) = Wanted::of(config).filter(|_| config.has_https()) else {
        return Err(NotTried::Renewal(NotRenewed::NotOrdered));
    };
    let certificates = Certificates::open(config).map_err(NotTried::Other)?;
    let tls = certificates.server_config(config).map_err(NotTried::Other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        NotTried::Other(text!("threads can't be started: {error}", "无法启动线程:{error}"))
    })?;
    runtime.block_on(async {
        let mut answering = JoinSet::new();
        for address in &config.listen.http {
            let (listener, challenges) = (listen(*address).await?, certificates.challenges());
            answering.spawn(accept(listener, move |stream| answer_http(stream, challenges.clone())));
        }
        for address in &config.listen.https {
            let (listener, tls) = (listen(*address).await?, tls.clone());
            answering.spawn(accept(listener, move |stream| answer_tls(stream, tls.clone())));
        }
        let (driver, _status, _wishes) = Driver::new(*settings, certificates.edge.resolver());
        Ok(driver.once(dry_run).await)
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, NotTried> {
    TcpListener::bind(address).await.map_err(|error| {
        NotTried::Other(text!(
            "Portico does not run, and this command can't listen on {address} for the authority's questions: {error}. Start it with `portico run`, or try as root.",
            "Portico 没有运行,而本命令无法监听 {address} 以应答颁发机构:{error}。请用 `portico run` 启动,或以 root 重试。"
        ))
    })
}

async fn accept<F>(listener: TcpListener, answer: impl Fn(TcpStream) -> F)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let mut live = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                live.spawn(tokio::time::timeout(ANSWER_TIME, answer(stream)));
            }
            Some(_) = live.join_next() => {}
        }
    }
}

/// A challenge that is pending, or 404.
async fn answer_http(mut stream: TcpStream, challenges: Arc<Challenges>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut limited = (&mut stream).take(MOST_HEAD_BYTES);
    while !head.ends_with(b"\r\n\r\n") && limited.read_buf(&mut head).await? > 0 {}
    let line = String::from_utf8_lossy(&head);
    let path = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let (status, body) = match challenges.http(path) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The handshake is all there is to see.
async fn answer_tls(stream: TcpStream, tls: Arc<ServerConfig>) -> std::io::Result<()> {
    TlsAcceptor::from(tls).accept(stream).await?.shutdown().await
}
