//! `belfry doctor`: does everything work from here, and what to do when not?
//!
//! One check after the other, each as a client would do it: `services.rs` asks the time service and the announcer, and what
//! of it depends on the network between; `chat.rs` comes in by a session and counts heartbeats. Here is what they have in
//! common: the lines, and what is made of them at the end.

mod chat;
mod services;

use super::link::Link;
use super::millis::{millis, shown};
use super::progress::Progress;
use super::server::Chosen;
use super::{Failure, Who, discover};
use crate::control::{Access, Decision, Request};
use crate::services::ServiceName;
use clap::Args;
use serde::Serialize;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What lasts while one check follows the other.
const CHECKS: &str = "checks";

/// What `belfry doctor` can be told.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  belfry doctor\n  belfry doctor --heartbeats 20 --json")]
pub(super) struct Options {
    /// How many heartbeats are sent to measure the loss
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=100_000))]
    heartbeats: u32,
    /// Print a JSON object for each check
    #[arg(long)]
    json: bool,
    /// The control socket of the daemon, where the server is this host
    #[arg(long, value_name = "PATH", default_value = "/run/belfry/control")]
    #[arg(env = "BELFRY_CONTROL", hide_env_values = true)]
    socket: PathBuf,
}

/// Checks one thing after another, and says of each what is wrong and what to do.
pub(super) fn doctor(who: &Who, options: &Options, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let progress = Progress::begin(CHECKS, None);
    let chosen = who.server()?;
    let mut report = Report { out, json: options.json, progress, bad: false, answered: Vec::new() };
    report.tell(&Finding::ok("server", format!("{}: {}", chosen.name, chosen.origin.why())))?;
    let time = services::time(&chosen, who.timeout, &mut report)?;
    services::announcer(&chosen, who.timeout, &mut report)?;
    if let Some(addr) = time {
        services::mtu(addr, who.timeout, &mut report)?;
    }
    chat::chat(who, &chosen, options.heartbeats, &mut report)?;
    access(&chosen, options, &mut report)?;
    Ok(match (report.bad, report.answered.is_empty()) {
        (_, true) => 2.into(),
        (true, false) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// What a check has found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    result: Verdict,
    text: String,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(flatten)]
    figures: Option<Figures>,
}

/// What was measured of the way to the hub.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figures {
    sent: usize,
    lost: usize,
    round_trip_min_ms: Option<f64>,
    round_trip_median_ms: Option<f64>,
    round_trip_max_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Worth knowing, and perhaps meant so.
    Note,
    Bad,
}

impl Finding {
    fn new(check: &'static str, result: Verdict, text: impl Into<String>, advice: Option<String>) -> Self {
        Self { check, result, text: text.into(), advice, figures: None }
    }

    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, text, None)
    }

    fn note(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Verdict::Note, text, Some(advice.into()))
    }

    fn bad(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Verdict::Bad, text, Some(advice.into()))
    }

    /// A service that could not be reached.
    fn unreachable(check: &'static str, service: ServiceName, failure: &Failure) -> Self {
        let name = service.name();
        let advice = match failure {
            Failure::NoAnswer { addrs, .. } => {
                let port = addrs.first().map_or(0, SocketAddr::port);
                let ours = addrs.iter().find_map(|&addr| Link::open(addr).ok()?.ours());
                let ours = ours.map_or_else(|| "ADDRESS".to_owned(), |ours| ours.ip().to_string());
                format!(
                    "see on the server whether it lets this host in (belfry access {ours} --service {name}) and whether a \
                     firewall there or here drops udp/{port} (nft list ruleset)"
                )
            }
            _ => {
                format!("see on the server whether belfryd runs with [{name}] (belfry ctl status), or name another one")
            }
        };
        Self::bad(check, failure.to_string(), advice)
    }
}

/// The findings, as they come.
struct Report<'a, W> {
    out: &'a mut W,
    json: bool,
    progress: Progress,
    bad: bool,
    /// The services that have answered.
    answered: Vec<ServiceName>,
}

impl<W: Write> Report<'_, W> {
    fn tell(&mut self, finding: &Finding) -> Result<(), Failure> {
        self.bad |= finding.result == Verdict::Bad;
        let text = if self.json {
            serde_json::to_string(finding).expect("strings and numbers can be written")
        } else {
            lines(finding)
        };
        self.progress.advance(1);
        let printed = self.progress.pause(|| writeln!(self.out, "{text}").and_then(|()| self.out.flush()));
        printed.map_err(Failure::printing)
    }
}

