//! The control socket: a unix socket by which those who run the daemon ask it how it is, and tell it what to do.
//!
//! Its listener and its connections take their places in the turn like any other socket: nothing waits for them, each is
//! served at most one request a turn, and whatever a client does costs the services no more than that. Who may connect
//! is the affair of the socket's mode and group.

mod connection;
mod obey;

use crate::control::Request;
use crate::core::Instant;
use crate::core::limits::CONTROL_CONNECTIONS_MAX;
use connection::Connection;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The tokens of the other listeners are below.
const LISTENER: Token = Token(1 << 16);

/// The first of as many tokens as there may be connections.
const CONNECTIONS: usize = LISTENER.0 + 1;

/// Connections that the kernel keeps until we take them.
const BACKLOG: i32 = 64;

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// The listening socket and whoever is connected.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    /// The file of a socket that we made, which goes with it.
    _file: Option<File>,
    /// Connections may be waiting: edge-triggered, so it stays set until none has been found.
    readable: bool,
    connections: [Option<Connection>; CONTROL_CONNECTIONS_MAX],
    /// Whose turn it is to be obeyed.
    turn: usize,
}

impl Control {
    /// Listens at `path`, for a daemon that was started by hand. A socket that a dead daemon has left there is replaced.
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        let addr = SockAddr::unix(path)?;
        remove_stale(path, &addr)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&addr)?;
        let file = File::at(path)?;
        // Nobody can connect before the call after this.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        socket.listen(BACKLOG)?;
        Ok(Self { _file: Some(file), ..Self::adopt(socket.into())? })
    }

    /// Takes over a socket that listens already, as the service manager passes it. Its file is the manager's.
    pub(super) fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        if (socket.domain()?, socket.r#type()?) != (Domain::UNIX, Type::STREAM) || !socket.is_listener()? {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a unix stream socket that listens"));
        }
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from(OwnedFd::from(socket));
        Ok(Self { listener, _file: None, readable: true, connections: Default::default(), turn: 0 })
    }

    /// Has the poller tell of new connections.
    pub(super) fn register(&self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.listener.as_raw_fd()), LISTENER, Interest::READABLE)
    }

    /// Marks what an event says is ready; nothing when it is not about us.
    pub(super) fn mark(&mut self, event: &Event) {
        match event.token() {
            LISTENER => self.readable = true,
            Token(token) => {
                let connection = token.checked_sub(CONNECTIONS).and_then(|slot| self.connections.get_mut(slot));
                if let Some(connection) = connection.and_then(Option::as_mut) {
                    connection.mark(event.is_readable(), event.is_writable());
                }
            }
        }
    }

    /// Whether a turn would get on with something.
    pub(super) fn is_busy(&self) -> bool {
        self.readable || self.connections.iter().flatten().any(Connection::is_busy)
    }

    /// When the next connection has been idle for too long.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.connections.iter().flatten().map(Connection::deadline).min()
    }

    /// The next request of whom it is, and theirs after them the next time.
    fn next_request(&mut self, now: Instant) -> Option<(&mut Connection, Result<Request, String>)> {
        let slots = (0..CONTROL_CONNECTIONS_MAX).map(|step| (self.turn + step) % CONTROL_CONNECTIONS_MAX);
        for slot in slots {
            if let Some(request) = self.connections[slot].as_mut().and_then(|connection| connection.next_request(now)) {
                self.turn = slot + 1;
                return self.connections[slot].as_mut().map(|connection| (connection, request));
            }
        }
        None
    }

    /// Takes in who waits while there is place for one who does not ask for anything yet.
    fn accept(&mut self, now: Instant, registry: &Registry) {
        for _ in 0..CONTROL_CONNECTIONS_MAX {
            if !self.readable {
                break;
            }
            let Some(slot) = self.free_slot() else { break };
            match self.listener.accept() {
                Ok((stream, _)) => {
                    self.close(slot, registry);
                    let fd = stream.as_raw_fd();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    let watch = || registry.register(&mut SourceFd(&fd), Token(CONNECTIONS + slot), interest);
                    // One that cannot be had is closed.
                    let connection = Connection::new(stream, now);
                    self.connections[slot] = connection.and_then(|connection| watch().map(|()| connection)).ok();
                }
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                // Nobody waits; or there are no descriptors, and those who wait do so until the next comes.
                Err(_) => self.readable = false,
            }
        }
    }

    /// A slot for one more connection: a free one, or else that of the one that has been idle for the longest, if one is.
    fn free_slot(&self) -> Option<usize> {
        let idle = |slot: &usize| !self.connections[*slot].as_ref().is_some_and(Connection::is_busy);
        let age = |slot: &usize| self.connections[*slot].as_ref().map(Connection::deadline);
        (0..self.connections.len()).filter(idle).min_by_key(age)
    }

    fn close(&mut self, slot: usize, registry: &Registry) {
        if let Some(connection) = self.connections[slot].take() {
            // It is closed in a moment, and the poller forgets it then at the latest.
            let _ = registry.deregister(&mut SourceFd(&connection.fd()));
        }
    }

    fn close_finished(&mut self, now: Instant, registry: &Registry) {
        for slot in 0..self.connections.len() {
            if self.connections[slot].as_ref().is_some_and(|connection| connection.is_over(now)) {
                self.close(slot, registry);
            }
        }
    }
}

/// Removes the socket of a daemon that is no longer there; an error when it is, or when `path` is something else.
///
/// Two daemons that start at the same moment may both find the same dead one; that the first of them has the ports is
/// then what stops the second.
fn remove_stale(path: &Path, addr: &SockAddr) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "something else is there")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(addr) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // One that has more connections waiting than it takes would block, and is alive too.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(ErrorKind::AddrInUse, "another daemon answers there")),
    }
}

/// The file of a socket, removed when this is dropped if it is still the same.
#[derive(Debug)]
struct File {
    path: PathBuf,
    identity: (u64, u64),
}

impl File {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // What stays is replaced by the next daemon.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
