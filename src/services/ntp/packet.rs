//! The packet of NTP, as far as a server needs it (RFC 5905 §7.3; the same 48 bytes in all versions since RFC 1059).

use crate::core::NtpTimestamp;
use std::time::Duration;

/// The length of a question and of its answer.
///
/// What is longer carries extension fields (RFC 7822) or a code that proves who has sent it, and asks for the same: whoever
/// sends them takes an answer without them for a forgery. What is shorter is no NTP.
pub(super) const LEN: usize = 48;

/// The mode of a question.
const CLIENT: u8 = 3;
/// The mode of an answer.
const SERVER: u8 = 4;

/// The leap indicator of a clock that is not synchronised.
pub(super) const ALARM: u8 = 3;

/// What a question says that its answer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    version: u8,
    poll: u8,
    sent: NtpTimestamp,
}

impl Question {
    /// Reads a question of a client, and nothing else: who answers answers would never be silent again.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let packet: &[u8; LEN] = payload.try_into().ok()?;
        let (version, mode) = (packet[0] >> 3 & 7, packet[0] & 7);
        let is_question = match version {
            // There was no mode yet: its place is zero.
            1 => mode == 0 || mode == CLIENT,
            2..=4 => mode == CLIENT,
            _ => false,
        };
        let (_, sent) = packet.split_last_chunk()?;
        is_question.then(|| Self { version, poll: packet[2], sent: NtpTimestamp::from_bytes(*sent) })
    }

    /// The answer, but for the moment at which it leaves: who sends it writes that over the last eight bytes.
    pub(super) fn answer(self, told: &Told, received: NtpTimestamp) -> [u8; LEN] {
        self.write(told, received, NtpTimestamp::UNKNOWN)
    }

    /// An answer that tells no time. The moments in it are the question's own, so that the client knows it for an answer.
    pub(super) fn refusal(self, told: &Told) -> [u8; LEN] {
        self.write(told, self.sent, self.sent)
    }

    fn write(self, told: &Told, received: NtpTimestamp, sent: NtpTimestamp) -> [u8; LEN] {
        let mut packet = [0; LEN];
        packet[0] = told.leap << 6 | self.version << 3 | SERVER;
        packet[1] = told.stratum;
        packet[2] = self.poll;
        packet[3] = told.precision.cast_unsigned();
        // Bytes 4 to 7: no root delay. The kernel counts half of it as part of the error.
        packet[8..12].copy_from_slice(&short(told.max_error).to_be_bytes());
        packet[12..16].copy_from_slice(&told.reference_id);
        packet[16..24].copy_from_slice(&told.set_at.to_bytes());
        packet[24..32].copy_from_slice(&self.sent.to_bytes());
        packet[32..40].copy_from_slice(&received.to_bytes());
        packet[40..48].copy_from_slice(&sent.to_bytes());
        packet
    }
}

/// What an answer tells of our clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// 0 to 2 for the leap second that comes, or [`ALARM`].
    pub(super) leap: u8,
    /// How many servers it is away from a clock that is right by itself; 0 where nothing is known.
    pub(super) stratum: u8,
    /// The finest time that it can tell, as a power of two of seconds.
    pub(super) precision: i8,
    /// The bound on its error (root dispersion).
    pub(super) max_error: Duration,
    /// Where it has its time from or, with a stratum of 0, why there is none (a kiss code).
    pub(super) reference_id: [u8; 4],
    /// When it was last set or corrected.
    pub(super) set_at: NtpTimestamp,
}

/// A duration in the short format, 16 bits of seconds and of their fraction. It is a bound, so it is rounded up.
fn short(duration: Duration) -> u32 {
    let parts = (duration.as_nanos() << 16).div_ceil(1_000_000_000);
    u32::try_from(parts).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_on_the_error_is_never_written_as_less_than_it_is() {
        let table = [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_micros(15_258), 1_000),
            (Duration::from_micros(15_259), 1_001),
            (Duration::from_millis(500), 0x8000),
            (Duration::from_secs(16), 0x10_0000),
            (Duration::from_secs(65_536), u32::MAX),
            (Duration::MAX, u32::MAX),
        ];
        for (duration, written) in table {
            assert_eq!(short(duration), written, "{duration:?}");
        }
    }

    #[test]
    fn only_what_a_client_sends_is_a_question() {
        for first in 0..=u8::MAX {
            let (version, mode) = (first >> 3 & 7, first & 7);
            let expected = matches!((version, mode), (1..=4, 3) | (1, 0));
            let mut packet = [0x55; LEN];
            packet[0] = first;
            let question = Question::read(&packet);
            assert_eq!(question.is_some(), expected, "version {version}, mode {mode}");
            if let Some(question) = question {
                assert_eq!((question.version, question.poll, question.sent.to_bytes()), (version, 0x55, [0x55; 8]));
            }
        }
    }

    #[test]
    fn a_question_has_its_length_and_no_other() {
        let mut packet = [0; 100];
        packet[0] = 0x23;
        for len in 0..=100 {
            assert_eq!(Question::read(&packet[..len]).is_some(), len == LEN, "{len}");
        }
    }
}
