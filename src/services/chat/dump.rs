//! The hub told from one end to the other, in slices: a hall of a hundred thousand takes longer than anybody is to wait.
//!
//! Members stand in the order of their places in the table, which a member keeps for as long as it is here, so whoever is here all
//! the time is told once. Then come the sessions that are away, in the order in which they went, of which new ones are
//! always the last; and the rooms, of which there are few, all in the last slice.

use super::Hub;
use super::keeping::{Line, RoomLine, write_line};
use super::member::MemberId;
use super::session::AwayId;
use crate::core::ListenerId;
use crate::core::limits::{DUMP_SLICE_BYTES, DUMP_SLICE_PLACES};
use std::net::SocketAddr;

/// How far a hub has been told.
#[derive(Debug, Default)]
pub(super) struct Dump {
    stage: Stage,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Head,
    /// The members from this place on.
    Members(MemberId),
    /// The sessions that have been away as long as this one, or not so long.
    Away(AwayId),
    Rooms,
    End,
}

impl Dump {
    /// Appends the next slice to `text`; whether there is another.
    pub(super) fn next_slice(
        &mut self,
        hub: &Hub,
        addr_of: &impl Fn(ListenerId) -> Option<SocketAddr>,
        text: &mut Vec<u8>,
    ) -> bool {
        let end = text.len() + DUMP_SLICE_BYTES;
        for _ in 0..DUMP_SLICE_PLACES {
            self.stage = self.next_line(hub, addr_of, text);
            if matches!(self.stage, Stage::End) || text.len() >= end {
                break;
            }
        }
        !matches!(self.stage, Stage::End)
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
                None => Stage::Rooms,
            },
            Stage::Rooms => {
                hub.rooms.in_order().for_each(|room| write_line(&Line::Room(hub.room_line(room)), text));
                Stage::End
            }
            Stage::End => Stage::End,
        }
    }
}

impl Hub {
    /// Appends everything but the histories to `text`, for [`Hub::restore`]. `addr_of` tells the address of a socket.
    pub fn dump(&self, addr_of: impl Fn(ListenerId) -> Option<SocketAddr>, text: &mut Vec<u8>) {
        let mut dump = Dump::default();
        while dump.next_slice(self, &addr_of, text) {}
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
            is_more = dump.next_slice(self, &addr_of, &mut text);
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

    fn room_line<'a>(&self, room: &'a super::rooms::Room) -> RoomLine<'a> {
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
