//! The chain of the audit trail, whatever keeps it: each record's mac is made over the mac before it and all of the record.
//!
//! A mac needs the secret: who can write to the database alone can neither change a record nor add one unseen. That the newest
//! ones were taken away shows only against a head that was noted elsewhere.

use aws_lc_rs::hmac::Key;

use super::secrets::digest;
use super::{Break, Digest, Head, Verdict};

/// Before the first record.
pub(super) const BEGINNING: Head = Head { number: 0, mac: [0; 32] };

/// A record as it is kept. The mac is over these bytes and not over what they are read as: two ways to write one address are
/// two records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) at_microseconds: i64,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) address: Option<String>,
    pub(super) detail: String,
}

impl Link {
    pub(super) fn mac(&self, key: &Key, previous: &Digest) -> Digest {
        let Self { number, epoch, at_microseconds, actor, action, target, address, detail } = self;
        let fields = Fields::default().bytes(previous).number(*number).number(*epoch);
        let fields = fields.number(at_microseconds.cast_unsigned()).text(actor).text(action).text(target);
        digest(key, &fields.optional(address.as_deref()).text(detail).into_bytes())
    }
}

/// Goes through a chain from its beginning.
pub(super) struct Walk<'a> {
    key: &'a Key,
    last: Head,
    /// Heads that have to be met.
    awaited: Vec<Head>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(key: &'a Key, awaited: impl IntoIterator<Item = Head>) -> Self {
        Self { key, last: BEGINNING, awaited: awaited.into_iter().collect() }
    }

    /// The next record, in the order of numbers.
    pub(super) fn step(&mut self, link: &Link, mac: &Digest) -> Result<(), Verdict> {
        let number = self.last.number + 1;
        if link.number > number {
            return Err(Verdict::Broken { number, how: Break::Missing });
        }
        if link.number < number || link.mac(self.key, &self.last.mac) != *mac {
            return Err(self.unreadable());
        }
        self.last = Head { number, mac: *mac };
        match self.awaited.iter().any(|head| head.number == number && head.mac != *mac) {
            true => Err(Verdict::Broken { number, how: Break::Cut }),
            false => Ok(()),
        }
    }

    /// The next record can't even be read.
    pub(super) const fn unreadable(&self) -> Verdict {
        Verdict::Broken { number: self.last.number + 1, how: Break::Changed }
    }

    pub(super) fn end(self) -> Verdict {
        let records = self.last.number;
        match self.awaited.iter().any(|head| head.number > records) {
            true => Verdict::Broken { number: records + 1, how: Break::Cut },
            false => Verdict::Whole { records, head: (records > 0).then_some(self.last) },
        }
    }
}

/// Fields one behind the other, so that no two rows of fields make the same bytes: each text has its length before it.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut fields = self.number(bytes.len() as u64);
        fields.0.extend(bytes);
        fields
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn optional(mut self, text: Option<&str>) -> Self {
        self.0.push(u8::from(text.is_some()));
        match text {
            Some(text) => self.text(text),
            None => self,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secrets;
    use super::*;

    fn link(number: u64, detail: &str) -> Link {
        Link {
            number,
            epoch: 1,
            at_microseconds: 7,
            actor: "user:ada".to_owned(),
            action: "login".to_owned(),
            target: "ada".to_owned(),
            address: None,
            detail: detail.to_owned(),
        }
    }

    fn chain(key: &Key, length: u64) -> Vec<(Link, Digest)> {
        let mut previous = BEGINNING.mac;
        let links = (1..=length).map(|number| link(number, &format!("record {number}")));
        links
            .map(|link| {
                previous = link.mac(key, &previous);
                (link, previous)
            })
            .collect()
    }

    fn walked(key: &Key, chain: &[(Link, Digest)], awaited: &[Head]) -> Verdict {
        let mut walk = Walk::new(key, awaited.iter().copied());
        match chain.iter().try_for_each(|(link, mac)| walk.step(link, mac)) {
            Ok(()) => walk.end(),
            Err(broken) => broken,
        }
    }

    #[test]
    fn what_a_chain_shows() {
        let key = Secrets::from_text(&"07".repeat(32)).unwrap().audit;
        let whole = chain(&key, 5);
        let head = |at: usize| Head { number: whole[at - 1].0.number, mac: whole[at - 1].1 };
        let broken = |number, how| Verdict::Broken { number, how };
        let without = |at: usize| [&whole[..at - 1], &whole[at..]].concat();
        let cases: [(&str, Vec<_>, Vec<Head>, Verdict); 11] = [
            ("whole", whole.clone(), vec![], Verdict::Whole { records: 5, head: Some(head(5)) }),
            (
                "noted heads",
                whole.clone(),
                vec![BEGINNING, head(3), head(5)],
                Verdict::Whole { records: 5, head: Some(head(5)) },
            ),
            ("nothing", vec![], vec![BEGINNING], Verdict::Whole { records: 0, head: None }),
            ("first gone", without(1), vec![], broken(1, Break::Missing)),
            ("middle gone", without(3), vec![], broken(3, Break::Missing)),
            (
                "end gone, nothing noted",
                without(5),
                vec![head(4)],
                Verdict::Whole { records: 4, head: Some(head(4)) },
            ),
            ("end gone", without(5), vec![head(5)], broken(5, Break::Cut)),
            ("all gone", vec![], vec![head(5)], broken(1, Break::Cut)),
            ("another way on", whole.clone(), vec![Head { number: 2, mac: [1; 32] }], broken(2, Break::Cut)),
            ("twice", [&whole[..3], &whole[2..]].concat(), vec![], broken(4, Break::Changed)),
            (
                "renumbered",
                {
                    let mut chain = without(3);
                    (2..4).for_each(|at| chain[at].0.number -= 1);
                    chain
                },
                vec![],
                broken(3, Break::Changed),
            ),
        ];
        for (what, chain, awaited, verdict) in cases {
            assert_eq!(walked(&key, &chain, &awaited), verdict, "{what}");
        }
    }

    /// Moving a letter from one field to the next is another record, and so is an address that is empty.
    #[test]
    fn no_two_records_have_one_mac() {
        let key = Secrets::from_text(&"07".repeat(32)).unwrap().audit;
        let base = link(1, "detail");
        let changed = [
            Link { number: 2, ..base.clone() },
            Link { epoch: 2, ..base.clone() },
            Link { at_microseconds: -7, ..base.clone() },
            Link { actor: "user:adal".to_owned(), action: "ogin".to_owned(), ..base.clone() },
            Link { action: "login".to_owned() + "ada", target: String::new(), ..base.clone() },
            Link { address: Some(String::new()), ..base.clone() },
            Link { address: Some("detail".to_owned()), detail: String::new(), ..base.clone() },
            base.clone(),
        ];
        let macs = changed
            .iter()
            .map(|link| link.mac(&key, &BEGINNING.mac))
            .collect::<std::collections::HashSet<_>>();
        assert_eq!(macs.len(), changed.len());
        assert!(!macs.contains(&base.mac(&key, &[1; 32])));
    }
}
