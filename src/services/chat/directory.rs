//! The members in the order of their names, by their ids alone.
//!
//! A name stands with its member and nowhere else, so whoever looks for a place here says of any member whether it comes before. The
//! ids stand in blocks, each behind the other and none empty: a place is found by halving, and to come or go moves no more than a
//! block. What a block has taken of memory it keeps until its last member has gone.

use super::member::MemberId;

/// Ids in a block; of one more, half go into another.
const BLOCK_MAX: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Directory {
    blocks: Vec<Vec<MemberId>>,
}

impl Directory {
    /// The first that is not before, and its place.
    fn place(&self, is_before: impl Fn(MemberId) -> bool) -> (usize, usize) {
        let block = self.blocks.partition_point(|block| block.last().is_some_and(|&last| is_before(last)));
        let at = self.blocks.get(block).map_or(0, |block| block.partition_point(|&id| is_before(id)));
        (block, at)
    }

    /// Everybody who is not before, in order.
    pub(super) fn from(&self, is_before: impl Fn(MemberId) -> bool) -> impl Iterator<Item = MemberId> {
        let (block, at) = self.place(is_before);
        self.blocks[block..].iter().flatten().skip(at).copied()
    }

    /// Everybody, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = MemberId> {
        self.blocks.iter().flatten().copied()
    }

    /// Puts somebody behind all that are before.
    pub(super) fn insert(&mut self, id: MemberId, is_before: impl Fn(MemberId) -> bool) {
        let (block, at) = self.place(is_before);
        match self.blocks.get_mut(block) {
            Some(ids) if ids.len() < BLOCK_MAX => ids.insert(at, id),
            Some(ids) => {
                let mut others = ids.split_off(BLOCK_MAX / 2);
                // Half of a block keeps the room of half of one.
                ids.shrink_to_fit();
                let half = if at <= ids.len() { (&mut *ids, at) } else { (&mut others, at - BLOCK_MAX / 2) };
                half.0.insert(half.1, id);
                self.blocks.insert(block + 1, others);
            }
            None => match self.blocks.last_mut().filter(|last| last.len() < BLOCK_MAX) {
                Some(last) => last.push(id),
                None => self.blocks.push(vec![id]),
            },
        }
    }

    /// Takes out the first that is not before.
    pub(super) fn remove(&mut self, is_before: impl Fn(MemberId) -> bool) {
        let (block, at) = self.place(is_before);
        self.blocks[block].remove(at);
        if self.blocks[block].is_empty() {
            self.blocks.remove(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Seed, SplitMix};
    use std::collections::BTreeSet;

    /// Here a member's id is its name.
    #[test]
    fn who_comes_and_goes_in_whatever_order_stands_as_in_a_set() {
        let mut random = SplitMix::new(Seed(1));
        let (mut directory, mut set) = (Directory::default(), BTreeSet::new());
        // Up, so that there are many blocks, and down again.
        for round in 0..60_000 {
            let coming = if round < 30_000 { 9 } else { 2 };
            let id = random.below(10_000) as MemberId;
            let (is_coming, is_there) = (random.below(10) < coming, set.contains(&id));
            if is_coming && !is_there {
                directory.insert(id, |other| other < id);
                set.insert(id);
            } else if !is_coming && is_there {
                directory.remove(|other| other < id);
                set.remove(&id);
            }
            let (next, known) = (directory.from(|other| other < id).next(), set.range(id..).next().copied());
            assert_eq!(next, known, "from {id} in round {round}");
        }
        assert!(directory.iter().eq(set.iter().copied()));
        assert!(directory.blocks.iter().all(|block| (1..=BLOCK_MAX).contains(&block.len())));
        for id in std::mem::take(&mut set) {
            directory.remove(|other| other < id);
        }
        assert_eq!((directory.iter().count(), directory.blocks.len()), (0, 0));
    }

    #[test]
    fn names_that_come_in_their_order_fill_the_blocks() {
        let mut directory = Directory::default();
        let count = 10 * BLOCK_MAX as MemberId;
        (0..count).for_each(|id| directory.insert(id, |other| other < id));
        assert!(directory.iter().eq(0..count));
        assert_eq!(directory.blocks.len(), 10);
    }
}
