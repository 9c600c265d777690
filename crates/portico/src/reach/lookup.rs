//! Questions to the DNS, each bounded, each at once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::LOOK;
use super::caa::{Level, Record};
use super::finding::{Failure, Zone};
use super::judge::Found;

/// One question is sent twice within [`LOOK`].
const ATTEMPT: Duration = Duration::from_millis(900);
/// Of a name; deeper ones are cut at the bottom, and no real name comes near.
const MOST_LEVELS: usize = 12;

/// Asks anew each time: nothing is remembered between two looks.
#[derive(Clone)]
pub(super) struct Lookup {
    /// `None`: this machine has no resolver that could be asked.
    resolver: Option<TokioResolver>,
}

impl Lookup {
    /// By the system's resolvers, or by this one alone.
    pub(super) fn new(server: Option<SocketAddr>) -> Self {
        let builder = match server {
            Some(server) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                let server = NameServerConfig::new(server.ip(), true, connections);
                let config = ResolverConfig::from_name_servers(vec![server]);
                Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
            }
            None => TokioResolver::builder_tokio(),
        };
        let resolver = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = ATTEMPT;
            options.attempts = 1;
            options.cache_size = 0;
            // What this machine calls itself is nothing that others see.
            options.use_hosts_file = ResolveHosts::Never;
            builder.build()
        });
        Self { resolver: resolver.ok() }
    }

    pub(super) async fn v4(&self, name: &str) -> Found<Ipv4Addr> {
        self.ask(name, RecordType::A, |data| if let RData::A(a) = data { Some(a.0) } else { None }).await
    }

    pub(super) async fn v6(&self, name: &str) -> Found<Ipv6Addr> {
        self.ask(name, RecordType::AAAA, |data| if let RData::AAAA(a) = data { Some(a.0) } else { None })
            .await
    }

    /// The CAA records of the name and of everything above it, but the root.
    pub(super) async fn caa(&self, name: &str) -> Vec<Level> {
        let read = |data: &RData| match data {
            RData::CAA(caa) => Some(Record {
                critical: caa.issuer_critical,
                tag: caa.tag.clone(),
                value: String::from_utf8_lossy(&caa.value).into_owned(),
            }),
            _ => None,
        };
        let levels = self.climb(name, 1, RecordType::CAA, read).await;
        levels.into_iter().map(|(at, records)| Level { at, records }).collect()
    }

    /// The nearest zone that says who its servers are.
    pub(super) async fn zone(&self, name: &str) -> Option<Zone> {
        let read = |data: &RData| match data {
            RData::NS(ns) => Some(ns.0.to_ascii().trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        };
        let levels = self.climb(name, 2, RecordType::NS, read).await;
        levels.into_iter().find_map(|(name, found)| match found {
            Found::Records(servers) => Some(Zone { name, servers }),
            Found::Nothing | Found::NoSuchName | Found::Failed(_) => None,
        })
    }

    /// One question for the name and for each above it that has so many labels, all at once; from the bottom.
    async fn climb<T: Send + 'static>(
        &self,
        name: &str,
        fewest_labels: usize,
        record: RecordType,
        read: fn(&RData) -> Option<T>,
    ) -> Vec<(String, Found<T>)> {
        let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
        let highest = labels.len().saturating_sub(fewest_labels);
        let lowest = labels.len().saturating_sub(MOST_LEVELS);
        let mut asking = JoinSet::new();
        for start in lowest..=highest {
            let (lookup, at) = (self.clone(), labels[start..].join("."));
            asking.spawn(async move {
                let found = lookup.ask(&at, record, read).await;
                (start, at, found)
            });
        }
        let mut levels = Vec::new();
        while let Some(asked) = asking.join_next().await {
            levels.extend(asked);
        }
        levels.sort_by_key(|(start, ..)| *start);
        levels.into_iter().map(|(_, at, found)| (at, found)).collect()
    }

    async fn ask<T>(&self, name: &str, record: RecordType, read: impl Fn(&RData) -> Option<T>) -> Found<T> {
        let Some(resolver) = &self.resolver else { return Found::Failed(Failure::Other) };
        // The dot at the end: no search list of the box makes another name of it.
        let absolute = format!("{}.", name.trim_end_matches('.'));
        match timeout(LOOK, resolver.lookup(absolute, record)).await {
            Err(_) => Found::Failed(Failure::TimedOut),
            Ok(Err(error)) => absent(&error),
            Ok(Ok(answer)) => {
                let records: Vec<T> =
                    answer.answers().iter().filter_map(|record| read(&record.data)).collect();
                if records.is_empty() { Found::Nothing } else { Found::Records(records) }
            }
        }
    }
}

/// Why there are no records.
fn absent<T>(error: &NetError) -> Found<T> {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Timeout => return Found::Failed(Failure::TimedOut),
        _ => return Found::Failed(Failure::Other),
    };
    match code {
        ResponseCode::NoError => Found::Nothing,
        ResponseCode::NXDomain => Found::NoSuchName,
        ResponseCode::ServFail => Found::Failed(Failure::ServFail),
        ResponseCode::Refused => Found::Failed(Failure::Refused),
        _ => Found::Failed(Failure::Other),
    }
}
