//! The announcer: how a service is found without knowing anything.
//!
//! It takes part in its groups on every interface that the configuration chooses and that can reach them. There it
//! answers `Notify` with what runs here, and says unasked that it is here: when it starts, when an interface comes up
//! or gains an address, every `interval`, and for the last time when it stops. What it says anew it says again a
//! second later, since a Wi-Fi network loses one group datagram in twenty (RFC 9119 §3.1.1). With an `interval` of
//! zero it says nothing unasked, not even a goodbye.
//!
//! The idea: what it takes part in is one sorted set of [`Membership`]s, made anew from the interface table after each
//! change. The difference from the last set is what the daemon must join and leave, and where to announce.
//!
//! An answer to a group's question waits 20 to 120 ms by chance, so that a room full of servers does not answer as
//! one (RFC 6762 §6); a source whose answer waits gets just that one. How often a source may ask is admission's.
//!
//! Who is not on-link may have forged its address and is no part of a group's link: it gets no answer to a question to a
//! group, and to one to this host no more than [`ANSWER_BASE`](crate::core::limits::ANSWER_BASE) and three times that
//! question, if need be the short line.
//!
//! The lines themselves are in `wire`. It does not join, leave or send: the daemon does.

mod wire;

#[cfg(test)]
mod tests;

pub use wire::{Announcement, Facts, PADDED_QUESTION, Verb, parse_announcement};

use super::Service;
use crate::config;
use crate::core::interfaces::{Family, is_chosen};
use crate::core::limits::{MEMBERSHIPS_MAX, PENDING_ANSWERS_MAX};
use crate::core::{Datagram, DropReason, Instant, Interface, ListenerId, Now, Outbox, Path};
use crate::core::{Seed, SeededMap, SplitMix, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The shortest wait of an answer to a group's question.
const JITTER_MIN: Duration = Duration::from_millis(20);
/// The longest wait of an answer to a group's question.
const JITTER_MAX: Duration = Duration::from_millis(120);
/// How long after something new is said it is said again.
const REPEAT_AFTER: Duration = Duration::from_secs(1);
/// An interval is shortened by chance by up to this part of it, so that hosts that start together drift apart.
const INTERVAL_JITTER: u32 = 10;

/// A socket that takes part in a group on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Membership {
    /// The kernel's number for the interface.
    pub interface: u32,
    /// The group.
    pub group: IpAddr,
    /// The socket, which is of the group's family.
    pub listener: ListenerId,
}

/// What the daemon is to ask of the kernel, in order: first `leave`, then `join`.
///
/// A group is also to be left on an interface that has vanished. The kernel drops that interface, but goes on counting
/// the membership against the few that a socket may have (20, `net.ipv4.igmp_max_memberships`).
#[must_use = "the kernel does not know yet"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    /// To be left; it does not matter when that fails.
    pub leave: Vec<Membership>,
    /// To be joined.
    pub join: Vec<Membership>,
}

/// An answer that waits.
#[derive(Clone, Copy, Debug)]
struct Answer {
    path: Path,
    newline: bool,
    /// Its longest line, with a newline.
    len_max: usize,
}

/// Each verb's line.
#[derive(Debug)]
struct Lines {
    announce: String,
    goodbye: String,
    acknowlege: String,
    acknowlege_short: String,
}

impl Lines {
    fn new(facts: &Facts) -> Self {
        Self {
            announce: wire::write_line(Verb::Announce, facts),
            goodbye: wire::write_line(Verb::Goodbye, facts),
            acknowlege: wire::write_line(Verb::Acknowlege, facts),
            acknowlege_short: wire::write_short_line(Verb::Acknowlege, facts),
        }
    }
}

