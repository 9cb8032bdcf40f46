//! What is written down of what is said: the news of a turn, and a line of a room's history as it stands in a file.
//!
//! The hub notes what was said; the daemon takes the news and appends each message to its room's file before any of it
//! leaves. What has been forgotten by the hub is to be forgotten there too.

use super::{Hub, name};
use crate::core::Now;
use crate::core::limits::DATAGRAM_MAX;
use crate::core::text::is_control;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::rc::Rc;

/// Something to write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A message went to a room.
    Said {
        /// The room's name.
        room: String,
        /// The name of who said it.
        member: String,
        /// When.
        when: Timestamp,
        /// The message as the room has got it.
        line: Rc<str>,
        /// Whether it is in the room's history.
        kept: bool,
    },
    /// Of what was said in a room something is forgotten for good, mostly all of it: it is not to be found anywhere, and
    /// what is left is what [`Hub::history_of`] tells.
    Forgotten {
        /// The room's name.
        room: String,
    },
}

/// A line of a room's history, as a file has it. It names its room, so that what is left of a file still says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The room's name.
    #[serde(borrow)]
    pub room: Cow<'a, str>,
    /// When it was said.
    pub when: Timestamp,
    /// The message as the room has got it.
    #[serde(borrow)]
    pub line: Cow<'a, str>,
}

impl<'a> Entry<'a> {
    /// Reads a line without its newline; `None` for what the hub would not have said.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let entry: Self = serde_json::from_slice(line).ok()?;
        (name::fault(&entry.room).is_none() && is_message(&entry.line)).then_some(entry)
    }

    /// Appends the line, with its newline.
    pub fn write_to(&self, text: &mut Vec<u8>) {
        super::keeping::write_line(self, text);
    }
}

/// Whether a line may go out as it is: it fits a datagram, steers no terminal, and is one line or goes on indented.
fn is_message(line: &str) -> bool {
    let indented = line.split('\n').skip(1).all(|further| further.starts_with('\t'));
    !line.is_empty() && line.len() < DATAGRAM_MAX && indented && !line.chars().any(is_control)
}

/// The name of a room's file: that by which rooms are told apart, with every byte but `a-z`, `0-9`, `-` and `_` as `%XX`.
pub fn file_name(room: &str) -> String {
    let mut file = String::new();
    for byte in name::key(room).into_bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => file.push(byte.into()),
            _ => drop(write!(file, "%{byte:02X}")),
        }
    }
    file + ".jsonl"
}

impl Hub {
    /// What is new since the last call, in the order in which it happened. To be taken once a turn: it is bounded, and
    /// the oldest goes first.
    pub fn take_news(&mut self) -> impl Iterator<Item = News> + use<> {
        std::mem::take(&mut self.keeping.news).into_iter()
    }

    /// The names of all rooms.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.iter().map(|room| room.name.as_str())
    }

    /// What is kept of what was said in a room, oldest first; `None` where there is nothing.
    pub fn history_of(&self, room: &str) -> Option<impl Iterator<Item = (Timestamp, &str)>> {
        let history = &self.rooms.get(self.rooms.named(room)?).history;
        (history.len() > 0).then(|| history.last(usize::MAX))
    }

    /// Takes back what was said in a room, oldest first; whether there is such a room, or place for it, and it keeps a
    /// history. To be called before anything is said.
    pub fn restore_history<'a>(
        &mut self,
        now: &Now,
        room: &str,
        lines: impl Iterator<Item = (Timestamp, &'a str)>,
    ) -> bool {
        let count_max = self.config.history;
        let opened = (count_max > 0 && name::fault(room).is_none()).then(|| self.rooms.open_free(room, now.mono));
        let Some(room) = opened.flatten().map(|id| self.rooms.get_mut(id)).filter(|room| room.keeps_history) else {
            return false;
        };
        lines.for_each(|(when, line)| room.history.push(when, line.into(), count_max));
        self.keeping.changed = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_history_reads_back_and_what_the_hub_would_not_say_does_not() {
        let entry = |room: &'static str, line: &'static str| Entry {
            room: room.into(),
            when: "2026-11-21T14:03:27.5Z".parse().expect("a moment"),
            line: line.into(),
        };
        let long = &*"x".repeat(DATAGRAM_MAX).leak();
        for (good, read) in [
            (entry("Lab", "anna: \"hi\"\n\tthere\\"), true),
            (entry("Änne", "* anna waves"), true),
            (entry("lab", &long[1..]), true),
            (entry("lab", long), false),
            (entry("lab", ""), false),
            (entry("lab", "anna: a\nbob: b"), false),
            (entry("lab", "anna: \x1b[2J"), false),
            (entry("a lab", "anna: hi"), false),
            (entry("../lab", "anna: hi"), false),
        ] {
            let mut text = Vec::new();
            good.write_to(&mut text);
            let line = text.strip_suffix(b"\n").expect("a newline");
            assert!(!line.contains(&b'\n'));
            assert_eq!(Entry::read(line), read.then_some(good));
        }
        let newer = br#"{"when":"2026-11-21T14:03:27Z","number":7,"room":"lab","line":"anna: hi"}"#;
        assert_eq!(Entry::read(newer).map(|entry| entry.line.into_owned()), Some("anna: hi".to_owned()));
    }

    #[test]
    fn every_room_has_a_file_of_its_own_whatever_it_is_called() {
        for (room, file) in [
            ("lobby", "lobby.jsonl"),
            ("Lab-2_b", "lab-2_b.jsonl"),
            ("v1.2", "v1%2E2.jsonl"),
            ("Änne", "%C3%A4nne.jsonl"),
            ("..", "%2E%2E.jsonl"),
            ("a/b%2E", "a%2Fb%252e.jsonl"),
        ] {
            assert_eq!(file_name(room), file);
        }
        let longest = "Ⱥ".repeat(10);
        assert!(file_name(&longest).len() <= 255, "NAME_MAX of Linux");
    }
}
