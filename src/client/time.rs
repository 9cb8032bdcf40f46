//! `belfry time`: the time, as the server's clock has it.

use super::link::Link;
use super::{Failure, Who, shown};
use std::io::Write;

/// The usual port of the time service.
const PORT: u16 = 8080;

/// Asks with `format` and prints the answer.
pub(super) fn time(who: &Who, format: &str, out: &mut impl Write) -> Result<(), Failure> {
    let answer = Link::with_first(who, PORT, |link| {
        link.ask(format.as_bytes(), who.timeout, |payload| Some(shown(payload, "\n")))
    })?;
    if answer.starts_with("? ") {
        return Err(Failure::Refused(answer));
    }
    writeln!(out, "{answer}").map_err(Failure::to("print the time"))
}
