//! What is to be written down: what was said in the rooms since it was last asked for, and what they have forgotten.
//!
//! The hub notes it; the daemon takes it once a turn and appends each message to its room's file before any of it leaves.
//! What has been forgotten by the hub is to be forgotten there too.

use super::{Hub, Message};
use crate::core::frame::Epoch;
use compact_str::CompactString;
use std::rc::Rc;

/// Something to write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A message went to a room.
    Said {
        /// The room's name.
        room: CompactString,
        /// In which epoch of the room.
        epoch: Epoch,
        /// What was said.
        message: Rc<Message>,
        /// Whether it is in the room's history.
        kept: bool,
        /// Whether it is to be logged, as those at terminals had been told when it was said.
        logged: bool,
    },
    /// What was said in a room before is forgotten for good: it is not to be found anywhere.
    Forgotten {
        /// The room's name.
        room: CompactString,
    },
    /// Of a room's history less is kept than before: what [`Hub::history_of`] tells.
    Trimmed {
        /// The room's name.
        room: CompactString,
    },
    /// More has come than there was place for, so that the oldest is missing.
    Lost {
        /// How much.
        count: usize,
    },
}

impl Hub {
    /// What is new since the last call, in the order in which it happened. To be taken once a turn, all of it: it is
    /// bounded, and the oldest goes first, which is told before everything else.
    pub fn take_news(&mut self) -> impl Iterator<Item = News> {
        let lost = std::mem::take(&mut self.keeping.news_lost);
        let lost = (lost > 0).then_some(News::Lost { count: lost });
        lost.into_iter().chain(self.keeping.news.drain(..))
    }

    /// The names of all rooms.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.iter().map(|room| room.name.as_str())
    }
}
