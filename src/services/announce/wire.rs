//! The announcer's lines: how they are written, and how a client reads them.
//!
//! ```text
//! question     = "Notify" [ [ CR ] LF ] *NUL
//! announcement = verb [ SP "belfry/" protocol *( SP key "=" value ) ] *( NUL / CR / LF )
//! verb         = "Announce" / "Goodbye" / "Acknowlege"
//! protocol     = 1*DIGIT                              ; 1
//! key          = %x61-7A *( %x61-7A / DIGIT / "-" )   ; a-z, 0-9 and -
//! value        = 1*( %x21-7E )                        ; printable ASCII, never a space
//! ```
//!
//! `host` is the name of the host, `version` that of the program, and `heartbeat` how often a chat member is asked to
//! send one (`3s`, `1500ms`). Every other key whose value is a plain decimal number from 1 to 65535 is a service at
//! that UDP port. Whatever else comes to be said later is thus not a plain number, and a reader ignores keys and
//! values that it does not know. Of a key that comes twice the first counts. A bare verb, without `belfry/`, is a
//! server that tells nothing about itself.
//!
//! `Acknowlege` is how the protocol's first implementation spells it; like HTTP's Referer, the wire keeps it.
//!
//! A line is written so that it fits [`ANNOUNCEMENT_MAX`]; what does not fit is left off from the end, so the services
//! stand before what only people read. The short line, for those who may have forged their address, fits
//! [`SHORT_MAX`] and has no host, which could take up all of that.

use crate::core::limits::{ANNOUNCEMENT_MAX, ANSWER_BASE, DATAGRAM_MAX, HOST_MAX, NAME_MAX};
use crate::core::text::split_line;
use std::fmt::Write as _;
use std::time::Duration;

/// The version of the grammar above.
const PROTOCOL: u32 = 1;

/// The question.
const QUESTION: &[u8] = b"Notify";

/// The longest short line, with a newline: what the bare question pays for, wherever it came from.
const SHORT_MAX: usize = answer_max(QUESTION.len());

/// The longest answer to a question of this length from somebody who may have forged its address.
pub(super) const fn answer_max(question_len: usize) -> usize {
    ANSWER_BASE + 3 * question_len
}

/// The question, with as many zero bytes behind it as pay for any answer.
pub const PADDED_QUESTION: [u8; PADDED_LEN] = {
    let mut padded = [0; PADDED_LEN];
    padded.split_at_mut(QUESTION.len()).0.copy_from_slice(QUESTION);
    padded
};

const PADDED_LEN: usize = (ANNOUNCEMENT_MAX - ANSWER_BASE).div_ceil(3);

/// What a daemon tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The name of the host; what does not belong in a host name is left out.
    pub host: String,
    /// The version of the program.
    pub version: String,
    /// The services that run, by their name in the configuration, with their UDP ports.
    pub services: Vec<(String, u16)>,
    /// How often a chat member is asked to send a heartbeat; `None` without a chat.
    pub heartbeat_interval: Option<Duration>,
}

/// What an announcement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// The host is here; told to everybody.
    Announce,
    /// The host is about to be gone; told to everybody.
    Goodbye,
    /// The host is here; told to one who asked.
    Acknowlege,
}

impl Verb {
    const ALL: [Self; 3] = [Self::Announce, Self::Goodbye, Self::Acknowlege];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Announce => "Announce",
            Self::Goodbye => "Goodbye",
            Self::Acknowlege => "Acknowlege",
        }
    }
}

/// What an announcement says, as far as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What it is for.
    pub verb: Verb,
    /// The version of the grammar; `None` for a bare verb.
    pub protocol: Option<u32>,
    /// The name of the host.
    pub host: Option<String>,
    /// The version of the program.
    pub version: Option<String>,
    /// How often a chat member is asked to send a heartbeat.
    pub heartbeat_interval: Option<Duration>,
    /// The services and their UDP ports, in the order told.
    pub services: Vec<(String, u16)>,
}

impl Announcement {
    fn bare(verb: Verb) -> Self {
        Self { verb, protocol: None, host: None, version: None, heartbeat_interval: None, services: Vec::new() }
    }

    /// Takes in one pair; the first of a key counts, and what is not understood is ignored.
    fn take(&mut self, key: &str, value: &str) {
        match key {
            "host" => fill(&mut self.host, value, is_host_byte, HOST_MAX),
            "version" => fill(&mut self.version, value, is_version_byte, NAME_MAX),
            "heartbeat" => self.heartbeat_interval = self.heartbeat_interval.or_else(|| parse_heartbeat(value)),
            _ => {
                if let Some(port) = parse_port(value)
                    && is_service_name(key)
                    && self.services.iter().all(|(name, _)| name != key)
                {
                    self.services.push((key.to_owned(), port));
                }
            }
        }
    }
}

