//! Belfry gives a network the time in any format, a room to talk in and a way to find both.
//!
//! The library is in two halves that do not mix.
//!
//! | half | modules | rule |
//! |---|---|---|
//! | pure | [`core`], [`services`], [`config`], [`control`], [`client::session`] | bytes and two clock readings go in, datagrams come out: no socket, no clock, no file, no randomness but a seed |
//! | impure | [`daemon`], [`generator`], [`client`], [`clock`] | every system call; drives the pure half by turns |
//!
//! A turn of the daemon: poll, read the clocks once, mark what is ready, signals, timers, each ready socket once
//! with a budget, flush the outboxes. The contract between the halves is small:
//!
//! * A [`Service`](services::Service) is handed a [`Datagram`](core::Datagram), [`Now`](core::Now) and an
//!   [`Outbox`](core::Outbox); it returns one [`Verdict`](core::Verdict), which becomes one counter.
//! * What a stranger can cause is a counter, never an `Err`, never a panic, and no log line for each packet unless
//!   `log-messages` asks for it.
//! * The same seed and the same inputs give the same outputs, so a simulated network replays a fault exactly.
//!
//! `docs/ARCHITECTURE.md` names the invariants and the test that checks each.

pub mod client;
pub mod clock;
pub mod config;
pub mod control;
pub mod core;
pub mod daemon;
pub mod generator;
pub mod services;
mod unix;

/// Exit statuses that say why (sysexits.h).
mod exit {
    /// The command line cannot be used.
    pub(crate) const USAGE: u8 = 64;
    /// The configuration cannot be used.
    pub(crate) const CONFIG: u8 = 78;
}
