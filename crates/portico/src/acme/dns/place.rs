//! Where the record for a name belongs (RFC 8555, 8.4): at `_acme-challenge` before it, or where a CNAME there leads,
//! and in the zone that holds that name.

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::ask::Names;
use crate::types::{Text, text};

/// A chain of them is somebody's mistake.
const MOST_ALIASES: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: Name,
    pub(super) zone: Name,
}

impl Place {
    pub(super) async fn of(host: &str, names: &Names) -> Result<Self, Text> {
        let host = Name::from_ascii(host)
            .map_err(|error| text!("{host} is no name in DNS: {error}", "{host} 不是 DNS 域名:{error}"))?;
        let mut name = labelled("_acme-challenge", &host)?;
        for _ in 0..MOST_ALIASES {
            match alias(&name, names).await? {
                Some(target) => name = target,
                None => return Ok(Self { zone: zone(&name, names).await?, name }),
            }
        }
        Err(text!(
            "the CNAME at _acme-challenge.{host} leads in circles",
            "_acme-challenge.{host} 处的 CNAME 形成了循环"
        ))
    }
}

/// Where a CNAME at this very name leads. One that stands for all names is none of these: with a record at the name it
/// no longer counts there.
async fn alias(name: &Name, names: &Names) -> Result<Option<Name>, Text> {
    let Some(target) = target(name, names).await? else { return Ok(None) };
    let nobody = labelled("_acme-challenge-of-nobody", &name.base_name())?;
    Ok(match target_or_none(&nobody, names).await {
        Some(of_nobody) if of_nobody == target => None,
        _ => Some(target),
    })
}

async fn target_or_none(name: &Name, names: &Names) -> Option<Name> {
    target(name, names).await.ok().flatten()
}

async fn target(name: &Name, names: &Names) -> Result<Option<Name>, Text> {
    let found = names.look_up(name, RecordType::CNAME).await.map_err(|why| unknown(name, &why))?;
    let mut here = found.records.into_iter().filter(|record| record.name == *name);
    Ok(here.find_map(|record| match record.data {
        RData::CNAME(target) => Some(target.0),
        _ => None,
    }))
}

/// The nearest one above the name that has a start of authority.
async fn zone(name: &Name, names: &Names) -> Result<Name, Text> {
    let mut above = name.clone();
    while !above.is_root() {
        let found = names.look_up(&above, RecordType::SOA).await.map_err(|why| unknown(&above, &why))?;
        if let Some(zone) = found.zone.filter(|zone| !zone.is_root() && zone.zone_of(name)) {
            return Ok(zone);
        }
        above = above.base_name();
    }
    Err(text!("no zone of DNS holds {name}: does the name exist?", "没有 DNS 区域包含 {name}:该域名存在吗?"))
}

fn labelled(label: &str, below: &Name) -> Result<Name, Text> {
    let mut name = below.prepend_label(label).map_err(|error| {
        text!("{label}.{below} is no name in DNS: {error}", "{label}.{below} 不是 DNS 域名:{error}")
    })?;
    name.set_fqdn(true);
    Ok(name)
}

fn unknown(name: &Name, why: &str) -> Text {
    text!("{name} could not be looked up in DNS: {why}", "无法在 DNS 中查询 {name}:{why}")
}
