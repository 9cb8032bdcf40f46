//! Strangers' text on one line of a log or a terminal.
//!
//! What could steer a terminal or begin a second line is shown by its escape, as Rust writes it (`\n`, `\u{1b}`). A
//! backslash stays as it is: the result is for reading, not for turning back.

use super::text::is_control;
use std::fmt::{self, Write};

/// Stands at the end of what was cut.
const CUT: &str = "…";

/// The text on one line of at most `bytes_max` bytes; one that is cut ends in `…`.
pub fn one_line(text: fmt::Arguments<'_>, bytes_max: usize) -> String {
    let mut line = OneLine { line: String::new(), bytes_max, fits: 0 };
    if line.write_fmt(text).is_err() {
        line.line.truncate(line.fits);
        line.line.push_str(CUT);
    }
    line.line
}

/// Escapes what is written to it, and ends the writing when it is full.
struct OneLine {
    line: String,
    bytes_max: usize,
    /// Where to cut: the length of what would leave room for [`CUT`].
    fits: usize,
}

impl Write for OneLine {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' || is_control(c) {
                self.line.extend(c.escape_default());
            } else {
                self.line.push(c);
            }
            if self.line.len() > self.bytes_max {
                return Err(fmt::Error);
            }
            if self.line.len() + CUT.len() <= self.bytes_max {
                self.fits = self.line.len();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_begins_a_line_is_escaped_and_the_rest_stays() {
        let cases = [
            ("bob: hello\tworld ß 🕰", "bob: hello\tworld ß 🕰"),
            ("a\x1b[31mred", r"a\u{1b}[31mred"),
            ("a\nforged\r", r"a\nforged\r"),
            ("c1 \u{9b}2J del \x7f", r"c1 \u{9b}2J del \u{7f}"),
            ("bidi \u{202e}gnp.exe\u{2066}", r"bidi \u{202e}gnp.exe\u{2066}"),
            ("a\\b", "a\\b"),
        ];
        for (text, line) in cases {
            assert_eq!(one_line(format_args!("{text}"), usize::MAX), line);
        }
    }

    #[test]
    fn a_line_is_cut_at_a_whole_character_or_escape_and_never_passes_its_bound() {
        assert_eq!(one_line(format_args!("123456"), 6), "123456");
        assert_eq!(one_line(format_args!("1234567"), 6), "123…");
        assert_eq!(one_line(format_args!("12ßßß"), 6), "12…");
        assert_eq!(one_line(format_args!("1\x1b2345678"), 10), "1\\u{1b}…");
        assert_eq!(one_line(format_args!("12\x1b2345"), 8), "12…");
    }
}
