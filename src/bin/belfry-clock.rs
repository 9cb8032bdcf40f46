//! `belfry-clock`: tells belfryd the state of the clock, which its sandbox does not let it see.

use std::process::ExitCode;

fn main() -> ExitCode {
    belfry::daemon::clock_helper::main()
}
