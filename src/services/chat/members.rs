//! Who is here: the members by address, by name, and by how long they have been silent.
//!
//! Each stands once, in a table, and whatever else finds members holds their places in it. When the first comes, the tables are given
//! room for `max-members` (of sources, for those of IPv4): one that doubles when somebody comes holds up everybody else meanwhile.
//!
//! Two queues, one for members that send heartbeats and one for those that never have, are kept in the order of the last
//! datagram. All in a queue have the same time to live, so the first is the next to expire, and a datagram costs one
//! move to the end, however many members there are.

use super::directory::Directory;
use super::member::{Consent, Member, MemberId, Way};
use super::name::{self, Hosts};
use super::rooms::RoomId;
use super::tally::Tally;
use crate::core::source::Source;
use crate::core::{Instant, Path, Seed};
use compact_str::CompactString;
use hashbrown::HashTable;
use slab::Slab;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// Members in the order in which they were last heard: a ring, of which this is the first.
#[derive(Debug, Default)]
struct Queue {
    first: Option<MemberId>,
}

#[derive(Debug)]
pub(super) struct Members {
    slots: Slab<Member>,
    by_addr: HashTable<MemberId>,
    by_name: Directory,
    of_source: Tally,
    silent: Queue,
    heartbeats: Queue,
    /// Until when what was shown holds, and of whom.
    consents: BTreeSet<(Instant, MemberId)>,
    count_max: usize,
    /// The places of the table up to the last that somebody has had since nobody was here.
    places: MemberId,
    seed: Seed,
}

impl Members {
    /// Tables for so many members, in which nobody is.
    pub(super) fn new(seed: Seed, count_max: usize) -> Self {
        Self {
            slots: Slab::new(),
            by_addr: HashTable::new(),
            by_name: Directory::default(),
            of_source: Tally::new(seed),
            silent: Queue::default(),
            heartbeats: Queue::default(),
            consents: BTreeSet::new(),
            count_max,
            places: 0,
            seed,
        }
    }

