//! The histories in the state directory: a file for each room, a line for each message, appended before it leaves.
//!
//! The hub has in memory whatever a file should say. So a file that has grown to twice what it needs, or about which
//! there is any doubt, is written anew from there and put in the place of the old one by rename(2). When a file cannot
//! be written, its room goes on without, and it is written anew once a minute until that works.
//!
//! Nothing waits for the disk here. What the kernel has not written yet, half a minute's worth, a power cut may cost; a
//! kill costs nothing.

use crate::core::limits::{HISTORY_FILE_MAX, HISTORY_FILE_SLACK, HISTORY_FILES_MAX, ROOMS_MAX};
use crate::core::{Instant, Now};
use crate::daemon::error::errno_text;
use crate::daemon::logging::event;
use crate::services::chat::{Entry, Hub, News, file_name};
use jiff::Timestamp;
use log::{info, warn};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a file that cannot be written is left alone.
const RETRY: Duration = Duration::from_secs(60);

/// Where a file is written before it takes its place. Its name is no room's.
const NEW: &str = "new";

/// The folder of the files.
#[derive(Debug)]
pub(super) struct Histories {
    folder: PathBuf,
    /// What each file had when it was last written anew: all of it is needed.
    needed: BTreeMap<String, u64>,
    /// Files that do not say what they should, each with its room and when to write it anew.
    stale: BTreeMap<String, (String, Instant)>,
    /// The errors that have been told since all was well.
    told: BTreeSet<Option<i32>>,
}

/// What a turn brings for one file.
struct Batch {
    room: String,
    lines: Vec<u8>,
    /// Something was forgotten, so lines behind the others are not enough.
    anew: bool,
}

/// What was read of a file.
struct Past {
    room: String,
    lines: Vec<(Timestamp, String)>,
    /// Whether the file holds nothing else.
    is_clean: bool,
}

impl Histories {
    /// The folder `history` in a state directory, which may not be there yet.
    pub(super) fn new(directory: &Path) -> Self {
        let folder = directory.join("history");
        Self { folder, needed: BTreeMap::new(), stale: BTreeMap::new(), told: BTreeSet::new() }
    }

    // ---- writing ----

    /// Writes down what is new, and what could not be written before.
    pub(super) fn write(&mut self, now: Instant, hub: &Hub, news: &[News]) {
        let due = |(file, (room, retry)): (&String, &(String, Instant))| {
            (*retry <= now).then(|| (file.clone(), Batch { room: room.clone(), lines: Vec::new(), anew: true }))
        };
        let mut batches: BTreeMap<String, Batch> = self.stale.iter().filter_map(due).collect();
        for news in news {
            let (News::Said { room, .. } | News::Forgotten { room }) = news;
            let file = file_name(room);
            if self.stale.get(&file).is_some_and(|(_, retry)| *retry > now) {
                continue;
            }
            let new = || Batch { room: room.clone(), lines: Vec::new(), anew: false };
            match news {
                News::Said { kept: false, .. } => {}
                News::Said { when, line, .. } => {
                    let batch = batches.entry(file).or_insert_with(new);
                    Entry { room: room.into(), when: *when, line: (&**line).into() }.write_to(&mut batch.lines);
                }
                News::Forgotten { .. } => batches.entry(file).or_insert_with(new).anew = true,
            }
        }
        let mut recovered = false;
        for (file, batch) in batches {
            let written =
                if batch.anew { self.write_anew(hub, &file, &batch.room) } else { self.append(hub, &file, &batch) };
            match written {
                Ok(()) => recovered |= self.stale.remove(&file).is_some(),
                Err(error) => self.leave_alone(now, file, batch.room, &error),
            }
        }
        if recovered && self.stale.is_empty() {
            self.told.clear();
            info!(message_id = event::STATE_RECOVERED; "histories are written to {} again", self.folder.display());
        }
    }

    /// Where they are written, or that they are not.
    pub(super) fn words(&self) -> String {
        let folder = self.folder.display();
        if self.told.is_empty() { format!("histories in {folder}") } else { format!("{folder} cannot be written") }
    }

