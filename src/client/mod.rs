//! What `belfry` does: talk in rooms, ask for the time, look around, check that everything works, and ask the daemon of this host
//! whom it lets in, how it is, and to do something.
//!
//! Each command is a file. They share `Server`, which says who is asked, `Link`, which asks, and `Attendance`, by which those
//! that talk are at the hub; but for `access` and `ctl`, which share `Daemon`: they ask by the control socket. The client keeps nothing between two calls and
//! needs no configuration.
//!
//! What servers send is text of strangers: it is shown with its control characters escaped.

mod access;
mod attendance;
mod chat;
mod columns;
mod complete;
mod ctl;
mod daemon;
mod discover;
mod doctor;
mod entrance;
mod lines;
mod link;
pub mod listing;
mod millis;
mod print;
mod printer;
mod progress;
mod say;
mod server;
pub mod session;
mod tail;
mod talker;
mod time;
mod who;

use crate::core::escape::one_line;
use crate::exit;
use clap::{Args, CommandFactory, Parser, Subcommand};
use server::{Origin, Server};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// The room that is meant when none is named.
const LOBBY: &str = "lobby";

/// The longest `--timeout`: a day, so that no deadline overflows.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Talk in the rooms of a Belfry server, ask it for the time, find it.
#[derive(Debug, Parser)]
#[command(
    name = "belfry",
    version,
    max_term_width = 100,
    after_help = "The server: --server, else $BELFRY_SERVER, else `server` in ~/.config/belfry/belfry.toml (the contacts), else the \
                  one of this host, else one of this network that answers discovery.\n\
                  Exit status: 0 done, 1 failed or refused, 2 no answer, 64 bad usage."
)]
struct Cli {
    #[command(flatten)]
    who: Who,
    #[command(subcommand)]
    command: Command,
}

/// Who is asked, and for how long.
#[derive(Clone, Debug, Args)]
struct Who {
    /// The server: an address, a host name, or a name from your contacts [default: see belfry --help]
    #[arg(long, global = true, value_name = "HOST[:PORT]")]
    server: Vec<Server>,
    /// How long to wait for an answer, as 500ms or 2s
    #[arg(long, global = true, value_name = "DURATION", default_value = "2s", value_parser = parse_timeout)]
    timeout: Duration,
    /// Whether any server does, the sooner the better, and nothing is said about it.
    #[arg(skip)]
    is_hasty: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Talk in rooms, on the whole screen or line by line
    ///
    /// F1 shows everything that can be typed and pressed. Nothing that is said is missed, whatever the network loses and over
    /// restarts of the server. Where there is no terminal, it goes line by line, and ends when its input does.
    #[command(
        after_help = "Examples:\n  belfry chat\n  belfry chat lobby lab --name anna\n  echo hello | belfry chat --plain lab"
    )]
    Chat(chat::Options),
    /// Print the time, in any strftime format
    Time(time::Options),
    /// Say something in the room, and wait until the hub has acknowledged it
    ///
    /// The text is sent as it is; commands such as /me are not read. Datagrams that the network loses are sent again, and the
    /// text appears once. If the hub refuses a line of standard input, its number and the reason are reported and the other
    /// lines are still said.
    #[command(after_help = "Examples:\n  belfry say lunch is ready\n  df -h / | belfry say --room lab -")]
    Say(say::Options),
    /// Say something to one member alone
    ///
    /// It returns when the hub has the text. A session that is offline for a moment gets it when it is back.
    #[command(after_help = "Examples:\n  belfry msg anna can you come over?")]
    Msg(say::PrivateOptions),
    /// Print what is said in the room, until interrupted
    ///
    /// Each message is a line: "NAME: text", "* NAME text" for an action (/me), "NAME -> you: text" for a private message.
    /// Further lines of a text are indented with a tab. No message is missed when the network loses datagrams or the server
    /// restarts; messages that the server no longer has are counted on standard error. The others in the room see that you
    /// join.
    #[command(after_help = "Examples:\n  belfry tail\n  belfry tail --room lab --since 1h --time")]
    Tail(tail::Options),
    /// Print what was said in the room
    ///
    /// It joins the room for a moment, which the others there see.
    #[command(
        after_help = "Examples:\n  belfry history\n  belfry history 15m --room lab\n  belfry history --json | jq -r .text"
    )]
    History(tail::HistoryOptions),
    /// List who is in a room
    ///
    /// A line for each, in the order of the names: the name, how long ago it last said something, and whether it is away.
    /// Nobody is told that you have asked.
    #[command(after_help = "Examples:\n  belfry who\n  belfry who lab --json | jq -r .name")]
    Who(who::MembersOptions),
    /// List the rooms
    ///
    /// A line for each, in the order of the names: the name, how many are in it, and its topic.
    #[command(after_help = "Examples:\n  belfry rooms\n  belfry rooms --json | jq -r .topic")]
    Rooms(who::RoomsOptions),
    /// Check that everything works from here
    ///
    /// A line for each check: "ok", "note" for what is worth knowing, "bad" for what is wrong, and below it what to do. The
    /// exit status is 0 when nothing is bad, 1 when something is, and 2 when nothing has answered at all.
    Doctor(doctor::Options),
    /// List the servers of this network
    Discover(discover::Options),
    /// Explain who may speak to the daemon of this host
    ///
    /// It tells of each service whether a source is let in or kept out, by which rule, where that rule stands, and whether the
    /// source is on-link. The exit status is 0 when each service that is asked about lets it in, and 1 when one does not.
    #[command(after_help = "Examples:\n  belfry access 192.0.2.7\n  belfry access fe80::7%eth0 --service chat")]
    Access(access::Options),
    /// Ask the daemon of this host how it is, or tell it what to do
    #[command(after_help = "The control socket is open to root and to the group belfry.")]
    Ctl(ctl::Options),
}

