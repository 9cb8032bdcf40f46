//! How soon the daemon is there, and how much memory it takes.

use super::{Bench, Findings};
use crate::belfryd::{Belfryd, Settings};
use crate::crowd::Crowd;
use crate::report::{Table, Target, Unit};
use crate::rounds::Series;
use std::io;

const STARTS: usize = 20;

const MEMBERS: usize = 100_000;

pub(super) fn run(bench: &Bench) -> io::Result<Findings> {
    let (mut starts, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let belfryd = Belfryd::start(bench.cores, &Settings::default())?;
        starts.push(belfryd.start.as_secs_f64() * 1e3);
        resident.push(kibibytes(&belfryd)? / 1_024.0);
    }
    let mut table = Table::new(
        "Start and memory",
        &format!(
            "{STARTS} starts, from the call that makes the process to its `READY=1`; resident memory (`VmRSS`) then; and what it has \
            grown by when {MEMBERS} programs have joined, for each of them. Where there is a service manager, as in the package, \
            the daemon keeps a list of them, for the next one."
        ),
    );
    add(&mut table, "start to READY=1", Unit::Milliseconds, Ok(starts), 20.0);
    add(&mut table, "resident at the start", Unit::Mebibytes, Ok(resident), 6.0);
    for (work, supervised) in [("each member", true), ("without a service manager", false)] {
        let members = (0..bench.plan.rounds).map(|_| member_bytes(bench, supervised)).collect();
        add(&mut table, work, Unit::Bytes, members, 300.0);
    }
    Ok(Findings { tables: vec![table], plots: Vec::new() })
}

fn add(table: &mut Table, work: &str, unit: Unit, values: io::Result<Vec<f64>>, most: f64) {
    let series = Series::of("belfryd", values);
    let target = Target::at_most(unit, series.median(), most);
    table.add(work, unit, series, Some(target));
}

fn member_bytes(bench: &Bench, supervised: bool) -> io::Result<f64> {
    let belfryd = Belfryd::start(bench.cores, &Settings { supervised, ..Settings::default() })?;
    let before = kibibytes(&belfryd)?;
    Crowd::new(belfryd.chat, 1 << 20)?.grow_to(MEMBERS)?;
    belfryd.expect_members(MEMBERS)?;
    belfryd.process.wait_until_calm()?;
    Ok((kibibytes(&belfryd)? - before) * 1_024.0 / MEMBERS as f64)
}

fn kibibytes(belfryd: &Belfryd) -> io::Result<f64> {
    Ok(belfryd.process.status("VmRSS")? as f64)
}
