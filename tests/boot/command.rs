//! Commands of this host: run them and hold what they said, or say which are missing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Nothing waits so long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the tests call, by the package that has it.
const TOOLS: [(&str, &str); 8] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
    ("dpkg-buildpackage", "dpkg-dev"),
    ("dh", "debhelper"),
];

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Whether machines can be booted here; `false`, with a word why, when not.
pub(crate) fn can_boot() -> bool {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return false;
    }
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let is_missing = |tool: &str| !folders.iter().any(|folder| folder.join(tool).is_file());
    if let Some((tool, package)) = TOOLS.iter().find(|(tool, _)| is_missing(tool)) {
        println!("skipped: needs {tool} (package {package})");
        return false;
    }
    true
}

/// Runs a command to its end, with nothing to read.
pub(crate) fn run(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { status: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command that must succeed, and has what it wrote to its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let said = run(command);
    assert_eq!(said.status, 0, "{command:?}:\n{}{}", said.stdout, said.stderr);
    said.stdout
}

/// Whether something comes true while we are patient.
pub(crate) fn eventually(mut is_true: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if is_true() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
