//! The words of `fault:ws-…`. What they mean stands in the table of `main.rs`.

use std::time::Duration;

use crate::fault::{duration, number, status};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    // Of the handshake.
    Refuse(u16),
    BadAccept,
    NoUpgrade,
    Extension,
    Protocol,
    Silent,
    Slow(Duration),
    Early,
    Mute,
    // Of frames and events.
    Masked,
    Rsv,
    Binary,
    BadUtf8,
    NoJson,
    Huge(usize),
    LongControl,
    Fragments(usize),
    Die,
    Reset,
    Close(u16),
    CloseBad(Option<u16>),
    PingFlood,
    Hang,
    LeakyError,
    NoPong,
    Usage(usize),
    Flood { events: usize, bytes: usize },
}

impl Fault {
    /// `name` without its `ws-`. `None`: there is no such word.
    pub(crate) fn parse<'a>(
        name: &str,
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Option<Result<Self, String>> {
        Some(Ok(match name {
            "bad-accept" => Self::BadAccept,
            "no-upgrade" => Self::NoUpgrade,
            "extension" => Self::Extension,
            "protocol" => Self::Protocol,
            "silent" => Self::Silent,
            "early" => Self::Early,
            "mute" => Self::Mute,
            "masked" => Self::Masked,
            "rsv" => Self::Rsv,
            "binary" => Self::Binary,
            "bad-utf8" => Self::BadUtf8,
            "no-json" => Self::NoJson,
            "long-control" => Self::LongControl,
            "die" => Self::Die,
            "reset" => Self::Reset,
            "ping-flood" => Self::PingFlood,
            "hang" => Self::Hang,
            "leaky-error" => Self::LeakyError,
            "no-pong" => Self::NoPong,
            "refuse" => return Some(status(words.next()).map(Self::Refuse)),
            "slow" => return Some(duration(words.next(), None).map(Self::Slow)),
            "usage" => return Some(number(words.next(), None).map(Self::Usage)),
            "huge" => return Some(number(words.next(), None).map(Self::Huge)),
            "fragments" => return Some(number(words.next(), None).map(Self::Fragments)),
            "close" => return Some(code(words.next()).map(Self::Close)),
            "close-bad" => {
                let word = words.next();
                return Some(word.map(|word| code(Some(word))).transpose().map(Self::CloseBad));
            }
            "flood" => {
                let numbers = (number(words.next(), None), number(words.next(), None));
                return Some(match numbers {
                    (Ok(events), Ok(bytes)) => Ok(Self::Flood { events, bytes }),
                    (Err(problem), _) | (_, Err(problem)) => Err(problem),
                });
            }
            _ => return None,
        }))
    }

    /// Whether it is over when the session has begun, or lasts as long as it.
    pub(crate) fn is_of_handshake(&self) -> bool {
        matches!(
            self,
            Self::Refuse(_)
                | Self::BadAccept
                | Self::NoUpgrade
                | Self::Extension
                | Self::Protocol
                | Self::Silent
                | Self::Slow(_)
                | Self::Early
                | Self::Mute
        )
    }
}

/// Of a close: any number of two bytes, also those that must not be sent.
fn code(word: Option<&str>) -> Result<u16, String> {
    let code = number(word, None)?;
    u16::try_from(code).map_err(|_| format!("{code} is no code of a close"))
}
