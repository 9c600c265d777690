//! The decision over an address: pure, and decided anew for every request.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{Access, Config, Mode, Satisfy};
use crate::reason::{Reason, Refusal};

/// What the configuration says about addresses, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    mode: Mode,
    satisfy: Satisfy,
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Enter,
    Refuse(Reason, String),
}

impl Rules {
    pub(crate) fn new(config: &Config) -> Self {
        let Access { satisfy, allow, deny, .. } = &config.access;
        Self { mode: config.mode(), satisfy: *satisfy, allow: allow.clone(), deny: deny.clone() }
    }

    /// `deny` always wins. Under `all` an address outside `allow` is refused before anybody is asked who he is;
    /// under `any` it still could have shown who it is, so the answer is 401.
    pub(crate) fn decide(&self, address: IpAddr) -> Decision {
        let address = address.to_canonical();
        if self.mode == Mode::Local {
            return Decision::Enter;
        }
        if let Some(net) = self.deny.iter().find(|net| net.contains(&address)) {
            return Decision::Refuse(Reason::NetworkRefused, format!("access.deny {net} holds {address}"));
        }
        let allowed = self.allow.iter().any(|net| net.contains(&address));
        match (self.satisfy, allowed) {
            (Satisfy::Any, true) if !self.allow.is_empty() => Decision::Enter,
            (Satisfy::Any, _) => Decision::Refuse(
                Reason::IdentityRequired,
                format!("{address} is in no network of access.allow, and no identity is configured"),
            ),
            (Satisfy::All, false) if !self.allow.is_empty() => Decision::Refuse(
                Reason::NetworkRefused,
                format!("{address} is in no network of access.allow"),
            ),
            // Nobody can show an identity yet, so nobody comes in by identity.
            (Satisfy::All, _) => Decision::Refuse(
                Reason::IdentityRequired,
                "identity is asked for and none is configured".to_owned(),
            ),
        }
    }
}

impl Decision {
    pub(crate) fn into_result(self) -> Result<(), Refusal> {
        match self {
            Decision::Enter => Ok(()),
            Decision::Refuse(reason, private) => Err(Refusal::new(reason).because(private)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(mode: Mode, satisfy: Satisfy, allow: &[&str], deny: &[&str]) -> Rules {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
        Rules { mode, satisfy, allow: nets(allow), deny: nets(deny) }
    }

    #[test]
    fn decisions_over_addresses() {
        use Satisfy::{All, Any};
        let enter = None;
        let forbidden = Some(Reason::NetworkRefused);
        let unknown = Some(Reason::IdentityRequired);
        for (satisfy, allow, deny, address, wanted) in [
            (Any, &["127.0.0.0/8"][..], &[][..], "127.0.0.1", enter),
            (Any, &["127.0.0.0/8"], &[], "::ffff:127.0.0.1", enter),
            (Any, &["127.0.0.0/8"], &["127.0.0.2/32"], "127.0.0.2", forbidden),
            (Any, &["127.0.0.0/8"], &["127.0.0.2/32"], "::ffff:127.0.0.2", forbidden),
            (Any, &["127.0.0.0/8"], &[], "10.0.0.1", unknown),
            (Any, &["2001:db8::/32"], &[], "2001:db8::1", enter),
            (Any, &["2001:db8::/32"], &[], "2001:db9::1", unknown),
            (Any, &[], &[], "127.0.0.1", unknown),
            (All, &["10.0.0.0/8"], &[], "127.0.0.1", forbidden),
            (All, &["10.0.0.0/8"], &[], "10.1.1.1", unknown),
            (All, &[], &[], "10.1.1.1", unknown),
        ] {
            let decision = rules(Mode::Networks, satisfy, allow, deny).decide(address.parse().unwrap());
            let got = match decision {
                Decision::Enter => None,
                Decision::Refuse(reason, _) => Some(reason),
            };
            assert_eq!(got, wanted, "{satisfy:?} {allow:?} {deny:?} {address}");
        }
    }

    #[test]
    fn local_mode_asks_nobody() {
        assert_eq!(
            rules(Mode::Local, Satisfy::All, &[], &[]).decide("127.0.0.1".parse().unwrap()),
            Decision::Enter
        );
    }
}
