//! The daemon: every system call.
