//! The NTP service: tells other clocks the time, with how far off it may be (RFC 5905, server mode, versions 1 to 4).
//!
//! It answers from the kernel's clock, which somebody else sets, and tells of it what the kernel does: whether it is
//! synchronised, the bound on its error, the leap second that comes. From how far away that clock has its time the kernel
//! does not know, so the stratum is for the configuration to say.
//!
//! | the clock | leap, stratum | reference id | a client |
//! |---|---|---|---|
//! | is synchronised | 0 to 2, `stratum` | 127.127.1.1 | takes the time |
//! | is not, and `local-stratum` is set | 0, `local-stratum` | 127.127.1.1 | takes the time: all go by the same clock |
//! | is not | 3, 0 | `INIT` | sees the time and does not take it |
//! | is before the date of these sources | 3, 0 | `INIT` | gets no time at all |
//!
//! A question is a packet of a client, of 48 bytes and no other length; its answer is as long, and no question. So nobody
//! gets more than he has sent, and no two servers answer each other. There are no control messages, no associations and no
//! memory of who has asked: nothing that could be read out or filled up.
//!
//! The moment at which an answer leaves is the last that is written into it, by who sends it
//! ([`Payload::stamped`](crate::core::Payload::stamped)); the one at which the question came is the kernel's.
//!
//! `plain` are the two older ways to tell the time, at sockets of their own.

mod packet;
mod plain;
#[cfg(test)]
mod tests;

use super::Service;
use crate::config;
use crate::core::limits::KISS_PART;
use crate::core::{ClockState, Datagram, DropReason, Instant, Leap, ListenerId, Now, NtpTimestamp, Outbox};
use crate::core::{Refusal, Seed, SplitMix, Verdict};
use jiff::Timestamp;
use packet::{ALARM, Question, Told};
use std::net::SocketAddr;
use std::time::Duration;

/// "The clock of this host", as servers name it that go by it.
const LOCAL_CLOCK: [u8; 4] = [127, 127, 1, 1];
/// The same where a name is wanted, at stratum 1 (RFC 4330 §4).
const LOCAL_CLOCK_NAME: [u8; 4] = *b"LOCL";
/// Kiss code: has not been synchronised yet (RFC 5905 §7.4).
const NOT_SYNCHRONISED: [u8; 4] = *b"INIT";
/// Kiss code: asks too often.
const TOO_OFTEN: [u8; 4] = *b"RATE";

/// The bound on the error of a clock of which nothing is known (`MAXDISP`, RFC 5905 §7.2).
const ERROR_MAX: Duration = Duration::from_secs(16);

/// Source ports below this are services', of which NTP servers alone are heard.
const SERVICE_PORTS_END: u16 = 1_024;

/// In which way the time is asked for at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Ntp,
    /// A number (RFC 868).
    Number,
    /// A line of text (RFC 867).
    Text,
}

/// How much the time is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The clock is kept right.
    Synchronised,
    /// Nobody keeps it right, and all are to go by it.
    Local,
    /// Nobody keeps it right.
    Free,
    /// It is certainly wrong.
    Wrong,
}

/// The NTP service.
#[derive(Debug)]
pub struct NtpService {
    stratum: u8,
    local_stratum: u8,
    /// The sockets at which it is not NTP that is spoken.
    plain: Vec<(ListenerId, Protocol)>,
    precision: i8,
    source_date: i64,
    clock: ClockState,
    lots: SplitMix,
}

impl NtpService {
    /// A service that answers as `config` says, at sockets that have these addresses there. `precision` is the finest time
    /// that the clock can tell, and `source_date` a second since 1970 before which it cannot be.
    pub fn new(
        config: &config::Ntp,
        listeners: &[(ListenerId, SocketAddr)],
        precision: Duration,
        source_date: i64,
        seed: Seed,
    ) -> Self {
        let mut service = Self {
            stratum: 0,
            local_stratum: 0,
            plain: Vec::new(),
            precision: log2(precision),
            source_date,
            clock: ClockState::default(),
            lots: SplitMix::new(seed.derive("kiss")),
        };
        service.reconfigure(config, listeners);
        service
    }

    /// Answers from now on as `config` says.
    pub fn reconfigure(&mut self, config: &config::Ntp, listeners: &[(ListenerId, SocketAddr)]) {
        (self.stratum, self.local_stratum) = (config.stratum, config.local_stratum);
        let protocol = |addr| match addr {
            addr if config.listen_rfc868.contains(addr) => Protocol::Number,
            addr if config.listen_rfc867.contains(addr) => Protocol::Text,
            _ => Protocol::Ntp,
        };
        let sockets = listeners.iter().map(|(id, addr)| (*id, protocol(addr)));
        self.plain = sockets.filter(|&(_, protocol)| protocol != Protocol::Ntp).collect();
    }

