//! What a session has missed: the newest number in the answer to each heartbeat, and the messages that it asks for again.
//!
//! Each session has an allowance of bytes, so that one that hears badly cannot take from the others; what goes beyond that, or
//! finds the outbox crowded, is passed over, and the session asks again.

use super::super::Hub;
use super::super::member::MemberId;
use super::super::rooms::RoomId;
use super::table::Session;
use crate::core::frame::{Frame, MAILBOX, Position, Range, SessionId, write_frame};
use crate::core::{Datagram, Now, Outbox};
use std::fmt::Write as _;

impl Hub {
    /// Forgets what is in the mailbox up to where it was heard; the newest of each room will be the answer.
    pub(super) fn hear_heartbeat(&mut self, now: &Now, id: SessionId, datagram: &Datagram<'_>, heartbeat: &Frame<'_>) {
        let remote = datagram.path.remote;
        if heartbeat.value("token").is_some_and(|token| self.is_token(now, remote, token))
            && let Some(member) = self.members.at(remote)
        {
            self.note_consent(now, member, datagram.on_link);
        }
        self.sessions.touch(id).owed.newest = true;
        let is_change = self.sessions.change_mailbox(id, |session| {
            let before = session.mailbox_since;
            for position in heartbeat.words().filter_map(Position::read).filter(|position| position.room == MAILBOX) {
                let is_news = position.number > session.mailbox_since && position.number <= session.mailbox.newest;
                if position.epoch == session.mailbox.epoch && is_news {
                    session.mailbox.forget_up_to(position.number);
                    session.mailbox_since = position.number;
                }
            }
            session.mailbox_since != before
        });
        if is_change {
            self.note_session(id);
        }
    }

    /// The newest of each room of a session, as a frame.
    pub(super) fn newest_of(&self, id: SessionId, member: MemberId) -> Vec<u8> {
        let mut head = "at".to_owned();
        for room in self.members.get(member).rooms() {
            let room = self.rooms.get(room);
            let newest = Position { room: &room.name, epoch: room.stream.epoch, number: room.newest_sent() };
            let _ = write!(head, " {newest}");
        }
        if let Some(Session { mailbox, .. }) = self.sessions.get(id) {
            let newest = Position { room: MAILBOX, epoch: mailbox.epoch, number: mailbox.newest };
            let _ = write!(head, " {newest}");
        }
        let mut frame = Vec::new();
        write_frame(&mut frame, format_args!("{head}"));
        frame
    }

    /// Sends again what stands behind a position in a room of the session's.
    pub(super) fn repair_behind(&mut self, now: &Now, id: SessionId, position: Position<'_>, out: &mut Outbox) {
        let Some(room) = self.room_of_session(id, position.room) else { return };
        let stream = &self.rooms.get(room).stream;
        let first = if position.epoch == stream.epoch { position.number.saturating_add(1) } else { 1 };
        let (epoch, last) = (stream.epoch, stream.newest);
        if first <= last {
            self.send_again(now, id, Some(room), Range { room: position.room, epoch, first, last }, out);
        }
    }

    /// Sends again what a session asks for: `ROOM/EPOCH/NUMBER-NUMBER`.
    pub(super) fn repair(&mut self, now: &Now, id: SessionId, range: &str, out: &mut Outbox) {
        let Some(range) = Range::read(range) else { return };
        let session = self.sessions.expect_mut(id);
        let (room, epoch, newest) = if range.room == MAILBOX {
            (None, session.mailbox.epoch, session.mailbox.newest)
        } else {
            let Some(room) = self.room_of_session(id, range.room) else { return };
            let stream = &self.rooms.get(room).stream;
            (Some(room), stream.epoch, stream.newest)
        };
        if range.epoch != epoch {
            let position = Position { room: range.room, epoch, number: newest };
            return self.tell_session(id, format_args!("at {position}"));
        }
        let last = range.last.min(newest);
        if range.first <= last {
            self.send_again(now, id, room, Range { first: range.first.max(1), last, ..range }, out);
        }
    }

    /// The room of that name, if the session is in it.
    fn room_of_session(&self, id: SessionId, name: &str) -> Option<RoomId> {
        let member = self.sessions.get(id).and_then(Session::here)?;
        self.rooms.named(name).filter(|&room| self.members.get(member).is_in(room))
    }

    /// Sends a part of a stream again, as far as the allowance goes; of what is not there, that it is gone.
    fn send_again(&mut self, now: &Now, id: SessionId, room: Option<RoomId>, range: Range<'_>, out: &Outbox) {
        if self.sessions.is_crowded(out) {
            return;
        }
        let mut first = range.first;
        if let Some(room) = room {
            first = first.max(self.first_for(id, room));
        }
        let source = self.sessions.get(id).and_then(Session::here).map(|member| self.source_of(member));
        let session = self.sessions.expect_mut(id);
        session.allowance.refill(now.mono);
        let mut allowance = session.allowance;
        let (name, stream) = match room {
            Some(room) => (self.rooms.get(room).name.as_str(), &self.rooms.get(room).stream),
            None => (MAILBOX, &session.mailbox),
        };
        let fan_out = &mut self.fan_out;
        let mut pays = |bytes| fan_out.as_mut().is_none_or(|fan_out| fan_out.take_spare(source, bytes));
        let unused: &[(u64, u64)] = if room.is_none() { &session.unused } else { &[] };
        let mut again = Vec::new();
        let mut next = range.first;
        let messages = stream.since(first).take_while(|message| message.number <= range.last);
        for message in messages.map(Some).chain([None]) {
            // Behind the last there is the end of the range.
            let number = message.map_or(range.last + 1, |message| message.number);
            if number > next {
                let told = again.len();
                tell_gone(Range { first: next, last: number - 1, ..range }, unused, &mut again);
                allowance.charge(again[told..].iter().map(Vec::len).sum());
            }
            let mut frame = Vec::new();
            message.into_iter().for_each(|message| message.write_frame(name, range.epoch, &mut frame));
            if !allowance.has(frame.len()) || !pays(frame.len()) {
                break;
            }
            allowance.charge(frame.len());
            next = number + 1;
            again.push(frame);
        }
        self.sessions.expect_mut(id).allowance = allowance;
        again.iter().filter(|frame| !frame.is_empty()).for_each(|frame| self.sessions.add_frame(id, frame));
    }

    /// The first number that a session may have of a room: what was said since it came, and what anybody may read.
    fn first_for(&self, id: SessionId, room: RoomId) -> u64 {
        let stream = &self.rooms.get(room).stream;
        let member = self.sessions.get(id).and_then(Session::here).map(|member| self.members.get(member));
        let since = member.and_then(|member| member.since_in(room));
        let since = since.map_or(stream.newest, |since| since.in_epoch(stream.epoch));
        stream.first_shown().min(since + 1)
    }
}

/// Says that a range is gone, and of which part there never was anything.
fn tell_gone(range: Range<'_>, unused: &[(u64, u64)], frames: &mut Vec<Vec<u8>>) {
    let mut tell = |first: u64, last: u64, word: &str| {
        if first <= last {
            let mut frame = Vec::new();
            write_frame(&mut frame, format_args!("gone {}{word}", Range { first, last, ..range }));
            frames.push(frame);
        }
    };
    let mut next = range.first;
    for &(first, last) in unused.iter().filter(|&&(first, last)| first <= range.last && range.first <= last) {
        let (first, last) = (first.max(next), last.min(range.last));
        tell(next, first.saturating_sub(1), "");
        tell(first, last, " unused");
        next = last.saturating_add(1);
    }
    tell(next, range.last, "");
}
