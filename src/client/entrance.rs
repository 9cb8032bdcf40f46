//! Whether the hub lets us into the rooms that were asked for.

use super::Failure;
use super::attendance::News;
use super::session::Event;

/// The rooms that were asked for, and whether the hub lets us in.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    /// Those that we have not seen so far.
    wanted: Vec<String>,
    seen: Vec<String>,
    is_over: bool,
}

impl Entrance {
    /// Before the hub has said anything.
    pub(super) fn new(rooms: &[String]) -> Self {
        Self { wanted: rooms.to_vec(), seen: Vec::new(), is_over: false }
    }

    /// Whether we are in.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether we have been in a room that is spelt like this.
    pub(super) fn has_seen(&self, room: &str) -> bool {
        self.seen.iter().any(|seen| seen == room)
    }

    /// Fails when a room that was asked for is not to be had. The hub has its own spelling of names.
    pub(super) fn hear(&mut self, news: &News) -> Result<(), Failure> {
        match news {
            News::Event(Event::Joined { room, .. }) => {
                self.is_over = true;
                self.wanted.retain(|wanted| !wanted.eq_ignore_ascii_case(room));
                self.seen.push(room.clone());
            }
            News::Event(Event::Left { room }) if self.wanted.contains(room) => {
                let why = format!("the hub has no room {room:?}, and cannot make one; belfry rooms lists what it has");
                return Err(Failure::Refused(why));
            }
            _ => {}
        }
        Ok(())
    }
}
