//! Words everybody uses. Data only: nothing here does I/O, reads a clock or knows another room.

mod cache_salt;
mod chunked;
mod dialect;
mod hex;
mod identity;
mod model;
mod option;
mod percent;
mod pieces;
mod rope;
mod text;
pub(crate) mod websocket;

pub(crate) use cache_salt::CacheSalt;
pub(crate) use chunked::{Chunked, Extras};
pub(crate) use dialect::Dialect;
pub(crate) use hex::hex_digits;
pub(crate) use identity::Identity;
pub(crate) use model::{ModelFacts, ModelState, ServerKind};
pub(crate) use option::has_option;
pub(crate) use percent::{percent_decoded, percent_encoded};
pub(crate) use pieces::{MOST_SLICES, Pieces};
pub(crate) use rope::Rope;
pub(crate) use text::{Text, Tongue, text};
