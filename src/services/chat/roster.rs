//! What the operator sees of the members, and does to them.

use super::member::Way;
use super::{Departure, Hub, name};
use crate::core::limits::{NAME_MAX, NEAREST_AMONG_MAX};
use crate::core::{Instant, Now, Outbox};
use std::net::SocketAddr;

/// A member as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Where it is: in one room, or in several if it is a session.
    pub rooms: Vec<&'a str>,
    /// Where it is reached.
    pub addr: SocketAddr,
    /// How it is spoken to.
    pub way: Way,
    /// Whether it has ever sent a heartbeat.
    pub heartbeats: bool,
    /// When it was last heard.
    pub last_heard: Instant,
    /// What it said when it went away, while it is.
    pub away: Option<&'a str>,
    /// Whether its host is on the network, as far as is known.
    pub in_reach: bool,
}

/// A member that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kicked {
    /// What it was called.
    pub name: String,
    /// Where it was.
    pub room: String,
    /// Where it was reached.
    pub addr: SocketAddr,
}

/// Nobody has the name that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchMember {
    /// The name of somebody that is nearly the same.
    pub nearest: Option<String>,
}

/// The farthest that a name may be from another to pass for a mistake in it.
const DISTANCE_MAX: usize = 2;

impl Hub {
    /// Everybody who is here, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = MemberView<'_>> {
        self.members.by_name().map(|member| MemberView {
            name: &member.name,
            rooms: member.rooms().map(|room| self.rooms.get(room).name.as_str()).collect(),
            addr: member.path.remote,
            way: member.way,
            heartbeats: member.heartbeats,
            last_heard: member.last_heard,
            away: member.away(),
            in_reach: member.in_reach,
        })
    }

    /// Removes the member of that name, and tells it if it is on a line. Nothing keeps it from coming back: who speaks
    /// is a member.
    pub fn kick(&mut self, now: &Now, name: &str, out: &mut Outbox) -> Result<Kicked, NoSuchMember> {
        let Some(id) = self.members.named(name) else {
            return Err(NoSuchMember { nearest: self.nearest(name).map(str::to_owned) });
        };
        let member = self.members.get(id);
        let room = self.rooms.get(member.room()).name.to_string();
        let kicked = Kicked { name: member.name.to_string(), room, addr: member.path.remote };
        if member.way == Way::Line {
            out.send_line(member.path, "-- You have been removed by the operator.", true);
        }
        let session = member.session();
        if let Some(session) = session {
            out.send_line(member.path, &format!("^bye kicked session={session}^"), false);
        }
        session.into_iter().for_each(|session| self.sessions.remove(session));
        self.remove(now, id, Departure::Kicked, out);
        Ok(kicked)
    }

    fn nearest(&self, wanted: &str) -> Option<&str> {
        if wanted.len() > NAME_MAX + DISTANCE_MAX {
            return None;
        }
        let wanted = name::key(wanted);
        let distances = self.members.by_name().take(NEAREST_AMONG_MAX).map(|member| {
            let key = name::key(&member.name);
            (strsim::damerau_levenshtein(&wanted, &key), key.chars().count(), &member.name)
        });
        let near = distances.filter(|&(distance, len, _)| distance <= DISTANCE_MAX && distance < len);
        near.min().map(|(_, _, name)| name.as_str())
    }
}
