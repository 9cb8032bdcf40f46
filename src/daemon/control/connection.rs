//! One connection to the control socket: lines in, lines out, and neither without end.
//!
//! Requests are taken one by one: the next is not even read while the answer to the last has not left, so that a client
//! that does not read keeps only itself waiting. A request may take [`CONTROL_PATIENCE`] to come, however many bytes of
//! it have, and its answer as long to leave.

use crate::control::{self, Answer, Outcome, Request, outcome_line};
use crate::core::Instant;
use crate::core::limits::{CONTROL_PATIENCE, CONTROL_REQUEST_MAX};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
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
    stream: UnixStream,
    pub(super) peer: Peer,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of `output` that have left.
    sent: usize,
    /// There may be something to read: edge-triggered, so it stays set until nothing has been found.
    readable: bool,
    /// The socket may take more.
    writable: bool,
    /// No more requests are taken.
    ending: bool,
    /// Nothing more can be sent.
    broken: bool,
    deadline: Instant,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let credentials = getsockopt(&stream, PeerCredentials)?;
        Ok(Self {
            stream,
            peer: Peer { pid: credentials.pid(), uid: credentials.uid() },
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            readable: true,
            writable: true,
            ending: false,
            broken: false,
            deadline: now + CONTROL_PATIENCE,
        })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Notes what the poller told.
    pub(super) fn mark(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Whether a turn would get on with something.
    pub(super) fn is_busy(&self) -> bool {
        if self.output.is_empty() { self.has_request() || (self.readable && !self.ending) } else { self.writable }
    }

    /// When it is closed, if nothing moves before.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it is to be closed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let done = self.ending && self.output.is_empty() && !self.has_request();
        self.broken || done || self.deadline <= now
    }

    /// The next request, or what is wrong with it; `None` while there is none, or an answer is still to leave.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Result<Request, String>> {
        if !self.output.is_empty() {
            return None;
        }
        if !self.has_request() {
            self.read();
        }
        let request = match self.input.iter().position(|&byte| byte == b'\n') {
            Some(len) => {
                let request = Request::parse(&self.input[..len]);
                self.input.drain(..=len);
                request
            }
            None if self.input.len() <= CONTROL_REQUEST_MAX => return None,
            None => {
                // Where the next would begin is anybody's guess.
                self.ending = true;
                self.input.clear();
                Err(control::too_long())
            }
        };
        self.deadline = now + CONTROL_PATIENCE;
        Some(request)
    }

    /// Puts the answer to the last request on its way.
    pub(super) fn answer(&mut self, outcome: &Outcome<Answer>) {
        self.output = outcome_line(outcome).into_bytes();
        self.output.push(b'\n');
        self.sent = 0;
    }

    /// Sends as much as the socket takes.
    pub(super) fn flush(&mut self, now: Instant) {
        while self.writable && self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.writable = false,
                    _ => {
                        self.broken = true;
                        return;
                    }
                },
            }
        }
        if !self.output.is_empty() && self.sent == self.output.len() {
            // With its memory: answers may be long, and connections idle.
            self.output = Vec::new();
            self.deadline = now + CONTROL_PATIENCE;
        }
    }

    fn has_request(&self) -> bool {
        self.input.contains(&b'\n')
    }

    /// Reads what is there, as far as a request with its newline may go.
    fn read(&mut self) {
        const ROOM: usize = CONTROL_REQUEST_MAX + 1;
        while self.readable && !self.ending && !self.broken && self.input.len() < ROOM {
            let filled = self.input.len();
            self.input.resize(ROOM, 0);
            let read = self.stream.read(&mut self.input[filled..]);
            self.input.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => self.ending = true,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.readable = false,
                    _ => self.broken = true,
                },
            }
        }
    }
}
