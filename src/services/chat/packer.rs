//! Frames that wait to be sent, packed into as few datagrams as hold them, and those into bursts.

use crate::core::limits::{BURST_MAX, DATAGRAM_MAX};
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

    /// Whether as much waits as one burst holds.
    pub(super) fn is_burst(&self) -> bool {
        self.ends.len() >= BURST_MAX
    }

    /// Adds a frame, which fits a datagram.
    pub(super) fn add(&mut self, frame: &[u8]) {
        debug_assert!(frame.len() <= DATAGRAM_MAX, "a frame is never cut");
        let begin = self.ends.last().copied().unwrap_or(0);
        if self.bytes.len() - begin + frame.len() > DATAGRAM_MAX {
            self.ends.push(self.bytes.len());
        }
        self.bytes.extend_from_slice(frame);
    }

    fn datagrams(&self) -> Vec<&[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let ends = self.ends.iter().copied().chain([self.bytes.len()]);
        begins.zip(ends).map(|(begin, end)| &self.bytes[begin..end]).collect()
    }

    /// Stores what waits, and hands each payload to `send`. The datagrams of a burst are of one length, but for the last:
    /// zero bytes fill them up.
    pub(super) fn send(&self, out: &mut Outbox, mut send: impl FnMut(Payload, &mut Outbox)) {
        if self.is_empty() {
            return;
        }
        for burst in self.datagrams().chunks(BURST_MAX) {
            let len = burst.iter().map(|datagram| datagram.len()).max().unwrap_or_default();
            let payload = match burst {
                [datagram] => out.store(datagram),
                _ => {
                    let mut bytes = Vec::with_capacity(burst.len() * len);
                    for (number, datagram) in burst.iter().enumerate() {
                        bytes.resize(number * len, 0);
                        bytes.extend_from_slice(datagram);
                    }
                    out.store_burst(&bytes, len)
                }
            };
            send(payload, out);
        }
    }

    /// Forgets what waited.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        // What was much once is not kept for ever.
        self.bytes.shrink_to(DATAGRAM_MAX);
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ListenerId, Path};

    fn packed(frames: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut packer, mut out) = (Packer::default(), Outbox::default());
        frames.iter().for_each(|frame| packer.add(frame));
        let path = Path::to(ListenerId(0), "127.0.0.1:9".parse().expect("an address"));
        packer.send(&mut out, |payload, out| out.send_payload(path, payload));
        out.pending().map(|(_, datagram)| datagram.to_vec()).collect()
    }

    #[test]
    fn frames_share_datagrams_and_none_is_cut() {
        let (half, most) = (vec![b'a'; DATAGRAM_MAX / 2], vec![b'b'; DATAGRAM_MAX]);
        assert_eq!(packed(&[]), Vec::<Vec<u8>>::new());
        assert_eq!(packed(&[&half, &half]), [[&half[..], &half].concat()], "at the bound");
        let padded = |frame: &[u8], len: usize| [frame, &vec![0; len - frame.len()]].concat();
        assert_eq!(packed(&[&half, &half, b"c"]), [[&half[..], &half].concat(), b"c".to_vec()], "one byte past it");
        assert_eq!(packed(&[&half, &most, b"c"]), [padded(&half, DATAGRAM_MAX), most.clone(), b"c".to_vec()]);
        assert_eq!(packed(&[b"c", &most]), [padded(b"c", DATAGRAM_MAX), most.clone()]);
    }

    #[test]
    fn a_burst_has_a_bound_and_what_is_more_is_another() {
        let most = vec![b'b'; DATAGRAM_MAX];
        let frames = vec![&most[..]; BURST_MAX + 1];
        let (mut packer, mut out, mut payloads) = (Packer::default(), Outbox::default(), Vec::new());
        frames.iter().for_each(|frame| packer.add(frame));
        packer.send(&mut out, |payload, _| payloads.push(payload.len()));
        assert_eq!(payloads, [BURST_MAX * DATAGRAM_MAX, DATAGRAM_MAX]);
    }
}
