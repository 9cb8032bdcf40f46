//! The hub told from one end to the other, in slices: a hall of a hundred thousand takes longer than anybody is to wait.
//!
//! Members stand in the order of their places in the table, which a member keeps for as long as it is here, so whoever is here all
//! the time is told once. Then come the sessions that are away, in the order in which they went, of which new ones are
//! always the last; and the rooms, of which there are few, all in the last slice.
//!
//! The hub goes on between two slices. What changes of somebody who has been told already is noted, and told anew at the beginning of
//! the next slice. So what has been told in the end is the hub of one moment, that of the last slice.

use super::Hub;
use super::keeping::{GoneLine, Line, RoomLine, write_line};
use super::member::MemberId;
use super::rooms::Room;
use super::session::{AwayId, Session};
use crate::core::ListenerId;
use crate::core::frame::SessionId;
use crate::core::limits::{DUMP_SLICE_BYTES, DUMP_SLICE_PLACES};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// How far a hub has been told.
#[derive(Debug, Default)]
pub(super) struct Dump {
    stage: Stage,
    /// What was told and is true no more. It is put right before anything else is told.
    overtaken: Vec<Overtaken>,
}

#[derive(Clone, Copy, Debug)]
enum Overtaken {
    /// What was told of whoever has this place now, if somebody has.
    Place(MemberId),
    /// That somebody is at this address, as this session.
    Address(SocketAddr, Option<SessionId>),
}

/// A slice, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// It is the first of a dump: what was told before is no part of it.
    pub is_first: bool,
    /// The dump is whole: it tells the hub as it is now.
    pub is_last: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Head,
    /// The members from this place on.
    Members(MemberId),
    /// The sessions that have been away as long as this one, or not so long; and the rooms.
    Away(AwayId),
    End,
}

impl Dump {
    /// Appends what was overtaken, and the next slice of `len` bytes, to `text`; whether there is another. So it comes to an
    /// end, however much changes meanwhile.
    fn next_slice(
        &mut self,
        hub: &Hub,
        len: usize,
        addr_of: &impl Fn(ListenerId) -> Option<SocketAddr>,
        text: &mut Vec<u8>,
    ) -> bool {
        put_right(hub, std::mem::take(&mut self.overtaken), addr_of, text);
        let end = text.len() + len;
        for _ in 0..DUMP_SLICE_PLACES {
            self.stage = self.next_line(hub, addr_of, text);
            if matches!(self.stage, Stage::End) || text.len() >= end {
                break;
            }
        }
        !matches!(self.stage, Stage::End)
    }

    fn has_told(&self, id: MemberId) -> bool {
        match self.stage {
            Stage::Head => false,
            Stage::Members(next) => id < next,
            Stage::Away(_) | Stage::End => true,
        }
    }

    fn overtake(&mut self, id: MemberId, overtaken: Overtaken) {
        if self.has_told(id) {
            self.overtaken.push(overtaken);
        }
    }

    /// Appends what comes next; what comes after it.
    fn next_line(&self, hub: &Hub, addr_of: &impl Fn(ListenerId) -> Option<SocketAddr>, text: &mut Vec<u8>) -> Stage {
        match self.stage {
            Stage::Head => {
                write_line(&Line::Hub(hub.head_line()), text);
                Stage::Members(0)
            }
            Stage::Members(id) if id < hub.members.places() => {
                hub.dump_member(id, addr_of, text);
                Stage::Members(id + 1)
            }
            Stage::Members(_) => Stage::Away(0),
            Stage::Away(from) => match hub.away_line(from) {
                Some((id, session)) => {
                    write_line(&Line::Session(session), text);
                    Stage::Away(id + 1)
                }
                // In the same slice: a session that went away after it would be told by nothing.
                None => {
                    hub.rooms.in_order().for_each(|room| write_line(&Line::Room(hub.room_line(room)), text));
                    Stage::End
                }
            },
            Stage::End => Stage::End,
        }
    }
}

