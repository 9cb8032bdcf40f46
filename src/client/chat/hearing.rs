//! What the session tells, as a user sees it.

use super::entry::{Text, What, clean_line};
use super::model::{Back, Connection, Model};
use super::room::Member;
use crate::client::say::closed;
use crate::client::session::{Event, Figures, Message, Reason};
use crate::core::frame::MAILBOX;
use crate::core::text::plural;
use std::time::Duration;

/// From the hub's return to the word about it: what was missed has come by then, unless it is much.
const BACK_DELAY: Duration = Duration::from_secs(1);

impl Model {
    pub(super) fn hear(&mut self, event: Event, is_earlier: bool) {
        match event {
            Event::Welcomed { name, is_new } => self.hear_welcome(&name, is_new),
            Event::Renamed { name } => {
                self.rename(&name);
                self.notice(&format!("You are {} now.", self.name));
            }
            Event::Message(message) => self.hear_message(message, is_earlier),
            Event::Note { room, text } => {
                if let Some(at) = self.find(&room) {
                    self.notice_in(at, &String::from_utf8_lossy(&text));
                    self.ask_members_in_turn(at);
                }
            }
            Event::Answer { text, .. } => {
                let text = String::from_utf8_lossy(&text);
                // The answer to /nick, which comes with the new name.
                let name = text.strip_prefix("-- You are ").and_then(|rest| rest.strip_suffix(" now."));
                if name.is_none_or(|name| name.contains(' ')) {
                    self.notice(&text);
                }
            }
            Event::Done(id) => self.acknowledge(id),
            Event::Refused { id, code, text } => {
                let text = String::from_utf8_lossy(&text);
                let text = text.strip_prefix("? ").unwrap_or(&text).to_owned();
                match id.and_then(|id| self.pending(id)).map(|pending| pending.mark) {
                    Some(mark) => self.give_up(mark, &format!("not delivered, {text} ({code})")),
                    None => self.notice(&format!("{text} ({code})")),
                }
            }
            Event::Unconfirmed(id) => {
                if let Some(mark) = self.pending(id).map(|pending| pending.mark) {
                    self.doubt(mark);
                }
            }
            Event::Unsent(id) => {
                if let Some(mark) = self.pending(id).map(|pending| pending.mark) {
                    self.give_up(mark, "not delivered");
                }
            }
            Event::Joined { room, .. } => self.hear_joined(&room),
            Event::Left { room } => self.hear_left(&room),
            Event::Lost { room, count, .. } => {
                self.settle_in(&room);
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                self.notice_about(&room, &format!("{} lost", plural(count, "message")));
            }
            Event::Anew { room, .. } => {
                self.settle_in(&room);
                self.notice_about(&room, "Message numbering restarted. Messages sent meanwhile may be lost.");
            }
            Event::Disconnected => {
                self.fall_silent(&format!("no answer from {}, still trying", self.settings.server));
            }
            Event::Full => self.notice("The hub is full, still trying."),
            Event::Closed(reason) => self.hear_closed(&reason),
        }
    }

    fn settle_in(&mut self, room: &str) {
        if let Some(at) = self.find(room) {
            self.settle(at);
        }
    }

    fn notice_about(&mut self, room: &str, text: &str) {
        let at = if room == MAILBOX { self.find(room) } else { Some(self.find_or_add(room)) };
        if let Some(at) = at {
            self.notice_in(at, text);
        }
    }

    // ---- coming and going ----

    fn rename(&mut self, name: &str) {
        self.name = clean_line(name);
        if !self.names.contains(&self.name) {
            self.names.push(self.name.clone());
        }
    }

    fn hear_welcome(&mut self, name: &str, is_new: bool) {
        let was_named = self.name.clone();
        self.rename(name);
        if is_new && !was_named.is_empty() {
            (0..self.rooms.len()).for_each(|at| self.settle(at));
            self.notice_everywhere(&format!("The hub restarted and lost our session; rejoined as {}.", self.name));
        }
        if let Connection::Silent { since } = self.connection {
            let now = self.now.mono;
            self.back = Some(Back { at: now + BACK_DELAY, after: now.since(since), fetched: Vec::new() });
        }
        self.heard_at = self.now.mono;
        self.connection = Connection::Connected;
        self.ask_members_in_turn(self.current);
    }

    /// Says that the hub is back, once what was missed has come.
    pub(super) fn tell_back(&mut self) {
        let Some(Back { after, fetched, .. }) = self.back.take_if(|back| back.at <= self.now.mono) else { return };
        for at in 0..self.rooms.len() {
            let count = fetched.iter().find(|(room, _)| *room == self.rooms[at].name).map_or(0, |(_, count)| *count);
            let messages = plural(count, "message");
            self.notice_in(at, &format!("reconnected after {} s, {messages} fetched", after.as_secs()));
        }
    }

