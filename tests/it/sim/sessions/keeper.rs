//! What the daemon keeps of the hub, and what of it is there when another takes over.

use super::super::network::listener_at;
use belfry::config;
use belfry::core::frame::Epoch;
use belfry::core::{Instant, ListenerId, Now, Outbox, Seed};
use belfry::services::chat::{Entry, Hosts, Hub, Message, News, file_name, kept_seed};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The daemon writes the hub down this often at most.
pub(super) const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(500);

/// And has written all of it after this time at most.
const SNAPSHOT_TIME: Duration = Duration::from_millis(20);

/// A slice of it: one session, or two.
const SLICE_LEN: usize = 300;

/// How a hub ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// In good order: everything is kept.
    Stopped,
    /// In the middle: the last snapshot is there, and the histories.
    Killed,
    /// With the machine: the histories are there.
    PowerCut,
    /// Nothing is left.
    Erased,
}

#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// The lines of each file of a history.
    files: BTreeMap<String, Vec<Vec<u8>>>,
    snapshot: Vec<u8>,
    /// When it was begun; or the next, of which there are some slices.
    snapshot_at: Instant,
    slices: Vec<u8>,
    is_stale: bool,
}

/// Something that was said in a room, or that a room forgot.
pub(super) enum Note {
    Said { room: String, epoch: Epoch, number: u64, line: String, is_kept: bool },
    Forgotten { room: String },
}

impl Keeper {
    /// Does what the daemon does before anything leaves.
    pub(super) fn keep(&mut self, hub: &mut Hub) -> Vec<Note> {
        let mut notes = Vec::new();
        for news in hub.take_news().collect::<Vec<_>>() {
            match news {
                News::Said { room, epoch, message, kept, .. } => {
                    if kept {
                        let mut line = Vec::new();
                        Entry::write(&room, epoch, &message, &mut line);
                        self.files.entry(file_name(&room)).or_default().push(line);
                    }
                    let (number, line) = (message.number, message.line.to_string());
                    notes.push(Note::Said { room: room.into(), epoch, number, line, is_kept: kept });
                }
                News::Trimmed { room } => self.write_anew(hub, &room),
                News::Forgotten { room } => {
                    self.write_anew(hub, &room);
                    notes.push(Note::Forgotten { room: room.into() });
                }
                News::Lost { count } => panic!("{count} are lost"),
            }
        }
        self.is_stale |= hub.take_changed();
        notes
    }

    fn write_anew(&mut self, hub: &Hub, room: &str) {
        let lines = hub.history_of(room).map(|messages| {
            let epoch = hub.epoch_of(room).expect("a room has an epoch");
            let line = |message: &Message| {
                let mut line = Vec::new();
                Entry::write(room, epoch, message, &mut line);
                line
            };
            messages.map(line).collect()
        });
        match lines {
            Some(lines) => drop(self.files.insert(file_name(room), lines)),
            None => drop(self.files.remove(&file_name(room))),
        }
    }

    /// Writes a slice of the hub down, if it has changed and it is time to, or the others if it was begun a while ago: the daemon's
    /// turns follow each other sooner than those here.
    pub(super) fn take_snapshot(&mut self, now: Instant, hub: &mut Hub) {
        if !hub.is_dumping() {
            if !self.is_stale || now < self.snapshot_at + SNAPSHOT_INTERVAL {
                return;
            }
            (self.snapshot_at, self.is_stale) = (now, false);
        }
        loop {
            let mut text = Vec::new();
            let slice = hub.dump_slice(SLICE_LEN, addr_of, &mut text);
            if slice.is_first {
                self.slices.clear();
            }
            self.slices.append(&mut text);
            if slice.is_last {
                self.snapshot = std::mem::take(&mut self.slices);
            }
            if slice.is_last || now < self.snapshot_at + SNAPSHOT_TIME {
                break;
            }
        }
    }

    /// A hub that takes over from one that ended so. The `seed` is for one that knows nothing of it.
    pub(super) fn restart(&mut self, now: &Now, end: End, old: &Hub, config: &config::Chat, seed: Seed) -> Hub {
        match end {
            End::Stopped => self.snapshot = dump(old),
            End::Killed => {}
            End::PowerCut => self.snapshot.clear(),
            End::Erased => (self.files, self.snapshot) = Default::default(),
        }
        let mut hub = Hub::new(config, "belfry.lan", Hosts::default(), kept_seed(&self.snapshot).unwrap_or(seed));
        let mut out = Outbox::default();
        let restored = hub.restore(now, &self.snapshot, listener_at, &mut out);
        assert_eq!((restored.refused, restored.senseless), (0, 0), "{}", String::from_utf8_lossy(&self.snapshot));
        self.files.retain(|_, lines| {
            let read = |line: &Vec<u8>| Entry::read(&line[..line.len() - 1]).expect("what was written is read");
            let room = lines.first().map(read).expect("a file has a line").room;
            hub.restore_history(now, &room, lines.iter().map(read).map(|entry| (entry.epoch, entry.message)))
        });
        assert_eq!(out.pending().count(), 0, "nobody is told");
        // A process writes for the first time at once.
        (self.snapshot_at, self.is_stale) = (Instant::default(), true);
        hub
    }
}

/// Everything but the histories.
pub(super) fn dump(hub: &Hub) -> Vec<u8> {
    let mut state = Vec::new();
    hub.dump(addr_of, &mut state);
    state
}

fn addr_of(id: ListenerId) -> Option<SocketAddr> {
    Some(SocketAddr::from((if id.0 == 4 { [0, 0, 0, 0].into() } else { v6() }, 9_999)))
}

fn v6() -> std::net::IpAddr {
    [0_u16; 8].into()
}