/// Reads an announcement; `None` for everything else. What is kept of it is safe to show on a terminal.
///
/// ```
/// use belfry::services::announce::{Verb, parse_announcement};
///
/// let heard = parse_announcement("Acknowlege belfry/1 host=workshop time=8080 chat=9999").unwrap();
/// assert_eq!(heard.verb, Verb::Acknowlege);
/// assert_eq!(heard.host.as_deref(), Some("workshop"));
/// assert_eq!(heard.services, [("time".to_owned(), 8080), ("chat".to_owned(), 9999)]);
/// assert_eq!(parse_announcement("Announce lunch"), None);
/// ```
pub fn parse_announcement(text: &str) -> Option<Announcement> {
    // Nobody announces more than a datagram, and the bound keeps the search for doubles short.
    if text.len() > DATAGRAM_MAX {
        return None;
    }
    let mut words = text.trim_end_matches(['\0', '\r', '\n']).split(' ').filter(|word| !word.is_empty());
    let first = words.next()?;
    let verb = Verb::ALL.into_iter().find(|verb| verb.name() == first)?;
    let mut announcement = Announcement::bare(verb);
    let Some(protocol) = words.next() else { return Some(announcement) };
    announcement.protocol = Some(parse_number(protocol.strip_prefix("belfry/")?)?);
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        announcement.take(key, value);
    }
    Some(announcement)
}

/// Whether a datagram is the question, and if so whether a newline ends it.
pub(super) fn parse_question(payload: &[u8]) -> Option<bool> {
    let (line, newline) = split_line(payload);
    (line == QUESTION).then_some(newline)
}

/// The line for `verb`, without the newline that whoever asked with one gets.
pub(super) fn write_line(verb: Verb, facts: &Facts) -> String {
    write(verb, &facts.host, facts, ANNOUNCEMENT_MAX)
}

/// The line for those who may have forged their address, without a newline.
pub(super) fn write_short_line(verb: Verb, facts: &Facts) -> String {
    write(verb, "", facts, SHORT_MAX)
}

fn write(verb: Verb, host: &str, facts: &Facts, len_max: usize) -> String {
    let mut line = Line { text: format!("{} belfry/{PROTOCOL}", verb.name()), len_max };
    line.push("host", &clean(host, is_host_byte, HOST_MAX));
    if verb != Verb::Goodbye {
        for (name, port) in facts.services.iter().filter(|(name, port)| is_service_name(name) && *port != 0) {
            line.push(name, &port.to_string());
        }
        if let Some(interval) = facts.heartbeat_interval {
            line.push("heartbeat", &format_heartbeat(interval));
        }
        line.push("version", &clean(&facts.version, is_version_byte, NAME_MAX));
    }
    line.text
}

/// A line that grows as long as it fits with a newline behind it.
struct Line {
    text: String,
    len_max: usize,
}

impl Line {
    fn push(&mut self, key: &str, value: &str) {
        if !value.is_empty() && self.text.len() + key.len() + value.len() + " =\n".len() <= self.len_max {
            write!(self.text, " {key}={value}").expect("a String takes everything");
        }
    }
}

fn clean(text: &str, is_good: fn(u8) -> bool, len_max: usize) -> String {
    text.bytes().filter(|&byte| is_good(byte)).take(len_max).map(char::from).collect()
}

fn fill(slot: &mut Option<String>, value: &str, is_good: fn(u8) -> bool, len_max: usize) {
    if slot.is_none() && (1..=len_max).contains(&value.len()) && value.bytes().all(is_good) {
        *slot = Some(value.to_owned());
    }
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

const fn is_version_byte(byte: u8) -> bool {
    is_host_byte(byte) || matches!(byte, b'+' | b'~')
}

/// Whether `name` can stand for a service: a key that means nothing else.
fn is_service_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !matches!(name, "host" | "version" | "heartbeat")
}

/// A plain decimal number; `str::parse` alone would take a sign.
fn parse_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_port(text: &str) -> Option<u16> {
    parse_number(text).and_then(|number| u16::try_from(number).ok()).filter(|&port| port != 0)
}

fn format_heartbeat(interval: Duration) -> String {
    match interval.subsec_millis() {
        0 => format!("{}s", interval.as_secs()),
        _ => format!("{}ms", interval.as_millis()),
    }
}

