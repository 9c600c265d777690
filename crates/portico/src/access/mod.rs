//! Who may come in. For now: networks. Identity joins here, behind the same decision.

mod address;
mod networks;

pub(crate) use address::{client_address, forwarded_chain, is_loopback_authority, is_trusted};
pub(crate) use networks::Rules;
