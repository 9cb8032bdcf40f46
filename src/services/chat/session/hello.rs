//! How a session begins, and comes back: nothing is kept of anybody who has not shown to be at its address.

use super::super::member::{MemberId, Since, Way};
use super::super::rooms::{LOBBY, RoomId};
use super::super::stream::Stream;
use super::super::{Departure, Hub, Problem, entrance, name};
use super::send;
use super::table::{Presence, Session, Stay};
use crate::core::frame::{Frame, MAILBOX, Position, SessionId, write_frame};
use crate::core::limits::SESSION_ROOMS_MAX;
use crate::core::source::Source;
use crate::core::{Datagram, Now, Outbox, Path, Refusal, Verdict};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// The version of the protocol.
const VERSION: &str = "1";

/// The longest start that is repeated, so that a bye fits a datagram whatever a hello holds.
const START_MAX: usize = 128;

impl Hub {
    /// Somebody says hello, perhaps as a session that there is, or was.
    pub(in super::super) fn hello(
        &mut self,
        now: &Now,
        datagram: &Datagram<'_>,
        claimed: Option<SessionId>,
        hello: &Frame<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        let path = datagram.path;
        if hello.words().next() != Some(VERSION) {
            refuse_hello(path, "version", hello, out);
            return Verdict::Refused(Refusal::BadFrame);
        }
        let id = claimed.filter(|&id| self.sessions.get(id).is_some());
        let here = id.and_then(|id| self.sessions.get(id)?.here());
        let is_there = here.is_some_and(|member| self.is_known_at(member, datagram));
        let is_shown = hello.value("token").is_some_and(|token| self.is_token(now, path.remote, token));
        if !is_there && !is_shown {
            return self.send_token(now, path, out);
        }
        let start = self.keeping.seed().hash(&("start", hello.value("start")));
        let id = match id.or_else(|| self.same_start(path.remote, start)) {
            Some(id) if self.sessions.get(id).is_some_and(|session| session.here().is_some()) => {
                self.move_to(now, id, path, out);
                id
            }
            returning => {
                if let Err(problem) = self.make_place(now, datagram, returning.is_some(), out) {
                    refuse_hello(path, problem.why.name(), hello, out);
                    return Verdict::Refused(problem.why);
                }
                self.attend(now, datagram, returning, start, hello, out)
            }
        };
        self.sessions.touch(id).owed.welcome = true;
        if let Some(member) = self.sessions.get(id).and_then(Session::here).filter(|_| is_shown || datagram.on_link) {
            self.note_consent(now, member, datagram.on_link);
        }
        // Its rooms, and its mailbox.
        for position in hello.values("at").take(SESSION_ROOMS_MAX + 1).filter_map(Position::read) {
            self.repair_behind(now, id, position, out);
        }
        Verdict::Answered
    }

    /// The session that began at this address with the same start: the hello was said again, or came twice.
    fn same_start(&self, remote: SocketAddr, start: u64) -> Option<SessionId> {
        let member = self.members.get(self.members.at(remote)?);
        let id = member.session()?;
        self.sessions.get(id).is_some_and(|session| session.start == start).then_some(id)
    }

    /// A session that is here speaks from this address now, where whoever else may have been is no more.
    pub(super) fn move_to(&mut self, now: &Now, id: SessionId, path: Path, out: &mut Outbox) {
        let member = self.sessions.get(id).and_then(Session::here).expect("it is here");
        let other = self.members.at(path.remote).filter(|&other| other != member);
        if let Some(other) = other {
            self.remove(now, other, Departure::Quit, out);
        }
        if self.members.get(member).path != path {
            self.rooms.unseat(member, &mut self.members, now.mono);
            self.note_parting(member);
            self.members.readdress(member, path);
            self.rooms.seat(member, &mut self.members);
            self.note_change(member);
        }
        self.members.heard(member, now.mono, true);
        self.set_in_reach(now, member, true);
    }

    /// Sees to it that somebody may come, in the place of whoever was at this address before. A session that was there can
    /// come back if another returns, and not if another begins.
    fn make_place(
        &mut self,
        now: &Now,
        datagram: &Datagram<'_>,
        is_return: bool,
        out: &mut Outbox,
    ) -> Result<(), Problem> {
        let remote = datagram.path.remote;
        let other = self.members.at(remote);
        self.has_place_for(remote.ip(), datagram.on_link, usize::from(other.is_some()))?;
        if let Some(other) = other {
            let session = self.members.get(other).session();
            session.filter(|_| !is_return).into_iter().for_each(|session| self.sessions.remove(session));
            self.remove(now, other, Departure::Quit, out);
        }
        Ok(())
    }

    /// Somebody who is not here comes in, as a new session or as one that has been away.
    fn attend(
        &mut self,
        now: &Now,
        datagram: &Datagram<'_>,
        returning: Option<SessionId>,
        start: u64,
        hello: &Frame<'_>,
        out: &mut Outbox,
    ) -> SessionId {
        let path = datagram.path;
        let member = self.members.insert(now.mono, path, Way::Session, LOBBY, &self.hosts);
        self.note_change(member);
        let back = returning.and_then(|id| Some((id, self.sessions.arrive(id, member)?)));
        let (id, wanted, stays) = match back {
            Some((id, (name, rooms))) => (id, Some(name), rooms),
            None => {
                let id = self.sessions.new_id(now, path.remote);
                self.sessions.insert(now, id, start, Presence::Here(member));
                (id, hello.value("name").map(str::to_owned), Vec::new())
            }
        };
        let stays =
            if stays.is_empty() { self.wanted_stays(now, datagram, hello) } else { self.stays_of_return(stays) };
        self.take_name(member, wanted);
        self.take_places(now, member, id, &stays);
        self.members.heard(member, now.mono, true);
        // What was said in this turn before it came is not for it.
        let rooms: Vec<_> = self.members.get(member).rooms().collect();
        rooms.into_iter().for_each(|room| self.rooms.get_mut(room).send_frames(out));
        self.rooms.seat(member, &mut self.members);
        let notice = format!("-- {} has joined", self.members.get(member).name);
        self.notify_others(member, &notice, out);
        if self.config.log_messages {
            self.tell(member, entrance::LOGGED, out);
        }
        id
    }

