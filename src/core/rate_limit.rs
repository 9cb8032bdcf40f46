//! Token buckets, one for each source, in a table that never grows.
//!
//! The bucket of a source holds `burst` tokens at first, gets `per_second` back, and each datagram takes one. Of those that
//! find none, one in `leak` passes all the same, by lot: whoever forges somebody's address empties his bucket, and would
//! silence him otherwise (chrony's `ratelimit` does so too).
//!
//! The table is set-associative: the keyed hash of a source names a set of four buckets, and a source that is in
//! none of them takes the place of the fullest. A full bucket says no more than an absent one, so its loss changes
//! nothing, and a flooder's bucket, which is the emptiest of its set, goes last. To have it forgotten a flooder must
//! empty the other buckets of that set as well: since nobody without the seed knows which sources share a set, that
//! costs `burst` datagrams for each of [`RATE_LIMIT_SOURCES`] spoofed sources, to win `burst` tokens for one. On the
//! other hand nobody is ever refused for a crowded table: a new source always finds a full bucket.
//!
//! Arithmetic is exact, in billionths of a token: a nanosecond gives back exactly `per_second` of them.

use crate::core::limits::{RATE_LIMIT_SOURCES, SPARING_PART};
use crate::core::rate::Rate;
use crate::core::source::Source;
use crate::core::{Instant, Seed, SplitMix};

/// Buckets in a set: four share a cache line or two, and make it unlikely that honest sources crowd each other out.
const WAYS: usize = 4;
const SETS: usize = RATE_LIMIT_SOURCES / WAYS;
const _: () = assert!(SETS.is_power_of_two() && SETS * WAYS == RATE_LIMIT_SOURCES, "the hash is cut to a set");

/// Billionths in a token.
const TOKEN: u64 = 1_000_000_000;

/// The tokens of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Billionths of a token at `since`.
    level: u64,
    since: Instant,
}

impl Bucket {
    /// A bucket that is full from `since` on.
    pub(crate) fn full(rate: Rate, since: Instant) -> Self {
        Self { level: capacity(rate), since }
    }

    /// What it holds at `now`, in billionths of a token.
    fn level(&self, rate: Rate, now: Instant) -> u64 {
        let nanos = now.as_nanos().saturating_sub(self.since.as_nanos());
        let back = nanos.saturating_mul(u64::from(rate.per_second));
        self.level.saturating_add(back).min(capacity(rate))
    }

    /// Whether it holds so many tokens. What is more than it can hold is had from a full one.
    pub(crate) fn has(&self, rate: Rate, now: Instant, count: u32) -> bool {
        self.level(rate, now) >= (u64::from(count) * TOKEN).min(capacity(rate))
    }

    /// Takes so many tokens if it [has](Self::has) them; says whether it had.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant, count: u32) -> bool {
        let has = self.has(rate, now, count);
        self.level = self.level(rate, now);
        // A clock that went back would otherwise give the same tokens twice.
        self.since = self.since.max(now);
        if has {
            self.level = self.level.saturating_sub(u64::from(count) * TOKEN);
        }
        has
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Whose it is; `None` while nobody has it.
    source: Option<Source>,
    bucket: Bucket,
}

/// The buckets of one service, or of whatever else is counted.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rate: Rate,
    seed: Seed,
    lots: SplitMix,
    slots: Vec<Slot>,
}

impl RateLimit {
    /// A table in which every source has a full bucket. All its memory is taken here.
    pub(crate) fn new(rate: Rate, seed: Seed) -> Self {
        let nobody = Slot { source: None, bucket: Bucket::full(rate, Instant::default()) };
        Self { rate, seed, lots: SplitMix::new(seed.derive("lots")), slots: vec![nobody; RATE_LIMIT_SOURCES] }
    }

    /// Takes a token of a source; says whether there was one.
    pub(crate) fn take(&mut self, now: Instant, source: Source) -> bool {
        let rate = self.rate;
        self.bucket_of(now, source).take(rate, now, 1)
    }

    /// Whether the lot falls on one that has found no token.
    pub(crate) fn is_drawn(&mut self) -> bool {
        self.rate.leak > 0 && self.lots.below(u64::from(self.rate.leak)) == 0
    }

