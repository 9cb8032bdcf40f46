//! Who is here: the members by address, by name, and by how long they have been silent.
//!
//! Two queues, one for members that send heartbeats and one for those that never have, are kept in the order of the last
//! datagram. All in a queue have the same time to live, so the first is the next to expire, and a datagram costs one
//! move to the end, however many members there are.

use super::name::{self, Hosts};
use super::reflex::Reflex;
use super::rooms::{Audience, RoomId};
use crate::core::frame::{Epoch, SessionId};
use crate::core::source::Source;
use crate::core::{Instant, Path, Seed, SeededMap};
use serde::{Deserialize, Serialize};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::time::Duration;

/// A member's place in the table; somebody else's once it has left.
pub(super) type MemberId = usize;

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
    pub(super) name: String,
    pub(super) away: Option<Box<str>>,
    /// The room that it is in; the first, if it is a session that is in several.
    pub(super) place: Place,
    pub(super) session: Option<Box<Attendance>>,
    /// What somebody from beyond our links has shown.
    pub(super) consent: Option<Box<Consent>>,
    /// Whether its host is on the network, as far as we know.
    pub(super) in_reach: bool,
    /// Whether it is to be tried anew when it has been out of reach for long enough.
    pub(super) is_to_be_tried: bool,
    /// Times its host has answered "port unreachable" since it was last heard.
    pub(super) strikes: u8,
    /// What it has just said.
    pub(super) reflex: Reflex,
    /// Whether it has ever sent a heartbeat.
    pub(super) heartbeats: bool,
    pub(super) last_heard: Instant,
    /// When it last said something, or came.
    pub(super) last_said: Instant,
    before: Option<u32>,
    after: Option<u32>,
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) room: RoomId,
    /// Where it stands in the room's audiences.
    pub(super) seat: Seat,
    /// From where on a session counts there.
    pub(super) since: Since,
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
pub(super) struct Attendance {
    pub(super) id: SessionId,
    /// Its rooms but the first.
    pub(super) further: Vec<Place>,
}

impl Member {
    /// The room that it is in; the first, if it is a session that is in several.
    pub(super) fn room(&self) -> RoomId {
        self.place.room
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.place).chain(self.session.iter().flat_map(|session| &session.further))
    }

    pub(super) fn place_in(&mut self, room: RoomId) -> Option<&mut Place> {
        let further = self.session.iter_mut().flat_map(|session| &mut session.further);
        std::iter::once(&mut self.place).chain(further).find(|place| place.room == room)
    }

    pub(super) fn is_in(&self, room: RoomId) -> bool {
        self.places().any(|place| place.room == room)
    }
}

/// A place in an [`Audience`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seat {
    pub(super) audience: Audience,
    pub(super) index: u32,
}

/// Members in the order in which they were last heard.
#[derive(Debug, Default)]
struct Queue {
    first: Option<u32>,
    last: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Members {
    slots: Slab<Member>,
    by_addr: SeededMap<SocketAddr, u32>,
    by_name: BTreeMap<String, u32>,
    of_source: SeededMap<Source, u32>,
    silent: Queue,
    heartbeats: Queue,
    /// Until when what was shown holds, and of whom.
    consents: BTreeSet<(Instant, u32)>,
}

fn slot(id: MemberId) -> u32 {
    u32::try_from(id).expect("max-members fits in 32 bits")
}

impl Members {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            slots: Slab::new(),
            by_addr: SeededMap::with_hasher(seed),
            by_name: BTreeMap::new(),
            of_source: SeededMap::with_hasher(seed),
            silent: Queue::default(),
            heartbeats: Queue::default(),
            consents: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Members from a source.
    pub(super) fn count_of(&self, source: Source) -> usize {
        self.of_source.get(&source).map_or(0, |&count| count as usize)
    }

    pub(super) fn at(&self, addr: SocketAddr) -> Option<MemberId> {
        self.by_addr.get(&addr).map(|&id| id as usize)
    }

    pub(super) fn named(&self, name: &str) -> Option<MemberId> {
        self.by_name.get(&name::key(name)).map(|&id| id as usize)
    }

    pub(super) fn get(&self, id: MemberId) -> &Member {
        &self.slots[id]
    }

    pub(super) fn get_mut(&mut self, id: MemberId) -> &mut Member {
        &mut self.slots[id]
    }

    /// Every member, in the order of the table.
    pub(super) fn ids(&self) -> Vec<MemberId> {
        self.slots.iter().map(|(id, _)| id).collect()
    }

    /// Every member by the form of its name in which names are compared, in that order.
    pub(super) fn by_name(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.by_name.iter().map(|(key, &id)| (key.as_str(), &self.slots[id as usize]))
    }

