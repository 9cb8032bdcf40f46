//! How somebody goes: out of the tables, with a word to those who are left.

use super::member::{MemberId, Way};
use super::rooms::RoomId;
use super::{Hub, actions};
use crate::core::limits::EXPIRIES_MAX;
use crate::core::source::Source;
use crate::core::{ListenerId, Now, Outbox, Path, Verdict};
use compact_str::CompactString;
use std::net::IpAddr;

/// Why a member is no longer there, as its room is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Quit,
    Expired,
    Unreachable,
    ListenerClosed,
    ShutOut,
    Kicked,
}

impl Departure {
    fn notice(self) -> &'static str {
        match self {
            Self::Quit => "has left",
            Self::Expired => "has gone silent",
            Self::Unreachable => "has closed its port",
            Self::ListenerClosed => "was cut off by a change of configuration",
            Self::ShutOut => "may not speak here any more",
            Self::Kicked => "was removed by the operator",
        }
    }

    /// The head of a list of several.
    fn heading(self) -> &'static str {
        match self {
            Self::Quit => "Left",
            Self::Expired => "Gone silent",
            Self::Unreachable => "Closed their ports",
            Self::ListenerClosed => "Cut off by a change of configuration",
            Self::ShutOut => "May not speak here any more",
            Self::Kicked => "Removed by the operator",
        }
    }
}

impl Hub {
    /// A socket is about to close: those who came by it cannot be reached any more.
    pub fn remove_listener(&mut self, now: &Now, listener: ListenerId, out: &mut Outbox) {
        self.remove_all(now, Departure::ListenerClosed, |path| path.listener == listener, out);
    }

    /// Removes those who may not speak here any more: they would hear what is said for as long as nobody misses them.
    pub fn shut_out(&mut self, now: &Now, is_shut_out: impl Fn(IpAddr) -> bool, out: &mut Outbox) {
        self.remove_all(now, Departure::ShutOut, |path| is_shut_out(path.remote.ip()), out);
    }

    fn remove_all(&mut self, now: &Now, departure: Departure, goes: impl Fn(&Path) -> bool, out: &mut Outbox) {
        let mut ids = self.members.ids();
        ids.retain(|&id| goes(&self.members.get(id).path));
        let gone = ids.into_iter().flat_map(|id| self.take_out(now, id)).collect();
        self.tell_of(gone, departure, out);
    }

    /// Takes out those whose time is over, so many at once; when there are more, the next are due at once.
    pub(super) fn expire(&mut self, now: &Now, out: &mut Outbox) {
        let mut gone = Vec::new();
        for _ in 0..EXPIRIES_MAX {
            let Some(id) = self.members.expired(now.mono, self.lifetimes()) else { break };
            gone.extend(self.take_out(now, id));
        }
        self.tell_of(gone, Departure::Expired, out);
    }

    pub(super) fn remove(&mut self, now: &Now, id: MemberId, departure: Departure, out: &mut Outbox) {
        let gone = self.take_out(now, id);
        self.tell_of(gone, departure, out);
    }

    /// Ends a membership, without a word; each room and the name.
    pub(super) fn take_out(&mut self, now: &Now, id: MemberId) -> Vec<(RoomId, CompactString)> {
        self.note_parting(id);
        self.rooms.unseat(id, &mut self.members, now.mono);
        let member = self.members.remove(id);
        if let Some(session) = member.session() {
            let source = Source::of_sender(member.path.remote.ip(), member.consent().is_none());
            self.part(now, session, source, &member);
        }
        member.rooms().map(|room| (room, member.name.clone())).collect()
    }

    /// Tells each room who has gone, when all have: nobody who has gone hears of it, and a thousand cost one notice.
    pub(super) fn tell_of(&mut self, mut gone: Vec<(RoomId, CompactString)>, departure: Departure, out: &mut Outbox) {
        gone.sort_by_key(|&(room, _)| room);
        for of_room in gone.chunk_by(|(a, _), (b, _)| a == b) {
            let notice = match of_room {
                [(_, name)] => format!("-- {name} {}", departure.notice()),
                _ => {
                    let names = of_room.iter().map(|(_, name)| name);
                    actions::fit_list(format!("-- {}: ", departure.heading()), of_room.len(), names)
                }
            };
            self.notify_room(None, of_room[0].0, &notice, None, out);
        }
    }

    pub(super) fn quit(&mut self, now: &Now, path: Path, out: &mut Outbox) -> Verdict {
        let Some(id) = self.members.at(path.remote) else { return Verdict::Accepted };
        if self.members.get(id).way == Way::Line {
            out.send_line(path, "-- You have left. Say anything to return.", true);
        }
        self.remove(now, id, Departure::Quit, out);
        Verdict::Accepted
    }
}
