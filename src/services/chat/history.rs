//! The last lines of a room, bounded in number and in bytes; and a line as a file has it, in which it outlives the hub.

use super::{Hub, name};
use crate::core::Now;
use crate::core::limits::{DATAGRAM_MAX, HISTORY_BYTES_MAX};
use crate::core::text::is_control;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;

/// What a line in a file has beside the name of its room and what was said.
const FRAME: &str = "{'room':'','when':'1970-01-01T00:00:00.000000000Z','line':''}\n";

/// What was said in a room, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: VecDeque<(Timestamp, Rc<str>)>,
    bytes: usize,
}

impl History {
    /// Adds a line and forgets the oldest past `count_max` lines or [`HISTORY_BYTES_MAX`] bytes.
    pub(super) fn push(&mut self, wall: Timestamp, line: Rc<str>, count_max: usize) {
        self.bytes += line.len();
        self.lines.push_back((wall, line));
        self.trim(count_max);
    }

    /// Forgets the oldest past `count_max` lines.
    pub(super) fn trim(&mut self, count_max: usize) {
        while self.lines.len() > count_max || self.bytes > HISTORY_BYTES_MAX {
            let Some((_, line)) = self.lines.pop_front() else { break };
            self.bytes -= line.len();
        }
    }

    /// The last `count` lines, oldest first, with when they were said.
    pub(super) fn last(&self, count: usize) -> impl ExactSizeIterator<Item = (Timestamp, &str)> {
        let skip = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(skip).map(|(wall, line)| (*wall, &**line))
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }
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
    /// What is kept of what was said in a room, oldest first; `None` where there is nothing.
    pub fn history_of(&self, room: &str) -> Option<impl Iterator<Item = (Timestamp, &str)>> {
        let history = &self.rooms.get(self.rooms.named(room)?).history;
        (history.len() > 0).then(|| history.last(usize::MAX))
    }

    /// About how long a file is that says what is kept of a room: at most twice as long, if everything has to be escaped.
    pub fn history_file_len(&self, room: &str) -> u64 {
        let history = self.rooms.named(room).map(|id| &self.rooms.get(id).history);
        history.map_or(0, |history| history.bytes + history.len() * (FRAME.len() + room.len())) as u64
    }

    /// How many lines of each room are kept.
    pub fn history_max(&self) -> usize {
        self.config.history
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

/// How long ago something was, in the largest unit that fits: `now`, `5 min`, `3 h`, `2 d`.
pub(super) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        ..60 => "now".to_owned(),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(history: &History, count: usize) -> Vec<&str> {
        history.last(count).map(|(_, line)| line).collect()
    }

    #[test]
    fn the_oldest_lines_go_first() {
        let mut history = History::default();
        for line in ["a", "b", "c", "d"] {
            history.push(Timestamp::UNIX_EPOCH, line.into(), 3);
        }
        assert_eq!(lines(&history, 10), ["b", "c", "d"]);
        assert_eq!(lines(&history, 2), ["c", "d"]);
        history.trim(1);
        assert_eq!(lines(&history, 10), ["d"]);
    }

    #[test]
    fn a_history_is_bounded_in_bytes_too() {
        let mut history = History::default();
        let kib = Rc::<str>::from("x".repeat(1_024));
        for _ in 0..256 {
            history.push(Timestamp::UNIX_EPOCH, Rc::clone(&kib), 1_000);
        }
        assert_eq!(history.len(), 256, "at the bound");
        history.push(Timestamp::UNIX_EPOCH, "x".into(), 1_000);
        assert_eq!(history.len(), 256, "one byte past it");
    }

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let then = Timestamp::UNIX_EPOCH;
        let after = |seconds| age(Timestamp::from_second(seconds).expect("a moment"), then);
        let ages = [-5, 0, 59, 60, 3_599, 3_600, 86_399, 86_400, 864_000].map(after);
        assert_eq!(ages, ["now", "now", "now", "1 min", "59 min", "1 h", "23 h", "1 d", "10 d"]);
    }

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
