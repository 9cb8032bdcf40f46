//! Who takes part in a simulation, what they mean to say, and the bytes that say it.

use super::model::Intent;
use belfry::core::SplitMix;
use std::net::SocketAddr;
use std::time::Duration;

/// How somebody behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A heartbeat every three seconds, a text now and then.
    Beater,
    /// Says one thing and listens.
    Listener,
    /// A person at a terminal.
    Terminal,
    /// A program that uses everything.
    Bot,
    /// Sends what no client sends, and much of it.
    Hostile,
    /// Sends back what it gets.
    Echo,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) manner: Manner,
    /// Whether its process is gone: it sends nothing, and its host says that the port is closed.
    pub(crate) crashed: bool,
    /// The last line it got.
    pub(crate) got: Option<String>,
    spoken: bool,
}

/// Pieces of text: what is sent, and what must be seen.
const PIECES: [(&str, &str); 10] = [
    ("hello", "hello"),
    ("ä🕰", "ä🕰"),
    ("\x1b[2J", "?[2J"),
    ("\u{202e}\u{200f}", "??"),
    ("a\r\nb", "a\n\tb"),
    ("one\ntwo\nthree", "one\n\ttwo\n\tthree"),
    ("null\0inside", "null?inside"),
    ("quit ^hb^ /who", "quit ^hb^ /who"),
    ("a: b", "a: b"),
    ("\u{9b}\u{7f}", "??"),
];

/// Names that people quarrel about; some are the automatic names of others.
const NAMES: [&str; 7] = ["anna", "Anna", "bob", "x", "10.0.0.1-5000", "10.0.0.2-5000-2", "Änne"];

const ROOMS: [&str; 4] = ["lobby", "lab", "kitchen", "a"];

impl Client {
    pub(crate) fn new(number: u64, hosts: u64, random: &mut SplitMix) -> Self {
        let (host, port) = (number % hosts + 1, (5_000 + number / hosts) as u16);
        let addr = match random.below(4) {
            0 => SocketAddr::from(([0x2001, 0xdb8, 0, (host % 3) as u16, 0, 0, 0, host as u16], port)),
            _ => SocketAddr::from(([10, 0, (host >> 8) as u8, host as u8], port)),
        };
        let manner = match random.below(16) {
            0..5 => Manner::Beater,
            5..7 => Manner::Listener,
            7..11 => Manner::Terminal,
            11..14 => Manner::Bot,
            14 => Manner::Hostile,
            _ => Manner::Echo,
        };
        Self { addr, manner, crashed: false, got: None, spoken: false }
    }

    /// What it says next and whether with a newline, and how long it then waits.
    pub(crate) fn act(&mut self, random: &mut SplitMix, serial: u64) -> (Option<(Intent, bool)>, Duration) {
        let first = !std::mem::replace(&mut self.spoken, true);
        let pause = |random: &mut SplitMix, millis| Duration::from_millis(1 + random.below(millis));
        match self.manner {
            Manner::Beater if random.below(4) == 0 => (Some((text(random, serial), false)), pause(random, 3_000)),
            Manner::Beater if random.below(30) == 0 => (Some((Intent::Quit, false)), pause(random, 30_000)),
            Manner::Beater => (Some((Intent::Heartbeat, false)), Duration::from_secs(3)),
            Manner::Listener if first => (Some((text(random, serial), false)), Duration::from_secs(60)),
            Manner::Listener => (None, Duration::from_secs(60)),
            Manner::Terminal => (Some((anything(random, serial), random.below(20) > 0)), pause(random, 20_000)),
            Manner::Bot => (Some((anything(random, serial), random.below(8) == 0)), pause(random, 15_000)),
            Manner::Hostile => (Some((hostile(random, serial), random.below(2) == 0)), pause(random, 1_000)),
            Manner::Echo => match self.got.take() {
                Some(line) => (Some((Intent::Returned(line), random.below(2) == 0)), pause(random, 300)),
                None => (first.then_some((Intent::Nothing, false)), pause(random, 300)),
            },
        }
    }
}

fn one<'a>(random: &mut SplitMix, of: &[&'a str]) -> &'a str {
    of[random.below(of.len() as u64) as usize]
}

