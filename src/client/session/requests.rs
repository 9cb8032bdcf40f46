//! What we ask of the hub: numbered when it is sent first, repeated until it is acknowledged, in order.
//!
//! The hub does nothing whose turn has not come, so all that is in flight depends on the first. Therefore there is one timer and
//! one back-off for all, as in TCP, and what is repeated is the beginning of the line. Numbers go on when a session is lost:
//! an acknowledgement of the old one that comes late means none of the new one's.

use super::event::{Event, Figures, RequestId, Unfit};
use super::options::{
    IN_FLIGHT_MAX, RECOVERED_BYTES_MAX, REMEMBERED_MAX, REPEATED_BYTES_MAX, RETRY_MAX, SAME_ACKS_MAX,
};
use super::pace::{RoundTrip, jittered};
use super::packet::Packet;
use crate::core::frame::{write_frame, write_text_frame};
use crate::core::limits::DATAGRAM_MAX;
use crate::core::{Instant, SplitMix};
use std::collections::VecDeque;
use std::time::Duration;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Say { room: Option<String>, to: Option<String>, is_me: bool },
    Ask { room: Option<String> },
    Join { room: String },
    Leave { room: String },
}

#[derive(Clone, Debug)]
struct Request {
    /// `None` when we ask by ourselves, and nobody is to hear of it.
    id: Option<RequestId>,
    what: What,
    text: Vec<u8>,
    /// Zero until it is sent.
    number: u64,
    sent_at: Instant,
    sent_count: u32,
    /// Whether it goes into the next datagram.
    is_due: bool,
}

impl Request {
    fn new(id: Option<RequestId>, what: What, text: &[u8]) -> Self {
        let (text, sent_at) = (text.to_vec(), Instant::default());
        Self { id, what, text, number: 0, sent_at, sent_count: 0, is_due: true }
    }

    /// Its frame, when `last` is the request before it. The first in flight says so in any case: a hub that was killed may have
    /// forgotten it.
    fn frame(&self, last: u64, is_first: bool) -> Vec<u8> {
        let mut head = String::new();
        let (verb, room) = match &self.what {
            What::Say { room, .. } => ("say", room.as_deref()),
            What::Ask { room } => ("ask", room.as_deref()),
            What::Join { room } => ("join", Some(room.as_str())),
            What::Leave { room } => ("leave", Some(room.as_str())),
        };
        head.push_str(&format!("{verb} {}", self.number));
        if let Some(room) = room {
            head.push_str(&format!(" {room}"));
        }
        if let What::Say { to, is_me, .. } = &self.what {
            if let Some(to) = to {
                head.push_str(&format!(" to={to}"));
            }
            if *is_me {
                head.push_str(" kind=me");
            }
        }
        if is_first || last.checked_add(1) != Some(self.number) {
            head.push_str(&format!(" after={last}"));
        }
        let mut frame = Vec::new();
        match self.what {
            What::Say { .. } | What::Ask { .. } => write_text_frame(&mut frame, format_args!("{head}"), &self.text),
            What::Join { .. } | What::Leave { .. } => write_frame(&mut frame, format_args!("{head}")),
        }
        frame
    }
}

/// Something that the hub has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) number: u64,
    pub(super) what: What,
}

/// All that was asked for and is not done.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    /// In order; the first `in_flight` have a number.
    queue: VecDeque<Request>,
    in_flight: usize,
    queue_max: usize,
    next_id: u64,
    /// The last that the hub has done.
    done: u64,
    /// The numbers of this session are above this.
    base: u64,
    /// The highest that was given.
    highest: u64,
    retry_at: Option<Instant>,
    delay: Duration,
    same_acks: u32,
    /// Up to here the next is repeated as soon as there is progress: what was sent behind a lost one was sent in vain
    /// (RFC 6582 §3.2).
    recover_to: u64,
    /// Refused of late, and asked of late: by their numbers.
    refused: VecDeque<(u64, RequestId)>,
    asked: VecDeque<(u64, RequestId)>,
    pub(super) round_trip: RoundTrip,
}

impl Requests {
    pub(super) fn new(queue_max: usize) -> Self {
        let round_trip = RoundTrip::default();
        Self {
            queue: VecDeque::new(),
            in_flight: 0,
            queue_max,
            next_id: 1,
            done: 0,
            base: 0,
            highest: 0,
            retry_at: None,
            delay: round_trip.patience(),
            same_acks: 0,
            recover_to: 0,
            refused: VecDeque::new(),
            asked: VecDeque::new(),
            round_trip,
        }
    }

    /// How many are not done.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The last that the hub has done.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Puts one more at the end, if its text is no longer than `text_max` and its frame fits a datagram.
    pub(super) fn add(&mut self, what: What, text: &[u8], text_max: usize) -> Result<RequestId, Unfit> {
        if self.queue.len() >= self.queue_max {
            return Err(Unfit::Full);
        }
        let id = RequestId(self.next_id);
        let mut request = Request::new(Some(id), what, text);
        // With the longest numbers there are, and what stands before it in each datagram.
        request.number = u64::MAX;
        let room = DATAGRAM_MAX - "^as 0123456789abcdef^".len();
        let head = request.frame(u64::MAX, true).len() - text.len();
        let max = text_max.min(room - head);
        if text.len() > max {
            return Err(Unfit::TooLong { max });
        }
        request.number = 0;
        self.queue.push_back(request);
        self.next_id += 1;
        Ok(id)
    }

    /// Asks for a room in which the hub does not have us any more.
    pub(super) fn rejoin(&mut self, room: &str) {
        let what = What::Join { room: room.to_owned() };
        if self.queue.len() < self.queue_max && !self.queue.iter().any(|request| request.what == what) {
            self.queue.push_back(Request::new(None, what, b""));
        }
    }

