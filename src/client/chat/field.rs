//! What is being typed: a field of several lines, what was typed before, and what a text becomes when it is sent.

use crate::core::text::is_control;
use ratatui_textarea::{CursorMove, Input as Stroke, TextArea, WrapMode};

/// Texts that were sent and can be had again.
const EARLIER_MAX: usize = 200;

/// The field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) area: TextArea<'static>,
    earlier: Vec<String>,
    /// Which of them is shown, and what was typed before that.
    recalled: Option<(usize, Vec<String>)>,
    completion: Option<Completion>,
}

/// What Tab has put in, and what it puts in its place next.
#[derive(Clone, Debug)]
struct Completion {
    candidates: Vec<String>,
    at: usize,
}

impl Field {
    pub(super) fn new() -> Self {
        Self { area: area(&[]), earlier: Vec::new(), recalled: None, completion: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.area.is_empty()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.area.lines().to_vec()
    }

    pub(super) fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    /// Has these lines in it instead.
    pub(super) fn set(&mut self, lines: &[String]) {
        self.area = area(lines);
        self.completion = None;
    }

    /// Takes what was typed, to send it.
    pub(super) fn take(&mut self) -> String {
        let text = self.text();
        if !text.is_empty() && self.earlier.last() != Some(&text) {
            if self.earlier.len() == EARLIER_MAX {
                self.earlier.remove(0);
            }
            self.earlier.push(text.clone());
        }
        self.recalled = None;
        self.set(&[]);
        text
    }

    /// A key that changes the text or moves in it.
    pub(super) fn stroke(&mut self, stroke: Stroke) {
        self.completion = None;
        self.area.input(stroke);
    }

    /// A text from the clipboard, without what steers a terminal.
    pub(super) fn paste(&mut self, text: &str) {
        self.completion = None;
        let text: String = text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|&c| !is_control(c)).collect();
        // Most often the newline behind the last line was not meant.
        self.area.insert_str(text.strip_suffix('\n').filter(|text| !text.contains('\n')).unwrap_or(&text));
    }

    // ---- what was typed before ----

    /// One line up, or the text before this one.
    pub(super) fn up(&mut self) {
        self.completion = None;
        if self.area.cursor().0 > 0 {
            return self.area.move_cursor(CursorMove::Up);
        }
        let (at, typed) = match self.recalled.take() {
            Some((at, typed)) => (at.saturating_sub(1), typed),
            None if self.earlier.is_empty() => return,
            None => (self.earlier.len() - 1, self.lines()),
        };
        self.set(&lines_of(&self.earlier[at]));
        self.recalled = Some((at, typed));
    }

    /// One line down, or the text behind this one.
    pub(super) fn down(&mut self) {
        self.completion = None;
        if self.area.cursor().0 + 1 < self.area.lines().len() {
            return self.area.move_cursor(CursorMove::Down);
        }
        let Some((at, typed)) = self.recalled.take() else { return };
        if at + 1 < self.earlier.len() {
            self.set(&lines_of(&self.earlier[at + 1]));
            self.recalled = Some((at + 1, typed));
        } else {
            self.set(&typed);
        }
    }

    // ---- completion ----

    /// What stands before the cursor in its line.
    pub(super) fn before_cursor(&self) -> String {
        let at = self.area.cursor();
        self.area.lines()[at.0].chars().take(at.1).collect()
    }

    /// Whether the last key was Tab as well.
    pub(super) fn is_completing(&self) -> bool {
        self.completion.is_some()
    }

    /// Puts the first of these in the place of the word before the cursor, which has so many characters.
    pub(super) fn complete(&mut self, word_len: usize, candidates: Vec<String>) {
        let Some(first) = candidates.first() else { return };
        self.replace(word_len, &first.clone());
        self.completion = Some(Completion { candidates, at: 0 });
    }

    /// Puts in the next one.
    pub(super) fn complete_next(&mut self) {
        let Some(Completion { candidates, at }) = self.completion.take() else { return };
        let next = (at + 1) % candidates.len();
        self.replace(candidates[at].chars().count(), &candidates[next].clone());
        self.completion = Some(Completion { candidates, at: next });
    }

    fn replace(&mut self, len: usize, text: &str) {
        for _ in 0..len {
            self.area.delete_char();
        }
        self.area.insert_str(text);
    }
}

