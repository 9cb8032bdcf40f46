//! `belfry time`: the time, as the server's clock has it.

use super::link::Link;
use super::{Failure, Who, shown};
use crate::services::ServiceName;
use clap::Args;
use std::io::Write;

/// What `belfry time` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The format; the server's own when there is none. Several words are one format
    format: Vec<String>,
}

/// Asks with a format and prints the answer.
pub(super) fn time(who: &Who, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let format = options.format.join(" ");
    let answer = Link::with_first(who, ServiceName::Time, |link| {
        link.ask(format.as_bytes(), who.timeout, |payload| Some(shown(payload, "\n")))
    })?;
    if answer.starts_with("? ") {
        return Err(Failure::Refused(answer));
    }
    writeln!(out, "{answer}").map_err(Failure::to("print the time"))
}
