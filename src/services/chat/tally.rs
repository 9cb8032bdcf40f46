//! How many members there are of each source.
//!
//! A source of IPv4 is a source in four bytes, and most halls have more of them than of anything else.

use crate::core::source::Source;
use crate::core::{Seed, SeededMap};
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug)]
pub(super) struct Tally {
    v4: SeededMap<Ipv4Addr, u32>,
    others: SeededMap<Source, u32>,
}

impl Tally {
    pub(super) fn new(seed: Seed) -> Self {
        Self { v4: SeededMap::with_hasher(seed), others: SeededMap::with_hasher(seed) }
    }

    /// Makes room for so many sources of IPv4.
    pub(super) fn reserve(&mut self, count_max: usize) {
        self.v4.reserve(count_max.saturating_sub(self.v4.len()));
    }

    /// Members of a source.
    pub(super) fn of(&self, source: Source) -> usize {
        let count = match source {
            Source::V4(addr) => self.v4.get(&addr),
            _ => self.others.get(&source),
        };
        count.map_or(0, |&count| count as usize)
    }

    /// Counts somebody who has come.
    pub(super) fn add(&mut self, addr: IpAddr) {
        for source in sources(addr) {
            match source {
                Source::V4(addr) => *self.v4.entry(addr).or_insert(0) += 1,
                _ => *self.others.entry(source).or_insert(0) += 1,
            }
        }
    }

    /// Counts somebody no more.
    pub(super) fn subtract(&mut self, addr: IpAddr) {
        for source in sources(addr) {
            match source {
                Source::V4(addr) => subtract_one(self.v4.entry(addr)),
                _ => subtract_one(self.others.entry(source)),
            }
        }
    }
}

fn subtract_one<K: Eq + Hash>(entry: Entry<'_, K, u32>) {
    let Entry::Occupied(mut entry) = entry else { unreachable!("who goes has come") };
    *entry.get_mut() -= 1;
    if *entry.get() == 0 {
        entry.remove();
    }
}

/// The sources that an address counts for: itself, and its network if that is another.
fn sources(addr: IpAddr) -> impl Iterator<Item = Source> {
    let host = Source::of_sender(addr, true);
    std::iter::once(host).chain(host.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_counts_for_itself_and_for_a_network_that_it_shares() {
        let mut tally = Tally::new(Seed(1));
        let addr = |text: &str| text.parse::<IpAddr>().expect("an address");
        let counts = |tally: &Tally| {
            let host = |text| tally.of(Source::of_sender(addr(text), true));
            let network = tally.of(Source::of_sender(addr("2001:db8::9"), false));
            [host("192.0.2.1"), host("192.0.2.2"), host("2001:db8::1"), host("2001:db8::2"), network]
        };
        let all = ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2"];
        all.iter().for_each(|text| tally.add(addr(text)));
        assert_eq!(counts(&tally), [2, 0, 1, 1, 2]);
        tally.subtract(addr("192.0.2.1"));
        tally.subtract(addr("2001:db8::1"));
        assert_eq!(counts(&tally), [1, 0, 0, 1, 1]);
        all[1..].iter().filter(|text| **text != "2001:db8::1").for_each(|text| tally.subtract(addr(text)));
        assert_eq!((tally.v4.len(), tally.others.len()), (0, 0), "nobody takes no room");
    }
}