/// The announcer.
#[derive(Debug)]
pub struct Announcer {
    groups: Vec<IpAddr>,
    globs: Vec<String>,
    interval: Duration,
    facts: Facts,
    lines: Lines,
    chance: SplitMix,
    /// At most one of each family.
    listeners: Vec<(ListenerId, SocketAddr)>,
    interfaces: Vec<Interface>,
    /// What it takes part in, and the way there.
    joined: BTreeMap<Membership, Path>,
    /// Answers by the moment at which they are due, and in the order of their questions.
    answers: BTreeMap<(Instant, u64), Answer>,
    /// The place of each source's answer.
    waiting: SeededMap<SocketAddr, (Instant, u64)>,
    /// Questions to a group so far.
    asked: u64,
    /// When to say again what was new, and where.
    repeat: Option<(Instant, BTreeSet<Membership>)>,
    /// When to announce unasked.
    unasked: Option<Instant>,
}

impl Announcer {
    /// An announcer that takes part in nothing yet: it needs listeners, then interfaces.
    pub fn new(config: &config::Announce, facts: Facts, seed: Seed) -> Self {
        Self {
            groups: config.groups.clone(),
            globs: config.interfaces.clone(),
            interval: config.interval,
            lines: Lines::new(&facts),
            facts,
            chance: SplitMix::new(seed.derive("jitter")),
            listeners: Vec::new(),
            interfaces: Vec::new(),
            joined: BTreeMap::new(),
            answers: BTreeMap::new(),
            waiting: SeededMap::with_hasher(seed),
            asked: 0,
            repeat: None,
            unasked: None,
        }
    }

    /// Tells it the open sockets and the addresses that they are bound to; of each family the first is used.
    ///
    /// What it took part in by a socket that is gone is forgotten, for the kernel forgets it too. What it is to take
    /// part in by a new one comes with the next [`Announcer::reconfigure`] or [`Announcer::set_interfaces`].
    pub fn set_listeners(&mut self, listeners: &[(ListenerId, SocketAddr)]) {
        self.listeners.clear();
        for &(listener, bound) in listeners {
            if self.listener(Family::of(bound.ip())).is_none() {
                self.listeners.push((listener, bound));
            }
        }
        let open = |wanted: ListenerId| listeners.iter().any(|&(listener, _)| listener == wanted);
        self.joined.retain(|membership, _| open(membership.listener));
        self.answers.retain(|_, answer| open(answer.path.listener));
        let kept = self.answers.iter().map(|(&place, answer)| (answer.path.remote, place)).collect::<Vec<_>>();
        self.waiting.clear();
        self.waiting.extend(kept);
    }

    /// Tells it what the kernel says of the interfaces, at start and after each change.
    pub fn set_interfaces(&mut self, now: &Now, interfaces: &[Interface], out: &mut Outbox) -> Memberships {
        self.interfaces = interfaces.to_vec();
        self.take_part(now, out)
    }

    /// Takes a new configuration; tells nobody what they know already.
    pub fn reconfigure(&mut self, now: &Now, config: &config::Announce, out: &mut Outbox) -> Memberships {
        self.groups.clone_from(&config.groups);
        self.globs.clone_from(&config.interfaces);
        if self.interval != config.interval {
            self.interval = config.interval;
            self.unasked = None;
            self.repeat = None;
        }
        self.take_part(now, out)
    }

    /// Takes new facts, and announces them if they are.
    pub fn set_facts(&mut self, now: &Now, facts: Facts, out: &mut Outbox) {
        if self.facts == facts {
            return;
        }
        self.lines = Lines::new(&facts);
        self.facts = facts;
        let everywhere = self.joined.keys().copied().collect();
        self.announce_news(now, everywhere, out);
    }

    /// Says goodbye, drops what waits, and leaves everything. Nothing is due any more.
    pub fn goodbye(&mut self, out: &mut Outbox) -> Memberships {
        if !self.interval.is_zero() {
            say(&self.lines.goodbye, self.joined.values(), out);
        }
        self.answers.clear();
        self.waiting.clear();
        self.repeat = None;
        self.unasked = None;
        self.interfaces.clear();
        Memberships { leave: std::mem::take(&mut self.joined).into_keys().collect(), join: Vec::new() }
    }

