//! The decision who comes in: pure, and made anew for every request.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{Access, Config, Satisfy, Scope};
use crate::reason::{Reason, Refusal};

/// What the configuration says, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(super) scope: Scope,
    pub(super) satisfy: Satisfy,
    pub(super) allow: Vec<IpNet>,
    pub(super) deny: Vec<IpNet>,
}

/// What of Portico is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// Where somebody logs in: networks alone guard it.
    Login,
    Page,
    Api,
}

/// Which networks hold an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Local mode.
    Here,
    Denied(IpNet),
    /// Of `access.allow`.
    Allowed(IpNet),
    /// In no network of either list. With an empty `allow` that is every address that is not denied.
    Elsewhere,
}

/// What is known of who asks, once it had to be looked at.
#[derive(Debug, Clone)]
pub(crate) enum Shown {
    Nothing,
    /// A credential that is good.
    Somebody,
    /// One that is not, and what to answer where that decides.
    Wrong(Refusal),
}

/// What has let somebody in, or the answer. The refusal's private part names the line that has decided.
pub(crate) type Decision = Result<Entrance, Refusal>;

/// What has let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    Local,
    /// Its address alone.
    Network(IpNet),
    Identity,
    /// Nothing asks for an identity here.
    Public,
}

impl Rules {
    pub(crate) fn new(config: &Config) -> Self {
        let Access { scope, satisfy, allow, deny, .. } = &config.access;
        Self { scope: *scope, satisfy: *satisfy, allow: allow.clone(), deny: deny.clone() }
    }

    /// Whether a page is for some and not for others.
    pub(crate) fn guards_pages(&self) -> bool {
        self.scope == Scope::Site || !self.allow.is_empty() || !self.deny.is_empty()
    }

    pub(crate) fn place(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        let holds = |list: &[IpNet]| list.iter().find(|net| net.contains(&address)).copied();
        match (holds(&self.deny), holds(&self.allow)) {
            (Some(net), _) => Place::Denied(net),
            (None, Some(net)) => Place::Allowed(net),
            (None, None) => Place::Elsewhere,
        }
    }

    /// Whether who asks has any influence on the answer. Where it has none, no credential is looked at.
    pub(crate) fn asks_who(&self, place: Place, surface: Surface) -> bool {
        match (place, self.satisfy) {
            (Place::Here | Place::Denied(_), _) => false,
            _ if surface == Surface::Login => false,
            // Who is known by more than an address counts as who it is.
            (_, Satisfy::Any) => true,
            (Place::Elsewhere, Satisfy::All) if !self.allow.is_empty() => false,
            (_, Satisfy::All) => self.scope == Scope::Site || surface == Surface::Api,
        }
    }

    /// `deny` always wins. Under `all` an address outside `allow` is refused before anybody is asked who he is; under `any` it
    /// still could have shown who it is, so the answer is 401.
    pub(crate) fn decide(&self, address: IpAddr, place: Place, surface: Surface, shown: &Shown) -> Decision {
        let address = address.to_canonical();
        let refuse = |reason, private: String| Err(Refusal::new(reason).because(private));
        match place {
            Place::Here => return Ok(Entrance::Local),
            Place::Denied(net) => {
                return refuse(Reason::NetworkRefused, format!("access.deny: {net} holds {address}"));
            }
            Place::Elsewhere if self.satisfy == Satisfy::All && !self.allow.is_empty() => {
                let private = format!("access.allow: no network of it holds {address}");
                return refuse(Reason::NetworkRefused, private);
            }
            Place::Allowed(_) | Place::Elsewhere => {}
        }
        let is_public_page =
            self.satisfy == Satisfy::All && self.scope == Scope::Api && surface == Surface::Page;
        if is_public_page || surface == Surface::Login {
            return Ok(Entrance::Public);
        }
        match (shown, place) {
            (Shown::Somebody, _) => Ok(Entrance::Identity),
            (_, Place::Allowed(net)) if self.satisfy == Satisfy::Any => Ok(Entrance::Network(net)),
            (Shown::Wrong(refusal), _) => Err(refusal.clone()),
            _ => refuse(Reason::IdentityRequired, self.why_asked(address)),
        }
    }

    fn why_asked(&self, address: IpAddr) -> String {
        match (self.satisfy, self.scope) {
            (Satisfy::Any, _) => format!(
                "access.satisfy = \"any\": no network of access.allow holds {address}, and no credential was sent"
            ),
            (Satisfy::All, Scope::Site) => {
                "access.scope = \"site\": everything asks for identity, and no credential was sent".to_owned()
            }
            (Satisfy::All, Scope::Api) => {
                "access.scope = \"api\": the API asks for identity, and no credential was sent".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(scope: Scope, satisfy: Satisfy, allow: &[&str], deny: &[&str]) -> Rules {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
        Rules { scope, satisfy, allow: nets(allow), deny: nets(deny) }
    }

    fn decided(rules: &Rules, address: &str, surface: Surface, shown: &Shown) -> Option<Reason> {
        let address = address.parse().unwrap();
        rules.decide(address, rules.place(address), surface, shown).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn f61_networks_hold_whatever_form_an_address_has() {
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
            let rules = rules(Scope::Site, satisfy, allow, deny);
            let got = decided(&rules, address, Surface::Api, &Shown::Nothing);
            assert_eq!(got, wanted, "{satisfy:?} {allow:?} {deny:?} {address}");
        }
    }

    #[test]
    fn a_wrong_credential_counts_only_where_one_is_needed() {
        let wrong = Shown::Wrong(Reason::WrongCredentials.into());
        let any = rules(Scope::Site, Satisfy::Any, &["10.0.0.0/8"], &[]);
        assert_eq!(decided(&any, "10.0.0.1", Surface::Api, &wrong), None, "counts as none");
        assert_eq!(decided(&any, "192.0.2.1", Surface::Api, &wrong), Some(Reason::WrongCredentials));
        let api = rules(Scope::Api, Satisfy::All, &[], &[]);
        assert_eq!(decided(&api, "192.0.2.1", Surface::Page, &wrong), None);
        assert_eq!(decided(&api, "192.0.2.1", Surface::Api, &wrong), Some(Reason::WrongCredentials));
        assert_eq!(decided(&api, "192.0.2.1", Surface::Api, &Shown::Somebody), None);
    }

    #[test]
    fn who_asks_is_looked_at_only_where_it_decides() {
        let all = rules(Scope::Site, Satisfy::All, &["10.0.0.0/8"], &["10.9.0.0/16"]);
        for (address, surface, wanted) in [
            ("10.0.0.1", Surface::Api, true),
            ("10.0.0.1", Surface::Login, false),
            ("10.9.0.1", Surface::Api, false),
            ("192.0.2.1", Surface::Api, false),
        ] {
            assert_eq!(all.asks_who(all.place(address.parse().unwrap()), surface), wanted, "{address}");
        }
        assert_eq!(decided(&all, "10.0.0.1", Surface::Login, &Shown::Nothing), None);
        assert_eq!(decided(&all, "192.0.2.1", Surface::Login, &Shown::Nothing), Some(Reason::NetworkRefused));
    }
}
