//! `belfry tail`: what is said in the room, line by line, until interrupted.
//!
//! It joins and stays by heartbeats, as any program would. A hub that does not answer or closes is said once; the
//! heartbeats go on, so that it is joined again when it returns.

use super::link::Link;
use super::say::{PORT, QUESTION, QUIT};
use super::{Failure, Who, complain, shown};
use crate::core::Instant;
use crate::daemon::signals::Signals;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

/// Joins, and keeps a member in the room.
const HEARTBEAT: &[u8] = b"^hb^";

/// How often it is sent: a hub waits for three by default.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// Datagrams that are printed before signals are looked at again.
const BUDGET: usize = 64;

/// Prints what is said to `out` until a signal comes or nobody reads `out` any more.
pub(super) fn tail(who: &Who, out: &mut (impl Write + AsFd)) -> Result<(), Failure> {
    let signals = Signals::new().map_err(Failure::to("wait for signals"))?;
    let addrs = who.server.clone().unwrap_or_default().resolve(PORT)?;
    let mut tail = Tail::new(addrs, who.timeout)?;
    let outcome = loop {
        tail.keep_up();
        let link = (!tail.held_up).then_some(&tail.link);
        let ready = wait(&signals, link, &*out, tail.next_timeout().since(tail.link.now()))?;
        if ready.signal || ready.unread {
            break Ok(());
        }
        if ready.link || ready.writable {
            match tail.print(out) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break Ok(()),
                Err(error) => break Err(Failure::to("print")(error)),
                Ok(()) => {}
            }
        }
    };
    // The hub forgets us in time even if it does not hear this.
    let _ = tail.link.send(QUIT);
    outcome
}

/// Our being in the room.
#[derive(Debug)]
struct Tail {
    addrs: Vec<SocketAddr>,
    link: Link,
    timeout: Duration,
    next_heartbeat: Instant,
    /// Since when the hub owes us an answer; `None` once it has shown that it hears us.
    asked: Option<Instant>,
    /// Whether the trouble that there is has been said.
    complained: bool,
    /// Whether whoever reads our output has stopped. A write would wait for that, and hear no signal meanwhile.
    held_up: bool,
}

impl Tail {
    fn new(addrs: Vec<SocketAddr>, timeout: Duration) -> Result<Self, Failure> {
        let mut last = None;
        let link = addrs.iter().find_map(|&addr| Link::open(addr).map_err(|failure| last = Some(failure)).ok());
        let link = link.ok_or_else(|| last.expect("a server that resolves has an address"))?;
        let now = link.now();
        Ok(Self { addrs, link, timeout, next_heartbeat: now, asked: Some(now), complained: false, held_up: false })
    }

    /// When [`Tail::keep_up`] is due.
    fn next_timeout(&self) -> Instant {
        match self.asked {
            Some(asked) if !self.complained => self.next_heartbeat.min(asked + self.timeout),
            _ => self.next_heartbeat,
        }
    }

    /// Sends a heartbeat, and notices silence, when it is time.
    fn keep_up(&mut self) {
        let now = self.link.now();
        if self.asked.is_some_and(|asked| now >= asked + self.timeout) {
            self.complain(&Failure::NoAnswer { addr: self.link.addr, timeout: self.timeout });
        }
        if now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = now + HEARTBEAT_INTERVAL;
        let question = self.asked.map(|_| QUESTION);
        let sent = [HEARTBEAT].into_iter().chain(question).try_for_each(|payload| self.link.send(payload));
        if let Err(failure) = sent {
            self.lose(&failure);
        }
    }

    /// Prints what waits, as far as the budget goes; an error is one of printing.
    fn print(&mut self, out: &mut (impl Write + AsFd)) -> io::Result<()> {
        for _ in 0..BUDGET {
            let mut writable = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
            self.held_up = poll(&mut writable, PollTimeout::ZERO)? == 0;
            if self.held_up {
                break;
            }
            match self.link.receive_now() {
                Ok(None) => break,
                Err(failure) => {
                    self.lose(&failure);
                    break;
                }
                Ok(Some(payload)) => {
                    self.asked = None;
                    if std::mem::take(&mut self.complained) {
                        complain(&format_args!("{}/udp answers", self.link.addr));
                    }
                    // A further line is indented, so that it cannot pass for a message of its own.
                    writeln!(out, "{}", shown(&payload, "\n\t").replace("\n\t\t", "\n\t"))?;
                    out.flush()?;
                }
            }
        }
        Ok(())
    }

    /// The hub is gone, or was never there: it may come back, perhaps at another of its addresses.
    fn lose(&mut self, failure: &Failure) {
        self.complain(failure);
        self.asked = Some(self.link.now());
        let here = self.addrs.iter().position(|&addr| addr == self.link.addr).unwrap_or_default();
        let next = self.addrs[(here + 1) % self.addrs.len()];
        // With one address the socket stays, and with it the source by which the hub knows us.
        if next != self.link.addr
            && let Ok(link) = Link::open(next)
        {
            self.link = link;
        }
    }

    fn complain(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.complained, true) {
            complain(&format_args!("{failure}; still trying"));
        }
    }
}

/// What there is to do.
#[derive(Debug)]
struct Ready {
    /// `SIGINT`, `SIGTERM`, or `SIGHUP` from a terminal that closes: each ends us.
    signal: bool,
    link: bool,
    /// Our output takes more.
    writable: bool,
    /// Nobody reads our output any more.
    unread: bool,
}

/// Waits for a datagram or, without a link, for room in the output.
fn wait(signals: &Signals, link: Option<&Link>, out: &impl AsFd, at_most: Duration) -> Result<Ready, Failure> {
    // Where nothing is asked of it, that its other end has gone is reported all the same.
    let of_out = if link.is_none() { PollFlags::POLLOUT } else { PollFlags::empty() };
    let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(out.as_fd(), of_out)];
    fds.extend(link.map(|link| PollFd::new(link.as_fd(), PollFlags::POLLIN)));
    // Rounded up, lest the last fraction of a millisecond be spent in circles.
    let timeout = PollTimeout::try_from(at_most + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(Failure::to("wait")(error.into())),
    }
    let told = |at: usize| fds.get(at).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
    Ok(Ready {
        signal: !told(0).is_empty(),
        writable: told(1).contains(PollFlags::POLLOUT),
        unread: told(1).intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL),
        link: !told(2).is_empty(),
    })
}
