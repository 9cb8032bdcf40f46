//! What a session has to tell its caller.

use super::options::ROOMS_MAX;
use crate::core::frame::Epoch;
use crate::core::limits::NAME_MAX;
use std::fmt;
use std::time::Duration;

/// A request, as its events name it. It stays the same when the hub knows the request by another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Something that has happened. Texts are what strangers sent: clean them before a terminal sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The hub knows us, for the first time or again.
    Welcomed {
        /// What we are called.
        name: String,
        /// Whether it is another session than before, in which nothing is known of earlier requests.
        is_new: bool,
    },
    /// We are called something else.
    Renamed {
        /// This.
        name: String,
    },
    /// Somebody has said something: each once, and those of a room in their order.
    Message(Message),
    /// Something for people to know. It may be lost, or come twice.
    Note {
        /// Where.
        room: String,
        /// What.
        text: Vec<u8>,
    },
    /// What a command had to say, or a part of it. It may be lost, or come twice.
    Answer {
        /// The command, if it is not long ago.
        id: Option<RequestId>,
        /// What.
        text: Vec<u8>,
    },
    /// It was done. What was said is in the room.
    Done(RequestId),
    /// It was not done. When [`Event::Done`] follows all the same, a copy of it was.
    Refused {
        /// Which; `None` when the hub has understood too little to say.
        id: Option<RequestId>,
        /// Why, in the words of the protocol.
        code: String,
        /// Why, for people.
        text: Vec<u8>,
    },
    /// It was sent, the session is lost, and nobody can tell whether it was done.
    Unconfirmed(RequestId),
    /// It was not sent, and will not be.
    Unsent(RequestId),
    /// We are in the room.
    Joined {
        /// Its name.
        room: String,
        /// In which numbering of it.
        epoch: Epoch,
        /// The last message before those that we get.
        number: u64,
    },
    /// We are no longer in the room.
    Left {
        /// Its name.
        room: String,
    },
    /// Messages that nobody can bring back any more were between the last one and the next.
    Lost {
        /// In this room.
        room: String,
        /// In this numbering of it.
        epoch: Epoch,
        /// From this number on.
        first: u64,
        /// So many.
        count: u64,
    },
    /// The numbers of a room start anew. What was said in it meanwhile may be lost.
    Anew {
        /// The room.
        room: String,
        /// The numbering that it is in now.
        epoch: Epoch,
        /// The last message before those that we get.
        number: u64,
    },
    /// The hub does not answer. We go on asking.
    Disconnected,
    /// The hub has no place for us at the moment. We go on asking.
    Full,
    /// The session is over, and nothing follows.
    Closed(Reason),
}

/// What somebody has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where: a room, or [`MAILBOX`](crate::core::frame::MAILBOX) when it was said to us alone.
    pub room: String,
    /// In which numbering of the room.
    pub epoch: Epoch,
    /// Its number there.
    pub number: u64,
    /// Who.
    pub from: String,
    /// Whether it says what somebody does: "anna waves".
    pub is_me: bool,
    /// When, in seconds of Unix time on the hub's clock.
    pub time: u64,
    /// The text, byte for byte.
    pub text: Vec<u8>,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// We said so, and the hub knows.
    Left,
    /// We said so; the hub has not answered, and will notice in time.
    Unanswered,
    /// The operator has removed us.
    Kicked,
    /// The hub speaks another version.
    Version,
    /// In the hub's word, which we do not know.
    Other(String),
}

/// Why a request cannot even wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// So many wait already.
    Full,
    /// The text is too long.
    TooLong {
        /// This would do.
        max: usize,
    },
    /// No room or member can be called so.
    BadName,
    /// A session is in no more rooms than [`ROOMS_MAX`].
    TooManyRooms,
    /// The session is over.
    Closed,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("too much waits to be sent"),
            Self::TooLong { max } => write!(f, "a text has at most {max} bytes"),
            Self::BadName => {
                write!(f, "a name has letters, digits, - _ and . only, and at most {NAME_MAX} bytes")
            }
            Self::TooManyRooms => write!(f, "at most {ROOMS_MAX} rooms at once"),
            Self::Closed => f.write_str("the session is over"),
        }
    }
}

/// What a session has counted, for a status line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Datagrams that came.
    pub received: u64,
    /// Requests that were sent again.
    pub repeated: u64,
    /// Messages that came because we asked for them again.
    pub repaired: u64,
    /// Messages that could not be had any more.
    pub lost: u64,
    /// How long the hub takes to answer, when that is known.
    pub round_trip: Option<Duration>,
}

/// What has become of heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeats {
    /// Sent so far.
    pub sent: u64,
    /// Answered so far; one that is sent before the last is answered takes its place.
    pub answered: u64,
    /// How long the last answer took.
    pub round_trip: Option<Duration>,
}
