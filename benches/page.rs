//! `docs/BENCHMARKS.md`, written as a whole by each full run: what was measured, on what, and what was missed.

use crate::belfryd;
use crate::figures::Findings;
use crate::peers;
use crate::place::Cores;
use crate::rounds::Plan;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Writes the page and its plots.
pub(crate) fn write(all: &[Findings], plan: Plan, cores: Cores, took: Duration) -> io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut page = head(all, plan, cores, took);
    for findings in all {
        findings.tables.iter().for_each(|table| page.extend(["\n", &table.markdown()]));
        for plot in &findings.plots {
            fs::write(docs.join(plot.file), plot.svg())?;
            page.push_str(&format!("\n![{}]({})\n", plot.title, plot.file));
        }
    }
    fs::write(docs.join("BENCHMARKS.md"), page)
}

fn head(all: &[Findings], plan: Plan, cores: Cores, took: Duration) -> String {
    let targets = all.iter().flat_map(|findings| &findings.tables).map(|table| table.targets());
    let (count, met) = targets.fold((0, 0), |(count, met), (more, of_them)| (count + more, met + of_them));
    let Plan { rounds, round } = plan;
    let machine: String = machine(cores).iter().map(|line| format!("* {line}\n")).collect();
    format!(
        "# Benchmarks

`make bench` measures all of this anew and writes this page, as root or not, in {:.0} minutes. The limit of a UDP service
on one core is what the kernel's own `recvmmsg`/`sendmmsg` loop does, so each figure is the same work done by such a *bare
loop* in the same language, by `belfryd` as it is released, and by what one would pick instead.

They take turns (A B C A B C …): {rounds} rounds, of {:.1} s each, in one run. A value is the median of the rounds, with the
lowest and the highest; *belfryd / this* is the median of the ratios of each round, and says more than the values, which are
those of one machine. The server has one core, the load another; all of it is on loopback, in a network namespace of its own.

**{met} of {count} targets are met.** What is missed says so.

{machine}",
        (took.as_secs_f64() / 60.0).ceil(),
        round.as_secs_f64(),
    )
}

/// What it ran on.
pub(crate) fn machine(cores: Cores) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|it| it.1.to_owned()));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let online = cpu.lines().filter(|line| line.starts_with("processor")).count().max(count);
    let shared = if cores.server == cores.load { ": server and load share one core, so no ratio is fair" } else { "" };
    let mut lines = vec![
        format!(
            "{}, {online} cores; server on core {}, load on core {}{shared}",
            model.unwrap_or_default(),
            cores.server,
            cores.load
        ),
        format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        format!(
            "net.core.rmem_max {}, wmem_max {}; root takes larger receive buffers than that",
            read("/proc/sys/net/core/rmem_max").trim(),
            read("/proc/sys/net/core/wmem_max").trim()
        ),
        format!(
            "load average at the start of the page: {}",
            read("/proc/loadavg").split_whitespace().next().unwrap_or("?")
        ),
        belfryd::version(),
    ];
    lines.extend(peers::versions());
    lines.push(date());
    lines
}

fn date() -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now());
    now.map_or_else(|error| error.to_string(), |now| now.strftime("%Y-%m-%d").to_string())
}
