//! A datagram in the making: frames together, as far as they fit.

use crate::core::frame::{SessionId, write_frame};
use crate::core::limits::DATAGRAM_MAX;

/// A datagram to which frames are added.
#[derive(Debug)]
pub(super) struct Packet {
    bytes: Vec<u8>,
    /// How long it is with nothing in it.
    head: usize,
}

impl Packet {
    /// An empty one, of this session.
    pub(super) fn new(session: Option<SessionId>) -> Self {
        let mut bytes = Vec::new();
        if let Some(session) = session {
            write_frame(&mut bytes, format_args!("as {session}"));
        }
        Self { head: bytes.len(), bytes }
    }

    /// Adds a frame if there is room for it.
    pub(super) fn push(&mut self, frame: &[u8]) -> bool {
        let fits = self.bytes.len() + frame.len() <= DATAGRAM_MAX;
        if fits {
            self.bytes.extend_from_slice(frame);
        }
        fits
    }

    /// How much there is room for.
    pub(super) fn room(&self) -> usize {
        DATAGRAM_MAX - self.bytes.len()
    }

    /// The datagram, unless nothing is in it.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (self.bytes.len() > self.head).then_some(self.bytes)
    }
}