    fn take_name(&mut self, member: MemberId, wanted: Option<String>) {
        let remote = self.members.get(member).path.remote;
        let is_good = |name: &String| name::fault(name).is_none() || name::is_automatic(name, remote);
        let Some(wanted) = wanted.filter(is_good) else { return };
        if self.members.named(&wanted) == Some(member) {
            return;
        }
        let free = self.members.free_name(wanted);
        if name::fault(&free).is_none() {
            self.members.rename(member, &free);
        }
    }

    /// Where no history is kept, what was said while a session was away is not for it.
    fn stays_of_return(&self, mut stays: Vec<Stay>) -> Vec<Stay> {
        for stay in &mut stays {
            let Some(room) = self.rooms.named(&stay.room) else { continue };
            let stream = &self.rooms.get(room).stream;
            if stream.history_len() == 0 {
                stay.since = Since { epoch: stream.epoch, number: stream.newest };
            }
        }
        stays
    }

    /// The rooms that a hello names, made if need be, and how far each was heard.
    fn wanted_stays(&mut self, now: &Now, datagram: &Datagram<'_>, hello: &Frame<'_>) -> Vec<Stay> {
        let source = Source::of_sender(datagram.path.remote.ip(), datagram.on_link);
        let mut stays: Vec<Stay> = Vec::new();
        let mut opened = Vec::new();
        for at in hello.values("at").take(SESSION_ROOMS_MAX) {
            let position = Position::read(at);
            let room = position.map_or(at, |position| position.room);
            if name::fault(room).is_some() {
                continue;
            }
            let Some(id) = self.open_room(now, room, source, &opened) else { continue };
            opened.push(id);
            let room = self.rooms.get(id);
            let Stream { epoch, newest, .. } = room.stream;
            // Whoever says to have been here before may read what anybody may, and no more.
            let number = match position {
                None => newest,
                Some(position) if position.epoch == epoch => position.number,
                Some(_) => 0,
            };
            let number = number.clamp(room.stream.first_shown() - 1, newest);
            let stay = Stay { room: room.name.to_string(), since: Since { epoch, number } };
            if !stays.iter().any(|other| other.room == stay.room) {
                stays.push(stay);
            }
        }
        stays
    }

    /// Gives a member its rooms, or the lobby if there are none. It is not seated yet.
    pub(in super::super) fn take_places(&mut self, now: &Now, member: MemberId, id: SessionId, stays: &[Stay]) {
        let mut rooms: Vec<(RoomId, Since)> = Vec::new();
        for Stay { room, since } in stays {
            let room = self.rooms.open_free(room, now);
            if let Some(room) = room.filter(|&room| !rooms.iter().any(|&(other, _)| other == room)) {
                rooms.push((room, *since));
            }
        }
        if rooms.is_empty() {
            let stream = &self.rooms.get(LOBBY).stream;
            rooms.push((LOBBY, Since { epoch: stream.epoch, number: stream.newest }));
        }
        self.members.get_mut(member).attend(id, rooms[0], &rooms[1..]);
    }

    /// What a session needs to know, as a frame.
    pub(super) fn session_welcome(&self, id: SessionId, member: MemberId) -> Vec<u8> {
        let session = self.sessions.get(id).expect("it is here");
        let member = self.members.get(member);
        let heartbeat = self.config.heartbeat_interval.as_millis();
        let mut head = format!(
            "welcome {VERSION} session={id} name={} heartbeat={heartbeat} last={} max={}",
            member.name, session.last, self.config.max_message
        );
        for (room, since) in member.stays() {
            let room = self.rooms.get(room);
            let epoch = room.stream.epoch;
            let _ = write!(head, " at={}", Position { room: &room.name, epoch, number: since.in_epoch(epoch) });
        }
        let (epoch, number) = (session.mailbox.epoch, session.mailbox_since);
        let _ = write!(head, " at={}", Position { room: MAILBOX, epoch, number });
        let mut frame = Vec::new();
        write_frame(&mut frame, format_args!("{head}"));
        frame
    }

    // ---- tokens ----

    /// Sends what shows, when it comes back, that somebody is at this address.
    pub(in super::super) fn send_token(&self, now: &Now, path: Path, out: &mut Outbox) -> Verdict {
        let token = self.token(now, path.remote);
        send(path, format_args!("token {token}"), out);
        Verdict::Answered
    }
}

/// Says why there is no session. It names what only whoever said hello knows, so that nobody else can say it.
fn refuse_hello(path: Path, code: &str, hello: &Frame<'_>, out: &mut Outbox) {
    match hello.value("start").filter(|start| start.len() <= START_MAX) {
        Some(start) => send(path, format_args!("bye {code} start={start}"), out),
        None => send(path, format_args!("bye {code}"), out),
    }
}

impl super::table::Sessions {
    /// A number that nobody has and nobody can guess.
    fn new_id(&mut self, now: &Now, remote: SocketAddr) -> SessionId {
        loop {
            self.made += 1;
            let id = SessionId(self.seed.mac(&("session", self.made, now.wall.as_nanosecond(), remote)));
            if self.get(id).is_none() {
                return id;
            }
        }
    }
}
