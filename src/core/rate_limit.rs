//! Token buckets, one for each source, in a table that never grows.
//!
//! The bucket of a source holds `burst` tokens at first, gets `per_second` back, and each datagram takes one.
//!
//! The table is set-associative: the keyed hash of a source names a set of four buckets, and a source that is in
//! none of them takes the place of the fullest. A full bucket says no more than an absent one, so its loss changes
//! nothing, and a flooder's bucket, which is the emptiest of its set, goes last. To have it forgotten a flooder must
//! empty the other buckets of that set as well: since nobody without the seed knows which sources share a set, that
//! costs `burst` datagrams for each of [`RATE_LIMIT_SOURCES`] spoofed sources, to win `burst` tokens for one. On the
//! other hand nobody is ever refused for a crowded table: a new source always finds a full bucket.
//!
//! Arithmetic is exact, in billionths of a token: a nanosecond gives back exactly `per_second` of them.

use crate::core::limits::RATE_LIMIT_SOURCES;
use crate::core::source::Source;
use crate::core::{Instant, Seed};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens at most, and at first.
    pub burst: u32,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s burst {}", self.per_second, self.burst)
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `50/s burst 200`; without a burst it is the tokens of one second.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let rate = words.next().and_then(|word| word.strip_suffix("/s"));
        let rate = rate.ok_or_else(|| format!("{text:?} does not begin with a rate for each second"))?;
        let burst = match (words.next(), words.next(), words.next()) {
            (None, ..) => rate,
            (Some("burst"), Some(burst), None) => burst,
            _ => return Err(format!("{text:?} has something other than a burst behind its rate")),
        };
        let number = |word: &str| match word.parse::<u32>() {
            Ok(0) => Err("a rate of 0 would let nothing through".to_owned()),
            Ok(number) => Ok(number),
            Err(_) => Err(format!("{word:?} is not a number of datagrams")),
        };
        Ok(Self { per_second: number(rate)?, burst: number(burst)? })
    }
}

/// Buckets in a set: four share a cache line or two, and make it unlikely that honest sources crowd each other out.
const WAYS: usize = 4;
const SETS: usize = RATE_LIMIT_SOURCES / WAYS;
const _: () = assert!(SETS.is_power_of_two() && SETS * WAYS == RATE_LIMIT_SOURCES, "the hash is cut to a set");

/// Billionths in a token.
const TOKEN: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Whose it is; `None` while nobody has it.
    source: Option<Source>,
    /// Billionths of a token at `since`.
    level: u64,
    since: Instant,
}

/// The buckets of one service.
#[derive(Debug)]
pub struct RateLimit {
    rate: Rate,
    seed: Seed,
    buckets: Vec<Bucket>,
}

impl RateLimit {
    /// A table in which every source has a full bucket. All its memory is taken here.
    pub fn new(rate: Rate, seed: Seed) -> Self {
        let nobody = Bucket { source: None, level: u64::from(rate.burst) * TOKEN, since: Instant::default() };
        Self { rate, seed, buckets: vec![nobody; RATE_LIMIT_SOURCES] }
    }

    /// The rate that it holds sources to.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a token of the source at `addr`; says whether there was one.
    pub fn allow(&mut self, now: Instant, addr: IpAddr) -> bool {
        let source = Source::of(addr);
        let rate = self.rate;
        let set = self.seed.hash(&source) as usize % SETS * WAYS;
        let set = &mut self.buckets[set..set + WAYS];
        let bucket = match set.iter().position(|bucket| bucket.source == Some(source)) {
            Some(way) => &mut set[way],
            None => {
                let fullest = fullest(set, rate, now);
                *fullest = Bucket { source: Some(source), level: capacity(rate), since: now };
                fullest
            }
        };
        bucket.level = level(bucket, rate, now);
        // A clock that went back would otherwise give the same tokens twice.
        bucket.since = bucket.since.max(now);
        let allowed = bucket.level >= TOKEN;
        if allowed {
            bucket.level -= TOKEN;
        }
        allowed
    }
}

/// The bucket whose loss changes least: nobody's, else the fullest, else of these the one that was used least lately.
fn fullest(set: &mut [Bucket], rate: Rate, now: Instant) -> &mut Bucket {
    set.iter_mut()
        .max_by_key(|bucket| (bucket.source.is_none(), level(bucket, rate, now), std::cmp::Reverse(bucket.since)))
        .expect("a set has buckets")
}

/// What a bucket holds at `now`.
fn level(bucket: &Bucket, rate: Rate, now: Instant) -> u64 {
    let nanos = now.as_nanos().saturating_sub(bucket.since.as_nanos());
    let back = nanos.saturating_mul(u64::from(rate.per_second));
    bucket.level.saturating_add(back).min(capacity(rate))
}

