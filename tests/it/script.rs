//! Scripts for the chat hub: an input at a time and everything that it brings forth, in order.
//!
//! ```text
//! # a comment
//! anna > hello\n                          what anna's datagram carries
//! anna > hello\n => Accepted              and the verdict on it
//! anna >| hello                           cut off by the kernel
//! anna ~> hello                           from another network
//! anna@192.0.2.9 > hello                  sent to another address of ours
//! anna < localhost-40001: hello\n         what she gets
//! bob ! unreachable                       her host answers "port unreachable"
//! bob ! out-of-reach                      her host has left the network
//! @9.999                                  seconds since the beginning
//! ```
//!
//! The clock stops at every timeout of the hub on its way. What comes of a timeout stands below the `@` of that moment.
//! Anna is at 127.0.0.1:40001, Bob behind her; `anna6` is at `[2001:db8::1]:40001` and comes by the other socket; an
//! address may stand for a name. `\{x*1000}` is a thousand times `x`.
//!
//! What the hub makes up stands as `<token1>`, `<session1>`, `<epoch1>`, numbered as they first appear, on both sides.
//!
//! A script is compared whole. Where it differs, the panic holds the script as it should be to succeed: read it before
//! you paste it.

use belfry::config;
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed};
use belfry::services::Service;
use belfry::services::chat::{Hosts, Hub, Restored, kept_seed};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The socket of those with IPv4 addresses.
pub(crate) const V4: ListenerId = ListenerId(0);
/// The socket of those with IPv6 addresses.
pub(crate) const V6: ListenerId = ListenerId(1);

/// The addresses of the sockets.
const SOCKETS: [(ListenerId, &str); 2] = [(V4, "0.0.0.0:9999"), (V6, "[::]:9999")];

const PEOPLE: [&str; 8] = ["anna", "bob", "carl", "dora", "emil", "finn", "gina", "hugo"];

/// The clock does not begin at zero: no machine has just been booted.
const START: Instant = Instant::from_nanos(1_000_000_000_000);

/// A hub, and how late it is.
pub(crate) struct Stage {
    pub(crate) hub: Hub,
    pub(crate) out: Outbox,
    mono: Instant,
    pub(crate) config: config::Chat,
    transcript: String,
    /// What the hub has made up, and what it is called.
    made_up: Vec<(String, String)>,
}

/// What stands before something that the hub makes up, and how many digits it has.
const MADE_UP: [(&str, &str, usize); 5] = [
    ("token", "^token ", 16),
    ("token", " send: /here ", 16),
    ("token", " send: quit ", 16),
    ("session", " session=", 16),
    ("epoch", "/", 8),
];

/// Plays one script on a hub with the default configuration.
#[track_caller]
pub(crate) fn play(script: &str) {
    Stage::new(&config::Chat::default()).play(script);
}

/// Plays one script on a hub that is configured like this.
#[track_caller]
pub(crate) fn play_with(configure: impl FnOnce(&mut config::Chat), script: &str) {
    let mut config = config::Chat::default();
    configure(&mut config);
    Stage::new(&config).play(script);
}

impl Stage {
    pub(crate) fn new(config: &config::Chat) -> Self {
        let hub = Hub::new(config, "belfry.lan", hosts(), Seed(7));
        let (transcript, made_up) = (String::new(), Vec::new());
        Self { hub, out: Outbox::default(), mono: START, config: config.clone(), transcript, made_up }
    }

    /// Another hub takes over what this one has left, and what is in the files.
    pub(crate) fn restart(&mut self) -> Restored {
        let kept = dump(&self.hub);
        let seed = kept_seed(&kept).expect("it is there");
        let old = std::mem::replace(&mut self.hub, Hub::new(&self.config, "belfry.lan", hosts(), seed));
        let restored = self.hub.restore(&self.now(), &kept, listener_at, &mut self.out);
        for room in old.rooms() {
            let epoch = old.epoch_of(room).unwrap_or_default();
            let messages = old.history_of(room).into_iter().flatten().map(|message| (epoch, message.clone()));
            self.hub.restore_history(&self.now(), room, messages);
        }
        restored
    }

    /// A new hub reads what somebody has written in the place of another.
    pub(crate) fn restart_from(&mut self, kept: &[u8]) -> Restored {
        self.hub = Hub::new(&self.config, "belfry.lan", hosts(), Seed(7));
        self.hub.restore(&self.now(), kept, listener_at, &mut self.out)
    }

