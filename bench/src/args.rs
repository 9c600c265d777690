//! `--name value` pairs, and nothing else: two internal tools do not need an argument parser's dependencies.

use std::collections::BTreeMap;
use std::str::FromStr;

#[derive(Debug)]
pub struct Args {
    pub words: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Args {
    /// Reads the process's arguments; an option that is not in `known` is an error, because a misspelt one would
    /// silently measure something else.
    pub fn read(arguments: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, String> {
        let mut words = Vec::new();
        let mut options = BTreeMap::new();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let Some(name) = argument.strip_prefix("--") else {
                words.push(argument);
                continue;
            };
            if !known.contains(&name) {
                return Err(format!("unknown option --{name}; known: --{}", known.join(", --")));
            }
            let value = arguments.next().ok_or_else(|| format!("--{name} needs a value"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self { words, options })
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        self.options.get(name).map_or_else(|| default.to_owned(), Clone::clone)
    }

    pub fn value<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.options.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name}: cannot read \"{text}\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn read(line: &str) -> Result<Args, String> {
        Args::read(line.split_whitespace().map(str::to_owned), &["seconds", "target"])
    }

    #[test]
    fn reads_words_and_options() {
        let args = read("json --seconds 3").expect("a good line");
        assert_eq!(args.words, ["json"]);
        assert_eq!(args.value("seconds", 1.0), Ok(3.0));
        assert_eq!(args.text("target", "none"), "none");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(read("json --second 3").is_err());
        assert!(read("json --seconds").is_err());
        assert!(read("json --seconds three").expect("reads").value("seconds", 1.0).is_err());
    }
}