    /// When to try again to write what could not be written.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.stale.values().map(|&(_, retry)| retry).min()
    }

    /// There is no hub that would know what to write.
    pub(super) fn give_up(&mut self) {
        self.stale.clear();
        self.told.clear();
    }

    fn leave_alone(&mut self, now: Instant, file: String, room: String, error: &io::Error) {
        if self.told.insert(error.raw_os_error()) {
            let (path, reason) = (self.folder.join(&file), errno_text(error));
            warn!(message_id = event::STATE_DEGRADED; "cannot write {}: {reason}; history is in memory alone until that can be written", path.display());
        }
        self.stale.insert(file, (room, now + RETRY));
    }

    fn append(&mut self, hub: &Hub, file: &str, batch: &Batch) -> io::Result<()> {
        let mut open = OpenOptions::new();
        // A symbolic link could lead anywhere, and a pipe would have us wait for its reader.
        open.append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let opened = open.open(self.folder.join(file)).and_then(|opened| Ok((regular_len(&opened)?, opened)));
        let needed = self.needed.get(file).copied();
        match (opened, needed) {
            // One that is there and that nobody knows may end in half a line.
            (Ok((len, mut opened)), _)
                if (needed.is_some() || len == 0)
                    && len + batch.lines.len() as u64 <= 2 * needed.unwrap_or_default() + HISTORY_FILE_SLACK =>
            {
                self.needed.entry(file.to_owned()).or_default();
                opened.write_all(&batch.lines).inspect_err(|_| {
                    // Half a line would spoil the next one too. If not even that works, it is written anew anyway.
                    let _ = opened.set_len(len);
                })
            }
            // Whatever is in the way makes place, or it is what the warning is about.
            _ => self.write_anew(hub, file, &batch.room),
        }
    }

    /// Has a file say what the hub remembers; none is left where that is nothing.
    fn write_anew(&mut self, hub: &Hub, file: &str, room: &str) -> io::Result<()> {
        let path = self.folder.join(file);
        let Some(lines) = hub.history_of(room) else {
            self.needed.remove(file);
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let mut text = Vec::new();
        lines.for_each(|(when, line)| Entry { room: room.into(), when, line: line.into() }.write_to(&mut text));
        DirBuilder::new().recursive(true).mode(0o750).create(&self.folder)?;
        let new = self.folder.join(NEW);
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o640).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let written = open.open(&new).and_then(|mut opened| {
            regular_len(&opened)?;
            opened.write_all(&text)
        });
        written.and_then(|()| std::fs::rename(&new, path)).inspect_err(|_| {
            // It may be what fills the disk.
            let _ = std::fs::remove_file(&new);
        })?;
        self.needed.insert(file.to_owned(), text.len() as u64);
        Ok(())
    }

    // ---- reading ----

    /// Gives the hub what the files say, the rooms that were heard last if there are too many; the files of the others
    /// are removed. What is no file of ours is left as it is.
    pub(super) fn read(&mut self, now: &Now, hub: &mut Hub) {
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o750).create(&self.folder) {
            self.told.insert(error.raw_os_error());
            let (folder, reason) = (self.folder.display(), errno_text(&error));
            return warn!(message_id = event::STATE_DEGRADED; "cannot make {folder}: {reason}; history is in memory alone until that can be written");
        }
        let _ = std::fs::remove_file(self.folder.join(NEW));
        let (mut pasts, skipped) = match self.read_all() {
            Ok(all) => all,
            Err(error) => {
                return warn!(message_id = event::STATE_DEGRADED; "cannot read {}: {}", self.folder.display(), errno_text(&error));
            }
        };
        if skipped > 0 {
            warn!("{}: passed over {skipped} that are no histories of ours", self.folder.display());
        }
        let last = |past: &Past| past.lines.last().map(|&(when, _)| when);
        pasts.sort_by_key(|past| std::cmp::Reverse(last(past)));
        let known: BTreeSet<String> = hub.rooms().map(file_name).collect();
        let mut free = ROOMS_MAX.saturating_sub(known.len());
        let (mut taken, surplus): (Vec<_>, Vec<_>) = pasts.into_iter().partition(|past| {
            let is_known = known.contains(&file_name(&past.room));
            let has_place = is_known || free > 0;
            free -= usize::from(has_place && !is_known);
            has_place
        });
        // The first to come are the first to make place for others.
        taken.reverse();
        for Past { room, lines, is_clean } in taken.into_iter().chain(surplus) {
            let file = file_name(&room);
            let all = lines.iter().map(|(when, line)| (*when, line.as_str()));
            let is_taken = hub.restore_history(now, &room, all);
            let kept = hub.history_of(&room).map_or(0, Iterator::count);
            if is_taken && is_clean && kept == lines.len() {
                let len = std::fs::metadata(self.folder.join(&file)).map_or(0, |meta| meta.len());
                self.needed.insert(file, len);
            } else if let Err(error) = self.write_anew(hub, &file, &room) {
                self.leave_alone(now.mono, file, room, &error);
            }
        }
    }

    /// What every file says, and how many entries are none of ours.
    fn read_all(&self) -> io::Result<(Vec<Past>, usize)> {
        let (mut pasts, mut skipped) = (Vec::new(), 0);
        for entry in std::fs::read_dir(&self.folder)?.take(HISTORY_FILES_MAX) {
            let name = entry.map(|entry| entry.file_name());
            let past = name.ok().and_then(|name| read_file(&self.folder, name.to_str()?));
            match past {
                Some(past) => pasts.push(past),
                None => skipped += 1,
            }
        }
        Ok((pasts, skipped))
    }
}

