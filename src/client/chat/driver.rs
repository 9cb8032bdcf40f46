//! The session, the lists and the clock behind the model, for the screen and for lines alike.
//!
//! What the model wants done with the hub is done here. What it wants of a terminal is left to whoever has one.

use super::entry::What;
use super::happening::{Action, Input};
use super::model::{Connection, Model};
use super::presence::Presence;
use crate::client::attendance::{Attendance, News, Wake};
use crate::client::server::Origin;
use crate::client::session::{self, Audience, Figures};
use crate::client::{Failure, Who, complain};
use crate::clock::Clock;
use crate::core::{Instant, Now};
use nix::poll::PollFlags;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How long what was said last may take to arrive when its user leaves.
const LAST_WORDS_MAX: Duration = Duration::from_secs(3);

/// What the session was like when the model heard of it last.
type Measured = (Figures, usize, usize);

/// The session, the lists and the clock, and the model before them.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) model: Model,
    attendance: Attendance,
    presence: Presence,
    clock: Clock,
    measured: Option<Measured>,
    /// What is left to the terminal.
    wishes: Vec<Action>,
    /// Whether the model may look different from before.
    is_changed: bool,
    /// The last trouble, as long as the hub has not been heard since.
    pub(super) trouble: Option<Failure>,
}

impl Driver {
    /// On the way to the hub; nothing is sent yet.
    pub(super) fn begin(
        who: &Who,
        options: &session::Options,
        model: impl FnOnce(String, Now) -> Model,
    ) -> Result<Self, Failure> {
        let attendance = Attendance::begin(who, options)?;
        let clock = Clock::new();
        let presence = Presence::open(attendance.addr())?;
        let mut model = model(attendance.addr().to_string(), clock.now());
        let server = attendance.server();
        if server.origin != Origin::Option {
            model.notice(&format!("The server is {}: {}.", server.name, server.origin.why()));
        }
        Ok(Self {
            model,
            attendance,
            presence,
            clock,
            measured: None,
            wishes: Vec::new(),
            is_changed: true,
            trouble: None,
        })
    }

    /// Something has happened.
    pub(super) fn feed(&mut self, input: Input) {
        self.is_changed = true;
        for action in self.model.update(self.clock.now(), input) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        let session = self.attendance.session();
        match action {
            Action::Say { mark, room, to, is_me, text } => {
                let audience = match &to {
                    Some(to) => Audience::Member(to),
                    None => Audience::Room(Some(&room)),
                };
                let result = session.say(audience, is_me, text.as_bytes());
                self.feed(Input::Taken { mark, result });
            }
            Action::Ask { room, text } => self.complain(|session| session.ask(room.as_deref(), text.as_bytes())),
            Action::Join(room) => self.complain(|session| session.join(&room)),
            Action::Leave(room) => self.complain(|session| session.leave(&room)),
            Action::Members(room) => self.presence.ask_members(&room, self.clock.now().mono),
            Action::Rooms => self.presence.ask_rooms(self.clock.now().mono),
            Action::Bell | Action::Redraw | Action::Suspend | Action::Quit => self.wishes.push(action),
        }
    }

    fn complain(&mut self, ask: impl FnOnce(&mut session::Session) -> Result<session::RequestId, session::Unfit>) {
        if let Err(unfit) = ask(self.attendance.session()) {
            self.feed(Input::Unfit(unfit));
        }
    }

    /// Takes what the session and the lists have to tell.
    pub(super) fn hear(&mut self) {
        while let Some(news) = self.attendance.next() {
            match news {
                News::Trouble(failure) => {
                    self.feed(Input::Trouble(failure.to_string()));
                    self.trouble = Some(failure);
                }
                News::Event(event) => {
                    self.trouble = None;
                    let is_earlier = match &event {
                        session::Event::Message(message) => self.attendance.session().is_earlier(message),
                        _ => false,
                    };
                    self.feed(Input::Event { event, is_earlier });
                }
            }
        }
        while let Some(input) = self.presence.poll() {
            self.feed(input);
        }
    }

    /// Tells the model how the session is and what is due.
    pub(super) fn keep_time(&mut self) {
        let session = self.attendance.session();
        let measured = (session.figures(), session.request_count(), session.text_max());
        let is_same = |(figures, waiting, text_max): &Measured| {
            // Datagrams that are sent and come are nothing to look at.
            let counts = Figures { sent: measured.0.sent, received: measured.0.received, ..*figures };
            (counts, *waiting, *text_max) == measured
        };
        let was_changed = self.is_changed || !self.measured.as_ref().is_some_and(is_same);
        if self.measured != Some(measured) {
            let (figures, waiting, text_max) = measured;
            self.measured = Some(measured);
            self.feed(Input::Figures { figures, waiting, text_max });
        }
        self.is_changed = was_changed;
        if self.model.next_tick().is_some_and(|at| at <= self.clock.now().mono) {
            self.feed(Input::Tick);
        }
    }

    /// What the terminal is to do.
    pub(super) fn take_wishes(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.wishes)
    }

    /// Whether the model may look different from when this was asked last.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// The monotonic clock.
    pub(super) fn now(&self) -> Instant {
        self.clock.now().mono
    }

    /// Whether we are in a room, with what was said there before we came, as far as it can be had.
    pub(super) fn has_caught_up(&mut self) -> bool {
        let is_in = self.model.rooms.iter().any(|room| room.is_in);
        is_in && (self.model.connection != Connection::Connected || self.attendance.session().gap_count() == 0)
    }

    /// Requests that are not done.
    pub(super) fn request_count(&mut self) -> usize {
        self.attendance.session().request_count()
    }

    /// Waits for the hub, the lists, a signal, what is due, or one of those that are `watched`; at most until a moment.
    pub(super) fn wait(
        &mut self,
        until: Option<Instant>,
        watched: &[(BorrowedFd<'_>, PollFlags)],
    ) -> Result<Wake, Failure> {
        self.presence.send(self.attendance.addr(), self.clock.now().mono);
        let until = [until, self.model.next_tick(), self.presence.next_timeout()].into_iter().flatten().min();
        let mut all = watched.to_vec();
        all.push((self.presence.as_fd(), PollFlags::POLLIN));
        let mut wake = self.attendance.wait_until(until, &all)?;
        if wake.watched.pop().is_some_and(|flags| !flags.is_empty()) {
            self.presence.receive(self.clock.now().mono);
        }
        self.presence.handle_timeout(self.clock.now().mono);
        Ok(wake)
    }

    /// Says goodbye, a moment after what was said last. What did not get that far is told: how many messages were not
    /// delivered in all, or perhaps not.
    pub(super) fn leave(mut self) -> usize {
        let until = self.clock.now().mono + LAST_WORDS_MAX;
        while self.request_count() > 0
            && self.model.connection == Connection::Connected
            && self.clock.now().mono < until
            && self.attendance.wait_until(Some(until), &[]).is_ok_and(|wake| !wake.is_interrupted)
        {
            self.hear();
        }
        let known = self.model.last_id();
        for event in self.attendance.leave() {
            self.model.update(self.clock.now(), Input::Event { event, is_earlier: false });
        }
        for (_, entry) in self.model.entries_after(known) {
            if let What::Unsaid { why, text } = &entry.what {
                complain(&format_args!("{why}: {}", text.lines().collect::<Vec<_>>().join(" ")));
            }
        }
        self.model.unsaid_count()
    }
}