    /// The moment that it is.
    pub(crate) fn now(&self) -> Now {
        let start = jiff::Timestamp::from_second(1_750_000_000).expect("a moment");
        Now { mono: self.mono, wall: start + self.mono.since(START) }
    }

    /// Plays a script, and holds what came of it against what it says.
    #[track_caller]
    pub(crate) fn play(&mut self, script: &str) {
        let expected: Vec<&str> =
            script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        self.transcript.clear();
        self.note_output();
        for line in script.lines().map(str::trim) {
            if line.starts_with('#') {
                self.note(line);
            } else if let Some(time) = line.strip_prefix('@') {
                self.advance(moment(time));
            } else if !line.is_empty() && !is_output(line) {
                self.input(line);
            }
        }
        let actual: Vec<&str> = self.transcript.lines().filter(|line| !line.starts_with('#')).collect();
        if actual != expected {
            let at = actual.iter().zip(&expected).take_while(|(a, e)| a == e).count();
            let line = |lines: &[&str]| lines.get(at).copied().unwrap_or("(nothing more)").to_owned();
            panic!(
                "expected: {}\n     got: {}\nthe whole of it:\n----8<----\n{}---->8----\n",
                line(&expected),
                line(&actual),
                self.transcript
            );
        }
    }

    /// Lets time go by without a timer: the daemon was held up.
    pub(crate) fn be_late(&mut self, by: Duration) {
        self.mono = self.mono + by;
    }

    /// Lets seconds go by; what comes of it is lost.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.advance(self.mono + Duration::from_secs(seconds));
    }

    /// What one datagram brings forth, to whomever.
    pub(crate) fn say(&mut self, who: &str, said: &str) -> Vec<Vec<u8>> {
        let now = self.now();
        self.hub.handle_datagram(&now, &Datagram::unicast(path(who), said.as_bytes()), &mut self.out);
        self.hub.finish_turn(&mut self.out);
        let datagrams: Vec<Vec<u8>> = self.out.pending().map(|(_, bytes)| bytes.to_vec()).collect();
        self.out.advance(datagrams.len());
        datagrams
    }

    /// A turn in which a datagram is heard, if one is named, and nothing leaves; what waits to leave then, in order.
    pub(crate) fn hold(&mut self, heard: Option<(&str, &str)>) -> Vec<String> {
        let now = self.now();
        self.out.begin_turn(now.mono);
        if let Some((who, said)) = heard {
            let said = self.with_digits(said);
            self.hub.handle_datagram(&now, &Datagram::unicast(path(who), said.as_bytes()), &mut self.out);
        }
        self.hub.finish_turn(&mut self.out);
        self.out.pending().map(|(path, bytes)| format!("{} < {}", name(path), escape(bytes))).collect()
    }

    /// The first of what waits leaves.
    pub(crate) fn send_first(&mut self, count: usize) {
        self.out.advance(count);
    }

    /// Whether the hub has something for another turn.
    pub(crate) fn has_gathered(&self) -> bool {
        self.hub.has_gathered()
    }

    /// Closes a socket; what comes of it stands at the head of the next script.
    pub(crate) fn close(&mut self, listener: ListenerId) {
        let now = self.now();
        self.hub.remove_listener(&now, listener, &mut self.out);
    }

    /// Changes the configuration.
    pub(crate) fn reconfigure(&mut self, config: &config::Chat) {
        self.hub.reconfigure(config, hosts(), &mut self.out);
        self.config = config.clone();
    }

    /// Does what the hub has to do until `until`, at the moments that it named.
    fn advance(&mut self, until: Instant) {
        assert!(until >= self.mono, "time does not run backwards");
        while let Some(due) = self.hub.next_timeout().map(|due| due.max(self.mono)).filter(|&due| due < until) {
            self.mono = due;
            self.hub.handle_timeout(&self.now(), &mut self.out);
            self.hub.finish_turn(&mut self.out);
            if !self.out.is_empty() {
                self.note(&format!("@{}", seconds(self.mono)));
                self.note_output();
            }
        }
        self.mono = until;
        self.note(&format!("@{}", seconds(until)));
        if self.hub.next_timeout().is_some_and(|due| due <= until) {
            self.hub.handle_timeout(&self.now(), &mut self.out);
        }
        self.hub.finish_turn(&mut self.out);
        self.note_output();
    }

    /// One line of a script that is something done to the hub.
    fn input(&mut self, line: &str) {
        let (who, rest) = line.split_once(' ').unwrap_or_else(|| panic!("what does {line:?} mean?"));
        let path = path(who);
        match rest.split_once(' ').unwrap_or((rest, "")) {
            ("!", "unreachable") => {
                self.note(line);
                let now = self.now();
                self.hub.handle_unreachable(&now, path.remote, &mut self.out);
            }
            ("!", "out-of-reach") => {
                self.note(line);
                let now = self.now();
                self.hub.handle_out_of_reach(&now, path.remote);
            }
            (arrow @ (">" | ">|" | "~>"), said) => {
                let (said, asserted) = split_verdict(said);
                let payload = unescape(&self.with_digits(said));
                let truncated = arrow == ">|";
                let on_link = arrow != "~>";
                let datagram = Datagram { truncated, on_link, ..Datagram::unicast(path, &payload) };
                let now = self.now();
                let verdict = self.hub.handle_datagram(&now, &datagram, &mut self.out);
                let space = if said.is_empty() { "" } else { " " };
                let verdict = if asserted { format!(" => {verdict:?}") } else { String::new() };
                self.note(&format!("{who} {arrow}{space}{said}{verdict}"));
            }
            _ => panic!("what does {line:?} mean?"),
        }
        self.hub.finish_turn(&mut self.out);
        self.note_output();
    }

    fn note(&mut self, line: &str) {
        let _ = writeln!(self.transcript, "{line}");
    }

    fn note_output(&mut self) {
        let lines: Vec<String> =
            self.out.pending().map(|(path, bytes)| format!("{} < {}", name(path), escape(bytes))).collect();
        self.out.advance(lines.len());
        for line in lines {
            let line = self.with_names(line.trim_end());
            self.note(&line);
        }
    }

    /// What the hub has made up under this name.
    pub(crate) fn made_up(&self, name: &str) -> String {
        self.with_digits(name)
    }

    /// The line with what is made up in it called by names.
    fn with_names(&mut self, line: &str) -> String {
        for (kind, before, len) in MADE_UP {
            for (at, _) in line.match_indices(before) {
                let digits = line[at + before.len()..].get(..len).unwrap_or_default();
                let is_made_up = digits.len() == len && digits.chars().all(|c| c.is_ascii_hexdigit());
                if is_made_up && !self.made_up.iter().any(|(known, _)| known == digits) {
                    let number = self.made_up.iter().filter(|(_, name)| name.contains(kind)).count() + 1;
                    self.made_up.push((digits.to_owned(), format!("<{kind}{number}>")));
                }
            }
        }
        self.made_up.iter().fold(line.to_owned(), |line, (digits, name)| line.replace(digits, name))
    }

    /// The line with what is made up in it as the hub knows it.
    fn with_digits(&self, line: &str) -> String {
        self.made_up.iter().fold(line.to_owned(), |line, (digits, name)| line.replace(name, digits))
    }
}

