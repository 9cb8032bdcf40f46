//! The root file system of a machine: a layer of its own over the base of its suite, or a copy where layers cannot be had.
//!
//! The layer is mounted only where the machine lives, so that it goes with the machine, however that ends.

use crate::base::{Suite, base, cache, lock, remove_folder};
use crate::cgroup::Cgroup;
use crate::command::{run, succeed};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The root file system of one machine. It goes when this is dropped.
pub(crate) struct Root {
    base: PathBuf,
    /// `changes` and `work` of a layer, or neither with a copy; `root`, where the machine sees it; `console`.
    folder: PathBuf,
    /// Held as long as the folder is in use.
    _lock: Flock<File>,
}

impl Root {
    /// A root that nothing was done to yet.
    pub(crate) fn fresh(suite: Suite) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let base = base(suite);
        let machines = cache().join("machines");
        fs::create_dir_all(&machines).unwrap();
        remove_leftovers(&machines);
        let name = format!("belfry-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = machines.join(name);
        // The lock is taken before there is anything that somebody could take for a leftover.
        let lock = lock(&folder.with_extension("lock"), FlockArg::LockExclusive).expect("nobody else has our name");
        fs::create_dir_all(folder.join("root")).unwrap();
        let root = Self { base, folder, _lock: lock };
        if has_layers(&root.folder) {
            fs::create_dir_all(root.folder.join("changes")).unwrap();
        } else {
            let to = root.folder.join("root");
            succeed(Command::new("cp").args(["-a", "--reflink=auto", "--no-target-directory"]).args([&root.base, &to]));
        }
        root
    }

    /// A name that no other root has at the same time.
    pub(crate) fn name(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).expect("we have made it of ASCII")
    }

    /// Where the machine will see it.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Where the machine's console is written to.
    pub(crate) fn console(&self) -> PathBuf {
        self.folder.join("console")
    }

    /// Where a file that was written there lies while no machine runs on it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let changes = self.folder.join("changes");
        let top = if changes.exists() { changes } else { self.mount_point() };
        top.join(path.trim_start_matches('/'))
    }

    /// The lines of shell that put it in place, in the machine's own mount namespace.
    pub(crate) fn mount_script(&self) -> String {
        if !self.folder.join("changes").exists() {
            return String::new();
        }
        let (base, folder) = (self.base.display(), self.folder.display());
        // Volatile: nobody needs it after a crash of this host. The mark that says so is in the way of the next boot.
        format!(
            "rm -rf '{folder}/work'; mkdir '{folder}/work'
             mount -t overlay overlay -o 'volatile,lowerdir={base},upperdir={folder}/changes,workdir={folder}/work' \
             '{folder}/root'\n"
        )
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        remove_folder(&self.folder);
        let _ = fs::remove_file(self.folder.with_extension("lock"));
    }
}

/// Waits until this one may run: two machines at once keep two processors busy.
pub(crate) fn take_turn() -> Flock<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let turn = cache().join(format!("turn-{}.lock", NEXT.fetch_add(1, Ordering::Relaxed) % 2));
    fs::create_dir_all(cache()).unwrap();
    lock(&turn, FlockArg::LockExclusive).expect("it waits")
}

/// Whether one file system can be laid over another there: not where the folder itself is such a layer.
fn has_layers(folder: &Path) -> bool {
    let test = folder.join("test");
    for name in ["base", "changes", "work"] {
        fs::create_dir_all(test.join(name)).unwrap();
    }
    let mount = "mount -t overlay overlay -o volatile,lowerdir=base,upperdir=changes,workdir=work base";
    let said = run(Command::new("unshare").args(["--mount", "sh", "-c", mount]).current_dir(&test));
    remove_folder(&test);
    said.status == 0
}

/// What tests that were killed have left. Their machines have gone with them, their folders and control groups have not.
fn remove_leftovers(machines: &Path) {
    for entry in fs::read_dir(machines).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let file = entry.path().with_extension("lock");
        if let Some(_lock) = lock(&file, FlockArg::LockExclusiveNonblock) {
            drop(entry.file_name().to_str().map(Cgroup::new));
            remove_folder(&entry.path());
            let _ = fs::remove_file(file);
        }
    }
}
