//! Waiting until the record is there for everybody: whichever of the zone's name servers the CA asks.

use std::net::SocketAddr;
use std::time::Duration;

use dns_update::providers::rfc2136::DnsAddress;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ask::{Names, ask};
use super::place::Place;
use super::provider::socket;
use crate::types::{Text, text};

/// How long it may take until all name servers show a record.
const MOST: Duration = Duration::from_secs(120);
/// How long the CA is kept waiting where no name server can be asked from here.
const UNSEEN: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A zone has two to six; each may have two addresses.
const MOST_SERVERS: usize = 16;
const PORT: u16 = 53;

/// What a name server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Record,
    NoRecord,
    /// It can't be asked from here, or is none of the zone's.
    NoAnswer,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Seen,
    /// Nobody can be asked, and the record has had its time.
    Unseen,
    Wait,
    Late,
}

/// `taker`: the one that took the record, where that is known, which may be hidden from the CA; `others`: what the zone
/// names. One that gives no answer must not hold up what all others show. `waited`: since all records were written.
fn judge(taker: &[Shown], others: &[Shown], waited: Duration) -> Verdict {
    let counts = if others.is_empty() { taker } else { others };
    let lacks = taker.contains(&Shown::NoRecord) || others.contains(&Shown::NoRecord);
    match (lacks, counts.contains(&Shown::Record)) {
        (true, _) if waited >= MOST => Verdict::Late,
        (true, _) => Verdict::Wait,
        (false, true) => Verdict::Seen,
        (false, false) if waited >= UNSEEN => Verdict::Unseen,
        (false, false) => Verdict::Wait,
    }
}

/// Until all name servers of the zone show the value at the place, or none can be asked; at most two minutes after
/// `since`.
pub(super) async fn wait(place: &Place, value: &str, names: &Names, since: Instant) -> Result<(), Text> {
    let servers = servers(&place.zone, names).await;
    let mut shown = vec![Shown::NoAnswer; servers.len()];
    let mut pause = FIRST_PAUSE;
    loop {
        ask_all(&servers, &mut shown, &place.name, value).await;
        let (taker, others) = shown.split_at(usize::from(names.server.is_some()));
        match judge(taker, others, since.elapsed()) {
            Verdict::Seen => return Ok(()),
            Verdict::Unseen => {
                let (zone, seconds) = (&place.zone, UNSEEN.as_secs());
                tracing::info!(
                    "no name server of {zone} can be asked from here; the record was given {seconds} s to be seen"
                );
                return Ok(());
            }
            Verdict::Late => return Err(late(place, &servers, &shown)),
            Verdict::Wait => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn late(place: &Place, servers: &[DnsAddress], shown: &[Shown]) -> Text {
    let (name, minutes) = (&place.name, MOST.as_secs() / 60);
    let late = servers.iter().zip(shown).filter(|(_, shown)| **shown == Shown::NoRecord);
    let late = late.map(|(server, _)| socket(*server).to_string()).collect::<Vec<_>>().join(", ");
    text!(
        "the record at {name} was written, and after {minutes} minutes these name servers of its zone do not show it: {late}",
        "{name} 处的记录已写入,但 {minutes} 分钟后该区域的以下域名服务器仍未提供它:{late}"
    )
}

/// Those that have shown it once are not asked again.
async fn ask_all(servers: &[DnsAddress], shown: &mut [Shown], name: &Name, value: &str) {
    let mut asked = JoinSet::new();
    for (index, server) in servers.iter().enumerate().filter(|(index, _)| shown[*index] != Shown::Record) {
        let (server, name, value) = (*server, name.clone(), value.to_owned());
        asked.spawn(async move { (index, look(server, &name, &value).await) });
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok((index, answer)) = answer {
            shown[index] = answer;
        }
    }
}

async fn look(server: DnsAddress, name: &Name, value: &str) -> Shown {
    let Ok(answer) = ask(server, name, RecordType::TXT).await else { return Shown::NoAnswer };
    let is_there = answer.answers.iter().any(|record| match &record.data {
        RData::TXT(text) => text.txt_data.concat() == value.as_bytes(),
        _ => false,
    });
    if is_there { Shown::Record } else { Shown::NoRecord }
}

/// The zone's name servers, and the one that took the record, which may be none of them.
async fn servers(zone: &Name, names: &Names) -> Vec<DnsAddress> {
    let mut servers: Vec<DnsAddress> = names.server.into_iter().collect();
    // Without an answer nobody can be asked, which is what the caller finds.
    let found = names.look_up(zone, RecordType::NS).await.unwrap_or_default();
    for record in found.records {
        let RData::NS(server) = record.data else { continue };
        for address in names.addresses(&server.0).await {
            if servers.iter().all(|known| socket(*known).ip() != address) {
                servers.push(DnsAddress::Udp(SocketAddr::new(address, PORT)));
            }
        }
    }
    servers.truncate(MOST_SERVERS);
    servers
}

#[cfg(test)]
mod tests {
    use super::Shown::{NoAnswer, NoRecord, Record};
    use super::*;

    #[test]
    fn it_is_seen_when_all_who_answer_show_it() {
        let soon = Duration::from_secs(1);
        for (taker, others, waited, wanted) in [
            (&[][..], &[Record, Record][..], soon, Verdict::Seen),
            (&[], &[Record, NoAnswer], soon, Verdict::Seen),
            (&[], &[Record, NoRecord], soon, Verdict::Wait),
            (&[], &[Record, NoRecord], MOST, Verdict::Late),
            (&[], &[NoAnswer, NoRecord], UNSEEN, Verdict::Wait),
            (&[], &[NoAnswer, NoAnswer], soon, Verdict::Wait),
            (&[], &[NoAnswer, NoAnswer], UNSEEN, Verdict::Unseen),
            (&[], &[], soon, Verdict::Wait),
            (&[], &[], UNSEEN, Verdict::Unseen),
            (&[Record], &[], soon, Verdict::Seen),
            (&[Record], &[Record], soon, Verdict::Seen),
            (&[Record], &[NoAnswer], soon, Verdict::Wait),
            (&[Record], &[NoAnswer], UNSEEN, Verdict::Unseen),
            (&[NoRecord], &[Record], soon, Verdict::Wait),
        ] {
            assert_eq!(judge(taker, others, waited), wanted, "{taker:?}, {others:?} after {waited:?}");
        }
    }
}
