//! How much comes out of each service for what goes in, at the most: before somebody has shown to be there, and after.
//!
//! Counted in Ethernet frames, as RFC 9175 §2.4 does: 42 bytes of headers with each datagram. docs/THREATS.md has the table; here
//! it is held to what generated datagrams bring forth, so that no figure in it is too low, or out of date.

use belfry::config::{self, Transform};
use belfry::core::{ClockState, Datagram, Instant, ListenerId, Now, Outbox, Path, Seed, SplitMix};
use belfry::services::Service;
use belfry::services::announce::{Announcer, Facts};
use belfry::services::chat::{Hosts, Hub};
use belfry::services::echo::Echo;
use belfry::services::ntp::NtpService;
use belfry::services::time::{TimeService, Zones};
use std::net::SocketAddr;
use std::time::Duration;

/// Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;

/// Datagrams that are tried of each kind.
const TRIES: u64 = 20_000;

const TIME: &[&str] = &[
    "%",
    "%c",
    "%+",
    "%255Y",
    "%%",
    "%N",
    "%Q",
    "%-",
    "%E",
    "%O",
    "?",
    " ",
    "TZ=",
    "TZ=Asia/Tokyo ",
    "TZ=\"",
    "? ",
    "-- ",
    "%500c",
    "%_9999d",
    "now",
    "\n",
    "\0",
];

/// The first is a question of a client of version 4.
const NTP: &[&str] = &[
    "\u{23}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    "\u{23}",
    "\u{24}",
    "\n",
    "\r\n",
    "\0",
    " ",
    "now",
];

const ANNOUNCE: &[&str] = &["Notify", "Notify\n", "Notify\r\n", "\0", "notify", "Announce", "Acknowlege", " "];

const ECHO: &[&str] =
    &["hello", "ΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐ", "\u{149}", "ß", "\u{fb03}", "? ", "\n", "\0"];

const CHAT: &[&str] = &[
    "^hb^",
    "^hb ",
    "^hello 1",
    " start=1",
    " name=a",
    " at=lobby",
    " token=0123456789abcdef",
    "^",
    "^as ",
    "0123456789abcdef",
    "^say 1^",
    "^bye^",
    "^want lobby/00000000/1-9^",
    "quit",
    "/help",
    "/who",
    "/rooms",
    "/history 99",
    "/msg member-1 hi",
    "/nick a",
    "/here 0123456789abcdef",
    "/join lab",
    "/xyzzy",
    "hello",
    "\n",
    "\0",
    "ä",
    " ",
    "^hello 2^",
    "^list rooms^",
    "^list members",
    " lobby",
    " from=m",
    "^list rooms token=0123456789abcdef^",
];

/// Something made of these pieces, or of any bytes.
fn payload(random: &mut SplitMix, pieces: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(5) {
        bytes.extend_from_slice(pieces[random.below(pieces.len() as u64) as usize].as_bytes());
    }
    match random.below(20) {
        0 => (0..random.below(40)).for_each(|_| bytes.push(random.next_u64() as u8)),
        1 => bytes.resize(random.below(1_500) as usize, b'x'),
        _ => {}
    }
    bytes
}

/// A service, and the worst that came out of it.
struct Meter<S> {
    service: S,
    out: Outbox,
    mono: Instant,
    worst: f64,
    of: Vec<u8>,
}

impl<S: Service> Meter<S> {
    fn new(service: S) -> Self {
        let mono = Instant::from_nanos(1_000_000_000_000);
        Self { service, out: Outbox::default(), mono, worst: 0.0, of: Vec::new() }
    }

    /// What a datagram brings forth: to whom, and what.
    fn hear(&mut self, datagram: &Datagram<'_>) -> Vec<(SocketAddr, Vec<u8>)> {
        let now = Now { mono: self.mono, wall: jiff::Timestamp::UNIX_EPOCH };
        self.service.handle_timeout(&now, &mut self.out);
        self.service.handle_datagram(&now, datagram, &mut self.out);
        self.service.finish_turn(&mut self.out);
        // An answer to a group waits for a moment.
        let later = Now { mono: self.mono + Duration::from_millis(200), ..now };
        if datagram.multicast {
            self.service.handle_timeout(&later, &mut self.out);
        }
        let sent: Vec<_> = self.out.pending().map(|(path, bytes)| (path.remote, bytes.to_vec())).collect();
        self.out.advance(sent.len());
        sent
    }