/// Reads the end of a file as far as its lines are of one room, whose file it is.
fn read_file(folder: &Path, name: &str) -> Option<Past> {
    let mut open = OpenOptions::new();
    open.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = open.open(folder.join(name)).ok()?;
    let len = regular_len(&file).ok()?;
    let skipped = len.saturating_sub(HISTORY_FILE_MAX);
    file.seek(SeekFrom::Start(skipped)).ok()?;
    let mut text = Vec::new();
    file.take(HISTORY_FILE_MAX).read_to_end(&mut text).ok()?;
    let mut is_clean = skipped == 0 && text.ends_with(b"\n");
    let mut past: Option<Past> = None;
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match Entry::read(line).filter(|entry| file_name(&entry.room) == name) {
            Some(Entry { room, when, line }) => {
                let new = || Past { room: room.into_owned(), lines: Vec::new(), is_clean: true };
                past.get_or_insert_with(new).lines.push((when, line.into_owned()));
            }
            None => is_clean = false,
        }
    }
    past.map(|past| Past { is_clean, ..past })
}

/// The length of a regular file.
pub(super) fn regular_len(file: &File) -> io::Result<u64> {
    let meta = file.metadata()?;
    if meta.is_file() { Ok(meta.len()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Chat;
    use crate::core::limits::DATAGRAM_MAX;
    use crate::core::{Datagram, ListenerId, Outbox, Path as Way, Seed};
    use crate::services::Service as _;
    use crate::services::chat::Hosts;
    use nix::errno::Errno;
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A hub with its files.
    struct Scene {
        hub: Hub,
        histories: Histories,
        now: Now,
    }

    fn new_folder() -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("belfry-histories-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    impl Scene {
        fn new(directory: &Path, history: usize) -> Self {
            let config = Chat { history, ..Chat::default() };
            let (hub, histories) =
                (Hub::new(&config, "belfry.lan", Hosts::default(), Seed(7)), Histories::new(directory));
            let now = Now { mono: Instant::from_nanos(1_000_000_000), wall: Timestamp::UNIX_EPOCH };
            let mut scene = Self { hub, histories, now };
            scene.histories.read(&now, &mut scene.hub);
            scene
        }

        /// Anna says something, and a turn ends.
        fn say(&mut self, said: &str) {
            let path = Way::to(ListenerId(0), SocketAddr::from(([127, 0, 0, 1], 40_001)));
            self.hub.handle_datagram(&self.now, &Datagram::unicast(path, said.as_bytes()), &mut Outbox::default());
            self.end_turn();
        }

        fn end_turn(&mut self) {
            let news: Vec<_> = self.hub.take_news().collect();
            self.histories.write(self.now.mono, &self.hub, &news);
        }

        fn wait(&mut self, seconds: u64) {
            self.now.mono = self.now.mono + Duration::from_secs(seconds);
            self.now.wall += Duration::from_secs(seconds);
        }

        fn file(&self, room: &str) -> String {
            std::fs::read_to_string(self.histories.folder.join(file_name(room))).unwrap()
        }

        fn lines(&self, room: &str) -> Vec<String> {
            self.hub.history_of(room).map_or(Vec::new(), |lines| lines.map(|(_, line)| line.to_owned()).collect())
        }

        /// What a file says, and what the hub says, which is the same.
        fn is_written(&self, room: &str) -> bool {
            let text = self.file(room);
            let lines = text.lines().map(|line| Entry::read(line.as_bytes()).unwrap().line.into_owned());
            lines.collect::<Vec<_>>() == self.lines(room)
        }
    }

    #[test]
    fn a_file_has_little_more_than_twice_what_it_needs_however_much_is_said() {
        let directory = new_folder();
        let mut scene = Scene::new(&directory, 100);
        let (mut longest, mut len, mut anew) = (0, 0, 0);
        let text = "x".repeat(1_000);
        for _ in 0..2_000 {
            scene.say(&text);
            let before = std::mem::replace(&mut len, scene.file("lobby").len() as u64);
            longest = longest.max(len);
            anew += u32::from(len < before);
        }
        let needed = scene.histories.needed["lobby.jsonl"];
        assert!(longest <= 2 * needed + HISTORY_FILE_SLACK, "{longest} bytes for {needed}");
        assert!((5..20).contains(&anew), "written anew {anew} times");
        let again = Scene::new(&directory, 100);
        assert_eq!(again.lines("lobby"), scene.lines("lobby"));
        assert!(again.is_written("lobby"), "what nobody needs is left out at the start");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_line_is_appended_and_the_rest_of_the_file_is_left_alone() {
        let directory = new_folder();
        let mut scene = Scene::new(&directory, 100);
        ["/nick anna", "one", "/join Lab", "two"].iter().for_each(|said| scene.say(said));
        assert_eq!(scene.file("lab"), "{\"room\":\"Lab\",\"when\":\"1970-01-01T00:00:00Z\",\"line\":\"anna: two\"}\n");
        File::options().append(true).open(scene.histories.folder.join("lab.jsonl")).unwrap().write_all(b"?\n").unwrap();
        scene.say("three");
        assert_eq!(scene.file("lab").lines().nth(1), Some("?"));
        assert!(Scene::new(&directory, 100).is_written("lab"));
        // All but the last newline.
        let file = File::options().write(true).open(scene.histories.folder.join("lab.jsonl")).unwrap();
        file.set_len(regular_len(&file).unwrap() - 1).unwrap();
        let mut scene = Scene::new(&directory, 100);
        assert!(scene.file("lab").ends_with('\n') && scene.lines("lab") == ["anna: two", "anna: three"]);
        ["/nick anna", "/join lab"].iter().for_each(|said| scene.say(said));
        scene.say("/history off");
        assert!(!scene.histories.folder.join("lab.jsonl").exists());
        scene.say("four");
        assert!(!scene.histories.folder.join("lab.jsonl").exists());
        scene.say("/history on");
        scene.say("five");
        assert!(scene.is_written("lab"));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_room_that_makes_place_takes_its_file_along() {
        let directory = new_folder();
        let mut scene = Scene::new(&directory, 100);
        for number in 1..=ROOMS_MAX + 1 {
            scene.wait(1);
            scene.say(&format!("/join r{number}"));
            scene.say("hello");
        }
        let count = std::fs::read_dir(&scene.histories.folder).unwrap().count();
        assert_eq!(count, ROOMS_MAX - 1, "the lobby has no file, since nothing was said there");
        assert!(!scene.histories.folder.join("r1.jsonl").exists());
        // One too many, as after a kill between the one and the other.
        let old = scene.file("r3").replace("r3", "old").replace("T00:00:", "T00:00:00.");
        std::fs::write(scene.histories.folder.join("old.jsonl"), old).unwrap();
        let again = Scene::new(&directory, 100);
        let rooms: Vec<_> = again.hub.rooms().collect();
        assert_eq!(rooms.len(), ROOMS_MAX);
        assert!(!rooms.contains(&"old") && !scene.histories.folder.join("old.jsonl").exists());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn of_a_file_that_is_too_long_the_end_is_read() {
        let directory = new_folder();
        let mut scene = Scene::new(&directory, 3);
        scene.say("/nick anna");
        scene.say("hello");
        let line = scene.file("lobby").replace("hello", &"x".repeat(DATAGRAM_MAX - 100));
        let mut text = line.repeat(HISTORY_FILE_MAX as usize / line.len() + 2);
        text.push_str(&scene.file("lobby"));
        std::fs::write(scene.histories.folder.join("lobby.jsonl"), text).unwrap();
        let again = Scene::new(&directory, 3);
        assert_eq!(again.lines("lobby")[2], "anna: hello");
        assert!(again.is_written("lobby"));
        std::fs::remove_dir_all(directory).unwrap();
    }

    /// A small disk of its own, that only this thread sees.
    fn small_disk(directory: &Path) -> bool {
        let own = unshare(CloneFlags::CLONE_NEWNS);
        let private = own
            .and_then(|()| mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>));
        let mounted =
            private.and_then(|()| mount(Some("none"), directory, Some("tmpfs"), MsFlags::empty(), Some("size=32k")));
        if let Err(error) = mounted {
            println!("skipped: a small disk cannot be made: {error}");
        }
        mounted.is_ok()
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_and_is_tried_again_once_a_minute_until_there_is_room() {
        let directory = new_folder();
        if !small_disk(&directory) {
            return;
        }
        let mut scene = Scene::new(&directory, 100);
        assert_eq!(scene.histories.next_timeout(), None);
        let text = "x".repeat(1_000);
        while scene.histories.stale.is_empty() {
            scene.say(&text);
        }
        assert!(scene.histories.told.contains(&Some(Errno::ENOSPC as i32)));
        assert!(scene.file("lobby").ends_with("}\n"));
        assert!(!scene.histories.folder.join(NEW).exists(), "what fills the disk is not ours");
        let (len, due) = (scene.file("lobby").len(), scene.now.mono + RETRY);
        for _ in 0..5 {
            scene.say("hello");
        }
        assert_eq!(scene.histories.next_timeout(), Some(due));
        scene.wait(60);
        scene.end_turn();
        assert_eq!((scene.file("lobby").len(), scene.histories.next_timeout()), (len, Some(due + RETRY)), "in vain");
        mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_REMOUNT, Some("size=1m")).unwrap();
        scene.wait(59);
        scene.say("not yet");
        assert_eq!(scene.file("lobby").len(), len);
        scene.wait(1);
        scene.end_turn();
        assert!(scene.is_written("lobby"));
        assert_eq!((scene.histories.next_timeout(), scene.histories.told.len()), (None, 0), "all is well");
        scene.say("and on");
        assert!(scene.is_written("lobby"));
    }

    #[test]
    fn what_is_forgotten_while_the_disk_is_read_only_is_gone_when_it_is_not() {
        let directory = new_folder();
        if !small_disk(&directory) {
            return;
        }
        let mut scene = Scene::new(&directory, 100);
        ["/nick anna", "one"].iter().for_each(|said| scene.say(said));
        mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, None::<&str>).unwrap();
        ["two", "/join lab", "three", "/join lobby", "/history off"].iter().for_each(|said| scene.say(said));
        assert_eq!(scene.histories.told.iter().copied().collect::<Vec<_>>(), [Some(Errno::EROFS as i32)]);
        assert_eq!((scene.lines("lab"), scene.lines("lobby").len()), (vec!["anna: three".to_owned()], 0));
        mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_REMOUNT, None::<&str>).unwrap();
        scene.wait(60);
        scene.end_turn();
        assert!(scene.is_written("lab") && !scene.histories.folder.join("lobby.jsonl").exists());
        assert!(scene.histories.told.is_empty());
    }

    #[test]
    fn what_somebody_has_put_in_the_way_of_a_file_makes_place_or_costs_its_room_a_minute() {
        let directory = new_folder();
        let mut scene = Scene::new(&directory, 100);
        let precious = directory.join("precious");
        std::fs::write(&precious, "text").unwrap();
        std::os::unix::fs::symlink(&precious, scene.histories.folder.join("lobby.jsonl")).unwrap();
        std::fs::create_dir(scene.histories.folder.join("lab.jsonl")).unwrap();
        ["/nick anna", "one", "/join lab", "two", "/join hall", "three"].iter().for_each(|said| scene.say(said));
        assert!(scene.is_written("lobby") && scene.is_written("hall"));
        assert_eq!(std::fs::read_to_string(precious).unwrap(), "text");
        assert_eq!(scene.histories.told.iter().copied().collect::<Vec<_>>(), [Some(Errno::EISDIR as i32)]);
        std::fs::remove_dir(scene.histories.folder.join("lab.jsonl")).unwrap();
        scene.wait(60);
        scene.end_turn();
        assert!(scene.is_written("lab"));
        // Nothing of it could be read, so nobody knows how it ends.
        std::fs::write(scene.histories.folder.join("kitchen.jsonl"), "{\"room\":\"kit").unwrap();
        ["/join kitchen", "four"].iter().for_each(|said| scene.say(said));
        assert!(scene.is_written("kitchen"));
        std::fs::remove_dir_all(&scene.histories.folder).unwrap();
        scene.say("five");
        assert!(scene.is_written("kitchen"), "the folder is there again");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
