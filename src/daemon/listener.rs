//! The sockets that services are spoken to at.
//!
//! Each address has a socket of its own, IPv6 for IPv6 only. Whoever made the socket, [`Listener::adopt`] sets what
//! Belfry relies on: it does not block, tells to which address and on which interface a datagram came and, to NTP, when, reports
//! unreachable ports and dropped datagrams, and hears only those groups that it has joined itself.

use super::error::{Fatal, errno_text};
use super::sys::{self, Receiver};
use crate::core::ListenerId;
use crate::services::ServiceName;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A bound socket and what the loop knows of it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) id: ListenerId,
    pub(super) service: ServiceName,
    /// The address that the configuration names; its port may be 0.
    pub(super) configured: SocketAddr,
    /// The address that the socket has.
    pub(super) addr: SocketAddr,
    /// Datagrams may be waiting: edge-triggered, so it stays set until the socket has been found empty.
    pub(super) readable: bool,
    /// Errors may be waiting in the error queue.
    pub(super) errored: bool,
    /// The socket took no more, and has not said since that it would.
    pub(super) blocked: bool,
    /// What the poller tells of it; `None` while so much comes that it is looked at in each turn all the same.
    watched: Option<Interest>,
    /// Whether the kernel cuts bursts into datagrams. One that does not know how (before Linux 4.18) would send a burst as one
    /// long datagram, without an error.
    pub(super) takes_bursts: bool,
    /// What the kernel last said of datagrams that it dropped here. It counts from the making of the socket, which may have
    /// served another process before.
    pub(super) kernel_drops: u32,
    socket: Socket,
}

