//! The history of a room, as people ask for it and as files have it.

use super::message::{Entry, Message};
use super::{Hub, name};
use crate::core::Now;
use crate::core::frame::Epoch;
use crate::core::limits::{NAME_MAX, REPAIR_MESSAGES_MIN};
use jiff::Timestamp;
use std::fmt::Write as _;
use std::rc::Rc;

/// The name of a room's file: that by which rooms are told apart, with every byte but `a-z`, `0-9`, `-` and `_` as `%XX`.
pub fn file_name(room: &str) -> String {
    let mut file = String::new();
    for byte in name::key(room).bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => file.push(byte.into()),
            _ => drop(write!(file, "%{byte:02X}")),
        }
    }
    file + ".jsonl"
}

impl Hub {
    /// What is kept of what was said in a room, oldest first; `None` where there is nothing.
    pub fn history_of(&self, room: &str) -> Option<impl Iterator<Item = &Message>> {
        let stream = &self.rooms.get(self.rooms.named(room)?).stream;
        (stream.history_len() > 0).then(|| stream.history(usize::MAX))
    }

    /// In which epoch a room is.
    pub fn epoch_of(&self, room: &str) -> Option<Epoch> {
        self.rooms.named(room).map(|id| self.rooms.get(id).stream.epoch)
    }

    /// About how long a file is that says what is kept of a room: at most twice as long, if everything has to be escaped.
    pub fn history_file_len(&self, room: &str) -> u64 {
        let stream = self.rooms.named(room).map(|id| &self.rooms.get(id).stream);
        let frame = Entry::FRAME.len() + NAME_MAX + room.len();
        stream.map_or(0, |stream| stream.history_bytes() + stream.history_len() * frame) as u64
    }

    /// How many lines of each room are worth reading: those that are history, and those for whoever has missed one.
    pub fn history_max(&self) -> usize {
        self.config.history.max(REPAIR_MESSAGES_MIN)
    }

    /// What is said is in no file at the moment: where the numbers stand is to be kept, so that the next hub does not take
    /// them for its own.
    pub fn note_unwritten(&mut self) {
        self.keeping.changed = true;
    }

    /// Takes back what was said in a room, oldest first, and be it nothing; whether there is such a room, or place for it, and
    /// it keeps a history. To be called after [`Hub::restore`] and before anything is said.
    ///
    /// The numbers go on if that hub has known the room, and nothing that it had heard is missing.
    pub fn restore_history(&mut self, now: &Now, room: &str, entries: impl Iterator<Item = (Epoch, Message)>) -> bool {
        let count_max = self.config.history;
        let opened = (count_max > 0 && name::fault(room).is_none()).then(|| self.rooms.open_free(room, now));
        let Some(id) = opened.flatten().filter(|&id| self.rooms.get(id).keeps_history) else { return false };
        let mut messages: Vec<(Epoch, Message)> = entries.collect();
        let room = self.rooms.get_mut(id);
        if let Some((epoch, number)) = room.kept_position.take() {
            let newest = messages.last().filter(|&&(of, _)| of == epoch).map_or(0, |(_, message)| message.number);
            if newest >= number {
                room.stream.epoch = epoch;
            }
        }
        let mut newest = 0;
        for (epoch, message) in &mut messages {
            let is_numbered = *epoch == room.stream.epoch && message.number > newest;
            message.number = if is_numbered { message.number } else { 0 };
            newest = newest.max(message.number);
        }
        self.restore_requests(messages.iter().filter_map(|(_, message)| message.by));
        // One that has no number stands before those that have.
        let first = messages.iter().rposition(|(_, message)| message.number == 0);
        for (at, (_, mut message)) in messages.into_iter().enumerate() {
            if first.is_some_and(|first| at <= first) {
                message.number = 0;
            }
            self.rooms.get_mut(id).stream.push(Rc::new(message), true, count_max);
        }
        let stream = &mut self.rooms.get_mut(id).stream;
        stream.newest = stream.newest.max(newest);
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
    use super::super::message::Draft;
    use super::*;
    use crate::core::limits::DATAGRAM_MAX;

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let then = Timestamp::UNIX_EPOCH;
        let after = |seconds| age(Timestamp::from_second(seconds).expect("a moment"), then);
        let ages = [-5, 0, 59, 60, 3_599, 3_600, 86_399, 86_400, 864_000].map(after);
        assert_eq!(ages, ["now", "now", "now", "1 min", "59 min", "1 h", "23 h", "1 d", "10 d"]);
    }

    #[test]
    fn a_line_of_history_reads_back_and_what_the_hub_would_not_say_does_not() {
        let when = "2026-11-21T14:03:27.5Z".parse().expect("a moment");
        let long = &*"x".repeat(DATAGRAM_MAX).leak();
        for (room, line, is_read) in [
            ("Lab", "anna: \"hi\"\n\tthere\\", true),
            ("Änne", "* anna waves", true),
            ("lab", &long[1..], true),
            ("lab", long, false),
            ("lab", "", false),
            ("lab", "anna: a\nbob: b", false),
            ("lab", "anna: \x1b[2J", false),
            ("a lab", "anna: hi", false),
            ("../lab", "anna: hi", false),
        ] {
            let entry = Entry { room: room.into(), epoch: Epoch(7), message: Message::from_line(when, line) };
            let mut text = Vec::new();
            Entry::write(&entry.room, entry.epoch, &entry.message, &mut text);
            let written = text.strip_suffix(b"\n").expect("a newline");
            assert!(!written.contains(&b'\n'));
            assert_eq!(Entry::read(written), is_read.then_some(entry));
        }
        let newer = br#"{"when":"2026-11-21T14:03:27Z","weather":7,"room":"lab","line":"anna: hi"}"#;
        assert_eq!(Entry::read(newer).map(|entry| entry.message.line.to_string()), Some("anna: hi".to_owned()));
    }

    #[test]
    fn a_line_has_the_text_and_says_where_or_the_text_stands_beside_it() {
        let draft = |text| Draft { from: "anna", text, is_action: false, by: None };
        for (line, text) in [("anna: hi", "hi"), ("anna: ?", "\x1b"), ("anna:", " "), ("anna: ä", "ä")] {
            let message = Message::new(7, Timestamp::UNIX_EPOCH, line, &draft(text));
            let mut written = Vec::new();
            Entry::write("lab", Epoch(1), &message, &mut written);
            let read = Entry::read(&written[..written.len() - 1]).expect("an entry").message;
            assert_eq!(read, message);
            let mut frame = Vec::new();
            read.write_frame("lab", Epoch(1), &mut frame);
            let expected = format!("^msg lab/00000001/7 anna time=0 len={}^{text}", text.len());
            assert_eq!(frame.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        }
        for damaged in [r#""len":9"#, r#""len":1"#, r#""from":"a b""#, r#""from":"a^b""#] {
            let line = format!(r#"{{"when":"2026-11-21T14:03:27Z","room":"lab","line":"anna: ä",{damaged}}}"#);
            assert_eq!(Entry::read(line.as_bytes()), None, "{damaged}");
        }
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