    /// Tells what the kernel says of the clock.
    pub fn set_clock(&mut self, clock: ClockState) {
        self.clock = clock;
    }

    fn protocol(&self, listener: ListenerId) -> Protocol {
        let plain = self.plain.iter().find(|&&(id, _)| id == listener);
        plain.map_or(Protocol::Ntp, |&(_, protocol)| protocol)
    }

    fn standing(&self, wall: Timestamp) -> Standing {
        if wall.as_second() < self.source_date {
            Standing::Wrong
        } else if self.clock.synchronised {
            Standing::Synchronised
        } else if self.local_stratum > 0 {
            Standing::Local
        } else {
            Standing::Free
        }
    }

    /// What is told of a clock that shows `wall`.
    fn told(&self, standing: Standing, wall: Timestamp) -> Told {
        let (stratum, max_error) = match standing {
            Standing::Synchronised => (self.stratum, self.clock.max_error),
            // It is right by agreement.
            Standing::Local => (self.local_stratum, Duration::ZERO),
            Standing::Free | Standing::Wrong => return self.nothing_told(NOT_SYNCHRONISED),
        };
        let leap = match self.clock.leap {
            Leap::Insert if standing == Standing::Synchronised => 1,
            Leap::Delete if standing == Standing::Synchronised => 2,
            _ => 0,
        };
        Told {
            leap,
            stratum,
            precision: self.precision,
            max_error,
            reference_id: if stratum == 1 { LOCAL_CLOCK_NAME } else { LOCAL_CLOCK },
            // The kernel corrects it all the time, and we ask how it is once a second.
            set_at: NtpTimestamp::of(wall).whole_second(),
        }
    }

    /// What is told where there is no time to be had, and why.
    fn nothing_told(&self, kiss_code: [u8; 4]) -> Told {
        Told {
            leap: ALARM,
            stratum: 0,
            precision: self.precision,
            max_error: ERROR_MAX,
            reference_id: kiss_code,
            set_at: NtpTimestamp::UNKNOWN,
        }
    }

    fn answer(&self, wall: Timestamp, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict {
        let Some(question) = Question::read(datagram.payload) else { return Verdict::Dropped(DropReason::NotForUs) };
        let standing = self.standing(wall);
        let told = self.told(standing, wall);
        let payload = if standing == Standing::Wrong {
            out.store(&question.refusal(&told))
        } else {
            // A clock that was set back since then has never shown that.
            let received = datagram.arrived_at.unwrap_or(wall).min(wall);
            out.store(&question.answer(&told, NtpTimestamp::of(received))).stamped()
        };
        out.send_payload(datagram.path, payload);
        Verdict::Answered
    }

    fn answer_plainly(
        &self,
        wall: Timestamp,
        protocol: Protocol,
        datagram: &Datagram<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        if datagram.path.remote.port() < SERVICE_PORTS_END {
            return Verdict::Dropped(DropReason::SourcePort);
        }
        if !plain::is_question(datagram.payload) {
            return Verdict::Dropped(DropReason::NotForUs);
        }
        // There is no way to say that it is not right (RFC 868: "make no reply").
        if matches!(self.standing(wall), Standing::Free | Standing::Wrong) {
            return Verdict::Dropped(DropReason::NoTime);
        }
        match protocol {
            Protocol::Number => out.send(datagram.path, &plain::number(wall)),
            Protocol::Text | Protocol::Ntp => out.send(datagram.path, plain::text(wall).as_bytes()),
        }
        Verdict::Answered
    }
}

/// A duration as the nearest power of two of seconds that is not shorter.
fn log2(duration: Duration) -> i8 {
    let is_shorter = |&exponent: &i8| 2_f64.powi(exponent.into()) < duration.as_secs_f64();
    (-30..0).find(|exponent| !is_shorter(exponent)).unwrap_or(0)
}

impl Service for NtpService {
    fn handle_datagram(&mut self, now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict {
        match self.protocol(datagram.path.listener) {
            Protocol::Ntp => self.answer(now.wall, datagram, out),
            protocol => self.answer_plainly(now.wall, protocol, datagram, out),
        }
    }

    /// Tells a client, now and then, that it asks too often.
    fn handle_excess(&mut self, _now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict {
        let too_many = Verdict::Dropped(DropReason::RateLimit);
        if self.protocol(datagram.path.listener) != Protocol::Ntp || self.lots.below(KISS_PART.into()) > 0 {
            return too_many;
        }
        let Some(question) = Question::read(datagram.payload) else { return too_many };
        out.send(datagram.path, &question.refusal(&self.nothing_told(TOO_OFTEN)));
        Verdict::Refused(Refusal::TooOften)
    }

    fn handle_timeout(&mut self, _now: &Now, _out: &mut Outbox) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
