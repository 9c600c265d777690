//! `[listen]` and `[timeouts]`

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::gather;
use crate::config::checked::{Listen, MetricsAddress, Site, Timeouts};
use crate::config::form;
use crate::config::keys::listen as keys;
use crate::config::problem::{Code, Problem, Spot};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn listen(
    file: &mut Reader<'_, '_, '_>,
    site: Option<&Site>,
    local: Option<bool>,
) -> Option<Listen> {
    let mut reader = file.section("listen");
    // Where the mode can't be told, the closed default stands in; the file is refused anyway.
    let local = local.unwrap_or(true);
    let http = reader.take_or(&keys::HTTP, default_listeners(local, 8080, 80));
    let https_written = reader.is_written(&keys::HTTPS);
    let https = reader.take_or(&keys::HTTPS, default_listeners(local, 8443, 443));
    let admin = admin(&mut reader, site);
    let metrics = reader.take(&keys::METRICS);
    if let (Some(http), Some(https), Some(metrics)) = (&http, &https, &metrics) {
        overlaps(&mut reader, http, https, metrics);
    }
    if let (Some(admin), Some(MetricsAddress::Unix(path))) = (&admin, &metrics)
        && admin == path
    {
        let spot = reader.spot_of(&keys::METRICS);
        reader.judge.push(Problem::error(
            Code::Duplicate,
            &spot,
            text!(
                "`listen.metrics` and `listen.admin` are the same socket",
                "`listen.metrics` 与 `listen.admin` 是同一个套接字"
            ),
        ));
    }
    if let (Some(http), Some(https)) = (&http, &https)
        && http.is_empty()
        && https.is_empty()
    {
        let spot = reader.spot_of(&keys::HTTP);
        reader.judge.push(
            Problem::error(
                Code::Missing,
                &spot,
                text!(
                    "nothing to listen on: `listen.http` and `listen.https` are both empty",
                    "没有监听地址:`listen.http` 和 `listen.https` 都为空"
                ),
            )
            .label(text!(
                "write one address, such as \"127.0.0.1:8080\"",
                "请写一个地址,例如 \"127.0.0.1:8080\""
            )),
        );
    }
    gather!(Listen {
        http: http,
        https: https,
        https_written: Some(https_written),
        admin: admin,
        metrics: metrics,
        trusted_proxies: trusted_proxies(&mut reader),
        proxy_protocol: reader.take(&keys::PROXY_PROTOCOL),
        max_connections: reader.take(&keys::MAX_CONNECTIONS),
        max_connections_per_address: reader.take(&keys::MAX_CONNECTIONS_PER_ADDRESS),
    })
}

fn trusted_proxies(reader: &mut Reader<'_, '_, '_>) -> Option<Vec<ipnet::IpNet>> {
    let proxies = reader.take(&keys::TRUSTED_PROXIES);
    for (index, network) in proxies.iter().flatten().enumerate() {
        if network.prefix_len() == 0 {
            let spot = reader.spot_of_item(&keys::TRUSTED_PROXIES, index);
            reader.judge.push(
                Problem::error(
                    Code::Unsafe,
                    &spot,
                    text!(
                        "{network} is every address: everybody would be believed",
                        "{network} 表示所有地址:任何人都会被采信"
                    ),
                )
                .label(text!("name the proxies", "请写出代理的地址"))
                .why(text!(
                    "whoever is believed can claim any address, and so pass every network rule",
                    "被采信者可以声称任意地址,从而绕过所有网段规则"
                )),
            );
        }
    }
    proxies
}

pub(super) fn timeouts(file: &mut Reader<'_, '_, '_>) -> Option<Timeouts> {
    let mut reader = file.section("timeouts");
    gather!(Timeouts {
        handshake: reader.take(&keys::HANDSHAKE),
        request_headers: reader.take(&keys::REQUEST_HEADERS),
        keep_alive: reader.take(&keys::KEEP_ALIVE),
        request_body_idle: reader.take(&keys::REQUEST_BODY_IDLE),
        write_stall: reader.take(&keys::WRITE_STALL),
        upstream_connect: reader.take(&keys::UPSTREAM_CONNECT),
        upstream_send: reader.take(&keys::UPSTREAM_SEND),
        upstream_first_byte: reader.take(&keys::UPSTREAM_FIRST_BYTE),
        stream_idle: reader.take(&keys::STREAM_IDLE),
        drain: reader.take(&keys::DRAIN),
    })
}

fn default_listeners(local: bool, local_port: u16, public_port: u16) -> Vec<SocketAddr> {
    if local {
        return vec![SocketAddr::from((Ipv4Addr::LOCALHOST, local_port))];
    }
    vec![
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, public_port)),
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, public_port)),
    ]
}

fn admin(reader: &mut Reader<'_, '_, '_>, site: Option<&Site>) -> Option<PathBuf> {
    let environment = reader.judge.environment;
    let written = reader.take_or(&keys::ADMIN, None)?;
    if let Some(path) = written {
        return Some(path);
    }
    let runtime =
        environment.variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let path = match runtime {
        _ if environment.root || environment.service => PathBuf::from("/run/portico/admin.sock"),
        Some(runtime) => runtime.join("portico/admin.sock"),
        None => site?.data_dir.join("admin.sock"),
    };
    match form::unix_socket(&format!("unix:{}", path.display())) {
        Ok(_) => Some(path),
        Err(wrong) => {
            let spot = reader.spot_of(&keys::ADMIN);
            let help = text!("write a shorter `listen.admin`", "请写一个更短的 `listen.admin`");
            reader.judge.push(wrong.help(help).at(&spot));
            None
        }
    }
}

/// Two listeners that would want the same port of the same address.
fn overlaps(
    reader: &mut Reader<'_, '_, '_>,
    http: &[SocketAddr],
    https: &[SocketAddr],
    metrics: &MetricsAddress,
) {
    let mut places: Vec<(SocketAddr, Spot)> = Vec::new();
    for (index, address) in http.iter().enumerate() {
        places.push((*address, reader.spot_of_item(&keys::HTTP, index)));
    }
    for (index, address) in https.iter().enumerate() {
        places.push((*address, reader.spot_of_item(&keys::HTTPS, index)));
    }
    if let MetricsAddress::Tcp(address) = metrics {
        places.push((*address, reader.spot_of(&keys::METRICS)));
    }
    for later in 1..places.len() {
        let Some(earlier) = (0..later).find(|earlier| collide(places[*earlier].0, places[later].0)) else {
            continue;
        };
        // A default that collides has no place in the file; the written one is shown.
        let (shown, taken) = if places[later].1.span.is_some() { (later, earlier) } else { (earlier, later) };
        let ((address, spot), (other, other_spot)) = (&places[shown], &places[taken]);
        let name = &other_spot.key;
        let problem = Problem::error(
            Code::Duplicate,
            spot,
            text!("{address} collides with {other} of `{name}`", "{address} 与 `{name}` 的 {other} 冲突"),
        )
        .also(other_spot, text!("taken here", "已在此处占用"));
        reader.judge.push(problem);
    }
}

/// The same port, and the same address or every address of the same family. Port 0 takes any free one; an IPv6 wildcard
/// does not take IPv4 along, because Portico binds it for IPv6 only.
pub(super) fn collide(left: SocketAddr, right: SocketAddr) -> bool {
    left.port() != 0
        && left.port() == right.port()
        && left.is_ipv4() == right.is_ipv4()
        && (left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified())
}
