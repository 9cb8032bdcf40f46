//! What is said in one room: brought into its order, each message once.
//!
//! Between the last message that was handed out and the newest that we know of, each number is either missing, or held until all
//! before it are there. So the place that we have reached is that before the first gap.

use super::event::{Event, Message};
use super::gaps::Gaps;
use super::options::{HELD_BYTES_MAX, HELD_MAX};
use crate::core::Instant;
use crate::core::frame::{Epoch, Position, Range};
use std::collections::{BTreeMap, VecDeque};

/// Where we are in one numbering of a room.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) epoch: Epoch,
    /// Up to here it was said before we came: nice to have, and no loss.
    pub(super) earlier: u64,
    /// The highest number that we know of.
    newest: u64,
    pub(super) gaps: Gaps,
    /// What waits for an earlier message, by its number.
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
}

/// Something that waits for its turn.
#[derive(Clone, Debug)]
enum Held {
    Message(Message),
    /// So many numbers from here on, whose messages cannot be had any more.
    Lost(u64),
}

impl Held {
    fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.text.len(),
            Self::Lost(_) => 0,
        }
    }

    /// The last number that it stands for, if `first` is the first.
    fn last(&self, first: u64) -> u64 {
        match self {
            Self::Message(_) => first,
            Self::Lost(count) => first + (count - 1),
        }
    }
}

/// What has become of a message that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// We had it.
    Old,
    /// It is new.
    New,
    /// It is new, and came because we asked.
    Repaired,
}

impl Place {
    /// Everything up to `number` is had.
    pub(super) fn new(epoch: Epoch, number: u64) -> Self {
        Self { epoch, earlier: 0, newest: number, gaps: Gaps::default(), held: BTreeMap::new(), held_bytes: 0 }
    }

    /// Everything up to `since` is had, and what was said from there up to `number` is to be had, if it can be.
    pub(super) fn with_earlier(now: Instant, epoch: Epoch, since: u64, number: u64) -> Self {
        let mut place = Self { earlier: number, ..Self::new(epoch, since) };
        place.learn(now, number);
        place
    }

    /// The number up to which everything was handed out.
    pub(super) fn reached(&self) -> u64 {
        self.gaps.first().map_or(self.newest, |missing| missing - 1)
    }

    /// This place, as it is written.
    pub(super) fn position<'a>(&self, room: &'a str) -> Position<'a> {
        Position { room, epoch: self.epoch, number: self.reached() }
    }

    /// Takes a message of this numbering; what can be handed out now is told.
    pub(super) fn take(&mut self, now: Instant, message: Message, events: &mut VecDeque<Event>) -> Taken {
        let number = message.number;
        let taken = if number > self.newest {
            self.learn(now, number - 1);
            self.newest = number;
            Taken::New
        } else {
            match self.gaps.fill(now, number) {
                None => return Taken::Old,
                Some(true) if number > self.earlier => Taken::Repaired,
                Some(_) => Taken::New,
            }
        };
        let room = message.room.clone();
        self.hold(number, Held::Message(message));
        self.hand_out(now, &room, events);
        taken
    }

    /// The hub says that the room has come to this number.
    pub(super) fn learn(&mut self, now: Instant, newest: u64) {
        if newest > self.newest {
            self.gaps.open(now, self.newest + 1, newest);
            self.newest = newest;
        }
    }

    /// The hub has these no more, or has never had them. Tells how many are lost.
    pub(super) fn pass(
        &mut self,
        now: Instant,
        range: &Range<'_>,
        is_unused: bool,
        events: &mut VecDeque<Event>,
    ) -> u64 {
        let mut lost = 0_u64;
        for (first, last) in self.gaps.close(range.first, range.last) {
            let first = first.max(self.earlier.saturating_add(1));
            if !is_unused && first <= last {
                let count = (last - first).saturating_add(1);
                lost = lost.saturating_add(count);
                self.hold(first, Held::Lost(count));
            }
        }
        self.hand_out(now, range.room, events);
        lost
    }

    fn hold(&mut self, number: u64, held: Held) {
        self.held_bytes += held.len();
        self.held.insert(number, held);
    }

    /// Hands out what is next, and lets go of what is farthest while too much waits: it can be had again.
    fn hand_out(&mut self, now: Instant, room: &str, events: &mut VecDeque<Event>) {
        let reached = self.reached();
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() <= reached) {
            let (first, held) = entry.remove_entry();
            self.held_bytes -= held.len();
            match held {
                Held::Message(message) => events.push_back(Event::Message(message)),
                Held::Lost(count) => {
                    events.push_back(Event::Lost { room: room.to_owned(), epoch: self.epoch, first, count });
                }
            }
        }
        while self.held.len() > HELD_MAX || self.held_bytes > HELD_BYTES_MAX {
            let Some((first, held)) = self.held.pop_last() else { break };
            self.held_bytes -= held.len();
            self.gaps.open(now, first, held.last(first));
        }
    }

    /// How many gaps may be asked for: what comes must find room.
    pub(super) fn wanted_max(&self) -> usize {
        if self.held.len() < HELD_MAX && self.held_bytes < HELD_BYTES_MAX / 2 { HELD_MAX } else { 1 }
    }
}
