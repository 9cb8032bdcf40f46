//! The histories in the state directory: a file for each room, a line for each message, appended before it leaves.
//!
//! The hub has in memory whatever a file should say. So a file that has grown to twice what it needs, or about which
//! there is any doubt, is written anew from there and put in the place of the old one by rename(2). When a file cannot
//! be written, its room goes on without, and it is written anew once a minute until that works.
//!
//! That holds for files that we have read or written. Whatever else is in the place of one is set aside, and not written
//! over: what could not be read may still be what somebody wants back.
//!
//! Nothing waits until the disk has what was written; the kernel has it, which is enough for a kill, and a power cut may
//! cost half a minute's worth. But the calls themselves are made in the turn: a disk that does not answer at all holds up
//! everything.

mod tail;
#[cfg(test)]
mod tests;

use super::file::{open_regular, replace_file};
use crate::core::limits::{HISTORY_FILE_SLACK, HISTORY_FILES_MAX, LIST_MAX, NEWS_MAX, REQUESTS_MAX, ROOMS_MAX};
use crate::core::{Instant, Now};
use crate::daemon::error::errno_text;
use crate::daemon::logging::event;
use crate::daemon::sys::BATCH_MAX;
use crate::services::chat::{Entry, Hub, News, file_name};
use jiff::Timestamp;
use log::{info, warn};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, OpenOptions, remove_file};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use tail::Tail;

/// A datagram is one piece of news at the most, and so is a room.
const _: () = assert!(BATCH_MAX * LIST_MAX * REQUESTS_MAX + ROOMS_MAX <= NEWS_MAX);

/// How long a file that cannot be written is left alone.
const RETRY: Duration = Duration::from_secs(60);

/// Where a file is written before it takes its place. Its name is no room's.
const NEW: &str = "new";

/// A file that could not be read would have to make place, and there is one in that place already. It is no error of the
/// folder's, so it has a number that no call here gives.
const IN_THE_WAY: Option<i32> = Some(libc::ENOTUNIQ);

/// The folder of the files.
#[derive(Debug)]
pub(super) struct Histories {
    folder: PathBuf,
    /// The files that are ours to write over, each with how long it is, as far as it is as we would have it.
    known: BTreeMap<String, u64>,
    /// Files that do not say what they should.
    stale: BTreeMap<String, Stale>,
    /// The errors that have been told, and have not gone since.
    told: BTreeSet<Option<i32>>,
}

/// When to write a file anew, and whether it may hold what is forgotten.
#[derive(Debug)]
struct Stale {
    retry: Instant,
    forgets: bool,
    /// Why it could not be written.
    errno: Option<i32>,
}

/// What a turn brings for one file.
#[derive(Default)]
struct Batch {
    room: String,
    lines: Vec<u8>,
    /// Lines behind the others are not enough.
    anew: bool,
    forgets: bool,
}

impl Histories {
    /// The folder `history` in a state directory, which may not be there yet.
    pub(super) fn new(directory: &Path) -> Self {
        let folder = directory.join("history");
        Self { folder, known: BTreeMap::new(), stale: BTreeMap::new(), told: BTreeSet::new() }
    }

    // ---- writing ----

    /// Writes down what is new, and what could not be written before.
    pub(super) fn write(&mut self, now: Instant, hub: &Hub, news: &[News]) {
        for (file, batch) in batches(hub, news) {
            if let Some(stale) = self.stale.get_mut(&file) {
                stale.forgets |= batch.forgets;
                continue;
            }
            let anew = batch.anew || batch.forgets;
            let written =
                if anew { self.write_anew(Some(hub), &file, batch.forgets) } else { self.append(hub, &file, &batch) };
            self.settle(now, file, batch.forgets, written);
        }
        self.retry(now, Some(hub));
    }

    /// Whether a file does not say what it should.
    pub(super) fn is_unwritten(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Whether the folder cannot be written, and that has been told.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.told.iter().any(|&errno| errno != IN_THE_WAY)
    }

    /// Where they are written, or that they are not.
    pub(super) fn words(&self) -> String {
        let folder = self.folder.display();
        if self.is_in_trouble() { format!("{folder} cannot be written") } else { format!("histories in {folder}") }
    }

