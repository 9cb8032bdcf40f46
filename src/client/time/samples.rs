//! Servers that are asked for the exact time, all at once: what each says, and when we asked and heard it.
//!
//! A question carries a number that comes back with its answer, so that a late answer is not taken for that to a later
//! question. Half of a round trip is how far an answer may be off (RFC 5905 §10).

use super::request::Request;
use crate::client::link::Link;
use crate::client::server::Chosen;
use crate::client::{Failure, shown};
use crate::clock::Clock;
use crate::core::{Instant, Now};
use crate::services::ServiceName;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

/// How often a server is asked before it counts as silent.
const ATTEMPTS: u32 = 3;

/// A question may be this much slower than the fastest, and four times as slow, before it counts as lost.
const PATIENCE: Duration = Duration::from_millis(50);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct Sample {
    /// The server's clock less ours, in nanoseconds, as if both ways had taken equally long.
    pub(in crate::client) offset: i128,
    pub(in crate::client) round_trip: Duration,
    /// What is to be shown.
    pub(super) text: String,
}

/// What came of asking one server.
#[derive(Debug)]
pub(in crate::client) struct Outcome {
    pub(super) name: String,
    /// Where it was asked, or would have been.
    pub(in crate::client) addr: Option<SocketAddr>,
    pub(in crate::client) samples: Result<Vec<Sample>, Failure>,
}

impl Outcome {
    /// The sample of the fastest answer: it can be off by least.
    pub(in crate::client) fn best(&self) -> Option<&Sample> {
        self.samples.as_ref().ok()?.iter().min_by_key(|sample| sample.round_trip)
    }
}

/// A question that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) tag: u32,
    pub(super) asked: Now,
}

impl Question {
    /// What `payload` says, if it answers this: the server's clock in nanoseconds of Unix time, and what is to be shown.
    pub(super) fn read(&self, payload: &[u8]) -> Option<(i128, String)> {
        let text = shown(payload, "\n");
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let (time, tag) = first.split_once(' ')?;
        let (seconds, nanos) = time.split_once('.')?;
        if tag.parse() != Ok(self.tag) || nanos.len() != 9 || !nanos.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds: i64 = seconds.parse().ok()?;
        let nanos: i128 = nanos.parse().ok()?;
        Some((i128::from(seconds) * 1_000_000_000 + nanos, rest.to_owned()))
    }

    fn sample(&self, heard: Instant, payload: &[u8]) -> Option<Sample> {
        let (server, text) = self.read(payload)?;
        let round_trip = heard.since(self.asked.mono);
        let ours = self.asked.wall.as_nanosecond() + (round_trip / 2).as_nanos() as i128;
        Some(Sample { offset: server - ours, round_trip, text })
    }
}

/// Asks every server, so often that `count` answers can come, and waits at most `timeout`.
pub(in crate::client) fn sample(
    servers: &[Chosen],
    request: &Request,
    count: usize,
    timeout: Duration,
) -> Result<Vec<Outcome>, Failure> {
    let clock = Clock::new();
    let start = clock.now().mono;
    let mut asking: Vec<Asking<'_>> =
        servers.iter().map(|server| Asking::new(server, request, count, timeout, start)).collect();
    loop {
        let now = clock.now();
        asking.iter_mut().for_each(|one| one.go_on(now));
        let open: Vec<&Asking<'_>> = asking.iter().filter(|one| one.done.is_none()).collect();
        let Some(due) = open.iter().map(|one| one.due).min() else { break };
        let fds = open.iter().filter_map(|one| one.link.as_ref());
        let mut fds: Vec<PollFd<'_>> = fds.map(|link| PollFd::new(link.as_fd(), PollFlags::POLLIN)).collect();
        let wait = due.min(start + timeout).since(now.mono) + Duration::from_millis(1);
        match poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Failure::to("wait")(error.into())),
        }
        // Read at once for all: what each of them would add is far below a microsecond.
        let heard = clock.now().mono;
        asking.iter_mut().for_each(|one| one.receive(heard));
    }
    Ok(asking.into_iter().map(Asking::end).collect())
}

/// One server that is being asked.
#[derive(Debug)]
struct Asking<'a> {
    server: &'a Chosen,
    request: &'a Request,
    count: usize,
    timeout: Duration,
    end: Instant,
    /// Those that were not asked so far.
    addrs: VecDeque<SocketAddr>,
    addr: Option<SocketAddr>,
    /// Those that were asked and were silent.
    silent: Vec<SocketAddr>,
    link: Option<Link>,
    /// How long this address may be silent, and until when that is: those that are left share what is left of the timeout.
    share: Duration,
    turn_end: Instant,
    /// Those that may still be answered; at most as many as are asked.
    questions: Vec<Question>,
    tag: u32,
    /// Questions that this address may still be sent.
    left: u32,
    samples: Vec<Sample>,
    due: Instant,
    done: Option<Result<(), Failure>>,
}

