//! The interface watch against the kernel, in a network namespace of its own.
//!
//! The interfaces that a test makes are nobody else's and go with it. That needs root; without it the test says so and
//! does nothing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "all of this is test, helpers included")]

mod common;

use belfry::config;
use belfry::core::{Instant, Interface, ListenerId, Now, Outbox, Path, Seed};
use belfry::daemon::netlink::Netlink;
use belfry::services::announce::{Announcer, Facts, Membership, Memberships};
use common::netns::{self, ip};
use ipnet::IpNet;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// The next tables, until one is as wanted.
fn wait_until(netlink: &mut Netlink, what: &str, wanted: impl Fn(&[Interface]) -> bool) -> Vec<Interface> {
    loop {
        match netlink.wait_for_table(SOON) {
            Ok(table) if wanted(&table) => return table,
            Ok(_) => {}
            Err(error) => panic!("waiting for {what}: {error}"),
        }
    }
}

fn named<'a>(table: &'a [Interface], name: &str) -> Option<&'a Interface> {
    table.iter().find(|interface| interface.name == name)
}

fn has(table: &[Interface], name: &str, is_there: impl Fn(&IpNet) -> bool) -> bool {
    named(table, name).is_some_and(|interface| interface.addresses.iter().any(is_there))
}

#[test]
fn an_interface_is_seen_to_come_go_up_get_addresses_and_vanish() {
    if !netns::enter() {
        return;
    }
    let mut netlink = Netlink::open().unwrap();
    let table = netlink.wait_for_table(SOON).unwrap();
    assert_eq!(table.len(), 1, "{table:?}");
    assert_eq!((table[0].name.as_str(), table[0].up, table[0].multicast), ("lo", true, true));

    ip("link add left type veth peer name right");
    let table = wait_until(&mut netlink, "the pair", |table| table.len() == 3);
    let left = named(&table, "left").unwrap();
    assert!(!left.up && left.multicast && left.addresses.is_empty(), "{left:?}");

    ip("address add 10.9.0.1/24 dev left");
    let net: IpNet = "10.9.0.1/24".parse().unwrap();
    wait_until(&mut netlink, "the address", |table| has(table, "left", |have| *have == net));

    ip("link set left up");
    ip("link set right up");
    let table = wait_until(&mut netlink, "link-local addresses", |table| {
        let link_local = |have: &IpNet| matches!(have.addr(), IpAddr::V6(addr) if addr.is_unicast_link_local());
        has(table, "left", link_local) && has(table, "right", link_local)
    });
    assert!(named(&table, "left").unwrap().up && named(&table, "right").unwrap().up, "{table:?}");

    ip("address del 10.9.0.1/24 dev left");
    wait_until(&mut netlink, "the address to go", |table| !has(table, "left", |have| *have == net));
    ip("link set right down");
    wait_until(&mut netlink, "the carrier to go", |table| !named(table, "left").unwrap().up);
    ip("link del left");
    let table = wait_until(&mut netlink, "the pair to vanish", |table| table.len() == 1);
    assert_eq!(table[0].name, "lo");
}

#[test]
fn the_other_end_of_a_point_to_point_link_is_told() {
    if !netns::enter() {
        return;
    }
    let mut netlink = Netlink::open().unwrap();
    ip("link add left type veth peer name right");
    ip("address add 10.9.0.1 peer 10.9.0.2/32 dev left");
    let has_v6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
    if has_v6 {
        ip("address add fd00::1 peer fd00::2/128 dev left nodad");
    }
    let nets = |list: [&str; 2]| list.iter().take(1 + usize::from(has_v6)).map(|net| net.parse().unwrap()).collect();
    let (ours, peers): (Vec<IpNet>, Vec<IpNet>) =
        (nets(["10.9.0.1/32", "fd00::1/128"]), nets(["10.9.0.2/32", "fd00::2/128"]));
    wait_until(&mut netlink, "both ends", |table| {
        named(table, "left").is_some_and(|left| left.addresses == ours && left.peers == peers && !left.loopback)
            && named(table, "lo").is_some_and(|lo| lo.loopback)
    });
}

