//! A session with a hub, as docs/PROTOCOL.md has it: what we say is said once, and we miss nothing.
//!
//! It owns no socket and reads no clock. Datagrams and moments go in; datagrams and events come out:
//!
//! ```text
//! loop {
//!     while let Some(datagram) = session.poll_datagram(now) { socket.send(datagram) }
//!     while let Some(event) = session.poll_event() { show(event) }
//!     wait for the socket, the user, or session.next_timeout();
//!     session.handle_datagram(now, …), session.say(…), session.handle_timeout(now)
//! }
//! ```
//!
//! Nothing is queued to be sent but requests. The rest are marks: a hello is due, a heartbeat, a range of missing messages;
//! what is due goes out together when the caller asks, so an idle caller costs no memory.
//!
//! | file | what it is about |
//! |---|---|
//! | `hearing.rs` | what the hub says |
//! | `hello.rs` | coming in, coming back and going |
//! | `requests.rs` | what we ask for: numbers, order, repetition |
//! | `streams.rs`, `stream.rs`, `gaps.rs` | what is said in rooms: order, repair |
//! | `options.rs` | every time and bound, with its reason |

mod event;
mod gaps;
mod hearing;
mod hello;
mod options;
mod pace;
mod packet;
mod requests;
mod stream;
mod streams;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use event::{Event, Figures, Heartbeats, Message, Reason, RequestId, Unfit};
pub use options::{EVENTS_MAX, Options, REQUESTS_MAX, ROOMS_MAX, Wanted};

use crate::core::frame::{Position, SessionId, write_frame};
use crate::core::limits::DATAGRAM_MAX;
use crate::core::{Instant, Seed, SplitMix};
use hello::{Bye, Hello};
use options::{FIRST_HEARTBEAT, HEARTBEAT, SILENT_HEARTBEATS, is_member, is_room};
use pace::jittered;
use packet::Packet;
use requests::{Requests, What};
use std::collections::VecDeque;
use std::time::Duration;
use streams::Streams;

/// A session, from the first hello to the last goodbye.
#[derive(Clone, Debug)]
pub struct Session {
    random: SplitMix,
    /// What tells us from whoever had our address before.
    start: String,
    wanted_name: Option<String>,
    /// What the hub calls us; empty until it has.
    name: String,
    id: Option<SessionId>,
    /// Sessions that are lost.
    past: VecDeque<SessionId>,
    token: Option<String>,
    /// The question that is to be answered by a welcome.
    hello: Option<Hello>,
    bye: Option<Bye>,
    is_closed: bool,
    is_connected: bool,
    /// Whether our user knows that the hub is full.
    is_full: bool,
    welcomed_at: Instant,
    heard_at: Instant,
    heartbeat: Duration,
    heartbeat_at: Instant,
    heartbeat_is_due: bool,
    /// When the last was sent, until it is answered.
    heartbeat_sent_at: Option<Instant>,
    heartbeats: Heartbeats,
    /// Whether the hub has asked for the token once more, as it does those who are on another network.
    heartbeat_shows_token: bool,
    text_max: usize,
    requests: Requests,
    streams: Streams,
    events: VecDeque<Event>,
    figures: Figures,
}

