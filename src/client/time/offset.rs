//! `belfry time --offset`: how far a server's clock is from ours, how sure that is, and what it says of itself.
//!
//! Eight quick questions, of which the one that was answered fastest counts: whatever delays an answer makes it late, so
//! the fastest is nearest to the truth (the clock filter of RFC 5905 §10). What is measured may be off by half of its round
//! trip, if all of that was spent on one way.

use super::request::Request;
use super::samples::{Outcome, Sample, sample};
use super::several::none_answered;
use crate::client::columns::aligned;
use crate::client::link::Link;
use crate::client::millis::{millis, shown, shown_signed, signed_millis};
use crate::client::{Failure, Who};
use serde::Serialize;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Questions to each server, as many as NTP's clock filter looks at.
pub(in crate::client) const SAMPLES: usize = 8;

/// What is known of one clock, as a JSON object.
#[derive(Debug, Serialize)]
struct Known<'a> {
    server: &'a str,
    address: Option<String>,
    #[serde(flatten)]
    measured: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Measured {
    offset_ms: f64,
    uncertainty_ms: f64,
    round_trip_ms: f64,
    samples: usize,
}

/// Asks all servers, and prints a line for each.
pub(super) fn offset(who: &Who, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let outcomes = sample(&who.servers()?, &Request::exact(), SAMPLES, who.timeout)?;
    let state = |outcome: &Outcome| {
        let addr = outcome.addr.filter(|_| outcome.samples.is_ok())?;
        clock_state(addr, who.timeout).ok()
    };
    let states: Vec<Option<String>> = outcomes.iter().map(state).collect();
    let print = if json { print_objects(&outcomes, &states, out) } else { print_lines(&outcomes, &states, out) };
    print.map_err(Failure::printing)?;
    none_answered(&outcomes)
}

/// What the server says of its clock, as in "clock synchronised, error below 12 ms".
pub(in crate::client) fn clock_state(addr: SocketAddr, timeout: Duration) -> Result<String, Failure> {
    let answer = Link::open(addr)?.ask(b"?", timeout, |payload| Some(crate::client::shown(payload, " ")))?;
    let state = answer.rsplit_once("; ").map_or(answer.as_str(), |(_, state)| state);
    Ok(state.to_owned())
}

fn print_lines(outcomes: &[Outcome], states: &[Option<String>], out: &mut impl Write) -> io::Result<()> {
    let row = |(outcome, state): (&Outcome, &Option<String>)| {
        let Some(Sample { offset, round_trip, .. }) = outcome.best() else { return Default::default() };
        let uncertainty = format!("uncertain by {}", shown(*round_trip / 2));
        let round_trip = format!("round trip {}", shown(*round_trip));
        let state = state.clone().unwrap_or_default();
        [outcome.name.clone(), shown_signed(*offset), uncertainty, round_trip, state]
    };
    let rows: Vec<[String; 5]> = outcomes.iter().zip(states).map(row).collect();
    for (outcome, line) in outcomes.iter().zip(aligned(&rows)) {
        match &outcome.samples {
            Ok(_) => writeln!(out, "{line}")?,
            Err(failure) => writeln!(out, "{}  {failure}", outcome.name)?,
        }
    }
    Ok(())
}

fn print_objects(outcomes: &[Outcome], states: &[Option<String>], out: &mut impl Write) -> io::Result<()> {
    for (outcome, state) in outcomes.iter().zip(states) {
        let measured = outcome.best().map(|best| Measured {
            offset_ms: signed_millis(best.offset),
            uncertainty_ms: millis(best.round_trip / 2),
            round_trip_ms: millis(best.round_trip),
            samples: outcome.samples.as_ref().map_or(0, Vec::len),
        });
        let known = Known {
            server: &outcome.name,
            address: outcome.addr.map(|addr| addr.to_string()),
            measured,
            clock: state.as_deref(),
            error: outcome.samples.as_ref().err().map(ToString::to_string),
        };
        writeln!(out, "{}", serde_json::to_string(&known)?)?;
    }
    Ok(())
}
