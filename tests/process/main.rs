//! The real `belfryd`: what it serves, how it starts, reloads and ends, and what simple clients see of it.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test waits by the clock, fails by panics, and says why it skips"
)]

mod access;
mod afar;
mod announcing;
mod belfryd;
mod chat;
mod clocks;
mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod control;
mod doctor;
mod echo;
mod examples;
mod flooded_link;
mod flooding;
mod hall;
mod listing;
mod loops;
mod netns;
#[path = "../common/page.rs"]
mod page;
mod person;
mod pressure;
mod readme;
mod reloading;
mod serving;
mod sessions;
mod simple_clients;
mod state;
mod talking;
#[path = "../common/terminal.rs"]
mod terminal;