/// To whom something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Everybody in a room; the first of ours, without a name.
    Room(Option<&'a str>),
    /// One member alone.
    Member(&'a str),
}

impl Session {
    /// A session that is about to begin: the first datagram is there to be sent. The `seed` must be another each time.
    pub fn new(options: &Options, seed: Seed, now: Instant) -> Result<Self, Unfit> {
        let is_name = options.name.as_deref().is_none_or(is_room);
        if !is_name || !options.rooms.iter().all(|wanted| is_room(&wanted.room)) {
            return Err(Unfit::BadName);
        }
        if options.rooms.len() > ROOMS_MAX {
            return Err(Unfit::TooManyRooms);
        }
        let mut random = SplitMix::new(seed);
        let start = format!("{:016x}", random.next_u64());
        let mut streams = Streams::new(options.back);
        for wanted in &options.rooms {
            streams.add(&wanted.room, wanted.from, None);
        }
        Ok(Self {
            random,
            start,
            wanted_name: options.name.clone(),
            name: String::new(),
            id: None,
            past: VecDeque::new(),
            token: None,
            hello: Some(Hello::at_once(now)),
            bye: None,
            is_closed: false,
            is_connected: false,
            is_full: false,
            welcomed_at: now,
            heard_at: now,
            heartbeat: HEARTBEAT,
            heartbeat_at: now,
            heartbeat_is_due: false,
            heartbeat_sent_at: None,
            heartbeats: Heartbeats::default(),
            heartbeat_shows_token: false,
            text_max: DATAGRAM_MAX,
            requests: Requests::new(options.requests_max),
            streams,
            events: VecDeque::new(),
            figures: Figures::default(),
        })
    }

    // ---- what it is like ----

    /// What the hub calls us; empty until it has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the hub knows us by; whoever has it can speak as we do.
    pub fn id(&self) -> Option<SessionId> {
        self.id
    }

    /// Where we are in each room and in our mailbox, to begin from there another time.
    pub fn positions(&self) -> impl Iterator<Item = Position<'_>> {
        self.streams.positions()
    }

    /// Requests that are not done.
    pub fn request_count(&self) -> usize {
        self.requests.len()
    }

    /// Numbers of messages that are missing, in pieces that follow each other.
    pub fn gap_count(&self) -> usize {
        self.streams.gap_count()
    }

    /// Whether a message was said before we came into its room.
    pub fn is_earlier(&self, message: &Message) -> bool {
        self.streams.is_earlier(&message.room, message.epoch, message.number)
    }

    /// The longest text, in bytes, as far as the hub has said.
    pub fn text_max(&self) -> usize {
        self.text_max
    }

    /// Whether the hub has welcomed us and answers, as far as we know.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether nothing follows any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// What was counted.
    pub fn figures(&self) -> Figures {
        Figures { round_trip: self.requests.round_trip.estimate(), ..self.figures }
    }

    /// What has become of our heartbeats.
    pub fn heartbeats(&self) -> Heartbeats {
        self.heartbeats
    }

    /// Has the next heartbeat sent at once, to measure the way to the hub; `false` while the hub does not know us here.
    pub fn beat(&mut self, now: Instant) -> bool {
        if self.is_here() {
            self.heartbeat_is_due = true;
            self.heartbeat_at = now + jittered(&mut self.random, self.heartbeat);
        }
        self.is_here()
    }

    // ---- what we ask for ----

    /// Says something; with `is_me`, that we do something.
    pub fn say(&mut self, audience: Audience<'_>, is_me: bool, text: &[u8]) -> Result<RequestId, Unfit> {
        let (room, to) = match audience {
            Audience::Room(room) => (room, None),
            Audience::Member(to) => (None, Some(to)),
        };
        if !to.is_none_or(is_member) {
            return Err(Unfit::BadName);
        }
        self.ask_for(What::Say { room: room.map(str::to_owned), to: to.map(str::to_owned), is_me }, room, text)
    }

    /// Gives a command as people type it, `/who`; about a room where it is about one.
    pub fn ask(&mut self, room: Option<&str>, text: &[u8]) -> Result<RequestId, Unfit> {
        self.ask_for(What::Ask { room: room.map(str::to_owned) }, room, text)
    }

    /// Comes into one more room.
    pub fn join(&mut self, room: &str) -> Result<RequestId, Unfit> {
        self.ask_for(What::Join { room: room.to_owned() }, Some(room), b"")
    }

    /// Leaves one of several rooms.
    pub fn leave(&mut self, room: &str) -> Result<RequestId, Unfit> {
        self.ask_for(What::Leave { room: room.to_owned() }, Some(room), b"")
    }

    fn ask_for(&mut self, what: What, room: Option<&str>, text: &[u8]) -> Result<RequestId, Unfit> {
        if self.is_closed || self.bye.is_some() {
            return Err(Unfit::Closed);
        }
        if !room.is_none_or(is_room) {
            return Err(Unfit::BadName);
        }
        if self.events.len() >= EVENTS_MAX {
            return Err(Unfit::Full);
        }
        self.requests.add(what, text, self.text_max)
    }

    // ---- time ----

    /// Whether the hub knows us at the address that we have, as far as we know.
    fn is_here(&self) -> bool {
        self.id.is_some() && self.bye.is_none() && self.hello.as_ref().is_none_or(|hello| !hello.is_alone)
    }

    fn silence_at(&self) -> Instant {
        self.heard_at + self.heartbeat * SILENT_HEARTBEATS
    }

    /// When [`Session::handle_timeout`] is to be called; `None` when the session is over.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        if let Some(bye) = &self.bye {
            return Some(bye.at);
        }
        let hello = self.hello.as_ref().map(|hello| hello.at);
        if !self.is_here() {
            return hello;
        }
        let present = [self.heartbeat_at, self.silence_at()].into_iter().chain(self.requests.next_timeout());
        present.chain(self.streams.next_timeout()).chain(hello).min()
    }

    /// Does what is due. Harmless before [`Session::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        if self.bye.is_some() {
            return self.repeat_bye(now);
        }
        if self.is_here() && self.silence_at() <= now {
            self.resume(now);
        }
        self.repeat_hello(now);
        if !self.is_here() {
            return;
        }
        if self.heartbeat_at <= now {
            self.beat(now);
        }
        self.requests.handle_timeout(now, &mut self.random);
        self.streams.handle_timeout(now, &mut self.random);
    }

    /// The hub knows us here from now on: what was in flight goes out again.
    fn settle(&mut self, now: Instant) {
        (self.welcomed_at, self.heard_at, self.heartbeat_at) = (now, now, now + FIRST_HEARTBEAT);
        (self.is_connected, self.is_full) = (true, false);
        self.requests.repeat_all(now);
    }

    // ---- what comes out ----

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next datagram that is to be sent, of at most [`DATAGRAM_MAX`] bytes.
    pub fn poll_datagram(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.is_closed {
            return None;
        }
        let mut packet = Packet::new(self.id);
        let mut frame = Vec::new();
        if let Some(bye) = &mut self.bye {
            if std::mem::take(&mut bye.is_due) {
                write_frame(&mut frame, format_args!("bye"));
                packet.push(&frame);
            }
        } else if let Some(hello) = self.hello.as_mut().filter(|hello| hello.is_due) {
            (hello.is_due, hello.sent_at) = (false, now);
            packet.push(&self.hello_frame());
        }
        if self.is_here() {
            if self.heartbeat_is_due && packet.push(&self.heartbeat_frame()) {
                (self.heartbeat_is_due, self.heartbeat_shows_token) = (false, false);
                self.heartbeat_sent_at = Some(now);
                self.heartbeats.sent += 1;
            }
            self.streams.write_wants(&mut packet);
            self.requests.write(now, &mut packet, &mut self.figures);
        }
        let datagram = packet.finish();
        self.figures.sent += u64::from(datagram.is_some());
        datagram
    }

    fn heartbeat_frame(&self) -> Vec<u8> {
        let mut head = "hb".to_owned();
        head.extend(self.streams.positions().map(|position| format!(" {position}")));
        if let Some(token) = self.token.as_ref().filter(|_| self.heartbeat_shows_token) {
            head.push_str(&format!(" token={token}"));
        }
        let mut frame = Vec::new();
        write_frame(&mut frame, format_args!("{head}"));
        frame
    }
}
