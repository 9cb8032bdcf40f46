//! When it is asked who is in the room that is shown: soon after somebody comes or goes, and now and then.
//!
//! Everybody in a room hears of it at the same moment, and if all of them asked at once, their questions would be a flood of
//! their own making. So the questions of a room are spread over a time that grows with its members.

use crate::core::{Instant, Seed, SplitMix};
use std::time::Duration;

/// The least from a reason to ask to the question: several people often come or go together.
const DELAY: Duration = Duration::from_millis(300);

/// The time over which questions are spread, for each member of the room: a hub gets about 50 in a second, however many ask.
const SPREAD: Duration = Duration::from_millis(20);

/// The least from one question to the next where there is no reason: those who are away tell nobody.
const EVERY: Duration = Duration::from_secs(15);

/// When the next question is due.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    at: Instant,
    /// Whether there is a reason for it.
    has_reason: bool,
    random: SplitMix,
}

impl Survey {
    /// Nobody has asked so far. The `seed` must be another for each client.
    pub(super) fn new(seed: Seed, now: Instant) -> Self {
        Self { at: now + EVERY, has_reason: false, random: SplitMix::new(seed) }
    }

    /// When the next question is due.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Something has changed that only we know of.
    pub(super) fn ask_soon(&mut self, now: Instant) {
        (self.at, self.has_reason) = (self.at.min(now + DELAY), true);
    }

    /// Something has changed, and so many members hear of it.
    pub(super) fn ask_in_turn(&mut self, member_count: usize, now: Instant) {
        // Whoever drew lots at each of several changes would come too early.
        if !self.has_reason {
            let at = now + DELAY + self.lot(spread(member_count));
            (self.at, self.has_reason) = (self.at.min(at), true);
        }
    }

    /// Whether a question is due, and if so, whether there is a reason for it. The next one is planned then.
    pub(super) fn take_due(&mut self, member_count: usize, now: Instant) -> Option<bool> {
        if self.at > now {
            return None;
        }
        let spread = spread(member_count);
        self.at = now + EVERY.max(spread) + self.lot(spread);
        Some(std::mem::take(&mut self.has_reason))
    }

    fn lot(&mut self, spread: Duration) -> Duration {
        Duration::from_millis(self.random.below(spread.as_millis() as u64 + 1))
    }
}

fn spread(member_count: usize) -> Duration {
    SPREAD.saturating_mul(u32::try_from(member_count).unwrap_or(u32::MAX)).min(Duration::from_secs(600))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(1 << 40);

    /// When each of a thousand clients asks after that many changes.
    fn questions(changes: usize) -> Vec<Duration> {
        let question = |seed| {
            let mut survey = Survey::new(Seed(seed), START);
            survey.at = START + Duration::from_secs(3_600);
            (0..changes).for_each(|_| survey.ask_in_turn(1_000, START));
            survey.at().since(START)
        };
        (0..1_000).map(question).collect()
    }

    #[test]
    fn a_thousand_that_hear_of_the_same_changes_do_not_ask_at_the_same_time() {
        for changes in [1, 20] {
            let questions = questions(changes);
            for second in 0..20 {
                let count = questions.iter().filter(|at| at.as_secs() == second).count();
                assert!((20..100).contains(&count), "{count} in second {second} after {changes} changes");
            }
        }
    }

    #[test]
    fn what_only_we_know_of_is_asked_about_soon_in_any_room() {
        let mut survey = Survey::new(Seed(1), START);
        survey.ask_in_turn(100_000, START);
        survey.ask_soon(START);
        assert_eq!(survey.at(), START + DELAY);
        assert_eq!(survey.take_due(1, START), None);
        assert_eq!(survey.take_due(1, START + DELAY), Some(true));
        assert!(survey.at() >= START + DELAY + EVERY);
        assert_eq!(survey.take_due(1, survey.at()), Some(false));
    }
}
