//! `belfry time --watch`: a clock that ticks with the server's seconds, until interrupted.
//!
//! Each line is the server's own answer: it is asked when its next second begins, as far as we know from the answers
//! before, so zone and format are as the server has them and nothing is made up here. When it does not answer,
//! the line says since when; in a pipe that is said once on standard error.
//!
//! Where a second begins there is estimated on the monotonic clock, from the fastest of the last answers. Asking half a
//! round trip early would show the tick sooner, and the second before it whenever the way there is the quicker one.

use super::request::Request;
use super::samples::Question;
use crate::client::link::Link;
use crate::client::server::Chosen;
use crate::client::{Failure, Who, complain};
use crate::clock::Clock;
use crate::core::Instant;
use crate::daemon::signals::Signals;
use crate::services::ServiceName;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

/// A second of a clock, in nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// Answers that the estimate is made from; the oldest is as many seconds old, in which clocks drift by microseconds.
const ESTIMATES_MAX: usize = 8;

/// Questions that may still be answered.
const QUESTIONS_MAX: usize = 8;

/// The shortest time that an address has to answer.
const SHARE_MIN: Duration = Duration::from_millis(500);

/// After so long a silence we say so: one answer may be lost.
const SILENCE: Duration = Duration::from_millis(2_500);

/// Goes on until it is interrupted, or nobody reads any more.
pub(super) fn watch(who: &Who, request: &Request, out: &mut impl Write) -> Result<(), Failure> {
    let signals = Signals::new().map_err(Failure::to("wait for signals"))?;
    match Watch::begin(who, request)?.go_on(&signals, out) {
        Err(End::Failed(failure)) => Err(failure),
        Ok(()) | Err(End::NobodyReads) => Ok(()),
    }
}

/// Why it ends by itself.
#[derive(Debug)]
enum End {
    NobodyReads,
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn printed(printed: io::Result<()>) -> Result<(), End> {
    printed.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => End::NobodyReads,
        _ => End::Failed(Failure::to("print the time")(error)),
    })
}

/// A server that is asked at every second.
#[derive(Debug)]
struct Watch<'a> {
    server: Chosen,
    request: &'a Request,
    /// The one that is asked first.
    addrs: VecDeque<SocketAddr>,
    link: Link,
    /// How long an address may be silent before the next has its turn.
    share: Duration,
    turn_began: Instant,
    clock: Clock,
    face: Face,
    ticker: Ticker,
    tag: u32,
    questions: VecDeque<Question>,
    due: Instant,
}

impl<'a> Watch<'a> {
    fn begin(who: &Who, request: &'a Request) -> Result<Self, Failure> {
        let server = who.server()?;
        let addrs = VecDeque::from(server.resolve(ServiceName::Time)?);
        let clock = Clock::new();
        let now = clock.now().mono;
        Ok(Self {
            link: Link::open(*addrs.front().expect("a server that resolves has an address"))?,
            share: (who.timeout / u32::try_from(addrs.len()).unwrap_or(u32::MAX)).max(SHARE_MIN),
            server,
            request,
            addrs,
            turn_began: now,
            clock,
            face: Face { is_rewritten: io::stdout().is_terminal(), ..Face::new(now) },
            ticker: Ticker::default(),
            tag: 0,
            questions: VecDeque::new(),
            due: now,
        })
    }

    fn go_on(mut self, signals: &Signals, out: &mut impl Write) -> Result<(), End> {
        loop {
            self.ask(out)?;
            self.wait(signals)?;
            if signals.read().map_err(Failure::to("read a signal"))?.is_some() {
                return Ok(self.face.end(out).map_err(Failure::to("print"))?);
            }
            self.hear(out)?;
        }
    }

    /// Asks when it is time to.
    fn ask(&mut self, out: &mut impl Write) -> Result<(), End> {
        let now = self.clock.now();
        if self.turn_end().is_some_and(|end| end <= now.mono) {
            self.turn(now.mono)?;
        }
        if now.mono < self.due {
            return Ok(());
        }
        self.tag += 1;
        self.questions.push_back(Question { tag: self.tag, asked: now });
        keep_newest(&mut self.questions, QUESTIONS_MAX);
        // That nobody listens is heard below.
        let _ = self.link.send(self.request.of(self.tag).as_bytes());
        self.due = self.ticker.next_tick(now.mono);
        printed(self.face.show_silence(now.mono, out))
    }

