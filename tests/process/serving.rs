//! What a running daemon answers, and from where.

use crate::belfryd::{Belfryd, Client, PATIENCE, QUIET, eventually};
use crate::netns::{self, Host, cable};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

#[test]
fn a_format_is_answered_with_the_time_and_a_newline_with_a_newline() {
    let belfryd = Belfryd::start(QUIET);
    let client = belfryd.client("time");
    let before = jiff::Timestamp::now().as_second();
    let told: i64 = client.ask("%s").parse().expect("a number");
    let after = jiff::Timestamp::now().as_second();
    assert!((before..=after).contains(&told), "{before} <= {told} <= {after}");
    assert_eq!(client.ask("100%%, %Z\n"), "100%, UTC\n");
    assert_eq!(client.ask("").len(), "2026-11-21 09:26:09".len());
    assert!(client.ask("%Q!").starts_with("? "));
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let config = QUIET.replace("127.0.0.1:0", "0.0.0.0:0");
    let belfryd = Belfryd::start(&config);
    for service in ["time", "chat"] {
        let port = belfryd.addr(service).port();
        let asked = SocketAddr::from(([127, 0, 0, 77], port));
        // A connected socket hears only the address that it is connected to.
        assert!(Client::to(asked).ask("%Z").ends_with(if service == "time" { "UTC" } else { ": %Z" }));
    }
}

#[test]
fn ipv6_is_served_beside_ipv4_at_the_same_port() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return println!("skipped: this host has no IPv6");
    }
    let belfryd = Belfryd::start(&QUIET.replacen("\"127.0.0.1:0\"", "\"[::]:0\"", 1));
    let port = belfryd.addr("time").port();
    assert_eq!(Client::to(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))).ask("%Z"), "UTC");
    let _ipv4_is_free = UdpSocket::bind(("0.0.0.0", port)).expect("an IPv6 socket is for IPv6 only");
}

#[test]
fn what_one_says_reaches_the_room_once_for_each_in_its_way() {
    let belfryd = Belfryd::start(QUIET);
    let (anna, bob) = (belfryd.client("chat"), belfryd.client("chat"));
    assert!(anna.ask("\n").starts_with("-- Welcome to "));
    bob.send("^hb^");
    assert_eq!(anna.receive(), format!("-- localhost-{} has joined\n", bob.port()));
    assert_eq!(bob.ask("hello"), format!("localhost-{}: hello", bob.port()));
    assert_eq!(anna.receive(), format!("localhost-{}: hello\n", bob.port()));
    assert_eq!((anna.waiting(), bob.waiting()), (vec![], vec![]));
}

#[test]
fn a_member_whose_port_is_closed_is_gone_after_two_messages() {
    let belfryd = Belfryd::start(QUIET);
    let (anna, bob) = (belfryd.client("chat"), belfryd.client("chat"));
    anna.ask("^hb^\n");
    let name = format!("localhost-{}", bob.port());
    bob.ask("hello");
    assert_eq!(anna.receive(), format!("-- {name} has joined\n"));
    assert_eq!(anna.receive(), format!("{name}: hello\n"));
    drop(bob);
    anna.ask("one");
    assert!(anna.ask("/who").contains(&name), "one strike is not enough");
    anna.ask("two");
    assert_eq!(anna.receive(), format!("-- {name} has closed its port\n"));
    assert!(!anna.ask("/who").contains(&name));
}

#[test]
fn a_dead_member_does_not_cost_a_living_one_its_message() {
    let belfryd = Belfryd::start(QUIET);
    let living: Vec<_> = (0..20).map(|_| belfryd.client("chat")).collect();
    let dead: Vec<_> = (0..20).map(|_| belfryd.client("chat")).collect();
    for (living, dead) in living.iter().zip(&dead) {
        dead.send("^hb^");
        living.send("^hb^");
        living.ask("/nick");
    }
    drop(dead);
    living[0].send("one");
    living[0].send("two");
    for client in &living {
        assert!(client.receive().ends_with(": one"));
        assert!(client.receive().ends_with(": two"));
    }
    assert!(eventually(|| living[0].ask("/who").starts_with("-- 20 in lobby")));
}