impl Listener {
    /// Binds a socket for a service. Sockets of ours that are `closing` at the same port are not in its way: one that
    /// widens from 127.0.0.1 to 0.0.0.0, or two services that change places.
    pub(super) fn bind<'a>(
        id: ListenerId,
        service: ServiceName,
        addr: SocketAddr,
        closing: impl Iterator<Item = &'a Self>,
    ) -> Result<Self, Fatal> {
        let refused = |error: io::Error| Fatal::Bind { service, addr, reason: errno_text(&error) };
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP)).map_err(refused)?;
        if addr.is_ipv6() {
            socket.set_only_v6(true).map_err(refused)?;
        }
        let mut sharing: Vec<&Socket> = closing
            .filter(|open| open.addr.port() == addr.port() && open.addr.is_ipv4() == addr.is_ipv4())
            .map(|open| &open.socket)
            .collect();
        if !sharing.is_empty() {
            sharing.push(&socket);
        }
        let share = |shared: bool| sharing.iter().try_for_each(|socket| socket.set_reuse_address(shared));
        // For the length of the call: afterwards nobody else can have the port either (socket(7)).
        let bound = share(true).and_then(|()| socket.bind(&addr.into()));
        share(false).and(bound).map_err(refused)?;
        Self::adopt(id, service, addr, socket).map_err(refused)
    }

    /// Takes over a socket that is bound already.
    pub(super) fn adopt(
        id: ListenerId,
        service: ServiceName,
        configured: SocketAddr,
        socket: Socket,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let addr = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        // Who made it may have been granted more than we would be.
        let receive_buffer = service.receive_buffer();
        if socket.recv_buffer_size()? < receive_buffer
            && setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer).is_err()
        {
            socket.set_recv_buffer_size(receive_buffer)?;
        }
        let send_buffer = service.send_buffer();
        if socket.send_buffer_size()? < send_buffer && setsockopt(&socket, sockopt::SndBufForce, &send_buffer).is_err()
        {
            socket.set_send_buffer_size(send_buffer)?;
        }
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        if service == ServiceName::Ntp {
            setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        }
        match addr {
            SocketAddr::V4(_) => {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
                setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
                socket.set_multicast_all_v4(false)?;
                socket.set_multicast_ttl_v4(1)?;
            }
            SocketAddr::V6(_) => {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
                setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
                socket.set_multicast_all_v6(false)?;
                socket.set_multicast_hops_v6(1)?;
            }
        }
        Ok(Self {
            id,
            service,
            configured,
            addr,
            readable: true,
            errored: true,
            blocked: false,
            watched: None,
            takes_bursts: getsockopt(&socket, sockopt::UdpGsoSegment).is_ok(),
            kernel_drops: sys::socket_memory(socket.as_fd())?.kernel_drops,
            socket,
        })
    }

    /// Has the poller tell when something arrives.
    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.watch(registry, Some(Interest::READABLE))
    }

    fn watch(&mut self, registry: &Registry, wanted: Option<Interest>) -> io::Result<()> {
        let (socket, token) = (self.socket.as_raw_fd(), self.token());
        match (self.watched, wanted) {
            (None, Some(interest)) => registry.register(&mut SourceFd(&socket), token, interest)?,
            (Some(was), Some(interest)) if was != interest => {
                registry.reregister(&mut SourceFd(&socket), token, interest)?;
            }
            (Some(_), None) => registry.deregister(&mut SourceFd(&socket))?,
            _ => {}
        }
        self.watched = wanted;
        Ok(())
    }

    /// Sets whether the socket takes no more, and asks the poller to tell when it does again.
    pub(super) fn set_blocked(&mut self, registry: &Registry, blocked: bool) {
        if self.blocked == blocked {
            return;
        }
        // Only while blocked: the kernel would wake us after every datagram that leaves.
        let interest = if blocked { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let watched = self.watch(registry, Some(interest));
        // Where the poller will not tell, each turn tries.
        self.blocked = blocked && watched.is_ok();
    }

    /// Takes the socket out of the poller, before it is closed.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.watch(registry, None)
    }

    pub(super) fn token(&self) -> Token {
        Token(usize::from(self.id.0))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether questions pile up in the socket, or answers, and take half of their room.
    pub(super) fn is_congested(&self) -> bool {
        let memory = sys::socket_memory(self.fd());
        memory.is_ok_and(|it| it.unread > it.receive_buffer / 2 || it.unsent > it.send_buffer / 2)
    }

    /// Joins a group on an interface.
    pub(super) fn join(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                self.socket.join_multicast_v4_n(&group, &socket2::InterfaceIndexOrAddress::Index(interface))
            }
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, interface),
        }
    }

    /// Leaves a group on an interface.
    pub(super) fn leave(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                self.socket.leave_multicast_v4_n(&group, &socket2::InterfaceIndexOrAddress::Index(interface))
            }
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, interface),
        }
    }

    /// Receives a batch of what waits; how much of it there is.
    ///
    /// From a full batch until the socket is found empty the poller does not watch it: it would be told of each datagram
    /// that comes, and of each that leaves, to wake somebody who does not sleep.
    ///
    /// Soft errors of datagrams that were sent before (a closed port) come up here; they are told in full by the error
    /// queue, and the call is made again.
    pub(super) fn receive(&mut self, receiver: &mut Receiver, registry: &Registry) -> usize {
        for _ in 0..2 {
            match receiver.receive(self.fd()) {
                Ok(count) => {
                    if count == sys::BATCH_MAX && !self.blocked {
                        // Who stays watched is only woken more often.
                        let _ = self.watch(registry, None);
                    }
                    self.readable = count == sys::BATCH_MAX || self.watched.is_none();
                    // Of errors the poller tells as little, and sendmmsg(2) of those in the midst of a batch.
                    self.errored |= self.watched.is_none();
                    return count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let interest = self.watched.unwrap_or(Interest::READABLE);
                    // Where the poller will not tell, each turn looks.
                    self.readable = self.watch(registry, Some(interest)).is_err();
                    return 0;
                }
                Err(_) => self.errored = true,
            }
        }
        // Without a `WouldBlock` something may wait: it is looked at again in the next turn.
        self.readable = true;
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::QUESTIONS_BUFFER;
    use mio::{Events, Poll};
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn a_socket_is_congested_from_when_it_is_half_full_until_it_is_read() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = Listener::bind(ListenerId(0), ServiceName::Time, any, std::iter::empty()).unwrap();
        let client = UdpSocket::bind(any).unwrap();
        let payload = [0; 16_000];
        let mut sent = 0;
        while !listener.is_congested() && sent < 10_000 {
            client.send_to(&payload, listener.addr).unwrap();
            sent += 1;
        }
        // The kernel counts its own structures too, and grants less than was asked for who may not have it.
        assert!((4..=QUESTIONS_BUFFER / payload.len() + 1).contains(&sent), "{sent}");
        let mut receiver = Receiver::new();
        let poll = Poll::new().unwrap();
        while listener.receive(&mut receiver, poll.registry()) > 0 {}
        assert!(!listener.is_congested());
    }

    #[test]
    fn a_socket_that_is_never_empty_is_not_watched_and_one_that_is_loses_nothing() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = Listener::bind(ListenerId(0), ServiceName::Time, any, std::iter::empty()).unwrap();
        let (mut poll, mut events, mut receiver) = (Poll::new().unwrap(), Events::with_capacity(8), Receiver::new());
        let client = UdpSocket::bind(any).unwrap();
        let mut is_told = |poll: &mut Poll| {
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            !events.is_empty()
        };
        listener.register(poll.registry()).unwrap();
        let addr = listener.addr;
        let send = |count: usize| (0..count).for_each(|_| assert_eq!(client.send_to(b"x", addr).unwrap(), 1));
        send(sys::BATCH_MAX + 1);
        assert!(is_told(&mut poll));
        listener.errored = false;
        assert_eq!((listener.receive(&mut receiver, poll.registry()), listener.readable), (sys::BATCH_MAX, true));
        assert!(listener.errored, "nor is it told of errors");
        send(1);
        assert!(!is_told(&mut poll), "nobody need be woken");
        assert_eq!((listener.receive(&mut receiver, poll.registry()), listener.readable), (2, true), "it is looked at");
        assert_eq!((listener.receive(&mut receiver, poll.registry()), listener.readable), (0, false));
        send(1);
        assert!(is_told(&mut poll), "it is watched again");
        listener.receive(&mut receiver, poll.registry());
        // What comes between the last look and the watch is told, too.
        send(sys::BATCH_MAX);
        listener.receive(&mut receiver, poll.registry());
        listener.readable = false;
        send(1);
        listener.watch(poll.registry(), Some(Interest::READABLE)).unwrap();
        assert!(is_told(&mut poll));
    }
}