#[test]
fn a_storm_of_changes_that_overruns_the_socket_ends_in_the_true_table() {
    if !netns::enter() {
        return;
    }
    let mut netlink = Netlink::open().unwrap();
    netlink.wait_for_table(SOON).unwrap();
    let storm =
        "for n in 1 2 3 4 5 6 7 8; do for i in $(seq 250); do echo address add 10.9.$n.$i/32 dev lo; done; done";
    let status = Command::new("sh").arg("-c").arg(format!("{{ {storm}; }} | ip -batch -")).status().unwrap();
    assert!(status.success());
    let table = wait_until(&mut netlink, "two thousand addresses", |table| {
        table[0].addresses.iter().filter(|net| matches!(net.addr(), IpAddr::V4(addr) if !addr.is_loopback())).count()
            == 2_000
    });
    assert!(table[0].addresses.is_sorted());
    assert_eq!(netlink.on_readable().unwrap(), None);
}

/// A socket as the daemon has it, which hears only the groups that it joined.
fn udp(bound: &str) -> Socket {
    let bound: SocketAddr = bound.parse().unwrap();
    let socket = Socket::new(Domain::for_address(bound), Type::DGRAM, Some(Protocol::UDP)).unwrap();
    match bound {
        SocketAddr::V4(_) => socket.set_multicast_all_v4(false).unwrap(),
        SocketAddr::V6(_) => {
            socket.set_only_v6(true).unwrap();
            socket.set_multicast_all_v6(false).unwrap();
        }
    }
    socket.bind(&bound.into()).unwrap();
    socket
}

fn apply(sockets: &[Socket; 2], memberships: &Memberships) {
    let socket = |membership: &Membership| &sockets[usize::from(membership.listener.0)];
    for left in &memberships.leave {
        let _ = match left.group {
            IpAddr::V4(group) => {
                socket(left).leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(left.interface))
            }
            IpAddr::V6(group) => socket(left).leave_multicast_v6(&group, left.interface),
        };
    }
    for joined in &memberships.join {
        match joined.group {
            IpAddr::V4(group) => {
                socket(joined).join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(joined.interface)).unwrap();
            }
            IpAddr::V6(group) => socket(joined).join_multicast_v6(&group, joined.interface).unwrap(),
        }
    }
}

#[test]
fn interfaces_that_come_and_go_thirty_times_can_still_be_joined_and_announced_on() {
    if !netns::enter() {
        return;
    }
    // Only what comes and goes is counted.
    ip("link set lo down");
    let sockets = [udp("0.0.0.0:8001"), udp("[::]:8001")];
    let config = config::Announce {
        groups: vec![IpAddr::from([224, 0, 0, 1])],
        interfaces: vec!["*".to_owned()],
        ..config::Announce::default()
    };
    let mut announcer = Announcer::new(&config, Facts::default(), Seed(1));
    let listeners = [0, 1].map(|at| {
        let bound = sockets[usize::from(at)].local_addr().unwrap().as_socket().unwrap();
        (ListenerId(at), bound)
    });
    announcer.set_listeners(&listeners);
    let mut netlink = Netlink::open().unwrap();
    let (mut out, mut counted) = (Outbox::default(), 0);
    for round in 0..30_u64 {
        let now = Now { mono: Instant::from_nanos(round * 1_000), wall: jiff::Timestamp::UNIX_EPOCH };
        ip("link add left type veth peer name right");
        ip("address add 10.9.0.1/24 dev left");
        ip("link set left up");
        ip("link set right up");
        let ready =
            |table: &[Interface]| named(table, "left").is_some_and(|left| left.up && !left.addresses.is_empty());
        let table = wait_until(&mut netlink, "left", ready);
        let changes = announcer.set_interfaces(&now, &table, &mut out);
        counted += changes.join.len();
        apply(&sockets, &changes);
        ip("link del left");
        let table = wait_until(&mut netlink, "nothing", |table| named(table, "left").is_none());
        apply(&sockets, &announcer.set_interfaces(&now, &table, &mut out));
    }
    assert_eq!(counted, 30);
    let announced = out.pending().filter(|(path, _)| matches!(path, Path { interface: 2.., .. })).count();
    assert_eq!(announced, 30);
}
