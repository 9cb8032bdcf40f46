//! SIGHUP: the good configuration is applied, the bad one changes nothing, and nobody has to leave the room.

use crate::belfryd::{Belfryd, Client, QUIET, eventually};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, UdpSocket};

#[test]
fn a_reload_changes_settings_and_everybody_stays() {
    let belfryd = Belfryd::start(QUIET);
    let (clock, anna) = (belfryd.client("time"), belfryd.client("chat"));
    anna.ask("/nick anna");
    let config = QUIET
        .replace("[time]", "[time]\ndefault-format = \"belfry %%%Z\"")
        .replace("[chat]", "[chat]\nmax-message = 5");
    belfryd.reload(&config);
    assert_eq!(clock.ask(""), "belfry %UTC");
    assert_eq!(anna.ask("hello"), "anna: hello");
    assert_eq!(anna.ask("hello!"), "? a message has at most 5 bytes");
}

#[test]
fn whoever_may_not_speak_any_more_hears_nothing_either() {
    let belfryd = Belfryd::start(QUIET);
    let anna = belfryd.client("chat");
    anna.ask("/nick anna");
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.connect(belfryd.addr("chat")).unwrap();
    let bob = Client(socket);
    bob.send("/nick bob");
    assert!(eventually(|| anna.ask("/who") == "-- 2 in lobby: anna, bob"));
    belfryd.reload(&format!("{QUIET}\n[access]\ndeny = [\"127.0.0.2\"]\n"));
    assert_eq!(anna.ask("/who"), "-- 1 in lobby: anna");
    assert_eq!(anna.ask("is he?"), "anna: is he?");
    assert_eq!(bob.waiting(), ["-- You are bob now."]);
}

#[test]
fn a_bad_configuration_is_told_in_the_log_and_the_old_one_stays() {
    let belfryd = Belfryd::start(QUIET);
    let (clock, anna) = (belfryd.client("time"), belfryd.client("chat"));
    anna.ask("/nick anna");
    belfryd.reload("[chat]\nmax-mesage = 5\n");
    belfryd.wait_for_log("max-mesage");
    belfryd.wait_for_log("the old configuration stays in force");
    assert_eq!(clock.ask("%Z"), "UTC");
    assert_eq!(anna.ask("/nick"), "-- You are anna in lobby.");
}

#[test]
fn a_port_that_is_in_use_leaves_everything_as_it_was() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let belfryd = Belfryd::start(QUIET);
    let clock = belfryd.client("time");
    let addr = taken.local_addr().unwrap();
    belfryd.reload(&QUIET.replacen("127.0.0.1:0", &addr.to_string(), 1));
    belfryd.wait_for_log(&format!("cannot bind time {addr}: address already in use"));
    assert_eq!(clock.ask("%Z"), "UTC");
}

#[test]
fn a_service_moves_to_another_port_and_can_be_switched_off_and_on() {
    let belfryd = Belfryd::start(QUIET);
    let (old, anna) = (belfryd.client("time"), belfryd.client("chat"));
    anna.ask("hello");
    let moved = QUIET.replacen("127.0.0.1:0", "127.0.0.2:0", 1);
    belfryd.reload(&moved);
    belfryd.wait_for_log("time no longer listens on 127.0.0.1:");
    assert_eq!(belfryd.client("time").ask("%Z"), "UTC");
    old.send("%Z");
    assert!(old.0.recv(&mut [0; 64]).is_err(), "the port is closed");
    assert!(anna.ask("still here").ends_with(": still here"));

    belfryd.reload(&moved.replace("[chat]", "[chat]\nenabled = false"));
    anna.send("hello");
    assert!(anna.0.recv(&mut [0; 64]).is_err(), "the port is closed");
    belfryd.reload(&moved);
    assert!(belfryd.client("chat").ask("back").ends_with(": back"));
}

#[test]
fn sockets_that_the_reload_closes_are_not_in_the_way_of_those_that_it_opens() {
    let belfryd = Belfryd::start(QUIET);
    let (time, chat) = (belfryd.addr("time"), belfryd.addr("chat"));
    let everywhere = SocketAddr::from(([0, 0, 0, 0], time.port()));
    belfryd.reload(&QUIET.replacen("127.0.0.1:0", &everywhere.to_string(), 1));
    assert_eq!(Client::to(SocketAddr::from(([127, 0, 0, 2], time.port()))).ask("%Z"), "UTC");

    let swapped = QUIET.replacen("127.0.0.1:0", &chat.to_string(), 1).replacen("127.0.0.1:0", &time.to_string(), 1);
    belfryd.reload(&swapped);
    assert_eq!(Client::to(chat).ask("%Z"), "UTC");
    assert!(Client::to(time).ask("%Z").ends_with(": %Z"));

    let thief = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    thief.set_reuse_address(true).unwrap();
    for addr in [time, chat] {
        assert_eq!(
            thief.bind(&addr.into()).unwrap_err().kind(),
            std::io::ErrorKind::AddrInUse,
            "the port is ours alone"
        );
    }
}

#[test]
fn a_socket_that_widens_takes_its_members_along() {
    let belfryd = Belfryd::start(QUIET);
    let addr = belfryd.addr("chat");
    let anna = belfryd.client("chat");
    anna.ask("/nick anna");
    let at = |ip: &str| {
        QUIET.replace("[chat]\nlisten = [\"127.0.0.1:0\"]", &format!("[chat]\nlisten = [\"{ip}:{}\"]", addr.port()))
    };
    belfryd.reload(&at("127.0.0.1"));
    assert_eq!(anna.ask("/nick"), "-- You are anna in lobby.", "it stays the same address");
    belfryd.reload(&at("0.0.0.0"));
    let bob = belfryd.client("chat");
    bob.ask("/nick bob");
    bob.send("hello");
    assert_eq!(anna.receive(), "bob: hello");
    assert_eq!(anna.ask("/nick"), "-- You are anna in lobby.");
}
