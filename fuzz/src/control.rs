//! The control socket, both ends of it: what is read is written and read as the same. Of seconds with a fraction only nearly:
//! serde_json may read another last bit than it wrote, and a clock has no such bits.

use belfry::control::{
    Answer, Kicked, LogLevel, Members, Reloaded, Request, Stats, Status, outcome_line, parse_outcome,
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A line of either side.
pub fn control(data: &[u8]) {
    match Request::parse(data) {
        Ok(request) => assert_eq!(Request::parse(request.line().as_bytes()), Ok(request)),
        Err(why) => assert!(!why.is_empty()),
    }
    let Ok(line) = str::from_utf8(data) else { return };
    outcome(line, Answer::Status, |status: &Status, again| {
        if let (Some(one), Some(other)) = (status.clock.max_error, &mut again.clock.max_error) {
            settle(one, other);
        }
    });
    outcome(line, Answer::Members, |members: &Members, again| {
        let pairs = members.members.iter().zip(&mut again.members);
        pairs.for_each(|(one, other)| settle(one.silent_for, &mut other.silent_for));
    });
    outcome::<Stats>(line, Answer::Stats, |_, _| {});
    outcome::<Reloaded>(line, Answer::Reloaded, |_, _| {});
    outcome::<LogLevel>(line, Answer::LogLevel, |_, _| {});
    outcome::<Kicked>(line, Answer::Kicked, |_, _| {});
}

/// Takes a number for another that differs in its last bits.
fn settle(one: f64, other: &mut f64) {
    if (*other - one).abs() <= one.abs() * 1e-12 {
        *other = one;
    }
}

fn outcome<T>(line: &str, answer: fn(T) -> Answer, settle: fn(&T, &mut T))
where
    T: DeserializeOwned + PartialEq + Clone + Debug,
{
    let Ok(outcome) = parse_outcome::<T>(line) else { return };
    let written = outcome_line(&outcome.clone().map(answer));
    assert!(!written.contains('\n'), "{written:?}");
    let mut again = parse_outcome::<T>(&written).ok();
    if let (Ok(one), Some(Ok(other))) = (&outcome, &mut again) {
        settle(one, other);
    }
    assert_eq!(again.as_ref(), Some(&outcome), "{written}");
}
