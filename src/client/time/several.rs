//! Several servers, each in a line of its own: what it says, how far its clock is from ours, how long it took.
//!
//! A server that does not answer is a line too. The exit status is 0 as soon as one has answered.

use super::request::Request;
use super::samples::{Outcome, Sample, sample};
use crate::client::columns::aligned;
use crate::client::millis::{millis, shown, shown_signed, signed_millis};
use crate::client::{Failure, Who};
use serde::Serialize;
use std::io::{self, Write};

/// What one server says, as a JSON object.
#[derive(Debug, Default, Serialize)]
struct Said<'a> {
    server: &'a str,
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Asks all and prints a line for each.
pub(super) fn several(who: &Who, request: &Request, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let outcomes = sample(&who.servers()?, request, 1, who.timeout)?;
    let print = if json { print_objects(&outcomes, out) } else { print_lines(&outcomes, out) };
    print.map_err(Failure::printing)?;
    none_answered(&outcomes)
}

/// The failure, when no server has answered.
pub(super) fn none_answered(outcomes: &[Outcome]) -> Result<(), Failure> {
    let is_silent =
        |outcome: &Outcome| matches!(outcome.samples, Err(Failure::NoAnswer { .. } | Failure::NobodyThere(_)));
    if outcomes.iter().any(|outcome| outcome.samples.is_ok()) {
        return Ok(());
    }
    let why = "no server has told the time".to_owned();
    Err(if outcomes.iter().all(is_silent) { Failure::NobodyThere(why) } else { Failure::Failed(why) })
}

fn print_lines(outcomes: &[Outcome], out: &mut impl Write) -> io::Result<()> {
    let row = |outcome: &Outcome| {
        let Some(Sample { offset, round_trip, text }) = outcome.best() else { return Default::default() };
        [
            outcome.name.clone(),
            text.replace('\n', " "),
            shown_signed(*offset),
            format!("round trip {}", shown(*round_trip)),
        ]
    };
    let rows: Vec<[String; 4]> = outcomes.iter().map(row).collect();
    for (outcome, line) in outcomes.iter().zip(aligned(&rows)) {
        match &outcome.samples {
            Ok(_) => writeln!(out, "{line}")?,
            Err(failure) => writeln!(out, "{}  {failure}", outcome.name)?,
        }
    }
    match largest_difference(outcomes) {
        Some((nanos, [ahead, behind])) => {
            let millis = signed_millis(nanos);
            writeln!(out, "largest difference: {millis:.3} ms, {ahead} ahead of {behind}")
        }
        None => Ok(()),
    }
}

fn print_objects(outcomes: &[Outcome], out: &mut impl Write) -> io::Result<()> {
    for outcome in outcomes {
        let best = outcome.best();
        let said = Said {
            server: &outcome.name,
            address: outcome.addr.map(|addr| addr.to_string()),
            time: best.map(|best| best.text.as_str()),
            difference_ms: best.map(|best| signed_millis(best.offset)),
            round_trip_ms: best.map(|best| millis(best.round_trip)),
            error: outcome.samples.as_ref().err().map(ToString::to_string),
        };
        writeln!(out, "{}", serde_json::to_string(&said)?)?;
    }
    Ok(())
}

/// How far the clocks that differ most are from each other, and whose they are: the one ahead first.
fn largest_difference(outcomes: &[Outcome]) -> Option<(i128, [&str; 2])> {
    let known = || outcomes.iter().filter_map(|outcome| Some((outcome.best()?.offset, outcome.name.as_str())));
    let (ahead, behind) = (known().max()?, known().min()?);
    (known().count() > 1).then_some((ahead.0 - behind.0, [ahead.1, behind.1]))
}
