//! The daemon: every system call.

pub mod zoneinfo;