    /// Compares what it takes part in with what it should, and announces itself where it is new.
    fn take_part(&mut self, now: &Now, out: &mut Outbox) -> Memberships {
        let wanted = self.wanted();
        let leave = self.joined.keys().filter(|known| !wanted.contains_key(known)).copied().collect();
        let join: Vec<_> = wanted.keys().filter(|new| !self.joined.contains_key(new)).copied().collect();
        self.joined = wanted;
        self.announce_news(now, join.iter().copied().collect(), out);
        if self.unasked.is_none() {
            self.unasked = self.next_unasked(now);
        }
        Memberships { leave, join }
    }

    /// What it should take part in, the lowest interfaces first.
    fn wanted(&self) -> BTreeMap<Membership, Path> {
        let mut wanted = BTreeMap::new();
        for interface in self.interfaces.iter().filter(|interface| is_chosen(&self.globs, &interface.name)) {
            for &group in &self.groups {
                let family = Family::of(group);
                if let Some((listener, bound)) = self.listener(family)
                    && interface.reaches_groups(family)
                    && is_bound_to(bound.ip(), interface)
                    && wanted.len() < MEMBERSHIPS_MAX
                {
                    let membership = Membership { interface: interface.index, group, listener };
                    wanted.insert(membership, path_to(membership, bound, interface));
                }
            }
        }
        wanted
    }

    fn listener(&self, family: Family) -> Option<(ListenerId, SocketAddr)> {
        self.listeners.iter().copied().find(|(_, bound)| Family::of(bound.ip()) == family)
    }

    /// Announces where something is new, now and once more.
    fn announce_news(&mut self, now: &Now, places: BTreeSet<Membership>, out: &mut Outbox) {
        if self.interval.is_zero() || places.is_empty() {
            return;
        }
        self.announce(&places, out);
        let (due, again) = self.repeat.get_or_insert_default();
        *due = now.mono + REPEAT_AFTER;
        // Interfaces that come and go within a second would pile up.
        again.retain(|place| self.joined.contains_key(place));
        again.extend(places);
    }

    fn announce(&self, places: &BTreeSet<Membership>, out: &mut Outbox) {
        say(&self.lines.announce, places.iter().filter_map(|place| self.joined.get(place)), out);
    }

    fn next_unasked(&mut self, now: &Now) -> Option<Instant> {
        let shortening = u64::try_from((self.interval / INTERVAL_JITTER).as_nanos()).unwrap_or(u64::MAX - 1);
        let shortening = Duration::from_nanos(self.chance.below(shortening + 1));
        (!self.interval.is_zero()).then(|| now.mono + (self.interval - shortening))
    }

    /// Whether it takes part in anything of `family` on an interface; 0 is one that the kernel did not name.
    fn takes_part(&self, interface: u32, family: Family) -> bool {
        let group = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let first = Membership { interface, group, listener: ListenerId(0) };
        let next = self.joined.range(first..).next();
        interface == 0 || next.is_some_and(|(at, _)| at.interface == interface && Family::of(at.group) == family)
    }

    /// Has the answer wait its while. A source whose answer waits already gets that one.
    fn answer_later(&mut self, now: &Now, answer: Answer) -> Verdict {
        if self.waiting.contains_key(&answer.path.remote) {
            return Verdict::Answered;
        }
        if self.answers.len() >= PENDING_ANSWERS_MAX {
            return Verdict::Dropped(DropReason::Full);
        }
        let spread = (JITTER_MAX - JITTER_MIN).as_micros() as u64;
        let jitter = JITTER_MIN + Duration::from_micros(self.chance.below(spread + 1));
        self.asked += 1;
        let place = (now.mono + jitter, self.asked);
        self.waiting.insert(answer.path.remote, place);
        self.answers.insert(place, answer);
        Verdict::Answered
    }

    /// Answers at once, and that settles what the source asked before.
    fn answer_now(&mut self, answer: Answer, out: &mut Outbox) -> Verdict {
        if let Some(place) = self.waiting.remove(&answer.path.remote) {
            self.answers.remove(&place);
        }
        self.answer(answer, out);
        Verdict::Answered
    }

