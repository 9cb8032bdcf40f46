//! A datagram, and the two ends of the path that it came by.

use jiff::Timestamp;
use std::net::{IpAddr, SocketAddr};

/// Which of the daemon's sockets: a handle that stays the same while the socket is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u16);

/// How to reach somebody: through which socket, from which of our addresses, to which of theirs.
///
/// An answer goes back on the path of its question, so it leaves from the address that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The socket.
    pub listener: ListenerId,
    /// Our address, where it matters; `None` leaves the choice to the kernel.
    pub local: Option<IpAddr>,
    /// The interface to leave by; 0 leaves the choice to the routing table.
    pub interface: u32,
    /// Their address.
    pub remote: SocketAddr,
}

impl Path {
    /// A path on which the kernel chooses our address and the interface.
    pub const fn to(listener: ListenerId, remote: SocketAddr) -> Self {
        Self { listener, local: None, interface: 0, remote }
    }
}

/// A datagram as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The way back to its source. `local` is `None` when it was sent to a group.
    pub path: Path,
    /// The interface that it arrived on; 0 when the kernel did not say.
    pub arrived_on: u32,
    /// The moment at which it arrived, where the kernel has noted it.
    pub arrived_at: Option<Timestamp>,
    /// Whether it was sent to a group rather than to us.
    pub multicast: bool,
    /// Whether no router had a part in its coming, as far as admission can tell. Anybody may write any other address on it.
    pub on_link: bool,
    /// What it carried, as far as it was received.
    pub payload: &'a [u8],
    /// Whether the kernel cut it off because it was longer than our buffer (`MSG_TRUNC`).
    pub truncated: bool,
}

impl<'a> Datagram<'a> {
    /// A whole datagram that a neighbour sent to us alone, on an unnamed interface.
    pub const fn unicast(path: Path, payload: &'a [u8]) -> Self {
        Self { path, arrived_on: 0, arrived_at: None, multicast: false, on_link: true, payload, truncated: false }
    }
}
