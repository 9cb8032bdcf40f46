//! A full hall: a room of five hundred sessions on a network that loses one datagram in ten, in both directions.
//!
//! What it costs to lose nothing is told at the end: `cargo test --test process hall -- --nocapture`.

use crate::belfryd::{Belfryd, QUIET};
use crate::netns::{Host, cable, enter, lose};
use crate::state::{CHAT, directory, hand_over, kill};
use belfry::client::session::{Audience, Event, Options, Session};
use belfry::core::{Instant, Seed};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

const SESSIONS: usize = 500;
const MESSAGES: usize = 1_000;
const SPEAKERS: usize = 10;

/// How long the whole of it may take. When all is well it is a tenth of that.
const PATIENCE: Duration = Duration::from_secs(240);

/// One who is in the hall.
struct Seat {
    session: Session,
    socket: UdpSocket,
    /// What it has heard, in its order.
    heard: Vec<(u64, Vec<u8>)>,
    said: usize,
    done: usize,
    wants: u64,
    repairs: u64,
}

/// A hall with everybody in it.
struct Hall {
    seats: Vec<Seat>,
    start: std::time::Instant,
}

impl Hall {
    fn new(hub: SocketAddr, count: usize, start: std::time::Instant) -> Self {
        let seat = |number: usize| {
            let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
            socket.connect(hub).unwrap();
            socket.set_nonblocking(true).unwrap();
            let options = Options { name: Some(format!("s{number}")), ..Options::default() };
            let session = Session::new(&options, Seed(number as u128), now(start)).unwrap();
            Seat { session, socket, heard: Vec::new(), said: 0, done: 0, wants: 0, repairs: 0 }
        };
        Self { seats: (0..count).map(seat).collect(), start }
    }

    /// Waits until everybody is in.
    fn fill(&mut self) {
        let is_there = |seat: &&Seat| !seat.session.name().is_empty();
        while !self.seats.iter().all(|seat| is_there(&seat)) {
            self.turn();
            let count = self.seats.iter().filter(is_there).count();
            assert!(self.start.elapsed() < PATIENCE, "only {count} are in");
        }
    }

    /// Has one of the first few say something; whether it can at the moment.
    fn say(&mut self, number: usize) -> bool {
        let text = format!("message {number} ^hb^ of {}", number % SPEAKERS);
        let speaker = &mut self.seats[number % SPEAKERS];
        let is_said = speaker.session.say(Audience::Room(None), false, text.as_bytes()).is_ok();
        speaker.said += usize::from(is_said);
        is_said
    }

    /// Whether everybody has heard so many messages, and knows that its own were said.
    fn is_complete(&self, count: usize) -> bool {
        self.seats.iter().all(|seat| seat.heard.len() >= count && seat.session.request_count() == 0)
    }

    /// Everybody has heard the same, each message once and in the order of the numbers.
    fn check(&self, count: usize) {
        let first = &self.seats[0].heard;
        assert_eq!(first.len(), count);
        assert!(first.iter().map(|&(number, _)| number).eq(1..=count as u64), "none is left out");
        let texts: BTreeSet<&[u8]> = first.iter().map(|(_, text)| text.as_slice()).collect();
        assert_eq!(texts.len(), count, "each was said once");
        for seat in &self.seats {
            assert!(seat.heard == *first && seat.done == seat.said && seat.session.figures().lost == 0);
        }
    }

    /// Waits for whatever comes next, and deals with it.
    fn turn(&mut self) {
        let now_ = now(self.start);
        let due = self.seats.iter().filter_map(|seat| seat.session.next_timeout()).min();
        let wait = due.map_or(Duration::from_millis(20), |due| due.since(now_).min(Duration::from_millis(20)));
        let ready: Vec<bool> = {
            let mut fds: Vec<_> =
                self.seats.iter().map(|seat| PollFd::new(seat.socket.as_fd(), PollFlags::POLLIN)).collect();
            poll(&mut fds, PollTimeout::try_from(wait + Duration::from_millis(1)).unwrap()).unwrap();
            fds.iter().map(|fd| fd.any().unwrap_or(false)).collect()
        };
        for (seat, ready) in self.seats.iter_mut().zip(ready) {
            seat.turn(now(self.start), ready);
        }
    }
}

impl Seat {
    fn turn(&mut self, now: Instant, ready: bool) {
        if ready {
            self.receive(now);
        }
        self.session.handle_timeout(now);
        self.hear();
        while let Some(datagram) = self.session.poll_datagram(now) {
            self.wants += u64::from(datagram.windows(6).any(|window| window == b"^want "));
            let _ = self.socket.send(&datagram);
        }
    }