fn text(random: &mut SplitMix, serial: u64) -> Intent {
    let (mut sent, mut shown) = (format!("#{serial}"), format!("#{serial}"));
    for _ in 0..random.below(3) {
        let (raw, seen) = PIECES[random.below(PIECES.len() as u64) as usize];
        sent += &format!(" {raw}");
        shown += &format!(" {seen}");
    }
    if random.below(50) == 0 {
        let filling = "f".repeat(1_024 - sent.len());
        sent += &filling;
        shown += &filling;
    }
    Intent::Text(sent, shown)
}

fn anything(random: &mut SplitMix, serial: u64) -> Intent {
    match random.below(32) {
        0..8 => text(random, serial),
        8 => Intent::Me(format!("waves #{serial}")),
        9..12 => Intent::Message(one(random, &NAMES).to_owned(), format!("psst #{serial}")),
        12..15 => Intent::Nick(one(random, &NAMES).to_owned()),
        15..18 => Intent::Join(one(random, &ROOMS).to_owned()),
        18 => Intent::Topic(format!("topic #{serial}")),
        19 => Intent::Away,
        20 => Intent::KeepHistory(random.below(2) == 0),
        21 => Intent::History,
        22 => Intent::Who,
        23 => Intent::Rooms,
        24 => Intent::WhoAmI,
        25 => Intent::Heartbeat,
        26 => Intent::Nothing,
        27 => Intent::Help,
        28 => Intent::Quit,
        _ => hostile(random, serial),
    }
}

fn hostile(random: &mut SplitMix, serial: u64) -> Intent {
    match random.below(10) {
        0 => Intent::NotUtf8,
        1 => Intent::TooLong,
        2 => Intent::Truncated,
        3 => Intent::Frame,
        4 => Intent::UnknownCommand,
        5 => Intent::BadNick,
        6 => Intent::Nick(one(random, &NAMES).to_owned()),
        7 => Intent::Quit,
        8 => Intent::Nothing,
        _ => text(random, serial),
    }
}

/// The bytes that say it.
pub(crate) fn payload(intent: &Intent, newline: bool, serial: u64) -> Vec<u8> {
    let mut bytes = match intent {
        Intent::Heartbeat => b"^hb^".to_vec(),
        Intent::Nothing => [&b""[..], b" ", b"\t"][serial as usize % 3].to_vec(),
        Intent::Quit => [&b"quit"[..], b"/quit", b"/QUIT now"][serial as usize % 3].to_vec(),
        Intent::Help => b"/help".to_vec(),
        Intent::Text(sent, _) => sent.clone().into_bytes(),
        Intent::Me(text) => format!("/me {text}").into_bytes(),
        Intent::Message(to, text) => format!("/msg {to} {text}").into_bytes(),
        Intent::Nick(name) => format!("/nick {name}").into_bytes(),
        Intent::BadNick => {
            [&b"/nick -"[..], b"/nick a b", b"/nick a\x1bb", b"/nick ^hb^"][serial as usize % 4].to_vec()
        }
        Intent::Join(room) => format!("/join {room}").into_bytes(),
        Intent::Topic(text) => format!("/topic {text}").into_bytes(),
        Intent::Away => [&b"/away"[..], b"/away for \x1btea"][serial as usize % 2].to_vec(),
        Intent::KeepHistory(keep) => [&b"/history off"[..], b"/history on"][usize::from(*keep)].to_vec(),
        Intent::History => [&b"/history"[..], b"/history 1000", b"/history 1"][serial as usize % 3].to_vec(),
        Intent::Who => b"/who".to_vec(),
        Intent::Rooms => b"/rooms".to_vec(),
        Intent::WhoAmI => b"/nick".to_vec(),
        Intent::UnknownCommand => {
            [&b"/"[..], b"/xyzzy", b"/nik anna", b"/msg", b"/history 0"][serial as usize % 5].to_vec()
        }
        Intent::Frame => b"^tell 0 anna^".to_vec(),
        Intent::NotUtf8 => [&b"\xff"[..], b"caf\xe9", b"/nick \xc3", b"\xf0\x9f\x95"][serial as usize % 4].to_vec(),
        Intent::TooLong => vec![b'z'; 1_025 + serial as usize % 3_000],
        Intent::Truncated => b"only the beginning of".to_vec(),
        Intent::Returned(line) => line.clone().into_bytes(),
    };
    if newline {
        bytes.extend_from_slice([&b"\n"[..], b"\r\n", b"\n\0\0"][serial as usize % 3]);
    } else if serial.is_multiple_of(5) {
        bytes.extend_from_slice(b"\0\0\0");
    }
    bytes
}
