//! The rooms, and in each the audiences: the members that a message reaches by the same socket in the same way.
//!
//! An audience's paths lie side by side, ready to be sent to, and are shared with the outbox while a message waits. Its
//! members and paths have the same order; one who leaves is replaced by the last, so coming and going cost the same in
//! any room.

use super::member::{Member, MemberId, Seat, Way};
use super::members::Members;
use super::name;
use super::packer::Packer;
use super::reflex::RoomLines;
use super::stream::Stream;
use crate::core::frame::Epoch;
use crate::core::limits::{ROOMS_MADE_MAX, ROOMS_MAX, ROOMS_OF_SOURCE_MAX};
use crate::core::source::Source;
use crate::core::{Instant, ListenerId, Now, Outbox, Path, Seed};
use compact_str::CompactString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

/// A room's place in the table.
pub(super) type RoomId = u16;

const _: () = assert!(ROOMS_MAX <= RoomId::MAX as usize, "each room has a place");

/// Everybody starts here. It is always there.
pub(super) const LOBBY: RoomId = 0;

/// Which audience of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Audience(u16);

#[derive(Debug)]
struct Hearers {
    listener: ListenerId,
    way: Way,
    /// Those who are out of reach are in the room, and get nothing.
    in_reach: bool,
    members: Vec<MemberId>,
    paths: Rc<Vec<Path>>,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: CompactString,
    pub(super) topic: String,
    /// What was said.
    pub(super) stream: Stream,
    pub(super) keeps_history: bool,
    /// Where the numbers stood in the hub before this one, until the history shows that they can go on.
    pub(super) kept_position: Option<(Epoch, u64)>,
    /// Frames for the sessions in it, until they are sent.
    pub(super) frames: Packer,
    /// The number of the newest message when frames were sent last.
    sent: u64,
    /// When to tell its sessions the newest number, if nothing is said meanwhile.
    pub(super) beacon: Option<Instant>,
    /// What has just been said, lest it comes back.
    pub(super) lines: RoomLines,
    /// When the last member left.
    emptied: Instant,
    /// Whose member came first, if that is known.
    made_by: Option<Source>,
    audiences: Vec<Hearers>,
}

impl Room {
    fn new(name: &str, now: Instant, epoch: Epoch) -> Self {
        Self {
            name: name.into(),
            topic: String::new(),
            stream: Stream::new(epoch),
            keeps_history: true,
            kept_position: None,
            frames: Packer::default(),
            sent: 0,
            beacon: None,
            lines: RoomLines::default(),
            emptied: now,
            made_by: None,
            audiences: Vec::new(),
        }
    }

    /// Members in the room.
    pub(super) fn len(&self) -> usize {
        self.audiences.iter().map(|audience| audience.members.len()).sum()
    }

    /// Members in the room, in no order that means anything.
    pub(super) fn members(&self) -> impl Iterator<Item = MemberId> {
        self.audiences.iter().flat_map(|audience| audience.members.iter().copied())
    }

    /// Sends `line` to everybody in the room but `except` and the sessions, to each in its way.
    pub(super) fn relay(&self, line: &str, except: Option<SocketAddr>, out: &mut Outbox) {
        self.send(line, except, out, |way| way != Way::Session);
    }

    /// Sends `line` to the members at terminals but `except`.
    pub(super) fn notify(&self, line: &str, except: Option<SocketAddr>, out: &mut Outbox) {
        self.send(line, except, out, |way| way == Way::Line);
    }

    /// How many a line reaches of those who hear it, and how many sessions.
    pub(super) fn hearers(&self, hears: impl Fn(Way) -> bool) -> (usize, usize) {
        let in_reach = || self.audiences.iter().filter(|audience| audience.in_reach);
        let lines = in_reach().filter(|audience| audience.way != Way::Session && hears(audience.way));
        let sessions = in_reach().filter(|audience| audience.way == Way::Session);
        (lines.map(|audience| audience.members.len()).sum(), sessions.map(|audience| audience.members.len()).sum())
    }

    /// Whether a session is in the room.
    pub(super) fn has_sessions(&self) -> bool {
        self.sessions().next().is_some()
    }

    fn sessions(&self) -> impl Iterator<Item = &Hearers> {
        self.audiences.iter().filter(|audience| audience.way == Way::Session && !audience.members.is_empty())
    }

    /// Sends the frames that have gathered.
    pub(super) fn send_frames(&mut self, out: &mut Outbox) {
        for audience in self.audiences.iter().filter(|audience| audience.way == Way::Session && audience.in_reach) {
            self.frames.send(out, |payload, out| out.fan_out(&audience.paths, None, payload));
        }
        self.frames.clear();
        self.sent = self.stream.newest;
    }

