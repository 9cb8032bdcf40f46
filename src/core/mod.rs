//! The vocabulary that services and daemon share: time, datagrams, verdicts, the outbox, admission, limits.
//!
//! Nothing here makes a system call.

pub mod access;
pub mod admission;
mod datagram;
mod error_streaks;
pub mod escape;
pub mod frame;
pub mod interfaces;
pub mod limits;
pub mod meter;
mod now;
mod ntp_timestamp;
mod outbox;
mod output;
pub mod rate;
pub(crate) mod rate_limit;
mod seeded;
pub(crate) mod source;
pub mod text;
mod verdict;

pub use datagram::{Datagram, ListenerId, Path};
pub use error_streaks::ErrorStreaks;
pub use interfaces::Interface;
pub use now::{ClockState, Instant, Leap, Now};
pub use ntp_timestamp::NtpTimestamp;
pub use outbox::{Deliveries, Delivery, Outbox, Payload, Place};
pub use output::Output;
pub use seeded::{Seed, SeededMap, SplitMix};
pub use verdict::{Counters, DropReason, Refusal, Verdict};
