//! `belfry-generator`: tells systemd which sockets belfryd wants.

use std::process::ExitCode;

fn main() -> ExitCode {
    belfry::generator::main()
}
