//! What the pure half takes of memory, counted by the allocator of this program: bytes that live, and calls, but no times.
#![expect(clippy::unwrap_used, reason = "a test fails by panics")]

mod counting;

use belfry::config::{self, Config};
use belfry::core::admission::Admission;
use belfry::core::limits::BURST_MAX;
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::chat::{Hosts, Hub};
use belfry::services::time::{TimeService, Zones};
use belfry::services::{Service, ServiceName, hear};
use counting::Counting;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A large hall; the tables that double with their members have room for a third more.
const MEMBERS: u32 = 100_000;

/// A hub with room for everybody, and the moment.
fn hub() -> (Hub, Now) {
    let config = config::Chat { max_members: MEMBERS as usize, ..config::Chat::default() };
    let now = Now { mono: Instant::from_nanos(1_000_000_000_000), wall: "2026-03-01T12:00:00Z".parse().unwrap() };
    (Hub::new(&config, "tower", Hosts::default(), Seed(1)), now)
}

/// The way to a member that shares its address with nobody; no longer name is made of one.
fn path(number: u32) -> Path {
    let addr = Ipv4Addr::from_bits(0x7f64_0000 + number);
    let local = Some(Ipv4Addr::LOCALHOST.into());
    Path { local, ..Path::to(ListenerId(0), SocketAddr::from((addr, 40_000))) }
}

fn say(hub: &mut Hub, now: &Now, number: u32, text: &str) {
    let mut out = Outbox::default();
    let heard = hub.handle_datagram(now, &Datagram::unicast(path(number), text.as_bytes()), &mut out);
    assert_eq!(heard, Verdict::Accepted, "member {number}");
    hub.take_news().for_each(drop);
}

#[test]
fn a_member_costs_at_most_300_bytes() {
    let before = counting::live_bytes();
    let (mut hub, now) = hub();
    (0..MEMBERS).for_each(|number| say(&mut hub, &now, number, "^hb^"));
    let silent = (counting::live_bytes() - before) / MEMBERS as isize;
    assert_eq!(hub.member_count(), MEMBERS as usize);
    assert!(silent <= 300, "{silent} bytes for a member");
}

/// A turn of the daemon's: one datagram goes through admission to a service, and everything that is to be sent is walked
/// over and taken off.
struct Turns {
    admission: Admission,
    out: Outbox,
    now: Now,
}

impl Turns {
    fn new(now: Now) -> Self {
        Self { admission: Admission::new(&Config::default(), Seed(1)), out: Outbox::default(), now }
    }

    /// How many datagrams were sent.
    fn turn(&mut self, name: ServiceName, service: &mut dyn Service, number: u32, payload: &[u8]) -> usize {
        self.now.mono = self.now.mono + std::time::Duration::from_millis(5);
        self.out.begin_turn(self.now.mono);
        let mut datagram = Datagram::unicast(path(number), payload);
        let verdict = hear(name, service, &mut self.admission, &self.now, &mut datagram, &mut self.out);
        assert!(matches!(verdict, Verdict::Accepted | Verdict::Answered), "{verdict:?}");
        service.finish_turn(&mut self.out);
        let mut sent = 0;
        while !self.out.is_empty() {
            let count = self.out.deliveries(BURST_MAX).take(64).map(|delivery| delivery.datagram_count()).sum();
            self.out.advance(count);
            sent += count;
        }
        sent
    }
}

/// How often memory is asked for.
fn allocations_of(work: impl FnOnce()) -> usize {
    let before = counting::allocations();
    work();
    counting::allocations() - before
}

#[test]
fn the_time_costs_no_allocation_however_many_ask_and_for_whatever() {
    let (config, now) = (Config::default(), hub().1);
    let mut time = TimeService::new(&config.time, Zones::utc_only(), Seed(1));
    let mut turns = Turns::new(now);
    let mut request = [0; 32];
    let mut ask = |number: u32| {
        let mut rest = &mut request[..];
        write!(rest, "%Y-%m-%d %H:%M:%S {}", number % 5_000).unwrap();
        let len = 32 - rest.len();
        assert_eq!(turns.turn(ServiceName::Time, &mut time, number, &request[..len]), 1);
    };
    ask(4_999);
    assert_eq!(allocations_of(|| (0..20_000).for_each(ask)), 0);
}

#[test]
fn a_heartbeat_costs_no_allocation() {
    let (mut hub, now) = hub();
    let mut turns = Turns::new(now);
    let mut beat = |number: u32| assert_eq!(turns.turn(ServiceName::Chat, &mut hub, number % 1_000, b"^hb^"), 0);
    (0..1_000).for_each(&mut beat);
    assert_eq!(allocations_of(|| (0..10_000).for_each(beat)), 0);
}

#[test]
fn a_message_costs_two_allocations_for_what_is_kept_of_it_however_many_get_it() {
    const MESSAGES: u32 = 1_000;
    for members in [10, 1_000] {
        let config = config::Chat { fan_out: None, ..config::Chat::default() };
        let mut hub = Hub::new(&config, "tower", Hosts::default(), Seed(1));
        let mut turns = Turns::new(self::hub().1);
        (0..members).for_each(|number| assert_eq!(turns.turn(ServiceName::Chat, &mut hub, number, b"^hb^"), 0));
        let mut text = [0; 64];
        let mut relay = |number: u32| {
            write!(&mut text[..], "the message {number:052}").unwrap();
            let sent = turns.turn(ServiceName::Chat, &mut hub, number % members, &text);
            assert_eq!(sent, members as usize);
            hub.take_news().for_each(drop);
        };
        // Until there are as many as are kept, and everybody has said something.
        (0..2_000).for_each(&mut relay);
        let count = allocations_of(|| (2_000..2_000 + MESSAGES).for_each(relay));
        assert_eq!(count, 2 * MESSAGES as usize, "{members} members");
    }
}
