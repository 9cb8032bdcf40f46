//! The hub among hundreds of clients on a network that loses, doubles, delays and reorders.
//!
//! All chance comes from one seed, and time is a number, so a run is the same run every time. A panic names the seed and the
//! step:
//!
//! ```text
//! BELFRY_SEED=4711 cargo test --test it sim        that run alone, and what happened in it if it fails
//! BELFRY_SEEDS=100000 cargo test --test it sim     more of them
//! ```
//!
//! `members` knows exactly what each member must get of each datagram, and so is about those who keep no count of it.
//! `sessions` is about those who do: whatever happens to single datagrams, in the end all of them have had everything.

mod members;
mod network;
mod sessions;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that happens in steps.
trait Play {
    /// One step; whether there is another.
    fn step(&mut self) -> bool;
}

/// Plays a run to its end; a panic in it names the seed and the step.
fn play(seed: u64, world: &mut impl Play) {
    for step in 0.. {
        match catch_unwind(AssertUnwindSafe(|| world.step())) {
            Ok(true) => {}
            Ok(false) => break,
            Err(panic) => {
                let said = panic.downcast_ref::<String>().cloned();
                let said =
                    said.or_else(|| panic.downcast_ref::<&str>().map(|&said| said.to_owned())).unwrap_or_default();
                panic!("seed {seed}, step {step} (BELFRY_SEED={seed} plays it again): {said}");
            }
        }
    }
}

/// The seeds that somebody wants, or the first `usual`.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    match (number("BELFRY_SEED"), number("BELFRY_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(usual),
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}
