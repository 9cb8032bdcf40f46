//! Who is let in, on real interfaces: the same address means another host on another link.

use crate::belfryd::{Belfryd, eventually, uninterrupted};
use crate::control::start;
use crate::netns::{self, Host, cable, ip};
use belfry::control::{self, Stats};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What systemd sets: a source need only be reachable, by whichever interface (RFC 3704 §2.4).
fn loosen_rp_filter() {
    for interface in ["all", "default", "lan0", "dmz0"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter"), "2");
    }
}

/// What `belfry access` prints, what it complains of, and how it ends.
fn access(control: &Path, words: &str) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    let output = command.arg("access").args(words.split(' ')).env("BELFRY_CONTROL", control).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

/// The same, when there is nothing to complain of.
fn explained(control: &Path, words: &str) -> (String, i32) {
    let (stdout, stderr, status) = access(control, words);
    assert_eq!(stderr, "", "{words}");
    (stdout, status)
}

/// Datagrams to a service that were dropped because of their source.
fn kept_out(control: &Path, service: &str) -> u64 {
    let output = Command::new(env!("CARGO_BIN_EXE_belfry"))
        .args(["ctl", "stats", "--json"])
        .env("BELFRY_CONTROL", control)
        .output()
        .unwrap();
    let stats: Stats = control::parse_outcome(std::str::from_utf8(&output.stdout).unwrap()).unwrap().unwrap();
    let counts = stats.services.iter().find(|counts| counts.service == service).unwrap();
    counts.dropped["access"]
}

