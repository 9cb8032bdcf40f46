//! Sessions: whatever the network, the hub and others do to single datagrams, in the end everybody has had everything.
//!
//! Programs with the session logic of `belfry`, programs without, and people at terminals talk in the rooms of one hub. A storm
//! loses, doubles, delays and reorders their datagrams, cuts some of them off, moves them to other addresses, ends and restarts
//! them and the hub, with what it has kept and without; others forge, replay and damage what they have seen. Then it is
//! calm, and after [`world::SETTLED_AFTER`] nothing may be missing and nothing but heartbeats may fly.
//!
//! `referee` says what is true and checks it at every step: who may be spoken to, that nothing is said twice or
//! in somebody else's name, and that each has had of each room everything, once, in its one order, byte for byte.

mod actors;
mod attack;
mod hub;
mod keeper;
mod referee;
mod storm;
mod world;

use super::{play, seeds};
use world::World;

/// How many runs when nobody asks for more: some seconds without optimisation.
const SEEDS_USUAL: u64 = 1_500;

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    play(seed, &mut world);
    world
}

#[test]
fn whatever_happens_to_datagrams_every_session_has_heard_everything_in_the_end() {
    let seeds = seeds(SEEDS_USUAL);
    let are_many = seeds.end - seeds.start > 100;
    let mut sum = world::Sum::default();
    for seed in seeds {
        sum.add(&run(seed).sum());
    }
    println!("{sum:?}");
    assert!(!are_many || sum.has_seen_all(), "something was never seen: {sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace_of_sessions_and_another_seed_another() {
    for seed in [1, 7] {
        let first = run(seed).trace();
        assert_eq!(first, run(seed).trace(), "seed {seed}");
        assert_ne!(first, run(seed + 1).trace(), "seed {seed}");
    }
}
