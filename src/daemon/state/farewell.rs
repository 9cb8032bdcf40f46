//! What a daemon that ends in good order leaves in the state directory, for one that comes without what systemd held:
//! after a stop, a boot, or a start that failed in between.
//!
//! It is the hub, as in memory. Rooms and topics are good for ever; members for [`MEMBERS_AGE_MAX`], because after that the
//! address may be somebody else's, who has asked for nothing. It is read once: whoever is killed leaves nothing of his own,
//! and must not be followed by what another has left.

use super::file::regular_len;
use jiff::Timestamp;
use nix::libc;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The file in the state directory.
const FILE: &str = "hub.jsonl";

/// What is written before it takes the place of [`FILE`].
const NEW: &str = ".hub.new";

/// How long members are expected back: the default `silent-timeout`.
const MEMBERS_AGE_MAX: Duration = Duration::from_secs(600);

/// The largest that is read: a hundred thousand members, each with the longest texts.
const LEN_MAX: u64 = 64 * 1024 * 1024;

/// How a line about a member begins.
const MEMBER: &[u8] = b"{\"member\":";

/// Leaves a snapshot.
pub(super) fn leave(directory: &Path, snapshot: &[u8]) -> io::Result<()> {
    let new = directory.join(NEW);
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let written = open.open(&new).and_then(|mut file| {
        regular_len(&file)?;
        file.write_all(snapshot)
    });
    written.and_then(|()| std::fs::rename(&new, directory.join(FILE))).inspect_err(|_| {
        // It may be what fills the disk.
        let _ = std::fs::remove_file(&new);
    })
}

/// Takes what was left, of which nothing stays behind; `None` when there is nothing.
pub(super) fn take(directory: &Path, now: Timestamp) -> Option<Vec<u8>> {
    let path = directory.join(FILE);
    let snapshot = read(&path, now).ok();
    // What cannot be removed would be found again and again.
    std::fs::remove_file(&path).ok().and(snapshot)
}

fn read(path: &Path, now: Timestamp) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    regular_len(&file)?;
    let left = Timestamp::try_from(file.metadata()?.modified()?).unwrap_or_default();
    let mut snapshot = Vec::new();
    file.take(LEN_MAX).read_to_end(&mut snapshot)?;
    let age = Duration::try_from(now.duration_since(left));
    if age.is_ok_and(|age| age < MEMBERS_AGE_MAX) {
        return Ok(snapshot);
    }
    let others = snapshot.split_inclusive(|&byte| byte == b'\n').filter(|line| !line.starts_with(MEMBER));
    Ok(others.flatten().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::path::PathBuf;

    const SNAPSHOT: &[u8] = b"{\"hub\":{}}\n{\"room\":{\"name\":\"lab\"}}\n{\"member\":{\"name\":\"anna\"}}\n";

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("belfry-farewell-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn what_is_left_is_taken_once() {
        let (folder, now) = (folder("once"), Clock::new().now().wall);
        assert_eq!(take(&folder, now), None);
        leave(&folder, b"an older one").unwrap();
        leave(&folder, SNAPSHOT).unwrap();
        assert_eq!(take(&folder, now + Duration::from_secs(599)).as_deref(), Some(SNAPSHOT));
        assert_eq!(take(&folder, now), None);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing stays behind");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn members_who_were_left_too_long_ago_or_in_the_future_are_not_expected_and_rooms_are() {
        let (folder, now) = (folder("age"), Clock::new().now().wall);
        for when in [now + Duration::from_secs(601), now - Duration::from_secs(60)] {
            leave(&folder, SNAPSHOT).unwrap();
            assert_eq!(take(&folder, when).unwrap(), b"{\"hub\":{}}\n{\"room\":{\"name\":\"lab\"}}\n");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_file_is_not_read_and_not_waited_for() {
        let (folder, now) = (folder("odd"), Clock::new().now().wall);
        std::os::unix::fs::symlink("/dev/zero", folder.join(FILE)).unwrap();
        assert_eq!(take(&folder, now), None);
        nix::unistd::mkfifo(&folder.join(FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(take(&folder, now), None);
        std::fs::create_dir(folder.join(FILE)).unwrap();
        assert_eq!(take(&folder, now), None);
        assert!(leave(&folder, SNAPSHOT).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