/// First all is taken back that was told and is true no more, then what is true now is told, once of each: so nobody has a
/// name or an address that somebody else was told to have.
fn put_right(
    hub: &Hub,
    overtaken: Vec<Overtaken>,
    addr_of: &impl Fn(ListenerId) -> Option<SocketAddr>,
    text: &mut Vec<u8>,
) {
    let mut places = BTreeSet::new();
    for overtaken in overtaken {
        let gone = match overtaken {
            Overtaken::Address(remote, session) => GoneLine { remote, session },
            Overtaken::Place(id) => {
                let Some(member) = hub.members.in_place(id).filter(|_| places.insert(id)) else { continue };
                GoneLine { remote: member.path.remote, session: member.session() }
            }
        };
        write_line(&Line::Gone(gone), text);
    }
    places.into_iter().for_each(|id| hub.dump_member(id, addr_of, text));
}

impl Hub {
    /// Notes that something has changed of a member that is kept.
    pub(super) fn note_change(&mut self, id: MemberId) {
        self.keeping.changed = true;
        if let Some(dump) = &mut self.keeping.dump {
            dump.overtake(id, Overtaken::Place(id));
        }
    }

    /// Notes that something has changed of a session that is kept.
    pub(super) fn note_session(&mut self, id: SessionId) {
        self.keeping.changed = true;
        if let Some(member) = self.sessions.get(id).and_then(Session::here) {
            self.note_change(member);
        }
    }

    /// Notes that a member is about to leave its address, or the hub.
    pub(super) fn note_parting(&mut self, id: MemberId) {
        self.keeping.changed = true;
        if let Some(dump) = &mut self.keeping.dump {
            let member = self.members.get(id);
            dump.overtake(id, Overtaken::Address(member.path.remote, member.session()));
        }
    }

    /// Appends the next slice of the dump that was begun, or the first of another, to `text`: of `len` bytes, or one line more.
    ///
    /// The hub may go on between two slices: when the last is there they tell it as it is then. Only a session that was away and
    /// has been forgotten meanwhile may be told as one that is.
    pub fn dump_slice(
        &mut self,
        len: usize,
        addr_of: impl Fn(ListenerId) -> Option<SocketAddr>,
        text: &mut Vec<u8>,
    ) -> Slice {
        let begun = self.keeping.dump.take();
        let is_first = begun.is_none();
        let mut dump = begun.unwrap_or_default();
        let is_last = !dump.next_slice(self, len, &addr_of, text);
        if !is_last {
            self.keeping.dump = Some(dump);
        }
        Slice { is_first, is_last }
    }

    /// Whether there are slices left of a dump.
    pub fn is_dumping(&self) -> bool {
        self.keeping.dump.is_some()
    }

    /// The next slice is the first of another dump.
    pub fn abandon_dump(&mut self) {
        self.keeping.dump = None;
    }

    /// Appends everything but the histories to `text`, for [`Hub::restore`]. `addr_of` tells the address of a socket.
    pub fn dump(&self, addr_of: impl Fn(ListenerId) -> Option<SocketAddr>, text: &mut Vec<u8>) {
        let mut dump = Dump::default();
        while dump.next_slice(self, DUMP_SLICE_BYTES, &addr_of, text) {}
    }

    /// The same, handed to `write` slice by slice, until that fails.
    pub fn dump_to<E>(
        &self,
        addr_of: impl Fn(ListenerId) -> Option<SocketAddr>,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut dump, mut text) = (Dump::default(), Vec::new());
        let mut is_more = true;
        while is_more {
            text.clear();
            is_more = dump.next_slice(self, DUMP_SLICE_BYTES, &addr_of, &mut text);
            write(&text)?;
        }
        Ok(())
    }

    /// A member, behind the session that it is; nothing where nobody is, or where its socket is gone.
    fn dump_member(&self, id: MemberId, addr_of: &impl Fn(ListenerId) -> Option<SocketAddr>, text: &mut Vec<u8>) {
        let Some(member) = self.members.in_place(id) else { return };
        if let Some(session) = self.session_of(member) {
            write_line(&Line::Session(session), text);
        }
        if let Some(listener) = addr_of(member.path.listener) {
            write_line(&Line::Member(self.member_line(member, listener)), text);
        }
    }

    fn room_line<'a>(&self, room: &'a Room) -> RoomLine<'a> {
        let number = (room.keeps_history && self.config.history > 0).then_some(room.stream.newest);
        RoomLine {
            name: room.name.as_str().into(),
            topic: room.topic.as_str().into(),
            keeps_history: room.keeps_history,
            epoch: room.stream.epoch,
            number,
        }
    }
}
