//! The daemon: every system call.

pub mod logging;
pub mod signals;
pub mod supervisor;
