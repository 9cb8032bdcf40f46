//! `belfry ctl`: how is the daemon of this host, and what is it to do?
//!
//! It asks by the control socket (`docs/CONTROL.md`), one line, and prints the answer as a table, or as it came. It
//! touches no network and no file but that socket, so that a service manager may call it from within the daemon's own
//! sandbox.

mod show;

use super::{Failure, Who, shown};
use crate::clock::Clock;
use crate::config::LEVELS;
use crate::control::{self, Request};
use crate::core::limits::CONTROL_ANSWER_MAX;
use crate::unix;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use log::LevelFilter;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a reload may take at least: it reads files, and disks may be asleep.
const RELOAD_TIMEOUT_MIN: Duration = Duration::from_secs(10);

/// What `belfry ctl` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    order: Order,
    /// Print the answer as it came, one line of JSON
    #[arg(long, global = true)]
    json: bool,
    /// The control socket of the daemon
    #[arg(long, global = true, value_name = "PATH", default_value = "/run/belfry/control")]
    #[arg(env = "BELFRY_CONTROL", hide_env_values = true)]
    socket: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
enum Order {
    /// How it is: version, listeners, members, the clock
    Status,
    /// Who is here, where, and since when silent
    Members,
    /// What became of the datagrams, by service and reason
    Stats,
    /// Read the configuration again; waits for at least 10s
    Reload,
    /// Write more to the log, or less, until the next reload
    LogLevel {
        /// The least important lines that are written
        #[arg(value_parser = level_parser())]
        level: LevelFilter,
    },
    /// Remove a member, who may come back by speaking
    Kick {
        /// Its name, as `belfry ctl members` shows it
        name: String,
    },
}

fn level_parser() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(LEVELS.map(|(name, _)| name))
        .map(|name| control::level_named(&name).expect("it is one of the names"))
}

impl From<&Order> for Request {
    fn from(order: &Order) -> Self {
        match order {
            Order::Status => Self::Status,
            Order::Members => Self::Members,
            Order::Stats => Self::Stats,
            Order::Reload => Self::Reload,
            Order::LogLevel { level } => Self::LogLevel { level: *level },
            Order::Kick { name } => Self::Kick { name: name.clone() },
        }
    }
}

/// Has the daemon do what it is told, and prints what it answers.
pub(super) fn ctl(who: &Who, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    if who.server.is_some() {
        return Err(Failure::Usage("--server does not go with ctl, which asks the daemon of this host".to_owned()));
    }
    let timeout = match options.order {
        Order::Reload => who.timeout.max(RELOAD_TIMEOUT_MIN),
        _ => who.timeout,
    };
    let line = exchange(&options.socket, timeout, &Request::from(&options.order))?;
    let text = match options.order {
        Order::Status => text(&line, show::status),
        Order::Members => text(&line, show::members),
        Order::Stats => text(&line, show::stats),
        Order::Reload => text(&line, show::reloaded),
        Order::LogLevel { .. } => text(&line, show::log_level),
        Order::Kick { .. } => text(&line, show::kicked),
    };
    if options.json {
        writeln!(out, "{line}").map_err(Failure::to("print"))?;
        return text.map(drop);
    }
    out.write_all(text?.as_bytes()).map_err(Failure::to("print"))
}

/// What a line says, as `show` has it; the error, when it says no.
fn text<T: DeserializeOwned>(line: &str, show: impl Fn(&T) -> String) -> Result<String, Failure> {
    match control::parse_outcome(line) {
        Ok(Ok(answer)) => Ok(show(&answer)),
        Ok(Err(error)) => Err(Failure::Refused(shown(error.as_bytes(), "\n"))),
        Err(error) => Err(Failure::Failed(format!("that is no answer of belfryd: {error}"))),
    }
}

/// Sends one line and waits for one.
fn exchange(path: &Path, timeout: Duration, request: &Request) -> Result<String, Failure> {
    let clock = Clock::new();
    let until = clock.now().mono + timeout;
    let mut stream = unix::connect(path, timeout).map_err(|error| unreachable(path, timeout, &error))?;
    let asked = stream.write_all((request.line() + "\n").as_bytes());
    asked.map_err(|error| unreachable(path, timeout, &error))?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while !answer.contains(&b'\n') {
        let wait = until.since(clock.now().mono);
        if wait.is_zero() {
            return Err(no_answer(timeout));
        }
        stream.set_read_timeout(Some(wait)).map_err(Failure::to("wait"))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(Failure::Failed("belfryd has closed the connection without an answer".to_owned())),
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return Err(unreachable(path, timeout, &error)),
            },
        }
        if answer.len() > CONTROL_ANSWER_MAX + 1 {
            return Err(Failure::Failed(format!("the answer is longer than {CONTROL_ANSWER_MAX} bytes")));
        }
    }
    let line = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn unreachable(path: &Path, timeout: Duration, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => return no_answer(timeout),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => "belfryd does not run here, or without a control socket",
        ErrorKind::PermissionDenied => "you are not in the group belfry",
        _ => return Failure::Failed(format!("cannot ask {}: {error}", path.display())),
    };
    Failure::Failed(format!("cannot reach {}: {why}", path.display()))
}