    fn wait(&self, signals: &Signals) -> Result<(), Failure> {
        let until = self.turn_end().map_or(self.due, |end| end.min(self.due));
        let wait = until.since(self.clock.now().mono) + Duration::from_millis(1);
        let mut fds = [signals.as_fd(), self.link.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(Failure::to("wait")(error.into())),
        }
    }

    fn hear(&mut self, out: &mut impl Write) -> Result<(), End> {
        let heard = self.clock.now().mono;
        match self.link.receive_now() {
            Ok(Some(payload)) if payload.starts_with(b"? ") => {
                Err(Failure::Refused(crate::client::shown(&payload, " ")).into())
            }
            Ok(Some(payload)) => {
                let answered = self.questions.iter().position(|question| question.read(&payload).is_some());
                let Some(question) = answered.and_then(|at| self.questions.remove(at)) else { return Ok(()) };
                let Some((server, text)) = question.read(&payload) else { return Ok(()) };
                self.ticker.learn(server, question.asked.mono, heard);
                self.due = self.ticker.next_tick(heard);
                printed(self.face.show(heard, &text.replace('\n', " "), out))
            }
            Ok(None) => Ok(()),
            Err(failure) => {
                self.face.trouble = Some(self.server.explain(failure).to_string());
                // Where all are closed each is asked once a second.
                if self.turn_end().is_some() && self.tag < self.addrs.len() as u32 {
                    self.turn(heard)?;
                }
                Ok(())
            }
        }
    }

    /// When the next address has its turn; `None` once one has answered, or where there is no other.
    fn turn_end(&self) -> Option<Instant> {
        let is_open = self.face.shown.is_empty() && self.addrs.len() > 1;
        is_open.then(|| self.turn_began + self.share)
    }

    /// A name often has two addresses, and the server answers at one of them.
    fn turn(&mut self, now: Instant) -> Result<(), Failure> {
        self.addrs.rotate_left(1);
        if let Some(&addr) = self.addrs.front() {
            self.link = Link::open(addr)?;
        }
        (self.turn_began, self.due) = (now, now);
        Ok(())
    }
}

/// Where the server's clock stands on our monotonic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    /// The server's clock less our monotonic one, in nanoseconds.
    offset: i128,
    round_trip: Duration,
}

/// When the server's seconds begin.
#[derive(Debug, Default)]
struct Ticker {
    estimates: VecDeque<Estimate>,
}

impl Ticker {
    /// The server's clock said `server` while a question was under way.
    fn learn(&mut self, server: i128, asked: Instant, heard: Instant) {
        let round_trip = heard.since(asked);
        let middle = asked + round_trip / 2;
        let new = Estimate { offset: server - i128::from(middle.as_nanos()), round_trip };
        // Both cannot be true: a clock was set, or this machine was asleep.
        let contradicts = |old: &Estimate| {
            let apart = (old.offset - new.offset).unsigned_abs();
            apart > (old.round_trip / 2 + new.round_trip / 2 + Duration::from_millis(1)).as_nanos()
        };
        if self.estimates.iter().any(contradicts) {
            self.estimates.clear();
        }
        self.estimates.push_back(new);
        keep_newest(&mut self.estimates, ESTIMATES_MAX);
    }

    /// When the next second begins there; in a second, as long as nothing is known.
    fn next_tick(&self, now: Instant) -> Instant {
        let Some(best) = self.estimates.iter().min_by_key(|estimate| estimate.round_trip) else {
            return now + Duration::from_secs(1);
        };
        let there = i128::from(now.as_nanos()) + best.offset;
        let left = SECOND - there.rem_euclid(SECOND);
        now + Duration::from_nanos(u64::try_from(left).expect("at most a second"))
    }
}

