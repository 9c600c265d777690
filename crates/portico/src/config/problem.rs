//! What is wrong with a configuration: a closed list of codes, and one problem with its place, its reason and its fix.

use std::ops::Range;

use crate::types::Text;

/// Declares the list once: variant, code, English, Chinese. Codes are stable: scripts and search engines know them.
macro_rules! codes {
    ($($variant:ident $code:literal $en:literal $zh:literal;)*) => {
        /// The kind of a problem. `portico config explain C012` prints its text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $($variant,)* }

        impl Code {
            pub(crate) const ALL: &[Code] = &[$(Code::$variant,)*];

            pub(crate) const fn word(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            pub(crate) const fn text(self) -> Text {
                match self { $(Code::$variant => Text::fixed($en, $zh),)* }
            }
        }
    };
}

codes! {
    Internal "C000" "A default of Portico's own does not pass its own check. Please report it."
        "Portico 自带的默认值没有通过自己的检查。请报告此问题。";
    Unreadable "C001" "The configuration file can't be read: it is missing, not a file, or not permitted."
        "无法读取配置文件:文件不存在、不是普通文件,或没有权限。";
    TooLarge "C002" "The configuration file is larger than 1 MiB." "配置文件大于 1 MiB。";
    NotText "C003" "The configuration file is not UTF-8 text." "配置文件不是 UTF-8 文本。";
    Syntax "C010" "The file is not valid TOML at this place." "文件在此处不是合法的 TOML。";
    UnknownKey "C012" "There is no such key or section. Portico never ignores what it does not know."
        "没有这个键或小节。Portico 从不忽略它不认识的内容。";
    WrongType "C013" "The value has another type than the key takes, such as a number in place of text."
        "值的类型与该键要求的不同,例如该写文本却写了数字。";
    BadForm "C014" "The value is text, but not of the form that the key takes." "值是文本,但格式不符合该键的要求。";
    OutOfRange "C015" "The value is below the key's floor or above its ceiling." "值低于该键的下限或高于上限。";
    UnknownWord "C016" "The value is not one of the words that the key takes." "值不在该键可用的词之中。";
    Missing "C017" "A key that is needed here is not written." "此处必需的键没有写。";
    Duplicate "C018" "Something that must be unique is written twice." "必须唯一的内容写了两次。";
    Contradiction "C019" "Two settings do not go together." "两项设置互相矛盾。";
    SecretInFile "C020" "Secrets do not belong in the configuration: name a file that holds them."
        "机密不应写在配置里:请写出保存它的文件的路径。";
    Unsafe "C021" "The value would open something that must stay closed." "该值会打开必须保持关闭的东西。";
    RefusedArgument "C022" "Portico sets this argument of the model server itself, or it would open the model server."
        "该模型服务参数由 Portico 自己设置,或者会使模型服务暴露在外。";
    NoEffect "C023" "The key has no effect together with the rest of the file." "该键与文件其余部分一起时不起作用。";
    NotBuilt "C040" "The feature is not built yet in this version; the key is accepted and does nothing."
        "此版本尚未实现该功能;该键会被接受,但不起作用。";
    NotBuiltProtection "C041" "The key would protect something and is not built yet: `portico run` refuses to start with it."
        "该键起保护作用,但尚未实现:`portico run` 会拒绝以此启动。";
}

impl Code {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word().eq_ignore_ascii_case(word))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

impl Severity {
    /// The word in `--json`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// The place of a key or a value: its path as a person would say it, and where it is written, if it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Such as `timeouts.drain` or `model[0].name`. Empty for the file as a whole.
    pub(crate) key: String,
    /// Bytes of the file. `None`: nothing is written there.
    pub(crate) span: Option<Range<usize>>,
}

/// One thing to say about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) severity: Severity,
    pub(crate) spot: Spot,
    pub(crate) message: Text,
    /// A few words under the marked place.
    pub(crate) label: Option<Text>,
    pub(crate) why: Option<Text>,
    pub(crate) help: Option<Text>,
    /// A second place that belongs to it, such as the first of two equal names.
    pub(crate) also: Option<(Range<usize>, Text)>,
}

impl Problem {
    pub(crate) fn error(code: Code, spot: &Spot, message: Text) -> Self {
        Self {
            code,
            severity: Severity::Error,
            spot: spot.clone(),
            message,
            label: None,
            why: None,
            help: None,
            also: None,
        }
    }

    pub(crate) fn warning(code: Code, spot: &Spot, message: Text) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, spot, message) }
    }

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

    pub(crate) fn also(mut self, spot: &Spot, label: Text) -> Self {
        self.also = spot.span.clone().map(|span| (span, label));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_found_by_their_word() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.word()), "{} twice", code.word());
            assert_eq!(Code::from_word(&code.word().to_lowercase()), Some(*code));
            assert!(code.text().zh.ends_with('。'));
        }
        assert_eq!(Code::from_word("C999"), None);
    }
}
