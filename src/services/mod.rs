//! The services: pure state machines, each with one port of its own.
//!
//! A service owns no socket, reads no clock and opens no file. It is handed datagrams that admission has let in, and
//! moments; it fills an outbox. The caller sends. One that is spoken to by TCP is handed the bytes of each connection.

pub mod announce;
pub mod chat;
pub mod echo;
pub mod ntp;
pub mod time;

use crate::core::admission::Admission;
use crate::core::limits::{ANSWERS_BUFFER, QUESTIONS_BUFFER, RECEIVE_BUFFER, SEND_BUFFER};
use crate::core::{Datagram, DropReason, Instant, Now, Outbox, Output, Verdict};
use std::fmt;

/// What the daemon drives.
pub trait Service {
    /// Takes one datagram; what is to be sent goes to `out`.
    fn handle_datagram(&mut self, now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict;

    /// Whether the datagram shows that nobody but its source can have sent it.
    fn vouches_for(&self, _now: &Now, _datagram: &Datagram<'_>) -> bool {
        false
    }

    /// Takes note of a datagram that is not heard because its source has sent too many.
    fn handle_excess(&mut self, _now: &Now, _datagram: &Datagram<'_>, _out: &mut Outbox) -> Verdict {
        Verdict::Dropped(DropReason::RateLimit)
    }

    /// Does what is due at `now`. Called at [`Service::next_timeout`] or later, and harmless before it.
    fn handle_timeout(&mut self, now: &Now, out: &mut Outbox);

    /// Sends what has gathered in a turn and travels together; called when everything that waited has been heard.
    fn finish_turn(&mut self, _out: &mut Outbox) {}

    /// The next moment at which something is due; `None` while nothing is.
    fn next_timeout(&self) -> Option<Instant>;
}

/// What is spoken to by TCP too: each connection is a conversation of its own.
pub trait StreamService {
    /// A conversation with somebody who has connected and is let in.
    fn begin(&mut self) -> Box<dyn Conversation>;
}

/// One connection of a service, without its socket: bytes come, and bytes go.
///
/// What comes has no boundaries but its end: the same bytes in other pieces must bring forth the same.
pub trait Conversation: fmt::Debug {
    /// Takes of what has come as much as it can use and has room for in `out`, and says how many bytes that was. The rest is handed
    /// to it again, with what has come since, once there is more of it or more room; none is read from the network while it takes
    /// none. `is_last`: nothing comes behind `input`. What is put into `out` is sent in order; [`Output::end`] ends the
    /// connection when it has left, and so does the end of `input` when everything is taken.
    fn proceed(&mut self, now: &Now, input: &[u8], is_last: bool, out: &mut Output) -> usize;
}

/// Has a service hear a datagram, if it is let in and not too much.
pub fn hear(
    name: ServiceName,
    service: &mut dyn Service,
    admission: &mut Admission,
    now: &Now,
    datagram: &mut Datagram<'_>,
    out: &mut Outbox,
) -> Verdict {
    if let Err(reason) = admission.check(name, datagram) {
        return Verdict::Dropped(reason);
    }
    let vouched = service.vouches_for(now, datagram);
    if admission.take_token(name, now.mono, datagram, vouched).is_err() {
        return service.handle_excess(now, datagram, out);
    }
    service.handle_datagram(now, datagram, out)
}

/// How a service is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

impl Transport {
    /// The name in logs and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Which service, in configuration, logs and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceName {
    /// The time in any format.
    Time,
    /// The chat hub.
    Chat,
    /// The multicast announcer.
    Announce,
    /// The time for clocks.
    Ntp,
    /// What it is sent.
    Echo,
}

impl ServiceName {
    /// Every service, in the order in which the daemon serves them.
    pub const ALL: [Self; 5] = [Self::Time, Self::Ntp, Self::Announce, Self::Echo, Self::Chat];

    /// The name of its table in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Chat => "chat",
            Self::Announce => "announce",
            Self::Ntp => "ntp",
            Self::Echo => "echo",
        }
    }

    /// How it is spoken to, at each of its addresses.
    pub const fn transports(self) -> &'static [Transport] {
        match self {
            Self::Time | Self::Chat | Self::Announce | Self::Ntp => &[Transport::Udp],
            Self::Echo => &[Transport::Udp, Transport::Tcp],
        }
    }

    /// The receive buffer that its sockets are to have, in bytes.
    pub(crate) const fn receive_buffer(self) -> usize {
        match self {
            Self::Time | Self::Ntp => QUESTIONS_BUFFER,
            Self::Chat | Self::Announce | Self::Echo => RECEIVE_BUFFER,
        }
    }

    /// The send buffer that its sockets are to have, in bytes.
    pub(crate) const fn send_buffer(self) -> usize {
        match self {
            Self::Time | Self::Ntp => ANSWERS_BUFFER,
            Self::Chat | Self::Announce | Self::Echo => SEND_BUFFER,
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
