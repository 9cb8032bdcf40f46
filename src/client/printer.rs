//! Standard output whose reader may stop, or go, while there is something else to do.
//!
//! What is to be printed waits here, and is written when poll(2) says that it can be, so that signals and the hub are heard
//! meanwhile. Whoever prints asks [`Printer::has_room`] before it takes more.

use super::Failure;
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::os::fd::AsFd;

/// Bytes that are written at once: what a pipe takes without a wait when it takes something (`PIPE_BUF`, pipe(7)). More than
/// that does not wait.
const PRINTED_MAX: usize = 4_096;

/// What is not printed so far.
#[derive(Debug, Default)]
pub(super) struct Printer {
    unprinted: Vec<u8>,
}

/// Whether anybody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Present,
    Gone,
}

impl Printer {
    /// One more text.
    pub(super) fn print(&mut self, text: &str) {
        self.unprinted.extend_from_slice(text.as_bytes());
    }

    /// Whether more should be taken.
    pub(super) fn has_room(&self) -> bool {
        self.unprinted.len() < PRINTED_MAX
    }

    /// Whether everything is printed.
    pub(super) fn is_empty(&self) -> bool {
        self.unprinted.is_empty()
    }

    /// What to ask of poll(2). Where nothing is asked, that the reader has gone is told all the same.
    pub(super) fn wanted(&self) -> PollFlags {
        if self.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT }
    }

    /// Writes what poll(2) has said that can be written.
    pub(super) fn write(&mut self, out: &impl AsFd, told: PollFlags) -> Result<Reader, Failure> {
        if told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            return Ok(Reader::Gone);
        }
        if told.contains(PollFlags::POLLOUT) && !self.is_empty() {
            let len = self.unprinted.len().min(PRINTED_MAX);
            match nix::unistd::write(out, &self.unprinted[..len]) {
                Ok(len) => drop(self.unprinted.drain(..len)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(Errno::EPIPE) => return Ok(Reader::Gone),
                Err(error) => return Err(Failure::printing(error.into())),
            }
        }
        Ok(Reader::Present)
    }
}