    /// When to try again to write what could not be written.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.stale.values().map(|stale| stale.retry).min()
    }

    /// There is no hub that would know what to write. What it has forgotten stays forgotten.
    pub(super) fn give_up(&mut self, now: Instant) {
        self.stale.retain(|_, stale| stale.forgets);
        self.retry(now, None);
        if self.stale.is_empty() {
            self.told.clear();
        }
    }

    /// Tries a last time what could not be written before.
    pub(super) fn write_last(&mut self, now: Instant, hub: Option<&Hub>) {
        self.stale.values_mut().for_each(|stale| stale.retry = now);
        self.retry(now, hub);
        let unforgotten = self.stale.values().filter(|stale| stale.forgets).count();
        if unforgotten > 0 {
            let folder = self.folder.display();
            warn!(message_id = event::STATE_DEGRADED; "what rooms have forgotten may still be in {folder}, in {unforgotten} files that cannot be written");
        }
    }

    fn retry(&mut self, now: Instant, hub: Option<&Hub>) {
        let due = self.stale.iter().filter(|(_, stale)| stale.retry <= now);
        for (file, forgets) in due.map(|(file, stale)| (file.clone(), stale.forgets)).collect::<Vec<_>>() {
            let written = self.write_anew(hub, &file, forgets);
            self.settle(now, file, forgets, written);
        }
    }

    /// Takes note of whether a file could be written.
    fn settle(&mut self, now: Instant, file: String, forgets: bool, written: io::Result<()>) {
        let was_in_trouble = self.is_in_trouble();
        match written {
            Ok(()) => drop(self.stale.remove(&file)),
            Err(error) => {
                let errno = error.raw_os_error();
                if self.told.insert(errno) {
                    self.warn_unwritten(&file, &error);
                }
                self.stale.insert(file, Stale { retry: now + RETRY, forgets, errno });
            }
        }
        let Self { told, stale, .. } = self;
        told.retain(|&errno| stale.values().any(|stale| stale.errno == errno));
        if was_in_trouble && !self.is_in_trouble() {
            info!(message_id = event::STATE_RECOVERED; "histories are written to {} again", self.folder.display());
        }
    }

    fn warn_unwritten(&self, file: &str, error: &io::Error) {
        let (path, reason) = (self.folder.join(file), errno_text(error));
        let reason = match error.raw_os_error() {
            IN_THE_WAY => format!("{} is in the way of what was there", self.aside(file).display()),
            _ => reason,
        };
        warn!(message_id = event::STATE_DEGRADED; "cannot write {}: {reason}; history is in memory alone until that can be written", path.display());
    }

    fn append(&mut self, hub: &Hub, file: &str, batch: &Batch) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o640);
        let known = self.known.get(file).copied().unwrap_or_default();
        match open_regular(&mut options, &self.folder.join(file)) {
            // What somebody has cut off, or added, is not what the hub remembers.
            Ok((mut opened, len)) if len == known && len + batch.lines.len() as u64 <= len_max(hub, &batch.room) => {
                opened.write_all(&batch.lines).inspect_err(|_| {
                    // Half a line would spoil the next one too. If not even that works, it is written anew anyway.
                    let _ = opened.set_len(len);
                })?;
                self.known.insert(file.to_owned(), len + batch.lines.len() as u64);
                Ok(())
            }
            // Whatever is in the way makes place, or it is what the warning is about.
            _ => self.write_anew(Some(hub), file, false),
        }
    }

    /// Has a file say what the hub remembers; none is left where that is nothing. With `forgets` what was there before is
    /// not to be found anywhere.
    fn write_anew(&mut self, hub: Option<&Hub>, file: &str, forgets: bool) -> io::Result<()> {
        let (path, aside) = (self.folder.join(file), self.aside(file));
        let room = hub.and_then(|hub| hub.rooms().find(|room| file_name(room) == file));
        let Some((room, lines)) = hub.zip(room).and_then(|(hub, room)| Some((room, hub.history_of(room)?))) else {
            [&path, &aside].into_iter().try_for_each(|path| remove_if_there(path))?;
            self.known.remove(file);
            return Ok(());
        };
        let mut text = Vec::new();
        let epoch = hub.and_then(|hub| hub.epoch_of(room)).unwrap_or_default();
        lines.for_each(|message| Entry::write(room, epoch, message, &mut text));
        DirBuilder::new().recursive(true).mode(0o750).create(&self.folder)?;
        if !forgets && !self.known.contains_key(file) {
            self.set_aside(file)?;
        }
        replace_file(&path, NEW, 0o640, |file| file.write_all(&text))?;
        self.known.insert(file.to_owned(), text.len() as u64);
        if forgets { remove_if_there(&aside) } else { Ok(()) }
    }

    /// Has what is in the place of a file make place, if there is something, and nothing had to before.
    fn set_aside(&self, file: &str) -> io::Result<()> {
        let (path, aside) = (self.folder.join(file), self.aside(file));
        match path.symlink_metadata() {
            Ok(meta) if meta.is_file() && meta.len() == 0 => return Ok(()),
            Ok(_) if aside.symlink_metadata().is_ok() => return Err(io::Error::from_raw_os_error(libc::ENOTUNIQ)),
            Ok(_) => std::fs::rename(&path, &aside)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        warn!(message_id = event::STATE_DEGRADED; "{} is none that could be read; it is {} from now on", path.display(), aside.display());
        Ok(())
    }

    fn aside(&self, file: &str) -> PathBuf {
        self.folder.join(format!("{file}.unread"))
    }

    // ---- reading ----

    /// Gives the hub what the files say, the rooms that were heard last if there are too many; the files of the others
    /// are removed. What is no file of ours is left as it is.
    pub(super) fn read(&mut self, now: &Now, hub: &mut Hub) {
        self.known.clear();
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o750).create(&self.folder) {
            self.told.insert(error.raw_os_error());
            let (folder, reason) = (self.folder.display(), errno_text(&error));
            return warn!(message_id = event::STATE_DEGRADED; "cannot make {folder}: {reason}; history is in memory alone until that can be written");
        }
        let _ = remove_file(self.folder.join(NEW));
        let mut found = match self.look() {
            Ok(found) => found,
            Err(error) => return warn_unread(&self.folder, &error),
        };
        found.sort_by_key(|&(when, _)| std::cmp::Reverse(when));
        let rooms: BTreeSet<String> = hub.rooms().map(file_name).collect();
        let mut free = ROOMS_MAX.saturating_sub(rooms.len());
        let (mut taken, surplus): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, file)| {
            let is_room = rooms.contains(file);
            let has_place = is_room || free > 0;
            free -= usize::from(has_place && !is_room);
            has_place
        });
        // The first to come are the first to make place for others.
        taken.reverse();
        for (_, file) in taken {
            self.read_file(now, hub, file);
        }
        // Where there is no file nothing has been said.
        let is_absent = |room: &&str| matches!(self.folder.join(file_name(room)).try_exists(), Ok(false));
        for room in hub.rooms().filter(is_absent).map(str::to_owned).collect::<Vec<_>>() {
            hub.restore_history(now, &room, std::iter::empty());
        }
        for (_, file) in surplus {
            let removed = self.write_anew(Some(hub), &file, true);
            self.settle(now.mono, file, true, removed);
        }
    }

    /// The files, and when each was last written to by what it says itself.
    fn look(&mut self) -> io::Result<Vec<(Timestamp, String)>> {
        let (mut found, mut skipped, mut told) = (Vec::new(), 0, BTreeSet::new());
        let mut entries = std::fs::read_dir(&self.folder)?;
        for entry in entries.by_ref().take(HISTORY_FILES_MAX) {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().filter(|name| name.ends_with(".jsonl"));
            let Some(file) = name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) else {
                skipped += 1;
                continue;
            };
            if self.stale.contains_key(&file) {
                // It may hold what is forgotten.
                continue;
            }
            match Tail::read(&entry.path(), 1) {
                Ok(Some(Tail { room, lines, .. })) if file_name(&room) == file => found.push((lines[0].1.when, file)),
                Ok(Some(_)) => skipped += 1,
                Ok(None) => {
                    skipped += 1;
                    self.known.insert(file, 0);
                }
                Err(error) if told.insert(error.raw_os_error()) => warn_unread(&entry.path(), &error),
                Err(_) => {}
            }
        }
        let folder = self.folder.display();
        if skipped > 0 {
            warn!("{folder}: passed over {skipped} that are no histories of ours");
        }
        if entries.next().is_some() {
            warn!("{folder}: looked at the first {HISTORY_FILES_MAX} of what is there, and no further");
        }
        Ok(found)
    }

    /// Gives the hub what a file says, of which the last line was good.
    fn read_file(&mut self, now: &Now, hub: &mut Hub, file: String) {
        let path = self.folder.join(&file);
        let tail = match Tail::read(&path, hub.history_max()) {
            Ok(Some(tail)) => tail,
            Ok(None) => return,
            Err(error) => return warn_unread(&path, &error),
        };
        let is_taken = hub.restore_history(now, &tail.room, tail.lines.into_iter().rev());
        if is_taken && tail.is_clean && tail.len <= len_max(hub, &tail.room) {
            self.known.insert(file, tail.len);
        } else {
            self.known.insert(file.clone(), 0);
            let written = self.write_anew(Some(hub), &file, false);
            self.settle(now.mono, file, !is_taken, written);
        }
    }
}

