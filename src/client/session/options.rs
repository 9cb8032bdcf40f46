//! What a session is begun with, and the times and bounds that it keeps to.

use crate::core::frame::Epoch;
use crate::core::limits::{self, NAME_MAX};
use std::time::Duration;

/// What the caller wants of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The name that we would like; the hub's choice without one.
    pub name: Option<String>,
    /// The rooms to be in, at most [`ROOMS_MAX`]; the hub's lobby when there is none.
    pub rooms: Vec<Wanted>,
    /// How many earlier messages we would like to have of each room that we come into. Those that the hub no longer has are
    /// left out without a word.
    pub back: u64,
    /// How many requests may wait for their turn or for their answer.
    pub requests_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: None, rooms: Vec::new(), back: 0, requests_max: REQUESTS_MAX }
    }
}

/// A room to be in from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub room: String,
    /// The last that we have had of it, when we were there before; otherwise we are there from now on.
    pub from: Option<(Epoch, u64)>,
}

/// Rooms of one session, as the protocol has it. The mailbox comes on top.
pub const ROOMS_MAX: usize = limits::SESSION_ROOMS_MAX;

/// Requests that wait, unless the options say otherwise: what somebody pastes into a chat in one go. A program that says more
/// is told that it is full, and waits.
pub const REQUESTS_MAX: usize = 256;

/// Requests in flight, as the protocol has it.
pub(super) const IN_FLIGHT_MAX: usize = limits::REQUESTS_MAX;

/// Bytes that are repeated at once. The hub takes requests in their order only, so behind the first that is lost again
/// the others are sent in vain.
pub(super) const REPEATED_BYTES_MAX: usize = 4 * 1_024;

/// Bytes that are repeated when the one before them is acknowledged at last: a datagram of them, or somewhat more.
pub(super) const RECOVERED_BYTES_MAX: usize = 1_024;

/// Before a request is repeated for the first time, and a range asked for the second time.
pub(super) const RETRY_MIN: Duration = Duration::from_millis(250);

/// The longest between two repetitions of either.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(3);

/// Acknowledgements of the same number after which the next counts as lost, before its time is over (RFC 5681 §3.2).
pub(super) const SAME_ACKS_MAX: u32 = 3;

/// The longest between two hellos while the hub is away: it is back for five seconds at most before we know.
pub(super) const HELLO_MAX: Duration = Duration::from_secs(5);

/// Heartbeats of silence after which we ask whether we are still there.
pub(super) const SILENT_HEARTBEATS: u32 = 3;

/// Hellos without an answer after which our user hears of it: one or two are lost on any bad network.
pub(super) const DISCONNECTED_HELLOS: u32 = 3;

/// From a welcome to the first heartbeat: what we have missed comes by itself in this time, and need not be asked for.
pub(super) const FIRST_HEARTBEAT: Duration = Duration::from_millis(250);

/// So long after a welcome a token is late, of the same handshake, and no new question.
pub(super) const TOKEN_LATE: Duration = Duration::from_secs(1);

/// What a hub may ask for: more often is a flood, more seldom is no sign of life.
pub(super) const HEARTBEATS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3_600);

/// Until the hub has said how often: as often as it does by default.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(3);

/// How often we say goodbye before we go without an answer.
pub(super) const BYES_MAX: u32 = 4;

/// Before missing messages are asked for: datagrams overtake one another.
pub(super) const WANT_DELAY: Duration = Duration::from_millis(30);

/// Ranges that are asked for at once: a hub looks at no more.
pub(super) const WANTED_RANGES_MAX: usize = limits::RANGES_MAX;

/// Messages of one room that wait for an earlier one: as many as a hub keeps of a room, unless it is told otherwise.
pub(super) const HELD_MAX: usize = 256;

/// The same in bytes of text: as many as a hub keeps of a room.
pub(super) const HELD_BYTES_MAX: usize = 256 * 1024;

/// Numberings of rooms that are remembered after we have left them, so that what is late is known as such.
pub(super) const PAST_EPOCHS_MAX: usize = 64;

/// How often in a row the hub names a numbering that we have left before we believe that we were wrong.
pub(super) const DOUBTS_MAX: u32 = 3;

/// How often in a row the hub passes over a room that we are in before we join it again. Once may be late.
pub(super) const UNNAMED_MAX: u32 = 2;

/// Sessions that are remembered after they were lost, requests after they were refused, and commands after they were
/// acknowledged: late datagrams speak of them.
pub(super) const REMEMBERED_MAX: usize = 32;

/// Events that wait for the caller; while there are more, datagrams count as lost. Whatever is in them comes again.
pub const EVENTS_MAX: usize = 4_096;

/// The longest token, which is to be repeated within our hello.
pub(super) const TOKEN_MAX: usize = 128;

/// The longest name of a member that is spoken to: one that the hub made from an address and a port has 47 bytes.
pub(super) const MEMBER_MAX: usize = 64;

/// Whether a room may be called so. What is allowed is the hub's affair; this keeps a name from being read as something else.
pub(super) fn is_room(name: &str) -> bool {
    name.len() <= NAME_MAX && is_word(name)
}

/// The same of a member.
pub(super) fn is_member(name: &str) -> bool {
    name.len() <= MEMBER_MAX && is_word(name)
}

fn is_word(name: &str) -> bool {
    let ends = |byte: u8| byte.is_ascii_control() || matches!(byte, b' ' | b'^' | b'=' | b'/' | b'@');
    !name.is_empty() && !name.bytes().any(ends)
}