    /// Every member whose name is not before that one, which is in the form in which names are compared, in order.
    pub(super) fn by_name_from(&self, from: &str) -> impl Iterator<Item = &Member> {
        let from = (Bound::Included(from), Bound::Unbounded);
        self.by_name.range::<str, _>(from).map(|(_, &id)| &self.slots[id as usize])
    }

    /// Takes a member in under its automatic name; the caller seats it.
    pub(super) fn insert(&mut self, now: Instant, path: Path, way: Way, room: RoomId, hosts: &Hosts) -> MemberId {
        let name = self.free_name(hosts.automatic_name(path.remote));
        let id = self.slots.insert(Member {
            path,
            way,
            name: name.clone(),
            away: None,
            place: Place { room, seat: Seat::default(), since: Since::default() },
            session: None,
            consent: None,
            in_reach: true,
            is_to_be_tried: false,
            strikes: 0,
            reflex: Reflex::default(),
            heartbeats: false,
            last_heard: now,
            last_said: now,
            before: None,
            after: None,
        });
        self.by_addr.insert(path.remote, slot(id));
        self.by_name.insert(name::key(&name), slot(id));
        self.count_in(path.remote.ip());
        self.enqueue(id);
        id
    }

    /// `wanted`, or `wanted-2` and so on while somebody else has it.
    pub(super) fn free_name(&self, wanted: String) -> String {
        if self.named(&wanted).is_none() {
            return wanted;
        }
        (2..)
            .map(|number| format!("{wanted}-{number}"))
            .find(|name| self.named(name).is_none())
            .expect("there are more numbers than members")
    }

    pub(super) fn remove(&mut self, id: MemberId) -> Member {
        self.dequeue(id);
        self.set_consent(id, None);
        let member = self.slots.remove(id);
        self.by_addr.remove(&member.path.remote);
        self.by_name.remove(&name::key(&member.name));
        self.count_out(member.path.remote.ip());
        member
    }

    /// Moves a member to another address, at which nobody is.
    pub(super) fn readdress(&mut self, id: MemberId, path: Path) {
        self.slots[id].is_to_be_tried = false;
        let old = std::mem::replace(&mut self.slots[id].path, path);
        self.by_addr.remove(&old.remote);
        self.by_addr.insert(path.remote, slot(id));
        self.count_out(old.remote.ip());
        self.count_in(path.remote.ip());
    }

    fn count_in(&mut self, addr: IpAddr) {
        for source in sources(addr) {
            *self.of_source.entry(source).or_insert(0) += 1;
        }
    }

    fn count_out(&mut self, addr: IpAddr) {
        for source in sources(addr) {
            match self.of_source.get_mut(&source) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.of_source.remove(&source)),
            }
        }
    }

    /// Gives a member another name, which nobody else has; the old one comes back.
    pub(super) fn rename(&mut self, id: MemberId, name: &str) -> String {
        let old = std::mem::replace(&mut self.slots[id].name, name.to_owned());
        self.by_name.remove(&name::key(&old));
        self.by_name.insert(name::key(name), slot(id));
        old
    }

    /// Notes until when what a member has shown holds; `None` for one who need not show anything.
    pub(super) fn set_consent(&mut self, id: MemberId, until: Option<Instant>) {
        let consent = until.map(|until| Box::new(Consent { until, is_reminded: false }));
        if let Some(was) = std::mem::replace(&mut self.slots[id].consent, consent) {
            self.consents.remove(&(was.until, slot(id)));
        }
        self.consents.extend(until.map(|until| (until, slot(id))));
    }

    /// Notes that a member was heard, and whether it was by a heartbeat; whether it is the first of those.
    pub(super) fn heard(&mut self, id: MemberId, now: Instant, heartbeat: bool) -> bool {
        self.dequeue(id);
        let member = &mut self.slots[id];
        member.last_heard = now;
        member.strikes = 0;
        let is_first = heartbeat && !member.heartbeats;
        member.heartbeats |= heartbeat;
        self.enqueue(id);
        is_first
    }

    /// Everybody, each queue in its order: those who send heartbeats, then the others.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Member> {
        let member = |id: u32| &self.slots[id as usize];
        let queue =
            move |first: Option<u32>| std::iter::successors(first.map(member), move |last| last.after.map(member));
        queue(self.heartbeats.first).chain(queue(self.silent.first))
    }

    /// When the next member expires.
    pub(super) fn next_expiry(&self, limits: Lifetimes) -> Option<Instant> {
        let expiry = |queue: &Queue, lifetime| queue.first.map(|id| self.slots[id as usize].last_heard + lifetime);
        let silent = expiry(&self.silent, limits.silent);
        let heartbeats = expiry(&self.heartbeats, limits.heartbeat);
        let consent = self.consents.first().map(|&(until, _)| until);
        [silent, heartbeats, consent].into_iter().flatten().min()
    }

    /// A member whose time is over, if there is one.
    pub(super) fn expired(&self, now: Instant, limits: Lifetimes) -> Option<MemberId> {
        let expired = |queue: &Queue, lifetime| {
            queue.first.map(|id| id as usize).filter(|&id| self.slots[id].last_heard + lifetime <= now)
        };
        let without_consent = || self.consents.first().filter(|&&(until, _)| until <= now).map(|&(_, id)| id as usize);
        expired(&self.heartbeats, limits.heartbeat)
            .or_else(|| expired(&self.silent, limits.silent))
            .or_else(without_consent)
    }

    fn queue_of(&mut self, id: MemberId) -> &mut Queue {
        if self.slots[id].heartbeats { &mut self.heartbeats } else { &mut self.silent }
    }

    fn enqueue(&mut self, id: MemberId) {
        let queue = self.queue_of(id);
        let before = queue.last.replace(slot(id));
        if queue.first.is_none() {
            queue.first = Some(slot(id));
        }
        if let Some(before) = before {
            self.slots[before as usize].after = Some(slot(id));
        }
        self.slots[id].before = before;
        self.slots[id].after = None;
    }

    fn dequeue(&mut self, id: MemberId) {
        let (before, after) = (self.slots[id].before, self.slots[id].after);
        let queue = self.queue_of(id);
        if before.is_none() {
            queue.first = after;
        }
        if after.is_none() {
            queue.last = before;
        }
        if let Some(before) = before {
            self.slots[before as usize].after = after;
        }
        if let Some(after) = after {
            self.slots[after as usize].before = before;
        }
    }
}

