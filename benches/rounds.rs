//! Rounds and what comes of them. Contestants take turns (A B C A B C …), so that what changes on the machine meanwhile
//! meets all of them, and a ratio is that of two neighbours in one round.

use nix::unistd::Pid;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// How long it all takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// One round of one contestant.
    pub(crate) round: Duration,
}

/// One round; what it has come to, in the unit of the figure.
type Round<'a> = Box<dyn FnMut(Duration) -> io::Result<f64> + 'a>;

/// Somebody who does the work.
pub(crate) struct Contestant<'a> {
    who: String,
    /// The process whose core it is, and a round; or why it cannot.
    round: Result<(Pid, Round<'a>), String>,
}

impl<'a> Contestant<'a> {
    /// Makes ready whoever does the work; if that fails, the table says why.
    pub(crate) fn new<F: FnMut(Duration) -> io::Result<f64> + 'a>(who: &str, made: io::Result<(Pid, F)>) -> Self {
        let round = made.map(|(server, round)| (server, Box::new(round) as Round<'a>));
        Self { who: who.to_owned(), round: round.map_err(|error| error.to_string()) }
    }
}

/// What the rounds of one contestant have come to.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) who: String,
    /// A value for each round, or why there is none.
    pub(crate) values: Result<Vec<f64>, String>,
    /// For each round the part of the time that the server has run, where that is known.
    pub(crate) busy: Vec<f64>,
}

/// Has each do its work for a moment, and then all of them in turn.
pub(crate) fn interleave(plan: Plan, contestants: Vec<Contestant<'_>>) -> Vec<Series> {
    let mut rounds = Vec::new();
    let mut all = Vec::new();
    for Contestant { who, round } in contestants {
        let warmed = round.and_then(|(server, mut round)| {
            round(plan.round / 10).map_err(|error| error.to_string())?;
            Ok((server, round))
        });
        let (round, values) = warmed.map_or_else(|why| (None, Err(why)), |round| (Some(round), Ok(Vec::new())));
        rounds.push(round);
        all.push(Series { who, values, busy: Vec::new() });
    }
    for _ in 0..plan.rounds {
        for (round, series) in rounds.iter_mut().zip(&mut all) {
            let (Some((server, round)), Ok(values)) = (round, &mut series.values) else { continue };
            let (begin, before) = (Instant::now(), run_time(*server));
            match round(plan.round) {
                Ok(value) => {
                    values.push(value);
                    series.busy.push((run_time(*server) - before) / begin.elapsed().as_secs_f64());
                }
                Err(error) => series.values = Err(error.to_string()),
            }
        }
    }
    all
}

/// The seconds for which the threads of a process have run.
pub(crate) fn run_time(process: Pid) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let statistics = fs::read_to_string(task.path().join("schedstat")).ok()?;
        statistics.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

impl Series {
    /// What was measured in one go.
    pub(crate) fn of(who: &str, values: io::Result<Vec<f64>>) -> Self {
        Self { who: who.to_owned(), values: values.map_err(|error| error.to_string()), busy: Vec::new() }
    }

    pub(crate) fn median(&self) -> Option<f64> {
        median(self.values.as_ref().ok()?)
    }

    /// The part of the time for which the server ran.
    pub(crate) fn busy(&self) -> Option<f64> {
        median(&self.busy)
    }

    /// The nanoseconds for which the server ran for each unit of what it did in a second.
    pub(crate) fn costs(&self) -> Self {
        let costs = |rates: &Vec<f64>| rates.iter().zip(&self.busy).map(|(rate, busy)| 1e9 * busy / rate).collect();
        Self { who: self.who.clone(), values: self.values.as_ref().map(costs).map_err(Clone::clone), busy: Vec::new() }
    }

    /// The lowest and the highest.
    pub(crate) fn spread(&self) -> Option<(f64, f64)> {
        let values = self.values.as_ref().ok()?;
        let low = values.iter().copied().reduce(f64::min)?;
        Some((low, values.iter().copied().reduce(f64::max)?))
    }

    /// The median of the ratios to another, round by round.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let pairs = self.values.as_ref().ok()?.iter().zip(other.values.as_ref().ok()?);
        median(&pairs.map(|(one, other)| one / other).collect::<Vec<_>>())
    }
}

fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which that part of the values is; between two neighbours in proportion.
pub(crate) fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}