/// A socket on a host, at one of its addresses.
fn socket(host: &Host, addr: &str) -> UdpSocket {
    let addr: std::net::IpAddr = addr.parse().unwrap();
    let socket = host.run(|| UdpSocket::bind((addr, 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn ask(socket: &UdpSocket, question: &str, server: &str) -> String {
    let mut buffer = [0; 2_048];
    socket.send_to(question.as_bytes(), server.parse::<SocketAddr>().unwrap()).unwrap();
    let len = uninterrupted(|| socket.recv(&mut buffer)).expect("an answer");
    String::from_utf8_lossy(&buffer[..len]).into_owned()
}

const SERVICES: [(&str, u16, &str); 3] = [("time", 8080, "%Z"), ("chat", 9999, "^hb^"), ("announce", 8001, "Notify")];

#[test]
fn a_source_that_is_on_link_by_one_interface_is_a_stranger_on_another() {
    if !netns::enter() {
        return;
    }
    let (neighbour, forger) = (Host::new(), Host::new());
    cable("lan", 1, &neighbour);
    cable("dmz", 2, &forger);
    loosen_rp_filter();
    let has_v6 = UdpSocket::bind("[::1]:0").is_ok();
    let mut pairs = vec![("10.77.1.2", "10.77.1.7", "10.77.1.1", "10.77.2.2", "10.77.2.1")];
    if has_v6 {
        pairs.push(("[fd77:1::2]", "[fd77:1::7]", "[fd77:1::1]", "[fd77:2::2]", "[fd77:2::1]"));
        ip("addr add fd77:1::1/64 dev lan0 nodad");
        ip("addr add fd77:2::1/64 dev dmz0 nodad");
        neighbour.run(|| ip("addr add fd77:1::2/64 dev lan1 nodad"));
        forger.run(|| ["fd77:2::2/64", "fd77:1::7/128"].map(|addr| ip(&format!("addr add {addr} dev dmz1 nodad"))));
    }
    forger.run(|| ip("addr add 10.77.1.7/32 dev dmz1"));
    let (_belfryd, control) = start("[time]\ntimezone = \"UTC\"\n");
    let bare = |addr: &str| addr.trim_matches(['[', ']']).to_owned();
    for (there, forged, here, of_forger, to_forger) in pairs {
        // Each at its own end is a neighbour, to the very address that is asked below.
        assert_eq!(ask(&socket(&neighbour, &bare(there)), "%Z", &format!("{here}:8080")), "UTC");
        assert_eq!(ask(&socket(&forger, &bare(of_forger)), "%Z", &format!("{to_forger}:8080")), "UTC");
        let liar = socket(&forger, &bare(forged));
        for (service, port, question) in SERVICES {
            let before = kept_out(&control, service);
            liar.send_to(question.as_bytes(), format!("{to_forger}:{port}").parse::<SocketAddr>().unwrap()).unwrap();
            assert!(eventually(|| kept_out(&control, service) == before + 1), "{forged} and {service}");
            let (said, status) = explained(&control, &format!("{forged} --interface dmz0 --service {service}"));
            assert!(status == 1 && said.ends_with(" lets it in; it is not on-link\n"), "{said}");
        }
        let (said, status) = explained(&control, &format!("{forged} --interface lan0"));
        assert!(status == 0 && said.lines().count() == 5, "{said}");
    }
    // By way of a group too.
    let before = kept_out(&control, "announce");
    let liar = socket(&forger, "10.77.1.7");
    liar.send_to(b"Notify", "224.0.0.1:8001").unwrap();
    assert!(eventually(|| kept_out(&control, "announce") == before + 1));
}

#[test]
fn a_host_that_asks_itself_is_let_in_by_whichever_of_its_addresses() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    cable("dmz", 2, &host);
    ip("addr add 10.77.9.9/32 dev dmz0");
    let has_v6 = UdpSocket::bind("[::1]:0").is_ok();
    if has_v6 {
        ip("addr add fd77:1::1/64 dev lan0 nodad");
    }
    let _belfryd = Belfryd::start("[time]\ntimezone = \"UTC\"\n");
    let addrs = ["127.0.0.1", "10.77.1.1", "10.77.2.1", "10.77.9.9", "[::1]", "[fd77:1::1]"];
    for addr in addrs.iter().filter(|addr| has_v6 || !addr.starts_with('[')) {
        let client = crate::belfryd::Client::to(format!("{addr}:8080").parse().unwrap());
        assert_eq!(client.ask("%Z"), "UTC", "{addr}");
    }
    // The kernel says of these that they arrive on the interface of the address that is asked.
    for (from, to) in
        [("10.77.1.1", "10.77.2.1:8080"), ("127.0.0.1", "10.77.1.1:8080"), ("10.77.9.9", "127.0.0.1:8080")]
    {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(ask(&socket, "%Z", to), "UTC", "{from} to {to}");
    }
}

#[test]
fn the_other_end_of_a_point_to_point_link_is_on_link() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    host.run(|| {
        ip("addr add 10.9.0.2 peer 10.9.0.1/32 dev lan1");
        ip("addr add 10.9.0.3/32 dev lan1");
    });
    ip("addr add 10.9.0.1 peer 10.9.0.2/32 dev lan0");
    ip("route add 10.9.0.3/32 dev lan0");
    let (_belfryd, control) = start("[time]\ntimezone = \"UTC\"\n");
    assert_eq!(ask(&socket(&host, "10.9.0.2"), "%Z", "10.9.0.1:8080"), "UTC");
    socket(&host, "10.9.0.3").send_to(b"%Z", "10.9.0.1:8080").unwrap();
    assert!(eventually(|| kept_out(&control, "time") == 1), "a route makes nobody on-link");
}

#[test]
fn a_stranger_that_is_let_in_is_told_where_the_services_are_but_not_by_way_of_a_group() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    host.run(|| ip("addr add 203.0.113.9/32 dev lan1"));
    ip("route add 203.0.113.0/24 via 10.77.1.2 dev lan0");
    let (_belfryd, control) = start("[announce]\nallow = [\"203.0.113.0/24\"]\n");
    let stranger = socket(&host, "203.0.113.9");
    let answer = ask(&stranger, "Notify", "10.77.1.1:8001");
    assert!(answer.starts_with("Acknowlege belfry/1 ") && answer.contains(" time=8080 chat=9999 "), "{answer}");
    assert!(answer.len() <= 84 + 3 * "Notify".len(), "{answer}");
    stranger.send_to(b"Notify", "224.0.0.1:8001").unwrap();
    assert!(eventually(|| kept_out(&control, "announce") == 1));
    stranger.send_to(b"%Z", "10.77.1.1:8080").unwrap();
    assert!(eventually(|| kept_out(&control, "time") == 1), "it is let in to one service alone");
}

#[test]
fn the_explanation_follows_the_interfaces_and_the_configuration_as_the_answers_do() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    let config = "[access]\ndeny = [\"10.77.1.66\"]\n[announce]\nenabled = false\n";
    let (belfryd, control) = start(config);
    let by_on_link = "is let in by \"on-link\" in [access] allow: it is in";
    let said = |words: &str| explained(&control, words);
    let time = |rest: &str| format!("time: {rest}\n");
    assert_eq!(
        said("10.77.1.2:40001 --service time"),
        (time(&format!("10.77.1.2 {by_on_link} 10.77.1.0/24 of lan0")), 0)
    );
    assert_eq!(said("[::1]:9 --service time"), (time(&format!("::1 {by_on_link} ::1/128")), 0));
    assert_eq!(said("fe80::7%lan0 --service time"), (time(&format!("fe80::7 on lan0 {by_on_link} fe80::/10")), 0));
    let denied = "10.77.1.66 is kept out by \"10.77.1.66\" in [access] deny; it is on-link, in 10.77.1.0/24 of lan0";
    let off = format!(
        "time: {denied}\nntp (switched off): {denied}\nannounce (switched off): {denied}\n\
         echo (switched off): {denied}\nchat: {denied}\n"
    );
    assert_eq!(said("10.77.1.66"), (off, 1));

    ip("addr del 10.77.1.1/24 dev lan0");
    let nobody = "10.77.1.2 is kept out: no rule in [access] allow or [time] allow lets it in; it is not on-link";
    assert!(eventually(|| said("10.77.1.2 --service time") == (time(nobody), 1)));
    ip("addr add 10.77.3.1/24 dev lan0");
    assert!(eventually(|| said("10.77.3.2 --service time").1 == 0));

    belfryd.reload("[chat]\nallow = [\"10.77.1.0/24\"]\n");
    let by_rule = "10.77.1.66 is let in by \"10.77.1.0/24\" in [chat] allow; it is not on-link, so the room speaks to it when \
                   it has shown that it gets answers";
    assert_eq!(said("10.77.1.66 --service chat"), (format!("chat: {by_rule}\n"), 0));
    assert_eq!(said("10.77.1.66").1, 1, "the others keep it out");

    let answer: control::Access = {
        let (line, _) = said("10.77.1.66 --service chat --json");
        control::parse_outcome(&line).unwrap().unwrap()
    };
    assert_eq!(answer.decisions[0].place.as_deref(), Some("[chat] allow"));
    assert_eq!(access(&control, "10.77.1.66 --interface eth9").2, 1);
    assert_eq!(access(&control, "here").2, 64);
    assert_eq!(access(&control, "fe80::7%lan0 --interface lo").2, 64);
    let nowhere = control.with_file_name("nowhere");
    let (stdout, stderr, status) = access(&nowhere, "::1");
    assert_eq!((stdout.as_str(), status), ("", 1));
    assert!(stderr.ends_with(": belfryd does not run here, or without a control socket\n"), "{stderr}");
}
