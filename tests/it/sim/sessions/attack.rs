//! What others send who mean no good: forged, replayed and damaged datagrams.

use belfry::core::SplitMix;
use belfry::core::frame::SessionId;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Datagrams that are remembered, to be sent again later.
const CAPTURED_MAX: usize = 48;

/// Datagrams that somebody on the way has seen.
#[derive(Debug, Default)]
pub(super) struct Captured {
    list: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Captured {
    pub(super) fn see(&mut self, addr: SocketAddr, payload: &[u8]) {
        if self.list.len() == CAPTURED_MAX {
            self.list.pop_front();
        }
        self.list.push_back((addr, payload.to_vec()));
    }

    pub(super) fn any(&self, random: &mut SplitMix) -> Option<&(SocketAddr, Vec<u8>)> {
        let at = random.below(self.list.len().max(1) as u64);
        self.list.get(at as usize)
    }
}

/// An address that nobody has: whoever forges it would have the hub speak to somebody who never asked.
pub(super) fn victim(random: &mut SplitMix) -> SocketAddr {
    SocketAddr::from(([10, 9, 9, random.below(4) as u8], 7_000))
}

/// A frame that would do something if the session were the sender's, and a text that must not be heard.
pub(super) fn evil(random: &mut SplitMix, number: u64) -> String {
    match random.below(8) {
        0 => format!("^say {number} lobby after={} len=4^EVIL", number - 1),
        1 => "^say 18446744073709551615 after=18446744073709551614 len=4^EVIL".to_owned(),
        2 => format!("^say {number}^EVIL"),
        3 => format!("^ask {number} after={} len=10^/nick EVIL", number - 1),
        4 => "^bye^".to_owned(),
        5 => "^hb^".to_owned(),
        6 => format!("^leave {number} lobby after={}^", number - 1),
        _ => format!("^hello 1 start=EVIL name=EVIL token={:016x}^", random.next_u64()),
    }
}

/// A datagram that says it is of a session.
pub(super) fn as_session(id: SessionId, frames: &str) -> Vec<u8> {
    format!("^as {id}^{frames}").into_bytes()
}

/// The session that a captured datagram is of.
pub(super) fn session_of(payload: &[u8]) -> Option<SessionId> {
    std::str::from_utf8(payload.strip_prefix(b"^as ")?.get(..16)?).ok()?.parse().ok()
}

/// Bytes that begin like something.
pub(super) fn garbage(random: &mut SplitMix) -> Vec<u8> {
    let heads =
        ["^as ", "^hello ", "^hello 1 start=", "^as 0123456789abcdef^", "^as 0123456789abcdef^^hello 1 at=lobby/0/"];
    let mut bytes = heads[random.below(heads.len() as u64) as usize].as_bytes().to_vec();
    for _ in 0..random.below(40) {
        bytes.push(match random.below(4) {
            0 => b'^',
            1 => b' ',
            _ => random.next_u64() as u8,
        });
    }
    bytes
}

/// The same for a client, as if from the hub.
pub(super) fn garbage_for_client(random: &mut SplitMix) -> Vec<u8> {
    let frames = [
        "^bye unknown session=0123456789abcdef^",
        "^bye kicked^",
        "^token x^",
        "^msg nowhere/00000001/1 x time=1 len=1^x",
        "^ack 18446744073709551615^",
        "^error 18446744073709551615 full len=0^",
        "^at nowhere/00000001/18446744073709551615^",
        "^msg lobby/",
        "\0\0\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(3) {
        bytes.extend_from_slice(frames[random.below(frames.len() as u64) as usize].as_bytes());
    }
    (0..random.below(4)).for_each(|_| bytes.push(random.next_u64() as u8));
    bytes
}

/// Frames of a session that is up to something; nothing of it may harm anybody else.
pub(super) fn nonsense(random: &mut SplitMix, places: &[String]) -> String {
    let numbers = [0, 1, 2, random.below(50), 1_000, u64::MAX - 1, u64::MAX];
    let mut frames = String::new();
    for _ in 0..1 + random.below(6) {
        let mut number = || numbers[random.below(numbers.len() as u64) as usize];
        let (one, other, kind) = (number(), number(), number() % 12);
        let place = places.get(other as usize % places.len().max(1)).map_or("lobby/0000000a", String::as_str);
        frames += &match kind {
            0 => format!("^want {place}/{}-{}^", one.min(other), one.max(other)),
            1 => format!("^hb {place}/{one}^"),
            2 => format!("^say {one} after={other} len=8^nonsense"),
            3 => format!("^say {one} len=0^"),
            4 => format!("^join {one} room-{other}^"),
            5 => format!("^leave {one} lobby^"),
            6 => format!("^ask {one} after={other} len=8^/rooms x"),
            7 => format!("^say {one} to=member-{other} len=1^\u{1}"),
            8 => format!("^hello 1 start={one} at={place}/{other}^"),
            9 => format!("^want {place}/{one}^").repeat(9),
            10 => format!("^ack {one}^^msg {place}/{one} x time=1 len=1^x"),
            _ => "^xyzzy^".to_owned(),
        };
    }
    frames.truncate(1_000);
    frames
}