    /// The number of the newest message that its sessions should have: of what still waits for them nobody need ask.
    pub(super) fn newest_sent(&self) -> u64 {
        if self.frames.is_empty() { self.stream.newest } else { self.sent }
    }

    fn send(&self, line: &str, except: Option<SocketAddr>, out: &mut Outbox, hears: impl Fn(Way) -> bool) {
        let hears = |audience: &&Hearers| audience.in_reach && hears(audience.way);
        if !self.audiences.iter().any(|audience| hears(&audience)) {
            return;
        }
        let terminated = out.store_parts(&[line, "\n"]);
        for audience in self.audiences.iter().filter(hears) {
            let payload = match audience.way {
                Way::Program => terminated.without_last(),
                Way::Line | Way::Session => terminated,
            };
            out.fan_out(&audience.paths, except, payload);
        }
    }

    fn seat(&mut self, id: MemberId, member: &Member) -> Seat {
        let (listener, way, in_reach) = (member.path.listener, member.way, member.in_reach);
        let of_member = |a: &Hearers| (a.listener, a.way, a.in_reach) == (listener, way, in_reach);
        let same = self.audiences.iter().position(of_member);
        // An empty one may be of a socket that is long closed.
        let at = same.or_else(|| self.audiences.iter().position(|a| a.members.is_empty())).unwrap_or_else(|| {
            self.audiences.push(Hearers { listener, way, in_reach, members: Vec::new(), paths: Rc::default() });
            self.audiences.len() - 1
        });
        let audience = &mut self.audiences[at];
        (audience.listener, audience.way, audience.in_reach) = (listener, way, in_reach);
        let index = u32::try_from(audience.members.len()).expect("max-members fits in 32 bits");
        audience.members.push(id);
        Rc::make_mut(&mut audience.paths).push(member.path);
        Seat { audience: Audience(u16::try_from(at).expect("few sockets, three ways, in reach or not")), index }
    }

    /// Frees a seat; the member that takes it over, if any.
    fn unseat(&mut self, seat: Seat) -> Option<MemberId> {
        let audience = &mut self.audiences[usize::from(seat.audience.0)];
        let index = seat.index as usize;
        audience.members.swap_remove(index);
        Rc::make_mut(&mut audience.paths).swap_remove(index);
        audience.members.get(index).copied()
    }
}

/// All rooms; an empty one stays, with its history, until its place is needed.
#[derive(Debug)]
pub(super) struct Rooms {
    slots: Vec<Room>,
    by_name: BTreeMap<String, RoomId>,
    seed: Seed,
    /// Rooms that were ever made.
    made: u64,
}

impl Rooms {
    pub(super) fn new(seed: Seed) -> Self {
        let lobby = Room::new("lobby", Instant::default(), Epoch::default());
        Self { by_name: BTreeMap::from([(lobby.name.to_string(), LOBBY)]), slots: vec![lobby], seed, made: 1 }
    }

    /// A room in an epoch that it has never been in.
    fn make(&mut self, name: &str, now: &Now) -> Room {
        self.made += 1;
        let hash = self.seed.mac(&("epoch", name, self.made, now.wall.as_nanosecond()));
        Room::new(name, now.mono, Epoch(hash as u32))
    }

    /// Sees to it that a room is in another epoch than that.
    pub(super) fn leave_epoch(&mut self, id: RoomId, epoch: Epoch, now: &Now) {
        while self.get(id).stream.epoch == epoch {
            let name = self.get(id).name.clone();
            let made = self.make(&name, now);
            self.get_mut(id).stream.epoch = made.stream.epoch;
        }
    }

    /// Gives the lobby, which is there before any clock is read, an epoch of its own.
    ///
    /// Whether it had none.
    pub(super) fn begin(&mut self, now: &Now) -> bool {
        let is_first = self.get(LOBBY).stream.epoch == Epoch::default();
        if is_first {
            let made = self.make("lobby", now);
            self.get_mut(LOBBY).stream.epoch = made.stream.epoch;
        }
        is_first
    }

    pub(super) fn get(&self, id: RoomId) -> &Room {
        &self.slots[usize::from(id)]
    }

    pub(super) fn get_mut(&mut self, id: RoomId) -> &mut Room {
        &mut self.slots[usize::from(id)]
    }

    pub(super) fn named(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(&*name::key(name)).copied()
    }

    /// Every room, by its place.
    pub(super) fn ids(&self) -> std::ops::Range<RoomId> {
        0..self.slots.len() as RoomId
    }

