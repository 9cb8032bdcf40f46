//! What is said over the control socket: the requests, the answers, and how each stands on its line.
//!
//! The daemon and `belfry ctl` share these types, and `docs/CONTROL.md` is held to them by a test. A line is one JSON
//! object. Fields that nobody knows are ignored on both sides, so that either may be newer than the other.

use crate::config::LEVELS;
use crate::core::limits::{CONTROL_ANSWER_MAX, CONTROL_REQUEST_MAX};
use crate::services::Transport;
use log::LevelFilter;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Every command, by its name on the wire.
const COMMANDS: [&str; 7] = ["status", "members", "stats", "access", "reload", "log-level", "kick"];

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// How is it going?
    Status,
    /// Who is here?
    Members,
    /// What became of the datagrams?
    Stats,
    /// May a source speak to us, and why?
    Access {
        /// Its address.
        address: IpAddr,
        /// To which service; to each when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// By way of which interface, by name or number; by any when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// Read the configuration again.
    Reload,
    /// Write lines down to this level, until the next reload.
    LogLevel {
        /// The least important that are written.
        #[serde(with = "level")]
        level: LevelFilter,
    },
    /// Remove a member.
    Kick {
        /// Its name, in any letter case.
        name: String,
    },
}

impl Request {
    /// The request on a line, or what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            command: String,
        }
        let head: Head = serde_json::from_slice(line).map_err(|error| format!("that is no request: {error}"))?;
        if !COMMANDS.contains(&head.command.as_str()) {
            let known = COMMANDS.join(", ");
            return Err(format!("there is no command {:?}; there are {known}", head.command));
        }
        serde_json::from_slice(line).map_err(|error| format!("{}: {error}", head.command))
    }

    /// Its line, without the newline.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("strings and names are always JSON")
    }
}

/// What came of a request that was granted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Members`].
    Members(Members),
    /// To [`Request::Stats`].
    Stats(Stats),
    /// To [`Request::Access`].
    Access(Access),
    /// To [`Request::Reload`].
    Reloaded(Reloaded),
    /// To [`Request::LogLevel`].
    LogLevel(LogLevel),
    /// To [`Request::Kick`].
    Kicked(Kicked),
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started; those in which it was stopped are not counted.
    pub uptime: u64,
    /// The files that the configuration in force came from, in words.
    pub configuration: String,
    /// Members of the hub.
    pub members: usize,
    /// Rooms with somebody in them.
    pub rooms: usize,
    /// What the kernel says of its clock.
    pub clock: Clock,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// The least important lines that the log gets.
    #[serde(with = "level")]
    pub log_level: LevelFilter,
    /// How members and history are kept for the next start, in words.
    pub state: String,
}

/// The state of the host's clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clock {
    /// Whether something disciplines it.
    pub synchronised: bool,
    /// The bound on its error, in seconds.
    pub max_error: Option<f64>,
}

/// A socket of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Whose.
    pub service: String,
    /// Its own address.
    pub address: SocketAddr,
    /// `udp` or `tcp`.
    #[serde(default = "udp")]
    pub protocol: String,
}

/// What every socket was before there were others.
fn udp() -> String {
    Transport::Udp.name().to_owned()
}

/// Who is here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Members {
    /// How many there are.
    pub count: usize,
    /// The first of them, by name.
    pub members: Vec<Member>,
}

/// Somebody who is here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub room: String,
    /// Where else it is: only a session is in several rooms.
    #[serde(default)]
    pub further_rooms: Vec<String>,
    /// Where it is reached.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub way: Way,
    /// Whether it has ever sent a heartbeat.
    pub heartbeats: bool,
    /// Seconds since it was last heard.
    pub silent_for: f64,
    /// What it said when it went away, while it is.
    pub away: Option<String>,
    /// Whether its host is on the network, as far as is known.
    pub in_reach: bool,
}

/// How a member is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Messages as they are.
    Program,
    /// Lines, with notices of who comes and goes.
    Line,
    /// Frames, with numbers.
    Session,
}

/// What became of the datagrams, since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Each service, whether it runs or not.
    pub services: Vec<ServiceStats>,
}

/// What became of the datagrams of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceStats {
    /// Whose.
    pub service: String,
    /// Asked for something and got it.
    pub answered: u64,
    /// Were taken in.
    pub accepted: u64,
    /// Got an error line, by the reason.
    pub refused: BTreeMap<String, u64>,
    /// Got nothing, by the reason.
    pub dropped: BTreeMap<String, u64>,
    /// Were dropped by the kernel, since more came than could be read.
    pub kernel_drops: u64,
    /// Were to be sent, and found no room to wait.
    pub forgotten: u64,
    /// Were to be sent, and could not be.
    pub unsent: u64,
    /// Whoever is connected now.
    #[serde(default)]
    pub connections: u64,
}

