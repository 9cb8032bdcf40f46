//! What is to be sent, once it stands in an outbox: which bytes, and as how many datagrams.

use super::{NtpTimestamp, Path};

/// Bytes in the arena of an outbox, by their distance from the first byte ever stored there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    pub(super) start: u64,
    pub(super) len: u32,
    /// Length of each datagram but the last; never 0.
    pub(super) segment_len: u32,
    /// Whether its last bytes are the moment at which it leaves.
    pub(super) is_stamped: bool,
}

impl Payload {
    /// Stands for bytes that found no room.
    pub(super) const FORGOTTEN: Self = Self { start: u64::MAX, len: 0, segment_len: 1, is_stamped: false };

    /// The same payload without its last byte, if it has one.
    #[must_use]
    pub fn without_last(self) -> Self {
        Self { len: self.len.saturating_sub(1), ..self }
    }

    /// The same payload, one datagram, whose last bytes are to say when it leaves, as an
    /// [`NtpTimestamp`]: who sends it writes that in their place.
    #[must_use]
    pub fn stamped(self) -> Self {
        Self { is_stamped: true, ..self }
    }

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "an empty payload is a payload like any other")]
    pub fn len(self) -> usize {
        self.len as usize
    }

    pub(super) fn datagram_count(self) -> usize {
        datagram_count(self.len(), self.segment_len as usize)
    }
}

fn datagram_count(len: usize, segment_len: usize) -> usize {
    // An empty payload is one empty datagram; nearly all are one, and a division takes longer than all the rest.
    if len <= segment_len { 1 } else { len.div_ceil(segment_len) }
}

/// What goes on one path at once: a datagram, or the datagrams of a burst that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Where it goes.
    pub path: &'a Path,
    /// The datagrams, one behind the other.
    pub bytes: &'a [u8],
    /// Length of each datagram but the last, which may be shorter; never 0.
    pub segment_len: usize,
    /// Whether the moment at which it leaves stands in place of its last bytes, see [`Payload::stamped`].
    pub is_stamped: bool,
}

impl<'a> Delivery<'a> {
    /// The bytes that go out as they stand, and how many the sender writes behind them.
    pub fn parts(self) -> (&'a [u8], usize) {
        let stamp_len = if self.is_stamped { NtpTimestamp::LEN.min(self.bytes.len()) } else { 0 };
        (&self.bytes[..self.bytes.len() - stamp_len], stamp_len)
    }

    /// Datagrams in it.
    pub fn datagram_count(self) -> usize {
        datagram_count(self.bytes.len(), self.segment_len)
    }
}