    /// Takes a token while there is not enough for all: only a source that has been sparing with them gets one. Who is refused pays all the same, so that a flooder does not pass for sparing again until he stops.
    pub(crate) fn take_sparing(&mut self, now: Instant, source: Source) -> bool {
        let rate = self.rate;
        let bucket = self.bucket_of(now, source);
        let is_sparing = bucket.has(rate, now, rate.burst - rate.burst / SPARING_PART);
        bucket.take(rate, now, 1) && is_sparing
    }

    /// The rate that it holds everybody to.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// The bucket of a source, for somebody who takes more than one token.
    pub(crate) fn bucket_of(&mut self, now: Instant, source: Source) -> &mut Bucket {
        let rate = self.rate;
        let set = self.seed.hash(&source) as usize % SETS * WAYS;
        let set = &mut self.slots[set..set + WAYS];
        let slot = match set.iter().position(|slot| slot.source == Some(source)) {
            Some(way) => &mut set[way],
            None => {
                let fullest = fullest(set, rate, now);
                *fullest = Slot { source: Some(source), bucket: Bucket::full(rate, now) };
                fullest
            }
        };
        &mut slot.bucket
    }
}

/// The slot whose loss changes least: nobody's, else that of the fullest bucket, else of these the one that was used least
/// lately.
fn fullest(set: &mut [Slot], rate: Rate, now: Instant) -> &mut Slot {
    set.iter_mut()
        .max_by_key(|slot| (slot.source.is_none(), slot.bucket.level(rate, now), std::cmp::Reverse(slot.bucket.since)))
        .expect("a set has slots")
}