/// Who may speak to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// One for each service that was asked about.
    pub decisions: Vec<Decision>,
}

/// Whether a source may speak to a service, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// Which service.
    pub service: String,
    /// Whether that runs; the rules are the same when it does not.
    pub enabled: bool,
    /// Whether the source may.
    pub allowed: bool,
    /// The rule that decided, if one did.
    pub rule: Option<String>,
    /// Where that stands: `[access] allow`.
    pub place: Option<String>,
    /// Whether the source is on-link, whatever decided.
    pub on_link: bool,
    /// The subnet by which it is.
    pub subnet: Option<String>,
    /// The interface with that subnet; none where each has it.
    pub interface: Option<String>,
    /// All of it for people.
    pub sentence: String,
}

/// Another configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The files that it came from, in words.
    pub configuration: String,
}

/// Another log level is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevel {
    /// Which.
    #[serde(with = "level")]
    pub level: LevelFilter,
    /// For how long, in words.
    pub until: String,
}

/// A member was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kicked {
    /// What it was called.
    pub name: String,
    /// Where it was.
    pub room: String,
    /// Where it was reached.
    pub address: SocketAddr,
}

/// What came of a request: an answer, or why there is none. The text may have several lines.
pub type Outcome<T> = Result<T, String>;

/// The line of an outcome, without the newline.
pub fn outcome_line(outcome: &Outcome<Answer>) -> String {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Line<'a> {
        Done {
            ok: bool,
            #[serde(flatten)]
            answer: &'a Answer,
        },
        Refused {
            ok: bool,
            error: &'a str,
        },
    }
    let line = match outcome {
        Ok(answer) => Line::Done { ok: true, answer },
        Err(error) => Line::Refused { ok: false, error },
    };
    let line = serde_json::to_string(&line).expect("strings, numbers and maps of strings are always JSON");
    if line.len() > CONTROL_ANSWER_MAX {
        return outcome_line(&Err(format!("the answer would be longer than {CONTROL_ANSWER_MAX} bytes")));
    }
    line
}

/// Why a line is no outcome.
pub type LineError = serde_json::Error;

/// The outcome on a line.
pub fn parse_outcome<T: DeserializeOwned>(line: &str) -> Result<Outcome<T>, LineError> {
    #[derive(Deserialize)]
    struct Head {
        ok: bool,
        #[serde(default)]
        error: String,
    }
    match serde_json::from_str(line)? {
        Head { ok: false, error } => Ok(Err(error)),
        Head { ok: true, .. } => serde_json::from_str(line).map(Ok),
    }
}

/// What a line that is too long is answered with.
pub fn too_long() -> String {
    format!("a request has at most {CONTROL_REQUEST_MAX} bytes")
}

/// A length of time as it stands in an answer: in seconds, to the microsecond.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

/// The name of a log level, as the configuration spells it.
pub fn level_name(level: LevelFilter) -> &'static str {
    LEVELS.iter().find(|&&(_, named)| named == level).map_or("", |&(name, _)| name)
}

/// The log level of that name.
pub fn level_named(name: &str) -> Option<LevelFilter> {
    LEVELS.iter().find(|&&(known, _)| known == name).map(|&(_, level)| level)
}

/// How serde writes and reads a log level.
mod level {
    use super::*;

