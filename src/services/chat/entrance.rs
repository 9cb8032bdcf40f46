//! How somebody comes in: while there is place, with a word to the others, and a welcome to who came by a terminal.

use super::command::Problem;
use super::member::{MemberId, Way};
use super::news::News;
use super::rooms::{LOBBY, RoomId};
use super::{Hub, Sender};
use crate::core::limits::SOURCES_OF_NETWORK;
use crate::core::source::Source;
use crate::core::{Now, Outbox, Refusal};
use std::fmt::Write as _;
use std::net::IpAddr;

/// What those at terminals are told when what they say is logged.
pub(super) const LOGGED: &str = "-- Whoever runs this host has what is said in rooms written to its log.";

impl Hub {
    /// The member who has sent something, who joins if need be.
    pub(super) fn enter(&mut self, now: &Now, sender: Sender, out: &mut Outbox) -> Result<MemberId, Problem> {
        let path = sender.path;
        let Some(id) = sender.member else { return self.join(now, sender, out) };
        if self.members.get(id).path != path {
            self.rooms.unseat(id, &mut self.members, now.mono);
            self.members.get_mut(id).path = path;
            self.rooms.seat(id, &mut self.members);
            self.note_change(id);
        }
        Ok(id)
    }

    /// The room of that name, made if need be; one that nobody is in may have to make place.
    /// None of `spared` has to.
    pub(super) fn open_room(&mut self, now: &Now, name: &str, source: Source, spared: &[RoomId]) -> Option<RoomId> {
        let (room, closed) = self.rooms.open(name, now, source, spared)?;
        if let Some(closed) = closed {
            self.keeping.note(News::Forgotten { room: closed.name });
        }
        Some(room)
    }

    /// Refuses somebody new at an address while there is no place, even when so many leave who are there.
    pub(super) fn has_place_for(&self, addr: IpAddr, on_link: bool, leaving: usize) -> Result<(), Problem> {
        if self.members.len() - leaving >= self.config.max_members {
            return Err(Problem::new(Refusal::Full, "? the hub is full; try again later"));
        }
        let most = self.config.max_members_per_address;
        // Half of the hall is left to others in any case.
        let of_link = most.saturating_mul(SOURCES_OF_NETWORK as usize).min(self.config.max_members / 2).max(most);
        let of_network = if on_link { of_link } else { most };
        let is_too_many = |source, most| self.members.count_of(source) - leaving >= most;
        let host = Source::of_sender(addr, true);
        if is_too_many(host, most) || host.network().is_some_and(|network| is_too_many(network, of_network)) {
            return Err(Problem::new(Refusal::Full, "? too many members from your address already"));
        }
        Ok(())
    }

    fn join(&mut self, now: &Now, sender: Sender, out: &mut Outbox) -> Result<MemberId, Problem> {
        let Sender { path, on_link, newline, .. } = sender;
        let way = if newline { Way::Line } else { Way::Program };
        self.has_place_for(path.remote.ip(), on_link, 0)?;
        let id = self.members.insert(now.mono, path, way, LOBBY, &self.hosts);
        self.note_change(id);
        self.rooms.seat(id, &mut self.members);
        let notice = format!("-- {} has joined", self.members.get(id).name);
        self.notify_others(id, &notice, out);
        if way == Way::Line {
            let welcome = self.welcome(id);
            self.tell(id, &welcome, out);
            self.members.get_mut(id).reflex().note_told(now.mono, &welcome);
        }
        Ok(id)
    }

    fn welcome(&self, id: MemberId) -> String {
        let member = self.members.get(id);
        let room = self.rooms.get(member.room());
        let company = match room.len() - 1 {
            0 => "nobody else yet".to_owned(),
            1 => "one other".to_owned(),
            others => format!("{others} others"),
        };
        let mut welcome = format!(
            "-- Welcome to {}. You are {} in {} with {company}. /help lists what you can type.",
            self.host, member.name, room.name
        );
        if !room.topic.is_empty() {
            let _ = write!(welcome, "\n-- The topic is: {}", room.topic);
        }
        if self.config.history > 0 && room.keeps_history {
            let _ = write!(
                welcome,
                "\n-- The last {} messages of this room are kept; /history shows them.",
                self.config.history
            );
        }
        if self.config.log_messages {
            welcome.push('\n');
            welcome.push_str(LOGGED);
        }
        welcome
    }

    /// Tells the terminals in all rooms that what is said is logged from now on, if it is.
    pub(super) fn tell_of_the_log(&mut self, out: &mut Outbox) {
        if self.config.log_messages {
            self.rooms.ids().for_each(|room| self.notify_room(None, room, LOGGED, None, out));
        }
    }
}
