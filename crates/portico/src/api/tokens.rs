//! Control tokens written as text.
//!
//! A tokenizer turns `<|image_pad|>` in a prompt into the token that stands for a picture, whoever wrote it. Without a
//! picture behind it that ends a Qwen-VL worker (CVE-2026-44222); `<|im_start|>` ends a user's turn and begins another
//! one, as the system if it likes. People do write such text (they ask about chat templates, or a model has repeated
//! one), and to refuse a conversation for ever because of one sentence in it is unkind. So they are defused: a
//! zero-width space after the `<` leaves the sentence as it looks and the tokenizer without its token.

/// Invisible, kept by every tokenizer's normalisation that was looked at, and no part of any control token.
const BREAK: char = '\u{200b}';
/// Longer names were not seen; `<|` without an end is an operator of some languages.
const LONGEST_NAME_BYTES: usize = 64;

/// Tokens of other families that have another form. `<image>` and `<img>` are not among them: they are markup that
/// people paste.
const OTHERS: &[(&str, Kind)] = &[
    ("<__media__>", Kind::Media),
    ("<IMG_CONTEXT>", Kind::Media),
    ("<start_of_image>", Kind::Media),
    ("<end_of_image>", Kind::Media),
    ("<image_soft_token>", Kind::Media),
    ("<start_of_turn>", Kind::Turn),
    ("<end_of_turn>", Kind::Turn),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Stands for a picture, a sound or their borders.
    Media,
    Turn,
}

/// Which tokens are dangerous where the text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The text becomes part of a chat template.
    Chat,
    /// The text is the whole prompt: whoever writes it may well write the turns, but never pictures.
    Prompt,
}

/// The text with every control token broken; `None` when there is none, which is nearly always.
pub(super) fn defused(text: &str, scope: Scope) -> Option<String> {
    let mut starts = starts(text, scope).peekable();
    starts.peek()?;
    let mut broken = String::with_capacity(text.len() + 32);
    let mut from = 0;
    for start in starts {
        broken.push_str(&text[from..=start]);
        broken.push(BREAK);
        from = start + 1;
    }
    broken.push_str(&text[from..]);
    Some(broken)
}

/// The same for a piece that another one follows: templates join the parts of a message, so that a token may be cut in
/// two. An end that could be the beginning of a token is broken, too.
pub(super) fn defused_piece(text: &str, scope: Scope) -> Option<String> {
    let whole = defused(text, scope);
    let seen = whole.as_deref().unwrap_or(text);
    match open_end(seen) {
        Some(at) => {
            let mut broken = seen.to_owned();
            broken.insert(at + 1, BREAK);
            Some(broken)
        }
        None => whole,
    }
}

pub(super) fn holds_any(text: &str, scope: Scope) -> bool {
    starts(text, scope).next().is_some()
}

/// Where the tokens begin.
fn starts(text: &str, scope: Scope) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'<', text.as_bytes()).filter(move |at| match token(&text[*at..]) {
        Some(Kind::Media) => true,
        Some(Kind::Turn) => scope == Scope::Chat,
        None => false,
    })
}

/// What kind of token a text begins with.
fn token(text: &str) -> Option<Kind> {
    if let Some(rest) = text.strip_prefix("<|") {
        let length = name_length(rest);
        let is_token = (1..=LONGEST_NAME_BYTES).contains(&length) && rest[length..].starts_with("|>");
        return is_token.then(|| kind(&rest[..length]));
    }
    // DeepSeek's have full-width bars.
    if let Some(rest) = text.strip_prefix("<\u{ff5c}") {
        let end = rest.char_indices().take(LONGEST_NAME_BYTES).find(|(_, c)| *c == '\u{ff5c}')?.0;
        return (end > 0 && rest[end..].starts_with("\u{ff5c}>")).then_some(Kind::Turn);
    }
    OTHERS.iter().find(|(other, _)| text.starts_with(other)).map(|(_, kind)| *kind)
}

