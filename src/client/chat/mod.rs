//! `belfry chat`: a room on the whole screen.

use super::{Failure, Who};
use clap::Args;

/// What `belfry chat` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The rooms to be in; the hub's lobby when there is none
    #[arg(value_name = "ROOM")]
    rooms: Vec<String>,
}

/// Runs until it is told to quit.
pub(super) fn chat(_who: &Who, options: &Options) -> Result<(), Failure> {
    Err(Failure::Failed(format!("not yet: {:?}", options.rooms)))
}
