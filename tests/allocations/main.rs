//! What the pure half takes of memory, counted by the allocator of this program: bytes that live, and calls, but no times.
#![expect(clippy::unwrap_used, reason = "a test fails by panics")]

mod counting;

use belfry::config;
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::Service as _;
use belfry::services::chat::{Hosts, Hub};
use counting::Counting;
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
