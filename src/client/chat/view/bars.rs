//! The line of the rooms and the line of the state.

use crate::client::chat::field::messages;
use crate::client::chat::model::{Connection, Model};
use crate::client::chat::room::Room;
use crate::core::text::plural;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// The rooms, with what is new in them, as many as there is room for; the one that is shown is among them.
pub(super) fn rooms(model: &Model, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let tabs: Vec<String> = model.rooms.iter().enumerate().map(|(at, room)| tab(at, room)).collect();
    let mut first = 0;
    let fits =
        |first: usize| tabs[first..=model.current].iter().map(|tab| tab.width()).sum::<usize>() <= area.width.into();
    while first < model.current && !fits(first) {
        first += 1;
    }
    let theme = model.settings.theme;
    let spans = tabs.into_iter().enumerate().skip(first).map(|(at, tab)| {
        let room = &model.rooms[at];
        let style = match (at == model.current, room.is_mentioned, room.unread > 0) {
            (true, ..) => theme.bar(),
            (_, true, _) => theme.mention(),
            (.., true) => theme.own(),
            _ => Style::new(),
        };
        Span::styled(tab, style)
    });
    buffer.set_line(area.x, area.y, &Line::from_iter(spans), area.width);
}

fn tab(at: usize, room: &Room) -> String {
    let mark = if room.is_mentioned { "!" } else { "" };
    match room.unread {
        0 => format!(" {} {} ", at + 1, room.name),
        unread => format!(" {} {} {unread}{mark} ", at + 1, room.name),
    }
}

/// Who and where we are, and how it goes.
pub(super) fn state(model: &Model, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let parts = parts(model);
    let text = format!(" {}", parts.join(" · "));
    let style = model.settings.theme.bar();
    buffer.set_style(area, style);
    buffer.set_stringn(area.x, area.y, text, area.width.into(), style);
}

fn parts(model: &Model) -> Vec<String> {
    let mut parts = Vec::new();
    let typed = model.field.text();
    let count = if typed.starts_with('/') { 1 } else { messages(&typed, model.text_max).len() };
    if count > 1 {
        parts.push(format!("Enter sends {count} messages"));
    }
    let below = model.below_count();
    if below > 0 {
        parts.push(format!("{below} more below (End)"));
    }
    if !model.name.is_empty() {
        parts.push(model.name.clone());
    }
    parts.push(connection(model));
    if model.waiting > 0 {
        parts.push(format!("{} to be sent", plural(model.waiting, "message")));
    }
    parts.push(model.settings.server.clone());
    if let Some(time) = model.figures.round_trip {
        parts.push(format!("round trip {}", round_trip(time)));
    }
    parts.push(format!("repaired {}", model.figures.repaired));
    parts.push(format!("lost {}", model.figures.lost));
    parts
}

fn connection(model: &Model) -> String {
    let for_seconds = |since| model.now.mono.since(since).as_secs();
    match &model.connection {
        Connection::Connecting { since } if for_seconds(*since) < 2 => "connecting".to_owned(),
        Connection::Connecting { since } => format!("no answer for {} s, still trying", for_seconds(*since)),
        Connection::Connected => "connected".to_owned(),
        Connection::Silent { since } => format!("no answer for {} s, still trying", for_seconds(*since)),
        Connection::Over { why } => why.clone(),
    }
}

fn round_trip(time: Duration) -> String {
    match time.as_millis() {
        0 => "below 1 ms".to_owned(),
        millis => format!("{millis} ms"),
    }
}
