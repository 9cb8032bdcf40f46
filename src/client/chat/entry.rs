//! What stands in a conversation: messages, notices, and what could not be said.
//!
//! Everything here is clean. Texts of strangers become a [`Text`] or a [`clean_line`] as they come in, and nothing else is ever
//! drawn, so no view has to think of it.

use crate::client::shown;
use unicode_width::UnicodeWidthChar;

/// Characters without a width that may follow each other: marks above and below a letter, or what joins an emoji. With more
/// of them a text would be drawn over the lines around it.
const MARKS_MAX: usize = 4;

/// What a tab is shown as.
const TAB: &str = "    ";

/// A text of one or more lines, fit for a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(String);

impl Text {
    /// What somebody has sent.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(limit_marks(&shown(bytes, "\n").replace('\t', TAB)))
    }

    /// Its lines; there is at least one.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.split('\n')
    }

    /// Whether it is found in a line, whatever the letter case of either.
    pub(super) fn contains(&self, needle: &str) -> bool {
        self.lines().any(|line| line.to_lowercase().contains(&needle.to_lowercase()))
    }

    /// Whether somebody is called by this name in it.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let (text, name) = (self.0.to_lowercase(), name.to_lowercase());
        !name.is_empty()
            && text
                .match_indices(&name)
                .any(|(at, found)| !goes_on(text[..at].chars().rev()) && !goes_on(text[at + found.len()..].chars()))
    }
}

/// Whether a name goes on like this: a sign within a name is one only between letters.
fn goes_on(mut chars: impl Iterator<Item = char>) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    match chars.next() {
        Some('-' | '.') => chars.next().is_some_and(is_letter),
        next => next.is_some_and(is_letter),
    }
}

/// A name or another short text of somebody's on one line.
pub(super) fn clean_line(text: &str) -> String {
    limit_marks(&shown(text.as_bytes(), " ").replace('\t', " "))
}

fn limit_marks(text: &str) -> String {
    let mut marks = 0;
    text.chars()
        .filter(|&c| {
            marks = if c != '\n' && c.width() == Some(0) { marks + 1 } else { 0 };
            marks <= MARKS_MAX
        })
        .collect()
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Higher than that of all before it, in whatever room.
    pub(super) id: u64,
    /// Seconds of Unix time.
    pub(super) time: i64,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Somebody has said something; `is_echo` when it was typed here.
    Said { from: String, is_me: bool, is_echo: bool, is_mention: bool, text: Text },
    /// The same to us alone, or by us `to` somebody alone.
    Private { from: String, to: Option<String>, text: Text },
    /// Something to know.
    Notice(Text),
    /// What we wanted to say: nobody has heard it, or nobody can tell.
    Unsaid { why: String, text: Text },
}

impl Entry {
    /// What is searched.
    pub(super) fn text(&self) -> &Text {
        match &self.what {
            What::Said { text, .. } | What::Private { text, .. } | What::Unsaid { text, .. } => text,
            What::Notice(text) => text,
        }
    }

    /// What its first line begins with, behind the time: who, and of what kind it is.
    pub(super) fn head(&self) -> String {
        match &self.what {
            What::Said { from, is_me: true, .. } => format!("* {from} "),
            What::Said { from, .. } => format!("{from}: "),
            What::Private { from, to: None, .. } => format!("{from} -> you: "),
            What::Private { to: Some(to), .. } => format!("you -> {to}: "),
            What::Notice(_) => "-- ".to_owned(),
            What::Unsaid { why, .. } => format!("-- {why}: "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_marks_without_number_are_cut() {
        assert_eq!(Text::new(b"a\x1b[2J\r\n\tb\0").lines().collect::<Vec<_>>(), ["a\\u{1b}[2J", "    b"]);
        assert_eq!(Text::new("\u{202e}evil\u{9b}".as_bytes()).0, "\\u{202e}evil\\u{9b}");
        let marks = format!("a{}b", "\u{301}".repeat(50));
        assert_eq!(Text::new(marks.as_bytes()).0, format!("a{}b", "\u{301}".repeat(4)));
        assert_eq!(clean_line("an\nna\tx"), "an na x");
    }

    #[test]
    fn a_name_is_mentioned_as_a_word_in_any_letter_case() {
        for (text, is_mentioned) in [
            ("Anna: hi", true),
            ("hi, ANNA!", true),
            ("annabel", false),
            ("hanna", false),
            ("anna_x anna", true),
            ("anna-2: no", false),
            ("I mean anna.", true),
            ("jo-anna", false),
            ("so - anna - come", true),
        ] {
            assert_eq!(Text::new(text.as_bytes()).mentions("anna"), is_mentioned, "{text}");
        }
        assert!(!Text::new(b"anything").mentions(""));
    }
}
