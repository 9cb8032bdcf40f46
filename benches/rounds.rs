//! Rounds and what comes of them. Contestants take turns (A B C A B C …), so that what changes on the machine meanwhile
//! meets all of them, and a ratio is that of two neighbours in one round.

use std::io;
use std::time::Duration;

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
    pub(crate) who: String,
    /// Or why it cannot.
    round: Result<Round<'a>, String>,
}

impl<'a> Contestant<'a> {
    /// Makes ready whoever does the work; if that fails, the table says why.
    pub(crate) fn new<F: FnMut(Duration) -> io::Result<f64> + 'a>(who: &str, made: io::Result<F>) -> Self {
        let round = made.map(|round| Box::new(round) as Round<'a>).map_err(|error| error.to_string());
        Self { who: who.to_owned(), round }
    }
}

/// What the rounds of one contestant have come to.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) who: String,
    /// A value for each round, or why there is none.
    pub(crate) values: Result<Vec<f64>, String>,
}

/// Has each do its work for a moment, and then all of them in turn.
pub(crate) fn interleave(plan: Plan, contestants: Vec<Contestant<'_>>) -> Vec<Series> {
    let mut measured: Vec<_> = contestants
        .into_iter()
        .map(|Contestant { who, round }| {
            let warmed = round.and_then(|mut round| {
                round(plan.round / 10).map_err(|error| error.to_string())?;
                Ok((round, Vec::new()))
            });
            (who, warmed)
        })
        .collect();
    for _ in 0..plan.rounds {
        for (_, state) in &mut measured {
            let Ok((round, values)) = state else { continue };
            match round(plan.round) {
                Ok(value) => values.push(value),
                Err(error) => *state = Err(error.to_string()),
            }
        }
    }
    measured.into_iter().map(|(who, state)| Series { who, values: state.map(|(_, values)| values) }).collect()
}

impl Series {
    /// What was measured in one go.
    pub(crate) fn of(who: &str, values: io::Result<Vec<f64>>) -> Self {
        Self { who: who.to_owned(), values: values.map_err(|error| error.to_string()) }
    }

    pub(crate) fn median(&self) -> Option<f64> {
        median(self.values.as_ref().ok()?)
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
