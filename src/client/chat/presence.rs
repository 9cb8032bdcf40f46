//! Who is there: lists, asked for by a socket of their own beside the session's.
//!
//! Nobody depends on them. Where they do not come, those who speak are known all the same.

use super::happening::Input;
use super::room::Member;
use crate::client::Failure;
use crate::client::link::Link;
use crate::client::listing::{Entries, Listing, Wanted};
use crate::core::Instant;
use crate::daemon::seed;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// Members of a room, or rooms, that are asked for: more than a screen has rows.
const ENTRIES_MAX: usize = 128;

/// Datagrams that are read before anybody else has a turn.
const BUDGET: usize = 64;

#[derive(Debug)]
pub(super) struct Presence {
    link: Link,
    listing: Listing,
}

impl AsFd for Presence {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

impl Presence {
    pub(super) fn open(addr: SocketAddr) -> Result<Self, Failure> {
        let seed = seed().map_err(Failure::to("read /dev/urandom"))?;
        Ok(Self { link: Link::open(addr)?, listing: Listing::new(seed).keeping(ENTRIES_MAX) })
    }

    /// Asks who is in a room.
    pub(super) fn ask_members(&mut self, room: &str, now: Instant) {
        // One that cannot be asked now is asked about again in a while.
        let _ = self.listing.ask(Wanted::Members(room.to_owned()), now);
    }

    /// Asks which rooms there are.
    pub(super) fn ask_rooms(&mut self, now: Instant) {
        let _ = self.listing.ask(Wanted::Rooms, now);
    }

    /// What has come of it.
    pub(super) fn poll(&mut self) -> Option<Input> {
        loop {
            let Ok(list) = self.listing.poll()? else { continue };
            match (list.wanted, list.entries) {
                (Wanted::Members(room), Entries::Members(members)) => {
                    let members = members.into_iter();
                    let members = members.map(|member| Member { name: member.name, is_away: member.is_away }).collect();
                    return Some(Input::Members { room, members, total: list.total });
                }
                (Wanted::Rooms, Entries::Rooms(rooms)) => {
                    return Some(Input::Rooms(rooms.into_iter().map(|room| room.name).collect()));
                }
                _ => {}
            }
        }
    }

    /// Sends what is due, to where the session is.
    pub(super) fn send(&mut self, addr: SocketAddr, now: Instant) {
        if self.link.addr != addr
            && let Ok(link) = Link::open(addr)
        {
            self.link = link;
        }
        // Taken in any case: what is not sent now is sent again in a while.
        while let Some(datagram) = self.listing.poll_datagram(now) {
            if self.link.addr == addr {
                // The session notices when nobody listens.
                let _ = self.link.send(&datagram);
            }
        }
    }

    pub(super) fn receive(&mut self, now: Instant) {
        for _ in 0..BUDGET {
            let Ok(Some(datagram)) = self.link.receive_now() else { break };
            self.listing.handle_datagram(now, &datagram);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.listing.next_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.listing.handle_timeout(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_cannot_be_opened_is_tried_again_in_a_while_and_not_at_once() {
        let mut presence = Presence::open("127.0.0.1:9".parse().unwrap()).unwrap();
        let now = Instant::from_nanos(1 << 40);
        presence.ask_rooms(now);
        // No program may connect to it without saying that it wants to speak to everybody.
        presence.send("255.255.255.255:9".parse().unwrap(), now);
        assert!(presence.next_timeout().is_some_and(|at| at > now));
    }
}
