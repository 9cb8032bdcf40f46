//! A control group for each machine.
//!
//! systemd in a container manages the control group that it is started in. Two machines that are started from the same
//! one would stop each other's services.

use std::fs;
use std::path::{Path, PathBuf};

/// A control group below that of this process, in each hierarchy that systemd uses.
pub(crate) struct Cgroup(Vec<PathBuf>);

impl Cgroup {
    /// Makes it, unless it is there.
    pub(crate) fn new(name: &str) -> Self {
        let folders: Vec<_> = own_folders().into_iter().map(|own| own.join(name)).collect();
        for folder in &folders {
            fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        }
        Self(folders)
    }

    /// A line of shell that moves the shell there.
    pub(crate) fn enter_script(&self) -> String {
        self.0.iter().map(|folder| format!("echo 0 > '{}/cgroup.procs'\n", folder.display())).collect()
    }
}

impl Drop for Cgroup {
    /// Removes it with what the machine has made in it. The processes are gone by then.
    fn drop(&mut self) {
        self.0.iter().for_each(|folder| remove(folder));
    }
}

fn remove(folder: &Path) {
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).for_each(|entry| remove(&entry.path()));
    let _ = fs::remove_dir(folder);
}

/// Where this process is: in the one hierarchy of version 2, or beside it in version 1's of the name `systemd`.
fn own_folders() -> Vec<PathBuf> {
    let mounted = Path::new("/sys/fs/cgroup");
    let text = fs::read_to_string("/proc/self/cgroup").expect("Linux has it");
    let mut folders = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(kind), Some(path)) = (fields.next(), fields.next()) else { continue };
        let top = match kind {
            "" if mounted.join("cgroup.procs").exists() => mounted.to_owned(),
            "" => mounted.join("unified"),
            "name=systemd" => mounted.join("systemd"),
            _ => continue,
        };
        if top.exists() {
            folders.push(top.join(path.trim_start_matches('/')));
        }
    }
    assert!(!folders.is_empty(), "no control groups that systemd could use are mounted");
    folders
}
