//! A room as it is seen here: what was said, what we are saying, who is there, and how far its reader is.

use super::entry::{Entry, Text};
use crate::client::session::RequestId;
use std::collections::VecDeque;

/// Entries of a room that are kept: some weeks of a busy one, and a few megabytes.
const ENTRIES_MAX: usize = 10_000;

/// Speakers that are remembered for completion, where nobody has said who is there.
const SPEAKERS_MAX: usize = 64;

/// Something of ours that the hub has not acknowledged, or that has not come back from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// By this we know it until it has an id.
    pub(super) mark: u64,
    pub(super) id: Option<RequestId>,
    /// To somebody alone.
    pub(super) to: Option<String>,
    pub(super) is_me: bool,
    /// As it is sent.
    pub(super) raw: String,
    pub(super) is_acknowledged: bool,
}

impl Pending {
    pub(super) fn text(&self) -> Text {
        Text::new(self.raw.as_bytes())
    }
}

/// Somebody who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) is_away: bool,
}

/// The entry at the bottom of the screen, and how many of its rows are below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) id: u64,
    pub(super) hidden: usize,
}

/// One room, or the mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    pub(super) name: String,
    /// Whether the hub has us in it.
    pub(super) is_in: bool,
    pub(super) entries: VecDeque<Entry>,
    pub(super) pending: Vec<Pending>,
    /// What may come all the same, by the entries that stand for it meanwhile.
    pub(super) doubtful: Vec<(u64, Pending)>,
    /// As many of those who are there as are shown, and how many there are.
    pub(super) members: Vec<Member>,
    pub(super) member_count: usize,
    /// Those who spoke last, the latest at the end.
    pub(super) speakers: VecDeque<String>,
    /// Messages that nobody has seen here, and whether one of them is for us.
    pub(super) unread: usize,
    pub(super) is_mentioned: bool,
    /// The first entry that was new when the room was looked at last.
    pub(super) new_from: Option<u64>,
    /// Where the reader is; at the end without it.
    pub(super) anchor: Option<Anchor>,
    /// What was being typed here when another room was turned to.
    pub(super) draft: Vec<String>,
}

impl Room {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Whether it is called so, whatever the letter case.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.to_lowercase() == name.to_lowercase()
    }

    /// Adds an entry at the end.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// The place of an entry, or of the first behind it where it is there no more.
    pub(super) fn index_of(&self, id: u64) -> usize {
        self.entries.partition_point(|entry| entry.id < id)
    }

    /// Somebody speaks: whether that is news about who is here. Where there are too many to know all, it never is.
    pub(super) fn hear_from(&mut self, name: &str) -> bool {
        self.speakers.retain(|speaker| speaker != name);
        if self.speakers.len() == SPEAKERS_MAX {
            self.speakers.pop_front();
        }
        self.speakers.push_back(name.to_owned());
        self.members.len() == self.member_count && !self.members.iter().any(|member| member.name == name)
    }

    /// Whoever may be meant here: those who spoke last first, then those who are there.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.speakers.iter().rev().map(String::as_str).collect();
        for member in &self.members {
            if !names.contains(&member.name.as_str()) {
                names.push(&member.name);
            }
        }
        names
    }

    /// Takes what we have said out of what waits, now that it has come back: whether it was there.
    pub(super) fn take_own(&mut self, is_me: bool, text: &[u8]) -> bool {
        let is_it =
            |pending: &Pending| pending.to.is_none() && pending.is_me == is_me && pending.raw.as_bytes() == text;
        if let Some(at) = self.pending.iter().position(is_it) {
            self.pending.remove(at);
            return true;
        }
        if let Some(at) = self.doubtful.iter().position(|(_, pending)| is_it(pending)) {
            // It was said after all.
            let (id, _) = self.doubtful.remove(at);
            self.entries.retain(|entry| entry.id != id);
            return true;
        }
        false
    }

    /// Has been looked at.
    pub(super) fn see(&mut self) {
        (self.unread, self.is_mentioned) = (0, false);
    }
}
