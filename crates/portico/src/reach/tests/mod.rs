//! Tables of what is made of what was seen, and looks at real name servers and scripted doors on loopback.

mod doors;
mod explained;
mod judged;
mod names;

use super::*;

/// Let's Encrypt by tls-alpn-01 or http-01; no ports, and no resolver that would answer.
fn question(names: &[&str]) -> Question {
    Question {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ports: Ports { http: None, https: None },
        authority: Authority::LetsEncrypt,
        challenge: Challenge::Auto,
        account: None,
        proof: None,
        resolver: None,
        clock: None,
    }
}
