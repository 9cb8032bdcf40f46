//! What is typed: a text, or a command behind a slash.

use super::happening::Action;
use super::model::Model;
use super::view::{has_room_for_help, help_lines};
use crate::core::frame::MAILBOX;

/// A command that we know, its words, and what it does.
pub(super) const COMMANDS: [(&str, &str, &str); 13] = [
    ("help", "", "this list (F1)"),
    ("quit", "", "say goodbye and end (Ctrl-C)"),
    ("join", "ROOM", "come into a room, or turn to it"),
    ("leave", "[ROOM]", "leave this room, or another"),
    ("msg", "NAME TEXT", "say it to one person alone"),
    ("me", "TEXT", "say what you are doing"),
    ("nick", "NAME", "be called so"),
    ("who", "[ROOM]", "who is here, or in another room"),
    ("rooms", "", "which rooms there are"),
    ("topic", "[TEXT]", "what this room is about"),
    ("away", "[TEXT]", "say that you are away; without a text: back"),
    ("history", "[N]", "the last lines that the hub has kept"),
    ("search", "TEXT", "find it in what was said (Ctrl-F)"),
];

/// What keys do.
pub(super) const KEYS: [(&str, &str); 9] = [
    ("PgUp PgDn", "back and forth in what was said; End: to the end"),
    ("Alt-1 … Alt-9", "another room; Ctrl-N, Ctrl-P: the next, the one before"),
    ("Alt-A", "the next room where something is new"),
    ("Tab", "completes names, rooms and commands"),
    ("Up Down", "what you have sent before"),
    ("Alt-Enter", "one more line in the same message"),
    ("Ctrl-F", "search"),
    ("F2", "members, shown or not"),
    ("Ctrl-L Ctrl-Z", "draw anew; suspend"),
];

impl Model {
    /// Enter was pressed behind this text.
    pub(super) fn submit(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if let Some(command) = text.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
            return self.obey(command);
        }
        if self.room().name == MAILBOX {
            return self.notice("Here is what is said to you alone. To answer: /msg NAME TEXT");
        }
        if self.is_over() {
            return self.notice("The session is over; /quit ends this.");
        }
        // A second slash says that the first belongs to the text.
        self.say(None, false, if text.starts_with("//") { &text[1..] } else { text });
    }

    fn obey(&mut self, command: &str) {
        let command = command.trim_end();
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let (word, rest) = (word.to_lowercase(), rest.trim());
        if self.is_over() && !matches!(word.as_str(), "quit" | "help" | "search") {
            return self.notice("The session is over; /quit ends this.");
        }
        match (word.as_str(), rest) {
            ("quit", _) => self.act(Action::Quit),
            ("help", _) => self.help(),
            ("search", "") => self.search = Some(super::model::Search::default()),
            ("search", needle) => self.search_for(needle),
            ("join", "") => self.notice("/join needs a room: /join ROOM"),
            ("join", room) => self.join(room),
            ("leave", room) => self.leave(room),
            ("me", "") => self.notice("/me needs a text: /me waves"),
            ("me", _) if self.room().name == MAILBOX => self.notice("/me is for rooms"),
            ("me", text) => self.say(None, true, text),
            ("msg", words) => match words.split_once(char::is_whitespace) {
                Some((to, text)) => self.say(Some(to), false, text.trim()),
                None => self.notice("/msg needs a name and a text: /msg NAME TEXT"),
            },
            _ => {
                let room = self.room();
                let room = (room.is_in && room.name != MAILBOX).then(|| room.name.clone());
                self.act(Action::Ask { room, text: format!("/{command}") });
            }
        }
    }

    /// Shows what can be typed: over everything, or where that is too small, in the conversation.
    pub(super) fn help(&mut self) {
        self.shows_help = has_room_for_help(self);
        if !self.shows_help {
            let lines: Vec<_> = help_lines().map(|(typed, does)| format!("{typed}: {does}")).collect();
            self.notice(&lines.join("\n"));
        }
    }

    fn join(&mut self, room: &str) {
        match self.find(room).filter(|&at| self.rooms[at].is_in || room == MAILBOX) {
            Some(at) => self.turn_to(at),
            None => {
                self.wanted.push(room.to_owned());
                self.act(Action::Join(room.to_owned()));
            }
        }
    }

    fn leave(&mut self, room: &str) {
        let at = if room.is_empty() { Some(self.current) } else { self.find(room) };
        match at {
            None => self.notice(&format!("You are not in {}.", super::entry::clean_line(room))),
            // Nothing is left by that: it opens again with the next message.
            Some(at) if self.rooms[at].name == MAILBOX => self.remove_room(at),
            Some(at) if self.rooms.iter().filter(|room| room.is_in).count() < 2 && self.rooms[at].is_in => {
                self.notice("This is your last room; /join another first, or /quit");
            }
            Some(at) => self.act(Action::Leave(self.rooms[at].name.clone())),
        }
    }

    // ---- completion ----

    /// Tab was pressed.
    pub(super) fn complete(&mut self) {
        if self.field.is_completing() {
            return self.field.complete_next();
        }
        let before = self.field.before_cursor();
        if before.is_empty() && self.room().name == MAILBOX {
            return self.answer();
        }
        let word: String = {
            let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
            before[start..].to_owned()
        };
        let is_first_line = self.field.area.cursor().0 == 0;
        let is_first_word = is_first_line && word.len() == before.len();
        let candidates: Vec<String> = if is_first_word && word.starts_with('/') {
            COMMANDS.iter().map(|(command, ..)| format!("/{command} ")).collect()
        } else if is_first_line && ["/join ", "/who ", "/leave "].iter().any(|command| before.starts_with(command)) {
            let ours = self.rooms.iter().map(|room| &room.name).filter(|name| *name != MAILBOX);
            let mut rooms: Vec<String> = ours.chain(&self.known_rooms).map(|room| format!("{room} ")).collect();
            rooms.sort();
            rooms.dedup();
            rooms
        } else {
            let end = if is_first_word { ": " } else { " " };
            let mut names: Vec<&str> = self.room().names();
            for name in self.rooms.iter().flat_map(super::room::Room::names) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names.retain(|name| *name != self.name);
            names.into_iter().map(|name| format!("{name}{end}")).collect()
        };
        let lower = word.to_lowercase();
        let fitting = candidates.into_iter().filter(|candidate| candidate.to_lowercase().starts_with(&lower)).collect();
        self.field.complete(word.chars().count(), fitting);
    }

    /// Begins an answer to whom we have spoken with last.
    fn answer(&mut self) {
        use super::entry::What;
        let last = self.room().entries.iter().rev().find_map(|entry| match &entry.what {
            What::Private { to: Some(name), .. } | What::Private { from: name, to: None, .. } => Some(name.clone()),
            _ => None,
        });
        if let Some(name) = last {
            self.field.paste(&format!("/msg {name} "));
        }
    }
}
