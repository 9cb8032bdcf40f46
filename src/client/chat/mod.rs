//! `belfry chat`: rooms to talk in, on the whole screen or line by line.
//!
//! | file | what it is about |
//! |---|---|
//! | `model.rs`, `happening.rs` | the state, and what goes into it and comes out; `hearing.rs` what the hub tells, `saying.rs` what we say, `keys.rs` and `command.rs` what is typed, `reading.rs` back and forth |
//! | `room.rs`, `entry.rs`, `field.rs` | a room, what stands in it, and what is being typed |
//! | `layout.rs`, `view/`, `theme.rs` | rows, the screen, what it looks like |
//! | `survey.rs` | when it is asked who is there |
//! | `driver.rs`, `presence.rs` | the session and the lists behind it |
//! | `screen.rs`, `terminal.rs` | the terminal: keys in, the screen out, and everything as it was in the end |
//! | `plain.rs` | the same line by line |
//!
//! Only the last three rows make system calls.

mod command;
mod driver;
mod entry;
mod field;
mod happening;
mod hearing;
mod keys;
mod layout;
mod model;
mod plain;
mod presence;
mod reading;
mod room;
mod saying;
mod screen;
mod survey;
mod terminal;
mod theme;
mod view;

#[cfg(test)]
mod tests;

use super::print::local_zone;
use super::session::{self, Wanted};
use super::talker::Talker;
use super::{Failure, LOBBY, Who};
use crate::core::text::plural;
use crate::daemon::seed;
use clap::Args;
use driver::Driver;
use model::{Connection, Model, Settings};
use std::io::IsTerminal;
use theme::Theme;

/// Earlier messages of a room that are shown when we join it: some screens of them.
const EARLIER: u64 = 200;

/// What `belfry chat` can be told.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  belfry chat\n  belfry chat lobby lab --name anna\n  belfry chat --plain")]
pub(super) struct Options {
    /// The rooms to join [default: the lobby]
    #[arg(value_name = "ROOM")]
    rooms: Vec<String>,
    /// Print and read line by line, for screen readers and simple terminals; the default without a terminal, or when TERM is "dumb"
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    talker: Talker,
    /// Do not ring the bell on mentions
    #[arg(long)]
    no_bell: bool,
}

/// Runs until it is told to quit.
pub(super) fn chat(who: &Who, options: &Options) -> Result<(), Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let is_plain = options.plain
        || !stdin.is_terminal()
        || !stdout.is_terminal()
        || variable("TERM").is_none_or(|term| term == "dumb");
    let rooms = if options.rooms.is_empty() { vec![LOBBY.to_owned()] } else { options.rooms.clone() };
    let wanted = session::Options {
        name: options.talker.name()?,
        rooms: rooms.iter().map(|room| Wanted { room: room.clone(), from: None }).collect(),
        back: EARLIER,
        ..session::Options::default()
    };
    let seed = seed().map_err(Failure::to("read /dev/urandom"))?;
    let model = |server, now| {
        let settings = Settings {
            server,
            zone: local_zone(),
            theme: Theme { is_coloured: variable("NO_COLOR").is_none() },
            has_bell: !options.no_bell,
            is_plain,
        };
        Model::new(settings, &rooms, seed, now)
    };
    let mut driver = Driver::begin(who, &wanted, model)?;
    let done = match is_plain {
        true => plain::run(&mut driver, stdin.is_terminal(), &stdout),
        false => screen::run(&mut driver),
    };
    let over = match &driver.model.connection {
        Connection::Over { why } => Err(Failure::Refused(why.clone())),
        _ => Ok(()),
    };
    let unsaid_count = driver.leave();
    done.and(over)?;
    match unsaid_count {
        // Whoever has typed it has seen what became of it.
        0 => Ok(()),
        _ if stdin.is_terminal() => Ok(()),
        count => Err(Failure::Failed(format!("{} not delivered, or delivery unknown", plural(count, "message")))),
    }
}
