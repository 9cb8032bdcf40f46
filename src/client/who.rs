//! `belfry who` and `belfry rooms`: who is there, and where.

use super::{Failure, Who};
use clap::Args;
use std::io::Write;

/// What `belfry who` can be told.
#[derive(Debug, Args)]
pub(super) struct MembersOptions {
    /// The room; the hub's lobby when there is none
    room: Option<String>,
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
}

/// What `belfry rooms` can be told.
#[derive(Debug, Args)]
pub(super) struct RoomsOptions {
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
}

/// Lists the members of a room.
pub(super) fn who(_who: &Who, options: &MembersOptions, _out: &mut impl Write) -> Result<(), Failure> {
    Err(Failure::Failed(format!("not yet: {:?} {}", options.room, options.json)))
}

/// Lists the rooms.
pub(super) fn rooms(_who: &Who, options: &RoomsOptions, _out: &mut impl Write) -> Result<(), Failure> {
    Err(Failure::Failed(format!("not yet: {}", options.json)))
}