    fn fall_silent(&mut self, trouble: &str) {
        if self.connection == Connection::Connected {
            self.connection = Connection::Silent { since: self.heard_at };
            self.notice_everywhere(trouble);
        }
    }

    pub(super) fn hear_trouble(&mut self, trouble: &str) {
        match self.connection {
            // One answer is late, which the line of the state shows.
            Connection::Connected | Connection::Silent { .. } | Connection::Over { .. } => {}
            Connection::Connecting { .. } => {
                let text = Text::new(format!("{trouble}, still trying").as_bytes());
                let is_said = self.room().entries.iter().any(|entry| entry.what == What::Notice(text.clone()));
                if !is_said {
                    self.notice(&format!("{trouble}, still trying"));
                }
            }
        }
    }

    fn hear_closed(&mut self, reason: &Reason) {
        let why = closed(reason).to_string();
        self.notice_everywhere(&why);
        self.connection = Connection::Over { why };
    }

    pub(super) fn measure(&mut self, figures: Figures, waiting: usize, text_max: usize) {
        if figures.received != self.figures.received {
            self.heard_at = self.now.mono;
        }
        // Until the hub has said how long a text may be, nobody knows better.
        if !self.name.is_empty() {
            self.text_max = text_max;
        }
        (self.figures, self.waiting) = (figures, waiting);
    }

    // ---- rooms ----

    fn hear_joined(&mut self, room: &str) {
        let at = self.find_or_add(room);
        // The hub knows how it is spelt.
        self.rooms[at].name = clean_line(room);
        let was_in = std::mem::replace(&mut self.rooms[at].is_in, true);
        if let Some(wanted) = self.wanted.iter().position(|wanted| wanted.to_lowercase() == room.to_lowercase()) {
            self.wanted.remove(wanted);
            self.turn_to(at);
        }
        if !was_in && at == self.current {
            self.survey.ask_soon(self.now.mono);
        }
    }

    fn hear_left(&mut self, room: &str) {
        let Some(at) = self.rooms.iter().position(|known| known.name == room) else { return };
        let was_in = std::mem::take(&mut self.rooms[at].is_in);
        self.settle(at);
        let what = match was_in {
            true => format!("You have left {}.", clean_line(room)),
            false => format!("The hub has no room {} and cannot create it; /rooms lists the rooms.", clean_line(room)),
        };
        if self.rooms.len() > 1 {
            self.remove_room(at);
        }
        self.notice(&what);
    }

    pub(super) fn hear_members(&mut self, room: &str, mut members: Vec<Member>, total: u64) {
        let Some(at) = self.find(room) else { return };
        for member in &mut members {
            member.name = clean_line(&member.name);
        }
        members.sort_by_key(|member| member.name.to_lowercase());
        self.rooms[at].member_count = usize::try_from(total).unwrap_or(usize::MAX).max(members.len());
        self.rooms[at].members = members;
    }

    /// Who is in this room may have changed, and everybody there knows it.
    fn ask_members_in_turn(&mut self, at: usize) {
        if at == self.current {
            self.survey.ask_in_turn(self.rooms[at].member_count, self.now.mono);
        }
    }

    // ---- what is said ----

    fn hear_message(&mut self, message: Message, is_earlier: bool) {
        let is_private = message.room == MAILBOX;
        let at = self.find_or_add(&message.room);
        let (from, text) = (clean_line(&message.from), Text::new(&message.text));
        let is_own = self.names.contains(&from) && !is_private;
        let is_echo = is_own && self.rooms[at].take_own(message.is_me, &message.text);
        let is_mention = !is_own && (is_private || text.mentions(&self.name));
        if !is_private && self.rooms[at].hear_from(&from) && !is_earlier {
            self.ask_members_in_turn(at);
        }
        if let Some(back) = &mut self.back {
            match back.fetched.iter_mut().find(|(room, _)| *room == message.room) {
                Some((_, count)) => *count += 1,
                None => back.fetched.push((message.room.clone(), 1)),
            }
        }
        let time = i64::try_from(message.time).unwrap_or(i64::MAX);
        let what = match is_private {
            true => What::Private { from, to: None, text },
            false => What::Said { from, is_me: message.is_me, is_echo, is_mention, text },
        };
        let id = self.push(at, time, what);
        let is_seen = at == self.current && self.is_focused;
        if !is_earlier && !is_echo && !is_seen {
            let room = &mut self.rooms[at];
            room.unread += 1;
            room.is_mentioned |= is_mention;
            room.new_from.get_or_insert(id);
        }
        if is_mention && !is_earlier {
            self.ring();
        }
    }
}