impl<'a> Asking<'a> {
    fn new(server: &'a Chosen, request: &'a Request, count: usize, timeout: Duration, now: Instant) -> Self {
        let (addrs, done) = match server.resolve(ServiceName::Time) {
            Ok(addrs) => (addrs.into(), None),
            Err(failure) => (VecDeque::new(), Some(Err(failure))),
        };
        let mut asking = Self {
            server,
            request,
            count,
            timeout,
            end: now + timeout,
            addrs,
            addr: None,
            silent: Vec::new(),
            link: None,
            share: timeout,
            turn_end: now,
            questions: Vec::new(),
            tag: 0,
            left: 0,
            samples: Vec::new(),
            due: now,
            done,
        };
        if asking.done.is_none() {
            asking.turn(now, Failure::Failed(format!("cannot find {}", server.name)));
        }
        asking
    }

    /// To the next of its addresses; if there is none, that is how it ends.
    fn turn(&mut self, now: Instant, failure: Failure) {
        let mut last = failure;
        while let Some(addr) = self.addrs.pop_front() {
            self.addr = Some(addr);
            match Link::open(addr) {
                Ok(link) => {
                    (self.link, self.due, self.left) = (Some(link), now, self.count as u32 + ATTEMPTS);
                    self.share = self.end.since(now) / u32::try_from(self.addrs.len() + 1).unwrap_or(u32::MAX);
                    self.turn_end = now + self.share;
                    return;
                }
                Err(failure) => last = failure,
            }
        }
        self.done = Some(Err(match self.silent.is_empty() {
            true => self.server.explain(last),
            false => self.no_answer(),
        }));
    }

    fn no_answer(&self) -> Failure {
        self.server.explain(Failure::NoAnswer { addrs: self.silent.clone(), timeout: self.timeout, origin: None })
    }

    fn go_on(&mut self, now: Now) {
        if self.done.is_some() {
            return;
        }
        if self.samples.is_empty() && now.mono >= self.turn_end {
            self.silent.extend(self.addr);
            return self.turn(now.mono, self.no_answer());
        }
        if self.samples.len() >= self.count || now.mono >= self.end || (self.due <= now.mono && self.left == 0) {
            self.done = Some(Ok(()));
        } else if self.due <= now.mono {
            (self.tag, self.left) = (self.tag + 1, self.left - 1);
            self.questions.push(Question { tag: self.tag, asked: now });
            let best = self.samples.iter().map(|sample| sample.round_trip).min();
            self.due = best.map_or_else(
                || (now.mono + self.share / ATTEMPTS).min(self.turn_end),
                |best| now.mono + best * 4 + PATIENCE,
            );
            let sent = self.link.as_ref().map(|link| link.send(self.request.of(self.tag).as_bytes()));
            if let Some(Err(failure)) = sent {
                self.turn(now.mono, failure);
            }
        }
    }

    fn receive(&mut self, heard: Instant) {
        while self.done.is_none() {
            let Some(link) = &self.link else { return };
            match link.receive_now() {
                Ok(None) => return,
                Ok(Some(payload)) if payload.starts_with(b"? ") => {
                    self.done = Some(Err(Failure::Refused(shown(&payload, " "))));
                }
                Ok(Some(payload)) => {
                    let sample = self.questions.iter().find_map(|question| question.sample(heard, &payload));
                    if let Some(sample) = sample {
                        self.samples.push(sample);
                        self.due = heard;
                    }
                }
                Err(failure) => self.turn(heard, failure),
            }
        }
    }

    fn end(self) -> Outcome {
        let samples = match self.done {
            Some(Err(failure)) if self.samples.is_empty() => Err(failure),
            _ if self.samples.is_empty() => Err(self.no_answer()),
            _ => Ok(self.samples),
        };
        Outcome { name: self.server.name.clone(), addr: self.addr, samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_to_this_question() {
        let clock = Clock::new();
        let question = Question { tag: 7, asked: clock.now() };
        let cases = [
            (&b"1795000000.000000001 7\n14:03\n"[..], Some((1_795_000_000_000_000_001, "14:03"))),
            (b"-1.000000001 7\0", Some((-999_999_999, ""))),
            (b"1795000000.000000001 7\na\nb\x1b", Some((1_795_000_000_000_000_001, "a\nb\\u{1b}"))),
            (b"1795000000.000000001 6\n14:03\n", None),
            (b"1795000000.1 7", None),
            (b"1795000000.+00000001 7", None),
            (b"14:03", None),
            (b"\xff 7", None),
        ];
        for (payload, read) in cases {
            let read = read.map(|(nanos, text)| (nanos, text.to_owned()));
            assert_eq!(question.read(payload), read, "{}", String::from_utf8_lossy(payload));
        }
    }

    #[test]
    fn the_server_is_ahead_by_what_it_says_less_our_time_in_the_middle() {
        let asked = Now { mono: Instant::from_nanos(5_000), wall: jiff::Timestamp::from_second(1_000).unwrap() };
        let sample = Question { tag: 1, asked }.sample(Instant::from_nanos(9_000), b"1000.000003000 1").unwrap();
        assert_eq!((sample.offset, sample.round_trip), (1_000, Duration::from_nanos(4_000)));
    }
}
