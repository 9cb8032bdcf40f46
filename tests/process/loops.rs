//! Two daemons that are each told that the other has spoken: they are silent again at once.
//!
//! The claim is made as an attacker makes it, with a raw socket and a forged source.

use crate::belfryd::{Belfryd, eventually};
use crate::netns;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The most datagrams that the two may send before there is silence.
const DATAGRAMS_MAX: u64 = 11;

/// A daemon on one address, at these ports, with no limit that would stop a loop for us.
fn config(addr: Ipv4Addr, ports: [u16; 3]) -> String {
    let [time, chat, announce] = ports;
    format!(
        "[time]\nlisten = [\"{addr}:{time}\"]\nrate-limit = \"off\"\n\
         [chat]\nlisten = [\"{addr}:{chat}\"]\nrate-limit = \"off\"\n\
         [announce]\nlisten = [\"{addr}:{announce}\"]\ninterval = \"0s\"\nrate-limit = \"off\"\n"
    )
}

/// Sends datagrams in the name of anybody: with `IPPROTO_RAW` the sender writes the IP header (raw(7)).
pub(crate) struct Forger(Socket);

impl Forger {
    pub(crate) fn new() -> Self {
        Self(Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(nix::libc::IPPROTO_RAW))).unwrap())
    }

    /// Sends a UDP datagram that says it comes from `source`.
    pub(crate) fn send(&self, source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) {
        let udp_len = u16::try_from(8 + payload.len()).unwrap();
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend(source.ip().octets());
        packet.extend(destination.ip().octets());
        packet.extend(source.port().to_be_bytes());
        packet.extend(destination.port().to_be_bytes());
        packet.extend(udp_len.to_be_bytes());
        // No UDP checksum, which IPv4 allows (RFC 768); the kernel fills in the length and checksum of the header.
        packet.extend([0, 0]);
        packet.extend(payload);
        self.0.send_to(&packet, &SocketAddr::from(destination).into()).unwrap();
    }
}

/// Sends one such datagram.
pub(crate) fn forge(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) {
    Forger::new().send(source, destination, payload);
}

/// Waits until no datagram has been sent for a while; how many have been since `before`.
fn sent_since(before: u64) -> u64 {
    let mut last = netns::udp_count("OutDatagrams");
    assert!(eventually(|| {
        std::thread::sleep(Duration::from_millis(40));
        let now = netns::udp_count("OutDatagrams");
        std::mem::replace(&mut last, now) == now
    }));
    last - before
}

/// Has each of two daemons hear `payload` from each service of the other.
fn all_pairs(ports_of_a: [u16; 3], ports_of_b: [u16; 3]) {
    let payloads: [&[u8]; 8] = [
        b"hello",
        b"hello\n",
        b"%H:%M:%S",
        b"%S %%S %%%%%%%%S %%%%%%%%%%%%%%%%S\n",
        b"? no such thing",
        b"Notify",
        b"/nick x",
        b"",
    ];
    for from in ports_of_b {
        for to in ports_of_a {
            for payload in payloads {
                // Fresh ones, that hold nobody for a member.
                let (_a, _b) = (Belfryd::start(&config(A, ports_of_a)), Belfryd::start(&config(B, ports_of_b)));
                let before = netns::udp_count("OutDatagrams");
                forge(SocketAddrV4::new(B, from), SocketAddrV4::new(A, to), payload);
                forge(SocketAddrV4::new(A, to), SocketAddrV4::new(B, from), payload);
                let sent = sent_since(before);
                let told = payload.escape_ascii();
                assert!(sent <= DATAGRAMS_MAX, "{sent} datagrams after {told} between {A}:{to} and {B}:{from}");
            }
        }
    }
}

#[test]
fn two_daemons_at_the_same_ports_do_not_talk_to_each_other() {
    if netns::enter() {
        all_pairs([8080, 9999, 8001], [8080, 9999, 8001]);
    }
}

#[test]
fn two_daemons_at_different_ports_are_silent_soon() {
    if netns::enter() {
        all_pairs([8080, 9999, 8001], [18080, 19999, 18001]);
    }
}
