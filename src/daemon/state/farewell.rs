//! What a daemon that ends in good order leaves in the state directory, for one that comes without what systemd held:
//! after a stop, a boot, or a start that failed in between.
//!
//! It is the hub, as in memory. Rooms and topics are good for ever; members only for `silent-timeout`, as long as anybody
//! is a member who is not heard, because after that the address may be somebody else's, who has asked for nothing. Once
//! a hub has it, and memory if it can, it is removed: whoever is killed leaves nothing of his own, and must not be followed by what another left.

use super::SNAPSHOT_MAX;
use super::file::{open_regular, replace_file};
use jiff::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

/// The file in the state directory.
const FILE: &str = "hub.jsonl";

/// What is written before it takes the place of [`FILE`].
const NEW: &str = ".hub.new";

/// How lines about somebody begin.
const OF_SOMEBODY: [&[u8]; 2] = [b"{\"member\":", b"{\"session\":"];

/// Leaves the snapshot that `write` writes.
pub(super) fn leave(directory: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    replace_file(&directory.join(FILE), NEW, 0o600, write)
}

/// What was left, and when; `None` when nothing was, or nothing that can be read.
pub(super) fn read(directory: &Path) -> Option<(Vec<u8>, Timestamp)> {
    let (file, len) = open_regular(OpenOptions::new().read(true), &directory.join(FILE)).ok()?;
    let since = Timestamp::try_from(file.metadata().ok()?.modified().ok()?).ok()?;
    let mut snapshot = Vec::new();
    file.take(Some(len).filter(|&len| len <= SNAPSHOT_MAX)?).read_to_end(&mut snapshot).ok()?;
    Some((snapshot, since))
}

/// Has nothing stay behind; whether nothing does.
pub(super) fn remove(directory: &Path) -> bool {
    match std::fs::remove_file(directory.join(FILE)) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(()) => true,
    }
}

/// The lines of a snapshot that are about nobody.
pub(super) fn without_members(snapshot: &[u8]) -> Vec<u8> {
    let is_of_somebody = |line: &&[u8]| OF_SOMEBODY.iter().any(|begin| line.starts_with(begin));
    let others = snapshot.split_inclusive(|&byte| byte == b'\n').filter(|line| !is_of_somebody(line));
    others.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::io::Write as _;
    use std::path::PathBuf;

    const SNAPSHOT: &[u8] =
        b"{\"hub\":{}}\n{\"room\":{\"name\":\"lab\"}}\n{\"session\":{}}\n{\"member\":{\"name\":\"anna\"}}\n";

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("belfry-farewell-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn the_last_that_was_left_is_read_until_it_is_removed() {
        let folder = folder("read");
        assert_eq!(read(&folder), None);
        leave(&folder, |file| file.write_all(b"an older one")).unwrap();
        leave(&folder, |file| file.write_all(SNAPSHOT)).unwrap();
        let now = Clock::new().now().wall;
        for _ in 0..2 {
            let (snapshot, since) = read(&folder).unwrap();
            assert_eq!(snapshot, SNAPSHOT);
            assert!(now.duration_since(since).abs().as_secs() < 60);
        }
        remove(&folder);
        assert_eq!(read(&folder), None);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing stays behind");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn rooms_are_left_without_their_members() {
        assert_eq!(without_members(SNAPSHOT), b"{\"hub\":{}}\n{\"room\":{\"name\":\"lab\"}}\n");
        assert_eq!(without_members(b"{\"member\":{"), b"", "torn");
    }

    #[test]
    fn what_is_no_file_is_not_read_and_not_waited_for() {
        let folder = folder("odd");
        std::os::unix::fs::symlink("/dev/zero", folder.join(FILE)).unwrap();
        assert_eq!(read(&folder), None);
        remove(&folder);
        nix::unistd::mkfifo(&folder.join(FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&folder), None);
        remove(&folder);
        std::fs::create_dir(folder.join(FILE)).unwrap();
        assert_eq!(read(&folder), None);
        assert!(leave(&folder, |file| file.write_all(SNAPSHOT)).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
