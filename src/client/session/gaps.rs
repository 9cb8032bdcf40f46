//! The numbers of a room that are missing, and when each is asked for.
//!
//! Gaps that touch are one: between two of them stands a message that waits, so there is no more than one gap for each of
//! those, and one. A gap is asked for soon after it is noticed, since datagrams overtake one another, then again and again,
//! ever more seldom; whatever comes of the room in between shows that asking helps, and makes it as often as at first.

use super::options::{RETRY_MAX, RETRY_MIN, WANT_DELAY};
use super::pace::jittered;
use crate::core::{Instant, SplitMix};
use std::time::Duration;

/// Numbers that follow each other, none of which is there.
#[derive(Clone, Copy, Debug)]
struct Gap {
    first: u64,
    last: u64,
    /// When it is to be asked for.
    due: Instant,
    /// How long to wait after that.
    delay: Duration,
    was_asked: bool,
    /// Whether its time has come: it goes into the next datagram.
    is_due: bool,
}

/// All gaps of a room, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    list: Vec<Gap>,
    /// No gap is due before this.
    next_due: Option<Instant>,
}

impl Gaps {
    /// The lowest number that is missing.
    pub(super) fn first(&self) -> Option<u64> {
        self.list.first().map(|gap| gap.first)
    }

    /// These are missing; none of them is known to be, so far.
    pub(super) fn open(&mut self, now: Instant, first: u64, last: u64) {
        debug_assert!(first <= last, "a gap has a number");
        let due = now + WANT_DELAY;
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        let at = self.list.partition_point(|gap| gap.last < first);
        let mut gap = Gap { first, last, due, delay: RETRY_MIN, was_asked: false, is_due: false };
        if let Some(next) = self.list.get(at).filter(|next| next.first - 1 == last) {
            gap = Gap { first, due: next.due.min(due), ..*next };
            self.list.remove(at);
        }
        match self.list[..at].last_mut() {
            Some(previous) if previous.last + 1 == first => {
                previous.last = gap.last;
                previous.due = previous.due.min(gap.due);
                previous.delay = previous.delay.min(gap.delay);
                previous.was_asked |= gap.was_asked;
                previous.is_due |= gap.is_due;
            }
            _ => self.list.insert(at, gap),
        }
    }

    /// A number is there: whether it was missed, and then whether it was asked for.
    pub(super) fn fill(&mut self, now: Instant, number: u64) -> Option<bool> {
        let was_asked = self.list.iter().find(|gap| (gap.first..=gap.last).contains(&number))?.was_asked;
        self.close(number, number);
        let due = now + RETRY_MIN;
        for gap in &mut self.list {
            gap.delay = RETRY_MIN;
            gap.due = gap.due.min(due);
        }
        self.next_due = self.list.iter().map(|gap| gap.due).min();
        Some(was_asked)
    }

    /// These need not be asked for any more. Tells which of them were missed.
    pub(super) fn close(&mut self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut closed = Vec::new();
        let mut rest = Vec::with_capacity(self.list.len() + 1);
        for gap in self.list.drain(..) {
            if gap.last < first || last < gap.first {
                rest.push(gap);
                continue;
            }
            closed.push((gap.first.max(first), gap.last.min(last)));
            if gap.first < first {
                rest.push(Gap { last: first - 1, ..gap });
            }
            if last < gap.last {
                rest.push(Gap { first: last + 1, ..gap });
            }
        }
        self.list = rest;
        closed
    }

    /// The next moment at which a gap is due, or an earlier one.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next_due.filter(|_| !self.list.is_empty())
    }

    /// Marks what is to be asked for now, at most `ranges_max` gaps; the lowest first, for they hold up the others. Tells how many.
    pub(super) fn mark(&mut self, now: Instant, random: &mut SplitMix, ranges_max: usize) -> usize {
        if self.next_due().is_none_or(|due| now < due) {
            return 0;
        }
        // What is about to be due goes with what is.
        let soon = now + WANT_DELAY;
        let mut marked = 0;
        for gap in self.list.iter_mut().filter(|gap| gap.due <= now || gap.was_asked && gap.due <= soon) {
            if marked == ranges_max {
                gap.due = now + RETRY_MIN;
                continue;
            }
            gap.due = now + jittered(random, gap.delay);
            gap.delay = (gap.delay * 2).min(RETRY_MAX);
            (gap.is_due, gap.was_asked) = (true, true);
            marked += 1;
        }
        self.next_due = self.list.iter().map(|gap| gap.due).min();
        marked
    }

    /// Hands what is marked to `write`, and takes the mark from what it takes.
    pub(super) fn take_marked(&mut self, mut write: impl FnMut(u64, u64) -> bool) {
        for gap in self.list.iter_mut().filter(|gap| gap.is_due) {
            if !write(gap.first, gap.last) {
                break;
            }
            gap.is_due = false;
        }
    }

    /// How many gaps there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}
