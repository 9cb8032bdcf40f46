//! What the hub does when a command is typed: the answer to who typed it, the notices to the others in the room.

use super::command::{self, Command, Problem};
use super::member::{MemberId, Way};
use super::relay::fits;
use super::rooms::RoomId;
use super::utterance::push_clean;
use super::{By, Draft, Hub, News, Sender, history, name};
use crate::core::limits::{DATAGRAM_MAX, HISTORY_ANSWER_DATAGRAMS_MAX, TOPIC_MAX};
use crate::core::{Now, Outbox, Refusal, Verdict};
use std::fmt::Write as _;

/// How many lines `/history` shows when no number is given.
const HISTORY_USUAL: usize = 10;

/// No more names than this fit a datagram: the shortest is a letter, a comma and a space. A list of more would cost a
/// stranger one datagram, and the hub a walk through the whole room.
const NAMES_LISTED_MAX: usize = DATAGRAM_MAX / 3;

/// No more lines than this fit an answer: the shortest is `[now] a:b` and a newline.
const HISTORY_LINES_MAX: usize = HISTORY_ANSWER_DATAGRAMS_MAX * DATAGRAM_MAX / 10;

impl Hub {
    pub(super) fn command(
        &mut self,
        now: &Now,
        sender: Sender,
        typed: &str,
        out: &mut Outbox,
    ) -> Result<Verdict, Problem> {
        let command = command::parse(typed)?;
        let Sender { path, member, newline, .. } = sender;
        match command {
            // Whoever asks how it works need not come in, and whoever leaves must not.
            Command::Help => {
                let way = member.map(|id| self.members.get(id).way);
                out.send_line(path, &command::help(), way.map_or(newline, |way| way == Way::Line));
                return Ok(Verdict::Answered);
            }
            Command::Quit => return Ok(self.quit(now, path, out)),
            _ => {}
        }
        let id = self.enter(now, sender, out)?;
        if command == Command::Here && member.is_none() && newline {
            // The welcome has said as much.
            return Ok(Verdict::Accepted);
        }
        self.obey(now, id, self.members.get(id).room(), command, None, out)
    }

    /// Does what a member asks for, about one of its rooms.
    pub(super) fn obey(
        &mut self,
        now: &Now,
        id: MemberId,
        room: RoomId,
        command: Command<'_>,
        by: Option<By>,
        out: &mut Outbox,
    ) -> Result<Verdict, Problem> {
        match command {
            Command::Help => self.tell(id, &command::help(), out),
            Command::Quit => return Err(Problem::new(Refusal::BadCommand, "? ^bye^ ends a session")),
            Command::WhoAmI | Command::Here => {
                let line = format!("-- You are {} in {}.", self.members.get(id).name, self.rooms.get(room).name);
                self.tell(id, &line, out);
            }
            Command::Nick(name) => self.nick(id, name, out)?,
            Command::Join(room) => self.join_room(now, id, room, out)?,
            Command::Rooms => self.tell(id, &self.list_rooms(), out),
            Command::Who(name) => {
                let room = self.room_or(room, name)?;
                self.tell(id, &self.list_members(String::new(), room), out);
            }
            Command::Message { to, text } => self.message(now, id, to, text, by, out)?,
            Command::Me(text) => {
                let from = self.members.get(id).name.clone();
                self.relay(now, id, room, &Draft { from: &from, text, is_action: true, by }, out)?;
                return Ok(Verdict::Accepted);
            }
            Command::ShowTopic => self.tell(id, &self.topic_line(room), out),
            Command::SetTopic(text) => self.set_topic(id, room, text, out)?,
            Command::ShowHistory(count) => self.show_history(now, id, room, count.unwrap_or(HISTORY_USUAL), out)?,
            Command::KeepHistory(keep) => self.keep_history(id, room, keep, out),
            Command::Back => self.set_away(id, None, out)?,
            Command::Away(text) => self.set_away(id, Some(text), out)?,
        }
        Ok(Verdict::Answered)
    }

    fn nick(&mut self, id: MemberId, name: &str, out: &mut Outbox) -> Result<(), Problem> {
        if let Some(fault) = name::fault(name) {
            return Err(Problem::new(Refusal::BadName, format!("? not a name: {fault}")));
        }
        if self.members.named(name).is_some_and(|other| other != id) {
            return Err(Problem::new(Refusal::NameTaken, format!("? {name} is taken; try another")));
        }
        let old = self.members.rename(id, name);
        self.note_change(id);
        self.tell(id, &format!("-- You are {name} now."), out);
        if old != name {
            self.notify_others(id, &format!("-- {old} is now {name}"), out);
        }
        self.tell_welcome(id);
        Ok(())
    }

