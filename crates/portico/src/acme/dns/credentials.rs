//! The file with what a provider wants to know before it changes a zone. Secrets stay in here: nothing that holds them
//! can be printed, and [`Credentials::without_secrets`] takes them out of what others say.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml::Table;

use super::provider::{Key, Need, Provider};
use crate::config::nearest;
use crate::types::{Text, text};

/// A few lines; more is another file.
const MOST_BYTES: u64 = 16 * 1024;
/// Replacing shorter ones would take apart what is said.
const SHORTEST_SECRET_BYTES: usize = 4;

/// What the file holds, with all that the provider needs.
pub(super) struct Credentials {
    values: Vec<(&'static Key, String)>,
}

/// What is wrong with the file, to be shown with its name. No secret is in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Unreadable(String),
    OpenToOthers,
    Wrong(Text),
}

impl Credentials {
    /// Reads files: not for a data thread.
    pub(super) fn read(path: &Path, provider: &'static Provider) -> Result<Self, Unusable> {
        let unreadable = |error: std::io::Error| Unusable::Unreadable(error.to_string());
        let file = File::open(path).map_err(unreadable)?;
        // Of what was opened, not of what lies under the name a moment later.
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Unusable::OpenToOthers);
        }
        let mut written = String::new();
        file.take(MOST_BYTES).read_to_string(&mut written).map_err(unreadable)?;
        Self::parse(&written, provider).map_err(Unusable::Wrong)
    }

    fn parse(written: &str, provider: &'static Provider) -> Result<Self, Text> {
        // The parser's own message quotes the line, and a secret may stand in it.
        let table: Table = written.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start).min(written.len());
            let line = written.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            text!(
                "line {line} is no TOML: each is like key = \"value\"",
                "第 {line} 行不是 TOML:每行应为 key = \"value\""
            )
        })?;
        let known = || provider.keys.iter().map(|key| key.name);
        for name in table.keys() {
            // Whatever stands before the `=` may be a secret that was pasted to the wrong side.
            if known().all(|known| known != name) {
                let keys = known().collect::<Vec<_>>().join(", ");
                return Err(match nearest(name, known()) {
                    Some(near) => text!(
                        "it has a key that is not known: did you mean `{near}`?",
                        "含有未知的键:是否想写 `{near}`?"
                    ),
                    None => text!(
                        "it has a key that is not known; those are {keys}",
                        "含有未知的键;可用的键为 {keys}"
                    ),
                });
            }
        }
        let mut values = Vec::new();
        for key in provider.keys {
            let name = key.name;
            match table.get(name).map(toml::Value::as_str) {
                Some(Some(value)) if is_fine(value) => values.push((key, value.to_owned())),
                Some(Some("")) if key.need.is_optional() => {}
                Some(Some("")) => return Err(text!("`{name}` is empty", "`{name}` 为空")),
                Some(Some(_)) => {
                    return Err(text!(
                        "`{name}` holds a blank or something beyond ASCII",
                        "`{name}` 含有空白或非 ASCII 字符"
                    ));
                }
                Some(None) => {
                    return Err(text!("`{name}` must be text in quotes", "`{name}` 必须是带引号的文本"));
                }
                None if key.need.is_optional() => {}
                None => return Err(text!("`{name}` is missing", "缺少 `{name}`")),
            }
        }
        Ok(Self { values })
    }

    /// Of a key that is needed; every one is there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.optional(name).unwrap_or_default()
    }

    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(key, _)| key.name == name).map(|(_, value)| value.as_str())
    }

    /// Somebody else's words, without what must not be repeated.
    pub(super) fn without_secrets(&self, words: &str) -> String {
        let secrets = self.values.iter().filter(|(key, _)| key.need.is_secret());
        let long = secrets.filter(|(_, value)| value.len() >= SHORTEST_SECRET_BYTES);
        long.fold(words.to_owned(), |words, (key, value)| words.replace(value, &format!("<{}>", key.name)))
    }
}

/// They end up in headers and signatures, where a line's end that was pasted along would be a riddle.
fn is_fine(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Need {
    fn is_optional(self) -> bool {
        matches!(self, Need::Optional | Need::OptionalSecret)
    }

    fn is_secret(self) -> bool {
        matches!(self, Need::Secret | Need::OptionalSecret)
    }
}

#[cfg(test)]
mod tests {
    use super::super::provider;
    use super::*;

    fn parse(provider: &str, written: &str) -> Result<Credentials, Text> {
        Credentials::parse(written, provider::find(provider).unwrap())
    }

    fn complaint(provider: &str, written: &str) -> String {
        match parse(provider, written) {
            Ok(_) => panic!("{written:?} was taken"),
            Err(text) => text.en.into_owned(),
        }
    }

    #[test]
    fn every_example_is_a_whole_file_that_opens() {
        for provider in provider::PROVIDERS {
            let credentials =
                Credentials::parse(&provider.example(), provider).unwrap_or_else(|text| panic!("{text:?}"));
            assert!(provider.open(&credentials).is_ok(), "{}", provider.name);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_it() {
        let rest = "key_name = \"acme\"\nkey = \"c2VjcmV0\"\n";
        for (written, said) in [
            (format!("serve = \"192.0.2.53\"\n{rest}"), "did you mean `server`?"),
            (rest.to_owned(), "`server` is missing"),
            (format!("server = \"\"\n{rest}"), "`server` is empty"),
            (format!("server = 53\n{rest}"), "`server` must be text in quotes"),
            (format!("server = \"192.0.2.53\\n\"\n{rest}"), "`server` holds a blank"),
            (format!("{rest}server = 192.0.2.53"), "line 3 is no TOML"),
        ] {
            let complaint = complaint("rfc2136", &written);
            assert!(complaint.contains(said), "{written}: {complaint}");
        }
        for pasted in
            ["api_token = tok3n-of-mine", "tok3n-of-mine = \"api_token\"", "api_token = \"tok3n-of-mine é\""]
        {
            let complaint = complaint("cloudflare", pasted);
            assert!(!complaint.contains("tok3n"), "{complaint}");
        }
        let optional =
            parse("alidns", "access_key_id = \"a\"\naccess_key_secret = \"b\"\nsecurity_token = \"\"");
        assert!(optional.is_ok_and(|optional| optional.optional("security_token").is_none()));
    }

    #[test]
    fn secrets_are_taken_out_of_what_others_say() {
        let credentials =
            parse("porkbun", "api_key = \"pk1_public\"\nsecret_api_key = \"sk1_hidden\"").unwrap();
        let said = credentials.without_secrets("no https://api.example/?k=sk1_hidden for pk1_public");
        assert_eq!(said, "no https://api.example/?k=<secret_api_key> for <api_key>");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dns.toml");
        std::fs::write(&path, "api_token = \"abcd\"").unwrap();
        let cloudflare = provider::find("cloudflare").unwrap();
        for (mode, refused) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = Credentials::read(&path, cloudflare);
            assert_eq!(matches!(read, Err(Unusable::OpenToOthers)), refused, "{mode:o}");
        }
        let missing = Credentials::read(&folder.path().join("none"), cloudflare);
        assert!(matches!(missing, Err(Unusable::Unreadable(_))));
    }
}
