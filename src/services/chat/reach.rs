//! Members that cannot be reached: what the network says of them, and what the hub makes of it.
//!
//! A closed port is the end of a membership. A host that is not on the network may be back in a moment, so its member keeps
//! its place and its name, and is only not sent to.

use super::{Departure, Hub, MemberId};
use crate::core::{Now, Outbox};
use std::net::SocketAddr;
use std::time::Duration;

/// A member whose host has answered "port unreachable" so often in a row is gone. Once may be a stray answer.
const STRIKES_MAX: u8 = 2;

/// How long nothing is sent to a member whose host is not on the network. A host that is back after a gap of the Wi-Fi
/// may be one that only listens; one that is gone costs its share of the send buffer once in this time.
const OUT_OF_REACH: Duration = Duration::from_secs(30);

impl Hub {
    /// A member's host has answered "port unreachable" (ICMP type 3 code 3, ICMPv6 type 1 code 4).
    pub fn handle_unreachable(&mut self, now: &Now, remote: SocketAddr, out: &mut Outbox) {
        let Some(id) = self.members.at(remote) else { return };
        let member = self.members.get_mut(id);
        if member.session().is_some() || member.consent().is_some() {
            // Anybody can forge this, and nobody but a session itself ends it: its heartbeats tell. So do tokens from afar.
            return self.handle_out_of_reach(now, remote);
        }
        member.strikes += 1;
        if member.strikes >= STRIKES_MAX {
            self.remove(now, id, Departure::Unreachable, out);
        }
    }

    /// Nobody answers at a member's address any more (ICMP type 3 code 1, ICMPv6 type 1 code 3, from ourselves): what is
    /// said in its room is not sent to it until it is heard again, or `OUT_OF_REACH` is over and it is tried anew.
    pub fn handle_out_of_reach(&mut self, now: &Now, remote: SocketAddr) {
        if let Some(id) = self.members.at(remote)
            && self.set_in_reach(now, id, false)
            && !std::mem::replace(&mut self.members.get_mut(id).is_to_be_tried, true)
        {
            self.out_of_reach.push_back((now.mono + OUT_OF_REACH, remote));
        }
    }

    /// Notes whether a member is in reach; whether that is news.
    pub(super) fn set_in_reach(&mut self, now: &Now, id: MemberId, in_reach: bool) -> bool {
        let is_news = self.members.get(id).in_reach != in_reach;
        if is_news {
            self.rooms.unseat(id, &mut self.members, now.mono);
            self.members.get_mut(id).in_reach = in_reach;
            self.rooms.seat(id, &mut self.members);
        }
        is_news
    }

    /// Tries those anew who have been out of reach for long enough.
    pub(super) fn try_out_of_reach(&mut self, now: &Now) {
        while let Some(&(due, remote)) = self.out_of_reach.front()
            && due <= now.mono
        {
            self.out_of_reach.pop_front();
            if let Some(id) = self.members.at(remote) {
                self.members.get_mut(id).is_to_be_tried = false;
                self.set_in_reach(now, id, true);
            }
        }
    }
}
