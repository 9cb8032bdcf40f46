//! Time, and what the network does to datagrams meanwhile.

use belfry::core::{Instant, ListenerId, Now, SplitMix};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What is going to happen, in order.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    events: BTreeMap<(Instant, u64), E>,
    /// Events that were ever put on it.
    pub(super) serial: u64,
    pub(super) now: Instant,
}

impl<E> Agenda<E> {
    pub(super) fn new() -> Self {
        Self { events: BTreeMap::new(), serial: 0, now: Instant::from_nanos(1_000_000_000_000) }
    }

    pub(super) fn schedule(&mut self, after: Duration, event: E) {
        self.serial += 1;
        self.events.insert((self.now + after, self.serial), event);
    }

    /// The next event, whose moment is not there yet.
    pub(super) fn pop(&mut self) -> Option<(Instant, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    /// The next event, while it stays there.
    pub(super) fn peek(&self) -> Option<(Instant, &E)> {
        self.events.first_key_value().map(|(&(at, _), event)| (at, event))
    }

    /// Both clocks.
    pub(super) fn clocks(&self) -> Now {
        Now { mono: self.now, wall: jiff::Timestamp::UNIX_EPOCH + Duration::from_nanos(self.now.as_nanos()) }
    }
}

/// What becomes of datagrams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) loss_percent: u64,
    pub(super) double_percent: u64,
    pub(super) delay_max: Duration,
}

impl Weather {
    /// When the copies of a datagram arrive.
    pub(super) fn copies(&self, random: &mut SplitMix) -> Vec<Duration> {
        let copies = if random.below(100) < self.double_percent { 2 } else { 1 };
        let mut delays = Vec::new();
        for _ in 0..copies {
            if random.below(100) >= self.loss_percent {
                delays.push(Duration::from_nanos(random.below(self.delay_max.as_nanos() as u64)));
            }
        }
        delays
    }
}

/// The socket by which an address of this family is spoken to.
pub(super) fn listener(v4: bool) -> ListenerId {
    ListenerId(if v4 { 4 } else { 6 })
}

pub(super) fn listener_at(addr: SocketAddr) -> Option<ListenerId> {
    Some(listener(addr.is_ipv4()))
}

/// Whether an address is on a link of the hub's; some are not.
pub(super) fn is_on_link(addr: SocketAddr) -> bool {
    addr.ip() != IpAddr::from([10, 0, 0, 4]) && addr.ip() != IpAddr::from([10, 9, 9, 3])
}