    fn answer(&self, answer: Answer, out: &mut Outbox) {
        let Lines { acknowlege, acknowlege_short, .. } = &self.lines;
        let fits = acknowlege.len() + usize::from(answer.newline) <= answer.len_max;
        out.send_line(answer.path, if fits { acknowlege } else { acknowlege_short }, answer.newline);
    }
}

impl Service for Announcer {
    fn handle_datagram(&mut self, now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict {
        const NOT_FOR_US: Verdict = Verdict::Dropped(DropReason::NotForUs);
        let Some(newline) = wire::parse_question(datagram.payload).filter(|_| !datagram.truncated) else {
            return NOT_FOR_US;
        };
        let len_max = if datagram.on_link { usize::MAX } else { wire::answer_max(datagram.payload.len()) };
        let answer = Answer { path: path_back(datagram), newline, len_max };
        if !datagram.multicast {
            return self.answer_now(answer, out);
        }
        if !datagram.on_link {
            return Verdict::Dropped(DropReason::Access);
        }
        if !self.takes_part(datagram.arrived_on, Family::of(datagram.path.remote.ip())) {
            return NOT_FOR_US;
        }
        self.answer_later(now, answer)
    }

    fn handle_timeout(&mut self, now: &Now, out: &mut Outbox) {
        while let Some(entry) = self.answers.first_entry().filter(|entry| entry.key().0 <= now.mono) {
            let answer = entry.remove();
            self.waiting.remove(&answer.path.remote);
            self.answer(answer, out);
        }
        if let Some((_, places)) = self.repeat.take_if(|(due, _)| *due <= now.mono) {
            self.announce(&places, out);
        }
        if self.unasked.is_some_and(|due| due <= now.mono) {
            say(&self.lines.announce, self.joined.values(), out);
            self.unasked = self.next_unasked(now);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let answer = self.answers.first_key_value().map(|(&(due, _), _)| due);
        let repeat = self.repeat.as_ref().map(|&(due, _)| due);
        [answer, repeat, self.unasked].into_iter().flatten().min()
    }
}

/// Sends one line on each path.
fn say<'a>(line: &str, paths: impl Iterator<Item = &'a Path>, out: &mut Outbox) {
    let mut paths = paths.peekable();
    if paths.peek().is_some() {
        let payload = out.store(line.as_bytes());
        paths.for_each(|&path| out.send_payload(path, payload));
    }
}

/// Whether a socket bound to `bound` can take part on `interface`: bound to everything, to one of its addresses, or to
/// any loopback address when it is the loopback interface.
fn is_bound_to(bound: IpAddr, interface: &Interface) -> bool {
    bound.is_unspecified()
        || (bound.is_loopback() && interface.loopback)
        || interface.addresses.iter().any(|net| net.addr() == bound)
}

/// The way to a group. The kernel chooses our address, but on the loopback interface it finds none of a wide enough
/// scope and would send from 0.0.0.0.
fn path_to(membership: Membership, bound: SocketAddr, interface: &Interface) -> Path {
    let Membership { interface: index, group, listener } = membership;
    let local = (interface.loopback && bound.ip().is_unspecified())
        .then(|| interface.addresses.iter().map(|net| net.addr()).find(|addr| Family::of(*addr) == Family::of(group)))
        .flatten();
    let remote = match group {
        IpAddr::V4(_) => SocketAddr::new(group, bound.port()),
        IpAddr::V6(group) => SocketAddrV6::new(group, bound.port(), 0, index).into(),
    };
    Path { listener, local, interface: index, remote }
}

/// The way back to a source. An address that is link-local means something on the link that it was heard on alone.
fn path_back(datagram: &Datagram<'_>) -> Path {
    let is_link_local = match datagram.path.remote.ip() {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    };
    let interface = if is_link_local { datagram.arrived_on } else { datagram.path.interface };
    Path { interface, ..datagram.path }
}
