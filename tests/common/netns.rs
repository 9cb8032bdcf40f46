//! A network of a test's own: a fresh network namespace for the thread that runs it, the threads and the processes that
//! it starts.
//!
//! In it the real ports are free, and nothing that is sent leaves it. Making one takes root; without, the test says
//! that it is skipped.

use nix::sched::{CloneFlags, unshare};
use std::process::Command;

/// Moves the calling thread to a new network namespace with loopback up; `false`, with a word why, when it may not.
pub(crate) fn enter() -> bool {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        println!("skipped: a network namespace cannot be made: {error}");
        return false;
    }
    ip("link set lo up");
    true
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
