//! Time as the pure half sees it: two readings that the daemon took once, at the start of the turn.
//!
//! [`Instant`] is a number and not `std::time::Instant`, so that a simulation can make any moment it likes and so
//! that a moment can be kept across a restart of the daemon.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on the monotonic clock, in nanoseconds since an arbitrary start (`CLOCK_MONOTONIC`: the boot).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment `nanos` nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this moment is; zero when it is before.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a moment that the clock cannot reach is never reached.
    fn add(self, after: Duration) -> Self {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, before: Duration) -> Self {
        let nanos = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// The two clock readings of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines: never jumps.
    pub mono: Instant,
    /// For people: what the clock on the wall says.
    pub wall: jiff::Timestamp,
}

/// How many seconds the last minute of the day has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leap {
    /// 60.
    #[default]
    None,
    /// 61 (`STA_INS`).
    Insert,
    /// 59 (`STA_DEL`).
    Delete,
}

/// What the kernel says of its own clock (`adjtimex(2)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockState {
    /// Whether something disciplines the clock (`STA_UNSYNC` is clear).
    pub synchronised: bool,
    /// The bound on the error, which grows while nothing disciplines the clock (`maxerror`).
    pub max_error: Duration,
    /// Whether a leap second comes at the end of the day.
    pub leap: Leap,
}

impl ClockState {
    /// The same some time later, if nothing has been heard since: the bound on the error grows by 500 µs a second, as it does
    /// in the kernel (`MAXFREQ`).
    #[must_use]
    pub fn aged(self, by: Duration) -> Self {
        Self { max_error: self.max_error.saturating_add(by / 2_000), ..self }
    }
}
