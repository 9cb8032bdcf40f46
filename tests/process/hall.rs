//! A full hall: a room of five hundred sessions on a network that loses one datagram in ten, in both directions.
//!
//! What it costs to lose nothing is told at the end: `cargo test --test process hall -- --nocapture`.

use crate::belfryd::{Belfryd, QUIET};
use crate::netns::{Host, cable, enter};
use belfry::client::session::{Audience, Event, Options, Session};
use belfry::core::{Instant, Seed};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

const SESSIONS: usize = 500;
const MESSAGES: usize = 1_000;
const SPEAKERS: usize = 10;

/// How long the whole of it may take. When all is well it is a tenth of that.
const PATIENCE: Duration = Duration::from_secs(240);

/// Has this host lose what comes in, so many datagrams of UDP in a hundred. (What is dropped on its way out is an error of the
/// sender's.)
fn lose(percent: u32) {
    let rules = format!(
        "table inet loss {{ chain in {{ type filter hook input priority 0; \
         meta l4proto udp numgen random mod 100 < {percent} counter drop; }}; }}"
    );
    let nft = Command::new("nft").arg(&rules).status();
    assert!(nft.expect("make test installs nftables").success(), "{rules}");
}

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
    fn new(hub: SocketAddr, start: std::time::Instant) -> Self {
        let seat = |number: usize| {
            let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
            socket.connect(hub).unwrap();
            socket.set_nonblocking(true).unwrap();
            let options = Options { name: Some(format!("s{number}")), ..Options::default() };
            let session = Session::new(&options, Seed(number as u64), now(start)).unwrap();
            Seat { session, socket, heard: Vec::new(), said: 0, done: 0, wants: 0, repairs: 0 }
        };
        Self { seats: (0..SESSIONS).map(seat).collect(), start }
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
        let mut buffer = [0; 2_048];
        while ready && let Ok(len) = self.socket.recv(&mut buffer) {
            let before = self.session.figures().repaired;
            self.session.handle_datagram(now, &buffer[..len]);
            self.repairs += u64::from(self.session.figures().repaired > before);
        }
        self.session.handle_timeout(now);
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
        while let Some(datagram) = self.session.poll_datagram(now) {
            self.wants += u64::from(datagram.windows(6).any(|window| window == b"^want "));
            let _ = self.socket.send(&datagram);
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
    host.run(|| lose(10));
    lose(10);
    let start = std::time::Instant::now();
    let mut hall = host.run(|| Hall::new(hub, start));
    let is_there = |seat: &Seat| !seat.session.name().is_empty();
    while !hall.seats.iter().all(is_there) {
        hall.turn();
        assert!(start.elapsed() < PATIENCE, "{} are in", hall.seats.iter().filter(|seat| is_there(seat)).count());
    }
    let (in_after, mut next) = (start.elapsed(), start.elapsed());
    let before = hall.total();
    let complete =
        |hall: &Hall| hall.seats.iter().all(|seat| seat.heard.len() >= MESSAGES && seat.session.request_count() == 0);
    let mut said = 0;
    while !complete(&hall) {
        while said < MESSAGES && start.elapsed() >= next {
            let text = format!("message {said} ^hb^ of {}", said % SPEAKERS);
            let speaker = &mut hall.seats[said % SPEAKERS];
            if speaker.session.say(Audience::Room(None), false, text.as_bytes()).is_err() {
                break;
            }
            speaker.said += 1;
            said += 1;
            next += Duration::from_millis(5);
        }
        hall.turn();
        let least = hall.seats.iter().map(|seat| seat.heard.len()).min();
        assert!(start.elapsed() < PATIENCE, "after {said} were said the last has heard {least:?}");
    }
    let took = start.elapsed() - in_after;
    let first = &hall.seats[0].heard;
    let numbers: Vec<u64> = first.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=MESSAGES as u64).collect::<Vec<_>>());
    let mut texts = BTreeMap::new();
    first.iter().for_each(|(_, text)| *texts.entry(text.clone()).or_insert(0) += 1);
    assert_eq!((texts.len(), texts.values().max()), (MESSAGES, Some(&1)), "each was said once");
    for seat in &hall.seats {
        assert!(seat.heard == *first && seat.done == seat.said && seat.session.figures().lost == 0);
    }
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
