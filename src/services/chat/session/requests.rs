//! What a session asks for: each request once, in the order of their numbers, and its answer as often as it is asked.

use super::super::actions::without_hash;
use super::super::command::{self, Command};
use super::super::member::{MemberId, Since};
use super::super::rooms::RoomId;
use super::super::{By, Draft, Hub, Problem, name};
use super::bad_frame;
use super::table::Session;
use crate::core::frame::{self, Frame, Position, SessionId};
use crate::core::limits::{DATAGRAM_MAX, NUMBER_MAX, SESSION_ROOMS_MAX};
use crate::core::{Now, Outbox, Refusal};

/// With less history than this, what was said may have been pushed out of it by the end of the turn.
const TELLING_HISTORY_MIN: usize = 64;

/// A request whose turn it is.
#[derive(Clone, Copy)]
struct Request<'a> {
    session: SessionId,
    member: MemberId,
    number: u64,
    frame: &'a Frame<'a>,
}

impl Hub {
    /// A `say`, `ask`, `join` or `leave`; why it cannot be done, which is told. An error is about the frame.
    pub(super) fn request(
        &mut self,
        now: &Now,
        id: SessionId,
        member: MemberId,
        frame: &Frame<'_>,
        out: &mut Outbox,
    ) -> Result<Option<Refusal>, Problem> {
        let is_number = |number: &u64| (1..=NUMBER_MAX).contains(number);
        let number = frame.words().next().and_then(frame::number).filter(is_number).ok_or_else(bad_frame)?;
        let request = Request { session: id, member, number, frame };
        let after = match frame.value("after") {
            Some(after) => Some(frame::number(after).filter(|&after| after < number).ok_or_else(bad_frame)?),
            None => None,
        };
        let last = self.sessions.expect_mut(id).last;
        if number <= last {
            if frame.verb == "join" {
                self.tell_joined(request, room_in(frame).unwrap_or_default());
            }
            self.sessions.touch(id).owed.ack = true;
            return Ok(None);
        }
        // Whoever says what was done before knows it from us; only a hub that was killed can have forgotten it.
        if after.is_none_or(|after| after < last) && after.unwrap_or(number - 1) != last {
            self.sessions.touch(id).owed.ack = true;
            return Ok(None);
        }
        let source = self.source_of(member);
        let is_too_much = self.request_limit.as_mut().is_some_and(|limit| !limit.take(now.mono, source));
        if is_too_much || frame.verb == "ask" && !self.may_answer(id, out) {
            self.sessions.touch(id).owed.ack = true;
            return Ok(None);
        }
        match self.obey_request(now, request, out) {
            Ok(()) => {
                let session = self.sessions.touch(id);
                session.last = number;
                session.owed.ack = true;
                // So that the next hub does not do it again.
                if !self.is_in_history(member, frame) {
                    self.note_change(member);
                }
                Ok(None)
            }
            // It is said again, and there may be place for it then.
            Err(problem) if problem.why == Refusal::Busy => {
                self.sessions.touch(id).owed.ack = true;
                Ok(None)
            }
            Err(problem) => {
                self.refuse(id, Some(number), &problem);
                Ok(Some(problem.why))
            }
        }
    }

    fn obey_request(&mut self, now: &Now, request: Request<'_>, out: &mut Outbox) -> Result<(), Problem> {
        let Request { member, frame, .. } = request;
        match frame.verb {
            "say" => self.say(now, request, out),
            "ask" => self.ask(now, request, out),
            "join" => {
                let name = room_in(frame).ok_or_else(bad_frame)?;
                self.enter_room(now, member, name, out)?;
                self.tell_joined(request, name);
                Ok(())
            }
            _ => self.leave_room(now, member, frame, out),
        }
    }

    /// Whether what a session asks for is told by the history of a room, and still will be when a hub reads it.
    fn is_in_history(&self, member: MemberId, frame: &Frame<'_>) -> bool {
        let is_said = frame.verb == "say" && frame.value("to").is_none() && self.config.history >= TELLING_HISTORY_MIN;
        is_said && self.room_of_request(member, frame).is_ok_and(|room| self.rooms.get(room).keeps_history)
    }

    fn say(&mut self, now: &Now, request: Request<'_>, out: &mut Outbox) -> Result<(), Problem> {
        let Request { member, frame, .. } = request;
        if frame.text.len() > self.config.max_message {
            return Err(self.too_long());
        }
        let text = text_of(frame)?;
        if text.trim().is_empty() {
            return Err(Problem::new(Refusal::BadCommand, "? there is nothing to say"));
        }
        let by = Some(self.by(request));
        let is_action = frame.value("kind") == Some("me");
        if let Some(to) = frame.value("to") {
            if is_action {
                return Err(Problem::new(Refusal::BadCommand, "? what you do is for a room to see"));
            }
            return self.while_asking(request, |hub| hub.message(now, member, to, text, by, out));
        }
        let room = self.room_of_request(member, frame)?;
        let from = self.members.get(member).name.clone();
        self.relay(now, member, room, &Draft { from: &from, text, is_action, by }, out)
    }

