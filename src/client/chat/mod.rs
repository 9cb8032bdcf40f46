//! `belfry chat`: rooms to talk in, on the whole screen or line by line.
//!
//! | file | what it is about |
//! |---|---|
//! | `model.rs` | the state; `hearing.rs` what the hub tells, `saying.rs` what we say, `keys.rs` and `command.rs` what is typed, `reading.rs` back and forth |
//! | `room.rs`, `entry.rs`, `field.rs` | a room, what stands in it, and what is being typed |
//! | `layout.rs`, `view/`, `theme.rs` | rows, the screen, what it looks like |
//! | `screen.rs`, `terminal.rs` | the terminal: keys in, the screen out, and everything as it was in the end |
//! | `plain.rs` | the same line by line |
//! | `driver.rs`, `presence.rs` | the session and the lists behind both |
//!
//! Only the last three rows make system calls.

mod command;
mod entry;
mod field;
mod hearing;
mod keys;
mod layout;
mod model;
mod reading;
mod room;
mod saying;
mod theme;
mod view;

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
