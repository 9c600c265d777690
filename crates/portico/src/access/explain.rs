//! What would happen to a request, and which line decides: the same decision as on the request path, told.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::authenticator::Authenticator;
use super::decide::{Entrance, Place, Rules, Shown, Surface};
use crate::config::Config;
use crate::reason::{Reason, Refusal};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) address: IpAddr,
    /// `None`: what is open to everybody, as `/health` is.
    pub(crate) surface: Option<Surface>,
    /// A key, or its id.
    pub(crate) key: Option<&'a str>,
    /// Somebody who shows the right password.
    pub(crate) user: Option<&'a str>,
}

/// As JSON: `enters`, `status`, `code`, `because` (the line that has decided) and `as` (who it counts as).
pub(crate) fn explain(config: &Config, authenticator: &Authenticator, question: &Question<'_>) -> Value {
    let Question { address, surface, key, user } = *question;
    let Some(surface) = surface else {
        return entered("this path is open to everybody, whoever it is and wherever from", None);
    };
    let rules = Rules::new(config);
    let is_local = config.describes_local_mode() && !authenticator.has_people();
    let place = if is_local { Place::Here } else { rules.place(address) };
    let (shown, who) = match (key, user) {
        _ if !rules.asks_who(place, surface) => (Shown::Nothing, None),
        (Some(key), _) => match authenticator.look_at_key(key, address) {
            Ok(key) => (Shown::Somebody, Some(format!("key {} of {}", key.id, key.owner.name))),
            Err(refusal) => (Shown::Wrong(refusal), None),
        },
        (None, Some(name)) => match authenticator.look_at_user(name) {
            Ok(()) => (Shown::Somebody, Some(format!("user {name}"))),
            Err(refusal) => (Shown::Wrong(refusal), None),
        },
        (None, None) => (Shown::Nothing, None),
    };
    match rules.decide(address, place, surface, &shown) {
        Ok(entrance) => {
            let because = match entrance {
                Entrance::Local => "local mode: nobody is asked who he is".to_owned(),
                Entrance::Network(net) => {
                    format!(
                        "access.satisfy = \"any\", and access.allow: {net} holds {}",
                        address.to_canonical()
                    )
                }
                Entrance::Identity => format!("it is {}", who.as_deref().unwrap_or("somebody")),
                Entrance::Public if surface == Surface::Login => {
                    "this is where people log in: networks alone guard it".to_owned()
                }
                Entrance::Public => "access.scope = \"api\": pages ask for nobody's identity".to_owned(),
            };
            entered(&because, who.filter(|_| entrance == Entrance::Identity))
        }
        Err(refusal) => json!({
            "enters": false,
            "status": refusal.reason.status().as_u16(),
            "code": refusal.reason.code(),
            "because": refusal.private,
            "as": null,
        }),
    }
}

fn entered(because: &str, who: Option<String>) -> Value {
    json!({"enters": true, "status": null, "code": null, "because": because, "as": who})
}

impl Authenticator {
    /// As if the key had been sent, without counting as a use of it.
    fn look_at_key(
        &self,
        key: &str,
        address: IpAddr,
    ) -> Result<std::sync::Arc<super::directory::Key>, Refusal> {
        let directory = self.directory();
        let found = match directory.key_by_id(key) {
            Some(key) => key.clone(),
            None => self.find_key(key)?,
        };
        found.check(Some(address), jiff::Timestamp::now())?;
        Ok(found)
    }

    fn look_at_user(&self, name: &str) -> Result<(), Refusal> {
        let wrong = |why: String| Refusal::new(Reason::WrongCredentials).because(why);
        match self.directory().person(name) {
            None => Err(wrong(format!("there is no user {name}"))),
            Some(person) if person.disabled => Err(wrong(format!("{name} is disabled"))),
            Some(person) if person.password.is_none() => Err(wrong(format!("{name} has no password yet"))),
            Some(_) => Ok(()),
        }
    }
}