fn lines(Finding { check, result, text, advice, .. }: &Finding) -> String {
    let verdict = match result {
        Verdict::Ok => "ok",
        Verdict::Note => "note",
        Verdict::Bad => "bad",
    };
    let advice = advice.as_ref().map_or_else(String::new, |advice| format!("\n      do: {advice}"));
    format!("{verdict:<4}  {check}: {text}{advice}")
}

/// Whether the server lets us in: in its own words where it is this host, or else as far as the answers tell.
fn access<W: Write>(chosen: &Chosen, options: &Options, report: &mut Report<'_, W>) -> Result<(), Failure> {
    let addr = chosen.resolve(ServiceName::Chat)?[0];
    let ours = Link::open(addr).ok().and_then(|link| link.ours()).map(|ours| ours.ip());
    if let Some(address) = ours.filter(|_| discover::is_ours(addr.ip())) {
        let request = Request::Access { address, service: None, interface: None };
        let asked = super::daemon::inquire::<Access>(&options.socket, Duration::from_secs(1), &request);
        if let Ok(Access { decisions }) = asked {
            return report.tell(&decided(&decisions));
        }
    }
    let silent: Vec<&str> = [ServiceName::Time, ServiceName::Announce, ServiceName::Chat]
        .iter()
        .filter(|service| !report.answered.contains(service))
        .map(|service| service.name())
        .collect();
    let ours = ours.map_or_else(|| "ADDRESS".to_owned(), |ours| ours.to_string());
    let advice = format!("belfry access {ours}, on the server, tells by which rule");
    let finding = match (silent.as_slice(), report.answered.is_empty()) {
        ([], _) => Finding::ok("access", "every service answers, so the server lets this host in"),
        (_, true) => Finding::bad("access", "nothing answers: perhaps the server keeps this host out", advice),
        (silent, false) => {
            let names = silent.join(" and ");
            Finding::note("access", format!("{names} alone may keep this host out, since others answer"), advice)
        }
    };
    report.tell(&finding)
}

fn decided(decisions: &[Decision]) -> Finding {
    let kept_out: Vec<&Decision> = decisions.iter().filter(|decision| decision.enabled && !decision.allowed).collect();
    if kept_out.is_empty() {
        return Finding::ok("access", "the daemon of this host lets us in");
    }
    let sentences: Vec<String> =
        kept_out.iter().map(|decision| super::shown(decision.sentence.as_bytes(), " ")).collect();
    let advice = "change allow and deny in /etc/belfry/belfry.toml, and belfry ctl reload";
    Finding::bad("access", sentences.join("; "), advice)
}

/// A median, with the least and the greatest around it.
fn figures(sent: usize, mut round_trips: Vec<Duration>) -> (Figures, String) {
    round_trips.sort_unstable();
    let [min, median, max] = [round_trips.first(), round_trips.get(round_trips.len() / 2), round_trips.last()]
        .map(Option::<&Duration>::copied);
    let lost = sent - round_trips.len().min(sent);
    let figures = Figures {
        sent,
        lost,
        round_trip_min_ms: min.map(millis),
        round_trip_median_ms: median.map(millis),
        round_trip_max_ms: max.map(millis),
    };
    let mut text = format!("{lost} of {sent} heartbeats lost");
    if let (Some(min), Some(median), Some(max)) = (min, median, max) {
        text += &format!("; round trip {} to {}, half of them below {}", shown(min), shown(max), shown(median));
    }
    (figures, text)
}

/// The first address of a service, for a message.
fn first(chosen: &Chosen, service: ServiceName) -> Result<SocketAddr, Failure> {
    Ok(chosen.resolve(service)?[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_what_to_do_below_it_or_an_object() {
        let bad = Finding::bad("time", "no answer", "look there");
        assert_eq!(lines(&bad), "bad   time: no answer\n      do: look there");
        assert_eq!(lines(&Finding::ok("time", "1 ms")), "ok    time: 1 ms");
        let object = serde_json::to_string(&bad).unwrap();
        assert_eq!(object, r#"{"check":"time","result":"bad","text":"no answer","do":"look there"}"#);
    }

    #[test]
    fn loss_is_what_was_sent_less_what_came_back() {
        let millis = |millis: &[u64]| millis.iter().map(|&millis| Duration::from_millis(millis)).collect();
        let (counted, text) = figures(5, millis(&[9, 1, 2]));
        assert_eq!((counted.sent, counted.lost), (5, 2));
        assert_eq!(text, "2 of 5 heartbeats lost; round trip 1.000 ms to 9.000 ms, half of them below 2.000 ms");
        assert_eq!(figures(2, Vec::new()).1, "2 of 2 heartbeats lost");
    }
}
