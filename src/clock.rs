//! The one home of clocks.
//!
//! The daemon reads [`Clock::now`] once a turn and hands it to the services; nobody else reads a clock.

use crate::core::{Instant, Now};
use jiff::Timestamp;
use std::time::Duration;

/// When these sources were last changed for a release, in seconds since 1970: the date of the newest entry of
/// packaging/debian/changelog.
const RELEASED: i64 = 1_795_262_400;

/// No earlier than this is it now, whatever a clock says: the date of the sources, or the later one that packages are
/// built with (`SOURCE_DATE_EPOCH`, reproducible-builds.org), so that the same sources still give the same program.
pub const SOURCE_DATE: i64 = later(RELEASED, option_env!("SOURCE_DATE_EPOCH"));

const fn later(one: i64, other: Option<&str>) -> i64 {
    let Some(text) = other else { return one };
    match i64::from_str_radix(text, 10) {
        Ok(other) if other > one => other,
        _ => one,
    }
}

/// What the clock on the wall says at this very moment: for what is sent to say when it leaves. Everything else goes by
/// the reading of the turn.
#[expect(clippy::disallowed_methods, reason = "the home of clocks")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// How finely the wall clock can be read: the shortest time between two readings that differ (RFC 5905 §7.3).
pub fn precision() -> Duration {
    let mut last = wall();
    let mut steps = (0..PRECISION_READINGS).filter_map(|_| {
        let now = wall();
        let step = now.duration_since(std::mem::replace(&mut last, now));
        // One that was set back meanwhile says nothing.
        Duration::try_from(step).ok().filter(|step| !step.is_zero())
    });
    let first = steps.next().unwrap_or(Duration::from_millis(1));
    steps.fold(first, Duration::min)
}

/// Enough that some are not interrupted, which takes some tens of microseconds in all.
const PRECISION_READINGS: usize = 1_000;

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
    pub fn now(&self) -> Now {
        let mono = Instant::from_nanos(self.start_nanos) + self.start.elapsed().saturating_sub(self.not_counted);
        Now { mono, wall: wall() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_the_sources_is_that_of_the_newest_entry_of_the_changelog_or_of_the_package() {
        let changelog = include_str!("../packaging/debian/changelog");
        let line = changelog.lines().find_map(|line| line.strip_prefix(" -- ")).expect("an entry ends so");
        let (_, date) = line.split_once("  ").expect("behind two spaces");
        let dated = jiff::fmt::rfc2822::parse(date).expect("it is in the form of mail");
        assert_eq!(RELEASED, dated.timestamp().as_second());
        for (epoch, date) in [(None, 7), (Some("9"), 9), (Some("5"), 7), (Some("today"), 7), (Some(""), 7)] {
            assert_eq!(later(7, epoch), date, "{epoch:?}");
        }
    }

    #[test]
    fn a_clock_can_be_read_more_finely_than_in_milliseconds_and_takes_a_while_to_read() {
        let precision = precision();
        assert!(precision > Duration::ZERO && precision < Duration::from_millis(1), "{precision:?}");
    }

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