    /// Every room, in the order of the names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values().map(|&id| self.get(id))
    }

    /// Those that somebody is in or has said something in, in the order of the names.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Room> {
        self.iter().filter(|room| room.len() > 0 || room.stream.history_len() > 0)
    }

    /// The lobby, and the others in the order in which they fell empty: the first is the first to give up its place.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Room> {
        let mut others: Vec<_> = self.slots[1..].iter().collect();
        others.sort_by_key(|room| room.emptied);
        std::iter::once(self.get(LOBBY)).chain(others)
    }

    /// Applies a new bound to every history; the names of the rooms that have forgotten something.
    pub(super) fn trim_histories(&mut self, count_max: usize) -> Vec<CompactString> {
        let too_long = self.slots.iter_mut().filter(|room| room.stream.history_len() > count_max);
        too_long
            .map(|room| {
                room.stream.trim(count_max);
                room.name.clone()
            })
            .collect()
    }

    /// The room of that name, made for `source` if need be, and the one that had its place. `None` when there are
    /// [`ROOMS_MAX`] rooms and somebody in each, or where nobody is something was said and `source` has made
    /// [`ROOMS_OF_SOURCE_MAX`], none of which could go, or [`ROOMS_MADE_MAX`] in any case. None that is `spared` goes.
    pub(super) fn open(
        &mut self,
        name: &str,
        now: &Now,
        source: Source,
        spared: &[RoomId],
    ) -> Option<(RoomId, Option<Room>)> {
        if let Some(known) = self.named(name) {
            return Some((known, None));
        }
        let made_by = Some(source);
        let own = |room: &Room| room.made_by == made_by;
        let own_count = self.slots.iter().filter(|room| own(room)).count();
        let has_too_many = self.slots.iter().filter(|room| own(room) && room.len() > 0).count() >= ROOMS_MADE_MAX;
        if !has_too_many && let Some(id) = self.open_free(name, now) {
            self.get_mut(id).made_by = made_by;
            return Some((id, None));
        }
        let own_dispensable = || self.dispensable(|id| own(self.get(id)) && !spared.contains(&id));
        let id = match self.dispensable(|id| !spared.contains(&id)) {
            _ if has_too_many => own_dispensable()?,
            Some(id) if self.get(id).stream.history_len() > 0 && own_count >= ROOMS_OF_SOURCE_MAX => own_dispensable()?,
            id => id?,
        };
        let made = Room { made_by, ..self.make(name, now) };
        let closed = std::mem::replace(self.get_mut(id), made);
        self.by_name.remove(&*name::key(&closed.name));
        self.by_name.insert(name::key(name).into_owned(), id);
        Some((id, Some(closed)))
    }

    /// The room of that name, made if there is a free place.
    pub(super) fn open_free(&mut self, name: &str, now: &Now) -> Option<RoomId> {
        let known = self.named(name);
        if known.is_some() || self.slots.len() == ROOMS_MAX {
            return known;
        }
        let (id, made) = (self.slots.len() as RoomId, self.make(name, now));
        self.slots.push(made);
        self.by_name.insert(name::key(name).into_owned(), id);
        Some(id)
    }

    /// An empty room, one in which nothing was said if there is one, of these the one that has been empty for longest.
    fn dispensable(&self, may_go: impl Fn(RoomId) -> bool) -> Option<RoomId> {
        let empty = |&id: &RoomId| id != LOBBY && self.get(id).len() == 0 && may_go(id);
        let worth = |&id: &RoomId| (self.get(id).stream.history_len() > 0, self.get(id).emptied);
        self.ids().filter(empty).min_by_key(worth)
    }

    /// Gives a member a seat in each room that it is in.
    pub(super) fn seat(&mut self, id: MemberId, members: &mut Members) {
        let rooms: Vec<RoomId> = members.get(id).rooms().collect();
        rooms.into_iter().for_each(|room| self.seat_in(room, id, members));
    }

    /// Gives a member a seat in one of the rooms that it is in.
    pub(super) fn seat_in(&mut self, room: RoomId, id: MemberId, members: &mut Members) {
        let seat = self.get_mut(room).seat(id, members.get(id));
        *members.get_mut(id).seat_in(room).expect("it is in this room") = seat;
    }

    /// Frees the seats of a member, before it goes or its path changes.
    pub(super) fn unseat(&mut self, id: MemberId, members: &mut Members, now: Instant) {
        let rooms: Vec<RoomId> = members.get(id).rooms().collect();
        rooms.into_iter().for_each(|room| self.unseat_in(room, id, members, now));
    }

    /// Frees the seat of a member in one of its rooms.
    pub(super) fn unseat_in(&mut self, room: RoomId, id: MemberId, members: &mut Members, now: Instant) {
        let seat = *members.get_mut(id).seat_in(room).expect("it is in this room");
        let of_room = self.get_mut(room);
        if let Some(successor) = of_room.unseat(seat) {
            *members.get_mut(successor).seat_in(room).expect("it has a seat there") = seat;
        }
        if of_room.len() == 0 {
            of_room.emptied = now;
        }
    }
}