    pub(super) fn serialize<S: Serializer>(level: &LevelFilter, serializer: S) -> Result<S::Ok, S::Error> {
        level_name(*level).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LevelFilter, D::Error> {
        let name = String::deserialize(deserializer)?;
        level_named(&name).ok_or_else(|| {
            let known = LEVELS.map(|(known, _)| known).join(", ");
            D::Error::custom(format_args!("there is no level {name:?}; there are {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::{
        CONTROL_CONNECTIONS_MAX, CONTROL_MEMBERS_MAX, CONTROL_PATIENCE, NAME_MAX, SESSION_ROOMS_MAX, TOPIC_MAX,
    };
    use serde_json::Value;

    const PAGE: &str = include_str!("../docs/CONTROL.md");

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    /// An answer read as the type that it should have, and written again.
    fn again<T: DeserializeOwned>(line: &str, of: impl Fn(T) -> Answer) -> String {
        outcome_line(&parse_outcome(line).unwrap().map(of))
    }

    #[test]
    fn the_page_shows_each_request_and_each_answer_as_the_types_have_them() {
        let lines: Vec<&str> =
            PAGE.split("```json\n").skip(1).flat_map(|rest| rest.split("```").next().unwrap().lines()).collect();
        let mut shown = Vec::new();
        for pair in lines.chunks(2) {
            let [request, answer] = pair else { panic!("a request without an answer: {pair:?}") };
            let parsed = Request::parse(request.as_bytes()).unwrap();
            assert_eq!(json(&parsed.line()), json(request));
            let written = match parsed {
                Request::Status => again(answer, Answer::Status),
                Request::Members => again(answer, Answer::Members),
                Request::Stats => again(answer, Answer::Stats),
                Request::Access { .. } => again(answer, Answer::Access),
                Request::Reload => again(answer, Answer::Reloaded),
                Request::LogLevel { .. } => again(answer, Answer::LogLevel),
                Request::Kick { .. } => again(answer, Answer::Kicked),
            };
            assert_eq!(json(&written), json(answer), "{request}");
            if json(answer)["ok"] == true {
                shown.push(json(request)["command"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(shown, COMMANDS);
    }

    #[test]
    fn the_page_names_the_limits() {
        let patience = format!("{} seconds", CONTROL_PATIENCE.as_secs());
        let (connections, members) = (format!("{CONTROL_CONNECTIONS_MAX} conn"), format!("{CONTROL_MEMBERS_MAX} mem"));
        let (request, answer) = (format!("{CONTROL_REQUEST_MAX} bytes"), format!("{CONTROL_ANSWER_MAX} bytes"));
        for limit in [patience, connections, members, request, answer] {
            assert!(PAGE.replace(',', "").contains(&limit), "{limit}");
        }
    }

    #[test]
    fn what_is_no_request_is_answered_with_what_would_be_one() {
        let cases = [
            ("", "that is no request: EOF while parsing a value at line 1 column 0"),
            ("{\"command\":\"stat", "that is no request: EOF while parsing a string at line 1 column 16"),
            ("[1]", "that is no request: invalid type: integer `1`, expected a string at line 1 column 2"),
            ("{}", "that is no request: missing field `command` at line 1 column 2"),
            (
                r#"{"command":"stop\n"}"#,
                r#"there is no command "stop\n"; there are status, members, stats, access, reload, log-level, kick"#,
            ),
            (r#"{"command":"kick"}"#, "kick: missing field `name`"),
            (r#"{"command":"access","address":"anna"}"#, "access: invalid IP address syntax"),
            (
                r#"{"command":"log-level","level":"loud"}"#,
                r#"log-level: there is no level "loud"; there are off, error, warn, info, debug, trace"#,
            ),
        ];
        for (line, error) in cases {
            assert_eq!(Request::parse(line.as_bytes()), Err(error.to_owned()), "{line}");
        }
        assert!(Request::parse(b"\xff\xfe").is_err());
        assert!(Request::parse(&[b'['; CONTROL_REQUEST_MAX]).is_err(), "however deep it goes");
    }

    #[test]
    fn fields_that_nobody_knows_are_ignored() {
        assert_eq!(Request::parse(br#"{"verbose":[1,{}],"command":"status"}"#), Ok(Request::Status));
        let kick = Request::parse(br#"{"command":"kick","name":"anna","why":null}"#);
        assert_eq!(kick, Ok(Request::Kick { name: "anna".to_owned() }));
        let line = r#"{"ok":true,"configuration":"x","since":1}"#;
        assert_eq!(parse_outcome(line).unwrap(), Ok(Reloaded { configuration: "x".to_owned() }));
    }

    #[test]
    fn an_error_of_several_lines_stands_on_one() {
        let error = "belfry.toml:1:1: no\n    1 | x\n      | ^".to_owned();
        let line = outcome_line(&Err(error.clone()));
        assert_eq!(line.lines().count(), 1);
        assert_eq!(parse_outcome::<Reloaded>(&line).unwrap(), Err(error));
    }

    #[test]
    fn the_longest_list_of_members_fits_an_answer_and_what_does_not_is_an_error() {
        let member = Member {
            name: "x".repeat(NAME_MAX),
            room: "x".repeat(NAME_MAX),
            further_rooms: vec!["x".repeat(NAME_MAX); SESSION_ROOMS_MAX - 1],
            address: "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535".parse().unwrap(),
            way: Way::Program,
            heartbeats: false,
            silent_for: 31_557_600.123_456,
            away: Some("\"".repeat(TOPIC_MAX)),
            in_reach: false,
        };
        let members = |count| Answer::Members(Members { count: usize::MAX, members: vec![member.clone(); count] });
        let line = outcome_line(&Ok(members(CONTROL_MEMBERS_MAX)));
        assert!(line.starts_with("{\"ok\":true,"), "{}", line.len());
        let line = outcome_line(&Ok(members(2 * CONTROL_MEMBERS_MAX)));
        assert_eq!(line, r#"{"ok":false,"error":"the answer would be longer than 4194304 bytes"}"#);
    }
}