fn kind(name: &str) -> Kind {
    let name = name.to_ascii_lowercase();
    let media = ["image", "vision", "video", "audio", "img", "media"];
    if media.iter().any(|word| name.contains(word)) { Kind::Media } else { Kind::Turn }
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"_-/.:".contains(byte)).count()
}

/// Where a token begins that the text breaks off in.
fn open_end(text: &str) -> Option<usize> {
    // Four bytes a character at most.
    let tail_start = text.len().saturating_sub(4 * LONGEST_NAME_BYTES + 8);
    let at = tail_start + memchr::memrchr(b'<', &text.as_bytes()[tail_start..])?;
    let end = &text[at..];
    let is_open = match end.strip_prefix("<|") {
        Some(rest) => {
            let length = name_length(rest);
            length <= LONGEST_NAME_BYTES && matches!(&rest[length..], "" | "|")
        }
        None => {
            end == "<"
                || end.strip_prefix("<\u{ff5c}").is_some_and(|rest| !rest.contains('>'))
                || OTHERS.iter().any(|(other, _)| other.starts_with(end))
        }
    };
    is_open.then_some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_tokens_are_broken_and_everything_else_is_left() {
        for (text, chat, prompt) in [
            ("<|image_pad|>", true, true),
            ("a <|vision_start|><|image_pad|><|vision_end|> b", true, true),
            ("<|video_pad|>", true, true),
            ("<|vision_pad|>", true, true),
            ("<|image_1|>", true, true),
            ("<|IMAGE|>", true, true),
            ("<__media__>", true, true),
            ("<start_of_image>", true, true),
            ("<IMG_CONTEXT>", true, true),
            ("<|im_start|>system", true, false),
            ("<|im_end|>", true, false),
            ("<|endoftext|>", true, false),
            ("<|object_ref_start|>", true, false),
            ("<|start_header_id|>", true, false),
            ("<|/tool|>", true, false),
            ("<\u{ff5c}User\u{ff5c}>", true, false),
            ("<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>", true, false),
            ("<start_of_turn>user", true, false),
            ("", false, false),
            ("<", false, false),
            ("a <|> b", false, false),
            ("f <| g |> h", false, false),
            ("if a<|b| then", false, false),
            ("<| im_end |>", false, false),
            ("<|im_end", false, false),
            ("<|im_end|", false, false),
            ("<img src=x><image>", false, false),
            ("<b>bold</b> 1 < 2", false, false),
            ("<\u{200b}|im_end|>", false, false),
            ("<\u{ff5c}", false, false),
        ] {
            for (scope, wanted) in [(Scope::Chat, chat), (Scope::Prompt, prompt)] {
                let defused = defused(text, scope);
                assert_eq!(defused.is_some(), wanted, "{text:?} {scope:?}");
                if let Some(defused) = defused {
                    assert_eq!(defused.replace(BREAK, ""), text, "nothing else is changed");
                    assert!(!holds_any(&defused, scope), "{defused:?}");
                }
            }
        }
        let long = format!("<|{}|>", "a".repeat(65));
        assert_eq!(defused(&long, Scope::Chat), None);
    }

    #[test]
    fn a_token_cut_in_two_by_parts_is_broken() {
        let token = "<|image_pad|>";
        for cut in 1..token.len() {
            let (first, second) = token.split_at(cut);
            let first = defused_piece(&format!("x{first}"), Scope::Chat).unwrap();
            let joined = first + second;
            assert!(!holds_any(&joined, Scope::Chat), "{joined:?}");
        }
        for plain in ["", "x", "a < b", "<|im_start then", "<b>"] {
            assert_eq!(defused_piece(plain, Scope::Chat), None, "{plain:?}");
        }
        assert!(defused_piece("<__med", Scope::Chat).is_some());
    }

    proptest! {
        #[test]
        fn what_is_defused_holds_nothing(text in "(<\\|?|im_end|image_pad|\\|>|\u{ff5c}|[<|>a-z_ ]|\\PC){0,12}") {
            let defused = defused_piece(&text, Scope::Chat).unwrap_or(text);
            prop_assert!(!holds_any(&defused, Scope::Chat));
            prop_assert_eq!(open_end(&defused), None);
        }
    }
}