/// What a bucket holds at most; even u32::MAX tokens are less than u64::MAX billionths.
fn capacity(rate: Rate) -> u64 {
    u64::from(rate.burst) * TOKEN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const START: Instant = Instant::from_nanos(1_000_000_000_000);

    fn limit(per_second: u32, burst: u32) -> RateLimit {
        RateLimit::new(Rate { per_second, burst }, Seed(7))
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn allowed(limit: &mut RateLimit, now: Instant, addr: IpAddr, tries: usize) -> usize {
        (0..tries).filter(|_| limit.allow(now, addr)).count()
    }

    #[test]
    fn a_burst_passes_and_then_a_token_at_a_time() {
        let mut limit = limit(10, 3);
        let flooder = addr("192.0.2.1");
        assert_eq!(allowed(&mut limit, START, flooder, 100), 3);
        let tenth = Duration::from_millis(100);
        assert_eq!(allowed(&mut limit, START + tenth - Duration::from_nanos(1), flooder, 1), 0);
        assert_eq!(allowed(&mut limit, START + tenth, flooder, 2), 1);
        assert_eq!(allowed(&mut limit, START + Duration::from_secs(3_600), flooder, 100), 3);
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_token_twice() {
        let mut limit = limit(1, 1);
        let source = addr("192.0.2.1");
        let second = Duration::from_secs(1);
        assert!(limit.allow(START, source));
        assert!(!limit.allow(START - second, source));
        assert!(!limit.allow(START, source));
        assert!(limit.allow(START + second, source));
    }

    #[test]
    fn a_flood_of_spoofed_sources_does_not_give_a_flooder_its_tokens_back() {
        let mut limit = limit(1, 20);
        let flooder = addr("192.0.2.1");
        assert_eq!(allowed(&mut limit, START, flooder, 1_000), 20);
        let mut passed = 0;
        for spoofed in 0..20 * RATE_LIMIT_SOURCES as u32 {
            assert!(limit.allow(START, IpAddr::from((0x0a00_0000 + spoofed).to_be_bytes())), "a new source is let in");
            passed += allowed(&mut limit, START, flooder, 1);
        }
        assert_eq!(passed, 0);
    }

    #[test]
    fn nobody_is_refused_because_the_table_is_crowded() {
        let mut limit = limit(1, 1);
        for source in 0..4 * RATE_LIMIT_SOURCES as u32 {
            assert!(limit.allow(START, IpAddr::from((0x0a00_0000 + source).to_be_bytes())));
        }
        assert_eq!(limit.buckets.len(), RATE_LIMIT_SOURCES);
        assert_eq!(limit.buckets.capacity(), RATE_LIMIT_SOURCES);
    }

    #[test]
    fn the_highest_rate_and_the_longest_wait_do_not_overflow() {
        let mut limit = limit(u32::MAX, u32::MAX);
        assert!(limit.allow(Instant::default(), addr("::1")));
        assert!(limit.allow(Instant::from_nanos(u64::MAX), addr("::1")));
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["50/s burst 200", "1/s burst 1", "4294967295/s burst 4294967295"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("5/s".parse(), Ok(Rate { per_second: 5, burst: 5 }));
        let table = [
            ("", "\"\" does not begin with a rate for each second"),
            ("5", "\"5\" does not begin with a rate for each second"),
            ("5/min burst 3", "\"5/min burst 3\" does not begin with a rate for each second"),
            ("0/s burst 3", "a rate of 0 would let nothing through"),
            ("3/s burst 0", "a rate of 0 would let nothing through"),
            ("-1/s", "\"-1\" is not a number of datagrams"),
            ("4294967296/s", "\"4294967296\" is not a number of datagrams"),
            ("3/s burst", "\"3/s burst\" has something other than a burst behind its rate"),
            ("3/s burst 4 5", "\"3/s burst 4 5\" has something other than a burst behind its rate"),
            ("3/s brust 4", "\"3/s brust 4\" has something other than a burst behind its rate"),
        ];
        for (text, reason) in table {
            assert_eq!(text.parse::<Rate>(), Err(reason.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn no_source_passes_more_often_than_burst_and_rate_allow(
            per_second in 1_u32..1_000,
            burst in 1_u32..100,
            waits in prop::collection::vec((0_u64..50_000_000, any::<bool>()), 1..300),
        ) {
            let mut limit = limit(per_second, burst);
            let (flooder, other) = (addr("198.51.100.1"), addr("198.51.100.2"));
            let (mut now, mut passed, mut last_other) = (START, 0_u64, None);
            for (wait, also_other) in waits {
                now = now + Duration::from_nanos(wait);
                passed += allowed(&mut limit, now, flooder, 3) as u64;
                let back = now.since(START).as_nanos() * u128::from(per_second) / u128::from(TOKEN);
                prop_assert!(u128::from(passed) <= u128::from(burst) + back);
                // One who waits for his token is never refused, whatever the flooder does.
                let due = last_other.is_none_or(|at| now.since(at).as_nanos() * u128::from(per_second) >= u128::from(TOKEN));
                if also_other && due {
                    prop_assert!(limit.allow(now, other));
                    last_other = Some(now);
                }
            }
        }
    }
}
