//! `belfry doctor`: does everything work from here, and what to do when not?

use super::{Failure, Who};
use clap::Args;
use std::io::Write;

/// What `belfry doctor` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How many heartbeats are sent to measure the loss
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    heartbeats: u32,
}

/// Checks one thing after another, and says of each what is wrong and what to do.
pub(super) fn doctor(_who: &Who, options: &Options, _out: &mut impl Write) -> Result<(), Failure> {
    Err(Failure::Failed(format!("not yet: {}", options.heartbeats)))
}
