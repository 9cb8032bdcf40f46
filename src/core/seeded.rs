//! Randomness and hashing from a seed, so that the same inputs give the same outputs.
//!
//! The daemon takes the seed from the kernel; a test takes it from its command line.

use siphasher::sip::{SipHasher13, SipHasher24};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

/// Where all chance comes from: whoever knows it knows every token and every secret that is yet to be given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u128);

impl Seed {
    /// A keyed hash: a stranger who does not know the seed cannot choose two keys that collide.
    pub fn hash(self, value: &impl Hash) -> u64 {
        self.hash_one(value)
    }

    /// A keyed hash that strangers may see, and from which they learn neither the seed nor another: SipHash-2-4 (Aumasson,
    /// Bernstein, INDOCRYPT 2012).
    pub fn mac(self, value: &impl Hash) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.low(), self.high());
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// Another seed, from which nobody learns this one: for numbers of which something shows.
    pub fn derive(self, of: &str) -> Self {
        let half = |which: u8| u128::from(self.mac(&("derive", of, which)));
        Self(half(0) << 64 | half(1))
    }

    const fn low(self) -> u64 {
        self.0 as u64
    }

    const fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl BuildHasher for Seed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.low(), self.high())
    }
}

/// A hash map whose hashing is seeded. Its order means nothing: look up, never iterate.
pub type SeededMap<K, V> = HashMap<K, V, Seed>;

/// Small, fast, seeded numbers for jitter; not for secrets. (Steele, Lea, Flood: SplitMix, OOPSLA 2014.)
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// The sequence that belongs to `seed`.
    pub const fn new(seed: Seed) -> Self {
        Self(seed.low())
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "no number is below zero");
        self.next_u64() % bound.max(1)
    }
}
