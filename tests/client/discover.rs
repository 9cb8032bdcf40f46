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
    let server = Server::on(group(), |question| {
        assert_eq!(question, "Notify");
        ["Acknowlege belfry/1 host=tower time=8080 chat=9999 heartbeat=3s", "hello"].map(str::to_owned).to_vec()
    });
    let stdout = "127.0.0.1        tower            time 8080, chat 9999\n";
    assert_eq!(discover(server.addr.port(), &["--timeout", "500ms"]), ended(stdout, "", 0));
    assert_eq!(server.got(), ["Notify", "Notify"]);
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
    assert_eq!(outcome, ended("127.0.0.1        -                -\n", "", 0));
    let padded = format!("{:\0<18}", "Notify");
    assert_eq!(server.got(), [padded], "so that a server to which it is a stranger may tell all");
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
