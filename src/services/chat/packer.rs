//! Frames that wait for the end of the turn, packed into as few datagrams as hold them.

use crate::core::limits::DATAGRAM_MAX;
use crate::core::{Outbox, Payload};

/// Datagrams in the making.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    /// Where each datagram ends, but for the last.
    ends: Vec<usize>,
}

impl Packer {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn fits(&self, len: usize) -> bool {
        self.bytes.len() - self.ends.last().unwrap_or(&0) + len <= DATAGRAM_MAX
    }

    /// Adds a frame, which fits a datagram.
    pub(super) fn add(&mut self, frame: &[u8]) {
        debug_assert!(frame.len() <= DATAGRAM_MAX, "a frame is never cut");
        if !self.fits(frame.len()) {
            self.ends.push(self.bytes.len());
        }
        self.bytes.extend_from_slice(frame);
    }

    /// Stores what waits, and hands each payload to `send`.
    pub(super) fn send(&self, out: &mut Outbox, mut send: impl FnMut(Payload, &mut Outbox)) {
        let mut start = 0;
        for end in self.ends.iter().copied().chain([self.bytes.len()]) {
            if end > start {
                let payload = out.store(&self.bytes[start..end]);
                send(payload, out);
            }
            start = end;
        }
    }

    /// Forgets what waited.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}