/// The command line, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    if let Some(status) = complete::complete() {
        return status;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version come this way too, and go to standard output.
            let _ = message.print();
            return if message.use_stderr() { exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(&cli) {
        Ok(status) => status,
        Err(failure) => {
            if !matches!(failure, Failure::NobodyReads) {
                complain(&failure);
            }
            failure.status().into()
        }
    }
}

fn run(Cli { who, command }: &Cli) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    let done = match command {
        Command::Chat(options) => chat::chat(who, options),
        Command::Time(options) => time::time(who, options, &mut stdout),
        Command::Who(options) => who::who(who, options, &mut stdout),
        Command::Rooms(options) => who::rooms(who, options, &mut stdout),
        Command::Doctor(options) => return doctor::doctor(who, options, &mut stdout),
        Command::Say(options) => say::say(who, options),
        Command::Msg(options) => say::message(who, options),
        Command::Tail(options) => tail::tail(who, options, &stdout),
        Command::History(options) => tail::history(who, options, &stdout),
        Command::Discover(options) => discover::discover(who, options, &mut stdout),
        Command::Access(options) => return access::access(who, options, &mut stdout),
        Command::Ctl(options) => ctl::ctl(who, options, &mut stdout),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Says something on standard error; where that is closed there is nobody to tell. It may be about a name or a file that holds
/// anything.
fn complain(message: &impl fmt::Display) {
    let message = message.to_string();
    let lines: Vec<_> = message.split('\n').map(|line| one_line(format_args!("{line}"), usize::MAX)).collect();
    let _ = writeln!(io::stderr(), "belfry: {}", lines.join("\n"));
}

/// Why a command did not do what was asked.
#[derive(Debug)]
enum Failure {
    /// It cannot be asked that way.
    Usage(String),
    /// It was tried, and this is what went wrong.
    Failed(String),
    /// The server said no, in these words.
    Refused(String),
    /// A host answered that the port is closed.
    NobodyListens(SocketAddr),
    /// Silence at each of these addresses of a server, and why that server was asked, where more than the user has said so.
    NoAnswer { addrs: Vec<SocketAddr>, timeout: Duration, origin: Option<Origin> },
    /// Silence, and what may be the reason.
    NobodyThere(String),
    /// Whoever read what we print has read enough, as `head` does.
    NobodyReads,
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Failed(_) | Self::Refused(_) | Self::NobodyListens(_) => 1,
            Self::NoAnswer { .. } | Self::NobodyThere(_) => 2,
            Self::NobodyReads => 0,
        }
    }

    /// Something could not be printed.
    fn printing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::to("print")(error),
        }
    }

    /// An operation of ours that failed.
    fn to(what: &str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Failed(format!("cannot {what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::Failed(why) | Self::NobodyThere(why) => f.write_str(why),
            // By this, a service marks a line as an error.
            Self::Refused(line) => f.write_str(line.strip_prefix("? ").unwrap_or(line)),
            Self::NobodyReads => f.write_str("nobody reads what is printed"),
            Self::NobodyListens(addr) => write!(f, "nobody listens on {addr}/udp"),
            Self::NoAnswer { addrs, timeout, origin } => {
                let addrs: Vec<String> = addrs.iter().map(|addr| format!("{addr}/udp")).collect();
                let timeout = humantime::format_duration(*timeout);
                write!(f, "no answer from {} within {timeout}", addrs.join(" or "))?;
                origin.map_or(Ok(()), |origin| write!(f, " ({})", origin.why()))
            }
        }
    }
}

