//! `belfry`: ask a Belfry server for the time, talk in its room, find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    belfry::client::main()
}
