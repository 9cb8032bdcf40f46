//! The list of what can be typed and pressed.

use crate::client::chat::command::{COMMANDS, KEYS};
use crate::client::chat::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Its lines: what is typed, and what that does.
pub(in crate::client::chat) fn lines() -> impl Iterator<Item = (String, &'static str)> {
    let keys = KEYS.iter().map(|&(keys, does)| (keys.to_owned(), does));
    let commands = COMMANDS.iter().map(|(word, words, does)| (format!("/{word} {words}").trim_end().to_owned(), *does));
    let texts = [("//text".to_owned(), "a text that begins with a slash")];
    keys.chain(commands).chain(texts)
}

pub(super) fn draw(theme: Theme, area: Rect, buffer: &mut Buffer) {
    for ((typed, does), y) in lines().zip(area.y..area.bottom()) {
        let line = Line::from(vec![Span::styled(format!(" {typed:<16}"), theme.own()), Span::raw(does)]);
        buffer.set_line(area.x, y, &line, area.width);
    }
}
