//! `belfry time`: the time, as the server's clock has it; how far that is from ours; a clock that ticks on it.
//!
//! | file | what it is about |
//! |---|---|
//! | `request.rs` | zone and format, as the server reads them |
//! | `samples.rs` | one server or several, asked at once; what each says, and when we asked and heard it |
//! | `several.rs` | a line for each of several servers |
//! | `offset.rs` | `--offset`: the difference of two clocks, and how sure that is |
//! | `watch.rs` | `--watch` |

mod offset;
mod request;
pub(super) mod samples;
mod several;
mod watch;

pub(super) use offset::{SAMPLES, clock_state};
pub(super) use request::Request;

use super::link::Link;
use super::{Failure, Who, shown};
use crate::services::ServiceName;
use clap::Args;
use std::io::Write;

/// What `belfry time` can be told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belfry time
  belfry time %A %H:%M
  belfry time --zone Asia/Tokyo %H:%M
  belfry time --offset
  belfry time --server 127.0.0.1 --server localhost %T")]
pub(super) struct Options {
    /// The format; the server's own when there is none. Several words are one format
    format: Vec<String>,
    /// The time zone: an IANA name such as Asia/Tokyo, or a POSIX rule such as CET-1CEST,M3.5.0,M10.5.0/3
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Print how far the server's clock is from this host's, and what it says of itself; + is ahead of ours
    #[arg(long, conflicts_with_all = ["format", "zone", "watch"])]
    offset: bool,
    /// Show a clock that ticks with the server's seconds, until interrupted
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print a JSON object for each server
    #[arg(long)]
    json: bool,
}

/// Asks with a format and prints the answer; of each, when there are several servers.
pub(super) fn time(who: &Who, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let request = Request::new(options.zone.as_deref(), &options.format.join(" "))?;
    if options.offset {
        return offset::offset(who, options.json, out);
    }
    if options.watch {
        return watch::watch(who, &request, out);
    }
    if options.json || who.server.len() > 1 {
        return several::several(who, &request, options.json, out);
    }
    let answer = Link::with_first(who, ServiceName::Time, |link, patience| {
        link.ask(request.plain().as_bytes(), patience, |payload| Some(shown(payload, "\n")))
    })?;
    if answer.starts_with("? ") {
        return Err(Failure::Refused(answer));
    }
    writeln!(out, "{answer}").map_err(Failure::printing)
}
