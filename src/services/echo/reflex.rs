//! Whether somebody is an echo himself, or some other service that answers whatever it gets.
//!
//! Who sends back what he was just sent, with something around it or less of it, or the same as before, gets it a few times more, as
//! people and programs do send the same again; then nothing until he says something else or waits for a moment. Who always says something else at
//! once cannot be told from a program that waits for its echo before it goes on, so one answer in a thousand is left out, which
//! ends what only goes on because it is answered.
//!
//! The table never grows. A source that is crowded out of it begins anew.

use crate::core::limits::{ANSWERS_IN_A_ROW_MAX, ECHOES_MAX, ERROR_PAUSE, ERRORS_IN_A_ROW_MAX};
use crate::core::{Instant, Seed};
use std::net::SocketAddr;

/// What was last said to whom.
#[derive(Debug)]
pub(super) struct Reflexes {
    seed: Seed,
    exchanges: Vec<Option<Exchange>>,
}

#[derive(Debug)]
struct Exchange {
    source: SocketAddr,
    last: Instant,
    /// Answers in a row, each soon after the one before.
    answers: usize,
    /// The last of them to what had the answer before in it.
    returns: usize,
    /// The last of them.
    said: Vec<u8>,
}

impl Reflexes {
    /// A table in which nobody has said anything.
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, exchanges: (0..ECHOES_MAX).map(|_| None).collect() }
    }

    /// Whether `source` gets `answer`; if so, it is noted.
    pub(super) fn may_answer(&mut self, now: Instant, source: SocketAddr, answer: &[u8]) -> bool {
        let at = self.seed.hash(&source) as usize % self.exchanges.len();
        let place = &mut self.exchanges[at];
        let exchange = place.get_or_insert_with(|| Exchange::new(source, now));
        if exchange.source != source || now.since(exchange.last) >= ERROR_PAUSE {
            *exchange = Exchange::new(source, now);
        } else {
            // What was heard in the same turn was sent before the last answer was there.
            let next = usize::from(now > exchange.last);
            exchange.answers += next;
            exchange.returns = if exchange.is_like(answer) { exchange.returns + next } else { 0 };
            exchange.last = now;
        }
        if exchange.returns >= ERRORS_IN_A_ROW_MAX {
            return false;
        }
        if exchange.answers >= ANSWERS_IN_A_ROW_MAX {
            *place = None;
            return false;
        }
        exchange.said.clear();
        exchange.said.extend_from_slice(answer);
        true
    }
}

impl Exchange {
    const fn new(source: SocketAddr, now: Instant) -> Self {
        Self { source, last: now, answers: 0, returns: 0, said: Vec::new() }
    }

    /// Whether the last answer stands in the next, or the next in it; the ends of lines do not count.
    fn is_like(&self, answer: &[u8]) -> bool {
        is_part(&self.said, answer) || is_part(self.said.trim_ascii_end(), answer.trim_ascii_end())
    }
}

/// Whether one of the two stands in the other. Nothing stands in nothing else.
fn is_part(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    if short.is_empty() { long.is_empty() } else { long.windows(short.len()).any(|window| window == short) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// An echo in upper case, asked by one source.
    struct Asked {
        reflexes: Reflexes,
        now: Instant,
    }

    impl Asked {
        fn new() -> Self {
            Self { reflexes: Reflexes::new(Seed(1)), now: Instant::from_nanos(1) }
        }

        fn is_answered(&mut self, wait: Duration, payload: &str) -> bool {
            self.now = self.now + wait;
            let source = SocketAddr::from(([192, 0, 2, 1], 5_000));
            self.reflexes.may_answer(self.now, source, payload.to_uppercase().as_bytes())
        }

        fn answers(&mut self, tries: usize, wait: Duration, payload: &str) -> usize {
            (0..tries).filter(|_| self.is_answered(wait, payload)).count()
        }
    }

    #[test]
    fn what_comes_back_is_answered_a_few_times_and_then_not_until_a_pause_or_something_else() {
        for (first, back) in [("hello", "HELLO"), ("hello", "hello"), ("hello", "you said: HELLO!"), ("", "")] {
            let mut asked = Asked::new();
            assert!(asked.is_answered(MILLISECOND, first));
            let most = if back.len() > 5 { 1 } else { ERRORS_IN_A_ROW_MAX - 1 };
            assert_eq!(asked.answers(most, MILLISECOND, back), most, "{back:?}");
            if back.len() <= 5 {
                assert_eq!(asked.answers(100, MILLISECOND, back), 0, "{back:?}");
                assert_eq!(asked.answers(100, ERROR_PAUSE - MILLISECOND, back), 0, "it counts from the last of them");
                assert_eq!(asked.answers(100, ERROR_PAUSE, back), 100);
                assert!(asked.is_answered(MILLISECOND, "something else"));
            }
        }
    }

    #[test]
    fn what_grows_or_shrinks_with_each_return_is_a_return_too() {
        for lens in [(1..=50).collect::<Vec<_>>(), (1..=50).rev().collect()] {
            for end in ["", "\n"] {
                let mut asked = Asked::new();
                let answers = lens.iter().filter(|&&len| asked.is_answered(MILLISECOND, &("!".repeat(len) + end)));
                assert_eq!(answers.count(), ERRORS_IN_A_ROW_MAX, "{end:?}");
            }
        }
    }

    #[test]
    fn all_of_one_turn_is_answered_even_if_it_is_the_same() {
        assert_eq!(Asked::new().answers(64, Duration::ZERO, "PING"), 64);
    }

    #[test]
    fn one_answer_in_a_thousand_is_left_out_of_those_that_follow_each_other_at_once() {
        let mut asked = Asked::new();
        let mut number = 0;
        let mut is_answered = |wait| {
            number += 1;
            asked.is_answered(wait, &format!("number {number}"))
        };
        for _ in 0..3 {
            assert!((0..ANSWERS_IN_A_ROW_MAX).all(|_| is_answered(MILLISECOND)));
            assert!(!is_answered(MILLISECOND));
        }
        assert!((0..=ANSWERS_IN_A_ROW_MAX).all(|_| is_answered(ERROR_PAUSE)), "not of those that take their time");
    }

    #[test]
    fn sources_without_number_take_no_more_room_and_each_new_one_is_answered() {
        let mut reflexes = Reflexes::new(Seed(1));
        for number in 0..10 * ECHOES_MAX as u32 {
            let source = SocketAddr::from((number.to_be_bytes(), 5_000));
            assert!(reflexes.may_answer(Instant::from_nanos(1), source, b"x"));
        }
        assert_eq!((reflexes.exchanges.len(), reflexes.exchanges.capacity()), (ECHOES_MAX, ECHOES_MAX));
    }
}
