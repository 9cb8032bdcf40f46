//! `belfry discover` in a network of the test's own.

use crate::common::netns;
use crate::{Server, ended, outcome};
use socket2::{Domain, InterfaceIndexOrAddress, SockRef, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;

/// A socket in the group on the loopback interface.
fn group() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).unwrap();
    let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
    socket.join_multicast_v4_n(&Ipv4Addr::new(224, 0, 0, 1), &InterfaceIndexOrAddress::Index(loopback)).unwrap();
    SockRef::from(&socket).set_multicast_all_v4(false).unwrap();
    socket.into()
}

/// The question to a host alone.
const PADDED: &str = "Notify\0\0\0\0\0\0\0\0\0\0\0\0";

fn discover(port: u16, words: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.args(["discover", "--interface", "lo", "--port", &port.to_string()]).args(words);
    outcome(command.output().unwrap())
}

#[test]
fn discover_prints_a_line_for_each_server_that_answers_the_group() {
    if !netns::enter() {
        return;
    }
    let server = Server::on(group(), |_| {
        ["Acknowlege belfry/1 host=tower time=8080 chat=9999 heartbeat=3s", "hello"].map(str::to_owned).to_vec()
    });
    let (stdout, stderr, status) = discover(server.addr.port(), &["--timeout", "500ms"]);
    let (listed, round_trip) = stdout.trim_end().rsplit_once("  ").unwrap();
    assert_eq!((listed, stderr.as_str(), status), ("tower  127.0.0.1  time 8080, chat 9999  -  3s", "", 0));
    assert!(round_trip.ends_with(" ms"), "{stdout}");
    assert_eq!(server.got(), ["Notify", PADDED, "Notify"], "whoever answers the group is asked alone");
}

#[test]
fn discover_ends_in_time_and_lists_no_end_of_servers_however_many_answers_come() {
    if !netns::enter() {
        return;
    }
    let server = Server::on(group(), |_| (1..=20_000).map(|port| format!("Acknowlege belfry/1 time={port}")).collect());
    let (stdout, stderr, status) = discover(server.addr.port(), &["--timeout", "300ms"]);
    assert_eq!((stderr.as_str(), status), ("", 0));
    assert!((1..=1_024).contains(&stdout.lines().count()), "{}", stdout.lines().count());
}

#[test]
fn discover_asks_the_server_that_is_named_as_well() {
    if !netns::enter() {
        return;
    }
    let server = Server::start(|_| vec!["Acknowlege\0".to_owned()]);
    let addr = server.addr.to_string();
    let outcome = discover(1, &["--timeout", "200ms", "--server", &addr]);
    assert!(outcome.0.starts_with("-  127.0.0.1  -  -  -  ") && outcome.2 == 0, "{outcome:?}");
    assert_eq!(server.got(), [PADDED], "so that a server to which it is a stranger may tell all");
}

#[test]
fn discover_gives_hints_when_nobody_answers() {
    if !netns::enter() {
        return;
    }
    let group = group();
    let (stdout, stderr, status) = discover(group.local_addr().unwrap().port(), &["--timeout", "200ms"]);
    assert_eq!((stdout.as_str(), status), ("", 2));
    assert!(stderr.starts_with("belfry: nobody answered within 200ms\n  Is belfryd running"), "{stderr}");
    let (_, stderr, status) = discover(1, &["--interface", "nowhere"]);
    assert_eq!((stderr.lines().last().unwrap_or_default().is_empty(), status), (false, 64), "{stderr}");
}

#[test]
fn discover_prints_objects_for_programs() {
    if !netns::enter() {
        return;
    }
    let server = Server::on(group(), |_| vec!["Acknowlege belfry/1 host=tower time=8080".to_owned()]);
    let (stdout, _, status) = discover(server.addr.port(), &["--timeout", "200ms", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((found["name"].as_str(), found["address"].as_str()), (Some("tower"), Some("127.0.0.1")));
    assert_eq!((found["services"]["time"].as_u64(), status), (Some(8080), 0));
}

#[test]
fn discover_says_that_nobody_listens_where_it_was_sent() {
    if !netns::enter() {
        return;
    }
    let outcome = discover(1, &["--timeout", "200ms", "--server", "127.0.0.1"]);
    assert_eq!(outcome, ended("", "belfry: nobody listens on 127.0.0.1:1/udp\n", 1));
}

#[test]
fn discover_tells_of_each_interface_what_was_sent_and_heard() {
    if !netns::enter() {
        return;
    }
    netns::ip("link add quiet type veth peer name other");
    netns::ip("link set other up");
    netns::ip("addr add 192.0.2.1/24 dev quiet");
    netns::ip("link set quiet multicast off up");
    netns::ip("link add idle type veth peer name idler");
    let server = Server::on(group(), |_| vec!["Acknowlege belfry/1 host=tower".to_owned()]);
    let port = server.addr.port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    let output = command.args(["discover", "-v", "--timeout", "100ms", "--port", &port.to_string()]).output().unwrap();
    let (_, stderr, status) = outcome(output);
    assert_eq!(status, 0, "{stderr}");
    let asked = format!("belfry: lo: asked 224.0.0.1:{port} from 127.0.0.1 once; heard tower (127.0.0.1)");
    for line in [
        asked.as_str(),
        "belfry: quiet: not asked: it takes no multicast",
        "belfry: idle: not asked: it is down, or has no carrier",
    ] {
        assert!(stderr.lines().any(|told| told == line), "{line}: {stderr}");
    }
}
