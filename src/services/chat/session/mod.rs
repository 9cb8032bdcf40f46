//! The sessions: members that lose nothing. Who they are, and what is remembered of those who have gone for a while.
//!
//! A session is known by a number that nobody can guess and that each of its datagrams carries, not by its address. The hub
//! keeps of it which of its requests was the last that was done, and a mailbox; what it has heard, the session knows itself.
//! So a datagram that is lost, doubled, late or forged changes nothing, and there is nothing to be sent again until it asks.
//!
//! `away.rs` who has gone; `hello.rs` how it begins and comes back; `requests.rs` what it asks for; `repair.rs` what it has missed; `keeping.rs` how it
//! outlives the hub; `table.rs` who they are. docs/PROTOCOL.md says it from the outside.

mod away;
mod hello;
mod keeping;
mod repair;
mod requests;
mod table;

pub(super) use away::AwayId;
pub(super) use keeping::SessionLine;
pub(super) use table::{Session, Sessions};

use super::listing::Question;
use super::member::{Member, MemberId};
use super::message::Message;
use super::packer::Packer;
use super::relay::text_frames;
use super::rooms::RoomId;
use super::{Hub, Problem};
use crate::core::frame::{Frame, MAILBOX, Position, SessionId, frames, write_frame, write_text_frame};
use crate::core::limits::{
    DATAGRAM_MAX, MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX, MAILBOXES_BYTES_MAX, RANGES_MAX, REQUESTS_MAX,
};
use crate::core::source::Source;
use crate::core::{Datagram, DropReason, Instant, Now, Outbox, Refusal, Verdict};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use table::Owed;

/// What only a hub says: it means nothing to another.
const OF_HUBS: [&str; 12] =
    ["token", "welcome", "ack", "error", "answer", "joined", "msg", "note", "at", "gone", "rooms", "members"];

/// A room is silent when nothing has been said in it for this long; its sessions are told then how far they should be.
const SILENCE: Duration = Duration::from_millis(250);

/// What became of one frame.
#[derive(Clone, Copy, Debug)]
enum Obeyed {
    Done,
    Refused(Refusal),
    /// There is no session any more.
    Left,
}

/// The session that a datagram says it is of, and its frames behind that.
pub(super) fn claimed(payload: &[u8]) -> Option<(SessionId, &[u8])> {
    let (id, rest) = payload.strip_prefix(b"^as ")?.split_at_checked(16)?;
    let id = std::str::from_utf8(id).ok()?.parse().ok()?;
    rest.strip_prefix(b"^").map(|rest| (id, rest))
}

/// The hello with which a datagram begins, if it does.
pub(super) fn hello_in(payload: &[u8]) -> Option<Frame<'_>> {
    frames(payload).next()?.ok().filter(|frame| frame.verb == "hello")
}

/// Whether a line is what a hub says to whom it does not know.
pub(super) fn is_of_hub(line: &str) -> bool {
    frames(line.as_bytes()).next().is_some_and(|frame| frame.is_ok_and(|frame| matches!(frame.verb, "token" | "bye")))
}

impl Hub {
    /// Whether nobody but a session itself may speak from where this member is, if somebody is there.
    pub(super) fn is_session(&self, member: Option<MemberId>) -> bool {
        member.is_some_and(|id| self.members.get(id).session().is_some())
    }

    /// A datagram that says it is of this session.
    pub(super) fn hear_session(
        &mut self,
        now: &Now,
        datagram: &Datagram<'_>,
        id: SessionId,
        rest: &[u8],
        out: &mut Outbox,
    ) -> Verdict {
        let path = datagram.path;
        if self.sessions.get(id).is_none() && hello_in(rest).is_none() {
            // Whoever says goodbye twice has left all the same.
            let is_bye = frames(rest).next().is_some_and(|frame| frame.is_ok_and(|frame| frame.verb == "bye"));
            let code = if is_bye { "left" } else { "unknown" };
            send(path, format_args!("bye {code} session={id}"), out);
            return Verdict::Refused(Refusal::NoSession);
        }
        let member = self.sessions.get(id).and_then(Session::here);
        let Some(member) = member.filter(|&member| self.is_known_at(member, datagram)) else {
            return match hello_in(rest) {
                Some(hello) => self.hello(now, datagram, Some(id), &hello, out),
                None => self.send_token(now, path, out),
            };
        };
        self.move_to(now, id, path, out);
        if datagram.on_link {
            self.note_consent(now, member, true);
        }
        self.sessions.expect_mut(id).allowance.refill(now.mono);
        if datagram.truncated {
            self.refuse(id, None, &self.too_long());
            return Verdict::Refused(Refusal::TooLong);
        }
        let (mut verdict, mut has_greeted) = (Verdict::Accepted, false);
        // A client has no more than that in flight.
        for frame in frames(rest).take(REQUESTS_MAX) {
            let obeyed = match frame {
                // Each may have an answer of its own.
                Ok(frame) if frame.verb == "hello" && std::mem::replace(&mut has_greeted, true) => continue,
                Ok(frame) => self.obey_frame(now, id, member, datagram, &frame, out),
                Err(_) => Err(bad_frame()),
            };
            match obeyed {
                Ok(Obeyed::Done) => {}
                Ok(Obeyed::Refused(why)) => verdict = Verdict::Refused(why),
                Ok(Obeyed::Left) => return Verdict::Accepted,
                Err(problem) => {
                    if verdict != Verdict::Refused(problem.why) {
                        self.refuse(id, None, &problem);
                    }
                    verdict = Verdict::Refused(problem.why);
                }
            }
        }
        if self.is_consent_old(now, member) {
            let token = self.token(now, path.remote);
            self.sessions.touch(id).owed.token = Some(token);
        }
        verdict
    }

