//! What is typed: a text, or a command behind a slash.

use super::happening::Action;
use super::model::Model;
use crate::core::frame::MAILBOX;

/// A command that we know, its words, and what it does.
pub(super) const COMMANDS: [(&str, &str, &str); 13] = [
    ("help", "", "show this list (F1)"),
    ("quit", "", "leave the chat (Ctrl-C)"),
    ("join", "ROOM", "join or switch to a room"),
    ("leave", "[ROOM]", "leave this room, or another one"),
    ("msg", "NAME TEXT", "send a private message"),
    ("me", "TEXT", "say what you are doing: * anna waves"),
    ("nick", "NAME", "change your name"),
    ("who", "[ROOM]", "list who is in this room, or in another one"),
    ("rooms", "", "list the rooms"),
    ("topic", "[TEXT]", "show or set the topic of this room"),
    ("away", "[TEXT]", "mark yourself as away; without a text, as back"),
    ("history", "[N]", "show the last messages that the hub has kept"),
    ("search", "TEXT", "search the conversation (Ctrl-F)"),
];

/// What keys do.
pub(super) const KEYS: [(&str, &str); 9] = [
    ("PgUp PgDn", "scroll the conversation; End: to the end"),
    ("Alt-1 … Alt-9", "go to a room by its number; Ctrl-N, Ctrl-P: next, previous"),
    ("Alt-A", "go to the next room with new messages"),
    ("Tab", "complete a name, a room or a command"),
    ("Up Down", "recall what you have sent before"),
    ("Alt-Enter", "begin a new line in the same message"),
    ("Ctrl-F", "search"),
    ("F2", "show or hide the list of members"),
    ("Ctrl-L Ctrl-Z", "redraw the screen; suspend"),
];

/// The list of what can be typed and pressed: what is typed, and what that does.
pub(super) fn help_lines() -> impl Iterator<Item = (String, &'static str)> {
    let keys = KEYS.iter().map(|&(keys, does)| (keys.to_owned(), does));
    let commands = COMMANDS.iter().map(|(word, words, does)| (format!("/{word} {words}").trim_end().to_owned(), *does));
    let texts = [("//text".to_owned(), "send a text that begins with a slash")];
    keys.chain(commands).chain(texts)
}

/// What there is to say when nothing can be said any more.
const OVER: &str = "The session is over; /quit leaves the chat.";

impl Model {
    /// Enter was pressed behind this text. Fails with the reason when it stays unsaid.
    pub(super) fn submit(&mut self, text: &str) -> Result<(), String> {
        if text.trim().is_empty() {
            return Ok(());
        }
        if let Some(command) = text.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
            return self.obey(command);
        }
        if self.room().name == MAILBOX {
            return Err("Private messages appear here. To answer one: /msg NAME TEXT".to_owned());
        }
        if self.is_over() {
            return Err(OVER.to_owned());
        }
        // A second slash says that the first belongs to the text.
        self.say(None, false, if text.starts_with("//") { &text[1..] } else { text })
    }

    fn obey(&mut self, command: &str) -> Result<(), String> {
        let command = command.trim_end();
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let (word, rest) = (word.to_lowercase(), rest.trim());
        if self.is_over() && !matches!(word.as_str(), "quit" | "help" | "search") {
            return Err(OVER.to_owned());
        }
        match (word.as_str(), rest) {
            ("quit", _) => self.act(Action::Quit),
            ("help", _) => self.help(),
            ("search", "") => self.search = Some(super::model::Search::default()),
            ("search", needle) => self.search_for(needle),
            ("join", "") => return Err("/join needs a room: /join ROOM".to_owned()),
            ("join", room) => self.join(room),
            ("leave", room) => self.leave(room),
            ("me", "") => return Err("/me needs a text: /me waves".to_owned()),
            ("me", _) if self.room().name == MAILBOX => return Err("/me works in rooms only".to_owned()),
            ("me", text) => return self.say(None, true, text),
            ("msg", words) => match words.split_once(char::is_whitespace) {
                Some((to, text)) => return self.say(Some(to), false, text.trim()),
                None => return Err("/msg needs a name and a text: /msg NAME TEXT".to_owned()),
            },
            _ => {
                let room = self.room();
                let room = (room.is_in && room.name != MAILBOX).then(|| room.name.clone());
                self.act(Action::Ask { room, text: format!("/{command}") });
            }
        }
        Ok(())
    }

    /// Shows what can be typed: over everything, or where that is too small, in the conversation.
    pub(super) fn help(&mut self) {
        self.shows_help = self.has_room_for_help();
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
                self.notice("This is your last room. Join another one first, or /quit.");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_command_and_every_key() {
        let manual = include_str!("../../../packaging/man/belfry.1").replace('\\', "");
        for (command, ..) in COMMANDS {
            assert!(manual.contains(&format!(" /{command}")), "/{command}");
        }
        for key in KEYS.iter().flat_map(|(keys, _)| keys.split(' ')).filter(|key| *key != "…") {
            assert!(manual.contains(key), "{key}");
        }
    }
}
