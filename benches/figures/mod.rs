//! The figures: each says what is to be done, who does it, and what is to be reached. One more is a module here and a line
//! in [`FIGURES`].

mod fan_out;
mod heartbeats;
mod idle;
mod latency;
mod sessions;
mod start;
mod time;

use crate::place::Cores;
use crate::plot::Plot;
use crate::report::Table;
use crate::rounds::Plan;
use std::io;

/// What every figure is given.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    pub(crate) plan: Plan,
}

/// What a figure has come to.
pub(crate) struct Findings {
    pub(crate) tables: Vec<Table>,
    pub(crate) plots: Vec<Plot>,
}

/// A figure, by the name under which `make bench` is asked for it.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    run: fn(&Bench) -> io::Result<Findings>,
}

impl Figure {
    /// What it has come to, or why it has not.
    pub(crate) fn run(&self, bench: &Bench) -> Findings {
        (self.run)(bench).unwrap_or_else(|error| {
            let table = Table::absent(self.name, &error.to_string());
            Findings { tables: vec![table], plots: Vec::new() }
        })
    }
}

/// All of them, in the order of the page.
pub(crate) const FIGURES: [Figure; 7] = [
    Figure { name: "time", run: time::run },
    Figure { name: "fan-out", run: fan_out::run },
    Figure { name: "sessions", run: sessions::run },
    Figure { name: "heartbeats", run: heartbeats::run },
    Figure { name: "latency", run: latency::run },
    Figure { name: "start", run: start::run },
    Figure { name: "idle", run: idle::run },
];
