//! Heartbeats of a full hall.

use super::{Bench, Findings};
use crate::bare::Loop;
use crate::belfryd::{Belfryd, Settings};
use crate::crowd::Crowd;
use crate::place;
use crate::process::Process;
use crate::report::Table;
use crate::rounds::{Contestant, interleave};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::time::Duration;

const MEMBERS: usize = 100_000;

/// What both servers ask for at their sockets (the kernel grants twice as much), and no less than it counts for a short
/// datagram.
const BUFFER: usize = 4 << 20;
const DATAGRAM: usize = 1_024;

pub(super) fn run(bench: &Bench) -> io::Result<Findings> {
    let burst = burst();
    let mut table = Table::new(
        "Heartbeats",
        &format!(
            "Heartbeats of {MEMBERS} members that are taken in each second. {burst} of them wait in the socket, a question \
            behind them, while the server is stopped; the clock runs from when it goes on until it answers, and the \
            kernel says that it has dropped none. (One core cannot send as many as another can receive.) The bare loop \
            only receives."
        ),
    );
    let belfryd = Belfryd::start(bench.cores, &Settings::default()).and_then(|it| {
        let mut crowd = Crowd::new(it.chat, 1 << 20)?;
        crowd.grow_to(MEMBERS)?;
        it.expect_members(MEMBERS)?;
        Ok(round(it.process, crowd, burst))
    });
    let bare = Loop::Receive.start(bench.cores).and_then(|(process, hub)| {
        let mut crowd = Crowd::new(hub, 1 << 20)?;
        crowd.grow_to(MEMBERS)?;
        Ok(round(process, crowd, burst))
    });
    let contestants = vec![Contestant::new("belfryd", belfryd), Contestant::new("bare loop", bare)];
    let mut series = interleave(bench.plan, contestants);
    // For most of a round the server is stopped.
    series.iter_mut().for_each(|series| series.busy.clear());
    table.compare(&format!("{MEMBERS} members"), &series, &[("bare loop", 0.9)]);
    Ok(Findings { tables: vec![table], plots: Vec::new() })
}

/// As many as fit a socket of either server.
fn burst() -> usize {
    let most = fs::read_to_string("/proc/sys/net/core/rmem_max").ok().and_then(|it| it.trim().parse().ok());
    let granted = if place::is_privileged() { BUFFER } else { most.unwrap_or(BUFFER).min(BUFFER) };
    2 * granted / DATAGRAM
}

fn round(process: Process, mut crowd: Crowd, burst: usize) -> (Pid, impl FnMut(Duration) -> io::Result<f64>) {
    let server = process.pid();
    let round = move |time| {
        let stop = |stopped| process.signal(if stopped { Signal::SIGSTOP } else { Signal::SIGCONT });
        crowd.heartbeats(burst, time, stop)
    };
    (server, round)
}
