//! One end of a byte stream that does not block: what has come and was not taken yet, and what has not left yet.
//!
//! The poller is edge-triggered, so both directions stay marked until the kernel has said that there is no more. How much is
//! read ahead is for the caller to say, who thereby keeps a sender waiting whose reader is slow.

use crate::core::Output;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

/// A connected socket with what waits on its two sides.
#[derive(Debug)]
pub(super) struct Endpoint<S> {
    pub(super) socket: S,
    pub(super) input: Vec<u8>,
    pub(super) output: Output,
    /// There may be something to read: it stays set until nothing has been found.
    readable: bool,
    /// The socket may take more.
    writable: bool,
    /// Nothing comes any more.
    ended: bool,
    /// Nothing can be sent or received any more.
    broken: bool,
}

impl<S: Read + Write + AsRawFd> Endpoint<S> {
    /// A socket that is set not to block, with room for so many bytes that wait to be sent.
    pub(super) fn new(socket: S, output_max: usize) -> Self {
        Self {
            socket,
            input: Vec::new(),
            output: Output::new(output_max),
            readable: true,
            writable: true,
            ended: false,
            broken: false,
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Notes what the poller told.
    pub(super) fn mark(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Whether there may be something to read.
    pub(super) fn is_readable(&self) -> bool {
        self.readable && !self.ended && !self.broken
    }

    /// Whether there is something to send that the socket may take.
    pub(super) fn is_sendable(&self) -> bool {
        self.writable && !self.output.is_empty() && !self.broken
    }

    /// Whether nothing comes any more.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing can be sent or received any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Takes no more of what comes.
    pub(super) fn stop_reading(&mut self) {
        self.ended = true;
        self.input.clear();
    }

    /// Reads what is there until `input_max` bytes wait to be taken; how many have come.
    pub(super) fn read(&mut self, input_max: usize) -> usize {
        let before = self.input.len();
        while self.is_readable() && self.input.len() < input_max {
            let filled = self.input.len();
            self.input.resize(input_max, 0);
            let read = self.socket.read(&mut self.input[filled..]);
            self.input.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.readable = false,
                    _ => self.broken = true,
                },
            }
        }
        let read = self.input.len() - before;
        if self.input.is_empty() {
            // With its memory: connections are mostly idle.
            self.input = Vec::new();
        }
        read
    }

    /// Takes so many bytes off the front of what has come.
    pub(super) fn take(&mut self, len: usize) {
        self.input.drain(..len);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    /// Sends as much as the socket takes; how many bytes that were.
    pub(super) fn write(&mut self) -> usize {
        let mut written = 0;
        while self.is_sendable() {
            match self.socket.write(self.output.pending()) {
                Ok(len) => {
                    self.output.advance(len);
                    written += len;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.writable = false,
                    _ => self.broken = true,
                },
            }
        }
        written
    }
}
