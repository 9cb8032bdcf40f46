//! The list of what can be typed and pressed.

use crate::client::chat::command::help_lines;
use crate::client::chat::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

pub(super) fn draw(theme: Theme, area: Rect, buffer: &mut Buffer) {
    for ((typed, does), y) in help_lines().zip(area.y..area.bottom()) {
        let line = Line::from(vec![Span::styled(format!(" {typed:<16}"), theme.own()), Span::raw(does)]);
        buffer.set_line(area.x, y, &line, area.width);
    }
}