    fn ask(&mut self, now: &Now, request: Request<'_>, out: &mut Outbox) -> Result<(), Problem> {
        let Request { member, frame, .. } = request;
        let typed = text_of(frame)?;
        let command = typed
            .strip_prefix('/')
            .ok_or_else(|| Problem::new(Refusal::BadCommand, "? a command begins with a slash; /help lists them"))?;
        let room = self.room_of_request(member, frame)?;
        let by = Some(self.by(request));
        let command = command::parse(command)?;
        if matches!(command, Command::Join(_)) {
            return Err(Problem::new(Refusal::BadCommand, "? a session comes in by ^join N ROOM^"));
        }
        self.while_asking(request, |hub| hub.obey(now, member, room, command, by, out)).map(|_| ())
    }

    /// Does something of which every line that is told to its session is the answer.
    fn while_asking<T>(&mut self, request: Request<'_>, act: impl FnOnce(&mut Self) -> T) -> T {
        self.asking = Some((request.session, request.number));
        let done = act(self);
        self.asking = None;
        done
    }

    fn by(&self, request: Request<'_>) -> By {
        By { session: Session::public(request.session, self.keeping.seed()), request: request.number }
    }

    /// One more room for a session, which is told from where on it counts there.
    pub(in super::super) fn enter_room(
        &mut self,
        now: &Now,
        member: MemberId,
        name: &str,
        out: &mut Outbox,
    ) -> Result<RoomId, Problem> {
        if let Some(fault) = name::fault(name) {
            return Err(Problem::new(Refusal::BadName, format!("? not a room name: {fault}")));
        }
        if let Some(room) = self.rooms.named(name).filter(|&room| self.members.get(member).is_in(room)) {
            return Ok(room);
        }
        if self.members.get(member).rooms().count() == SESSION_ROOMS_MAX {
            let most = format!("? a session is in at most {SESSION_ROOMS_MAX} rooms");
            return Err(Problem::new(Refusal::Full, most));
        }
        let source = self.source_of(member);
        let room = self
            .open_room(now, name, source, &[])
            .ok_or_else(|| Problem::new(Refusal::Full, "? there are too many rooms; /rooms lists them"))?;
        let stream = &self.rooms.get(room).stream;
        let since = Since { epoch: stream.epoch, number: stream.newest };
        self.members.get_mut(member).enter(room, since);
        // What was said in this turn before it came is not for it.
        self.rooms.get_mut(room).send_frames(out);
        self.rooms.seat_in(room, member, &mut self.members);
        self.note_change(member);
        let notice = format!("-- {} has joined", self.members.get(member).name);
        self.notify_room(Some(self.source_of(member)), room, &notice, None, out);
        Ok(room)
    }

    fn tell_joined(&mut self, request: Request<'_>, name: &str) {
        let Request { session, member, number, .. } = request;
        let room = self.rooms.named(name);
        let of_room = |room| Some((room, self.members.get(member).since_in(room)?));
        let Some((room, since)) = room.and_then(of_room) else { return };
        let room = self.rooms.get(room);
        let (name, epoch) = (room.name.clone(), room.stream.epoch);
        let position = Position { room: &name, epoch, number: since.in_epoch(epoch) };
        self.tell_session(session, format_args!("joined {number} {position}"));
    }

    fn leave_room(&mut self, now: &Now, member: MemberId, frame: &Frame<'_>, out: &mut Outbox) -> Result<(), Problem> {
        let name = room_in(frame).ok_or_else(bad_frame)?;
        let Some(room) = self.rooms.named(name).filter(|&room| self.members.get(member).is_in(room)) else {
            return Ok(());
        };
        if self.members.get(member).rooms().count() == 1 {
            return Err(Problem::new(Refusal::BadCommand, "? it is your only room; ^bye^ ends the session"));
        }
        // What was said before is for it, too.
        self.rooms.get_mut(room).send_frames(out);
        self.rooms.unseat_in(room, member, &mut self.members, now.mono);
        self.members.get_mut(member).leave(room);
        self.note_change(member);
        let notice = format!("-- {} has left", self.members.get(member).name);
        self.notify_room(Some(self.source_of(member)), room, &notice, None, out);
        Ok(())
    }

    /// The room that a request is about: the one that it names, or else the first of the session.
    fn room_of_request(&self, member: MemberId, frame: &Frame<'_>) -> Result<RoomId, Problem> {
        let member = self.members.get(member);
        let Some(name) = room_in(frame) else { return Ok(member.room()) };
        self.rooms
            .named(name)
            .filter(|&room| member.is_in(room))
            .ok_or_else(|| Problem::new(Refusal::NoSuchRoom, "? you are not in that room; ^join N ROOM^"))
    }

    /// Whether a session may have an answer that is longer than what it says. The answer itself is charged when it is there.
    pub(super) fn may_answer(&mut self, id: SessionId, out: &Outbox) -> bool {
        !self.sessions.is_crowded(out) && self.sessions.expect_mut(id).allowance.has(DATAGRAM_MAX)
    }
}

/// The room that a request names.
fn room_in<'a>(frame: &Frame<'a>) -> Option<&'a str> {
    frame.words().nth(1).map(without_hash)
}

fn text_of<'a>(frame: &Frame<'a>) -> Result<&'a str, Problem> {
    std::str::from_utf8(frame.text)
        .map_err(|_| Problem::new(Refusal::NotUtf8, "? that is not UTF-8; nothing was relayed"))
}
