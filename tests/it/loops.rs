//! Services that are made to talk to each other fall silent.
//!
//! Anybody who can forge a source address can introduce two services to each other with one datagram. Here that
//! datagram is sent, everything that comes of it is delivered, and what goes to and fro is counted until it is quiet.
//! Admission, which drops what comes from a service's port and what is too much, is left out. A new service takes part by its line in
//! [`OURS`]; each of ours is introduced to each of ours and of theirs.

use crate::foreign::{ANSWERING, Foreign, TALKATIVE};
use belfry::config::{self, Transform};
use belfry::core::admission::Admission;
use belfry::core::limits::ANSWERS_IN_A_ROW_MAX;
use belfry::core::rate::Rate;
use belfry::core::{ClockState, Datagram, Instant, ListenerId, Now, Outbox, Path, Seed};
use belfry::services::announce::{Announcer, Facts};
use belfry::services::chat::{Hosts, Hub};
use belfry::services::echo::Echo;
use belfry::services::ntp::NtpService;
use belfry::services::time::{TimeService, Zones};
use belfry::services::{Service, ServiceName};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The most datagrams that one forged datagram may cause, itself included, whatever it says.
const DATAGRAMS_MAX: usize = 11;

/// Past this a loop is taken to be endless.
const ENDLESS: usize = 5_000;

/// Something that answers datagrams.
trait Node {
    fn receive(&mut self, now: &Now, path: Path, payload: &[u8]) -> Vec<(SocketAddr, Vec<u8>)>;
}

/// A service of ours.
struct Ours<S>(S, Outbox);

impl<S: Service> Node for Ours<S> {
    fn receive(&mut self, now: &Now, path: Path, payload: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let Self(service, out) = self;
        service.handle_timeout(now, out);
        service.handle_datagram(now, &Datagram::unicast(path, payload), out);
        service.finish_turn(out);
        let sent: Vec<_> = out.pending().map(|(path, bytes)| (path.remote, bytes.to_vec())).collect();
        out.advance(sent.len());
        sent
    }
}

/// A service of somebody else's.
struct Theirs(Foreign);

impl Node for Theirs {
    fn receive(&mut self, _: &Now, path: Path, payload: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        (self.0)(payload).into_iter().map(|answer| (path.remote, answer)).collect()
    }
}

/// A service of ours behind what stands before it in a daemon.
struct Admitted(Box<dyn Node>, ServiceName, Admission);

impl Node for Admitted {
    fn receive(&mut self, now: &Now, path: Path, payload: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let Self(node, service, admission) = self;
        let mut datagram = Datagram::unicast(path, payload);
        let admitted = admission
            .check(*service, &mut datagram)
            .and_then(|()| admission.take_token(*service, now.mono, &datagram, false));
        if admitted.is_ok() { node.receive(now, path, payload) } else { Vec::new() }
    }
}

