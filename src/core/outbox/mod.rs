//! What is to be sent: payload bytes stand once in an arena, a delivery is a path and a range of them.
//!
//! A service writes a payload once and names who gets it: one path, or everybody on a room's list. Lists are shared
//! (`Rc`) and copied only when a room changes while a message to it still waits, so fan-out copies neither payloads nor
//! paths. The daemon takes deliveries from the front, in order, as many as the socket takes, and says how many datagrams
//! went out.
//!
//! Several datagrams to one path at once are a burst: one payload and one delivery, which the daemon may send in one piece
//! or in several. What is counted here is always datagrams, so a burst of which a part is sent is a shorter burst.
//!
//! It does not know sockets, batches or errors; a datagram that fails is the daemon's to count.

mod entry;

pub use entry::{Deliveries, Delivery, Payload};

use super::limits::{BURST_MAX, DATAGRAM_MAX, OUTBOX_BYTES_MAX, OUTBOX_DATAGRAMS_MAX, OUTBOX_ENTRIES_MAX};
use super::{Instant, Path};
use entry::{Entry, Recipients};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;

/// A place in the order of what is ever sent: see [`Outbox::backlog`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(u64);

/// Datagrams that wait to be sent, first in first out.
#[derive(Debug)]
pub struct Outbox {
    arena: Vec<u8>,
    /// The place of `arena[0]` among all bytes ever stored.
    base: u64,
    entries: VecDeque<Entry>,
    /// Messages that have left, or never will.
    gone: u64,
    /// Datagrams of all entries.
    datagrams: usize,
    /// The moment of the turn.
    now: Instant,
    /// The end of what waited when the turn began.
    backlog: Place,
    bytes_max: usize,
    forgotten: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::with_bytes_max(OUTBOX_BYTES_MAX)
    }
}

impl Outbox {
    /// An outbox whose waiting payloads take at most `bytes_max` bytes.
    fn with_bytes_max(bytes_max: usize) -> Self {
        Self {
            arena: Vec::new(),
            base: 0,
            entries: VecDeque::new(),
            gone: 0,
            datagrams: 0,
            now: Instant::default(),
            backlog: Place::default(),
            bytes_max,
            forgotten: 0,
        }
    }

