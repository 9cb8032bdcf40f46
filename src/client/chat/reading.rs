//! Back and forth in what was said, and finding something there.
//!
//! The reader's place is an entry and a number of its rows, not a number of rows from the end: what is said meanwhile moves
//! nothing, and another width of the screen does not either. Rows are counted from there as far as the screen goes.

use super::model::{Model, Search};
use super::room::{Anchor, Room};

/// Lines that a search shows where there is no screen.
const FOUND_MAX: usize = 10;

impl Model {
    /// How many rows the entry at this place takes.
    fn row_count(&self, room: &Room, index: usize) -> usize {
        let before = index.checked_sub(1).map(|before| &room.entries[before]);
        let entry = &room.entries[index];
        self.layout().entry(entry, before, room.new_from == Some(entry.id)).len()
    }

    /// The entry at the bottom of the screen, and how many of its rows are below.
    pub(super) fn bottom(&self, room: &Room) -> Option<(usize, usize)> {
        let last = room.entries.len().checked_sub(1)?;
        Some(match room.anchor {
            None => (last, 0),
            Some(anchor) => {
                let index = room.index_of(anchor.id).min(last);
                let hidden = if room.entries[index].id == anchor.id { anchor.hidden } else { 0 };
                (index, hidden.min(self.row_count(room, index) - 1))
            }
        })
    }

    /// Moves back by so many rows, as far as there are some.
    pub(super) fn scroll_back(&mut self, rows: usize) {
        let height = self.conversation_size().1;
        let room = self.room();
        let Some((mut index, mut hidden)) = self.bottom(room) else { return };
        hidden += rows;
        while index > 0 && hidden >= self.row_count(room, index) {
            hidden -= self.row_count(room, index);
            index -= 1;
        }
        hidden = hidden.min(self.row_count(room, index) - 1);
        // The first row is to be at the top, and not in the middle.
        let mut above = 0;
        for at in (0..=index).rev() {
            above += self.row_count(room, at);
            if above >= height + hidden {
                break;
            }
        }
        let too_far = (height + hidden).saturating_sub(above);
        self.place_at(index, hidden);
        if too_far > 0 {
            self.scroll_forth(too_far);
        }
    }

    /// Moves forth by so many rows; at the end what is said is followed again.
    pub(super) fn scroll_forth(&mut self, mut rows: usize) {
        let room = self.room();
        let Some((mut index, mut hidden)) = self.bottom(room).filter(|_| room.anchor.is_some()) else { return };
        while rows > hidden {
            rows -= hidden;
            index += 1;
            if index == room.entries.len() {
                return self.scroll_to_end();
            }
            hidden = self.row_count(room, index);
        }
        hidden -= rows;
        if hidden == 0 && index + 1 == room.entries.len() {
            return self.scroll_to_end();
        }
        self.place_at(index, hidden);
    }

    pub(super) fn scroll_to_end(&mut self) {
        self.room_mut().anchor = None;
    }

    pub(super) fn scroll_to_start(&mut self) {
        if !self.room().entries.is_empty() {
            self.place_at(0, 0);
            self.scroll_back(1);
        }
    }

    fn place_at(&mut self, index: usize, hidden: usize) {
        let room = self.room_mut();
        room.anchor = room.entries.get(index).map(|entry| Anchor { id: entry.id, hidden });
    }

    /// How many entries are below the screen.
    pub(super) fn below_count(&self) -> usize {
        let room = self.room();
        let below = |(index, hidden): (usize, usize)| room.entries.len() - index - usize::from(hidden == 0);
        room.anchor.and_then(|_| self.bottom(room)).map_or(0, below)
    }

    // ---- finding ----

    /// Finds the last that has it.
    pub(super) fn search_for(&mut self, needle: &str) {
        let count = self.room().entries.iter().filter(|entry| entry.text().contains(needle)).count();
        if self.settings.is_plain {
            return self.tell_found(needle, count);
        }
        self.search = Some(Search { needle: needle.to_owned(), at: None, count });
        if !needle.is_empty() {
            self.find_back();
        }
    }

    /// Where there is no screen to find it on: the last of what was found.
    fn tell_found(&mut self, needle: &str, count: usize) {
        let found = self.room().entries.iter().filter(|entry| entry.text().contains(needle));
        let lines = found.skip(count.saturating_sub(FOUND_MAX)).map(|entry| {
            let text = entry.text().lines().collect::<Vec<_>>().join(" ");
            format!("\n{} {}{text}", self.layout().time(entry.time), entry.head())
        });
        let told = format!("{count} found{}", lines.collect::<String>());
        self.notice(&told);
    }

    /// The one before.
    pub(super) fn find_back(&mut self) {
        self.find_with(|model, needle, at| {
            let entries = &model.room().entries;
            let end = at.map_or(entries.len(), |id| model.room().index_of(id));
            (0..end).rev().find(|&index| entries[index].text().contains(needle))
        });
    }

    /// The next one.
    pub(super) fn find_forth(&mut self) {
        self.find_with(|model, needle, at| {
            let entries = &model.room().entries;
            let start = at.map_or(entries.len(), |id| model.room().index_of(id) + 1);
            (start..entries.len()).find(|&index| entries[index].text().contains(needle))
        });
    }

    fn find_with(&mut self, find: impl Fn(&Self, &str, Option<u64>) -> Option<usize>) {
        let Some(search) = self.search.clone().filter(|search| !search.needle.is_empty()) else { return };
        let Some(index) = find(self, &search.needle, search.at) else { return };
        let id = self.room().entries[index].id;
        self.search = Some(Search { at: Some(id), ..search });
        // Somewhat above the bottom, so that what follows is seen too.
        let height = self.conversation_size().1;
        self.place_at(index, 0);
        self.scroll_forth(height / 3);
    }
}