/// The sources that an address counts for: itself, and its network if that is another.
fn sources(addr: IpAddr) -> impl Iterator<Item = Source> {
    let host = Source::of_sender(addr, true);
    std::iter::once(host).chain(host.network())
}

/// How long a member stays after it was last heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) heartbeat: Duration,
    pub(super) silent: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ListenerId;

    const LIFETIMES: Lifetimes = Lifetimes { heartbeat: Duration::from_secs(10), silent: Duration::from_secs(60) };

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn join(members: &mut Members, seconds: u64, port: u16) -> MemberId {
        let path = Path::to(ListenerId(0), SocketAddr::from(([192, 0, 2, 1], port)));
        members.insert(at(seconds), path, Way::Line, 0, &Hosts::default())
    }

    fn expire_all(members: &mut Members, now: Instant) -> Vec<u16> {
        let mut gone = Vec::new();
        while let Some(id) = members.expired(now, LIFETIMES) {
            gone.push(members.remove(id).path.remote.port());
        }
        gone
    }

    #[test]
    fn members_expire_in_the_order_of_their_last_datagram_heartbeat_senders_sooner() {
        let mut members = Members::new(Seed(1));
        let ids: Vec<_> = (1..=4).map(|port| join(&mut members, 0, port)).collect();
        members.heard(ids[0], at(1), true);
        members.heard(ids[1], at(2), true);
        members.heard(ids[2], at(3), false);
        members.heard(ids[0], at(4), false);
        assert_eq!(members.next_expiry(LIFETIMES), Some(at(12)));
        assert_eq!(expire_all(&mut members, at(12) - Duration::from_nanos(1)), Vec::<u16>::new());
        assert_eq!(expire_all(&mut members, at(12)), [2]);
        assert_eq!(members.next_expiry(LIFETIMES), Some(at(14)));
        assert_eq!(expire_all(&mut members, at(60)), [1, 4]);
        assert_eq!(expire_all(&mut members, at(63)), [3]);
        assert_eq!((members.next_expiry(LIFETIMES), members.len()), (None, 0));
    }

    #[test]
    fn an_automatic_name_that_somebody_has_gets_a_number() {
        let mut members = Members::new(Seed(1));
        let squatter = join(&mut members, 0, 1);
        members.rename(squatter, "192.0.2.1-2");
        let second = join(&mut members, 0, 2);
        assert_eq!(members.get(second).name, "192.0.2.1-2-2");
        assert_eq!(members.named("192.0.2.1-1"), None, "the old name is free again");
    }

    #[test]
    fn members_are_counted_by_source() {
        let mut members = Members::new(Seed(1));
        let first = join(&mut members, 0, 1);
        join(&mut members, 0, 2);
        let count = |members: &Members, addr: &str| members.count_of(Source::of(addr.parse().expect("an address")));
        assert_eq!((count(&members, "192.0.2.1"), count(&members, "192.0.2.2")), (2, 0));
        members.remove(first);
        assert_eq!(count(&members, "192.0.2.1"), 1);
    }
}