    fn join_room(&mut self, now: &Now, id: MemberId, name: &str, out: &mut Outbox) -> Result<(), Problem> {
        let name = without_hash(name);
        if let Some(fault) = name::fault(name) {
            return Err(Problem::new(Refusal::BadName, format!("? not a room name: {fault}")));
        }
        let source = self.source_of(id);
        let room = self
            .open_room(now, name, source, &[])
            .ok_or_else(|| Problem::new(Refusal::Full, "? there are too many rooms; /rooms lists them"))?;
        if self.members.get(id).room() != room {
            self.note_change(id);
            let member = self.members.get(id).name.clone();
            self.notify_others(id, &format!("-- {member} has gone to {}", self.rooms.get(room).name), out);
            self.rooms.unseat(id, &mut self.members, now.mono);
            self.members.get_mut(id).place.room = room;
            self.rooms.seat(id, &mut self.members);
            self.notify_others(id, &format!("-- {member} has joined"), out);
        }
        let topic = &self.rooms.get(room).topic;
        let mut lines = format!("-- You are in {} now.", self.rooms.get(room).name);
        if !topic.is_empty() {
            let _ = write!(lines, " The topic is: {topic}");
        }
        lines.push('\n');
        self.tell(id, &self.list_members(lines, room), out);
        Ok(())
    }

    /// A message to one member alone; the sender gets it too, if it is not a session, which knows what it has said.
    pub(super) fn message(
        &mut self,
        now: &Now,
        id: MemberId,
        to: &str,
        text: &str,
        by: Option<By>,
        out: &mut Outbox,
    ) -> Result<(), Problem> {
        let Some(recipient) = self.members.named(to) else {
            return Err(Problem::new(Refusal::NoSuchMember, "? nobody has that name; /who shows who is here"));
        };
        let (from, to) = (self.members.get(id), self.members.get(recipient));
        let mut line = format!("{} -> {}: ", from.name, to.name);
        push_clean(&mut line, text);
        fits(&line)?;
        let is_out_of_reach = (!to.in_reach).then(|| format!("-- {} is out of reach, and may not get it", to.name));
        let is_away = to.away().map(|away| format!("-- {} is away: {away}", to.name));
        let (sender, is_session) = (from.name.clone(), from.session().is_some());
        match to.session() {
            Some(session) => {
                let draft = Draft { from: &sender, text, is_action: false, by };
                self.put_in_mailbox(now, session, &line, &draft)?;
            }
            None => self.tell(recipient, &line, out),
        }
        if recipient != id && !is_session {
            self.tell(id, &line, out);
        }
        self.members.get_mut(id).last_said = now.mono;
        is_out_of_reach.iter().chain(&is_away).for_each(|line| self.tell(id, line, out));
        Ok(())
    }

    fn set_topic(&mut self, id: MemberId, room: RoomId, text: &str, out: &mut Outbox) -> Result<(), Problem> {
        let topic = short_text(text)?;
        let member = self.members.get(id);
        let notice = format!("-- {} has set the topic: {topic}", member.name);
        let except = Some(member.path.remote);
        self.tell(id, &format!("-- The topic is: {topic}"), out);
        self.notify_room(Some(self.source_of(id)), room, &notice, except, out);
        self.rooms.get_mut(room).topic = topic;
        self.keeping.changed = true;
        Ok(())
    }

    fn set_away(&mut self, id: MemberId, text: Option<&str>, out: &mut Outbox) -> Result<(), Problem> {
        let away = text.map(short_text).transpose()?;
        let name = &self.members.get(id).name;
        let (own, notice) = match &away {
            Some(text) => (format!("-- You are away: {text}"), format!("-- {name} is away: {text}")),
            None => ("-- You are back.".to_owned(), format!("-- {name} is back")),
        };
        self.tell(id, &own, out);
        self.notify_others(id, &notice, out);
        self.members.get_mut(id).set_away(away);
        self.note_change(id);
        Ok(())
    }

    // ---- lists ----

    fn topic_line(&self, room: RoomId) -> String {
        match self.rooms.get(room).topic.as_str() {
            "" => "-- There is no topic; /topic TEXT sets one.".to_owned(),
            topic => format!("-- The topic is: {topic}"),
        }
    }

    fn list_rooms(&self) -> String {
        let rooms: Vec<_> = self.rooms.listed().collect();
        let items = rooms.iter().map(|room| format!("{} ({})", room.name, room.len()));
        fit_list("-- Rooms: ".to_owned(), rooms.len(), items)
    }

