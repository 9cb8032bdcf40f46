//! Answers of the current second.
//!
//! An answer is a function of the request, the second on the wall and the configuration, so it is kept under the first two
//! and forgotten with the third. A clock that steps back finds nothing wrong here: what was true of a second stays true of
//! it.
//!
//! The table is set-associative and never grows: the keyed hash of a request names a set of four slots, where a new answer
//! takes the place of one that is not of this second or, if all are, of one after the other. Everything stands in the slots
//! themselves, so nothing is allocated; a request or an answer that is longer than nearly all are is filled in each time.

use crate::core::Seed;
use crate::core::limits::TIME_CACHE_MAX;

/// Slots in a set: a thousand formats at once find room for all but a few of them.
const WAYS: usize = 4;
const SETS: usize = TIME_CACHE_MAX / WAYS;
const _: () = assert!(SETS.is_power_of_two() && SETS * WAYS == TIME_CACHE_MAX, "the hash is cut to a set");

/// The longest request that is kept, in bytes, and the longest answer.
const REQUEST_KEPT_MAX: usize = 64;
const ANSWER_KEPT_MAX: usize = 128;

/// Answers by request.
#[derive(Debug)]
pub(super) struct Cache {
    seed: Seed,
    slots: Vec<Slot>,
    /// Which of a set makes place next.
    turn: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The second in which the answer is true; `None` for an empty slot.
    second: Option<i64>,
    request_len: u8,
    answer_len: u8,
    request: [u8; REQUEST_KEPT_MAX],
    answer: [u8; ANSWER_KEPT_MAX],
}

impl Slot {
    const EMPTY: Self = Self {
        second: None,
        request_len: 0,
        answer_len: 0,
        request: [0; REQUEST_KEPT_MAX],
        answer: [0; ANSWER_KEPT_MAX],
    };

    fn request(&self) -> &[u8] {
        &self.request[..usize::from(self.request_len)]
    }

    fn answer(&self) -> &[u8] {
        &self.answer[..usize::from(self.answer_len)]
    }
}

impl Cache {
    /// An empty one. Strangers choose what is looked up, so where it falls is seeded.
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, slots: vec![Slot::EMPTY; TIME_CACHE_MAX], turn: 0 }
    }

    /// The answer to exactly these bytes in exactly this second.
    pub(super) fn find(&self, request: &[u8], second: i64) -> Option<&[u8]> {
        if request.len() > REQUEST_KEPT_MAX {
            return None;
        }
        let set = &self.slots[self.set(request)..][..WAYS];
        set.iter().find(|slot| slot.second == Some(second) && slot.request() == request).map(Slot::answer)
    }

    /// Keeps an answer that was not found, if it is short enough.
    pub(super) fn keep(&mut self, request: &[u8], second: i64, answer: &[u8]) {
        if request.len() > REQUEST_KEPT_MAX || answer.len() > ANSWER_KEPT_MAX {
            return;
        }
        let at = self.set(request);
        let set = &mut self.slots[at..][..WAYS];
        let way = set.iter().position(|slot| slot.second != Some(second)).unwrap_or_else(|| {
            self.turn = (self.turn + 1) % WAYS;
            self.turn
        });
        let slot = &mut set[way];
        slot.second = Some(second);
        (slot.request_len, slot.answer_len) = (request.len() as u8, answer.len() as u8);
        slot.request[..request.len()].copy_from_slice(request);
        slot.answer[..answer.len()].copy_from_slice(answer);
    }

    /// Forgets every answer.
    pub(super) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.second = None);
    }

    fn set(&self, request: &[u8]) -> usize {
        self.seed.hash(&request) as usize % SETS * WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_for_its_own_request_and_second_alone() {
        let mut cache = Cache::new(Seed(1));
        cache.keep(b"%S", 7, b"07");
        assert_eq!(cache.find(b"%S", 7), Some(b"07".as_slice()));
        assert_eq!(cache.find(b"%S", 6), None);
        assert_eq!(cache.find(b"%S", 8), None);
        assert_eq!(cache.find(b"%S\n", 7), None);
        cache.clear();
        assert_eq!(cache.find(b"%S", 7), None);
    }

    #[test]
    fn what_is_kept_is_as_long_as_a_slot_and_no_longer() {
        let long = [b'x'; ANSWER_KEPT_MAX + 1];
        for (request_len, answer_len, is_kept) in [
            (REQUEST_KEPT_MAX, ANSWER_KEPT_MAX, true),
            (REQUEST_KEPT_MAX + 1, ANSWER_KEPT_MAX, false),
            (REQUEST_KEPT_MAX, ANSWER_KEPT_MAX + 1, false),
            (0, 0, true),
        ] {
            let mut cache = Cache::new(Seed(1));
            let (request, answer) = (&long[..request_len], &long[..answer_len]);
            cache.keep(request, 7, answer);
            assert_eq!(cache.find(request, 7), is_kept.then_some(answer), "{request_len} {answer_len}");
        }
    }

    #[test]
    fn the_table_never_grows_and_never_mixes_answers_up() {
        let mut cache = Cache::new(Seed(2));
        for request in 0..20_000_u32 {
            cache.keep(&request.to_be_bytes(), 7, &request.to_le_bytes());
        }
        let kept = (0..20_000_u32).filter(|request| match cache.find(&request.to_be_bytes(), 7) {
            Some(answer) => {
                assert_eq!(answer, request.to_le_bytes());
                true
            }
            None => false,
        });
        assert!((TIME_CACHE_MAX / 2..=TIME_CACHE_MAX).contains(&kept.count()));
        assert_eq!(cache.slots.len(), TIME_CACHE_MAX);
    }

    #[test]
    fn of_a_thousand_requests_nearly_all_are_found_in_each_second() {
        let mut cache = Cache::new(Seed(3));
        for second in 0..3 {
            (0..1_000_u32).for_each(|request| cache.keep(&request.to_be_bytes(), second, b""));
            let found = (0..1_000_u32).filter(|request| cache.find(&request.to_be_bytes(), second).is_some()).count();
            assert!(found >= 900, "{found}");
        }
    }
}
