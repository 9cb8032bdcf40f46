//! `docs/BENCHMARKS.md`, written as a whole by each full run: what was measured, on what, and what was missed.

use crate::belfryd;
use crate::figures::Findings;
use crate::peers;
use crate::place::{self, Cores};
use crate::report::wrapped;
use crate::rounds::Plan;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How a run was.
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) cores: Cores,
    /// The load average before it.
    pub(crate) load: f64,
    pub(crate) took: Duration,
}

/// Writes the page and its plots.
pub(crate) fn write(all: &[Findings], run: &Run) -> io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut page = head(all, run);
    for findings in all {
        findings.tables.iter().for_each(|table| page.extend(["\n", &table.markdown()]));
        for plot in &findings.plots {
            fs::write(docs.join(plot.file), plot.svg())?;
            page.push_str(&format!("\n![{}]({})\n", plot.title, plot.file));
        }
    }
    fs::write(docs.join("BENCHMARKS.md"), page)
}

fn head(all: &[Findings], run: &Run) -> String {
    let targets = all.iter().flat_map(|findings| &findings.tables).map(|table| table.targets());
    let (count, met) = targets.fold((0, 0), |(count, met), (more, of_them)| (count + more, met + of_them));
    let Plan { rounds, round } = run.plan;
    let machine: String = machine(run).iter().map(|line| format!("* {line}\n")).collect();
    let how = format!(
        "`make bench` measures all of this anew and writes this page, in {:.0} minutes. The limit of a UDP service on one core is \
        what a loop of the kernel's own `recvmmsg` and `sendmmsg` does. So each figure is the same work done by such a *bare loop* \
        in the same language, by `belfryd` as it is released, and by what one would pick instead.",
        (run.took.as_secs_f64() / 60.0).ceil()
    );
    let values = format!(
        "They take turns (A B C A B C …) in one run, {rounds} rounds of {:.1} s each. A value is the median of the rounds, with the \
        lowest and the highest. *belfryd / this* is the median of the ratios of each round; it says more than the values, which \
        are those of one machine. *Server busy* is the part of the time for which the server ran, and for how long for each of \
        what it did: much below 100 % it waited for the load, or something else had the core. The server has one core, the load \
        another; all of it is on loopback, in a network namespace of its own.",
        round.as_secs_f64()
    );
    let (how, values) = (wrapped(&how), wrapped(&values));
    format!(
        "# Benchmarks\n\n{how}\n{values}\n**{met} of {count} targets are met.** What is missed says so.\n\n{machine}"
    )
}

/// What it ran on.
fn machine(run: &Run) -> Vec<String> {
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let Cores { server, load } = run.cores;
    let shared = if server == load { ": server and load share one core, so no ratio is fair" } else { "" };
    let mut lines = vec![
        format!(
            "{}, {count} cores; server on core {server}, load on core {load}{shared}",
            model.unwrap_or("a processor")
        ),
        format!("load average {} before the run", run.load),
        format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        format!(
            "`net.core.rmem_max` {}, `wmem_max` {}, but root may have larger receive buffers; run as {}",
            read("/proc/sys/net/core/rmem_max").trim(),
            read("/proc/sys/net/core/wmem_max").trim(),
            if place::is_privileged() { "root" } else { "an ordinary user" },
        ),
        belfryd::version(),
    ];
    lines.extend(peers::versions());
    lines.push(date());
    lines
}

/// The load average of the last minute.
pub(crate) fn load_average() -> f64 {
    read("/proc/loadavg").split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(0.0)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn date() -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now());
    now.map_or_else(|error| error.to_string(), |now| now.strftime("%Y-%m-%d").to_string())
}
