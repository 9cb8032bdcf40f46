//! What must hold whatever comes, for each place where something comes from outside.
//!
//! A target is a function of bytes that panics when it does not hold; it uses what the library gives to everybody. Each
//! is run in two ways: by libFuzzer, which looks for bytes that reach where none has been (`fuzz_targets/`, `make fuzz`),
//! and by `cargo test` over the seeds, what was found before, and a thousand variations of both (`tests/fuzz.rs`).
//!
//! Where an input is more than one piece of text it is a little program, one step a line, so that seeds can be read and
//! a part that is cut out leaves a program behind: see `script`.

mod access;
mod announcement;
mod client;
mod config;
mod control;
mod echo;
mod format;
mod frames;
mod hosts;
mod hub;
mod kept;
mod lists;
mod netlink;
mod ntp;
mod referee;
mod script;
mod state;
mod time;
pub mod vectors;
mod zones;

pub use access::access;
pub use announcement::announcement;
pub use client::client;
pub use config::config;
pub use control::control;
pub use echo::echo;
pub use format::format;
pub use frames::frames;
pub use hosts::hosts;
pub use hub::{chat, sessions};
pub use kept::kept;
pub use lists::lists;
pub use netlink::netlink;
pub use ntp::ntp;
pub use state::{head, history};
pub use time::time;
pub use zones::zones;

/// Whether a text can be shown on a terminal as it is, over several lines.
fn is_clean(text: &str) -> bool {
    !text.chars().any(belfry::core::text::is_control)
}