    /// From now on there may be so many members.
    pub(super) fn set_count_max(&mut self, count_max: usize) {
        self.count_max = count_max;
        if self.len() > 0 {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        let further = self.count_max.saturating_sub(self.len());
        self.slots.reserve(further);
        self.by_addr.reserve(further, |&id| self.seed.hash(&self.slots[id as usize].path.remote));
        self.of_source.reserve(self.count_max);
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Members from a source.
    pub(super) fn count_of(&self, source: Source) -> usize {
        self.of_source.of(source)
    }

    pub(super) fn at(&self, addr: SocketAddr) -> Option<MemberId> {
        self.by_addr.find(self.seed.hash(&addr), |&id| self.get(id).path.remote == addr).copied()
    }

    pub(super) fn named(&self, name: &str) -> Option<MemberId> {
        let key = name::key(name);
        self.by_name.from(|id| self.key_of(id) < key).next().filter(|&id| self.key_of(id) == key)
    }

    pub(super) fn get(&self, id: MemberId) -> &Member {
        &self.slots[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: MemberId) -> &mut Member {
        &mut self.slots[id as usize]
    }

    /// Who has this place in the table, if anybody has.
    pub(super) fn in_place(&self, id: MemberId) -> Option<&Member> {
        self.slots.get(id as usize)
    }

    /// Above the id of everybody.
    pub(super) fn places(&self) -> MemberId {
        self.places
    }

    /// Every member, in the order of the table.
    pub(super) fn ids(&self) -> Vec<MemberId> {
        self.slots.iter().map(|(id, _)| id as MemberId).collect()
    }

    /// The form of a member's name in which names are compared.
    pub(super) fn key_of(&self, id: MemberId) -> Cow<'_, str> {
        name::key(&self.get(id).name)
    }

    /// Every member, in the order of the forms of their names in which names are compared.
    pub(super) fn by_name(&self) -> impl Iterator<Item = &Member> {
        self.by_name.iter().map(|id| self.get(id))
    }

    /// Every member whose name is not before that one, which is in the form in which names are compared, in order.
    pub(super) fn by_name_from(&self, from: &str) -> impl Iterator<Item = &Member> {
        self.by_name.from(|id| *self.key_of(id) < *from).map(|id| self.get(id))
    }

    /// Takes a member in under its automatic name; the caller seats it.
    pub(super) fn insert(&mut self, now: Instant, path: Path, way: Way, room: RoomId, hosts: &Hosts) -> MemberId {
        if self.len() == 0 {
            self.make_room();
        }
        let name = self.free_name(hosts.automatic_name(path.remote));
        let id = self.slots.insert(Member::new(now, path, way, name.into(), room));
        let id = MemberId::try_from(id).expect("max-members fits in 32 bits");
        self.places = self.places.max(id + 1);
        self.add_name(id);
        self.add_addr(id);
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
        self.remove_name(id);
        self.remove_addr(id);
        let gone = self.slots.remove(id as usize);
        if self.slots.is_empty() {
            self.places = 0;
        }
        gone
    }

    /// Moves a member to another address, at which nobody is.
    pub(super) fn readdress(&mut self, id: MemberId, path: Path) {
        self.remove_addr(id);
        let member = self.get_mut(id);
        (member.path, member.is_to_be_tried) = (path, false);
        self.add_addr(id);
    }

    fn add_addr(&mut self, id: MemberId) {
        let (slots, seed) = (&self.slots, self.seed);
        let addr = |id: MemberId| slots[id as usize].path.remote;
        self.by_addr.insert_unique(seed.hash(&addr(id)), id, |&id| seed.hash(&addr(id)));
        self.of_source.add(addr(id).ip());
    }

    fn remove_addr(&mut self, id: MemberId) {
        let addr = self.get(id).path.remote;
        let entry = self.by_addr.find_entry(self.seed.hash(&addr), |&other| other == id);
        entry.expect("every member has an address").remove();
        self.of_source.subtract(addr.ip());
    }

    fn add_name(&mut self, id: MemberId) {
        let key_of = |id: MemberId| name::key(&self.slots[id as usize].name);
        let key = key_of(id);
        self.by_name.insert(id, |other| key_of(other) < key);
    }

    fn remove_name(&mut self, id: MemberId) {
        let key_of = |id: MemberId| name::key(&self.slots[id as usize].name);
        let key = key_of(id);
        self.by_name.remove(|other| key_of(other) < key);
    }

    /// Gives a member another name, which nobody else has; the old one comes back.
    pub(super) fn rename(&mut self, id: MemberId, name: &str) -> CompactString {
        self.remove_name(id);
        let old = std::mem::replace(&mut self.get_mut(id).name, name.into());
        self.add_name(id);
        old
    }

    /// Notes until when what a member has shown holds; `None` for one who need not show anything.
    pub(super) fn set_consent(&mut self, id: MemberId, until: Option<Instant>) {
        let consent = until.map(|until| Consent { until, is_reminded: false });
        if let Some(was) = self.get_mut(id).set_consent(consent) {
            self.consents.remove(&(was.until, id));
        }
        self.consents.extend(until.map(|until| (until, id)));
    }

    /// Whether anybody has shown something.
    pub(super) fn has_consents(&self) -> bool {
        !self.consents.is_empty()
    }

    /// Notes that a member was heard, and whether it was by a heartbeat; whether it is the first of those.
    pub(super) fn heard(&mut self, id: MemberId, now: Instant, heartbeat: bool) -> bool {
        self.dequeue(id);
        let member = self.get_mut(id);
        member.last_heard = now;
        member.strikes = 0;
        let is_first = heartbeat && !member.heartbeats;
        member.heartbeats |= heartbeat;
        self.enqueue(id);
        is_first
    }

    /// When the next member expires.
    pub(super) fn next_expiry(&self, limits: Lifetimes) -> Option<Instant> {
        let expiry = |queue: &Queue, lifetime| queue.first.map(|id| self.get(id).last_heard + lifetime);
        let silent = expiry(&self.silent, limits.silent);
        let heartbeats = expiry(&self.heartbeats, limits.heartbeat);
        let consent = self.consents.first().map(|&(until, _)| until);
        [silent, heartbeats, consent].into_iter().flatten().min()
    }

    /// A member whose time is over, if there is one.
    pub(super) fn expired(&self, now: Instant, limits: Lifetimes) -> Option<MemberId> {
        let expired = |queue: &Queue, lifetime| queue.first.filter(|&id| self.get(id).last_heard + lifetime <= now);
        let without_consent = || self.consents.first().filter(|&&(until, _)| until <= now).map(|&(_, id)| id);
        expired(&self.heartbeats, limits.heartbeat)
            .or_else(|| expired(&self.silent, limits.silent))
            .or_else(without_consent)
    }

    fn queue_of(&mut self, id: MemberId) -> &mut Queue {
        if self.get(id).heartbeats { &mut self.heartbeats } else { &mut self.silent }
    }

    fn enqueue(&mut self, id: MemberId) {
        let first = *self.queue_of(id).first.get_or_insert(id);
        // Who is alone is before and after itself.
        let last = if first == id { id } else { self.get(first).before };
        self.link(last, id);
        self.link(id, first);
    }

    fn dequeue(&mut self, id: MemberId) {
        let &Member { before, after, .. } = self.get(id);
        self.link(before, after);
        let queue = self.queue_of(id);
        if queue.first == Some(id) {
            queue.first = Some(after).filter(|&after| after != id);
        }
    }

    fn link(&mut self, before: MemberId, after: MemberId) {
        self.get_mut(before).after = after;
        self.get_mut(after).before = before;
    }
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
        let mut members = Members::new(Seed(1), 4);
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
        let mut members = Members::new(Seed(1), 4);
        let squatter = join(&mut members, 0, 1);
        members.rename(squatter, "192.0.2.1-2");
        let second = join(&mut members, 0, 2);
        assert_eq!(members.get(second).name, "192.0.2.1-2-2");
        assert_eq!(members.named("192.0.2.1-1"), None, "the old name is free again");
    }

    #[test]
    fn members_are_counted_by_source() {
        let mut members = Members::new(Seed(1), 4);
        let first = join(&mut members, 0, 1);
        join(&mut members, 0, 2);
        let count = |members: &Members, addr: &str| members.count_of(Source::of(addr.parse().expect("an address")));
        assert_eq!((count(&members, "192.0.2.1"), count(&members, "192.0.2.2")), (2, 0));
        members.remove(first);
        assert_eq!(count(&members, "192.0.2.1"), 1);
    }
}