    // ---- sessions ----

    /// The session is lost: nobody can tell what has become of those in flight.
    pub(super) fn lose_session(&mut self, events: &mut VecDeque<Event>) {
        for request in self.queue.drain(..std::mem::take(&mut self.in_flight)) {
            events.extend(request.id.map(Event::Unconfirmed));
        }
        self.retry_at = None;
    }

    /// Another begins, in which the hub has done everything up to `last`.
    pub(super) fn begin_session(&mut self, last: u64) {
        self.highest = self.highest.max(last);
        (self.base, self.done, self.recover_to, self.same_acks) = (self.highest, last, 0, 0);
    }

    /// Nothing more will be sent.
    pub(super) fn close(&mut self, events: &mut VecDeque<Event>) {
        self.lose_session(events);
        events.extend(self.queue.drain(..).filter_map(|request| request.id).map(Event::Unsent));
    }

    // ---- answers ----

    /// Everything up to `number` is done.
    pub(super) fn acknowledge(&mut self, now: Instant, number: u64, events: &mut VecDeque<Event>) -> Vec<Done> {
        if let Some(at) = self.refused.iter().position(|&(refused, _)| refused == number)
            && let Some((_, id)) = self.refused.remove(at)
        {
            events.push_back(Event::Done(id));
        }
        if number == self.done {
            self.see_the_same();
        }
        if number <= self.base.max(self.done) || number > self.highest {
            return Vec::new();
        }
        self.done = number;
        let mut done = Vec::new();
        while let Some(request) = self.queue.front().filter(|request| request.number <= number && self.in_flight > 0) {
            if request.number == number && request.sent_count == 1 {
                self.round_trip.measure(now.since(request.sent_at));
            }
            self.in_flight -= 1;
            let Some(Request { id, what, number, .. }) = self.queue.pop_front() else { break };
            if let Some(id) = id {
                if matches!(what, What::Ask { .. }) {
                    remember(&mut self.asked, (number, id));
                }
                events.push_back(Event::Done(id));
            }
            done.push(Done { number, what });
        }
        self.same_acks = 0;
        self.start_timer(now);
        if number < self.recover_to {
            self.mark(RECOVERED_BYTES_MAX);
        }
        done
    }

    /// Acknowledgements of the same number come when something has arrived behind one that has not.
    fn see_the_same(&mut self) {
        if self.in_flight > 0 {
            self.same_acks += 1;
            if self.same_acks == SAME_ACKS_MAX {
                self.repeat();
            }
        }
    }

    /// The request with this number cannot be done: which it is, and what.
    pub(super) fn refuse(&mut self, number: u64) -> Option<(Option<RequestId>, What)> {
        let at = self.queue.iter().take(self.in_flight).position(|request| request.number == number)?;
        let Request { id, what, .. } = self.queue.remove(at)?;
        self.in_flight -= 1;
        if let Some(id) = id {
            remember(&mut self.refused, (number, id));
        }
        // The hub has done none of those behind it, and waits for the next to say that it need not wait.
        for later in self.queue.range_mut(at..self.in_flight) {
            later.is_due = true;
        }
        Some((id, what))
    }

    /// The command with this number.
    pub(super) fn asked(&self, number: u64) -> Option<RequestId> {
        let in_flight =
            self.queue.iter().take(self.in_flight).filter_map(|request| Some((request.number, request.id?)));
        self.asked.iter().copied().chain(in_flight).find(|&(asked, _)| asked == number).map(|(_, id)| id)
    }

    // ---- time ----

    fn start_timer(&mut self, now: Instant) {
        self.delay = self.round_trip.patience();
        self.retry_at = (self.in_flight > 0).then(|| now + self.delay);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, random: &mut SplitMix) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.repeat();
            self.delay = (self.delay * 2).min(RETRY_MAX);
            self.retry_at = (self.in_flight > 0).then(|| now + jittered(random, self.delay));
        }
    }

    /// All that is in flight is to be sent again, and its time begins anew.
    pub(super) fn repeat_all(&mut self, now: Instant) {
        self.start_timer(now);
        self.repeat();
    }

    fn repeat(&mut self) {
        self.recover_to = self.highest;
        self.same_acks = 0;
        self.mark(REPEATED_BYTES_MAX);
    }

    /// The first in flight is to be sent again, and so many bytes behind it.
    fn mark(&mut self, bytes_max: usize) {
        let mut bytes = 0;
        for request in self.queue.iter_mut().take(self.in_flight) {
            request.is_due = true;
            bytes += request.text.len();
            if bytes >= bytes_max {
                break;
            }
        }
    }

    // ---- sending ----

    /// Adds what is to be sent, as far as there is room for it.
    pub(super) fn write(&mut self, now: Instant, packet: &mut Packet, figures: &mut Figures) {
        let mut last = self.done;
        for (at, request) in self.queue.iter_mut().enumerate().take(IN_FLIGHT_MAX) {
            if request.is_due {
                let number = if at < self.in_flight { request.number } else { self.highest.saturating_add(1) };
                let earlier = std::mem::replace(&mut request.number, number);
                if !packet.push(&request.frame(last, at == 0)) {
                    request.number = earlier;
                    break;
                }
                self.highest = self.highest.max(number);
                self.in_flight = self.in_flight.max(at + 1);
                (request.is_due, request.sent_at) = (false, now);
                figures.repeated += u64::from(request.sent_count > 0);
                request.sent_count = request.sent_count.saturating_add(1);
            }
            last = request.number;
        }
        if self.retry_at.is_none() {
            self.start_timer(now);
        }
    }
}

/// Keeps the latest.
fn remember(list: &mut VecDeque<(u64, RequestId)>, entry: (u64, RequestId)) {
    if list.len() == REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(entry);
}