    /// Whether a member is at the address of a datagram, and has shown it if it must.
    pub(super) fn is_known_at(&self, member: MemberId, datagram: &Datagram<'_>) -> bool {
        let member = self.members.get(member);
        member.path.remote == datagram.path.remote && (datagram.on_link || member.consent().is_some())
    }

    /// Does what one frame says.
    fn obey_frame(
        &mut self,
        now: &Now,
        id: SessionId,
        member: MemberId,
        datagram: &Datagram<'_>,
        frame: &Frame<'_>,
        out: &mut Outbox,
    ) -> Result<Obeyed, Problem> {
        match frame.verb {
            "say" | "ask" | "join" | "leave" => {
                let refused = self.request(now, id, member, frame, out)?;
                return Ok(refused.map_or(Obeyed::Done, Obeyed::Refused));
            }
            "hb" => self.hear_heartbeat(now, id, datagram, frame),
            "want" => frame.words().take(RANGES_MAX).for_each(|range| self.repair(now, id, range, out)),
            "hello" => drop(self.hello(now, datagram, Some(id), frame, out)),
            "list" => return self.answer_question(now, id, frame, out),
            "bye" => {
                send(datagram.path, format_args!("bye left session={id}"), out);
                self.sessions.remove(id);
                self.remove(now, member, super::Departure::Quit, out);
                return Ok(Obeyed::Left);
            }
            verb if OF_HUBS.contains(&verb) => {}
            _ => return Err(bad_frame()),
        }
        Ok(Obeyed::Done)
    }

    /// Gives a session a page of a list. Each costs as much as the longest, so that looking for it is bounded too.
    fn answer_question(
        &mut self,
        now: &Now,
        id: SessionId,
        frame: &Frame<'_>,
        out: &Outbox,
    ) -> Result<Obeyed, Problem> {
        let question = Question::read(*frame).ok_or_else(bad_frame)?;
        if !self.may_answer(id, out) {
            return Ok(Obeyed::Done);
        }
        let (page, refused) = self.page(now.mono, &question);
        self.sessions.expect_mut(id).allowance.charge(DATAGRAM_MAX);
        self.sessions.add_frame(id, &page);
        Ok(refused.map_or(Obeyed::Done, Obeyed::Refused))
    }

    /// Tells a session what cannot be done, and of which request that is true.
    fn refuse(&mut self, id: SessionId, request: Option<u64>, problem: &Problem) {
        let mut frame = Vec::new();
        let code = problem.why;
        let text = problem.line.as_bytes();
        match request {
            Some(request) => write_text_frame(&mut frame, format_args!("error {request} {code}"), text),
            None => write_text_frame(&mut frame, format_args!("error - {code}"), text),
        }
        self.sessions.add_frame(id, &frame);
    }

    /// Adds a frame without a text to what a session gets.
    fn tell_session(&mut self, id: SessionId, head: fmt::Arguments<'_>) {
        let mut frame = Vec::new();
        write_frame(&mut frame, head);
        self.sessions.add_frame(id, &frame);
    }

    /// A line of the hub's own for a session: the answer to what it has just asked, or a note.
    pub(super) fn tell_line(&mut self, id: SessionId, line: &str) {
        let head = match self.asking {
            Some((of, request)) if of == id => format!("answer {request}"),
            _ => format!("note {MAILBOX}"),
        };
        for frame in text_frames(&head, line) {
            self.sessions.expect_mut(id).allowance.charge(frame.len());
            self.sessions.add_frame(id, &frame);
        }
    }

    /// Has a member that is a session told anew who and where it is.
    pub(super) fn tell_welcome(&mut self, member: MemberId) {
        if let Some(id) = self.members.get(member).session() {
            self.sessions.touch(id).owed.welcome = true;
        }
    }

