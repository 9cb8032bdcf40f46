//! One member: who it is, where it is reached, in which rooms it is, and what it has that most have not.
//!
//! There may be a million, most of whom say nothing but that they are still there. So a member is small, and what only some have
//! stands aside: what it has just said or been told ([`Reflex`]), and its session and the like ([`Extras`]).

use super::reflex::Reflex;
use super::rooms::{Audience, RoomId};
use crate::core::frame::{Epoch, SessionId};
use crate::core::{Instant, Path};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// A member's place in the table; somebody else's once it has left.
pub(super) type MemberId = u32;

/// How a member speaks, and so how it is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A program: messages as they are, and nothing unasked.
    #[default]
    Program,
    /// A terminal: messages with a newline, a welcome, and notices of who comes and goes.
    Line,
    /// A program that speaks in frames: messages with numbers, and what it has missed again.
    Session,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) path: Path,
    pub(super) way: Way,
    pub(super) name: CompactString,
    /// The room that it is in; the first, if it is a session that is in several.
    pub(super) place: Place,
    /// Whether its host is on the network, as far as we know.
    pub(super) in_reach: bool,
    /// Whether it is to be tried anew when it has been out of reach for long enough.
    pub(super) is_to_be_tried: bool,
    /// Times its host has answered "port unreachable" since it was last heard.
    pub(super) strikes: u8,
    /// Whether it has ever sent a heartbeat.
    pub(super) heartbeats: bool,
    pub(super) last_heard: Instant,
    /// When it last said something, or came.
    pub(super) last_said: Instant,
    reflex: Option<Box<Reflex>>,
    extras: Option<Box<Extras>>,
    /// Who was heard before and after it, among those that expire as it does; the last is before the first.
    pub(super) before: MemberId,
    pub(super) after: MemberId,
}

/// What few members have.
#[derive(Debug, Default)]
struct Extras {
    away: Option<Box<str>>,
    session: Option<Attendance>,
    consent: Option<Consent>,
}

/// That a member has shown to be where it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Consent {
    /// Until when it holds.
    pub(super) until: Instant,
    /// Whether it was told that it is to show it anew.
    pub(super) is_reminded: bool,
}

/// A member's being in a room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) room: RoomId,
    /// Where it stands in the room's audiences.
    pub(super) seat: Seat,
}

/// A place in an [`Audience`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seat {
    pub(super) audience: Audience,
    pub(super) index: u32,
}

/// A number, in the epoch that it is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) epoch: Epoch,
    pub(super) number: u64,
}

impl Since {
    /// The number in this epoch: of a new one nobody has had anything.
    pub(super) fn in_epoch(self, epoch: Epoch) -> u64 {
        if self.epoch == epoch { self.number } else { 0 }
    }
}

/// A session's being here.
#[derive(Debug)]
struct Attendance {
    id: SessionId,
    /// From where on it counts in the first of its rooms.
    since: Since,
    /// Its other rooms.
    further: Vec<(Place, Since)>,
}

impl Member {
    /// Somebody who has just come, and is not seated yet.
    pub(super) fn new(now: Instant, path: Path, way: Way, name: CompactString, room: RoomId) -> Self {
        Self {
            path,
            way,
            name,
            place: Place { room, seat: Seat::default() },
            in_reach: true,
            is_to_be_tried: false,
            strikes: 0,
            heartbeats: false,
            last_heard: now,
            last_said: now,
            reflex: None,
            extras: None,
            before: 0,
            after: 0,
        }
    }

    /// The room that it is in; the first, if it is a session that is in several.
    pub(super) fn room(&self) -> RoomId {
        self.place.room
    }

    /// The rooms that it is in, in the order in which it came.
    pub(super) fn rooms(&self) -> impl Iterator<Item = RoomId> {
        std::iter::once(self.place.room).chain(self.further().iter().map(|(place, _)| place.room))
    }

    /// The rooms that it is in and from where on it counts there, if it is a session.
    pub(super) fn stays(&self) -> impl Iterator<Item = (RoomId, Since)> {
        let first = self.attendance().map(|attendance| (self.place.room, attendance.since));
        first.into_iter().chain(self.further().iter().map(|&(place, since)| (place.room, since)))
    }

    /// From where on a session counts in a room that it is in.
    pub(super) fn since_in(&self, room: RoomId) -> Option<Since> {
        self.stays().find(|&(of, _)| of == room).map(|(_, since)| since)
    }

    pub(super) fn seat_in(&mut self, room: RoomId) -> Option<&mut Seat> {
        let extras = self.extras.as_mut().and_then(|extras| extras.session.as_mut());
        let further = extras.into_iter().flat_map(|session| &mut session.further).map(|(place, _)| place);
        std::iter::once(&mut self.place).chain(further).find(|place| place.room == room).map(|place| &mut place.seat)
    }

    pub(super) fn is_in(&self, room: RoomId) -> bool {
        self.rooms().any(|of| of == room)
    }

    /// What it said when it went away, while it is.
    pub(super) fn away(&self) -> Option<&str> {
        self.extras.as_ref()?.away.as_deref()
    }

    pub(super) fn set_away(&mut self, text: Option<String>) {
        if text.is_some() || self.extras.is_some() {
            self.extras_mut().away = text.map(String::into_boxed_str);
        }
    }

    /// What somebody from beyond our links has shown.
    pub(super) fn consent(&self) -> Option<Consent> {
        self.extras.as_ref()?.consent
    }

    pub(super) fn consent_mut(&mut self) -> Option<&mut Consent> {
        self.extras.as_mut()?.consent.as_mut()
    }

    /// Takes note of what it has shown; what was noted before.
    pub(super) fn set_consent(&mut self, consent: Option<Consent>) -> Option<Consent> {
        if consent.is_none() && self.extras.is_none() {
            return None;
        }
        std::mem::replace(&mut self.extras_mut().consent, consent)
    }

    /// The session that it is.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.attendance().map(|attendance| attendance.id)
    }

    /// Makes a session of it, which is in these rooms; the first of them is its own.
    pub(super) fn attend(&mut self, id: SessionId, first: (RoomId, Since), further: &[(RoomId, Since)]) {
        let place = |room| Place { room, seat: Seat::default() };
        let further = further.iter().map(|&(room, since)| (place(room), since)).collect();
        self.place = place(first.0);
        self.extras_mut().session = Some(Attendance { id, since: first.1, further });
    }

    /// Puts a session into one more room.
    pub(super) fn enter(&mut self, room: RoomId, since: Since) {
        let attendance = self.attendance_mut().expect("it has a session");
        attendance.further.push((Place { room, seat: Seat::default() }, since));
    }

    /// Takes a session out of one of its rooms, of which it has several.
    pub(super) fn leave(&mut self, room: RoomId) {
        let own = self.place.room;
        let attendance = self.attendance_mut().expect("it has a session");
        if own == room {
            let (place, since) = attendance.further.remove(0);
            attendance.since = since;
            self.place = place;
        } else {
            attendance.further.retain(|(place, _)| place.room != room);
        }
    }

    /// What it has just said, and been told.
    pub(super) fn reflex(&mut self) -> &mut Reflex {
        self.reflex.get_or_insert_default()
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    fn attendance(&self) -> Option<&Attendance> {
        self.extras.as_ref()?.session.as_ref()
    }

    fn attendance_mut(&mut self) -> Option<&mut Attendance> {
        self.extras.as_mut()?.session.as_mut()
    }

    fn further(&self) -> &[(Place, Since)] {
        self.attendance().map_or(&[], |attendance| &attendance.further)
    }
}
