//! One connection to the control socket: lines in, lines out, and neither without end.
//!
//! Requests are taken one by one: the next is not even read while the answer to the last has not left, so that a client
//! that does not read keeps only itself waiting. A request may take [`CONTROL_PATIENCE`] to come, however many bytes of
//! it have, and its answer as long to leave.

use crate::control::{self, Answer, Outcome, Request, outcome_line};
use crate::core::Instant;
use crate::core::limits::{CONTROL_ANSWER_MAX, CONTROL_PATIENCE, CONTROL_REQUEST_MAX};
use crate::daemon::endpoint::Endpoint;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;

/// What the kernel says of a user whom this process' user namespace does not have, as in the packaged sandbox everybody
/// but root and belfry (`/proc/sys/kernel/overflowuid`, user_namespaces(7)).
const OVERFLOW_UID: u32 = 65_534;

/// Who is at the other end, as the kernel noted when it connected (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pid: i32,
    uid: u32,
}

impl fmt::Display for Peer {
    /// `process 4711 of user 0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            OVERFLOW_UID => write!(f, "process {} of another user", self.pid),
            uid => write!(f, "process {} of user {uid}", self.pid),
        }
    }
}

/// A client, what has come of its next request, and what has not left of the answer to the last.
#[derive(Debug)]
pub(super) struct Connection {
    endpoint: Endpoint<UnixStream>,
    pub(super) peer: Peer,
    deadline: Instant,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let credentials = getsockopt(&stream, PeerCredentials)?;
        Ok(Self {
            endpoint: Endpoint::new(stream, CONTROL_ANSWER_MAX + "\n".len()),
            peer: Peer { pid: credentials.pid(), uid: credentials.uid() },
            deadline: now + CONTROL_PATIENCE,
        })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.endpoint.fd()
    }

    /// Notes what the poller told.
    pub(super) fn mark(&mut self, readable: bool, writable: bool) {
        self.endpoint.mark(readable, writable);
    }

    /// Whether a turn would get on with something.
    pub(super) fn is_busy(&self) -> bool {
        if self.endpoint.output.is_empty() {
            self.has_request() || self.endpoint.is_readable()
        } else {
            self.endpoint.is_sendable()
        }
    }

    /// When it is closed, if nothing moves before.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it is to be closed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let done = self.endpoint.is_ended() && self.endpoint.output.is_empty() && !self.has_request();
        self.endpoint.is_broken() || done || self.deadline <= now
    }

    /// The next request, or what is wrong with it; `None` while there is none, or an answer is still to leave.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Result<Request, String>> {
        if !self.endpoint.output.is_empty() {
            return None;
        }
        if !self.has_request() {
            // As far as a request with its newline may go.
            self.endpoint.read(CONTROL_REQUEST_MAX + 1);
        }
        let input = &self.endpoint.input;
        let request = match input.iter().position(|&byte| byte == b'\n') {
            Some(len) => {
                let request = Request::parse(&input[..len]);
                self.endpoint.take(len + 1);
                request
            }
            None if input.len() <= CONTROL_REQUEST_MAX => return None,
            None => {
                // Where the next would begin is anybody's guess.
                self.endpoint.stop_reading();
                Err(control::too_long())
            }
        };
        self.deadline = now + CONTROL_PATIENCE;
        Some(request)
    }

    /// Puts the answer to the last request on its way.
    pub(super) fn answer(&mut self, outcome: &Outcome<Answer>) {
        self.endpoint.output.push(outcome_line(outcome).as_bytes());
        self.endpoint.output.push(b"\n");
    }

    /// Sends as much as the socket takes.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.endpoint.write() > 0 && self.endpoint.output.is_empty() {
            self.deadline = now + CONTROL_PATIENCE;
        }
    }

    fn has_request(&self) -> bool {
        self.endpoint.input.contains(&b'\n')
    }
}
