//! The screen, drawn from the model and from nothing else.
//!
//! ```text
//! rooms                          1 lobby  2 lab 3  @ 1!
//! conversation     │ members
//! state            anna · connected · 192.0.2.1:9999 · 1 ms · repaired 3 · lost 0
//! field            > what is being typed
//! ```
//!
//! Where there is not enough room for all of it, the field is the last to go.

mod bars;
mod help;
#[cfg(test)]
mod tests;

use super::layout::{Layout, MEMBERS_WIDTH, PROMPT};
use super::model::Model;
use super::room::Room;
use crate::core::text::plural;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};
use unicode_width::UnicodeWidthStr;

/// Draws everything.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let field_height = model.field_height().min(area.height);
    let [above, field] = split(area, area.height - field_height);
    let [above, state] = split(above, above.height.saturating_sub(1));
    let (rooms, middle) = if above.height > 1 {
        let [rooms, middle] = split(above, 1);
        (rooms, middle)
    } else {
        (Rect { height: 0, ..above }, above)
    };
    bars::rooms(model, rooms, frame.buffer_mut());
    let members = if model.has_members_shown() { MEMBERS_WIDTH.min(middle.width) } else { 0 };
    let conversation = Rect { width: middle.width - members, ..middle };
    draw_conversation(model, conversation, frame);
    if members > 0 {
        let area = Rect { x: middle.x + conversation.width, width: members, ..middle };
        draw_members(model, area, frame);
    }
    bars::state(model, state, frame.buffer_mut());
    if model.search.is_some() {
        draw_search(model, field, frame);
    } else {
        draw_field(model, field, frame);
    }
    if model.shows_help && model.has_room_for_help() {
        Clear.render(area, frame.buffer_mut());
        help::draw(model.settings.theme, area, frame.buffer_mut());
    }
}

/// The first so many rows, and the others.
fn split(area: Rect, height: u16) -> [Rect; 2] {
    let first = Rect { height: height.min(area.height), ..area };
    [first, Rect { y: area.y + first.height, height: area.height - first.height, ..area }]
}

// ---- conversation ----

fn draw_conversation(model: &Model, area: Rect, frame: &mut Frame<'_>) {
    let layout = Layout { width: area.width.into(), ..model.layout() };
    let rows = rows(model, model.room(), &layout, area.height.into());
    let top = area.height - u16::try_from(rows.len()).unwrap_or(area.height).min(area.height);
    for (line, y) in rows.iter().zip(area.y + top..area.y + area.height) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
}

/// The last rows above the reader's place, at most `height`.
fn rows(model: &Model, room: &Room, layout: &Layout<'_>, height: usize) -> Vec<Line<'static>> {
    // From the bottom to the top.
    let mut rows: Vec<Line<'static>> = Vec::new();
    if room.anchor.is_none() {
        let name = if model.name.is_empty() { "you" } else { &model.name };
        for pending in room.pending.iter().rev().take(height) {
            rows.extend(layout.pending(pending, name).into_iter().rev());
        }
    }
    if let Some((bottom, mut hidden)) = model.bottom(room) {
        for index in (0..=bottom).rev().take(height.max(1)) {
            let before = index.checked_sub(1).map(|before| &room.entries[before]);
            let entry = &room.entries[index];
            let of_entry = layout.entry(entry, before, room.new_from == Some(entry.id));
            rows.extend(of_entry.into_iter().rev().skip(std::mem::take(&mut hidden)));
            if rows.len() >= height {
                break;
            }
        }
    }
    rows.truncate(height);
    rows.reverse();
    rows
}

// ---- members ----

fn draw_members(model: &Model, area: Rect, frame: &mut Frame<'_>) {
    let (theme, members, count) = (model.settings.theme, &model.room().members, model.room().member_count);
    let mut lines = vec![Line::styled(plural(count, "member"), theme.faint())];
    let rows_left = usize::from(area.height).saturating_sub(1);
    let shown = if count > rows_left { rows_left.saturating_sub(1).min(members.len()) } else { members.len() };
    for member in &members[..shown] {
        let mut style = if member.name == model.name { theme.own() } else { theme.name(&member.name) };
        let mut spans = Vec::new();
        if member.is_away {
            style = theme.away();
            spans.push(Span::styled("(away) ", style));
        }
        spans.insert(0, Span::styled(format!("{} ", member.name), style));
        lines.push(Line::from(spans));
    }
    if shown < count {
        lines.push(Line::styled(format!("… {} more", count - shown), theme.faint()));
    }
    let buffer = frame.buffer_mut();
    for y in 0..area.height {
        buffer.set_string(area.x, area.y + y, "│", theme.faint());
    }
    for (line, y) in lines.iter().zip(area.y..area.y + area.height) {
        buffer.set_line(area.x + 2, y, line, area.width.saturating_sub(2));
    }
}

// ---- field ----

fn draw_field(model: &Model, area: Rect, frame: &mut Frame<'_>) {
    if area.is_empty() {
        return;
    }
    let prompt = u16::try_from(PROMPT.len()).unwrap_or_default().min(area.width.saturating_sub(1));
    frame.buffer_mut().set_stringn(area.x, area.y, PROMPT, prompt.into(), Modifier::BOLD);
    let inner = Rect { x: area.x + prompt, width: area.width - prompt, ..area };
    if inner.is_empty() {
        return;
    }
    let field = &model.field.area;
    frame.render_widget(field, inner);
    let (cursor, (top, left)) = (field.screen_cursor(), field.scroll_offset());
    let row = u16::try_from(cursor.row).unwrap_or_default().saturating_sub(top).min(inner.height - 1);
    let column = u16::try_from(cursor.col).unwrap_or_default().saturating_sub(left).min(inner.width - 1);
    frame.set_cursor_position(Position { x: inner.x + column, y: inner.y + row });
}

fn draw_search(model: &Model, area: Rect, frame: &mut Frame<'_>) {
    let Some(search) = model.search.as_ref().filter(|_| !area.is_empty()) else { return };
    let begin = format!("search: {}", search.needle);
    let found = match (search.needle.is_empty(), search.count) {
        (true, _) => "Esc ends the search".to_owned(),
        (false, 0) => "not found".to_owned(),
        (false, count) => format!("{count} found; Up and Down: previous and next; Esc ends the search"),
    };
    let line = Line::from(vec![
        Span::styled(begin.clone(), Modifier::BOLD),
        Span::styled(format!("  {found}"), model.settings.theme.faint()),
    ]);
    frame.buffer_mut().set_line(area.x, area.y, &line, area.width);
    let column = u16::try_from(begin.width()).unwrap_or_default().min(area.width.saturating_sub(1));
    frame.set_cursor_position(Position { x: area.x + column, y: area.y });
}