/// Drops the oldest, until at most `len` are left.
fn keep_newest<T>(all: &mut VecDeque<T>, len: usize) {
    all.drain(..all.len().saturating_sub(len));
}

/// What is shown.
#[derive(Debug)]
struct Face {
    /// One line on a terminal, over and over; elsewhere one below the other.
    is_rewritten: bool,
    shown: String,
    heard_at: Instant,
    /// Why nothing is heard, if the kernel knows.
    trouble: Option<String>,
    has_complained: bool,
}

impl Face {
    fn new(now: Instant) -> Self {
        Self { is_rewritten: false, shown: String::new(), heard_at: now, trouble: None, has_complained: false }
    }

    fn show(&mut self, now: Instant, text: &str, out: &mut impl Write) -> io::Result<()> {
        (self.heard_at, self.trouble) = (now, None);
        if std::mem::take(&mut self.has_complained) && !self.is_rewritten {
            complain(&"the server answers");
        }
        text.clone_into(&mut self.shown);
        if self.is_rewritten {
            write!(out, "\r{text}\x1b[K")?
        } else {
            writeln!(out, "{text}")?
        }
        out.flush()
    }

    fn show_silence(&mut self, now: Instant, out: &mut impl Write) -> io::Result<()> {
        let silence = now.since(self.heard_at);
        if silence < SILENCE {
            return Ok(());
        }
        let why = self.trouble.as_deref().unwrap_or("no answer");
        let told = format!("{why}, for {} s", silence.as_secs());
        if self.is_rewritten {
            let space = if self.shown.is_empty() { "" } else { "  " };
            write!(out, "\r{}{space}({told})\x1b[K", self.shown)?;
            return out.flush();
        }
        if !std::mem::replace(&mut self.has_complained, true) {
            complain(&format_args!("{told}; still asking"));
        }
        Ok(())
    }

    /// Leaves the line to whoever writes next.
    fn end(&self, out: &mut impl Write) -> io::Result<()> {
        if self.is_rewritten { writeln!(out) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn it_ticks_when_the_servers_seconds_begin_as_the_fastest_answer_has_it() {
        let mut ticker = Ticker::default();
        assert_eq!(ticker.next_tick(at(500)), at(1_500), "nothing is known");
        ticker.learn(100 * SECOND + 250_000_000, at(1_000), at(1_100));
        assert_eq!(ticker.next_tick(at(1_100)), at(1_800));
        ticker.learn(101 * SECOND + 251_000_000, at(2_049), at(2_051));
        assert_eq!(ticker.next_tick(at(2_051)), at(2_799), "the faster is nearer to the truth");
        ticker.learn(102 * SECOND + 270_000_000, at(3_000), at(3_100));
        assert_eq!(ticker.next_tick(at(3_100)), at(3_799));
        assert_eq!(ticker.next_tick(at(3_799)), at(4_799), "never twice in a second");
    }

    #[test]
    fn a_clock_that_was_set_is_believed_at_once() {
        let mut ticker = Ticker::default();
        ticker.learn(100 * SECOND, at(1_000), at(1_002));
        ticker.learn(-50 * SECOND + 500_000_000, at(2_000), at(2_040));
        assert_eq!(ticker.next_tick(at(2_040)), at(2_520));
        assert_eq!(ticker.estimates.len(), 1);
    }

    #[test]
    fn on_a_terminal_one_line_is_rewritten_and_says_how_old_it_is() {
        let mut face = Face { is_rewritten: true, ..Face::new(at(0)) };
        let mut out = Vec::new();
        face.show(at(1_000), "14:03:27", &mut out).unwrap();
        face.show_silence(at(2_000), &mut out).unwrap();
        face.show_silence(at(4_000), &mut out).unwrap();
        face.trouble = Some("nobody listens".to_owned());
        face.show_silence(at(5_000), &mut out).unwrap();
        face.end(&mut out).unwrap();
        let expected =
            "\r14:03:27\x1b[K\r14:03:27  (no answer, for 3 s)\x1b[K\r14:03:27  (nobody listens, for 4 s)\x1b[K\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