/// What there is to do for each file.
fn batches(hub: &Hub, news: &[News]) -> BTreeMap<String, Batch> {
    let mut batches = BTreeMap::new();
    let mut of = |room: &str, change: &dyn Fn(&mut Batch)| {
        let new = || Batch { room: room.to_owned(), ..Batch::default() };
        change(batches.entry(file_name(room)).or_insert_with(new));
    };
    for news in news {
        match news {
            News::Said { kept: false, .. } => {}
            News::Said { room, epoch, message, .. } => {
                of(room, &|batch| Entry::write(room, *epoch, message, &mut batch.lines));
            }
            News::Forgotten { room } => of(room, &|batch| batch.forgets = true),
            News::Trimmed { room } => of(room, &|batch| batch.anew = true),
            News::Lost { count } => {
                warn!("{count} messages came too fast to be written down one by one");
                hub.rooms().for_each(|room| of(room, &|batch| batch.anew = true));
            }
        }
    }
    batches
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How long a file may become before what nobody needs is left out.
fn len_max(hub: &Hub, room: &str) -> u64 {
    2 * hub.history_file_len(room) + HISTORY_FILE_SLACK
}

fn warn_unread(path: &Path, error: &io::Error) {
    let (path, reason) = (path.display(), errno_text(error));
    warn!(message_id = event::STATE_DEGRADED; "cannot read {path}: {reason}; it stays as it is");
}