fn parse_heartbeat(text: &str) -> Option<Duration> {
    let interval = match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(parse_number(millis)?.into()),
        None => Duration::from_secs(parse_number(text.strip_suffix('s')?)?.into()),
    };
    Some(interval).filter(|interval| !interval.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts {
            host: "workshop".to_owned(),
            version: "0.1.0".to_owned(),
            services: vec![("time".to_owned(), 8080), ("chat".to_owned(), 9999)],
            heartbeat_interval: Some(Duration::from_secs(3)),
        }
    }

    #[test]
    fn the_lines_stand_on_the_wire_like_this() {
        let lines = Verb::ALL.map(|verb| write_line(verb, &facts()));
        assert_eq!(
            lines,
            [
                "Announce belfry/1 host=workshop time=8080 chat=9999 heartbeat=3s version=0.1.0",
                "Goodbye belfry/1 host=workshop",
                "Acknowlege belfry/1 host=workshop time=8080 chat=9999 heartbeat=3s version=0.1.0",
            ]
        );
    }

    #[test]
    fn a_host_name_is_cleaned() {
        for (host, expected) in [
            ("attic-7.example.org", "Announce belfry/1 host=attic-7.example.org"),
            ("Anna's Laptop", "Announce belfry/1 host=AnnasLaptop"),
            ("tür=1\u{1b}[2J", "Announce belfry/1 host=tr12J"),
            ("ü", "Announce belfry/1"),
            ("", "Announce belfry/1"),
        ] {
            let facts = Facts { host: host.to_owned(), ..Facts::default() };
            assert_eq!(write_line(Verb::Announce, &facts), expected);
        }
    }

    #[test]
    fn a_line_that_would_grow_too_long_leaves_off_its_end() {
        let services = (0..40).map(|n| (format!("service-{n}"), 65_535)).collect();
        let facts = Facts { host: "h".repeat(300), services, ..facts() };
        let line = write_line(Verb::Acknowlege, &facts);
        assert!(line.len() < ANNOUNCEMENT_MAX, "{}", line.len());
        let heard = parse_announcement(&line).unwrap();
        assert_eq!(heard.host, Some("h".repeat(HOST_MAX)));
        assert_eq!(heard.services, facts.services[..heard.services.len()]);
        assert!(heard.services.len() >= 2, "{line}");
    }

    #[test]
    fn the_short_line_has_no_host_and_fits_what_a_bare_question_pays_for() {
        let facts = Facts { host: "h".repeat(HOST_MAX), ..facts() };
        let line = "Acknowlege belfry/1 time=8080 chat=9999 heartbeat=3s version=0.1.0";
        assert_eq!(write_short_line(Verb::Acknowlege, &facts), line);
        let with_last = |len: usize| Facts {
            services: vec![("s".repeat(20), 65_535), ("t".repeat(len), 65_535)],
            version: "1".repeat(NAME_MAX),
            ..Facts::default()
        };
        let line = write_short_line(Verb::Acknowlege, &with_last(7));
        assert_eq!(line.len(), SHORT_MAX - "\n".len(), "{line}");
        let line = write_short_line(Verb::Acknowlege, &with_last(8));
        assert!(line.ends_with(" tttttttt=65535"), "{line}");
    }

    #[test]
    fn an_answer_is_at_most_three_times_its_question_in_frames_of_ethernet() {
        let frame = |len: usize| 60.max(14 + 20 + 8 + len);
        assert!(frame(ANNOUNCEMENT_MAX) <= 3 * frame(QUESTION.len()));
        assert!(frame(ANNOUNCEMENT_MAX + 1) > 3 * frame(QUESTION.len()));
        assert!((0..=DATAGRAM_MAX).all(|len| frame(answer_max(len)) <= 3 * frame(len)));
        assert_eq!(parse_question(&PADDED_QUESTION), Some(false));
        assert!(answer_max(PADDED_QUESTION.len()) >= ANNOUNCEMENT_MAX);
        assert!(answer_max(PADDED_QUESTION.len() - 1) < ANNOUNCEMENT_MAX, "and no byte more than that takes");
    }

    #[test]
    fn a_pair_is_told_up_to_the_bound_and_left_off_one_past_it() {
        let with_last = |len: usize| Facts {
            host: "h".repeat(HOST_MAX),
            services: vec![("s".repeat(10), 10_000), ("t".repeat(len), 10_000)],
            ..Facts::default()
        };
        let longest = ANNOUNCEMENT_MAX - "\n".len();
        let fits = longest - write_line(Verb::Announce, &with_last(NAME_MAX)).len() - " =10000".len();
        assert_eq!(write_line(Verb::Announce, &with_last(fits + 1)).len(), longest - " =10000".len() - fits);
        assert_eq!(write_line(Verb::Announce, &with_last(fits)).len(), longest);
    }

    #[test]
    fn only_notify_is_the_question() {
        for (payload, expected) in [
            (&b"Notify"[..], Some(false)),
            (b"Notify\n", Some(true)),
            (b"Notify\r\n", Some(true)),
            (b"Notify\n\0", Some(true)),
            (b"Notify\r", None),
            (b"Notify\0\0\0", Some(false)),
            (b"Notify ", None),
            (b" Notify", None),
            (b"notify", None),
            (b"Notif", None),
            (b"Notify\0Notify", None),
            (b"", None),
        ] {
            assert_eq!(parse_question(payload), expected, "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn a_reader_ignores_what_it_does_not_know() {
        let heard = parse_announcement(
            "Announce belfry/2  host=a host=b colour=red time=8080 time=1 files=9001/tcp echo=0 ntp=65536 x \
             Chat=1 chat=+9 chat=9999 heartbeat=1500ms =5 a==5 version=\u{1b}[2J version=2\r\n",
        );
        let expected = Announcement {
            verb: Verb::Announce,
            protocol: Some(2),
            host: Some("a".to_owned()),
            version: Some("2".to_owned()),
            heartbeat_interval: Some(Duration::from_millis(1_500)),
            services: vec![("time".to_owned(), 8080), ("chat".to_owned(), 9999)],
        };
        assert_eq!(heard, Some(expected));
    }

    #[test]
    fn a_bare_verb_is_a_server_and_other_text_is_not() {
        assert_eq!(parse_announcement("Acknowlege\n"), Some(Announcement::bare(Verb::Acknowlege)));
        for text in ["", "Notify", "Acknowledge belfry/1", "Announce lunch", "Announce belfry/", "Announce belfry/+1"] {
            assert_eq!(parse_announcement(text), None, "{text}");
        }
        let long = format!("Announce belfry/1 x={}", "y".repeat(DATAGRAM_MAX));
        assert_eq!(parse_announcement(&long), None);
        assert!(parse_announcement(&long[..DATAGRAM_MAX]).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            host in "[A-Za-z0-9.-]{1,20}",
            ports in prop::collection::vec(1_u16.., 0..5),
            millis in 1_u32..1_000_000,
        ) {
            let services = ports.iter().enumerate().map(|(n, &port)| (format!("s{n}"), port)).collect();
            let heartbeat_interval = Some(Duration::from_millis(millis.into()));
            let facts = Facts { host, version: "1.2.3~rc1".to_owned(), services, heartbeat_interval };
            let heard = parse_announcement(&write_line(Verb::Announce, &facts)).unwrap();
            let read = Facts {
                host: heard.host.unwrap(),
                version: heard.version.unwrap(),
                services: heard.services,
                heartbeat_interval: heard.heartbeat_interval,
            };
            prop_assert_eq!(read, facts);
        }

        #[test]
        fn whatever_the_facts_the_line_is_one_short_ascii_line_and_no_question(
            host in any::<String>(),
            version in any::<String>(),
            services in prop::collection::vec(any::<(String, u16)>(), 0..20),
            heartbeat_interval in any::<Option<Duration>>(),
        ) {
            let facts = Facts { host, version, services, heartbeat_interval };
            for verb in Verb::ALL {
                let line = write_line(verb, &facts);
                prop_assert!(line.len() < ANNOUNCEMENT_MAX);
                prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", line);
                prop_assert_eq!(parse_question(line.as_bytes()), None);
                prop_assert_eq!(parse_announcement(&line).unwrap().verb, verb);
                prop_assert!(write_short_line(verb, &facts).len() < SHORT_MAX);
            }
        }

        #[test]
        fn reading_never_panics_and_keeps_only_what_a_terminal_may_see(
            head in prop::sample::select(vec!["", "Announce belfry/1 ", "Goodbye belfry/1 host="]),
            tail in "(\\PC|[\\x00-\\x20=]|host=|[a-z]{1,5}=[0-9]{1,6} ){0,40}",
        ) {
            if let Some(heard) = parse_announcement(&format!("{head}{tail}")) {
                let names = heard.services.iter().map(|(name, _)| name).chain(&heard.host).chain(&heard.version);
                for text in names {
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", text);
                }
            }
        }
    }
}
