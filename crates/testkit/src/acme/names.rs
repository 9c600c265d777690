//! The name server that Pebble asks: `pebble-challtestsrv`, told what to say while it runs.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    client,
    dns::question::{Kind, ask},
    net::{Address, free_port},
    process::Process,
    programs,
    temporary::Folder,
    wait::{self, SOON},
};

/// Every name is at 127.0.0.1 and has no IPv6 address, unless a test says otherwise. Names are given without the
/// dot at their end. Other people's names are never asked for.
pub struct Names {
    port: u16,
    management: Address,
    // In this order: the process ends before its folder goes.
    process: Process,
    _folder: Folder,
}

/// A CAA record (RFC 8659).
#[derive(Clone, Copy, Debug)]
pub struct Caa<'a> {
    /// `issue`, `issuewild` or `iodef`.
    pub tag: &'a str,
    pub value: &'a str,
}

impl Names {
    pub(super) async fn start() -> Self {
        for _ in 0..super::ATTEMPTS {
            let (port, management_port, folder) = (free_port(), free_port(), Folder::new());
            let mut command = Command::new(programs::need("pebble-challtestsrv"));
            command.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
            command.arg("-dns01").arg(format!("127.0.0.1:{port}"));
            command.arg("-management").arg(format!("127.0.0.1:{management_port}"));
            let process = Process::start(command, "names", folder.path());
            let management = Address::loopback(management_port);
            let names = Self { port, management, process, _folder: folder };
            if names.serves().await {
                return names;
            }
        }
        panic!("pebble-challtestsrv found no free ports in {} attempts", super::ATTEMPTS);
    }

    /// Whether it serves; not where a port was taken, which it survives.
    async fn serves(&self) -> bool {
        wait::until(SOON, "pebble-challtestsrv answers", async || {
            let output = self.process.output();
            if output.contains("address already in use") {
                return Some(false);
            }
            assert_eq!(self.process.exited(), None, "{output}");
            ask(self.address(), "localhost", Kind::A).await.ok()?;
            let answer =
                client::post_json(&self.management, "/clear-txt", &json!({ "host": "localhost." })).await;
            answer.is_ok_and(|answer| answer.head.status == 200).then_some(true)
        })
        .await
    }

    /// Of the name server, UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// In place of 127.0.0.1. Without addresses there is again the default.
    pub async fn set_a(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.tell("clear-a", &json!({ "host": name })).await;
        if !addresses.is_empty() {
            self.tell("add-a", &json!({ "host": name, "addresses": addresses })).await;
        }
    }

    /// In place of none.
    pub async fn set_aaaa(&self, name: &str, addresses: &[Ipv6Addr]) {
        self.tell("clear-aaaa", &json!({ "host": name })).await;
        if !addresses.is_empty() {
            self.tell("add-aaaa", &json!({ "host": name, "addresses": addresses })).await;
        }
    }

    /// For every name without an A record of its own; `None`: such names have none.
    pub async fn set_default_a(&self, address: Option<Ipv4Addr>) {
        let text = address.map(|address| address.to_string()).unwrap_or_default();
        self.tell("set-default-ipv4", &json!({ "ip": text })).await;
    }

    /// Debian's Pebble does not look at them; other clients of the name server do.
    pub async fn set_caa(&self, name: &str, records: &[Caa<'_>]) {
        self.tell("clear-caa", &json!({ "host": name })).await;
        if !records.is_empty() {
            let policies: Vec<_> =
                records.iter().map(|record| json!({ "tag": record.tag, "value": record.value })).collect();
            self.tell("add-caa", &json!({ "host": name, "policies": policies })).await;
        }
    }

    pub async fn set_cname(&self, name: &str, target: &str) {
        self.tell("set-cname", &json!({ "host": name, "target": target })).await;
    }

    /// One more TXT record, such as at `_acme-challenge.example.test`.
    pub async fn add_txt(&self, name: &str, value: &str) {
        self.tell("set-txt", &json!({ "host": format!("{name}."), "value": value })).await;
    }

    pub async fn clear_txt(&self, name: &str) {
        self.tell("clear-txt", &json!({ "host": format!("{name}.") })).await;
    }

    /// Whether every question for the name is answered `SERVFAIL`.
    pub async fn set_servfail(&self, name: &str, fails: bool) {
        let command = if fails { "set-servfail" } else { "clear-servfail" };
        self.tell(command, &json!({ "host": name })).await;
    }

    /// The questions that were asked for the name, as the server records them.
    pub async fn questions(&self, name: &str) -> Vec<Value> {
        let body = self.tell("dns-request-history", &json!({ "host": name })).await;
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn tell(&self, command: &str, body: &Value) -> Vec<u8> {
        match client::post_json(&self.management, &format!("/{command}"), body).await {
            Ok(answer) if answer.head.status == 200 => answer.body,
            Ok(answer) => panic!("challtestsrv's {command} {body}: {}", answer.text()),
            Err(error) => panic!("challtestsrv's {command} {body}: {error}\n{}", self.process.output()),
        }
    }
}
