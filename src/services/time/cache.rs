//! Answers of the current second.
//!
//! An answer is a function of the request, the second on the wall and the configuration, so it is kept under the first two
//! and forgotten with the third. A clock that steps back finds nothing wrong here: what was true of a second stays true of
//! it. The table has a fixed number of slots, each holds the last request that fell on it, and a slot's buffers are used
//! again, so nothing is allocated while the same requests come in.

use crate::core::Seed;
use crate::core::limits::{TIME_CACHE_MAX, TIME_REQUEST_MAX};

/// Answers by request.
#[derive(Debug)]
pub(super) struct Cache {
    seed: Seed,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// The second in which the answer is true; `None` for an empty slot.
    second: Option<i64>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Cache {
    /// An empty one. Strangers choose what is looked up, so where it falls is seeded.
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, slots: vec![Slot::default(); TIME_CACHE_MAX] }
    }

    /// The answer to exactly these bytes in exactly this second.
    pub(super) fn find(&self, request: &[u8], second: i64) -> Option<&[u8]> {
        let slot = &self.slots[self.place(request)];
        (slot.second == Some(second) && slot.request == request).then_some(&slot.answer)
    }

    /// Keeps an answer, in the place of another. A request that thousands of zero bytes make long is not worth the room.
    pub(super) fn keep(&mut self, request: &[u8], second: i64, answer: &[u8]) {
        if request.len() > TIME_REQUEST_MAX {
            return;
        }
        let place = self.place(request);
        let slot = &mut self.slots[place];
        slot.second = Some(second);
        slot.request.clear();
        slot.request.extend_from_slice(request);
        slot.answer.clear();
        slot.answer.extend_from_slice(answer);
    }

    /// Forgets every answer.
    pub(super) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.second = None);
    }

    fn place(&self, request: &[u8]) -> usize {
        (self.seed.hash(&request) % self.slots.len() as u64) as usize
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
    fn a_request_is_kept_up_to_the_longest_that_is_no_padding() {
        let mut cache = Cache::new(Seed(1));
        let padded = [b"%S".as_slice(), &[0; TIME_REQUEST_MAX]].concat();
        let (longest, longer) = (&padded[..TIME_REQUEST_MAX], &padded[..=TIME_REQUEST_MAX]);
        cache.keep(longest, 7, b"07");
        cache.keep(longer, 7, b"07");
        assert_eq!((cache.find(longest, 7), cache.find(longer, 7)), (Some(b"07".as_slice()), None));
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
}
