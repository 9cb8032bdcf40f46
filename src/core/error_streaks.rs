//! Who gets one error after the other, and no more of them.
//!
//! An error line is answered by many a service of somebody else's: with an error of its own, or with whatever it says to
//! anything. To whom the last errors went in quick succession is therefore remembered, in a table that never grows, and
//! after [`ERRORS_IN_A_ROW_MAX`] there is silence until the source has said something that is no mistake, or nothing for
//! [`ERROR_PAUSE`]. A source that is crowded out of the table begins anew.

use crate::core::limits::{ERROR_PAUSE, ERROR_STREAKS_MAX, ERRORS_IN_A_ROW_MAX};
use crate::core::{Instant, Seed};
use std::net::SocketAddr;

/// The errors of one service.
#[derive(Debug)]
pub struct ErrorStreaks {
    seed: Seed,
    streaks: Vec<Option<Streak>>,
    /// When the last mistake was made: mostly nobody makes any.
    last: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Streak {
    source: SocketAddr,
    count: usize,
    last: Instant,
}

impl ErrorStreaks {
    /// A table in which nobody has made a mistake. All its memory is taken here.
    pub fn new(seed: Seed) -> Self {
        Self { seed, streaks: vec![None; ERROR_STREAKS_MAX], last: None }
    }

    /// Whether `source` is to be told of its mistake.
    pub fn may_tell(&mut self, now: Instant, source: SocketAddr) -> bool {
        let at = self.place(source);
        let before = self.streaks[at];
        let same = before.filter(|streak| streak.source == source && now.since(streak.last) < ERROR_PAUSE);
        // What was heard in the same turn was sent before the last error could be answered.
        let count = same.map_or(0, |streak| streak.count.saturating_add((now > streak.last).into()));
        self.streaks[at] = Some(Streak { source, count, last: now });
        self.last = Some(now);
        count < ERRORS_IN_A_ROW_MAX
    }

    /// `source` has said something that is no mistake.
    pub fn end(&mut self, now: Instant, source: SocketAddr) {
        // After a pause no streak goes on anyway.
        if self.last.is_none_or(|last| now.since(last) >= ERROR_PAUSE) {
            return;
        }
        let at = self.place(source);
        if self.streaks[at].is_some_and(|streak| streak.source == source) {
            self.streaks[at] = None;
        }
    }

    fn place(&self, source: SocketAddr) -> usize {
        self.seed.hash(&source) as usize % self.streaks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn source(number: u32) -> SocketAddr {
        SocketAddr::from((number.to_be_bytes(), 5_000))
    }

    #[test]
    fn after_so_many_errors_in_a_row_there_is_silence_until_a_pause_or_a_datagram_that_is_none() {
        let mut errors = ErrorStreaks::new(Seed(1));
        let (mut now, nanosecond) = (Instant::from_nanos(1), Duration::from_nanos(1));
        let mut tell_soon = |errors: &mut ErrorStreaks, wait| {
            now = now + wait;
            errors.may_tell(now, source(1))
        };
        assert!((0..ERRORS_IN_A_ROW_MAX).all(|_| tell_soon(&mut errors, nanosecond)));
        assert!(!tell_soon(&mut errors, nanosecond));
        errors.end(Instant::from_nanos(1), source(2));
        assert!(!tell_soon(&mut errors, ERROR_PAUSE - nanosecond));
        assert!((0..100).all(|_| tell_soon(&mut errors, ERROR_PAUSE)), "it counts from the last of them");
        assert!((1..ERRORS_IN_A_ROW_MAX).all(|_| tell_soon(&mut errors, nanosecond)));
        errors.end(Instant::from_nanos(1), source(1));
        assert!((0..100).all(|_| tell_soon(&mut errors, Duration::ZERO)), "all of one turn");
        assert!(!(0..ERRORS_IN_A_ROW_MAX).all(|_| tell_soon(&mut errors, nanosecond)));
    }

    #[test]
    fn sources_without_number_take_no_more_room_and_each_new_one_is_told() {
        let mut errors = ErrorStreaks::new(Seed(1));
        for number in 0..10 * ERROR_STREAKS_MAX as u32 {
            assert!(errors.may_tell(Instant::from_nanos(1), source(number)));
        }
        assert_eq!((errors.streaks.len(), errors.streaks.capacity()), (ERROR_STREAKS_MAX, ERROR_STREAKS_MAX));
    }
}