/// What a server sent, fit for a terminal: its lines, each cleaned, with `between` between them.
fn shown(payload: &[u8], between: &str) -> String {
    let text = String::from_utf8_lossy(payload);
    let text = text.trim_end_matches(['\0', '\r', '\n']);
    let lines = text.split('\n').map(|line| one_line(format_args!("{}", line.trim_end_matches('\r')), usize::MAX));
    lines.collect::<Vec<_>>().join(between)
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).ok().filter(|timeout| !timeout.is_zero() && *timeout <= TIMEOUT_MAX);
    timeout.ok_or_else(|| "expected a duration with its unit, such as 500ms or 2s, of at most 1day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn command_lines_are_read_as_people_type_them() {
        let cases: [(&[&str], &[&str]); 11] = [
            (&["time"], &["Time(", "format: []"]),
            (
                &["time", "TZ=Asia/Tokyo", "%H:%M", "--timeout", "5s"],
                &["Time(", r#"format: ["TZ=Asia/Tokyo", "%H:%M"]"#],
            ),
            (&["--server", "belfry.lan", "say", "hello", "all"], &["Say(", r#"text: ["hello", "all"]"#]),
            (&["say", "-"], &["Say(", r#"text: ["-"]"#]),
            (&["say", "--", "--server"], &["Say(", r#"text: ["--server"]"#]),
            (&["msg", "anna", "come", "over"], &["Msg(", r#"to: "anna""#, r#"text: ["come", "over"]"#]),
            (&["tail", "--server", "[::1]:9"], &["Tail(", "since: None"]),
            (&["tail", "--since", "20"], &["Tail(", "since: Some(Count(20))"]),
            (&["history", "15m"], &["History(", "since: Age(900s)"]),
            (&["discover"], &["Discover(", "interface: None"]),
            (&["discover", "--interface", "lo"], &["Discover(", r#"interface: Some("lo")"#]),
        ];
        for (words, parts) in cases {
            let cli = Cli::try_parse_from([&["belfry"], words].concat()).unwrap();
            let read = format!("{:?}", cli.command);
            assert!(parts.iter().all(|part| read.contains(part)), "{words:?}: {read}");
        }
    }

    #[test]
    fn command_lines_that_make_no_sense_are_refused() {
        let cases: [&[&str]; 11] = [
            &[],
            &["msg"],
            &["history", "soon"],
            &["tail", "--since", "-1"],
            &["tell"],
            &["tail", "lobby"],
            &["time", "--server", "a:b"],
            &["time", "--timeout", "0s"],
            &["time", "--timeout", "2"],
            &["time", "--timeout", "25h"],
            &["discover", "--port", "0"],
        ];
        for words in cases {
            let error = Cli::try_parse_from([&["belfry"], words].concat()).unwrap_err();
            assert!(error.use_stderr(), "{words:?}");
        }
    }

    #[test]
    fn what_a_server_sends_is_cleaned_line_by_line_before_it_is_shown() {
        let cases: [(&[u8], &str); 5] = [
            (b"mira: hello\tall", "mira: hello\tall"),
            (b"mira: hello\r\n", "mira: hello"),
            (b"a: one\n\ttwo\r\nb: three\0", "a: one|\ttwo|b: three"),
            (b"\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            (b"caf\xe9", "caf\u{fffd}"),
        ];
        for (payload, text) in cases {
            assert_eq!(shown(payload, "|"), text);
        }
    }
}
