//! How often a service hears whom: the buckets from which each datagram takes a token.
//!
//! Three tables, because an address alone says little. What anybody may have sent is counted for the source that it names;
//! what nobody else can have sent is counted apart (`vouched`), so whoever forges an address uses up none of its owner's
//! tokens. And on a link of ours, where each IPv6 address is a source, all addresses of a /64 share a larger bucket, since
//! one host can have them all.

use crate::core::limits::SOURCES_OF_NETWORK;
use crate::core::rate::Rate;
use crate::core::rate_limit::RateLimit;
use crate::core::source::Source;
use crate::core::{Instant, Seed};
use std::net::IpAddr;

/// The buckets of one service.
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    seed: Seed,
    anybody: RateLimit,
    /// Where nobody is vouched for there is no such table, and where there is no IPv6 not the other.
    vouched: Option<RateLimit>,
    networks: Option<RateLimit>,
    congested: bool,
}

impl Meter {
    /// Buckets that are all full.
    pub fn new(rate: Rate, seed: Seed) -> Self {
        Self { rate, seed, anybody: RateLimit::new(rate, seed), vouched: None, networks: None, congested: false }
    }

    /// The rate that it holds sources to.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Says whether questions pile up, or answers, and only sources that have been sparing are to be heard.
    pub fn set_congested(&mut self, congested: bool) {
        self.congested = congested;
    }

    /// Takes a token for a datagram from `addr`; says whether it may be heard.
    pub fn allow(&mut self, now: Instant, addr: IpAddr, on_link: bool, is_vouched: bool) -> bool {
        let (rate, seed) = (self.rate, self.seed);
        let source = Source::of_sender(addr, on_link);
        if is_vouched {
            let vouched = self.vouched.get_or_insert_with(|| RateLimit::new(rate.times(1), seed));
            return vouched.take(now, source);
        }
        let has_token =
            if self.congested { self.anybody.take_sparing(now, source) } else { self.anybody.take(now, source) };
        if !has_token {
            // Nor from those of its network, which are for the others.
            return !self.congested && self.anybody.is_drawn();
        }
        let Some(network) = source.network() else { return true };
        let rate = Rate { leak: rate.leak, ..rate.times(SOURCES_OF_NETWORK) };
        let networks = self.networks.get_or_insert_with(|| RateLimit::new(rate, seed));
        networks.take(now, network) || networks.is_drawn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn passed(meter: &mut Meter, addr: IpAddr, on_link: bool, is_vouched: bool) -> usize {
        (0..100).filter(|_| meter.allow(NOW, addr, on_link, is_vouched)).count()
    }

    #[test]
    fn whoever_forges_an_address_takes_no_token_of_what_its_owner_vouches_for() {
        let mut meter = Meter::new(Rate::new(1, 3), Seed(1));
        let victim = addr("192.0.2.1");
        assert_eq!(passed(&mut meter, victim, true, false), 3);
        assert_eq!(passed(&mut meter, victim, true, true), 3);
        assert_eq!(passed(&mut meter, victim, true, false), 0);
    }

    #[test]
    fn what_is_vouched_for_does_not_leak() {
        let mut meter = Meter::new(Rate { leak: 2, ..Rate::new(1, 3) }, Seed(1));
        assert!(passed(&mut meter, addr("192.0.2.1"), true, false) > 20);
        assert_eq!(passed(&mut meter, addr("192.0.2.1"), true, true), 3);
    }

    #[test]
    fn on_our_links_an_ipv6_address_is_counted_by_itself_and_all_of_a_network_together() {
        let mut meter = Meter::new(Rate::new(1, 3), Seed(1));
        let host = |number: u128| IpAddr::from((0x2001_0db8_u128 << 96 | number).to_be_bytes());
        assert_eq!(passed(&mut meter, host(1), true, false), 3);
        assert_eq!(passed(&mut meter, host(2), true, false), 3, "one flooder leaves the others their tokens");
        let all: usize = (3..100).map(|number| passed(&mut meter, host(number), true, false)).sum();
        assert_eq!(all, 3 * SOURCES_OF_NETWORK as usize - 6, "and many addresses are not many hosts");
        assert_eq!(passed(&mut meter, addr("2001:db8:0:1::1"), true, false), 3);
    }

    #[test]
    fn whoever_is_answered_by_lot_leaves_the_others_of_its_network_their_tokens() {
        let mut meter = Meter::new(Rate { leak: 2, ..Rate::new(1, 3) }, Seed(1));
        for flooder in ["2001:db8::1", "fe80::1"] {
            (0..100).for_each(|_| assert!(passed(&mut meter, addr(flooder), true, false) > 20));
        }
        for other in ["2001:db8::2", "fe80::2"] {
            assert!((0..3).all(|_| meter.allow(NOW, addr(other), true, false)));
        }
    }

    #[test]
    fn on_our_links_the_link_local_addresses_are_a_network_too() {
        let mut meter = Meter::new(Rate::new(1, 3), Seed(1));
        let host = |number: u128| IpAddr::from((0xfe80_u128 << 112 | number).to_be_bytes());
        let all: usize = (1..100).map(|number| passed(&mut meter, host(number), true, false)).sum();
        assert_eq!(all, 3 * SOURCES_OF_NETWORK as usize);
    }

    #[test]
    fn in_a_congestion_only_the_sparing_are_heard_and_what_is_vouched_for() {
        let mut meter = Meter::new(Rate { leak: 2, ..Rate::new(1, 80) }, Seed(1));
        meter.set_congested(true);
        assert_eq!(passed(&mut meter, addr("192.0.2.1"), true, false), 11);
        assert_eq!(passed(&mut meter, addr("192.0.2.1"), true, true), 80);
        meter.set_congested(false);
        assert!(passed(&mut meter, addr("192.0.2.1"), true, false) > 20, "by lot");
        assert!(passed(&mut meter, addr("192.0.2.2"), true, false) > 80);
    }

    #[test]
    fn from_afar_a_network_is_one_source() {
        let mut meter = Meter::new(Rate::new(1, 3), Seed(1));
        assert_eq!(passed(&mut meter, addr("2001:db8::1"), false, false), 3);
        assert_eq!(passed(&mut meter, addr("2001:db8::2"), false, false), 0);
    }
}
