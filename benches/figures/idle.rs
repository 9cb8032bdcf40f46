//! What it costs to have a daemon that nobody talks to.

use super::{Bench, Findings};
use crate::belfryd::{Belfryd, Settings};
use crate::peers;
use crate::report::{Table, Target, Unit};
use crate::rounds::Series;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// How long it is watched: so many rounds of any other figure.
const ROUNDS: u32 = 60;

pub(super) fn run(bench: &Bench) -> io::Result<Findings> {
    let time = bench.plan.round * ROUNDS;
    let belfryd = Belfryd::start(bench.cores, &Settings { announces_when_asked: true, ..Settings::default() })?;
    // What it does once after its start.
    std::thread::sleep(Duration::from_secs(2));
    let tracer = Tracer::attach(&belfryd);
    // Attaching wakes it.
    std::thread::sleep(Duration::from_secs(1));
    let since = SystemTime::now();
    let switches = || Ok(belfryd.process.status("voluntary_ctxt_switches")? as f64);
    let before: io::Result<f64> = switches();
    std::thread::sleep(time);
    let wakeups = before.and_then(|before| Ok(vec![switches()? - before]));
    let calls = tracer.and_then(|tracer| tracer.detach(since)).map(|count| vec![count as f64]);

    let mut table = Table::new(
        "Idle",
        &format!(
            "No members, and an announcer that speaks when asked (`interval = \"0s\"`), for {:.0} s: how often the kernel woke the \
            daemon (`voluntary_ctxt_switches` in `/proc`), and how many system calls came back (strace).",
            time.as_secs_f64()
        ),
    );
    let wakeups = Series::of("belfryd", wakeups);
    let none = Target::new("none", wakeups.median() == Some(0.0));
    table.add("woken", Unit::Times, wakeups, Some(none));
    table.add("system calls", Unit::Times, Series::of("belfryd", calls), None);
    Ok(Findings { tables: vec![table], plots: Vec::new() })
}

/// strace, which writes down each system call.
struct Tracer {
    child: std::process::Child,
    log: std::path::PathBuf,
}

impl Tracer {
    fn attach(belfryd: &Belfryd) -> io::Result<Self> {
        let log = belfryd.process.folder().join("calls");
        let mut command = Command::new(peers::find("strace")?);
        command.arg("-ttt").arg("-o").arg(&log).args(["-p", &belfryd.process.pid().to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { child, log })
    }

    /// The calls that were made since then, and have come back.
    fn detach(mut self, since: SystemTime) -> io::Result<usize> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT)?;
        self.child.wait()?;
        let log = std::fs::read_to_string(self.log)?;
        if log.is_empty() {
            return Err(io::Error::other("strace was not allowed to watch"));
        }
        let since = since.duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?.as_secs_f64();
        let is_later = |line: &str| {
            line.split(' ').next().and_then(|time| time.parse().ok()).is_some_and(|time: f64| time > since)
        };
        Ok(log.lines().filter(|line| is_later(line) && line.contains(" = ")).count())
    }
}