fn no_answer(timeout: Duration) -> Failure {
    Failure::NobodyThere(format!(
        "no answer within {}: is belfryd running? systemctl status belfryd",
        humantime::format_duration(timeout)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Cli;
    use clap::Parser;
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::os::unix::net::UnixListener;
    use std::os::unix::net::UnixStream;

    const TIMEOUT: Duration = Duration::from_secs(2);

    /// What comes of a request at a socket that says `answer`, and then closes or does not.
    fn ask(name: &str, answer: Option<&[u8]>) -> Result<String, String> {
        let path = std::env::temp_dir().join(format!("belfry-ctl-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let exchanged = std::thread::scope(|scope| {
            if let Some(answer) = answer {
                scope.spawn(|| {
                    let mut stream = listener.accept().unwrap().0;
                    let _ = stream.read(&mut [0; 256]).unwrap();
                    // Who has heard enough may close before the end.
                    let _ = stream.write_all(answer);
                });
            }
            exchange(&path, TIMEOUT, &Request::Status)
        });
        std::fs::remove_file(&path).unwrap();
        exchanged.map_err(|failure| format!("{}: {failure}", failure.status()))
    }

    #[test]
    fn an_answer_is_one_line_whatever_follows_it() {
        assert_eq!(ask("whole", Some(b"{}\n")).as_deref(), Ok("{}"));
        assert_eq!(ask("more", Some(b"{\xff}\nmore")).as_deref(), Ok("{\u{fffd}}"));
    }

    #[test]
    fn what_is_no_answer_is_told_for_what_it_is() {
        let closed = "1: belfryd has closed the connection without an answer";
        assert_eq!(ask("none", Some(b"")).unwrap_err(), closed);
        assert_eq!(ask("half", Some(b"{\"ok\":tr")).unwrap_err(), closed);
        let endless = vec![b'x'; CONTROL_ANSWER_MAX + 2];
        assert_eq!(ask("endless", Some(&endless)).unwrap_err(), "1: the answer is longer than 4194304 bytes");
        let silence = "2: no answer within 2s: is belfryd running? systemctl status belfryd";
        assert_eq!(ask("silent", None).unwrap_err(), silence);
        let failure = text::<control::Reloaded>("rubbish", show::reloaded).unwrap_err();
        assert_eq!(failure.to_string(), "that is no answer of belfryd: expected value at line 1 column 1");
    }

    #[test]
    fn a_daemon_that_takes_in_nobody_is_waited_for_no_longer_than_any() {
        let path = std::env::temp_dir().join(format!("belfry-ctl-{}-full", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        let failure = exchange(&path, TIMEOUT, &Request::Status).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(failure.status(), 2, "{failure}");
    }

    #[test]
    fn the_error_of_the_daemon_is_shown_line_by_line_and_cannot_steer_the_terminal() {
        let line = r#"{"ok":false,"error":"a.toml:1:1: no\n    1 | x\u001b[2J\n      | ^"}"#;
        let failure = text::<control::Reloaded>(line, show::reloaded).unwrap_err();
        assert_eq!(failure.to_string(), "a.toml:1:1: no\n    1 | x\\u{1b}[2J\n      | ^");
        assert_eq!(failure.status(), 1);
    }

    #[test]
    fn orders_are_read_as_people_type_them() {
        let cases: [(&[&str], &str); 7] = [
            (&["ctl", "status"], r#"{"command":"status"}"#),
            (&["ctl", "members", "--json"], r#"{"command":"members"}"#),
            (&["ctl", "--socket", "/x", "stats"], r#"{"command":"stats"}"#),
            (&["ctl", "reload", "--timeout", "1m"], r#"{"command":"reload"}"#),
            (&["ctl", "log-level", "debug"], r#"{"command":"log-level","level":"debug"}"#),
            (&["ctl", "kick", "Änne"], r#"{"command":"kick","name":"Änne"}"#),
            (&["--timeout", "5s", "ctl", "kick", "--", "-x"], r#"{"command":"kick","name":"-x"}"#),
        ];
        for (words, line) in cases {
            let cli = Cli::try_parse_from([&["belfry"], words].concat()).unwrap();
            let crate::client::Command::Ctl(options) = cli.command else { panic!("{words:?}") };
            assert_eq!(Request::from(&options.order).line(), line);
        }
        for words in [&["ctl"][..], &["ctl", "stop"], &["ctl", "kick"], &["ctl", "log-level", "loud"]] {
            assert!(Cli::try_parse_from([&["belfry"], words].concat()).is_err(), "{words:?}");
        }
    }
}