#[test]
fn a_datagram_longer_than_any_buffer_is_refused_and_not_relayed() {
    let belfryd = Belfryd::start(QUIET);
    let (anna, bob) = (belfryd.client("chat"), belfryd.client("chat"));
    anna.send("^hb^");
    bob.send("^hb^");
    for len in [1_025, 16_384, 16_385, 60_000] {
        let asked = belfryd.client("chat").ask(vec![b'x'; len]);
        assert_eq!(asked, "? a message has at most 1024 bytes", "{len}");
    }
    assert_eq!(bob.ask(vec![b'x'; 1_024]).len(), 1_024 + format!("localhost-{}: ", bob.port()).len());
    assert_eq!(belfryd.client("time").ask(vec![b'%'; 20_000]).get(..2), Some("? "));
    assert_eq!(anna.waiting().len(), 1);
}

#[test]
fn the_service_manager_hears_the_watchdog_and_how_many_are_there() {
    let belfryd = Belfryd::start_with(QUIET, |command| {
        command.env("WATCHDOG_USEC", "400000");
    });
    belfryd.wait_for_notification("WATCHDOG=1");
    let client = belfryd.client("chat");
    client.ask("hello");
    assert!(belfryd.wait_for_notification("STATUS=1 member in 1 room, clock ").contains("synchronised"));
    belfryd.wait_for_notification("WATCHDOG=1");
}

#[test]
fn sigterm_and_sigint_end_it_with_status_0() {
    for signal in [nix::sys::signal::SIGTERM, nix::sys::signal::SIGINT] {
        let mut belfryd = Belfryd::start(QUIET);
        belfryd.signal(signal);
        belfryd.wait_for_notification("STOPPING=1");
        belfryd.wait_for_log(signal.as_str());
        assert!(belfryd.stop_status().success());
    }
}

#[test]
fn a_daemon_that_was_stopped_hears_what_waited_before_it_holds_anybody_for_silent() {
    let config = format!("{QUIET}\n").replace(
        "[chat]",
        "[chat]\nheartbeat-interval = \"200ms\"\nheartbeat-timeout = \"1s\"\nsilent-timeout = \"1h\"",
    );
    let belfryd = Belfryd::start(&config);
    let client = belfryd.client("chat");
    client.send("^hb^");
    client.ask("/nick anna");
    belfryd.signal(nix::sys::signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(2_500));
    client.send("^hb^");
    belfryd.signal(nix::sys::signal::SIGCONT);
    assert_eq!(client.ask("/nick"), "-- You are anna in lobby.");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_ne!(client.ask("/nick"), "-- You are anna in lobby.", "silence is still noticed");
}

#[test]
fn nobody_can_close_the_port_of_another() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    let _belfryd = Belfryd::start("");
    host.run(|| netns::ip("addr add 10.77.1.3/24 dev lan1"));
    let client = |addr: &str| {
        let client = Client(host.run(|| UdpSocket::bind(addr).unwrap()));
        client.0.connect("10.77.1.1:9999").unwrap();
        client.0.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    };
    let anna = client("10.77.1.3:0");
    anna.ask("/nick anna");
    // What 10.77.1.2 says of a datagram from the hub to anna: destination unreachable, port (RFC 792).
    let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0];
    message.extend([10, 77, 1, 1, 10, 77, 1, 3]);
    message.extend(9_999_u16.to_be_bytes());
    message.extend(anna.port().to_be_bytes());
    message.extend([0, 13, 0, 0]);
    let sum: u32 = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let liar = host.run(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap());
    liar.bind(&SocketAddr::from(([10, 77, 1, 2], 0)).into()).unwrap();
    for _ in 0..4 {
        liar.send_to(&message, &SocketAddr::from(([10, 77, 1, 1], 0)).into()).unwrap();
    }
    let bob = client("10.77.1.2:0");
    assert!(bob.ask("/who").contains("anna"), "she is still there");
    bob.send("hello");
    assert!(anna.receive().ends_with(": hello"));
}
