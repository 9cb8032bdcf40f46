//! Being at a hub: what drives a [`Session`] for every command that talks there.
//!
//! It owns what the session does not: the link, the clock and the signals. The caller has its own side, standard input and
//! output; it is asked in turns:
//!
//! ```text
//! loop {
//!     while let Some(news) = attendance.next() { show(news) }
//!     attendance.session().say(…);
//!     let wake = attendance.wait(&[…])?;      // sends what is due; until something comes, is due, or can be done
//! }
//! ```
//!
//! A hub may have several addresses, and we may have another one tomorrow. When a link fails, or stays silent for its share of
//! the timeout, the next address is tried, by a new link, and the session goes on there.

use super::link::Link;
use super::server::{Chosen, Origin};
use super::session::{Event, Options, Session};
use super::{Failure, Who};
use crate::core::Instant;
use crate::daemon::seed;
use crate::daemon::signals::Signals;
use crate::services::ServiceName;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Datagrams that are read before the caller and the signals have their turn.
const BUDGET: usize = 64;

/// How long a goodbye may take: it is said three times meanwhile. A hub that hears none of them forgets us in time.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// How long an address has its turn once our user knows that none answers: time for a few hellos, since each turn begins anew
/// with those.
const TURN_MIN: Duration = Duration::from_secs(10);

/// A session, and all that it needs to go on.
#[derive(Debug)]
pub(super) struct Attendance {
    session: Session,
    link: Link,
    signals: Signals,
    server: Chosen,
    addrs: Vec<SocketAddr>,
    /// Links that have failed since the hub has welcomed us last.
    failed_count: usize,
    /// Addresses that were left for their silence since then.
    silent: Vec<SocketAddr>,
    /// Since when this link has its turn.
    turn_began: Instant,
    timeout: Duration,
    patience: Patience,
    trouble: Option<Failure>,
}

/// Whether the hub owes us a welcome or an acknowledgement.
#[derive(Clone, Copy, Debug)]
enum Patience {
    NotNeeded,
    Since(Instant),
    Over,
}

/// What there is to tell.
#[derive(Debug)]
pub(super) enum News {
    /// The session says so.
    Event(Event),
    /// The hub cannot be reached at any of its addresses, or it has owed us an answer for too long. We go on trying.
    Trouble(Failure),
}

/// Why a wait has ended.
#[derive(Debug)]
pub(super) struct Wake {
    /// `SIGINT`, `SIGTERM`, or `SIGHUP` from a terminal that closes: each ends us.
    pub(super) is_interrupted: bool,
    /// What the kernel says of each that was to be watched.
    pub(super) watched: Vec<PollFlags>,
}

impl Attendance {
    /// On the way to the hub; nothing is sent yet.
    pub(super) fn begin(who: &Who, options: &Options) -> Result<Self, Failure> {
        // Before anything that may take a while.
        let signals = Signals::new().map_err(Failure::to("wait for signals"))?;
        let mut attendance = Self::on_the_way(signals, who.server()?, who.timeout, options)?;
        // Where a server was named it is waited for, since it comes back. This one is only a guess.
        if attendance.server.origin == Origin::Loopback {
            attendance.reach()?;
        }
        Ok(attendance)
    }

    /// Waits until the hub has welcomed us; what it says is told later.
    fn reach(&mut self) -> Result<(), Failure> {
        while self.session.name().is_empty() {
            if self.wait(&[])?.is_interrupted {
                return Err(Failure::Failed("interrupted".to_owned()));
            }
            if let Some(trouble) = self.trouble.take() {
                return Err(trouble);
            }
        }
        Ok(())
    }

    /// The same, when the server is known already.
    pub(super) fn begin_at(server: Chosen, timeout: Duration, options: &Options) -> Result<Self, Failure> {
        let signals = Signals::new().map_err(Failure::to("wait for signals"))?;
        Self::on_the_way(signals, server, timeout, options)
    }

