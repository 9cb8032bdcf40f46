//! The packages under test: what `make deb` leaves, made anew when a source is newer.

use crate::base::lock;
use crate::command::succeed;
use nix::fcntl::FlockArg;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

pub(crate) const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

/// What the packages are made of.
const SOURCES: [&str; 8] = ["src", "etc", "docs", "packaging", "README.md", "Cargo.toml", "Cargo.lock", "Makefile"];

/// Installs the packages in `/srv/packages` with a higher version, as the next release would be to dpkg.
pub(crate) const UPGRADE: &str = r#"set -e
cd /srv/packages
for package in *.deb; do
    dpkg-deb --raw-extract $package tree
    sed -i -E '/^Version:/s/$/+upgrade/; s/(belfryd? \(= [^)]*)/\1+upgrade/g' tree/DEBIAN/control
    dpkg-deb --root-owner-group --build tree $package
    rm -r tree
done
apt-get install --yes ./*.deb
"#;

/// The files of both packages, the daemon's first.
pub(crate) fn packages() -> &'static [PathBuf; 2] {
    static MADE: OnceLock<[PathBuf; 2]> = OnceLock::new();
    MADE.get_or_init(|| {
        // Where `make deb` leaves them, or whoever has built them elsewhere.
        let elsewhere = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let targets = [Some(Path::new(CHECKOUT).join("target")), elsewhere];
        let folders: Vec<_> = targets.into_iter().flatten().map(|target| target.join("deb")).collect();
        fs::create_dir_all(&folders[0]).unwrap();
        let _lock = lock(&folders[0].with_extension("lock"), FlockArg::LockExclusive).expect("it waits");
        let made = || ["belfryd_", "belfry_"].map(|prefix| newest(&folders, prefix));
        let sources = SOURCES.iter().filter_map(|source| modified(&Path::new(CHECKOUT).join(source))).max();
        let is_current = |package: &Option<PathBuf>| package.as_deref().and_then(modified) > sources;
        if !made().iter().all(is_current) {
            succeed(Command::new("make").arg("deb").current_dir(CHECKOUT));
        }
        made().map(|package| package.expect("make deb leaves both packages in target/deb"))
    })
}

/// The package that was made last, of those whose file names begin like this.
fn newest(folders: &[PathBuf], prefix: &str) -> Option<PathBuf> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let files = entries.map(|entry| entry.path());
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(prefix) && name.ends_with(".deb")
    };
    files.filter(is_wanted).max_by_key(|path| modified(path))
}

/// When a file, or the newest below a folder, was changed last.
fn modified(path: &Path) -> Option<SystemTime> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_dir() {
        return metadata.modified().ok();
    }
    fs::read_dir(path).ok()?.flatten().filter_map(|entry| modified(&entry.path())).max()
}