/// Everything that the hub has to keep.
pub(crate) fn dump(hub: &Hub) -> Vec<u8> {
    let mut kept = Vec::new();
    hub.dump(
        |id| SOCKETS.iter().find(|(of, _)| *of == id).map(|(_, addr)| addr.parse().expect("it is one")),
        &mut kept,
    );
    kept
}

fn listener_at(addr: SocketAddr) -> Option<ListenerId> {
    SOCKETS.iter().find(|(_, of)| *of == addr.to_string()).map(|(id, _)| *id)
}

fn hosts() -> Hosts {
    Hosts::parse("127.0.0.1 localhost")
}

fn is_output(line: &str) -> bool {
    line.split(' ').nth(1) == Some("<")
}

// ---- who ----

/// The path of a name or an address, with or without an address of ours behind it.
fn path(who: &str) -> Path {
    let (who, local) = match who.split_once('@') {
        Some((who, local)) => (who, Some(local.parse::<IpAddr>().expect("an address of ours"))),
        None => (who, None),
    };
    let place = |name: &str| PEOPLE.iter().position(|&person| person == name).map(|at| at as u16 + 1);
    let remote = if let Some(at) = place(who) {
        SocketAddr::from(([127, 0, 0, 1], 40_000 + at))
    } else if let Some(at) = who.strip_suffix('6').and_then(place) {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, at], 40_000 + at))
    } else {
        who.parse().unwrap_or_else(|_| panic!("who is {who:?}?"))
    };
    let listener = if remote.is_ipv4() { V4 } else { V6 };
    Path { local, ..Path::to(listener, remote) }
}

