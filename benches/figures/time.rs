//! Answers of the time service in each second.

use super::{Bench, Findings};
use crate::asking::{Askers, IN_FLIGHT};
use crate::bare::Loop;
use crate::belfryd::{Belfryd, Settings};
use crate::peers;
use crate::process::Process;
use crate::report::Table;
use crate::rounds::{Contestant, Series, interleave};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The length of `2026-11-21 14:03:27`.
const TIME_LEN: usize = 19;

/// How many formats, and how many sources, are many.
const MANY: usize = 1_000;

/// Allows more than anybody here asks for, so that every question is counted and none refused.
const HIGH_LIMIT: &str = "1000000/s burst 1000000 leak 1/8";

pub(super) fn run(bench: &Bench) -> io::Result<Findings> {
    let mut table = Table::new(
        "Time answers",
        &format!(
            "{IN_FLIGHT} questions in flight, from four sockets; each answer is followed by the next question. The bare \
            loop answers every datagram with a constant of the same length; in its second form it does so as a server must that \
            has several addresses (`IP_PKTINFO`, `SO_RXQ_OVFL`, `IP_RECVERR`). chrony is asked for NTP (48 bytes), the Python \
            server is `recvfrom`, `strftime`, `sendto`. With the rate limit on, the questions come from {MANY} addresses, \
            each of which may ask {HIGH_LIMIT}: nothing is refused. The load does as many system calls as the server, so \
            beyond the rate of the bare loop the two share the limit."
        ),
    );
    let one = Work { requests: vec![b"%Y-%m-%d %X".to_vec()], len: TIME_LEN, sources: Vec::new(), rate_limit: "off" };
    let mut contestants = one.contestants(bench);
    let informed = Loop::AnswerFrom { len: TIME_LEN }.start(bench.cores);
    let who = "bare loop, several addresses";
    contestants.push(contestant(who, informed, one.requests.clone(), Vec::new(), is_constant));
    contestants.push(contestant("chrony, NTP", peers::chrony(bench.cores), vec![ntp_request()], Vec::new(), is_ntp));
    let python = peers::python_time(bench.cores);
    contestants.push(contestant("Python", python, one.requests.clone(), Vec::new(), is_time));
    let series = interleave(bench.plan, contestants);
    table.compare("one format", &series, &[("bare loop", 0.95), ("chrony, NTP", 1.5)]);

    let requests = (0..MANY).map(|number| format!("%Y-%m-%d %X {number:03}").into_bytes()).collect();
    let many = Work { requests, len: TIME_LEN + 4, sources: Vec::new(), rate_limit: "off" };
    table.compare(&format!("{MANY} formats"), &many.run(bench), &[("bare loop", 0.9)]);

    let sources = (0..MANY).map(|number| Ipv4Addr::from(0x7f02_0001 + number as u32)).collect();
    let limited = Work { sources, rate_limit: HIGH_LIMIT, ..one };
    table.compare(&format!("rate limit, {MANY} sources"), &limited.run(bench), &[("bare loop", 0.9)]);

    let settings = Settings { serves_clocks: true, ..Settings::default() };
    let belfryd = Belfryd::start(bench.cores, &settings).map(|it| (it.process, it.ntp));
    let clocks = [("belfryd", belfryd), ("chrony", peers::chrony(bench.cores))];
    let clocks = clocks.map(|(who, started)| contestant(who, started, vec![ntp_request()], Vec::new(), is_ntp));
    table.compare("NTP", &interleave(bench.plan, clocks.into()), &[("chrony", 1.4)]);
    Ok(Findings { tables: vec![table], plots: Vec::new() })
}

/// What is asked, and how it is limited.
struct Work {
    requests: Vec<Vec<u8>>,
    /// The length of an answer.
    len: usize,
    sources: Vec<Ipv4Addr>,
    rate_limit: &'static str,
}

impl Work {
    fn run(&self, bench: &Bench) -> Vec<Series> {
        interleave(bench.plan, self.contestants(bench))
    }

    /// `belfryd` and the limit.
    fn contestants(&self, bench: &Bench) -> Vec<Contestant<'static>> {
        let settings = Settings { time_rate_limit: self.rate_limit, ..Settings::default() };
        let belfryd = Belfryd::start(bench.cores, &settings).map(|it| (it.process, it.time));
        let bare = Loop::Answer { len: self.len }.start(bench.cores);
        let (requests, sources) = (&self.requests, &self.sources);
        vec![
            contestant("belfryd", belfryd, requests.clone(), sources.clone(), is_time),
            contestant("bare loop", bare, requests.clone(), sources.clone(), is_constant),
        ]
    }
}

/// Somebody who answers, and those who ask.
fn contestant(
    who: &str,
    started: io::Result<(Process, SocketAddrV4)>,
    requests: Vec<Vec<u8>>,
    sources: Vec<Ipv4Addr>,
    is_answer: fn(&[u8]) -> bool,
) -> Contestant<'static> {
    let made = started.and_then(|(mut process, server)| {
        let mut askers = Askers::new(server, requests, sources, is_answer)?;
        process.wait_until(|| askers.is_served().unwrap_or(false))?;
        let server_pid = process.pid();
        let round = move |time: Duration| {
            // It lives as long as the contestant.
            let _ = &process;
            askers.rate(time)
        };
        Ok((server_pid, round))
    });
    Contestant::new(who, made)
}

fn is_constant(answer: &[u8]) -> bool {
    answer.starts_with(b"0000")
}

fn is_time(answer: &[u8]) -> bool {
    answer.len() >= TIME_LEN && answer.starts_with(b"20") && answer[4] == b'-'
}

/// A client's request (RFC 5905 §7.3): version 4, mode 3, and a time of its own to be echoed.
fn ntp_request() -> Vec<u8> {
    let mut request = vec![0; 48];
    (request[0], request[40]) = (0x23, 0xe9);
    request
}

/// An answer: mode 4, stratum 1.
fn is_ntp(answer: &[u8]) -> bool {
    answer.len() == 48 && answer[0] & 7 == 4 && answer[1] == 1
}