    /// The room of that name, or without one this room.
    pub(super) fn room_or(&self, room: RoomId, name: Option<&str>) -> Result<RoomId, Problem> {
        let Some(name) = name else { return Ok(room) };
        self.rooms
            .named(without_hash(name))
            .ok_or_else(|| Problem::new(Refusal::NoSuchRoom, "? there is no such room; /rooms lists them"))
    }

    /// The members of a room, behind `head`, in one datagram.
    fn list_members(&self, head: String, room: RoomId) -> String {
        let room = self.rooms.get(room);
        let mut names: Vec<_> = room
            .members()
            .take(NAMES_LISTED_MAX)
            .map(|id| self.members.get(id))
            .map(|member| match member.away() {
                Some(text) => format!("{} (away: {text})", member.name),
                None if !member.in_reach => format!("{} (out of reach)", member.name),
                None => member.name.to_string(),
            })
            .collect();
        names.sort_unstable();
        fit_list(format!("{head}-- {} in {}: ", room.len(), room.name), room.len(), names.into_iter())
    }

    fn show_history(
        &mut self,
        now: &Now,
        id: MemberId,
        room: RoomId,
        count: usize,
        out: &mut Outbox,
    ) -> Result<(), Problem> {
        let room = self.rooms.get(room);
        if self.config.history == 0 || !room.keeps_history {
            self.tell(id, "-- No history is kept in this room.", out);
            return Ok(());
        }
        if room.stream.history_len() == 0 {
            self.tell(id, "-- Nothing has been said in this room yet.", out);
            return Ok(());
        }
        let lines = room.stream.history(count.min(HISTORY_LINES_MAX)).map(|message| {
            let dated = format!("[{}] {}", history::age(now.wall, message.when), message.line);
            // A line that fills its datagram has no room for its age.
            if dated.len() < DATAGRAM_MAX { dated } else { message.line.to_string() }
        });
        let datagrams = pack(lines.collect());
        self.pay(self.source_of(id), datagrams.iter().map(String::len).sum())?;
        for datagram in datagrams {
            self.tell(id, &datagram, out);
        }
        Ok(())
    }

    fn keep_history(&mut self, id: MemberId, room: RoomId, keep: bool, out: &mut Outbox) {
        if self.config.history == 0 {
            return self.tell(id, "-- No history is kept in this hub.", out);
        }
        let of_room = self.rooms.get_mut(room);
        of_room.keeps_history = keep;
        self.keeping.changed = true;
        if !keep {
            of_room.stream.forget();
            self.keeping.note(News::Forgotten { room: of_room.name.clone() });
        }
        let what = if keep { "kept from now on" } else { "no longer kept, and what was kept is gone" };
        self.tell(id, &format!("-- What is said in this room is {what}."), out);
        let member = self.members.get(id);
        let notice = format!("-- {}: what is said in this room is {what}", member.name);
        let except = Some(member.path.remote);
        self.notify_room(Some(self.source_of(id)), room, &notice, except, out);
    }
}

/// A topic or an away text: one clean line of at most [`TOPIC_MAX`] bytes.
pub(super) fn short_text(text: &str) -> Result<String, Problem> {
    let mut clean = String::new();
    push_clean(&mut clean, text);
    if clean.len() > TOPIC_MAX {
        return Err(Problem::new(Refusal::TooLong, format!("? that is longer than {TOPIC_MAX} bytes")));
    }
    Ok(clean.replace("\n\t", " ").replace('\t', " "))
}

/// `head` and the first of `count` items with commas between, as many as fit a datagram, and how many do not.
pub(super) fn fit_list(head: String, count: usize, items: impl Iterator<Item = impl AsRef<str>>) -> String {
    let mut list = head;
    for (index, item) in items.enumerate() {
        let item = item.as_ref();
        if list.len() + item.len() + ", and 4294967295 more\n".len() > DATAGRAM_MAX {
            let _ = write!(list, " and {} more", count - index);
            break;
        }
        if index > 0 {
            list.push_str(", ");
        }
        list.push_str(item);
    }
    list
}

/// Lines joined into as few datagrams as hold them; the newest, when there are too many.
fn pack(lines: Vec<String>) -> Vec<String> {
    let mut datagrams: Vec<String> = Vec::new();
    for line in lines {
        match datagrams.last_mut() {
            Some(last) if last.len() + line.len() + 2 <= DATAGRAM_MAX => {
                last.push('\n');
                last.push_str(&line);
            }
            _ => datagrams.push(line),
        }
    }
    let excess = datagrams.len().saturating_sub(HISTORY_ANSWER_DATAGRAMS_MAX);
    datagrams.split_off(excess)
}

/// A room's name as IRC writes it, without the `#`.
pub(super) fn without_hash(name: &str) -> &str {
    name.strip_prefix('#').unwrap_or(name)
}
