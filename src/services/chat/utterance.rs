//! What a datagram to the hub says, before anybody asks what it does.
//!
//! ```text
//! datagram  = ( heartbeat | quit | frame | command | text ) [ newline ]
//! heartbeat = "^hb^" | "^hb " token "^"
//! quit      = "quit" [ " " token ]            ; token: 16 hexadecimal digits
//! frame     = "^" verb [ " " … ] "^"         ; verb: lower-case letters; one letter alone is a face: ^o^
//! command   = "/" word [ " " … ]             ; "//" begins a text with a slash
//! newline   = [ CR ] LF
//! ```
//!
//! Zero bytes at the end do not matter: C programs send them.

use crate::core::frame::hex;
use crate::core::text::shown;

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// Nothing but white space: joins or renews.
    Nothing,
    /// `^hb^`, `^hb TOKEN^`
    Heartbeat(Option<&'a str>),
    /// `quit`, `quit TOKEN`
    Quit(Option<&'a str>),
    /// Another `^verb …^`.
    Frame(&'a str),
    /// What stands behind the slash.
    Command(&'a str),
    /// For the room.
    Text(&'a str),
}

/// Reads a datagram's line, without the newline and the zero bytes at its end.
pub(super) fn read(text: &str) -> Said<'_> {
    match text {
        "^hb^" => Said::Heartbeat(None),
        "quit" => Said::Quit(None),
        _ if text.trim().is_empty() => Said::Nothing,
        _ if token_in(text, "^hb ", "^").is_some() => Said::Heartbeat(token_in(text, "^hb ", "^")),
        _ if token_in(text, "quit ", "").is_some() => Said::Quit(token_in(text, "quit ", "")),
        _ if is_frame(text) => Said::Frame(text),
        _ => match text.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => Said::Text(rest),
            Some(command) => Said::Command(command),
            None => Said::Text(text),
        },
    }
}

/// What stands between these, if it looks like a token.
fn token_in<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix(after).filter(|token| hex(token, 16).is_some())
}

fn is_frame(text: &str) -> bool {
    text.strip_prefix('^')
        .and_then(|rest| rest.strip_suffix('^'))
        .is_some_and(|inner| inner.len() > 1 && inner.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Appends `text` to `line` as others may see it: control characters become `?`, and a further line of it is indented,
/// so that it cannot pass for a line of its own.
pub(super) fn push_clean(line: &mut String, text: &str) {
    let text = text.trim_end();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => line.push_str("\n\t"),
            c => line.push(shown(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_one_thing() {
        let cases = [
            ("^hb^", Said::Heartbeat(None)),
            ("quit", Said::Quit(None)),
            ("", Said::Nothing),
            (" \t", Said::Nothing),
            ("^hello anna^", Said::Frame("^hello anna^")),
            ("^_^", Said::Text("^_^")),
            ("^o^", Said::Text("^o^")),
            ("^^", Said::Text("^^")),
            ("/who", Said::Command("who")),
            ("/", Said::Command("")),
            ("//etc/motd", Said::Text("/etc/motd")),
            ("quit smoking", Said::Text("quit smoking")),
            ("Quit", Said::Text("Quit")),
            ("^hb 0123456789abcdef^", Said::Heartbeat(Some("0123456789abcdef"))),
            ("^hb 0123456789abcdeg^", Said::Frame("^hb 0123456789abcdeg^")),
            ("quit 0123456789abcdef", Said::Quit(Some("0123456789abcdef"))),
            ("quit it", Said::Text("quit it")),
        ];
        for (text, said) in cases {
            assert_eq!(read(text), said, "{text:?}");
        }
    }

    #[test]
    fn what_others_see_has_no_control_characters_and_its_further_lines_are_indented() {
        let mut line = "anna: ".to_owned();
        push_clean(&mut line, "a\tb\x1b[31m\u{9b}m\u{202e}c\rd\r\nbob: e\n\n");
        assert_eq!(line, "anna: a\tb?[31m?m?c?d\n\tbob: e");
    }
}