/// How to make each kind of service, and its name.
type Make = (&'static str, fn() -> Box<dyn Node>);

const OURS: [Make; 11] = [
    ("hub", || hub(&config::Chat::default())),
    ("hub without echo", || hub(&config::Chat { echo_to_sender: false, ..config::Chat::default() })),
    ("hub with <name> text", || hub(&with_format("<", "> ", "", true))),
    ("hub with text (name)", || hub(&with_format("", " (", ")", false))),
    ("time service", || Box::new(Ours(time(), Outbox::default()))),
    ("announcer", || Box::new(Ours(announcer(), Outbox::default()))),
    ("NTP server", || Box::new(Ours(ntp(config::Ntp::default()), Outbox::default()))),
    ("time as a number", || {
        Box::new(Ours(ntp(config::Ntp { listen_rfc868: vec![addr(A)], ..config::Ntp::default() }), Outbox::default()))
    }),
    ("time as a text", || {
        Box::new(Ours(ntp(config::Ntp { listen_rfc867: vec![addr(A)], ..config::Ntp::default() }), Outbox::default()))
    }),
    ("our echo", || echo(Transform::None)),
    ("our echo in upper case", || echo(Transform::Upper)),
];

/// Makes one of those to whom ours are introduced.
type MakeAny = Box<dyn Fn() -> Box<dyn Node>>;

fn everybody() -> impl Iterator<Item = (&'static str, MakeAny)> {
    let ours = OURS.into_iter().map(|(name, make)| (name, Box::new(make) as MakeAny));
    ours.chain(ANSWERING.into_iter().map(|(name, make)| (name, theirs(make))))
}

/// Whether one of ours cannot know one of the others by what it says: to an echo bytes are as good as text.
fn is_talkative(ours: &str, theirs: &str) -> bool {
    ours.starts_with("our echo") && theirs == "a random binary protocol"
}

/// Ours, and those who say something else to them each time.
fn talkative_pairs() -> impl Iterator<Item = (Make, crate::foreign::Make)> {
    OURS.into_iter().flat_map(|ours| {
        let further = ANSWERING.into_iter().filter(move |(theirs, _)| is_talkative(ours.0, theirs));
        TALKATIVE.into_iter().chain(further).map(move |theirs| (ours, theirs))
    })
}

fn theirs(make: fn() -> Foreign) -> MakeAny {
    Box::new(move || Box::new(Theirs(make())))
}

fn hub(config: &config::Chat) -> Box<dyn Node> {
    Box::new(Ours(Hub::new(config, "belfry.lan", Hosts::parse("127.0.0.1 localhost"), Seed(1)), Outbox::default()))
}

fn time() -> TimeService {
    TimeService::new(&config::Time::default(), Zones::utc_only(), Seed(1))
}

fn announcer() -> Announcer {
    let config = config::Announce::default();
    Announcer::new(&config, Facts { host: "belfry".to_owned(), ..Facts::default() }, Seed(1))
}

/// One whose clock is right.
fn ntp(config: config::Ntp) -> NtpService {
    let listeners = [(ListenerId(0), addr(A))];
    let mut ntp = NtpService::new(&config, &listeners, Duration::from_nanos(60), 0, Seed(1));
    ntp.set_clock(ClockState { synchronised: true, ..ClockState::default() });
    ntp
}

fn echo(transform: Transform) -> Box<dyn Node> {
    Box::new(Ours(Echo::new(&config::Echo { transform, ..config::Echo::default() }, Seed(1)), Outbox::default()))
}

fn with_format(before: &str, between: &str, after: &str, sender_first: bool) -> config::Chat {
    let [before, between, after] = [before, between, after].map(str::to_owned);
    config::Chat { line_format: config::LineFormat { before, between, after, sender_first }, ..config::Chat::default() }
}

/// The services by their addresses, and what is under way between them.
struct Net {
    nodes: BTreeMap<SocketAddr, Box<dyn Node>>,
    under_way: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    mono: Instant,
    /// How long a datagram is under way.
    latency: Duration,
    /// The datagrams between services since the last forged one, for a panic to show.
    seen: Vec<String>,
}

const A: &str = "127.0.0.1:9999";
const B: &str = "127.0.0.2:9998";

impl Net {
    fn new(a: Box<dyn Node>, b: Box<dyn Node>) -> Self {
        let nodes = BTreeMap::from([(addr(A), a), (addr(B), b)]);
        Self {
            nodes,
            under_way: VecDeque::new(),
            mono: Instant::from_nanos(1_000_000_000),
            latency: Duration::from_millis(1),
            seen: Vec::new(),
        }
    }

    /// One datagram that claims to come from `from`, and whatever follows; how many went between services.
    fn send(&mut self, from: &str, to: &str, payload: &[u8]) -> usize {
        self.under_way.push_back((addr(from), addr(to), payload.to_vec()));
        self.settle()
    }

    fn settle(&mut self) -> usize {
        self.seen.clear();
        while let Some((from, to, payload)) = self.under_way.pop_front() {
            let Some(node) = self.nodes.get_mut(&to) else { continue };
            self.mono = self.mono + self.latency;
            let now = Now { mono: self.mono, wall: jiff::Timestamp::UNIX_EPOCH };
            let path = Path::to(ListenerId(0), from);
            self.under_way.extend(node.receive(&now, path, &payload).into_iter().map(|(next, said)| (to, next, said)));
            if self.nodes.contains_key(&from) {
                self.seen.push(format!("{from} -> {to}: {}", payload.escape_ascii()));
                assert!(self.seen.len() < ENDLESS, "endless: {}", self.story());
            }
        }
        self.seen.len()
    }

    fn wait(&mut self, seconds: u64) {
        self.mono = self.mono + Duration::from_secs(seconds);
    }

    fn story(&self) -> String {
        self.seen.iter().take(40).map(|line| format!("\n{line}")).collect()
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// What an attacker may think of.
/// What only programs say.
const FRAMES: [&str; 17] = [
    "^hello 0 x^",
    "^hello 1^",
    "^hello 1 token=0123456789abcdef name=x at=lab^",
    "^as 0123456789abcdef^",
    "^as 0123456789abcdef^^hb^",
    "^as 0123456789abcdef^^bye^",
    "^as 0123456789abcdef^^bye unknown session=0123456789abcdef^",
    "^as 0123456789abcdef^^hello 1^",
    "^as 0123456789abcdef^^say 1^x",
    "^token 0123456789abcdef^",
    "^bye unknown session=0123456789abcdef^",
    "^bye version^",
    "^bye^",
    "^list rooms^",
    "^list members lobby token=0123456789abcdef^",
    "^rooms count=1 len=16^lobby members=1\n",
    "^members lobby count=1 len=12^x here idle=0",
];

fn forgeries() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "hello",
        "hello\nworld",
        "x\n\n\ny",
        "%H",
        "%",
        "%%",
        "%%%%%%%%H",
        "%Q",
        "? ",
        "? no",
        "-- x",
        "quit",
        "/quit",
        "/help",
        "/who",
        "/rooms",
        "/nick",
        "/nick x",
        "/nick 127",
        "/nick -",
        "/me waves",
        "/me /me",
        "//",
        "/",
        "/nosuch",
        "/topic x",
        "/topic",
        "/away x",
        "/away",
        "/history",
        "/history off",
        "/join lab",
        "/join",
        "/msg 127.0.0.2-9998 x",
        "/msg localhost-9999 x",
        "/msg nobody x",
        "^hb^",
        "localhost-9999: x",
        "127.0.0.2-9998: x",
        "127.0.0.2-9998: localhost-9999: x",
        "* 127.0.0.2-9998 x",
        "a: b: c: d",
        "\u{1b}[2J",
        "\0",
        "x\0",
        "ä",
        ": ",
        "? ? ? ",
        "quit quit",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend(FRAMES.map(str::to_owned));
    texts.extend(["x", "%", "%%", "x\n", "\n", "\t", "? ", "ä", "\u{1b}"].map(|unit| unit.repeat(1_000 / unit.len())));
    texts.extend([1_000, 1_005, 1_010, 1_020, 1_024, 1_025].map(|len| "y".repeat(len)));
    texts.extend((0..9).map(|nest| format!("{}H", "%".repeat(1 << nest))));
    // A question, an answer and others to an NTP server.
    let packet = |first: char| format!("{first}{}", "\0".repeat(47));
    texts.extend(['\u{23}', '\u{24}', '\u{1b}', '\u{8}', '\u{0b}', '\u{21}', '\u{16}'].map(packet));
    let lines =
        texts.iter().flat_map(|text| [text.clone(), format!("{text}\n"), format!("{text}\r\n"), format!("{text}\0")]);
    lines.collect()
}

/// Introduces every pair with `payload`, and tells the pairs that talk too long.
fn loud_pairs(payload: &[u8]) -> Vec<String> {
    let mut loud = Vec::new();
    for (a, make_a) in OURS {
        for (b, make_b) in everybody().filter(|(b, _)| !is_talkative(a, b)) {
            let mut net = Net::new(make_a(), make_b());
            for (from, to) in [(B, A), (A, B)] {
                let count = net.send(from, to, payload);
                if count > DATAGRAMS_MAX {
                    loud.push(format!("{a} and {b}, {} from {from}: {count}{}", payload.escape_ascii(), net.story()));
                }
                net.wait(1_000);
            }
        }
    }
    loud
}

#[test]
fn one_forged_datagram_between_any_two_services_causes_at_most_ten_more() {
    let loud: Vec<String> = forgeries().iter().flat_map(|text| loud_pairs(text.as_bytes())).collect();
    assert!(loud.is_empty(), "{} pairs are loud, such as {}", loud.len(), loud[0]);
}

#[test]
fn a_service_that_says_something_else_each_time_is_left_without_an_answer_in_the_end() {
    for ((a, make_a), (b, make_b)) in talkative_pairs() {
        for payload in ["hello", "hello\n", "^hb^", "/nick x\n", "%H", "^hello 1^", "\u{1b}x"] {
            let mut net = Net::new(make_a(), Box::new(Theirs(make_b())));
            let count = net.send(B, A, payload.as_bytes());
            // Each of its datagrams may have two answers at first, a welcome and its own line.
            let most = if a.starts_with("hub") || a.starts_with("our echo") {
                4 * ANSWERS_IN_A_ROW_MAX + 100
            } else {
                DATAGRAMS_MAX
            };
            assert!(count <= most, "{a} and {b}, {payload:?}: {count}{}", net.story());
        }
    }
}

#[test]
fn a_service_that_says_something_else_each_time_is_not_heard_at_its_port_and_not_for_long_at_another() {
    let Rate { burst, .. } = config::Chat::default().rate_limit.expect("there is one");
    for ((ours, make_a), (b, make_b)) in talkative_pairs() {
        let service = match ours {
            "time service" => ServiceName::Time,
            "announcer" => ServiceName::Announce,
            "NTP server" | "time as a number" | "time as a text" => ServiceName::Ntp,
            "our echo" | "our echo in upper case" => ServiceName::Echo,
            _ => ServiceName::Chat,
        };
        for (from, most) in [("127.0.0.2:19", 1), (B, 2 * burst as usize + 100)] {
            let mut config = config::Config::default();
            (config.ntp.enabled, config.echo.enabled) = (true, true);
            let admission = Admission::new(&config, Seed(1));
            let mut net =
                Net::new(Box::new(Admitted(make_a(), service, admission)), Box::new(Theirs(Box::new(|_| None))));
            net.nodes.insert(addr(from), Box::new(Theirs(make_b())));
            let count = net.send(from, A, b"hello\n");
            assert!(count <= most, "{ours} and {b} at {from}: {count}{}", net.story());
        }
    }
}

#[test]
fn two_forged_datagrams_cause_at_most_twice_as_many() {
    let openings = [
        "/nick y",
        "/nick y\n",
        "/nick Hub\n",
        "hello\n",
        "^hb^",
        "/join lab\n",
        "/away x\n",
        "/topic -- x\n",
        "/me y\n",
        "? no\n",
    ];
    let texts = [
        "hello",
        "hello\n",
        "/me waves\n",
        "y: hello",
        "y: Hub: y: Hub: hello\n",
        "? no\n",
        "%%%%H\n",
        "/who\n",
        "/nick z\n",
        "/msg y y: y: x",
    ];
    for (opening, text) in openings.iter().flat_map(|&opening| texts.map(|text| (opening, text))) {
        for (b, make_b) in everybody() {
            for opened in [[(B, A), (B, A)], [(B, A), (A, B)]] {
                let mut net = Net::new(OURS[0].1(), make_b());
                let [first, second] = opened;
                let count =
                    net.send(first.0, first.1, opening.as_bytes()) + net.send(second.0, second.1, text.as_bytes());
                assert!(count <= 2 * DATAGRAMS_MAX, "{b}, {opening:?}, {text:?}: {count}{}", net.story());
                net.wait(1);
                let third = net.send(B, A, b"once more");
                assert!(third <= DATAGRAMS_MAX, "{b}, {opening:?}, {text:?}, once more: {third}{}", net.story());
            }
        }
    }
}

#[test]
fn what_people_say_beside_a_loop_causes_a_bounded_number_each() {
    for (b, make_b) in everybody() {
        let mut net = Net::new(OURS[0].1(), make_b());
        // Two people at each hub, one of them at a terminal.
        for (to, person) in [(A, "127.0.0.3:5001"), (A, "127.0.0.3:5002"), (B, "127.0.0.4:5001"), (B, "127.0.0.4:5002")]
        {
            net.send(person, to, if person.ends_with('1') { b"\n" } else { b"^hb^" });
        }
        net.send(B, A, b"forged\n");
        for text in
            ["hello", "/me waves", "/nick anna", "hello again", "hello again", "127.0.0.3-5001: hello", "quit", "\n"]
        {
            for pause in [0, 1, 5] {
                let count = net.send("127.0.0.3:5001", A, format!("{text}\n").as_bytes());
                assert!(count <= 2 * DATAGRAMS_MAX, "{b}, {text}: {count}{}", net.story());
                net.wait(pause);
            }
        }
    }
}

#[test]
fn a_room_full_of_echo_services_does_not_boil_over() {
    for echoes in 1..=8_u8 {
        let mut net = Net::new(OURS[0].1(), Box::new(Theirs(Box::new(|_| None))));
        for number in 0..echoes {
            let echo = format!("127.0.1.{number}:8888");
            net.nodes.insert(addr(&echo), Box::new(Theirs(Box::new(|said| Some(said.to_vec())))));
            net.send(&echo, A, b"^hb^");
        }
        net.wait(5);
        let count = net.send("127.0.0.3:5001", A, b"hello");
        assert_eq!(count, 2 * usize::from(echoes), "to each and back");
    }
}

#[test]
fn a_room_full_of_services_of_any_one_kind_is_silent_soon() {
    for (name, make) in ANSWERING {
        for services in 1..=6_usize {
            let mut net = Net::new(OURS[0].1(), Box::new(Theirs(Box::new(|_| None))));
            net.latency = Duration::from_micros(50);
            for number in 0..services {
                let service = format!("127.0.1.{number}:8888");
                net.nodes.insert(addr(&service), Box::new(Theirs(make())));
                net.send(&service, A, b"^hb^");
            }
            net.wait(5);
            let count = net.send("127.0.0.3:5001", A, b"hello");
            // Each may say three texts, which go to each; or have three errors, and as many words of its own.
            let most = services * DATAGRAMS_MAX + 2 * 3 * services * services;
            assert!(count <= most, "{services} of {name}: {count}{}", net.story());
        }
    }
}

#[test]
fn a_line_that_comes_back_late_to_a_busy_room_is_relayed_but_twice() {
    let mut net = Net::new(OURS[0].1(), Box::new(Theirs(Box::new(|_| None))));
    net.send(B, A, b"^hb^");
    let (mut returned, mut relayed) = ("127.0.0.3-5001: hello".to_owned(), 0);
    loop {
        // More than the room remembers.
        for number in 0..100 {
            net.send("127.0.0.3:5001", A, format!("line {number}").as_bytes());
        }
        if net.send(B, A, returned.as_bytes()) == 1 {
            break;
        }
        relayed += 1;
        assert!(relayed <= 2, "endless: {returned}");
        returned = format!("127.0.0.2-9998: {returned}");
    }
    assert_eq!(relayed, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_one_forged_datagram_says_it_causes_at_most_ten_more(
        payload in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..1_100),
            "[%?/ a-z:\n\t-]{0,60}\n?".prop_map(String::into_bytes),
            "(/(nick|me|msg|topic|away|join|history) )?[%a-z0-9 .:-]{0,1100}\n?".prop_map(String::into_bytes),
            "((localhost-9999|127.0.0.2-9998)(: | -> |> )){1,4}[%a-z]{0,10}\n?".prop_map(String::into_bytes),
        ],
    ) {
        let loud = loud_pairs(&payload);
        prop_assert!(loud.is_empty(), "{}", loud[0]);
    }
}
