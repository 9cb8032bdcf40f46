//! How much is sent to rooms: one budget for all that is said, and a share of it for each source.
//!
//! A datagram of one becomes a thousand of ours where a thousand listen. `rate-limit` bounds how often somebody speaks, not
//! what that costs the network, so what goes out is counted in bytes, as they are on an Ethernet. One source has a quarter
//! of the budget at most, so nobody alone can use it up. A text for which there is nothing left is refused, and a session
//! says it again. A notice of who comes and goes, and what a session asks for once more, are left out while less than half
//! of the budget is there.

use super::member::Way;
use super::rooms::RoomId;
use super::{Hub, Problem};
use crate::core::limits::{FAN_OUT_SECONDS, FAN_OUT_SOURCES_MIN};
use crate::core::rate::{ByteRate, Rate};
use crate::core::rate_limit::{Bucket, RateLimit};
use crate::core::source::Source;
use crate::core::{Instant, Refusal, Seed};

/// The headers of a datagram: Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;

/// What is left of the budget.
#[derive(Debug)]
pub(super) struct FanOut {
    rate: Rate,
    left: Bucket,
    of_source: RateLimit,
    /// On our links, where each IPv6 address is a source.
    of_network: RateLimit,
    now: Instant,
}

impl FanOut {
    /// A budget of which nothing is used up.
    pub(super) fn new(ByteRate(bytes): ByteRate, seed: Seed) -> Self {
        let of = |sources: u32| Rate::new((bytes / sources).max(1), 1).with_burst_of(FAN_OUT_SECONDS);
        let (rate, of_source) = (of(1), of(FAN_OUT_SOURCES_MIN));
        let left = Bucket::full(rate, Instant::default());
        let of_network = RateLimit::new(of(FAN_OUT_SOURCES_MIN / 2), seed);
        Self { rate, left, of_source: RateLimit::new(of_source, seed), of_network, now: Instant::default() }
    }

    /// Takes so many bytes on account of a source, if there are any for it.
    fn take(&mut self, source: Source, bytes: usize) -> bool {
        self.take_above(0, Some(source), bytes)
    }

    /// Takes so many bytes for what can be left out, while half of the budget is there for what cannot.
    pub(super) fn take_spare(&mut self, source: Option<Source>, bytes: usize) -> bool {
        self.take_above(self.rate.burst / 2, source, bytes)
    }

    /// Takes so many bytes, if more than `spared` are left then, on account of a source and of the network that it shares.
    fn take_above(&mut self, spared: u32, source: Option<Source>, bytes: usize) -> bool {
        let (bytes, now) = (count(bytes), self.now);
        if !self.left.has(self.rate, now, bytes.saturating_add(spared)) {
            return false;
        }
        let rate = self.of_source.rate();
        let is_enough = source.is_none_or(|source| {
            // Who has used up his own share takes nothing of what the others of his network have.
            if !self.of_source.bucket_of(now, source).has(rate, now, bytes) {
                return false;
            }
            // Whoever has many addresses of a network has two shares at the most.
            let of_network = source.network().is_none_or(|network| {
                let rate = self.of_network.rate();
                self.of_network.bucket_of(now, network).take(rate, now, bytes)
            });
            of_network && self.of_source.bucket_of(now, source).take(rate, now, bytes)
        });
        is_enough && self.left.take(self.rate, now, bytes)
    }
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What a line and a frame take that go to so many.
fn cost(lines: usize, line: &str, frames: usize, frame_len: usize) -> usize {
    lines * (line.len() + HEADERS) + frames * frame_len
}

impl Hub {
    /// From now on the budget is filled up to this moment.
    pub(super) fn fill_fan_out(&mut self, now: Instant) {
        self.fan_out.iter_mut().for_each(|fan_out| fan_out.now = now);
    }

    /// Takes what a text costs that goes to everybody in a room.
    pub(super) fn pay_for_text(
        &mut self,
        source: Source,
        room: RoomId,
        line: &str,
        frame_len: usize,
    ) -> Result<(), Problem> {
        let (lines, frames) = self.rooms.get(room).hearers(|_| true);
        self.pay(source, cost(lines, line, frames, frame_len))
    }

    /// Takes what an answer of so many bytes costs.
    pub(super) fn pay(&mut self, source: Source, bytes: usize) -> Result<(), Problem> {
        if self.fan_out.as_mut().is_none_or(|fan_out| fan_out.take(source, bytes)) {
            return Ok(());
        }
        Err(Problem::new(Refusal::Busy, "? too much is being said; try again in a moment"))
    }

    /// Takes what a notice costs that goes to the terminals and sessions in a room; whether it is to go out.
    pub(super) fn pay_for_notice(&mut self, source: Option<Source>, room: RoomId, notice: &str) -> bool {
        let (lines, frames) = self.rooms.get(room).hearers(|way| way == Way::Line);
        let bytes = cost(lines, notice, frames, notice.len() + HEADERS);
        self.fan_out.as_mut().is_none_or(|fan_out| fan_out.take_spare(source, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn source(last: u8) -> Source {
        Source::of(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn budget() -> FanOut {
        FanOut::new(ByteRate(1_000), Seed(1))
    }

    #[test]
    fn one_source_has_a_quarter_of_the_budget_and_all_together_have_all_of_it() {
        let mut budget = budget();
        for last in 1..=4 {
            assert!(budget.take(source(last), 500), "{last}");
            assert!(!budget.take(source(last), 2), "{last}");
        }
        assert!(!budget.take(source(5), 2), "nothing is left");
        budget.now = budget.now + Duration::from_secs(1);
        assert!(budget.take(source(1), 250));
        assert!(!budget.take(source(1), 2));
        assert!(budget.take(source(5), 500), "who has not been heard");
    }

    #[test]
    fn what_can_be_left_out_leaves_half_for_what_cannot() {
        let mut budget = budget();
        assert!(budget.take_spare(None, 500));
        assert!(budget.take_spare(Some(source(1)), 500));
        assert!(!budget.take_spare(None, 2));
        assert!(!budget.take(source(1), 2), "who has had it for notices");
        assert!(budget.take(source(2), 500));
    }

    #[test]
    fn a_network_of_ours_has_half_of_the_budget_however_many_addresses_it_has() {
        let mut budget = budget();
        let host =
            |last: u16| Source::of_sender(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into(), true);
        assert!(budget.take(host(1), 500));
        assert!((0..100).all(|_| !budget.take(host(1), 10)), "nor does one host use up what the others have");
        assert!(budget.take(host(2), 500));
        assert!(!budget.take(host(3), 2));
        assert!(budget.take(source(1), 500));
    }

    #[test]
    fn what_costs_more_than_there_can_be_goes_out_when_all_is_there() {
        let mut budget = budget();
        assert!(budget.take(source(1), 1_000_000));
        assert!(!budget.take(source(1), 1));
        budget.now = budget.now + Duration::from_secs(2);
        assert!(budget.take(source(1), 1_000_000));
    }
}
