//! The daemon: every system call.

pub mod config_file;
