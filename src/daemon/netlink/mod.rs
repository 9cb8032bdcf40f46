//! The interface watch: which interfaces and addresses this host has, as soon as that changes.
//!
//! A non-blocking `NETLINK_ROUTE` socket, ours or one handed in, that hears of every change of an interface or an
//! address (rtnetlink(7)). The table comes as a whole and only when it differs from the last. `watch` makes it from
//! messages, `message` reads those; here are the system calls.
//!
//! It does not say what changed and changes nothing. It knows no names that are not UTF-8 and no addresses but IPv4
//! and IPv6.

pub mod message;
pub mod watch;

use crate::clock::Clock;
use crate::core::Interface;
use crate::core::limits::NETLINK_TURN_MAX;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{bind, getsockname, recvmsg, send, socket};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use watch::Watch;

/// The multicast groups of what we want to hear: 273, as systemd's `ListenNetlink=route 273` would say it.
const GROUPS: u32 = (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32;

/// As much as the kernel ever writes at once (netlink(7)).
const BUFFER_LEN: usize = 32 * 1024;

/// What came of one attempt to receive.
enum Received {
    Bytes(usize),
    /// Messages were lost on the way to us.
    Loss,
    /// From somebody who is not the kernel, or interrupted: as if nothing came.
    Nothing,
    /// Nothing waits.
    Drained,
}

/// The interface watch.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    watch: Watch,
    buffer: Vec<u8>,
    more_waits: bool,
}

impl Netlink {
    /// Opens a socket in this network namespace and asks for the table.
    ///
    /// # Errors
    ///
    /// When the kernel gives out no netlink sockets, such as to a process that systemd lets have `AF_UNIX` alone.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        Self::listen(socket)
    }

    /// Takes over a `NETLINK_ROUTE` socket, and asks for the table of the network namespace that it was made in.
    ///
    /// It may hear less than it should and have been used before: it is told what to hear, and what still waits in it
    /// is read as news: answers to its last owner may pass for ours, but ours come after them and then count as a
    /// change.
    ///
    /// # Errors
    ///
    /// When it is no netlink socket.
    pub fn from_fd(socket: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Self::listen(socket)
    }

    fn listen(socket: OwnedFd) -> io::Result<Self> {
        // Port 0, of a new socket, has the kernel choose one; a socket that has one may be bound to it once more.
        let port = getsockname::<NetlinkAddr>(socket.as_raw_fd())?.pid();
        bind(socket.as_raw_fd(), &NetlinkAddr::new(port, GROUPS))?;
        let port = getsockname::<NetlinkAddr>(socket.as_raw_fd())?.pid();
        let watch = Watch::new(port);
        let mut netlink = Self { socket, watch, buffer: vec![0; BUFFER_LEN], more_waits: false };
        // A poller that hears of edges alone needs one: the answer.
        netlink.ask()?;
        Ok(netlink)
    }

    /// Reads what waits, and asks the kernel for the table again when that says that it changed.
    ///
    /// `Some` is a table that differs from the last one, sorted by index. It reads a bounded number of messages: see
    /// [`Netlink::more_waits`].
    ///
    /// # Errors
    ///
    /// When the kernel refuses to tell the table, or the socket is broken. The last table is as good as before.
    pub fn on_readable(&mut self) -> io::Result<Option<Vec<Interface>>> {
        self.more_waits = false;
        for _ in 0..NETLINK_TURN_MAX {
            match self.receive()? {
                Received::Bytes(len) => self.watch.take(&self.buffer[..len]),
                Received::Loss => self.watch.lose(),
                Received::Nothing => {}
                Received::Drained => {
                    if !self.ask()? {
                        return self.watch.publish();
                    }
                }
            }
        }
        self.more_waits = true;
        self.watch.publish()
    }

    /// Whether the last [`Netlink::on_readable`] stopped at its bound: it is to be called again, though no poller that
    /// hears of edges alone will say so.
    pub const fn more_waits(&self) -> bool {
        self.more_waits
    }

    /// Waits for a table, at most `timeout`. This is for the start, before there is a loop.
    ///
    /// # Errors
    ///
    /// Those of [`Netlink::on_readable`], and [`io::ErrorKind::TimedOut`].
    pub fn wait_for_table(&mut self, timeout: Duration) -> io::Result<Vec<Interface>> {
        let clock = Clock::new();
        let deadline = clock.now().mono + timeout;
        loop {
            if let Some(table) = self.on_readable()? {
                return Ok(table);
            }
            let left = deadline.since(clock.now().mono);
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if !self.more_waits {
                self.wait(left)?;
            }
        }
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        // Rounded up, so that the last millisecond is not spent in a spin.
        let timeout = PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match nix::poll::poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends the next request, if there is one.
    fn ask(&mut self) -> io::Result<bool> {
        let Some(request) = self.watch.next_request() else { return Ok(false) };
        match send(self.socket.as_raw_fd(), &request, MsgFlags::MSG_DONTWAIT) {
            Ok(_) => Ok(true),
            Err(errno) => {
                self.watch.forget_request();
                Err(errno.into())
            }
        }
    }

    fn receive(&mut self) -> io::Result<Received> {
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        match recvmsg::<NetlinkAddr>(self.socket.as_raw_fd(), &mut slices, None, MsgFlags::MSG_DONTWAIT) {
            Ok(message) if message.address.is_none_or(|from| from.pid() != 0) => Ok(Received::Nothing),
            Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => Ok(Received::Loss),
            Ok(message) => Ok(Received::Bytes(message.bytes)),
            Err(Errno::ENOBUFS) => Ok(Received::Loss),
            Err(Errno::EINTR) => Ok(Received::Nothing),
            Err(Errno::EAGAIN) => Ok(Received::Drained),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn the_loopback_interface_is_in_the_table() {
        let mut netlink = Netlink::open().unwrap();
        let table = netlink.wait_for_table(SOON).unwrap();
        let lo = table.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.multicast);
        assert!(table.is_sorted_by_key(|interface| interface.index));
        assert_eq!(netlink.on_readable().unwrap(), None);
        assert!(!netlink.more_waits());
    }

    #[test]
    fn a_socket_that_is_handed_in_used_blocking_and_deaf_is_made_fit() {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), SockProtocol::NetlinkRoute).unwrap();
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, libc::RTMGRP_LINK as u32)).unwrap();
        // A dump that its last owner asked for with our first number, and did not read to its end.
        let stale = message::write_dump_request(libc::RTM_GETADDR, 1);
        send(fd.as_raw_fd(), &stale, MsgFlags::empty()).unwrap();
        nix::sys::socket::recv(fd.as_raw_fd(), &mut [0; BUFFER_LEN], MsgFlags::empty()).unwrap();
        let mut netlink = Netlink::from_fd(fd).unwrap();
        assert_eq!(getsockname::<NetlinkAddr>(netlink.as_fd().as_raw_fd()).unwrap().groups(), GROUPS);
        let table = netlink.wait_for_table(SOON).unwrap();
        assert_eq!(table, Netlink::open().unwrap().wait_for_table(SOON).unwrap());
        assert_eq!(netlink.on_readable().unwrap(), None);
    }

    #[test]
    fn what_is_no_netlink_socket_is_refused() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(Netlink::from_fd(udp.into()).is_err());
    }
}