    /// The same, measured.
    fn measure(&mut self, datagram: &Datagram<'_>) {
        let sent = self.hear(datagram);
        let is_own = |to: &SocketAddr| *to == datagram.path.remote;
        let to_others = sent.iter().filter(|(to, _)| !is_own(to)).count();
        assert!(to_others == 0 || datagram.on_link, "{} went to others", datagram.payload.escape_ascii());
        let bytes: usize = sent.iter().filter(|(to, _)| is_own(to)).map(|(_, bytes)| bytes.len() + HEADERS).sum();
        let ratio = bytes as f64 / (datagram.payload.len() + HEADERS) as f64;
        if ratio > self.worst {
            (self.worst, self.of) = (ratio, datagram.payload.to_vec());
        }
        self.mono = self.mono + Duration::from_secs(2);
    }
}

/// Each time somebody else.
fn source(number: u64) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 + (number / 50_000) as u32).to_be_bytes(), 1_024 + (number % 50_000) as u16))
}

fn datagram(number: u64, on_link: bool, payload: &[u8]) -> Datagram<'_> {
    Datagram { on_link, ..Datagram::unicast(Path::to(ListenerId(0), source(number)), payload) }
}

/// The worst of many datagrams, each of somebody else.
fn worst<S: Service>(mut meter: Meter<S>, pieces: &[&str], on_link: bool, multicast: bool) -> (f64, Vec<u8>) {
    let mut random = SplitMix::new(Seed(1));
    for number in 0..TRIES {
        let payload = payload(&mut random, pieces);
        meter.measure(&Datagram { multicast, arrived_on: 2, ..datagram(1_000_000 + number, on_link, &payload) });
        meter.hear(&datagram(1_000_000 + number, on_link, b"quit"));
    }
    (meter.worst, meter.of)
}

fn time() -> Meter<TimeService> {
    Meter::new(TimeService::new(&config::Time::default(), Zones::utc_only(), Seed(1)))
}

fn ntp(edit: fn(&mut config::Ntp, SocketAddr)) -> Meter<NtpService> {
    let addr = SocketAddr::from(([127, 0, 0, 1], 123));
    let mut config = config::Ntp { listen: vec![addr], ..config::Ntp::default() };
    edit(&mut config, addr);
    let mut ntp = NtpService::new(&config, &[(ListenerId(0), addr)], Duration::from_nanos(60), 0, Seed(1));
    ntp.set_clock(ClockState { synchronised: true, ..ClockState::default() });
    Meter::new(ntp)
}

/// In upper case, which makes some texts longer.
fn echo() -> Meter<Echo> {
    Meter::new(Echo::new(&config::Echo { transform: Transform::Upper, ..config::Echo::default() }, Seed(1)))
}

fn announcer() -> Meter<Announcer> {
    let facts = Facts {
        host: "h".repeat(64),
        version: "10.20.30".to_owned(),
        services: [("time", 8_080), ("chat", 9_999), ("ntp", 10_123), ("echo", 18_888)]
            .map(|(n, p)| (n.to_owned(), p))
            .into(),
        heartbeat_interval: Some(Duration::from_millis(1_500)),
    };
    let config = config::Announce { interval: Duration::ZERO, ..config::Announce::default() };
    Meter::new(Announcer::new(&config, facts, Seed(1)))
}

/// A hub with a history, in which only programs are, that get nothing unasked.
fn hub() -> Meter<Hub> {
    let config = config::Chat { max_members: 100_000, max_members_per_address: 100_000, ..config::Chat::default() };
    let mut meter = Meter::new(Hub::new(&config, "belfry.lan", Hosts::default(), Seed(1)));
    let text = "x".repeat(1_000);
    for number in 0..300 {
        meter.hear(&datagram(number % 20, true, format!("{number} {text}").as_bytes()));
    }
    meter
}

