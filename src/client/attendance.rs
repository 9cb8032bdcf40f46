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
//! A hub may have several addresses, and we may have another one tomorrow. When a link fails, the next address is tried,
//! by a new link, and the session goes on there.

use super::link::Link;
use super::server::Chosen;
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
        let signals = Signals::new().map_err(Failure::to("wait for signals"))?;
        let server = who.server()?;
        let addrs = server.resolve(ServiceName::Chat)?;
        let mut last = None;
        let link = addrs.iter().find_map(|&addr| Link::open(addr).map_err(|failure| last = Some(failure)).ok());
        let link = link.ok_or_else(|| last.expect("a server that resolves has an address"))?;
        let seed = seed().map_err(Failure::to("read /dev/urandom"))?;
        let session = Session::new(options, seed, link.now());
        let session = session.map_err(|unfit| Failure::Usage(unfit.to_string()))?;
        Ok(Self {
            session,
            link,
            signals,
            server,
            addrs,
            failed_count: 0,
            timeout: who.timeout,
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

    /// The same, not beyond `until`.
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
        let timeout = match [until, overdue_at, self.session.next_timeout()].into_iter().flatten().min() {
            // The caller is to hear of it.
            _ if has_failed => PollTimeout::ZERO,
            // Rounded up, lest the last fraction of a millisecond be spent in circles.
            Some(due) => PollTimeout::try_from(due.since(now) + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
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
                self.trouble = Some(Failure::NoAnswer { addr: self.link.addr, timeout: self.timeout });
                Patience::Over
            }
            patience => patience,
        };
    }

    /// This link has failed: perhaps the next does better. The caller hears of it when none does.
    fn lose(&mut self, failure: Failure) {
        let now = self.link.now();
        // Where nobody listens it is not the link's fault. A hub that comes back knows us by its address.
        if self.addrs.len() > 1 || !matches!(failure, Failure::NobodyListens(_)) {
            let here = self.addrs.iter().position(|&addr| addr == self.link.addr).unwrap_or_default();
            let others = self.addrs.iter().cycle().skip(here + 1).take(self.addrs.len());
            self.link = match others.filter_map(|&addr| Link::open(addr).ok()).next() {
                Some(link) => link,
                None => return self.give_up(now, failure),
            };
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
        // That the hub is overdue is worse.
        self.trouble.get_or_insert_with(|| self.server.explain(failure));
    }
}
