//! Text with a form of its own: durations, sizes, names, addresses, networks, URLs, paths. Pure: text in, value or
//! complaint out.

mod address;
mod amount;
mod endpoint;
mod network;
mod time;
mod url;
mod word;

pub(crate) use address::{listener, metrics, unix_socket};
pub(crate) use amount::size;
pub(crate) use endpoint::{endpoint, is_close, is_private_name, too_far};
pub(crate) use network::network;
pub(crate) use time::{duration, hours};
pub(crate) use url::{https_or_http, issuer, optional_issuer, origin, store_url};
pub(crate) use word::{
    DNS_PROVIDERS, any_text, dns_provider, email, file, header_name, host_name, index_page, method,
    model_name, model_pattern, optional_file, optional_host, port_rule, realm, request_key, site_name,
};

use super::problem::{Code, Problem, Spot};
use crate::types::Text;

/// Why a text is not of the wanted form; it becomes a [`Problem`] where its place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    code: Code,
    what: Text,
    label: Option<Text>,
    why: Option<Text>,
    help: Option<Text>,
}

impl Wrong {
    pub(crate) fn form(what: Text) -> Self {
        Self { code: Code::BadForm, what, label: None, why: None, help: None }
    }

    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// What to write in its place; shown under the marked text.
    pub(crate) fn label(mut self, label: Text) -> Self {
        self.label = Some(label);
        self
    }

    pub(crate) fn why(mut self, why: Text) -> Self {
        self.why = Some(why);
        self
    }

    pub(crate) fn help(mut self, help: Text) -> Self {
        self.help = Some(help);
        self
    }

    pub(crate) fn at(self, spot: &Spot) -> Problem {
        let Self { code, what: Text { en, zh }, label, why, help } = self;
        let key = &spot.key;
        let message = Text { en: format!("`{key}`: {en}").into(), zh: format!("`{key}`:{zh}").into() };
        Problem { label, why, help, ..Problem::error(code, spot, message) }
    }
}

/// A complaint with one line and what to write instead.
macro_rules! wrong {
    ($en:literal, $zh:literal $(,)?) => {
        $crate::config::form::Wrong::form($crate::types::text!($en, $zh))
    };
}
pub(crate) use wrong;
