//! One connection: bytes between a socket and a conversation, and never more of them than there is room for.
//!
//! Whoever reads slowly is answered slowly: while the output has no room the conversation takes nothing, what it does not take
//! fills the input, and while that is full nothing is read, so that in the end the kernel has the sender wait.

use super::listener::Arrival;
use crate::core::limits::{CONNECTION_INPUT_MAX, CONNECTION_OUTPUT_MAX, LINGER_MAX};
use crate::core::source::Source;
use crate::core::{Instant, Now};
use crate::daemon::endpoint::Endpoint;
use crate::services::{Conversation, ServiceName};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes that one connection moves in a turn, in and out together, before it is the turn of the next.
const TURN_BYTES: usize = 2 * (CONNECTION_INPUT_MAX + CONNECTION_OUTPUT_MAX);

/// What comes of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that were moved.
    pub(super) moved: usize,
    /// Whether there is more to do without waiting for anything.
    pub(super) more: bool,
}

/// A connection of a service.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) service: ServiceName,
    pub(super) remote: SocketAddr,
    /// The interface that it came by.
    pub(super) arrived_on: u32,
    pub(super) source: Source,
    pub(super) endpoint: Endpoint<TcpStream>,
    conversation: Box<dyn Conversation>,
    /// When something last moved, or all was said.
    active: Instant,
    /// When to look whether that is too long ago.
    pub(super) armed: Instant,
    /// Whether it stands in the queue of those who have something to do.
    pub(super) queued: bool,
    /// All has been said, and what still comes is not wanted.
    lingers: bool,
    over: bool,
}

impl Connection {
    pub(super) fn new(
        service: ServiceName,
        source: Source,
        arrival: Arrival,
        conversation: Box<dyn Conversation>,
        now: Instant,
    ) -> Self {
        Self {
            service,
            remote: arrival.remote,
            arrived_on: arrival.arrived_on,
            source,
            endpoint: Endpoint::new(arrival.socket, CONNECTION_OUTPUT_MAX),
            conversation,
            active: now,
            armed: now,
            queued: false,
            lingers: false,
            over: false,
        }
    }

    /// Has the poller tell when something comes or leaves.
    pub(super) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = &self.endpoint.socket;
        socket.set_nonblocking(true)?;
        // Whoever waits for the answer to a keystroke does not wait for that to the next.
        socket.set_nodelay(true)?;
        registry.register(&mut SourceFd(&self.endpoint.fd()), token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether it is to be closed.
    pub(super) fn is_over(&self) -> bool {
        self.over || self.endpoint.is_broken()
    }

    /// When it is closed, if nothing moves until then.
    pub(super) fn deadline(&self, idle_timeout: Duration) -> Instant {
        self.active + if self.lingers { LINGER_MAX } else { idle_timeout }
    }

    /// Moves what can be moved, as far as the budget of a turn allows.
    pub(super) fn proceed(&mut self, now: &Now) -> Progress {
        let mut moved = 0;
        while !self.is_over() && moved < TURN_BYTES {
            let lingered = self.lingers;
            let step = if lingered { self.discard() } else { self.step(now) };
            moved += step;
            if !lingered && (step > 0 || self.lingers) {
                self.active = now.mono;
            }
            if step == 0 && self.lingers == lingered {
                return Progress { moved, more: false };
            }
        }
        Progress { moved, more: !self.is_over() }
    }

    /// Reads, has the conversation take of it, and writes; how many bytes moved.
    fn step(&mut self, now: &Now) -> usize {
        let endpoint = &mut self.endpoint;
        let mut moved = endpoint.write();
        if !endpoint.output.is_ended() {
            // Not while the output is full, so that nothing is read that would only wait.
            if endpoint.output.room() > 0 {
                moved += endpoint.read(CONNECTION_INPUT_MAX);
            }
            let taken = self.conversation.proceed(now, &endpoint.input, endpoint.is_ended(), &mut endpoint.output);
            endpoint.take(taken);
            moved += taken + endpoint.write();
        }
        if moved == 0 && endpoint.output.is_empty() {
            if endpoint.is_ended() {
                // Whatever of the input is left then is nothing that the conversation can use.
                self.over = true;
            } else if endpoint.output.is_ended() {
                // Nothing can be done where it fails but to close.
                self.over = endpoint.socket.shutdown(Shutdown::Write).is_err();
                endpoint.take(endpoint.input.len());
                self.lingers = true;
            }
        }
        moved
    }

    /// Reads what still comes, for nobody.
    fn discard(&mut self) -> usize {
        let read = self.endpoint.read(CONNECTION_INPUT_MAX);
        self.endpoint.take(self.endpoint.input.len());
        self.over = self.endpoint.is_ended();
        read
    }
}
