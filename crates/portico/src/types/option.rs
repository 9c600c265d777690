//! The options of a header field that is a list of words, such as `Connection` (RFC 9110 section 5.6.1).

/// Whether the list holds the word, in whatever case.
pub(crate) fn has_option(list: &[u8], word: &str) -> bool {
    let mut options = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    options.any(|option| option.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone_between_commas() {
        for (list, wanted) in [
            ("close", true),
            ("Close", true),
            ("keep-alive,\t close ,x", true),
            (",close", true),
            ("closed", false),
            ("keep-alive close", false),
            ("", false),
        ] {
            assert_eq!(has_option(list.as_bytes(), "close"), wanted, "{list:?}");
        }
    }
}
