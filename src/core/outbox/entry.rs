//! What waits in an outbox: messages, each a payload and who gets it, and the deliveries that they come to.

use super::Outbox;
use crate::core::{Instant, NtpTimestamp, Path};
use std::collections::vec_deque;
use std::net::SocketAddr;
use std::rc::Rc;

/// Bytes in the arena, by their distance from the first byte ever stored there.
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

    fn datagram_count(self) -> usize {
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

#[derive(Debug)]
pub(super) enum Recipients {
    One(Path),
    Room { paths: Rc<Vec<Path>>, except: Option<SocketAddr> },
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stored: Instant,
    pub(super) payload: Payload,
    recipients: Recipients,
    /// The place of the next recipient.
    next: usize,
    /// Datagrams that the next recipient was sent already.
    sent: usize,
}

impl Entry {
    pub(super) fn new(stored: Instant, payload: Payload, recipients: Recipients) -> Self {
        Self { stored, payload, recipients, next: 0, sent: 0 }
    }

    /// Datagrams at the most; one recipient may be left out.
    pub(super) fn len(&self) -> usize {
        let recipients = match &self.recipients {
            Recipients::One(_) => 1,
            Recipients::Room { paths, .. } => paths.len(),
        };
        recipients * self.payload.datagram_count()
    }

    /// Datagrams that are not sent, counted in the same way.
    pub(super) fn left(&self) -> usize {
        self.len() - self.next * self.payload.datagram_count() - self.sent
    }

    /// Takes the next datagrams off, `count` of them or as many as there are; how many that was.
    pub(super) fn advance(&mut self, count: usize) -> usize {
        let each = self.payload.datagram_count();
        let mut left = count;
        while left > 0
            && let Some((place, _)) = self.recipient(self.next)
        {
            let taken = left.min(each - self.sent);
            left -= taken;
            (self.next, self.sent) =
                if self.sent + taken == each { (place + 1, 0) } else { (place, self.sent + taken) };
        }
        count - left
    }

    pub(super) fn is_finished(&self) -> bool {
        self.recipient(self.next).is_none()
    }

    /// The recipient at `at` or the next one that is not left out, with its place.
    fn recipient(&self, at: usize) -> Option<(usize, &Path)> {
        match &self.recipients {
            Recipients::One(path) => (at == 0).then_some((0, path)),
            Recipients::Room { paths, except } => {
                paths.iter().enumerate().skip(at).find(|(_, path)| Some(path.remote) != *except)
            }
        }
    }
}

/// What waits in an outbox, in order: see [`Outbox::deliveries`].
#[derive(Clone, Debug)]
pub struct Deliveries<'a> {
    outbox: &'a Outbox,
    entries: vec_deque::Iter<'a, Entry>,
    /// The entry that it has come to, and its payload.
    current: Option<(&'a Entry, &'a [u8])>,
    /// The place of the next recipient there, and the datagrams that are behind.
    at: usize,
    sent: usize,
    piece_max: usize,
}

impl<'a> Deliveries<'a> {
    pub(super) fn new(outbox: &'a Outbox, piece_max: usize) -> Self {
        Self { outbox, entries: outbox.entries.iter(), current: None, at: 0, sent: 0, piece_max }
    }
}

impl<'a> Iterator for Deliveries<'a> {
    type Item = Delivery<'a>;

    fn next(&mut self) -> Option<Delivery<'a>> {
        loop {
            let (entry, bytes) = match self.current {
                Some(current) => current,
                None => {
                    let entry = self.entries.next()?;
                    (self.at, self.sent) = (entry.next, entry.sent);
                    *self.current.insert((entry, self.outbox.bytes(entry.payload)))
                }
            };
            let Some((place, path)) = entry.recipient(self.at) else {
                self.current = None;
                continue;
            };
            let segment_len = entry.payload.segment_len as usize;
            let left = &bytes[self.sent * segment_len..];
            let piece = &left[..left.len().min(segment_len.saturating_mul(self.piece_max))];
            (self.at, self.sent) =
                if piece.len() == left.len() { (place + 1, 0) } else { (place, self.sent + self.piece_max) };
            return Some(Delivery { path, bytes: piece, segment_len, is_stamped: entry.payload.is_stamped });
        }
    }
}