    /// Puts what was said to a session alone into its mailbox, and sends it.
    pub(super) fn put_in_mailbox(
        &mut self,
        now: &Now,
        id: SessionId,
        line: &str,
        draft: &super::Draft<'_>,
    ) -> Result<(), Problem> {
        let is_full = self.sessions.mailbox_bytes > MAILBOXES_BYTES_MAX;
        let session = self.sessions.expect_mut(id);
        // Whoever has taken what he had gets one all the same: those who let theirs lie keep nobody from talking.
        if is_full && session.mailbox.bytes() > 0 {
            return Err(Problem::new(Refusal::Full, "? too much waits for others already; try again later"));
        }
        let message = Message::new(session.mailbox.newest + 1, now.wall, line, draft);
        let mut frame = Vec::new();
        message.write_frame(MAILBOX, session.mailbox.epoch, &mut frame);
        if frame.len() > DATAGRAM_MAX {
            return Err(self.too_long());
        }
        self.note_session(id);
        self.sessions.change_mailbox(id, |session| {
            session.mailbox.push(Rc::new(message), true, MAILBOX_MESSAGES_MAX);
            session.mailbox.bound(MAILBOX_MESSAGES_MAX, MAILBOX_BYTES_MAX);
        });
        self.sessions.add_frame(id, &frame);
        Ok(())
    }

    /// A member with a session goes: it may come back.
    pub(super) fn part(&mut self, now: &Now, id: SessionId, source: Source, member: &Member) {
        let was = (member.name.to_string(), self.stays_of(member));
        let place = (Some(source), self.config.max_members_per_address);
        self.sessions.leave(now.mono, id, was, place);
    }

    // ---- the end of the turn ----

    /// Sends what has gathered for sessions: what was said in each room, and what is for one alone.
    pub(super) fn send_frames(&mut self, out: &mut Outbox) {
        self.sessions.waiting = 0;
        for id in std::mem::take(&mut self.sessions.touched) {
            let Some(member) = self.sessions.get(id).and_then(Session::here) else { continue };
            let path = self.members.get(member).path;
            let Owed { welcome, newest, ack, token } = std::mem::take(&mut self.sessions.expect_mut(id).owed);
            let mut before = Packer::default();
            if welcome {
                before.add(&self.session_welcome(id, member));
                before.send(out, |payload, out| out.send_payload(path, payload));
            }
            let newest = newest.then(|| self.newest_of(id, member));
            let session = self.sessions.expect_mut(id);
            newest.into_iter().for_each(|frame| session.frames.add(&frame));
            let mut add = |head: fmt::Arguments<'_>| {
                let mut frame = Vec::new();
                write_frame(&mut frame, head);
                session.frames.add(&frame);
            };
            token.iter().for_each(|token| add(format_args!("token {token} renew")));
            if ack {
                add(format_args!("ack {}", session.last));
            }
            session.frames.send(out, |payload, out| out.send_payload(path, payload));
            session.frames.clear();
        }
        // Whoever has just come is welcomed before it is spoken to.
        self.speak(out);
    }

    /// Sends what has gathered for the sessions of rooms, once what waited before it has left: what is said until then goes
    /// in the same datagrams, so the more there is to send, the less each message takes.
    fn speak(&mut self, out: &mut Outbox) {
        let is_much = |room: &RoomId| self.rooms.get(*room).frames.is_burst();
        let backlog = self.spoken_behind.unwrap_or(out.backlog());
        if out.has_reached(backlog) || self.speaking.iter().any(is_much) {
            self.spoken_behind = None;
            for room in std::mem::take(&mut self.speaking) {
                self.rooms.get_mut(room).send_frames(out);
            }
        } else if !self.speaking.is_empty() {
            self.spoken_behind = Some(backlog);
        }
    }

    /// Notes that a room has something for its sessions, and that they are to be told its number once it is silent.
    pub(super) fn note_spoken(&mut self, now: Instant, room: RoomId) {
        if self.rooms.get(room).has_sessions() {
            let beacon = Some(now + SILENCE);
            if let Some(due) = std::mem::replace(&mut self.rooms.get_mut(room).beacon, beacon) {
                self.beacons.remove(&(due, room));
            }
            self.beacons.insert((now + SILENCE, room));
        }
    }

    /// Tells the sessions of rooms that have fallen silent how far they should be.
    pub(super) fn tell_newest(&mut self, now: Instant) {
        while let Some(&(due, room_id)) = self.beacons.first()
            && due <= now
        {
            self.beacons.pop_first();
            let room = self.rooms.get_mut(room_id);
            if room.beacon == Some(due) {
                room.beacon = None;
                let mut frame = Vec::new();
                let position = Position { room: &room.name, epoch: room.stream.epoch, number: room.stream.newest };
                write_frame(&mut frame, format_args!("at {position}"));
                self.add_frame_for(room_id, &frame);
            }
        }
    }
}

/// Sends one frame without a text to somebody who may have no session.
fn send(path: crate::core::Path, head: fmt::Arguments<'_>, out: &mut Outbox) {
    let mut frame = Vec::new();
    write_frame(&mut frame, head);
    debug_assert!(frame.len() <= DATAGRAM_MAX);
    out.send(path, &frame);
}

fn bad_frame() -> Problem {
    Problem::new(Refusal::BadFrame, "? that is no frame that this hub knows")
}

/// What comes from the address of a session and is not the session's.
pub(super) fn is_not_the_session() -> Problem {
    Problem::new(Refusal::NoSession, "? a session is here: its datagrams begin with ^as …^")
}

/// What only another hub would say.
pub(super) const FROM_A_HUB: Verdict = Verdict::Dropped(DropReason::ErrorLine);
