//! The last lines of a room, bounded in number and in bytes.

use crate::core::limits::HISTORY_BYTES_MAX;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::rc::Rc;

/// What was said in a room, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: VecDeque<(Timestamp, Rc<str>)>,
    bytes: usize,
}

impl History {
    /// Adds a line and forgets the oldest past `count_max` lines or [`HISTORY_BYTES_MAX`] bytes.
    pub(super) fn push(&mut self, wall: Timestamp, line: Rc<str>, count_max: usize) {
        self.bytes += line.len();
        self.lines.push_back((wall, line));
        self.trim(count_max);
    }

    /// Forgets the oldest past `count_max` lines.
    pub(super) fn trim(&mut self, count_max: usize) {
        while self.lines.len() > count_max || self.bytes > HISTORY_BYTES_MAX {
            let Some((_, line)) = self.lines.pop_front() else { break };
            self.bytes -= line.len();
        }
    }

    /// The last `count` lines, oldest first, with when they were said.
    pub(super) fn last(&self, count: usize) -> impl ExactSizeIterator<Item = (Timestamp, &str)> {
        let skip = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(skip).map(|(wall, line)| (*wall, &**line))
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }
}

/// How long ago something was, in the largest unit that fits: `now`, `5 min`, `3 h`, `2 d`.
pub(super) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        ..60 => "now".to_owned(),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(history: &History, count: usize) -> Vec<&str> {
        history.last(count).map(|(_, line)| line).collect()
    }

    #[test]
    fn the_oldest_lines_go_first() {
        let mut history = History::default();
        for line in ["a", "b", "c", "d"] {
            history.push(Timestamp::UNIX_EPOCH, line.into(), 3);
        }
        assert_eq!(lines(&history, 10), ["b", "c", "d"]);
        assert_eq!(lines(&history, 2), ["c", "d"]);
        history.trim(1);
        assert_eq!(lines(&history, 10), ["d"]);
    }

    #[test]
    fn a_history_is_bounded_in_bytes_too() {
        let mut history = History::default();
        let kib = Rc::<str>::from("x".repeat(1_024));
        for _ in 0..256 {
            history.push(Timestamp::UNIX_EPOCH, Rc::clone(&kib), 1_000);
        }
        assert_eq!(history.len(), 256, "at the bound");
        history.push(Timestamp::UNIX_EPOCH, "x".into(), 1_000);
        assert_eq!(history.len(), 256, "one byte past it");
    }

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let then = Timestamp::UNIX_EPOCH;
        let after = |seconds| age(Timestamp::from_second(seconds).expect("a moment"), then);
        let ages = [-5, 0, 59, 60, 3_599, 3_600, 86_399, 86_400, 864_000].map(after);
        assert_eq!(ages, ["now", "now", "now", "1 min", "59 min", "1 h", "23 h", "1 d", "10 d"]);
    }
}