/// What [`path`] reads.
fn name(to: &Path) -> String {
    let local = to.local.map(|local| format!("@{local}")).unwrap_or_default();
    let six = PEOPLE.iter().map(|person| format!("{person}6"));
    let people = PEOPLE.iter().map(|&person| person.to_owned()).chain(six);
    let known = people.into_iter().find(|person| path(person).remote == to.remote);
    assert_eq!(to.listener, path(&to.remote.to_string()).listener, "it leaves by the socket it came in by");
    format!("{}{local}", known.unwrap_or_else(|| to.remote.to_string()))
}

// ---- when ----

fn moment(seconds: &str) -> Instant {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let nanos: u64 = format!("{fraction:0<9}").parse().expect("a fraction of a second");
    START + Duration::from_secs(whole.parse().expect("seconds")) + Duration::from_nanos(nanos)
}

fn seconds(moment: Instant) -> String {
    let since = moment.since(START);
    match since.subsec_nanos() {
        0 => since.as_secs().to_string(),
        nanos => format!("{}.{}", since.as_secs(), format!("{nanos:09}").trim_end_matches('0')),
    }
}

// ---- what ----

fn split_verdict(said: &str) -> (&str, bool) {
    match said.rsplit_once("=> ") {
        Some((said, verdict))
            if ["Accepted", "Answered", "Refused", "Dropped"].iter().any(|v| verdict.starts_with(v)) =>
        {
            (said.trim_end(), true)
        }
        _ => (said, false),
    }
}

fn unescape(said: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = said;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let (len, byte) = match escape.as_bytes()[0] {
            b'n' => (1, b'\n'),
            b'r' => (1, b'\r'),
            b't' => (1, b'\t'),
            b'0' => (1, b'\0'),
            b'\\' => (1, b'\\'),
            b'x' => (3, u8::from_str_radix(&escape[1..3], 16).expect("two hexadecimal digits")),
            b'{' => {
                let (run, behind) = escape[1..].split_once('}').expect("a run ends");
                let (what, times) = run.rsplit_once('*').expect("a run has a number");
                bytes.extend_from_slice(&unescape(what).repeat(times.parse().expect("a number")));
                rest = behind;
                continue;
            }
            other => panic!("what is \\{}?", other as char),
        };
        bytes.push(byte);
        rest = &escape[len..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// What [`unescape`] reads, with runs of up to three characters made short.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut escaped = String::new();
    for chunk in bytes.utf8_chunks() {
        let chars: Vec<String> = chunk.valid().chars().map(escape_char).collect();
        let mut rest = chars.as_slice();
        while !rest.is_empty() {
            let (unit, times) = (1..=3.min(rest.len()))
                .map(|len| (len, rest.chunks(len).take_while(|&chunk| *chunk == rest[..len]).count()))
                .find(|&(len, times)| len * times >= 30)
                .unwrap_or((1, 1));
            match times {
                1 => escaped.push_str(&rest[0]),
                _ => drop(write!(escaped, "\\{{{}*{times}}}", rest[..unit].concat())),
            }
            rest = &rest[unit * times..];
        }
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    match escaped.strip_suffix(' ') {
        Some(rest) => format!("{rest}\\x20"),
        None => escaped,
    }
}

fn escape_char(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0' => "\\0".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c.is_control() && c.is_ascii() => format!("\\x{:02x}", c as u32),
        c => c.to_string(),
    }
}

#[test]
fn what_is_escaped_reads_back() {
    for said in ["", "a b", "a ", "\t\r\n\0\\", "ä\x1b", &"x".repeat(100)] {
        assert_eq!(unescape(&escape(said.as_bytes())), said.as_bytes(), "{said:?}");
    }
    assert_eq!(unescape(&escape(b"a\xffb")), b"a\xffb");
    assert_eq!(escape(&[b'x'; 100]), "\\{x*100}");
    assert_eq!(escape("a\n\t".repeat(20).as_bytes()), "\\{a\\n\\t*20}");
}

#[test]
#[should_panic(expected = "got: anna < localhost-40001: hello")]
fn a_script_that_leaves_something_out_fails() {
    play("anna > hello");
}

#[test]
#[should_panic(expected = "expected: @11\n     got: @10\n")]
fn what_comes_of_a_timeout_stands_at_its_own_moment() {
    play_with(
        |config| config.history = 0,
        r"
        anna > ^hb^
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n
        @11
        ",
    );
}
