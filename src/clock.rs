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
        Self { start, start_nanos }
    }

    /// Takes time off the monotonic clock, which then has that much less behind it: time that is not to be counted.
    pub fn set_back(&mut self, by: Duration) {
        self.start_nanos = self.start_nanos.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Both clocks, now.
    #[expect(clippy::disallowed_methods, reason = "the home of clocks")]
    pub fn now(&self) -> Now {
        let mono = Instant::from_nanos(self.start_nanos) + self.start.elapsed();
        Now { mono, wall: jiff::Timestamp::now() }
    }
}
