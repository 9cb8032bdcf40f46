//! The rooms, and in each the audiences: the members that a message reaches by the same socket in the same way.
//!
//! An audience's paths lie side by side, ready to be sent to, and are shared with the outbox while a message waits. Its
//! members and paths have the same order; one who leaves is replaced by the last, so coming and going cost the same in
//! any room.

use super::history::History;
use super::members::{Member, MemberId, Members, Seat, Way};
use super::name;
use super::reflex::RoomLines;
use crate::core::limits::{ROOMS_MAX, ROOMS_OF_SOURCE_MAX};
use crate::core::source::Source;
use crate::core::{Instant, ListenerId, Outbox, Path};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

/// A room's place in the table.
pub(super) type RoomId = usize;

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
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) history: History,
    pub(super) keeps_history: bool,
    /// What has just been said, lest it comes back.
    pub(super) lines: RoomLines,
    /// When the last member left.
    emptied: Instant,
    /// Whose member came first, if that is known.
    made_by: Option<Source>,
    audiences: Vec<Hearers>,
}

impl Room {
    fn new(name: &str, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            topic: String::new(),
            history: History::default(),
            keeps_history: true,
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

    /// Sends `line` to everybody in the room but `except`, to each in its way.
    pub(super) fn relay(&self, line: &str, except: Option<SocketAddr>, out: &mut Outbox) {
        self.send(line, except, out, |_| true);
    }

    /// Sends `line` to the members at terminals but `except`.
    pub(super) fn notify(&self, line: &str, except: Option<SocketAddr>, out: &mut Outbox) {
        self.send(line, except, out, |way| way == Way::Line);
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
                Way::Line => terminated,
            };
            out.fan_out(&audience.paths, except, payload);
        }
    }

    fn seat(&mut self, id: MemberId, member: &mut Member) {
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
        member.seat =
            Seat { audience: Audience(u16::try_from(at).expect("few sockets, two ways, in reach or not")), index };
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
}

impl Default for Rooms {
    fn default() -> Self {
        let lobby = Room::new("lobby", Instant::default());
        Self { by_name: BTreeMap::from([(name::key(&lobby.name), LOBBY)]), slots: vec![lobby] }
    }
}

impl Rooms {
    pub(super) fn get(&self, id: RoomId) -> &Room {
        &self.slots[id]
    }

    pub(super) fn get_mut(&mut self, id: RoomId) -> &mut Room {
        &mut self.slots[id]
    }

    pub(super) fn named(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(&name::key(name)).copied()
    }

    /// Every room, in the order of the names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values().map(|&id| &self.slots[id])
    }

    /// The lobby, and the others in the order in which they fell empty: the first is the first to give up its place.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Room> {
        let mut others: Vec<_> = self.slots[LOBBY + 1..].iter().collect();
        others.sort_by_key(|room| room.emptied);
        std::iter::once(&self.slots[LOBBY]).chain(others)
    }

    /// Applies a new bound to every history; the names of the rooms that have forgotten something.
    pub(super) fn trim_histories(&mut self, count_max: usize) -> Vec<String> {
        let too_long = self.slots.iter_mut().filter(|room| room.history.len() > count_max);
        too_long
            .map(|room| {
                room.history.trim(count_max);
                room.name.clone()
            })
            .collect()
    }

    /// The room of that name, made for `source` if need be, and the one that had its place. `None` when there are
    /// [`ROOMS_MAX`] rooms and somebody in each, or where nobody is something was said and `source` has made
    /// [`ROOMS_OF_SOURCE_MAX`], none of which could go.
    pub(super) fn open(&mut self, name: &str, now: Instant, source: Source) -> Option<(RoomId, Option<Room>)> {
        if let Some(known) = self.named(name) {
            return Some((known, None));
        }
        let made_by = Some(source);
        if let Some(id) = self.open_free(name, now) {
            self.slots[id].made_by = made_by;
            return Some((id, None));
        }
        let mut id = self.dispensable(|_| true)?;
        let own = |room: &Room| room.made_by == made_by;
        let is_greedy = || self.slots.iter().filter(|room| own(room)).count() >= ROOMS_OF_SOURCE_MAX;
        if self.slots[id].history.len() > 0 && is_greedy() {
            id = self.dispensable(own)?;
        }
        let closed = std::mem::replace(&mut self.slots[id], Room { made_by, ..Room::new(name, now) });
        self.by_name.remove(&name::key(&closed.name));
        self.by_name.insert(name::key(name), id);
        Some((id, Some(closed)))
    }

    /// The room of that name, made if there is a free place.
    pub(super) fn open_free(&mut self, name: &str, now: Instant) -> Option<RoomId> {
        let known = self.named(name);
        if known.is_some() || self.slots.len() == ROOMS_MAX {
            return known;
        }
        self.slots.push(Room::new(name, now));
        self.by_name.insert(name::key(name), self.slots.len() - 1);
        Some(self.slots.len() - 1)
    }

    /// An empty room, one in which nothing was said if there is one, of these the one that has been empty for longest.
    fn dispensable(&self, may_go: impl Fn(&Room) -> bool) -> Option<RoomId> {
        let empty = |&id: &RoomId| id != LOBBY && self.slots[id].len() == 0 && may_go(&self.slots[id]);
        let worth = |&id: &RoomId| (self.slots[id].history.len() > 0, self.slots[id].emptied);
        (0..self.slots.len()).filter(empty).min_by_key(worth)
    }

    /// Gives a member a seat in the room that it is in.
    pub(super) fn seat(&mut self, id: MemberId, members: &mut Members) {
        let member = members.get_mut(id);
        self.slots[member.room].seat(id, member);
    }

    /// Frees the seat of a member, before it goes or its path changes.
    pub(super) fn unseat(&mut self, id: MemberId, members: &mut Members, now: Instant) {
        let (room, seat) = (members.get(id).room, members.get(id).seat);
        let room = &mut self.slots[room];
        if let Some(successor) = room.unseat(seat) {
            members.get_mut(successor).seat = seat;
        }
        if room.len() == 0 {
            room.emptied = now;
        }
    }
}