    fn on_the_way(signals: Signals, server: Chosen, timeout: Duration, options: &Options) -> Result<Self, Failure> {
        let addrs = server.resolve(ServiceName::Chat)?;
        let mut last = None;
        let link = addrs.iter().find_map(|&addr| Link::open(addr).map_err(|failure| last = Some(failure)).ok());
        let link = link.ok_or_else(|| last.expect("a server that resolves has an address"))?;
        let seed = seed().map_err(Failure::to("read /dev/urandom"))?;
        let now = link.now();
        let session = Session::new(options, seed, now);
        let session = session.map_err(|unfit| Failure::Usage(unfit.to_string()))?;
        Ok(Self {
            session,
            link,
            signals,
            server,
            addrs,
            failed_count: 0,
            silent: Vec::new(),
            turn_began: now,
            timeout,
            patience: Patience::NotNeeded,
            trouble: None,
        })
    }

    /// The session, to ask for something.
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Which server it is, and why.
    pub(super) fn server(&self) -> &Chosen {
        &self.server
    }

    /// The monotonic clock.
    pub(super) fn now(&self) -> Instant {
        self.link.now()
    }

    /// That the hub is silent.
    pub(super) fn no_answer(&self) -> Failure {
        let others = self.silent.iter().copied().filter(|&addr| addr != self.link.addr);
        let addrs = others.chain([self.link.addr]).collect();
        self.server.explain(Failure::NoAnswer { addrs, timeout: self.timeout, origin: None })
    }

    /// Where the hub is, or may be.
    pub(super) fn addr(&self) -> SocketAddr {
        self.link.addr
    }

    /// The next that there is to tell.
    pub(super) fn next(&mut self) -> Option<News> {
        if let Some(trouble) = self.trouble.take() {
            return Some(News::Trouble(trouble));
        }
        let event = self.session.poll_event()?;
        if matches!(event, Event::Welcomed { .. }) {
            self.failed_count = 0;
            self.silent.clear();
        }
        // To be welcomed again is no answer to what was asked.
        if matches!(event, Event::Welcomed { is_new: true, .. } | Event::Done(_) | Event::Refused { .. }) {
            self.patience = Patience::NotNeeded;
        }
        Some(News::Event(event))
    }

