//! The echo: whoever sends something gets it back (RFC 862), as it was or in upper case.
//!
//! By UDP an answer is one datagram, never longer than [`DATAGRAM_MAX`], and at most three times as long as what it answers,
//! since no character has an upper case that is longer. What would be longer is not answered: a part of it would be taken for
//! all, and an error line for an echo.
//!
//! An echo is the classic partner of a loop. So it hears nobody at the port of a service (`core::admission`), says nothing to the
//! error lines and notices of services like ours, knows its own words again (`reflex`), and by and by leaves out an answer.
//!
//! By TCP the bytes of a connection are one text, wherever the network has cut it (`upper`).

mod reflex;
#[cfg(test)]
mod tests;
mod upper;

use super::time::is_of_a_service;
use super::{Conversation, Service, StreamService};
use crate::config::{self, Transform};
use crate::core::limits::DATAGRAM_MAX;
use crate::core::{Datagram, DropReason, Instant, Now, Outbox, Output, Seed, Verdict};
use reflex::Reflexes;

/// The echo service.
#[derive(Debug)]
pub struct Echo {
    transform: Transform,
    reflexes: Reflexes,
}

impl Echo {
    /// A service that answers as `config` says.
    pub fn new(config: &config::Echo, seed: Seed) -> Self {
        Self { transform: config.transform, reflexes: Reflexes::new(seed) }
    }

    /// Answers from now on as `config` says. Connections go on as they began.
    pub fn reconfigure(&mut self, config: &config::Echo) {
        self.transform = config.transform;
    }
}

impl Service for Echo {
    fn handle_datagram(&mut self, now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict {
        let (payload, source) = (datagram.payload, datagram.path.remote);
        if is_of_a_service(payload) {
            return Verdict::Dropped(DropReason::ErrorLine);
        }
        let mut answer = Output::new(DATAGRAM_MAX);
        if datagram.truncated || self.transform.apply(payload, true, &mut answer) < payload.len() {
            return Verdict::Dropped(DropReason::TooLong);
        }
        if !self.reflexes.may_answer(now.mono, source, answer.pending()) {
            return Verdict::Dropped(DropReason::Reflex);
        }
        out.send(datagram.path, answer.pending());
        Verdict::Answered
    }

    fn handle_timeout(&mut self, _now: &Now, _out: &mut Outbox) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

impl StreamService for Echo {
    fn begin(&mut self) -> Box<dyn Conversation> {
        Box::new(EchoConversation(self.transform))
    }
}

/// One connection of the echo, which goes on as it began.
#[derive(Debug)]
struct EchoConversation(Transform);

impl Conversation for EchoConversation {
    fn proceed(&mut self, _now: &Now, input: &[u8], is_last: bool, out: &mut Output) -> usize {
        self.0.apply(input, is_last, out)
    }
}

impl Transform {
    /// Puts what becomes of `input` into `out`, as far as there is room; how much of it was taken. What may be the beginning of
    /// a character is left until the rest of it is there, or `is_last` says that there is none.
    fn apply(self, input: &[u8], is_last: bool, out: &mut Output) -> usize {
        match self {
            Self::None => {
                let len = input.len().min(out.room());
                out.push(&input[..len]);
                len
            }
            Self::Upper => upper::upper_case(input, is_last, out),
        }
    }
}
