//! What keys do.

use super::happening::Action;
use super::model::Model;
use ratatui_textarea::{CursorMove, Input as Stroke, Key};

impl Model {
    pub(super) fn key(&mut self, stroke: Stroke) {
        if self.shows_help {
            // Any key closes it; one that ends us does that too.
            self.shows_help = false;
            if !(stroke.ctrl && matches!(stroke.key, Key::Char('c' | 'l' | 'z'))) {
                return;
            }
        }
        let Stroke { key, ctrl, alt, .. } = stroke;
        if self.act_on_key(key, ctrl, alt) {
            return;
        }
        if self.search.is_some() {
            return self.search_key(&stroke);
        }
        self.type_key(stroke);
    }

    /// Keys that mean the same wherever one is: whether it is one of those.
    fn act_on_key(&mut self, key: Key, ctrl: bool, alt: bool) -> bool {
        let page = self.conversation_size().1.saturating_sub(2).max(1);
        match (key, ctrl, alt) {
            (Key::Char('c'), true, false) => self.act(Action::Quit),
            (Key::Char('z'), true, false) => self.act(Action::Suspend),
            (Key::Char('l'), true, false) => self.act(Action::Redraw),
            (Key::F(1), ..) => self.help(),
            (Key::F(2), ..) => self.shows_members = Some(!self.has_members_shown()),
            (Key::PageUp, false, false) => self.scroll_back(page),
            (Key::PageDown, false, false) => self.scroll_forth(page),
            (Key::PageUp, true, false) | (Key::Home, true, false) => self.scroll_to_start(),
            (Key::PageDown, true, false) | (Key::End, true, false) => self.scroll_to_end(),
            (Key::End, false, false) if self.room().anchor.is_some() => self.scroll_to_end(),
            (Key::Char(digit @ '1'..='9'), false, true) => self.turn_to(digit as usize - '1' as usize),
            (Key::Char('a'), false, true) => self.turn_to_news(),
            (Key::Char('n'), true, false) if self.search.is_none() => self.turn_by(1),
            (Key::Char('p'), true, false) if self.search.is_none() => self.turn_by(self.rooms.len() - 1),
            (Key::Right, false, true) => self.turn_by(1),
            (Key::Left, false, true) => self.turn_by(self.rooms.len() - 1),
            _ => return false,
        }
        true
    }

    fn turn_by(&mut self, by: usize) {
        self.turn_to((self.current + by) % self.rooms.len());
    }

    /// To the next room where somebody means us, or else where something is new.
    fn turn_to_news(&mut self) {
        let others = |model: &Self| (1..model.rooms.len()).map(|by| (model.current + by) % model.rooms.len()).collect();
        let others: Vec<usize> = others(self);
        let mentioned = others.iter().find(|&&at| self.rooms[at].is_mentioned);
        if let Some(&at) = mentioned.or_else(|| others.iter().find(|&&at| self.rooms[at].unread > 0)) {
            self.turn_to(at);
        }
    }

    fn search_key(&mut self, stroke: &Stroke) {
        let mut needle = self.search.as_ref().map(|search| search.needle.clone()).unwrap_or_default();
        match (stroke.key, stroke.ctrl) {
            (Key::Esc, _) | (Key::Char('g'), true) => {
                self.search = None;
                return self.scroll_to_end();
            }
            (Key::Up | Key::Enter, _) | (Key::Char('p' | 'f'), true) => return self.find_back(),
            (Key::Down, _) | (Key::Char('n'), true) => return self.find_forth(),
            (Key::Backspace, _) | (Key::Char('h'), true) => {
                needle.pop();
            }
            (Key::Char('u'), true) => needle.clear(),
            (Key::Char(c), false) if !stroke.alt && !crate::core::text::is_control(c) => needle.push(c),
            _ => return,
        }
        self.search_for(&needle);
    }

    fn type_key(&mut self, stroke: Stroke) {
        match (stroke.key, stroke.ctrl, stroke.alt) {
            (Key::Enter, false, false) if !stroke.shift => {
                let (lines, text) = (self.field.lines(), self.field.take());
                if let Err(why) = self.submit(&text) {
                    self.notice(&why);
                    // As it was typed: without its command it would be said to the whole room.
                    if !self.is_over() {
                        self.field.set(&lines);
                    }
                }
            }
            (Key::Enter, ..) | (Key::Char('j'), true, false) => self.field.area.insert_newline(),
            (Key::Tab, false, false) => self.complete(),
            (Key::Up, false, false) => self.field.up(),
            (Key::Down, false, false) => self.field.down(),
            (Key::Char('f'), true, false) => self.search = Some(super::model::Search::default()),
            (Key::Char('d'), true, false) if self.field.is_empty() => self.act(Action::Quit),
            (Key::Char('u'), true, false) => drop(self.field.area.delete_line_by_head()),
            (Key::Char('_' | '7'), true, false) => drop(self.field.area.undo()),
            (Key::Esc, ..) => self.scroll_to_end(),
            (Key::Home, false, false) => self.field.area.move_cursor(CursorMove::Head),
            (Key::Char(c), false, _) if crate::core::text::is_control(c) => {}
            _ => self.field.stroke(stroke),
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        if self.search.is_some() {
            let needle = super::entry::clean_line(text);
            return self.search_for(&needle);
        }
        self.field.paste(text);
    }
}
