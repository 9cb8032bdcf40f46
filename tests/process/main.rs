//! The real `belfryd`: what it serves, how it starts, reloads and ends, and what simple clients see of it.
#![expect(clippy::disallowed_methods, reason = "tests wait for other processes, by the clock")]

mod announcing;
mod belfryd;
mod command_line;
mod loops;
mod netns;
mod pressure;
mod reloading;
mod serving;
mod simple_clients;