    /// Sends what is due and waits: for the hub, a signal, what is due next, or one of those that are `watched`.
    pub(super) fn wait(&mut self, watched: &[(BorrowedFd<'_>, PollFlags)]) -> Result<Wake, Failure> {
        self.wait_until(None, watched)
    }

    /// Says goodbye. What had not been done by then was given up: the events say what.
    pub(super) fn leave(mut self) -> Vec<Event> {
        let now = self.link.now();
        let until = now + GOODBYE_MAX;
        self.session.bye(now);
        self.trouble = None;
        let mut events = Vec::new();
        loop {
            events.extend(std::iter::from_fn(|| self.session.poll_event()));
            if self.session.is_closed() || self.link.now() >= until {
                break;
            }
            // Whoever interrupts us a second time means it.
            if self.wait_until(Some(until), &[]).is_ok_and(|wake| wake.is_interrupted) || self.trouble.is_some() {
                break;
            }
        }
        events
    }

    /// The same, at most until a moment.
    pub(super) fn wait_until(
        &mut self,
        until: Option<Instant>,
        watched: &[(BorrowedFd<'_>, PollFlags)],
    ) -> Result<Wake, Failure> {
        let has_failed = self.send().map_err(|failure| self.lose(failure)).is_err();
        let now = self.link.now();
        self.keep_patience(now);
        let overdue_at = match self.patience {
            Patience::Since(since) => Some(since + self.timeout),
            Patience::NotNeeded | Patience::Over => None,
        };
        let timeout =
            match [until, overdue_at, self.turn_end(), self.session.next_timeout()].into_iter().flatten().min() {
                // The caller is to hear of it.
                _ if has_failed => PollTimeout::ZERO,
                // Rounded up, lest the last fraction of a millisecond be spent in circles.
                Some(due) => {
                    PollTimeout::try_from(due.since(now) + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
                None => PollTimeout::NONE,
            };
        let ours = [self.signals.as_fd(), self.link.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let mut fds: Vec<_> =
            ours.into_iter().chain(watched.iter().map(|&(fd, flags)| PollFd::new(fd, flags))).collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Failure::to("wait")(error.into())),
        }
        let told: Vec<_> = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect();
        if !told[1].is_empty()
            && let Err(failure) = self.receive()
        {
            self.lose(failure);
        }
        let now = self.link.now();
        self.session.handle_timeout(now);
        self.keep_patience(now);
        if self.turn_end().is_some_and(|end| end <= now) {
            self.silent.retain(|&addr| addr != self.link.addr);
            self.silent.push(self.link.addr);
            if self.turn(now) {
                self.session.handle_address_change(now);
            }
        }
        let signal = self.signals.read().map_err(Failure::to("read a signal"))?;
        Ok(Wake { is_interrupted: signal.is_some(), watched: told[2..].to_vec() })
    }

    fn send(&mut self) -> Result<(), Failure> {
        while let Some(datagram) = self.session.poll_datagram(self.link.now()) {
            self.link.send(&datagram)?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Failure> {
        for _ in 0..BUDGET {
            let Some(datagram) = self.link.receive_now()? else { break };
            self.session.handle_datagram(self.link.now(), &datagram);
        }
        Ok(())
    }

    fn keep_patience(&mut self, now: Instant) {
        let is_owed = !self.session.is_closed() && (self.session.name().is_empty() || self.session.request_count() > 0);
        self.patience = match self.patience {
            _ if !is_owed => Patience::NotNeeded,
            Patience::NotNeeded => Patience::Since(now),
            Patience::Since(since) if since + self.timeout <= now => {
                self.trouble = Some(self.no_answer());
                Patience::Over
            }
            patience => patience,
        };
    }

    /// When an address that stays silent makes way for the next; `None` while the hub answers, or has no other.
    fn turn_end(&self) -> Option<Instant> {
        let is_due = self.addrs.len() > 1 && !self.session.is_connected() && !self.session.is_closed();
        let share = self.timeout / u32::try_from(self.addrs.len()).unwrap_or(u32::MAX);
        let turn = match self.patience {
            Patience::Since(_) => share,
            Patience::NotNeeded | Patience::Over => share.max(TURN_MIN),
        };
        is_due.then(|| self.turn_began + turn)
    }

    /// On to the next address for which there is a way; whether there is one.
    fn turn(&mut self, now: Instant) -> bool {
        let here = self.addrs.iter().position(|&addr| addr == self.link.addr).unwrap_or_default();
        let others = self.addrs.iter().cycle().skip(here + 1).take(self.addrs.len());
        let link = others.filter_map(|&addr| Link::open(addr).ok()).next();
        self.turn_began = now;
        link.map(|link| self.link = link).is_some()
    }

    /// This link has failed: perhaps the next does better. The caller hears of it when none does.
    fn lose(&mut self, failure: Failure) {
        let now = self.link.now();
        // Where nobody listens it is not the link's fault. A hub that comes back knows us by its address.
        let is_left = self.addrs.len() > 1 || !matches!(failure, Failure::NobodyListens(_));
        if is_left && !self.turn(now) {
            return self.give_up(now, failure);
        }
        self.failed_count = self.failed_count.saturating_add(1);
        if self.failed_count < self.addrs.len() {
            self.session.handle_address_change(now);
        } else {
            self.give_up(now, failure);
        }
    }

    /// Until the session tries again.
    fn give_up(&mut self, now: Instant, failure: Failure) {
        self.session.handle_unreachable(now);
        // An address that stays silent may be where the hub is: patience tells when it is over.
        if self.silent.is_empty() {
            // That the hub is overdue is worse.
            self.trouble.get_or_insert_with(|| self.server.explain(failure));
        }
    }
}
