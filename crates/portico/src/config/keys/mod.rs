//! Every key of the file, declared once: path, rule with floor and ceiling, default, whether it is built, and its text in
//! both languages. A test holds the tables against the reference file and against the checks.

pub(crate) mod access;
pub(crate) mod alerts;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod model;
pub(crate) mod operate;
pub(crate) mod policy;
pub(crate) mod site;
pub(crate) mod tls;

use super::key::{Entry, Section};

/// In the order of the reference file.
pub(crate) static SECTIONS: &[&Section] = &[
    &site::SITE,
    &listen::LISTEN,
    &tls::TLS,
    &tls::EAB,
    &tls::DNS,
    &listen::TIMEOUTS,
    &access::ACCESS,
    &access::LOCKOUT,
    &access::CORS,
    &limits::LIMITS,
    &limits::PLAN,
    &limits::QUEUE,
    &limits::STREAM,
    &policy::POLICY,
    &model::MODEL,
    &operate::LOG,
    &operate::ROTATE,
    &operate::HEALTH,
    &alerts::ALERTS,
    &alerts::SMTP,
    &alerts::TARGET,
    &operate::FIREWALL,
    &operate::STORE,
];

pub(crate) fn all() -> impl Iterator<Item = &'static dyn Entry> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().copied())
}

/// Declares a section and its keys: name, type of the rule, rule, default, built, English, Chinese.
macro_rules! table {
    ($section:ident $at:literal $section_en:literal $section_zh:literal;
     $($key:ident $name:literal: $rule_type:ty = $rule:expr, $default:expr, $built:expr, $en:literal, $zh:literal;)*) => {
        $(
            pub(crate) static $key: $crate::config::key::Key<$rule_type> = $crate::config::key::Key {
                at: concat!($at, ".", $name),
                rule: $rule,
                default: $default,
                built: $built,
                text: $crate::types::Text::fixed($en, $zh),
            };
        )*
        pub(crate) static $section: $crate::config::key::Section = $crate::config::key::Section {
            at: $at,
            text: $crate::types::Text::fixed($section_en, $section_zh),
            keys: &[$(&$key),*],
        };
    };
}
pub(crate) use table;
