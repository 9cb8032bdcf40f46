//! The one home of clocks.
//!
//! The daemon reads [`Clock::now`] once a turn and hands it to the services; nobody else reads a clock.

use crate::core::{Instant, Now};
use std::time::Duration;

/// The monotonic and the wall clock of this host.
#[derive(Debug)]
pub struct Clock {
    start: std::time::Instant,
    /// What `start` was on `CLOCK_MONOTONIC`.
    start_nanos: u64,
    /// Time since `start` that is not counted.
    not_counted: Duration,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock whose monotonic readings count from the boot of the machine.
    #[expect(clippy::disallowed_methods, reason = "the home of clocks")]
    pub fn new() -> Self {
        let start = std::time::Instant::now();
        let since_boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
        let start_nanos = since_boot.map_or(0, |spec| Duration::from(spec).as_nanos() as u64);
        Self { start, start_nanos, not_counted: Duration::ZERO }
    }

    /// Takes time off the monotonic clock, which then has that much less behind it: time that is not to be counted.
    pub fn set_back(&mut self, by: Duration) {
        self.not_counted += by;
    }

    /// Both clocks, now.
    #[expect(clippy::disallowed_methods, reason = "the home of clocks")]
    pub fn now(&self) -> Now {
        let mono = Instant::from_nanos(self.start_nanos) + self.start.elapsed().saturating_sub(self.not_counted);
        Now { mono, wall: jiff::Timestamp::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_started_right_after_the_boot_can_be_set_back_by_more_than_that() {
        let hour = Duration::from_secs(3_600);
        let mut clock = Clock { start_nanos: 1, ..Clock::new() };
        clock.start -= hour;
        let stopped = clock.now().mono;
        clock.set_back(hour);
        assert!(stopped.since(clock.now().mono) > hour - Duration::from_secs(60));
    }
}
