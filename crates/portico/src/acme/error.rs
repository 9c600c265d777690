//! Why an order came to nothing: in the CA's own words where it has said any.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use instant_acme::{Error, Problem};

use super::allowance::HeldBack;
use super::client::{Fault, chain};
use crate::certificate::{LastError, timestamp};
use crate::types::{Text, text};

const PREFIX: &str = "urn:ietf:params:acme:error:";

#[derive(Debug, Clone)]
pub(crate) struct OrderError {
    pub(crate) class: Class,
    /// The CA's word for it without its beginning, or one of ours.
    pub(crate) kind: String,
    pub(crate) said: Text,
    pub(crate) retry_after: Option<Duration>,
    /// The names whose check the CA has failed.
    pub(crate) failed_checks: Vec<String>,
    /// What most likely explains it, as seen from this machine.
    pub(crate) explanation: Option<Text>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The CA could not be asked, or broke down.
    Unavailable,
    /// It has been asked too often.
    RateLimited,
    /// It has looked, and a name did not prove to be ours.
    NotProven,
    /// It does not know the account any more.
    NoAccount,
    /// It knows nothing of the certificate that is to be replaced, or has replaced it already.
    NotReplaceable,
    /// It does not sign this, as it is asked for.
    Rejected,
    /// On this machine: a file, a setting, a full disk.
    Here,
}

impl OrderError {
    pub(crate) fn here(kind: &str, said: Text) -> Self {
        Self {
            class: Class::Here,
            kind: kind.to_owned(),
            said,
            retry_after: None,
            failed_checks: Vec::new(),
            explanation: None,
        }
    }

    pub(crate) fn no_proof() -> Self {
        Self::here("challenge", text!("there is no way to prove the names", "没有可用的域名验证方式"))
    }

    pub(crate) fn disk(error: &std::io::Error) -> Self {
        Self::here(
            "disk",
            text!(
                "what belongs to the order can't be written to site.data_dir: {error}",
                "无法把订单数据写入 site.data_dir:{error}"
            ),
        )
    }

    /// One more order would use more than half of what the CA allows.
    pub(crate) fn held_back(held: &HeldBack, now: SystemTime) -> Self {
        let HeldBack { until, limit, rate } = held;
        let (most, hours) = (rate.most, rate.within.as_secs() / 3600);
        let error = Self::here(
            "ownLimit",
            text!(
                "the certificate authority allows {most} {limit} in {hours} hours, and half of them are used: no order before that has passed",
                "颁发机构在 {hours} 小时内的限额为 {most} 次({limit}),已用掉一半:在此之前不再下单"
            ),
        );
        Self { retry_after: Some(until.duration_since(now).unwrap_or_default()), ..error }
    }

    /// Two challenges were tried, and neither has proven the names: what the CA said of each. The first is what was hoped for.
    pub(crate) fn and_then(self, first_proof: &str, second: Self, second_proof: &str) -> Self {
        let both =
            |first: &str, second: &str| format!("{first_proof}: {first}; {second_proof}: {second}").into();
        let said =
            Text { en: both(&self.said.en, &second.said.en), zh: both(&self.said.zh, &second.said.zh) };
        let mut failed_checks = self.failed_checks;
        failed_checks.extend(second.failed_checks);
        Self {
            said,
            failed_checks,
            explanation: self.explanation.or(second.explanation),
            retry_after: self.retry_after.max(second.retry_after),
            ..self
        }
    }

    /// Whether another challenge could succeed where this one did not.
    pub(crate) fn may_be_proven_otherwise(&self) -> bool {
        self.class == Class::NotProven || self.kind == "challenge"
    }

    /// As it is kept and shown.
    pub(crate) fn told(self, authority: &str, now: SystemTime) -> LastError {
        LastError {
            at: timestamp(now),
            authority: authority.to_owned(),
            kind: self.kind,
            said: self.said,
            explanation: self.explanation,
        }
    }