    /// Notes the moment of the turn, from which what is sent now counts its age.
    pub fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        self.backlog = Place(self.gone + self.entries.len() as u64);
    }

    /// The moment of the turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Forgets the messages that have waited since before `moment`; how many datagrams that were.
    pub fn forget_older_than(&mut self, moment: Instant) -> usize {
        let mut forgotten = 0;
        while self.entries.front().is_some_and(|entry| entry.stored < moment) {
            forgotten += self.pop().map_or(0, |entry| entry.left());
        }
        self.reclaim();
        forgotten
    }

    /// Moves the first message behind those in another outbox, where it is as old as it was here.
    pub fn move_first_to(&mut self, other: &mut Self) {
        self.skip_finished();
        if let Some(mut entry) = self.pop() {
            let stored = other.store(self.bytes(entry.payload));
            entry.payload = Payload { start: stored.start, ..entry.payload };
            other.push_entry(entry);
        }
        self.reclaim();
    }

    /// Stores `bytes` for [`Outbox::send_payload`] and [`Outbox::fan_out`], until the next are stored. When the outbox is
    /// full the bytes are forgotten, and so is what is sent of them.
    pub fn store(&mut self, bytes: &[u8]) -> Payload {
        self.store_all(&[bytes])
    }

    /// Stores the parts of a text, one behind the other, as one payload.
    pub fn store_parts<const N: usize>(&mut self, parts: &[&str; N]) -> Payload {
        self.store_all(&parts.map(str::as_bytes))
    }

    /// Stores several datagrams for one path at once, like one payload. They stand one behind the other and are
    /// `segment_len` bytes each but for the last, which may be shorter; at most [`BURST_MAX`] of them.
    pub fn store_burst(&mut self, datagrams: &[u8], segment_len: usize) -> Payload {
        debug_assert!((1..=DATAGRAM_MAX).contains(&segment_len), "{segment_len} bytes are no datagram of ours");
        debug_assert!(datagrams.len() <= BURST_MAX * segment_len, "{} bytes are too long a burst", datagrams.len());
        Payload { segment_len: segment_len as u32, ..self.store(datagrams) }
    }

    fn store_all(&mut self, parts: &[&[u8]]) -> Payload {
        // What was stored and then sent to nobody is not taken off by anybody else.
        if self.entries.is_empty() {
            self.reclaim();
        }
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if self.arena.len() + len > self.bytes_max {
            return Payload::FORGOTTEN;
        }
        let start = self.base + self.arena.len() as u64;
        parts.iter().for_each(|part| self.arena.extend_from_slice(part));
        let len = u32::try_from(len).expect("a payload is at most a burst");
        Payload { start, len, segment_len: len.max(1), is_stamped: false }
    }

    /// Sends `bytes` on `path`.
    pub fn send(&mut self, path: Path, bytes: &[u8]) {
        let payload = self.store(bytes);
        self.send_payload(path, payload);
    }

    /// Sends a line on `path`, with a newline behind it where they speak that way.
    pub fn send_line(&mut self, path: Path, line: &str, newline: bool) {
        let payload = self.store_parts(&[line, if newline { "\n" } else { "" }]);
        self.send_payload(path, payload);
    }

    /// Sends what was stored on `path`.
    pub fn send_payload(&mut self, path: Path, payload: Payload) {
        self.push(payload, Recipients::One(path));
    }

    /// Sends what was stored to every path on a list, but for the one to `except`. The paths share a listener.
    pub fn fan_out(&mut self, paths: &Rc<Vec<Path>>, except: Option<SocketAddr>, payload: Payload) {
        debug_assert!(paths.windows(2).all(|pair| pair[0].listener == pair[1].listener), "a list is for one listener");
        // An entry for nobody would never be taken off.
        if paths.iter().any(|path| Some(path.remote) != except) {
            self.push(payload, Recipients::Room { paths: Rc::clone(paths), except });
        }
    }

    fn push(&mut self, payload: Payload, recipients: Recipients) {
        self.push_entry(Entry::new(self.now, payload, recipients));
    }

    fn push_entry(&mut self, entry: Entry) {
        // One that is alone is never too many, however large the room.
        let too_many = self.datagrams > 0 && self.datagrams + entry.len() > OUTBOX_DATAGRAMS_MAX;
        if entry.payload.start == u64::MAX || too_many || self.entries.len() >= OUTBOX_ENTRIES_MAX {
            self.forgotten += 1;
            return;
        }
        debug_assert!(
            self.entries.back().is_none_or(|last| last.payload.start <= entry.payload.start),
            "payloads are sent in the order in which they were stored"
        );
        self.datagrams += entry.len();
        self.entries.push_back(entry);
    }

    /// The end of what waited already when the turn began.
    pub fn backlog(&self) -> Place {
        self.backlog
    }

    /// Whether all that stood before a place has left.
    pub fn has_reached(&self, place: Place) -> bool {
        self.gone >= place.0
    }

    /// Messages that wait, however many get each.
    pub fn message_count(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether so much waits that what can be asked for again had better not be added.
    pub fn is_crowded(&self) -> bool {
        self.arena.len() > self.bytes_max / 4 || self.datagrams > OUTBOX_DATAGRAMS_MAX / 4
    }

    /// Messages that were forgotten because the outbox was full.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The datagrams that wait, in order. [`Outbox::advance`] takes them off.
    pub fn pending(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.deliveries(1).map(|single| (single.path, single.bytes))
    }

    /// The same with the datagrams of a burst together, as many as `piece_max` of them.
    pub fn deliveries(&self, piece_max: usize) -> Deliveries<'_> {
        Deliveries::new(self, piece_max)
    }

    fn bytes(&self, payload: Payload) -> &[u8] {
        let start = usize::try_from(payload.start - self.base).expect("the arena fits in memory");
        let range: Range<usize> = start..start + payload.len();
        &self.arena[range]
    }

    /// Takes the first `count` datagrams off: they were sent, or can never be.
    pub fn advance(&mut self, mut count: usize) {
        while let Some(entry) = self.entries.front_mut() {
            count -= entry.advance(count);
            if !entry.is_finished() {
                break;
            }
            self.pop();
        }
        self.reclaim();
    }

    fn skip_finished(&mut self) {
        while self.entries.front().is_some_and(Entry::is_finished) {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.datagrams -= entry.len();
        self.gone += 1;
        Some(entry)
    }

    /// Frees the bytes that no waiting entry needs, when they are most of the arena.
    fn reclaim(&mut self) {
        if self.entries.is_empty() {
            self.base += self.arena.len() as u64;
            self.arena.clear();
            return;
        }
        let needed = self.entries.front().map_or(self.base, |entry| entry.payload.start);
        let dead = usize::try_from(needed - self.base).expect("the arena fits in memory");
        if dead > self.arena.len() / 2 {
            self.arena.drain(..dead);
            self.base = needed;
        }
    }
}

