//! The programs that are measured: each a process on the server's core, which ends with its handle.

use crate::place::{self, Cores};
use crate::rounds::run_time;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a program may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tenths of a second without any work after which a program is at rest.
const CALM: u32 = 15;

/// A program that runs.
pub(crate) struct Process {
    child: Child,
    /// What it reads and writes.
    folder: PathBuf,
}

impl Process {
    /// Starts a program on the server's core; what it says goes to a file in its folder.
    pub(crate) fn start(cores: Cores, folder: PathBuf, command: &mut Command) -> io::Result<Self> {
        let said = fs::File::create(folder.join("said"))?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        place::pin(cores.server)?;
        let child = command.spawn();
        place::pin(cores.load)?;
        Ok(Self { child: child?, folder })
    }

    /// Waits until something comes of it; an error with what the program has said if nothing does.
    pub(crate) fn wait_until(&mut self, mut is_there: impl FnMut() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if is_there() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("it has ended with {status}: {}", self.said())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::other(format!("it does not serve: {}", self.said())))
    }

    /// The last lines that it has said.
    fn said(&self) -> String {
        let said = fs::read_to_string(self.folder.join("said")).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }

    /// Waits until it does nothing any more.
    pub(crate) fn wait_until_calm(&self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut calm = 0;
        while calm < CALM && Instant::now() < deadline {
            let before = run_time(self.pid());
            std::thread::sleep(Duration::from_millis(100));
            calm = if run_time(self.pid()) > before + 0.001 { 0 } else { calm + 1 };
        }
        if calm < CALM { Err(io::Error::other("it does not come to rest")) } else { Ok(()) }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(self.pid(), signal)?)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A number of `/proc/PID/status`: `VmRSS`, in KiB, or `voluntary_ctxt_switches`.
    pub(crate) fn status(&self, key: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("/proc has no {key}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder that nothing else has.
pub(crate) fn new_folder() -> io::Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    // The path of a unix socket is short.
    let folder = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
