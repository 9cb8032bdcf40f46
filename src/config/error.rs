//! What is wrong with a configuration, shown where it stands.
//!
//! A problem is shown as compilers show theirs: where, what, the line itself with the culprit underlined, and what
//! would be right.

use crate::core::escape::one_line;
use crate::core::text::is_control;
use std::fmt;
use std::ops::Range;

/// Everything that is wrong with a configuration; never empty. Shown one problem after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems, in the order of the files and of the lines in them.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub omitted: usize,
}

impl ConfigError {
    /// The same in one line, without the pictures.
    pub fn line(&self) -> String {
        let mut parts: Vec<_> = self.problems.iter().map(Problem::line).collect();
        if self.omitted > 0 {
            parts.push(format!("and {} more", self.omitted));
        }
        parts.join(" | ")
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to us.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right: a phrase such as "expected a duration".
    pub help: Option<String>,
    excerpt: Excerpt,
}

impl Problem {
    /// A problem with the bytes `span` of `text`. What is said of it may hold parts of the text, such as a key.
    pub(crate) fn new(file: &str, text: &str, span: Range<usize>, message: String, help: Option<String>) -> Self {
        let start = floor_char_boundary(text, span.start);
        let end = floor_char_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[..line_start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let source = text[line_start..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let length = text[start..end].split('\n').next().unwrap_or_default().chars().count();
        let excerpt = Excerpt::new(source, column - 1, length);
        let message = one_line(format_args!("{message}"), MESSAGE_MAX);
        let help = help.map(|help| one_line(format_args!("{help}"), MESSAGE_MAX));
        Self { file: file.to_owned(), line, column, message, help, excerpt }
    }

    /// The same in one line, without the picture.
    pub fn line(&self) -> String {
        let Self { file, line, column, message, help, .. } = self;
        let help = help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        format!("{file}:{line}:{column}: {message}{help}")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        writeln!(f, "{:>5} | {}", self.line, self.excerpt.source)?;
        write!(f, "      | {}{}", " ".repeat(self.excerpt.indent), "^".repeat(self.excerpt.carets))?;
        match &self.help {
            Some(help) => write!(f, "\n   {help}"),
            None => Ok(()),
        }
    }
}

/// The longest message, in bytes; a key may be as long as its file.
const MESSAGE_MAX: usize = 512;

/// The characters of a line that are shown; a line may be a megabyte long.
const WIDTH_MAX: usize = 100;
/// The characters before the culprit that are shown of a longer line.
const LEAD: usize = 40;

/// The part of a line that shows the culprit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    source: String,
    indent: usize,
    carets: usize,
}

impl Excerpt {
    /// The culprit is the `length` characters from the one at `column` (from 0) on.
    fn new(line: &str, column: usize, length: usize) -> Self {
        let whole = line.chars().count();
        let skipped = if whole <= WIDTH_MAX { 0 } else { column.saturating_sub(LEAD) };
        // A tab would move the carets away from what they point at, and an escape would move the cursor.
        let shown = line.chars().skip(skipped).take(WIDTH_MAX).map(|c| match c {
            '\t' => ' ',
            c if is_control(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        });
        let indent = column - skipped;
        Self { source: shown.collect(), indent, carets: length.clamp(1, WIDTH_MAX.saturating_sub(indent).max(1)) }
    }
}

/// The nearest character boundary at or before `index`.
fn floor_char_boundary(text: &str, index: usize) -> usize {
    let index = index.min(text.len());
    (0..=index).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, culprit: &str) -> Problem {
        let start = text.find(culprit).unwrap();
        let span = start..start + culprit.len();
        Problem::new("belfry.toml", text, span, "it is wrong".to_owned(), Some("expected better".to_owned()))
    }

    #[test]
    fn a_problem_is_shown_where_it_stands() {
        let text = "[chat]\nline-format = \"\u{e4}\" # x\nhistory = 7\n";
        assert_eq!(
            problem(text, "# x").to_string(),
            concat!(
                "belfry.toml:2:19: it is wrong\n",
                "    2 | line-format = \"\u{e4}\" # x\n",
                "      |                   ^^^\n",
                "   expected better",
            )
        );
    }

    #[test]
    fn tabs_and_escapes_in_the_line_do_not_move_the_carets() {
        let shown = problem("\thistory\u{1b}[2J\u{202e} = 7\r\n", "7").to_string();
        assert_eq!(shown.lines().nth(1), Some("    1 |  history\u{fffd}[2J\u{fffd} = 7"));
        assert_eq!(shown.lines().nth(2), Some("      |                 ^"));
    }

    #[test]
    fn a_culprit_of_several_lines_is_underlined_on_its_first() {
        let text = "listen = [\n  1,\n]\n";
        assert_eq!(problem(text, "[\n  1,\n]").to_string().lines().nth(2), Some("      |          ^"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_culprit() {
        let text = format!("{}here{}", "a".repeat(100_000), "b".repeat(100_000));
        let shown = problem(&text, "here").to_string();
        let line = shown.lines().nth(1).unwrap();
        assert_eq!(line.chars().count(), "    1 | ".len() + WIDTH_MAX);
        let caret = shown.lines().nth(2).unwrap().find("^^^^").unwrap();
        assert_eq!(&line[caret..caret + 4], "here");
        let wide = problem(&text, &text[99_990..150_000]).to_string();
        assert!(wide.lines().all(|line| line.len() <= 120));
    }

    #[test]
    fn a_place_beyond_the_text_or_within_a_character_is_shown_too() {
        for (text, span) in [("", 0..0), ("", 5..9), ("a = \u{1f514}", 5..6), ("a\n", 2..2)] {
            let shown = Problem::new("f", text, span, String::new(), None).to_string();
            assert!(shown.contains('^'), "{text:?}");
        }
    }
}