impl fmt::Display for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, bytes) in self.pending() {
            writeln!(f, "-> {} {}", path.remote, bytes.escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ListenerId;

    fn path(port: u16) -> Path {
        Path::to(ListenerId(0), SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn sent(out: &Outbox) -> Vec<(u16, String)> {
        out.pending().map(|(path, bytes)| (path.remote.port(), String::from_utf8_lossy(bytes).into_owned())).collect()
    }

    #[test]
    fn deliveries_come_in_order_and_leave_from_the_front() {
        let mut out = Outbox::default();
        let room = Rc::new(vec![path(1), path(2), path(3)]);
        out.send(path(9), b"one");
        let payload = out.store(b"two\n");
        out.fan_out(&room, Some(path(2).remote), payload.without_last());
        out.fan_out(&room, None, payload);
        let two = |port: u16, text: &str| (port, text.to_owned());
        let all = vec![two(9, "one"), two(1, "two"), two(3, "two"), two(1, "two\n"), two(2, "two\n"), two(3, "two\n")];
        assert_eq!(sent(&out), all);
        for taken in 1..=all.len() {
            out.advance(1);
            assert_eq!(sent(&out), all[taken..], "after {taken}");
        }
        assert!(out.is_empty());
    }

    #[test]
    fn a_burst_is_one_delivery_and_leaves_datagram_by_datagram() {
        let mut out = Outbox::default();
        let payload = out.store_burst(b"aabbc", 2);
        out.fan_out(&Rc::new(vec![path(1), path(2), path(3)]), Some(path(2).remote), payload);
        out.send_payload(path(4), payload.without_last());
        let all = [(1, "aa"), (1, "bb"), (1, "c"), (3, "aa"), (3, "bb"), (3, "c"), (4, "aa"), (4, "bb")];
        let all = all.map(|(port, text)| (port, text.to_owned()));
        let together = [
            "1 aabbc 3 aabbc 4 aabb",
            "1 bbc 3 aabbc 4 aabb",
            "1 c 3 aabbc 4 aabb",
            "3 aabbc 4 aabb",
            "3 bbc 4 aabb",
            "3 c 4 aabb",
            "4 aabb",
            "4 bb",
            "",
        ];
        for (taken, together) in together.into_iter().enumerate() {
            assert_eq!(sent(&out), all[taken..], "after {taken}");
            let delivery = |one: Delivery<'_>| format!("{} {}", one.path.remote.port(), one.bytes.escape_ascii());
            assert_eq!(out.deliveries(BURST_MAX).map(delivery).collect::<Vec<_>>().join(" "), together);
            out.advance(1);
        }
        assert!(out.is_empty());
    }

    #[test]
    fn the_backlog_of_a_turn_is_over_when_all_that_waited_then_has_left_however() {
        let (mut out, mut other) = (Outbox::default(), Outbox::default());
        (1..=3).for_each(|port| out.send(path(port), b"x"));
        assert!(out.has_reached(out.backlog()), "what is sent in the turn is none of it");
        out.begin_turn(Instant::from_nanos(1));
        let backlog = out.backlog();
        out.send(path(4), b"x");
        out.advance(1);
        out.move_first_to(&mut other);
        assert!(!out.has_reached(backlog));
        assert_eq!(out.forget_older_than(Instant::from_nanos(1)), 1);
        assert!(out.has_reached(backlog) && !out.is_empty());
        out.begin_turn(Instant::from_nanos(2));
        assert!(out.has_reached(backlog) && !out.has_reached(out.backlog()));
    }

    #[test]
    fn a_burst_is_split_between_its_datagrams() {
        let split = |bytes: &[u8], piece_max| {
            let mut out = Outbox::default();
            let payload = out.store_burst(bytes, 2);
            out.send_payload(path(1), payload);
            let piece = |one: Delivery<'_>| (String::from_utf8_lossy(one.bytes).into_owned(), one.datagram_count());
            out.deliveries(piece_max).map(piece).collect::<Vec<_>>()
        };
        let pieces = |list: &[(&str, usize)]| list.iter().map(|&(text, n)| (text.to_owned(), n)).collect::<Vec<_>>();
        assert_eq!(split(b"", 1), pieces(&[("", 1)]), "an empty datagram is one too");
        assert_eq!(split(b"aabbc", 1), pieces(&[("aa", 1), ("bb", 1), ("c", 1)]));
        assert_eq!(split(b"aabbc", 2), pieces(&[("aabb", 2), ("c", 1)]));
        assert_eq!(split(b"aabb", 2), pieces(&[("aabb", 2)]));
        assert_eq!(split(b"aabb", 16), pieces(&[("aabb", 2)]));
    }

    #[test]
    fn a_burst_counts_as_its_datagrams_and_goes_on_from_where_it_was_in_another_outbox() {
        let (mut out, mut held) = (Outbox::default(), Outbox::default());
        let room = Rc::new(vec![path(1); OUTBOX_DATAGRAMS_MAX / BURST_MAX - 1]);
        let payload = out.store_burst(&[b'x'; BURST_MAX], 1);
        out.fan_out(&room, None, payload);
        let last = out.store_burst(&[b'y'; BURST_MAX], 1);
        out.send_payload(path(2), last);
        assert_eq!((out.pending().count(), out.forgotten()), (OUTBOX_DATAGRAMS_MAX, 0), "at the bound");
        out.send(path(2), b"z");
        assert_eq!((out.pending().count(), out.forgotten()), (OUTBOX_DATAGRAMS_MAX, 1), "and one past it");
        out.advance(room.len() * BURST_MAX + 3);
        out.move_first_to(&mut held);
        assert_eq!((out.is_empty(), out.datagrams), (true, 0));
        assert_eq!(sent(&held), vec![(2, "y".to_owned()); BURST_MAX - 3]);
        assert_eq!(held.forget_older_than(Instant::from_nanos(1)), BURST_MAX - 3);
        assert!(held.is_empty());
    }

    #[test]
    fn deliveries_are_bounded_and_one_fan_out_is_never_too_many() {
        let mut out = Outbox::default();
        let room = Rc::new(vec![path(1); OUTBOX_DATAGRAMS_MAX + 1]);
        for _ in 0..2 {
            let payload = out.store(b"x");
            out.fan_out(&room, None, payload);
        }
        assert_eq!((out.pending().count(), out.forgotten()), (OUTBOX_DATAGRAMS_MAX + 1, 1));
        out.advance(OUTBOX_DATAGRAMS_MAX + 1);
        for _ in 0..=OUTBOX_DATAGRAMS_MAX / 32 {
            let payload = out.store(b"x");
            out.fan_out(&Rc::new(vec![path(1); 32]), None, payload);
        }
        assert_eq!((out.pending().count(), out.forgotten()), (OUTBOX_DATAGRAMS_MAX, 2), "at the bound and one past it");
    }

    #[test]
    fn a_room_list_that_changes_later_does_not_change_what_waits() {
        let mut out = Outbox::default();
        let mut room = Rc::new(vec![path(1), path(2)]);
        let payload = out.store(b"x");
        out.fan_out(&room, None, payload);
        Rc::make_mut(&mut room).clear();
        assert_eq!(sent(&out).len(), 2);
    }

    #[test]
    fn what_has_waited_too_long_is_forgotten_and_counted() {
        let mut out = Outbox::default();
        for moment in 1..=3 {
            out.begin_turn(Instant::from_nanos(moment));
            out.send(path(moment as u16), b"x");
        }
        assert_eq!((out.forget_older_than(Instant::from_nanos(2)), sent(&out).len()), (1, 2));
        assert_eq!((out.forget_older_than(Instant::from_nanos(4)), sent(&out).len()), (2, 0));
        assert!(out.arena.is_empty());
    }

    #[test]
    fn a_message_that_is_half_sent_goes_on_from_there_in_another_outbox() {
        let (mut out, mut held) = (Outbox::default(), Outbox::default());
        out.begin_turn(Instant::from_nanos(7));
        let payload = out.store(b"two");
        out.fan_out(&Rc::new(vec![path(1), path(2), path(3)]), Some(path(2).remote), payload);
        out.send(path(4), b"four");
        out.advance(1);
        held.send(path(9), b"before");
        out.move_first_to(&mut held);
        let two = |port: u16, text: &str| (port, text.to_owned());
        assert_eq!(sent(&out), [two(4, "four")]);
        assert_eq!(sent(&held), [two(9, "before"), two(3, "two")]);
        held.advance(1);
        assert_eq!(held.forget_older_than(Instant::from_nanos(7)), 0, "it is as old as it was");
        assert_eq!(held.forget_older_than(Instant::from_nanos(8)), 2, "one of them is left out, which nobody counts");
    }

    #[test]
    fn a_full_outbox_forgets_the_newest_and_counts() {
        let mut out = Outbox::with_bytes_max(8);
        out.send(path(1), b"12345678");
        out.send(path(2), b"9");
        assert_eq!((sent(&out).len(), out.forgotten()), (1, 1));
        out.advance(1);
        out.send(path(2), b"9");
        assert_eq!(sent(&out), vec![(2, "9".to_owned())]);
    }

    #[test]
    fn messages_are_bounded_however_short_they_are() {
        let mut out = Outbox::default();
        for _ in 0..=OUTBOX_ENTRIES_MAX {
            out.send(path(1), b"");
        }
        assert_eq!((out.pending().count(), out.forgotten()), (OUTBOX_ENTRIES_MAX, 1), "at the bound and one past it");
    }

    #[test]
    fn what_is_sent_to_nobody_takes_no_room() {
        let mut out = Outbox::with_bytes_max(8);
        let alone = Rc::new(vec![path(1)]);
        for _ in 0..1_000 {
            let payload = out.store(b"to none");
            out.fan_out(&Rc::default(), None, payload);
            out.fan_out(&alone, Some(path(1).remote), payload);
        }
        assert!(out.is_empty());
        out.send(path(2), b"to one");
        assert_eq!((sent(&out), out.forgotten()), (vec![(2, "to one".to_owned())], 0));
    }

    #[test]
    fn the_arena_is_bounded_while_something_always_waits() {
        let mut out = Outbox::default();
        out.send(path(1), &[b'a'; 100]);
        for turn in 0..10_000_u32 {
            out.send(path(1), &turn.to_be_bytes().repeat(25));
            out.advance(1);
            assert_eq!(out.pending().count(), 1);
            assert_eq!(out.pending().next().expect("one waits").1, turn.to_be_bytes().repeat(25));
        }
        assert!(out.arena.capacity() < 2_000, "{}", out.arena.capacity());
    }
}