    /// `retry_after`: what the answer said beside its body.
    pub(crate) fn of(error: &Error, retry_after: Option<Duration>) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(problem, retry_after),
            Error::Timeout(_) => {
                let said =
                    text!("the certificate authority has not finished in time", "证书颁发机构未能按时完成");
                Self { class: Class::Unavailable, retry_after, ..Self::here("timeout", said) }
            }
            Error::Other(other) => {
                let kind = match other.downcast_ref::<Fault>() {
                    Some(Fault::Status(_)) => "broken",
                    Some(Fault::Late) => "timeout",
                    Some(Fault::Unreachable(_)) => "unreachable",
                    Some(Fault::Body(_)) | None => "broken",
                };
                let why = chain(&**other);
                Self::unavailable(kind, &why, retry_after)
            }
            other => {
                let why = match other.source() {
                    Some(_) => chain(other),
                    None => other.to_string(),
                };
                Self::unavailable("broken", &why, retry_after)
            }
        }
    }

    fn unavailable(kind: &str, why: &str, retry_after: Option<Duration>) -> Self {
        let said = match kind {
            "unreachable" => {
                text!("the certificate authority can't be reached: {why}", "无法连接证书颁发机构:{why}")
            }
            _ => text!(
                "the certificate authority does not answer as it should: {why}",
                "证书颁发机构没有正常应答:{why}"
            ),
        };
        Self { class: Class::Unavailable, retry_after, ..Self::here(kind, said) }
    }

    pub(crate) fn of_problem(problem: &Problem, retry_after: Option<Duration>) -> Self {
        let kind = kind(problem);
        let said = words(problem);
        let class = match kind.as_str() {
            "rateLimited" => Class::RateLimited,
            "accountDoesNotExist" => Class::NoAccount,
            "alreadyReplaced" => Class::NotReplaceable,
            "serverInternal" | "badNonce" => Class::Unavailable,
            _ if problem.status.is_some_and(|status| status >= 500) => Class::Unavailable,
            _ => Class::Rejected,
        };
        Self { class, retry_after, ..Self::here(&kind, Text::quoted(said)) }
    }

    /// What the CA says of the names that it has looked at in vain.
    pub(crate) fn not_proven(problems: Vec<(String, Problem)>) -> Self {
        let kind = problems.first().map_or_else(|| "unknown".to_owned(), |(_, problem)| self::kind(problem));
        let said: Vec<String> =
            problems.iter().map(|(name, problem)| format!("{name}: {}", words(problem))).collect();
        Self {
            class: Class::NotProven,
            failed_checks: problems.into_iter().map(|(name, _)| name).collect(),
            ..Self::here(&kind, Text::quoted(said.join("; ")))
        }
    }
}

pub(super) fn is_bad_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "badNonce")
}

/// It is about a name that the CA has looked at (RFC 8555, 6.7).
pub(super) fn is_of_a_check(problem: &Problem) -> bool {
    matches!(
        kind(problem).as_str(),
        "caa" | "connection" | "dns" | "incorrectResponse" | "tls" | "unauthorized"
    )
}

fn kind(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("unknown");
    clean(kind.strip_prefix(PREFIX).unwrap_or(kind))
}

/// The CA's sentence, and those about single names.
fn words(problem: &Problem) -> String {
    let mut words = problem.detail.clone().unwrap_or_else(|| kind(problem));
    for sub in &problem.subproblems {
        if let Some(detail) = &sub.detail {
            words = format!("{words}; {detail}");
        }
    }
    clean(&words)
}

/// It is shown in terminals and logs, and comes from elsewhere.
pub(super) fn clean(words: &str) -> String {
    const LONGEST: usize = 1000;
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Problem {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_ca_is_heard_in_its_own_words() {
        let limited = problem(
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many\u001b[31m","status":429}"#,
        );
        let error = OrderError::of(&Error::Api(limited), Some(Duration::from_secs(60)));
        assert_eq!((error.class, error.kind.as_str()), (Class::RateLimited, "rateLimited"));
        assert_eq!(
            (error.said.en.as_ref(), error.retry_after),
            ("too many [31m", Some(Duration::from_secs(60)))
        );
        for (json, class) in [
            (r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist"}"#, Class::NoAccount),
            (r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","status":400}"#, Class::Rejected),
            (r#"{"type":"urn:ietf:params:acme:error:serverInternal","status":500}"#, Class::Unavailable),
            (r#"{"status":503}"#, Class::Unavailable),
            (r#"{"type":"urn:ietf:params:acme:error:alreadyReplaced"}"#, Class::NotReplaceable),
        ] {
            assert_eq!(OrderError::of_problem(&problem(json), None).class, class, "{json}");
        }
        let refused = problem(r#"{"type":"urn:ietf:params:acme:error:connection","detail":"refused"}"#);
        let error = OrderError::not_proven(vec![("a.example".to_owned(), refused)]);
        assert_eq!((error.kind.as_str(), error.said.en.as_ref()), ("connection", "a.example: refused"));
        let late = OrderError::of(&Error::Other(Box::new(Fault::Late)), None);
        assert_eq!((late.class, late.kind.as_str()), (Class::Unavailable, "timeout"));
    }
}
