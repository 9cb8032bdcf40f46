//! The announcer on real interfaces, in networks of the test's own.

use crate::belfryd::{Belfryd, eventually, uninterrupted};
use crate::netns::{self, Host, cable, ip};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

fn index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

/// A socket on a host that hears the group on one interface.
fn hearer(host: &Host, name: &str) -> UdpSocket {
    host.run(|| hearer_here(name))
}

fn hearer_here(name: &str) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).unwrap();
    socket.set_multicast_all_v4(false).unwrap();
    socket.bind(&SocketAddr::from((GROUP, 8001)).into()).unwrap();
    socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(index(name))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.into()
}

fn hear(socket: &UdpSocket) -> (SocketAddr, String) {
    let mut buffer = [0; 2_048];
    let (len, from) = uninterrupted(|| socket.recv_from(&mut buffer)).expect("an announcement");
    (from, String::from_utf8_lossy(&buffer[..len]).into_owned())
}

/// Asks the group, from a host's address; who answers within a second, and what.
fn notify(host: &Host, from: [u8; 4]) -> Vec<(SocketAddr, String)> {
    let socket = host.run(|| UdpSocket::bind((Ipv4Addr::from(from), 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.send_to(b"Notify", (GROUP, 8001)).unwrap();
    std::iter::from_fn(|| {
        let mut buffer = [0; 2_048];
        let (len, from) = uninterrupted(|| socket.recv_from(&mut buffer)).ok()?;
        Some((from, String::from_utf8_lossy(&buffer[..len]).into_owned()))
    })
    .collect()
}

fn is_from((from, told): &(SocketAddr, String), ip: [u8; 4]) -> bool {
    *from == SocketAddr::from((ip, 8001)) && told.starts_with("Acknowlege belfry/1 ")
}

#[test]
fn it_announces_itself_on_each_chosen_interface_and_says_goodbye() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    cable("veth", 2, &host);
    let (lan, excluded) = (hearer(&host, "lan1"), hearer(&host, "veth1"));
    let mut belfryd = Belfryd::start("");
    let (from, told) = hear(&lan);
    assert_eq!(from, SocketAddr::from(([10, 77, 1, 1], 8001)));
    assert!(told.starts_with("Announce belfry/1 host=") && told.contains(" time=8080 chat=9999 "), "{told}");
    assert!(belfryd.stop().success());
    let heard: Vec<_> =
        std::iter::from_fn(|| Some(hear(&lan).1)).take_while(|told| !told.starts_with("Goodbye ")).collect();
    assert!(heard.iter().all(|told| told.starts_with("Announce ")), "{heard:?}");
    assert!(!belfryd.log().contains("turned away"), "nothing is lost on the way: {}", belfryd.log());
    excluded.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(excluded.recv(&mut [0; 64]).is_err(), "`!veth*` is among the defaults");
}

#[test]
fn it_says_goodbye_when_a_reload_switches_it_off_and_announces_itself_when_one_switches_it_on() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    let lan = hearer(&host, "lan1");
    let belfryd = Belfryd::start("");
    assert!(hear(&lan).1.starts_with("Announce "));
    belfryd.reload("[announce]\nenabled = false\n");
    let last = std::iter::from_fn(|| Some(hear(&lan).1)).find(|told| !told.starts_with("Announce "));
    assert!(last.is_some_and(|told| told.starts_with("Goodbye ")));
    belfryd.reload("");
    assert!(hear(&lan).1.starts_with("Announce "));
}

#[test]
fn an_interface_that_is_plugged_in_later_is_announced_on_and_asked_on() {
    if !netns::enter() {
        return;
    }
    let belfryd = Belfryd::start("");
    let host = Host::new();
    cable("lan", 1, &host);
    let lan = hearer(&host, "lan1");
    assert!(hear(&lan).1.starts_with("Announce belfry/1 "));
    assert!(eventually(|| notify(&host, [10, 77, 1, 2]).iter().any(|answer| is_from(answer, [10, 77, 1, 1]))));
    ip("link del lan0");
    cable("lan", 2, &host);
    assert!(eventually(|| notify(&host, [10, 77, 2, 2]).iter().any(|answer| is_from(answer, [10, 77, 2, 1]))));
    drop(belfryd);
}

#[test]
fn a_subnet_that_is_plugged_in_later_is_on_link_and_others_are_not() {
    if !netns::enter() {
        return;
    }
    let mut belfryd = Belfryd::start("");
    ip("addr add 10.77.9.1/24 dev lo");
    // The answer tells that the daemon has heard of the subnet.
    let ask = |from: [u8; 4]| {
        let socket = UdpSocket::bind((Ipv4Addr::from(from), 0)).unwrap();
        socket.connect("127.0.0.1:8080").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket.send(b"%Z").unwrap();
        socket.recv(&mut [0; 64]).is_ok()
    };
    assert!(eventually(|| ask([10, 77, 9, 1])));
    ip("addr del 10.77.9.1/24 dev lo");
    ip("route add local 10.77.9.0/24 dev lo");
    assert!(eventually(|| !ask([10, 77, 9, 1])), "the subnet is no longer one of ours");
    belfryd.stop();
    assert!(belfryd.log().contains(" access"), "{}", belfryd.log());
}

#[test]
fn ipv6_is_announced_and_answered_with_link_local_addresses() {
    if !netns::enter() {
        return;
    }
    if UdpSocket::bind("[::1]:0").is_err() {
        return println!("skipped: this host has no IPv6");
    }
    let host = Host::new();
    cable("lan", 1, &host);
    let _belfryd = Belfryd::start("");
    let group = format!("[ff02::1%{}]:8001", host.run(|| index("lan1")));
    let group: SocketAddr = group.parse().unwrap();
    // A link-local address can be used once the kernel has seen that nobody else has it.
    assert!(eventually(|| {
        let socket = host.run(|| UdpSocket::bind("[::]:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut buffer = [0; 2_048];
        socket.send_to(b"Notify", group).is_ok()
            && socket.recv_from(&mut buffer).is_ok_and(|(len, from)| {
                from.to_string().starts_with("[fe80::") && buffer[..len].starts_with(b"Acknowlege belfry/1 ")
            })
    }));
}

#[test]
fn a_discovery_program_of_a_tutorial_finds_the_server() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    let _belfryd = Belfryd::start("");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/finder.py");
    assert!(eventually(|| {
        let found = host.run(|| Command::new("python3").args([script, "10.77.1.2"]).output().unwrap());
        String::from_utf8_lossy(&found.stdout).starts_with("10.77.1.1 Acknowlege belfry/1 ")
    }));
}