/// What a member gets for a datagram that asks for as much as there is.
fn member(asks: impl Fn(&mut Meter<Hub>) -> Vec<u8>) -> (f64, Vec<u8>) {
    let mut meter = hub();
    let asked = asks(&mut meter);
    meter.measure(&datagram(500_000, false, &asked));
    (meter.worst, meter.of)
}

/// What stands between these in what the hub says.
fn between(sent: &[(SocketAddr, Vec<u8>)], before: &str, len: usize) -> String {
    let text: String = sent.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {text:?}"))[..len].to_owned()
}

/// With as short a question as there is, and a datagram full of names.
fn list(meter: &mut Meter<Hub>) -> Vec<u8> {
    (0..100).for_each(|number| drop(meter.hear(&datagram(600_000 + number, true, b"^hb^"))));
    let token = between(&meter.hear(&datagram(500_000, false, b"^list members^")), "^token ", 16);
    format!("^list members token={token}^").into_bytes()
}

fn history(meter: &mut Meter<Hub>) -> Vec<u8> {
    let token = between(&meter.hear(&datagram(500_000, false, b"^hb^")), "^token ", 16);
    meter.hear(&datagram(500_000, false, format!("^hb {token}^").as_bytes()));
    b"/history 99".to_vec()
}

fn want(meter: &mut Meter<Hub>) -> Vec<u8> {
    let token = between(&meter.hear(&datagram(500_000, false, b"^hello 1^")), "^token ", 16);
    let welcome = meter.hear(&datagram(500_000, false, format!("^hello 1 token={token}^").as_bytes()));
    let (session, epoch) = (between(&welcome, " session=", 16), between(&welcome, "lobby/", 8));
    // What it has missed is the history; the allowance is there again after a second.
    meter.mono = meter.mono + Duration::from_secs(2);
    format!("^as {session}^^want lobby/{epoch}/1-300^").into_bytes()
}

#[test]
fn nobody_gets_more_than_the_table_of_threats_says() {
    let measured = [
        ("the time, anybody", worst(time(), TIME, false, false)),
        ("the time for clocks, anybody", worst(ntp(|_, _| {}), NTP, false, false)),
        ("the time as a number, anybody", worst(ntp(|c, at| c.listen_rfc868.push(at)), NTP, false, false)),
        ("the time as a text, anybody", worst(ntp(|c, at| c.listen_rfc867.push(at)), NTP, false, false)),
        ("the announcer, a neighbour", worst(announcer(), ANNOUNCE, true, false)),
        ("the announcer, from another network", worst(announcer(), ANNOUNCE, false, false)),
        ("the echo, anybody", worst(echo(), ECHO, false, false)),
        ("the room, from another network, without a token", worst(hub(), CHAT, false, false)),
        ("the room, who has shown a token and asks for a list", member(list)),
        ("the room, a neighbour who is not a member", worst(hub(), CHAT, true, false)),
        ("the room, a member who asks for the history", member(history)),
        ("the room, a session that asks for what it has missed", member(want)),
    ];
    let page = include_str!("../../docs/THREATS.md");
    let rows = page.lines().filter(|line| line.starts_with("| the "));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    assert_eq!(rows.iter().map(|row| row[1]).collect::<Vec<_>>(), measured.each_ref().map(|(name, _)| *name));
    let mut wrong = Vec::new();
    for ((name, (worst, of)), row) in measured.iter().zip(rows) {
        let most: f64 = row[2].parse().expect("a figure");
        // Nor is it one that was true of another program.
        if *worst > most || *worst < most * 0.9 {
            wrong.push(format!("{name}: {worst:.2} for {}, and the page says {most}", of.escape_ascii()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    for (name, (worst, _)) in measured.iter().filter(|(name, _)| name.contains("anybody") || name.contains("another")) {
        assert!(*worst <= 3.0, "{name}, can be made to flood others: {worst}");
    }
}
