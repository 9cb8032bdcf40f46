//! `belfry-generator`: tells systemd which sockets to make, from the same configuration that the daemon reads
//! (systemd.generator(7)).
//!
//! It runs at boot and at each `systemctl daemon-reload`, when there may be no network, no log and no writable disk, so it
//! reads the configuration, writes a handful of small files where it is told, and ends. A configuration that cannot be
//! used makes no units at all: the daemon is started without them, and says what is wrong where people look for it.

mod units;

use crate::daemon::config_file;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use units::Unit;

/// The command line cannot be used, the configuration cannot be used (sysexits.h).
const EXIT_USAGE: u8 = 64;
const EXIT_CONFIG: u8 = 78;

/// Where the kernel takes lines for its log, before there is a journal.
const KERNEL_LOG: &str = "/dev/kmsg";

/// Everything that `belfry-generator` does: `belfry-generator NORMAL [EARLY LATE]`, as systemd calls it.
///
/// `$BELFRY_CONFIG` names another configuration, for trying it out.
pub fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        complain("usage: belfry-generator DIRECTORY [DIRECTORY DIRECTORY]");
        return ExitCode::from(EXIT_USAGE);
    };
    let named = std::env::var_os("BELFRY_CONFIG");
    let (status, trouble) = match generate(named, &folder) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Trouble::Config(error)) => (EXIT_CONFIG, error.to_string()),
        Err(Trouble::Write(path, error)) => (1, format!("cannot write {}: {error}", path.display())),
    };
    complain(&format!("Belfry gets no sockets: {trouble}"));
    ExitCode::from(status)
}

/// Why there are no units.
enum Trouble {
    Config(config_file::LoadError),
    Write(PathBuf, io::Error),
}

fn generate(named: Option<OsString>, folder: &Path) -> Result<(), Trouble> {
    let found = config_file::find(named.as_deref().map(Path::new)).map_err(Trouble::Config)?;
    let units = units::units(&found.config, found.origin.files.first().map(PathBuf::as_path));
    units.iter().try_for_each(|unit| write(folder, unit))
}

fn write(folder: &Path, unit: &Unit) -> Result<(), Trouble> {
    let path = folder.join(&unit.path);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &unit.text));
    written.map_err(|error| Trouble::Write(path, error))
}

/// Says it where it can be read: on standard error, which leads to the journal while systemd runs, and in the kernel's log,
/// which the journal takes in at boot.
fn complain(text: &str) {
    let mut kernel_log = fs::OpenOptions::new().write(true).open(KERNEL_LOG).ok();
    for line in text.lines() {
        let _ = writeln!(io::stderr(), "belfry-generator: {line}");
        // One write is one record; 3 is "error" (RFC 5424 §6.2.1).
        let _ = kernel_log.as_mut().map(|log| log.write_all(format!("<3>belfry-generator: {line}").as_bytes()));
    }
}
