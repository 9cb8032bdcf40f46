//! The packages on whole machines: Debian 12 and 13 with the systemd of each, booted in containers that have a network
//! of their own.
//!
//! It takes root and a few tools; without, each test says that it is skipped, and why. The first run builds the two
//! systems from the package archive that this host uses, and keeps them.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test waits by the clock, fails by panics, and says why it skips"
)]

mod account;
mod base;
mod belfryd;
mod cgroup;
mod client;
mod clocks;
mod command;
#[path = "../common/mod.rs"]
mod common;
mod configuration;
mod installed;
mod journal;
mod load;
mod machine;
mod network;
mod operator;
mod packages;
#[path = "../common/page.rs"]
mod page;
mod policy;
mod ports;
mod readme;
mod restarts;
mod root;
mod state;
mod under_load;