/// What a bucket holds at most; even u32::MAX tokens are less than u64::MAX billionths.
fn capacity(rate: Rate) -> u64 {
    u64::from(rate.burst) * TOKEN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;
    use std::time::Duration;

    const START: Instant = Instant::from_nanos(1_000_000_000_000);

    fn limit(per_second: u32, burst: u32) -> RateLimit {
        RateLimit::new(Rate::new(per_second, burst), Seed(7))
    }

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    /// One of very many.
    fn spoofed(number: u32) -> Source {
        Source::of(IpAddr::from((0x0a00_0000 + number).to_be_bytes()))
    }

    fn allowed(limit: &mut RateLimit, now: Instant, source: Source, tries: usize) -> usize {
        (0..tries).filter(|_| limit.take(now, source)).count()
    }

    #[test]
    fn a_burst_passes_and_then_a_token_at_a_time() {
        let mut limit = limit(10, 3);
        let flooder = source("192.0.2.1");
        assert_eq!(allowed(&mut limit, START, flooder, 100), 3);
        let tenth = Duration::from_millis(100);
        assert_eq!(allowed(&mut limit, START + tenth - Duration::from_nanos(1), flooder, 1), 0);
        assert_eq!(allowed(&mut limit, START + tenth, flooder, 2), 1);
        assert_eq!(allowed(&mut limit, START + Duration::from_secs(3_600), flooder, 100), 3);
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_token_twice() {
        let mut limit = limit(1, 1);
        let source = source("192.0.2.1");
        let second = Duration::from_secs(1);
        assert!(limit.take(START, source));
        assert!(!limit.take(START - second, source));
        assert!(!limit.take(START, source));
        assert!(limit.take(START + second, source));
    }

    #[test]
    fn a_flood_of_spoofed_sources_does_not_give_a_flooder_its_tokens_back() {
        let mut limit = limit(1, 20);
        let flooder = source("192.0.2.1");
        assert_eq!(allowed(&mut limit, START, flooder, 1_000), 20);
        let mut passed = 0;
        for number in 0..20 * RATE_LIMIT_SOURCES as u32 {
            assert!(limit.take(START, spoofed(number)), "a new source is let in");
            passed += allowed(&mut limit, START, flooder, 1);
        }
        assert_eq!(passed, 0);
    }

    #[test]
    fn nobody_is_refused_because_the_table_is_crowded() {
        let mut limit = limit(1, 1);
        for number in 0..4 * RATE_LIMIT_SOURCES as u32 {
            assert!(limit.take(START, spoofed(number)));
        }
        assert_eq!(limit.slots.len(), RATE_LIMIT_SOURCES);
        assert_eq!(limit.slots.capacity(), RATE_LIMIT_SOURCES);
    }

    #[test]
    fn the_highest_rate_and_the_longest_wait_do_not_overflow() {
        let mut limit = limit(u32::MAX, u32::MAX);
        assert!(limit.take(Instant::default(), source("::1")));
        assert!(limit.take(Instant::from_nanos(u64::MAX), source("::1")));
    }

    #[test]
    fn of_those_that_find_no_token_one_in_so_many_passes_by_lot() {
        let mut limit = RateLimit::new(Rate { leak: 8, ..Rate::new(1, 1) }, Seed(7));
        let victim = source("192.0.2.1");
        assert!(limit.take(START, victim));
        let lots: Vec<bool> = (0..8_000).map(|_| limit.take(START, victim) || limit.is_drawn()).collect();
        let passed = lots.iter().filter(|&&passed| passed).count();
        assert!((900..1_100).contains(&passed), "{passed} of 8000");
        // By lot: whoever sends in step with it wins nothing.
        let in_step = lots.iter().step_by(8).filter(|&&passed| passed).count();
        assert!((90..160).contains(&in_step), "{in_step} of 1000");
    }

    #[test]
    fn where_there_is_not_enough_who_has_used_an_eighth_of_his_tokens_gets_no_more() {
        let mut limit = RateLimit::new(Rate { leak: 2, ..Rate::new(50, 200) }, Seed(7));
        let (flooder, sparing) = (source("192.0.2.1"), source("192.0.2.2"));
        let mut passed = |now, source, tries| (0..tries).filter(|_| limit.take_sparing(now, source)).count();
        assert_eq!(passed(START, flooder, 1_000), 200 / SPARING_PART as usize + 1);
        // As often as the rate allows for ever; and a flooder not at all, for as long as he is one.
        let mut now = START;
        for _ in 0..1_000 {
            now = now + Duration::from_millis(20);
            assert_eq!((passed(now, sparing, 1), passed(now, flooder, 2)), (1, 0));
        }
        assert_eq!(passed(now + Duration::from_millis(3_499), flooder, 1), 0);
        assert_eq!(passed(now + Duration::from_millis(3_520), flooder, 1), 1);
    }

    #[test]
    fn what_costs_more_than_a_bucket_holds_is_had_from_a_full_one() {
        let (rate, second) = (Rate::new(10, 20), Duration::from_secs(1));
        let mut bucket = Bucket::full(rate, START);
        assert!(bucket.take(rate, START, 5));
        assert!(!bucket.take(rate, START, 100));
        assert!(bucket.take(rate, START + second, 100), "it is full again");
        assert!(!bucket.take(rate, START + second, 1));
        assert!(!bucket.take(rate, START + second + second, 11));
        assert!(bucket.take(rate, START + second + second, 10));
    }

    proptest! {
        #[test]
        fn no_source_passes_more_often_than_burst_and_rate_allow(
            per_second in 1_u32..1_000,
            burst in 1_u32..100,
            waits in prop::collection::vec((0_u64..50_000_000, any::<bool>()), 1..300),
        ) {
            let mut limit = limit(per_second, burst);
            let (flooder, other) = (source("198.51.100.1"), source("198.51.100.2"));
            let (mut now, mut passed, mut last_other) = (START, 0_u64, None);
            for (wait, also_other) in waits {
                now = now + Duration::from_nanos(wait);
                passed += allowed(&mut limit, now, flooder, 3) as u64;
                let back = now.since(START).as_nanos() * u128::from(per_second) / u128::from(TOKEN);
                prop_assert!(u128::from(passed) <= u128::from(burst) + back);
                // One who waits for his token is never refused, whatever the flooder does.
                let due = last_other.is_none_or(|at| now.since(at).as_nanos() * u128::from(per_second) >= u128::from(TOKEN));
                if also_other && due {
                    prop_assert!(limit.take(now, other));
                    last_other = Some(now);
                }
            }
        }
    }
}