fn lines_of(text: &str) -> Vec<String> {
    text.split('\n').map(str::to_owned).collect()
}

fn area(lines: &[String]) -> TextArea<'static> {
    let mut area = TextArea::new(lines.to_vec());
    area.set_cursor_line_style(ratatui::style::Style::new());
    // The terminal's own is shown in its place.
    area.set_cursor_style(ratatui::style::Style::new());
    area.set_wrap_mode(WrapMode::WordOrGlyph);
    area.set_tab_length(4);
    area.move_cursor(CursorMove::Bottom);
    area.move_cursor(CursorMove::End);
    area
}

/// The messages that a text becomes: one, if it is not too long; otherwise one for each so many lines as fit, and where a
/// line does not, pieces of it.
pub(super) fn messages(text: &str, len_max: usize) -> Vec<String> {
    let len_max = len_max.max(4);
    let text = text.trim_end();
    let mut messages: Vec<String> = Vec::new();
    if text.len() <= len_max {
        messages.push(text.to_owned());
        return messages;
    }
    for line in text.split('\n') {
        match messages.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= len_max => {
                last.push('\n');
                last.push_str(line);
            }
            _ => messages.extend(pieces(line, len_max)),
        }
    }
    messages.retain(|message| !message.trim().is_empty());
    messages
}

/// A line in pieces, cut between words where that is possible.
fn pieces(mut line: &str, len_max: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    while line.len() > len_max {
        let end = (0..=len_max).rev().find(|&at| line.is_char_boundary(at)).unwrap_or_default();
        let is_end_of_word = line[end..].starts_with(' ');
        let space = line[..end].rfind(' ').filter(|&at| at > 0 && !is_end_of_word);
        let cut = space.unwrap_or(end);
        pieces.push(line[..cut].to_owned());
        line = line[cut..].trim_start_matches(' ');
    }
    pieces.push(line.to_owned());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_textarea::Key;

    fn typed(field: &mut Field, text: &str) {
        for c in text.chars() {
            field.stroke(Stroke { key: Key::Char(c), ..Stroke::default() });
        }
    }

    #[test]
    fn a_text_that_fits_is_one_message_and_a_longer_one_is_cut_between_lines_and_then_between_words() {
        assert_eq!(messages("one\ntwo\n", 7), ["one\ntwo"]);
        assert_eq!(messages("one\ntwo\nthree", 7), ["one\ntwo", "three"]);
        assert_eq!(messages("one two three", 7), ["one two", "three"]);
        assert_eq!(messages("天天天", 7), ["天天", "天"]);
        assert_eq!(messages("aaaa\n\n\nbbbb", 5), ["aaaa\n", "\nbbbb"]);
        assert_eq!(messages("aaaaaa", 0), ["aaaa", "aa"]);
    }

    #[test]
    fn what_was_sent_comes_back_with_up_and_what_was_begun_with_down() {
        let mut field = Field::new();
        for text in ["one", "two\nlines", "two\nlines"] {
            field.paste(text);
            assert_eq!(field.take(), text);
        }
        typed(&mut field, "begun");
        field.up();
        assert_eq!(field.text(), "two\nlines");
        field.up();
        field.up();
        assert_eq!(field.text(), "one");
        field.up();
        assert_eq!(field.text(), "one");
        field.down();
        field.down();
        assert_eq!(field.text(), "begun");
        field.down();
        assert_eq!(field.text(), "begun");
    }

    #[test]
    fn a_paste_keeps_its_lines_and_loses_what_steers_a_terminal() {
        let mut field = Field::new();
        field.paste("one\r\ntwo\rthree\x1b[31m\u{202e}");
        assert_eq!(field.text(), "one\ntwo\nthree[31m");
        field.set(&[]);
        field.paste("one\n");
        assert_eq!(field.text(), "one");
    }

    #[test]
    fn tab_goes_through_the_candidates() {
        let mut field = Field::new();
        typed(&mut field, "hi an");
        field.complete(2, vec!["anna ".to_owned(), "andré ".to_owned()]);
        assert_eq!((field.text().as_str(), field.is_completing()), ("hi anna ", true));
        field.complete_next();
        assert_eq!(field.text(), "hi andré ");
        field.complete_next();
        assert_eq!(field.text(), "hi anna ");
        typed(&mut field, "x");
        assert!(!field.is_completing());
    }
}
