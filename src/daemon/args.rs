//! The command line of `belfryd`.

use clap::Parser;
use std::path::PathBuf;

/// The time in any format, a room to talk in and a way to find both, over UDP.
///
/// Without --config it reads /etc/belfry/belfry.toml, and goes by the built-in defaults when there is none.
/// SIGHUP has it read its configuration again; SIGTERM and SIGINT end it in good order.
///
/// Exit status: 0 ended by a signal, 1 something is missing or in use, 64 bad usage, 78 bad configuration.
#[derive(Debug, Parser)]
#[command(name = "belfryd", version)]
pub struct Args {
    /// Read this configuration, which must be there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Open no socket but those that the service manager passes, as in the packages' unit
    #[arg(long, conflicts_with = "control")]
    pub activated: bool,
    /// Listen here for those who run the daemon: belfry ctl --socket PATH
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Keep the histories of the rooms in this directory, not the first of $STATE_DIRECTORY. With neither they are in memory
    #[arg(long, value_name = "DIR")]
    pub state_directory: Option<PathBuf>,
    /// Check the configuration, say what is wrong with it, and start nothing
    #[arg(long)]
    pub check: bool,
    /// Print the whole configuration as it is in force, defaults included, and start nothing
    #[arg(long, conflicts_with = "check")]
    pub print_config: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