    fn receive(&mut self, now: Instant) {
        let mut buffer = [0; 2_048];
        loop {
            let len = match self.socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    self.session.handle_unreachable(now);
                    continue;
                }
                Err(_) => break,
            };
            let before = self.session.figures().repaired;
            self.session.handle_datagram(now, &buffer[..len]);
            self.repairs += u64::from(self.session.figures().repaired > before);
        }
    }

    fn hear(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Message(message) => self.heard.push((message.number, message.text)),
                Event::Done(_) => self.done += 1,
                Event::Lost { .. } | Event::Anew { .. } | Event::Refused { .. } | Event::Unconfirmed(_) => {
                    panic!("{event:?}")
                }
                _ => {}
            }
        }
    }
}

fn now(start: std::time::Instant) -> Instant {
    Instant::from_nanos(1_000_000_000 + start.elapsed().as_nanos() as u64)
}

#[test]
fn five_hundred_sessions_that_lose_one_datagram_in_ten_hear_every_message_once_and_in_one_order() {
    if !enter() {
        return println!("skipped: no network namespace can be made here");
    }
    let host = Host::new();
    cable("hall", 1, &host);
    let config =
        QUIET.replace("127.0.0.1:0", "10.77.1.1:0").replace("[chat]", "[chat]\nmax-members-per-address = 1024");
    let belfryd = Belfryd::start(&config);
    let hub = belfryd.addr("chat");
    if !lose(10) || !host.run(|| lose(10)) {
        return;
    }
    let start = std::time::Instant::now();
    let mut hall = host.run(|| Hall::new(hub, SESSIONS, start));
    hall.fill();
    let (in_after, mut next) = (start.elapsed(), start.elapsed());
    let before = hall.total();
    let mut said = 0;
    while !hall.is_complete(MESSAGES) {
        while said < MESSAGES && start.elapsed() >= next && hall.say(said) {
            said += 1;
            next += Duration::from_millis(5);
        }
        hall.turn();
        let least = hall.seats.iter().map(|seat| seat.heard.len()).min();
        assert!(start.elapsed() < PATIENCE, "after {said} were said the last has heard {least:?}");
    }
    let took = start.elapsed() - in_after;
    hall.check(MESSAGES);
    let after = hall.total();
    let of = |at: fn(&Total) -> u64| at(&after) - at(&before);
    println!(
        "{SESSIONS} sessions were in after {in_after:.1?}; {MESSAGES} messages were everywhere after {took:.1?}: \
         {} datagrams came and {} went, {} came with {} messages again, {} asked for them",
        of(|total| total.received),
        of(|total| total.sent),
        of(|total| total.repairs),
        of(|total| total.repaired),
        of(|total| total.wants),
    );
}

#[test]
fn sessions_say_and_hear_everything_once_while_the_daemon_is_killed_again_and_again() {
    if !enter() {
        return println!("skipped: no network namespace can be made here");
    }
    if !lose(5) {
        return;
    }
    let (_, with_directory) = directory();
    // Who has missed a message gets it from the next daemon if that has read it.
    let config = CHAT.replace("[chat]", "[chat]\nhistory = 10000");
    let mut belfryd = Belfryd::start_with(&config, &with_directory);
    let memory = belfryd.stored().pop().expect("it is handed over before it is ready");
    let start = std::time::Instant::now();
    let mut hall = Hall::new(belfryd.addr("chat"), 2 * SPEAKERS, start);
    hall.fill();
    // What a kill may cost is what was new in the last half of a second.
    let settled = start.elapsed() + Duration::from_secs(1);
    while start.elapsed() < settled {
        hall.turn();
    }
    let (mut said, mut next) = (0, start.elapsed());
    for _ in 0..12 {
        let kill_at = start.elapsed() + Duration::from_millis(250 + said as u64 * 37 % 200);
        while start.elapsed() < kill_at {
            if start.elapsed() >= next && hall.say(said) {
                said += 1;
                next += Duration::from_millis(2);
            }
            hall.turn();
        }
        kill(&mut belfryd);
        belfryd = Belfryd::start_with(&config, |command| {
            with_directory(command);
            hand_over(&memory)(command);
        });
    }
    while !hall.is_complete(said) {
        hall.turn();
        let least = hall.seats.iter().map(|seat| seat.heard.len()).min();
        assert!(start.elapsed() < PATIENCE, "of {said} that were said the last has heard {least:?}");
    }
    hall.check(said);
    let total = hall.total();
    println!("{said} messages in 12 lives of the daemon; {} came again", total.repaired);
}

/// What all have counted.
#[derive(Default)]
struct Total {
    received: u64,
    sent: u64,
    repairs: u64,
    repaired: u64,
    wants: u64,
}

impl Hall {
    fn total(&self) -> Total {
        self.seats.iter().fold(Total::default(), |total, seat| {
            let figures = seat.session.figures();
            Total {
                received: total.received + figures.received,
                sent: total.sent + figures.sent,
                repairs: total.repairs + seat.repairs,
                repaired: total.repaired + figures.repaired,
                wants: total.wants + seat.wants,
            }
        })
    }
}
