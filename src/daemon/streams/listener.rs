//! The sockets that services are connected to at.
//!
//! Like those for datagrams, each address has a socket of its own, and whoever made it, [`StreamListener::adopt`] sets what
//! Belfry relies on. What is set here holds for the connections too.

use crate::core::limits::CONNECTION_BUFFER;
use crate::core::{Instant, ListenerId};
use crate::daemon::error::{Fatal, errno_text};
use crate::daemon::sys;
use crate::services::ServiceName;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Those of the datagrams' listeners and of the control socket are below.
pub(super) const LISTENERS: usize = 1 << 17;

/// Connections that the kernel keeps until we take them.
const BACKLOG: i32 = 1_024;

/// How long nobody is taken in when there are no file descriptors or no memory, unless a connection ends before.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens, and what the loop knows of it.
#[derive(Debug)]
pub(in crate::daemon) struct StreamListener {
    pub(in crate::daemon) id: ListenerId,
    pub(in crate::daemon) service: ServiceName,
    /// The address that the configuration names; its port may be 0.
    pub(in crate::daemon) configured: SocketAddr,
    /// The address that the socket has.
    pub(in crate::daemon) addr: SocketAddr,
    /// Connections may be waiting: edge-triggered, so it stays set until none has been found.
    pub(super) readable: bool,
    /// Until when nobody is taken in.
    pub(super) paused: Option<Instant>,
    socket: TcpListener,
}

/// Somebody who has connected.
pub(super) struct Arrival {
    pub(super) socket: TcpStream,
    pub(super) remote: SocketAddr,
    /// The interface that it came by; 0 when the kernel did not say.
    pub(super) arrived_on: u32,
}

impl StreamListener {
    /// Binds a socket for a service, and listens. Sockets of ours that are `closing` at the same port are not in its way.
    pub(in crate::daemon) fn bind<'a>(
        id: ListenerId,
        service: ServiceName,
        addr: SocketAddr,
        closing: impl Iterator<Item = &'a Self>,
    ) -> Result<Self, Fatal> {
        let refused = |error: io::Error| Fatal::Bind { service, addr, reason: errno_text(&error) };
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP)).map_err(refused)?;
        if addr.is_ipv6() {
            socket.set_only_v6(true).map_err(refused)?;
        }
        // What connections of the daemon before have left behind does not matter.
        socket.set_reuse_address(true).map_err(refused)?;
        let sharing: Vec<_> = closing
            .filter(|open| open.addr.port() == addr.port() && open.addr.is_ipv4() == addr.is_ipv4())
            .map(|open| open.socket.as_fd())
            .collect();
        let share = |shared: bool| -> io::Result<()> {
            if sharing.is_empty() {
                return Ok(());
            }
            let all = sharing.iter().copied().chain([socket.as_fd()]);
            all.into_iter().try_for_each(|fd| Ok(setsockopt(&fd, sockopt::ReusePort, &shared)?))
        };
        // For the length of the calls: afterwards nobody else can have the port either.
        let bound = share(true).and_then(|()| socket.bind(&addr.into())).and_then(|()| socket.listen(BACKLOG));
        share(false).and(bound).map_err(refused)?;
        Self::adopt(id, service, addr, socket).map_err(refused)
    }

    /// Takes over a socket that listens already.
    pub(in crate::daemon) fn adopt(
        id: ListenerId,
        service: ServiceName,
        configured: SocketAddr,
        socket: Socket,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let addr = socket.local_addr()?.as_socket().ok_or(ErrorKind::InvalidInput)?;
        socket.set_recv_buffer_size(CONNECTION_BUFFER)?;
        socket.set_send_buffer_size(CONNECTION_BUFFER)?;
        if addr.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        let socket = TcpListener::from(OwnedFd::from(socket));
        Ok(Self { id, service, configured, addr, readable: true, paused: None, socket })
    }

    /// Has the poller tell when somebody connects.
    pub(in crate::daemon) fn register(&self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), self.token(), Interest::READABLE)
    }

    /// Takes the socket out of the poller, before it is closed.
    pub(super) fn deregister(&self, registry: &Registry) {
        // It is closed in a moment, and the poller forgets it then at the latest.
        let _ = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
    }

    fn token(&self) -> Token {
        Token(LISTENERS + usize::from(self.id.0))
    }

    /// Whether somebody may be waiting who can be taken in.
    pub(super) fn is_busy(&self) -> bool {
        self.readable && self.paused.is_none()
    }

    /// Takes in again who waits, once that was put off for long enough.
    pub(super) fn resume(&mut self, now: Instant) {
        self.paused = self.paused.filter(|&until| now < until);
    }

    /// The next who has connected, if there is one who can be taken in.
    pub(super) fn accept(&mut self, now: Instant) -> Option<Arrival> {
        while self.is_busy() {
            match self.socket.accept() {
                Ok((socket, remote)) => {
                    let arrived_on = sys::arrival_interface(socket.as_fd(), self.addr.is_ipv4());
                    return Some(Arrival { socket, remote, arrived_on });
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.readable = false,
                    // Those who do not wait for us.
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    // No descriptors, no memory, or what only accept(2) knows of networks: whoever waits goes on waiting.
                    _ => self.paused = Some(now + PAUSE),
                },
            }
        }
        None
    }
}
