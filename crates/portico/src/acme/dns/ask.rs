//! Questions about names: to one name server, or to the system's resolver.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use dns_update::providers::rfc2136::DnsAddress;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::client::{Client, ClientHandle};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::DnsMultiplexer;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::provider::socket;

/// Of one try; two over UDP, then one over TCP.
const TRY_TIME: Duration = Duration::from_secs(2);

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// The zone that the answer comes from, where the answer says it.
    pub(super) zone: Option<Name>,
}

/// Whoever is asked. An authoritative server that is named in the credentials comes first: it knows its own zones
/// before all others do, and may be all that can be reached.
pub(super) struct Names {
    pub(super) server: Option<DnsAddress>,
    system: OnceLock<Result<TokioResolver, String>>,
}

impl Names {
    pub(super) fn new(server: Option<DnsAddress>) -> Self {
        Self { server, system: OnceLock::new() }
    }

    /// The error is for people. A name that is not there is no error.
    pub(super) async fn look_up(&self, name: &Name, kind: RecordType) -> Result<Found, String> {
        if let Some(server) = self.server
            && let Ok(answer) = ask(server, name, kind).await
        {
            return Ok(Found::of(answer.answers, &answer.authorities));
        }
        let system = self.system.get_or_init(|| system().map_err(|error| error.to_string())).as_ref()?;
        match system.lookup(name.clone(), kind).await {
            Ok(found) => Ok(Found::of(found.answers().to_vec(), found.authorities())),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                Ok(Found { records: Vec::new(), zone: none.soa.map(|start| start.name) })
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) async fn addresses(&self, name: &Name) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            // One of both is as good as both.
            let Ok(found) = self.look_up(name, kind).await else { continue };
            addresses.extend(found.records.iter().filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            }));
        }
        addresses
    }
}

impl Found {
    fn of(records: Vec<Record>, authorities: &[Record]) -> Self {
        let mut all = records.iter().chain(authorities);
        let zone = all.find(|record| record.record_type() == RecordType::SOA).map(|start| start.name.clone());
        Self { records, zone }
    }
}

fn system() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    // Nothing is asked twice, and what was not there a moment ago may be.
    builder.options_mut().cache_size = 0;
    builder.build()
}

/// The name server's own answer: one that is not its own (RFC 1035, 4.1.1: AA), or none, is an error.
pub(super) async fn ask(server: DnsAddress, name: &Name, kind: RecordType) -> Result<Message, String> {
    let answer = match server {
        DnsAddress::Tcp(address) => over_tcp(address, name, kind).await,
        DnsAddress::Udp(address) => match over_udp(address, name, kind).await {
            Ok(answer) if !answer.metadata.truncation => Ok(answer),
            _ => over_tcp(address, name, kind).await,
        },
    };
    let answer = answer.map_err(|error| error.to_string())?;
    let code = answer.metadata.response_code;
    match code {
        ResponseCode::NoError | ResponseCode::NXDomain if answer.metadata.authoritative => Ok(answer),
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let address = socket(server);
            Err(format!("{address} is no name server of {name}"))
        }
        _ => Err(code.to_string()),
    }
}

async fn over_udp(address: SocketAddr, name: &Name, kind: RecordType) -> Result<Message, NetError> {
    let stream = UdpClientStream::builder(address, TokioRuntimeProvider::new())
        .with_timeout(Some(TRY_TIME * 2))
        .with_retry_interval_floor(u64::try_from(TRY_TIME.as_millis()).unwrap_or(u64::MAX))
        .with_max_retries(1)
        .build();
    let (client, background) = Client::from_sender(stream);
    question(client, background, name, kind).await
}

async fn over_tcp(address: SocketAddr, name: &Name, kind: RecordType) -> Result<Message, NetError> {
    let (stream, sender) = TcpClientStream::new(address, None, Some(TRY_TIME), TokioRuntimeProvider::new());
    let stream = DnsMultiplexer::new(stream.await?, sender).with_timeout(TRY_TIME);
    let (client, background) = Client::from_sender(stream);
    question(client, background, name, kind).await
}

async fn question(
    mut client: Client<TokioRuntimeProvider>,
    background: impl Future<Output = ()>,
    name: &Name,
    kind: RecordType,
) -> Result<Message, NetError> {
    let answer = client.query(name.clone(), DNSClass::IN, kind);
    tokio::pin!(answer, background);
    let mut ended = false;
    loop {
        tokio::select! {
            answer = &mut answer => return answer.map(|answer| answer.into_message()),
            () = &mut background, if !ended => ended = true,
        }
    }
}
