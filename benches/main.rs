//! The benchmarks: each figure is the same work done by `belfryd`, by a bare loop of the kernel's own calls, which is the
//! limit, and by what a user would pick instead, in turns, in one run on one machine. A claim about speed is a ratio.
//!
//! `make bench` runs all of it and writes `docs/BENCHMARKS.md`; with names of figures, or with shorter rounds
//! (`BENCH_SECONDS`, `BENCH_ROUNDS`), it only prints. The server that is measured has one core, the load another, and
//! all of it a network of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it measures by the clock and tells at once"
)]

mod asking;
mod bare;
#[expect(unsafe_code, reason = "recvmmsg and sendmmsg, in one place")]
mod batch;
mod belfryd;
mod crowd;
mod figures;
mod frames;
mod page;
mod peers;
mod place;
mod plot;
mod process;
mod report;
mod rooms;
mod rounds;
mod subscribers;

use figures::{Bench, FIGURES};
use place::Cores;
use rounds::Plan;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Rounds of each contestant, and how long one is, unless the environment says something else.
const PLAN: Plan = Plan { rounds: 5, round: Duration::from_secs(1) };

/// With a higher load average others take part of the two cores.
const QUIET_LOAD_MAX: f64 = 0.5;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some(bare::ARGUMENT) => bare::run(&arguments),
        _ if arguments.iter().any(|it| it == "--bench") => run(&arguments),
        _ => {
            println!("make bench runs this; in any other build it would measure nothing");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let names: Vec<_> = arguments.iter().filter(|it| !it.starts_with("--")).collect();
    if let Some(name) = names.iter().find(|name| FIGURES.iter().all(|figure| figure.name != **name)) {
        let known: Vec<_> = FIGURES.iter().map(|figure| figure.name).collect();
        return Err(io::Error::other(format!("no figure is called {name}; there are {}", known.join(", "))));
    }
    place::enter_network().map_err(|error| io::Error::other(format!("no network of its own: {error}")))?;
    place::raise_open_files()?;
    let cores = Cores::find()?;
    place::pin(cores.load)?;
    let bench = Bench { cores, plan: plan()? };
    let load = page::load_average();
    if load > QUIET_LOAD_MAX {
        eprintln!("the load average is {load}: what else runs here is measured, too");
    }
    let (begin, mut all) = (Instant::now(), Vec::new());
    for figure in FIGURES.iter().filter(|figure| names.is_empty() || names.iter().any(|name| *name == figure.name)) {
        let findings = figure.run(&bench);
        findings.tables.iter().for_each(|table| println!("\n{}", table.screen()));
        all.push(findings);
    }
    if names.is_empty() && bench.plan == PLAN {
        page::write(&all, &page::Run { plan: bench.plan, cores, load, took: begin.elapsed() })?;
        println!("docs/BENCHMARKS.md is written");
    } else {
        println!("docs/BENCHMARKS.md stays as it is: not every figure, or not with full rounds");
    }
    Ok(())
}

/// The rounds that the environment asks for.
fn plan() -> io::Result<Plan> {
    let number = |name: &str| {
        let Some(said) = std::env::var_os(name) else { return Ok(None) };
        let number = said.to_str().and_then(|said| said.parse::<f64>().ok()).filter(|number| *number > 0.0);
        number.map(Some).ok_or_else(|| io::Error::other(format!("{name} is not a number")))
    };
    Ok(Plan {
        rounds: number("BENCH_ROUNDS")?.map_or(PLAN.rounds, |rounds| (rounds as usize).max(1)),
        round: number("BENCH_SECONDS")?.map_or(PLAN.round, Duration::from_secs_f64),
    })
}
