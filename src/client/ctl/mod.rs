//! `belfry ctl`: how is the daemon of this host, and what is it to do?
//!
//! It prints the answer as a table, or as it came, and touches no network and no file but the control socket, so that a
//! service manager may call it from within the daemon's own sandbox.

mod show;

use super::daemon::Daemon;
use super::{Failure, Who};
use crate::config::LEVELS;
use crate::control::{self, Request};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use log::LevelFilter;
use std::io::Write;
use std::time::Duration;

/// How long a reload may take at least: it reads files, and disks may be asleep.
const RELOAD_TIMEOUT_MIN: Duration = Duration::from_secs(10);

/// What `belfry ctl` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    order: Order,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Clone, Debug, Subcommand)]
enum Order {
    /// How it is: version, listeners, members, the clock
    #[command(after_help = "Examples:\n  belfry ctl status")]
    Status,
    /// Who is here, where, and since when silent
    #[command(after_help = "Examples:\n  belfry ctl members")]
    Members,
    /// What became of the datagrams, by service and reason
    #[command(after_help = "Examples:\n  belfry ctl stats --json | jq .services")]
    Stats,
    /// Read the configuration again; waits for at least 10s
    #[command(after_help = "Examples:\n  belfry ctl reload")]
    Reload,
    /// Write more to the log, or less, until the next reload
    #[command(after_help = "Examples:\n  belfry ctl log-level debug")]
    LogLevel {
        /// The least important lines that are written
        #[arg(value_parser = level_parser())]
        level: LevelFilter,
    },
    /// Remove a member, who may come back by speaking
    #[command(after_help = "Examples:\n  belfry ctl kick anna")]
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
pub(super) fn ctl(who: &Who, Options { order, daemon }: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let timeout = match order {
        Order::Reload => who.timeout.max(RELOAD_TIMEOUT_MIN),
        _ => who.timeout,
    };
    let who = Who { timeout, ..who.clone() };
    let request = Request::from(order);
    match order {
        Order::Status => daemon.ask(&who, &request, show::status, out).map(drop),
        Order::Members => daemon.ask(&who, &request, show::members, out).map(drop),
        Order::Stats => daemon.ask(&who, &request, show::stats, out).map(drop),
        Order::Reload => daemon.ask(&who, &request, show::reloaded, out).map(drop),
        Order::LogLevel { .. } => daemon.ask(&who, &request, show::log_level, out).map(drop),
        Order::Kick { .. } => daemon.ask(&who, &request, show::kicked, out).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Cli;
    use clap::Parser;

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
