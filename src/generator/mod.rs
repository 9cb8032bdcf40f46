//! `belfry-generator`: tells systemd which sockets to make, from the same configuration that the daemon reads
//! (systemd.generator(7)).
//!
//! It runs at boot and at each `systemctl daemon-reload`, when there may be no network, no log and no writable disk, so it
//! reads the configuration, writes a handful of small files where it is told, and ends.
//!
//! A daemon that has started has it write the same units to `/run/belfry/units` once more. When the configuration cannot be
//! used, those stay in force: systemd closes the sockets of units that are no longer there. At boot there are none, and
//! the daemon is started without sockets and says what is wrong with the configuration where people look for it.

mod units;

use crate::config::LogTarget;
use crate::daemon::{config_file, logging};
use crate::exit;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use units::Unit;

/// The units of the last configuration that a daemon was started with, until the next boot.
const LAST_GOOD: &str = "/run/belfry/units";

/// Where the kernel takes lines for its log, before there is a journal.
const KERNEL_LOG: &str = "/dev/kmsg";

/// Everything that `belfry-generator` does: `belfry-generator NORMAL [EARLY LATE]`, as systemd calls it.
///
/// `$BELFRY_CONFIG` names another configuration, for trying it out.
pub fn main() -> ExitCode {
    // Where there is neither journal nor standard error nobody can be told.
    let _ = logging::install(LogTarget::Journal, log::LevelFilter::Warn);
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        complain("usage: belfry-generator DIRECTORY [DIRECTORY DIRECTORY]");
        return ExitCode::from(exit::USAGE);
    };
    let named = std::env::var_os("BELFRY_CONFIG");
    let reason = match generate(named, &folder) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Trouble::Config(error)) => error.line(),
        Err(Trouble::Units(fault)) => fault,
        Err(Trouble::Write(path, error)) => {
            complain(&format!("cannot write {}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    };
    complain(&reason);
    let last_good = Path::new(LAST_GOOD);
    if folder != last_good {
        complain(match keep(last_good, &folder) {
            true => "the sockets of the last good configuration stay",
            false => "there are no sockets",
        });
    }
    ExitCode::from(exit::CONFIG)
}

/// Why there are no units.
enum Trouble {
    Config(config_file::LoadError),
    /// The configuration is good, for a daemon that makes its sockets itself.
    Units(String),
    Write(PathBuf, io::Error),
}

fn generate(named: Option<OsString>, folder: &Path) -> Result<(), Trouble> {
    let found = config_file::find(named.as_deref().map(Path::new)).map_err(Trouble::Config)?;
    if let Some(fault) = units::fault(&found.config) {
        return Err(Trouble::Units(fault));
    }
    let units = units::units(&found.config, found.origin.files.first().map(PathBuf::as_path));
    units.iter().try_for_each(|unit| write(folder, unit))
}

/// Writes the units that are kept in one folder to another; whether there were any.
fn keep(kept: &Path, folder: &Path) -> bool {
    let paths = units::paths();
    let found =
        paths.into_iter().filter_map(|path| Some(Unit { text: fs::read_to_string(kept.join(&path)).ok()?, path }));
    let found: Vec<_> = found.collect();
    !found.is_empty() && found.iter().all(|unit| write(folder, unit).is_ok())
}

fn write(folder: &Path, unit: &Unit) -> Result<(), Trouble> {
    let path = folder.join(&unit.path);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &unit.text));
    written.map_err(|error| Trouble::Write(path, error))
}

/// Says it in the journal; before there is one, on standard error and in the kernel's log, which the journal takes in later.
fn complain(line: &str) {
    log::error!("belfry-generator: {line}");
    if !Path::new(logging::JOURNAL).exists()
        && let Ok(mut kernel_log) = fs::OpenOptions::new().write(true).open(KERNEL_LOG)
    {
        // One write is one record; 3 is "error" (RFC 5424 §6.2.1).
        let _ = kernel_log.write_all(format!("<3>belfry-generator: {line}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn units_that_were_kept_are_written_again_and_no_others() {
        let [kept, folder] = ["kept", "folder"].map(|name| {
            let path = std::env::temp_dir().join(format!("belfry-generator-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            path
        });
        assert!(!keep(&kept, &folder), "there is nothing yet");
        let units = units::units(&Config::default(), None);
        units.iter().for_each(|unit| assert!(write(&kept, unit).is_ok()));
        fs::write(kept.join("other.service"), "").unwrap();
        assert!(keep(&kept, &folder));
        for unit in &units {
            assert_eq!(fs::read_to_string(folder.join(&unit.path)).unwrap(), unit.text);
        }
        assert!(!folder.join("other.service").exists());
        [kept, folder].iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }
}
