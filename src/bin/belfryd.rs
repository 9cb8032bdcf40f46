//! `belfryd`: the time, a room and announcements, from one event loop.

use std::process::ExitCode;

fn main() -> ExitCode {
    belfry::daemon::main()
}
