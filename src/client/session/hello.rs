//! Coming in, coming back, and going.
//!
//! A hello is repeated until a welcome answers it, ever more seldom, for ever: a hub that is away comes back. While the hub does not
//! know the address that we have, nothing else is sent.

use super::Session;
use super::event::{Event, Reason};
use super::options::{BYES_MAX, DISCONNECTED_HELLOS, HELLO_MAX, REMEMBERED_MAX, RETRY_MIN};
use super::pace::jittered;
use crate::core::Instant;
use crate::core::frame::write_frame;
use std::time::Duration;

/// A hello that has no answer so far.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    /// When it is to be repeated.
    pub(super) at: Instant,
    delay: Duration,
    /// How often its time was over.
    pub(super) count: u32,
    /// Whether it goes into the next datagram.
    pub(super) is_due: bool,
    pub(super) sent_at: Instant,
    /// Whether a token is answered at once: one for each time it is sent, so that nobody has us send without end.
    pub(super) answers_token: bool,
    /// Whether nothing else is sent meanwhile. Otherwise it only asks where we are in our rooms.
    pub(super) is_alone: bool,
}

impl Hello {
    /// One that goes out now.
    pub(super) fn at_once(now: Instant) -> Self {
        Self { is_due: true, ..Self::later(now) }
    }

    /// One that goes out in a moment.
    pub(super) fn later(now: Instant) -> Self {
        let (at, delay) = (now + RETRY_MIN, RETRY_MIN);
        Self { at, delay, count: 0, is_due: false, sent_at: now, answers_token: true, is_alone: true }
    }
}

/// A goodbye that has no answer so far.
#[derive(Clone, Debug)]
pub(super) struct Bye {
    /// When it is to be repeated.
    pub(super) at: Instant,
    delay: Duration,
    count: u32,
    /// Whether it goes into the next datagram.
    pub(super) is_due: bool,
}

impl Session {
    // ---- coming ----

    /// The address that we send from is another now, or may be.
    pub fn handle_address_change(&mut self, now: Instant) {
        self.token = None;
        if !self.is_closed && self.bye.is_none() {
            self.hello = Some(Hello::at_once(now));
        }
    }

    /// The hub's host says that nobody listens.
    pub fn handle_unreachable(&mut self, now: Instant) {
        if self.is_closed || self.bye.is_some() {
            return;
        }
        self.disconnect();
        // Not at once: there would be the same answer.
        if self.hello.as_ref().is_none_or(|hello| !hello.is_alone) {
            self.hello = Some(Hello::later(now));
        }
    }

    /// Asks whether we are still there.
    pub(super) fn resume(&mut self, now: Instant) {
        self.hello = Some(Hello::at_once(now));
    }

    /// Asks where we are, as long as there is a room in which we do not know.
    pub(super) fn ask_where(&mut self, now: Instant) {
        if self.hello.is_none() && self.streams.is_lost_somewhere() {
            self.hello = Some(Hello { is_alone: false, ..Hello::later(now) });
        }
    }

    /// Begins anew with a hub that does not know the session any more.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.lose_session();
        // A hub that forgets us as soon as it has welcomed us is not asked as fast as it can.
        let is_early = now.since(self.welcomed_at) < RETRY_MIN * 4;
        self.hello = Some(if is_early { Hello::later(now) } else { Hello::at_once(now) });
    }

    pub(super) fn lose_session(&mut self) {
        if let Some(id) = self.id.take() {
            if self.past.len() == REMEMBERED_MAX {
                self.past.pop_front();
            }
            self.past.push_back(id);
        }
        self.requests.lose_session(&mut self.events);
    }

    fn disconnect(&mut self) {
        if std::mem::take(&mut self.is_connected) {
            self.events.push_back(Event::Disconnected);
        }
    }

    pub(super) fn repeat_hello(&mut self, now: Instant) {
        let Some(hello) = self.hello.as_mut().filter(|hello| hello.at <= now) else { return };
        hello.count = hello.count.saturating_add(1);
        hello.delay = (hello.delay * 2).min(HELLO_MAX);
        hello.at = now + jittered(&mut self.random, hello.delay);
        (hello.is_due, hello.answers_token) = (true, true);
        let is_silent = hello.count >= DISCONNECTED_HELLOS;
        if is_silent && hello.is_alone {
            self.disconnect();
        } else if is_silent {
            // The hub does not name the room: we are not in it after all.
            self.streams.remove_lost(&mut self.events);
            self.hello = None;
        }
    }

    pub(super) fn hello_frame(&self) -> Vec<u8> {
        let mut head = format!("hello 1 start={}", self.start);
        if let Some(name) = &self.wanted_name {
            head.push_str(&format!(" name={name}"));
        }
        self.streams.write_rooms(&mut head);
        if let Some(token) = &self.token {
            head.push_str(&format!(" token={token}"));
        }
        let mut frame = Vec::new();
        write_frame(&mut frame, format_args!("{head}"));
        frame
    }

    // ---- going ----

    /// Ends the session. What is not done by now is not waited for.
    pub fn bye(&mut self, now: Instant) {
        if self.is_closed || self.bye.is_some() {
            return;
        }
        self.requests.close(&mut self.events);
        if self.id.is_some() {
            self.bye = Some(Bye { at: now + RETRY_MIN, delay: RETRY_MIN, count: 1, is_due: true });
        } else {
            self.close(Reason::Left);
        }
    }

    pub(super) fn repeat_bye(&mut self, now: Instant) {
        let Some(bye) = self.bye.as_mut().filter(|bye| bye.at <= now) else { return };
        if bye.count == BYES_MAX {
            return self.close(Reason::Unanswered);
        }
        bye.count += 1;
        bye.delay *= 2;
        bye.at = now + jittered(&mut self.random, bye.delay);
        bye.is_due = true;
    }

    pub(super) fn close(&mut self, reason: Reason) {
        self.requests.close(&mut self.events);
        self.is_closed = true;
        self.events.push_back(Event::Closed(reason));
    }
}
