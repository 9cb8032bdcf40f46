//! Who takes part, and what they think of to do.

use super::referee::{Ledger, Referee, Text};
use belfry::client::session::{Audience, Event, Options, Reason, RequestId, Session, Wanted};
use belfry::core::frame::{Epoch, MAILBOX};
use belfry::core::{Instant, Seed, SplitMix};
use belfry::services::chat::Hub;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How somebody speaks.
#[derive(Debug)]
pub(super) enum Way {
    Session(Box<Client>),
    /// A heartbeat every three seconds, a text now and then.
    Program,
    /// Lines, as people type them.
    Terminal,
}

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) addr: SocketAddr,
    pub(super) way: Way,
    /// The last token that a program or a terminal was sent.
    pub(super) token: Option<String>,
    /// Before this it shows none, however it is asked.
    pub(super) silent_until: Instant,
    /// Whether its process runs.
    pub(super) is_alive: bool,
    /// Nothing reaches it, and nothing that it sends arrives, until then.
    pub(super) cut_until: Instant,
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The mark of what is said, or 0.
    Open(u64),
    Refused(u64),
    Closed,
}

/// A program with a session.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) ledger: Ledger,
    /// When it is to be woken, as far as that is on the agenda.
    pub(super) wakes_at: Option<Instant>,
    /// Whether it asks for everything again and again.
    pub(super) is_greedy: bool,
    /// Whether it says in its session what no client says. What comes of that is its own affair.
    pub(super) is_hostile: bool,
    pub(super) is_welcome: bool,
    name: String,
    asked: BTreeMap<RequestId, Asked>,
}

/// What somebody at a session does.
#[derive(Debug)]
pub(super) enum Deed {
    /// What it thinks of has been given to its session.
    Asked,
    /// Its process dies, and another begins: perhaps where this one was.
    Dies { remembers: bool },
    /// Its host has another address; whether it knows.
    Moves { knows: bool },
    /// The cable is out for so long.
    IsCut(Duration),
    /// It goes, and comes back later.
    Leaves,
}

/// Pieces of text that are not to be mistaken for anything.
const PIECES: [&str; 14] = [
    "hello",
    "ä🕰",
    "\x1b[2J",
    "\u{202e}\u{200f}",
    "a\r\nb",
    "one\ntwo\n",
    "null\0inside\0",
    "^",
    "^ack 99^",
    "^bye kicked^",
    "^say 1 lobby len=2^",
    "^msg lobby/00000000/1 anna time=1 len=5^hello",
    "quit",
    "\n",
];

const ROOMS: [&str; 4] = ["lobby", "lab", "kitchen", "a"];

impl Client {
    pub(super) fn new(name: &str, ledger: Ledger, rooms: Vec<Wanted>, seed: Seed, now: Instant) -> Self {
        let options = Options { name: Some(name.to_owned()), rooms, ..Options::default() };
        Self {
            session: Session::new(&options, seed, now).expect("good names, few rooms"),
            ledger,
            wakes_at: None,
            is_greedy: false,
            is_hostile: false,
            is_welcome: false,
            name: name.to_owned(),
            asked: BTreeMap::new(),
        }
    }

    /// The next process of the same program, at `now`; whether it `remembers` where it was.
    pub(super) fn reborn(&self, remembers: bool, seed: Seed, now: Instant) -> Self {
        if !remembers {
            return Self::new(&self.name, Ledger::default(), Vec::new(), seed, now);
        }
        let place =
            |(room, epoch, number): (&str, Epoch, u64)| Wanted { room: room.to_owned(), from: Some((epoch, number)) };
        let rooms = self.ledger.places().filter(|(room, ..)| *room != MAILBOX).map(place).collect();
        let mut ledger = self.ledger.clone();
        ledger.leave(MAILBOX);
        Self::new(&self.name, ledger, rooms, seed, now)
    }

    /// Thinks of something.
    pub(super) fn act(
        &mut self,
        random: &mut SplitMix,
        names: &[String],
        serial: &mut u64,
        referee: &mut Referee,
    ) -> Deed {
        match random.below(100) {
            0..60 => self.say(None, false, random, serial, referee),
            60..64 => (0..2 + random.below(20)).for_each(|_| self.say(None, false, random, serial, referee)),
            64..74 => {
                let to = names[random.below(names.len() as u64) as usize].clone();
                self.say(Some(&to), random.below(20) == 0, random, serial, referee);
            }
            // More than its mailbox holds.
            74 if random.below(2) == 0 => {
                let to = names[random.below(names.len() as u64) as usize].clone();
                (0..50).for_each(|_| self.say(Some(&to), false, random, serial, referee));
            }
            75..80 => {
                let room = ROOMS[random.below(ROOMS.len() as u64) as usize];
                let asked = if random.below(3) > 0 { self.session.join(room) } else { self.session.leave(room) };
                self.note(asked.ok(), 0);
            }
            80..90 => {
                let typed =
                    ["/who", "/rooms", "/history 3", "/topic tea", "/xyzzy", "/nick x", "/away", "/history off"];
                let typed = typed[random.below(typed.len() as u64) as usize];
                if typed != "/history off" || random.below(8) == 0 {
                    let asked = self.session.ask(None, typed.as_bytes());
                    self.note(asked.ok(), 0);
                }
            }
            90..92 => return Deed::Dies { remembers: random.below(2) == 0 },
            92..95 => return Deed::Moves { knows: random.below(2) == 0 },
            95..98 => {
                let most = if random.below(40) == 0 { 700_000 } else { 16_000 };
                return Deed::IsCut(Duration::from_millis(1 + random.below(most)));
            }
            98 => return Deed::Leaves,
            _ => {}
        }
        Deed::Asked
    }

    fn say(&mut self, to: Option<&str>, is_me: bool, random: &mut SplitMix, serial: &mut u64, referee: &mut Referee) {
        *serial += 1;
        let mut bytes = text(random, *serial);
        if random.below(30) == 0 {
            bytes.resize(1_000, b'f');
        }
        let is_me = to.is_none() && (is_me || random.below(10) == 0);
        referee.expect(*serial, Text { bytes: bytes.clone(), is_me, to: to.map(str::to_owned), is_counted: true });
        // A room that it is not in, now and then.
        let rooms: Vec<&str> = self.ledger.places().map(|(room, ..)| room).filter(|&room| room != MAILBOX).collect();
        let room = match random.below(20) {
            0 => Some(ROOMS[random.below(ROOMS.len() as u64) as usize]),
            1 => None,
            at => rooms.get(at as usize % rooms.len().max(1)).copied(),
        };
        let audience = to.map_or(Audience::Room(room), Audience::Member);
        let asked = self.session.say(audience, is_me, &bytes).ok();
        self.note(asked, *serial);
    }

    fn note(&mut self, id: Option<RequestId>, serial: u64) {
        if let Some(id) = id {
            let before = self.asked.insert(id, Asked::Open(serial));
            assert_eq!(before, None, "request {id} is given twice");
        }
    }

    /// Takes what the session has to tell; each must be true.
    pub(super) fn take_events(&mut self, referee: &Referee, addr: SocketAddr) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Welcomed { .. } if self.is_hostile => self.is_welcome = true,
                _ if self.is_hostile => {}
                Event::Welcomed { .. } => self.is_welcome = true,
                Event::Joined { room, epoch, number } => self.ledger.begin(referee, &room, epoch, number),
                Event::Anew { room, epoch, number } => {
                    if room != MAILBOX {
                        self.ledger.leave(&room);
                        self.ledger.begin(referee, &room, epoch, number);
                    }
                }
                Event::Left { room } => self.ledger.leave(&room),
                Event::Message(message) => self.ledger.take(referee, &message),
                Event::Lost { room, epoch, first, count } => {
                    self.ledger.lose(referee, addr, (&room, epoch), first, count)
                }
                Event::Done(id) => self.close(
                    id,
                    |before| {
                        let (Asked::Open(mark) | Asked::Refused(mark)) = before else {
                            panic!("{id} is done, and was {before:?}")
                        };
                        Some(mark).filter(|&mark| mark > 0)
                    },
                    referee,
                ),
                Event::Refused { id: Some(id), .. } => {
                    let Some(Asked::Open(mark)) = self.asked.insert(id, Asked::Closed) else {
                        panic!("{id} was not open")
                    };
                    self.asked.insert(id, Asked::Refused(mark));
                }
                Event::Unconfirmed(id) | Event::Unsent(id) => self.close(
                    id,
                    |before| {
                        assert!(matches!(before, Asked::Open(_)), "{id} was {before:?}");
                        None
                    },
                    referee,
                ),
                Event::Closed(Reason::Kicked | Reason::Left | Reason::Unanswered) => {}
                Event::Closed(reason) => panic!("closed: {reason:?}"),
                Event::Disconnected | Event::Full => self.is_welcome = false,
                Event::Refused { .. } | Event::Renamed { .. } | Event::Note { .. } | Event::Answer { .. } => {}
            }
        }
        if !self.is_hostile {
            self.ledger.compare(referee, &self.session);
        }
    }

    fn close(&mut self, id: RequestId, must_be_said: impl Fn(Asked) -> Option<u64>, referee: &Referee) {
        let before = self.asked.insert(id, Asked::Closed).unwrap_or_else(|| panic!("nobody has asked for {id}"));
        if let Some(mark) = must_be_said(before) {
            assert!(referee.was_said(mark), "#{mark} was acknowledged and not said");
        }
    }

    /// With everything over, nothing may be left.
    pub(super) fn finish(&self, referee: &Referee, hub: &Hub) {
        if self.is_hostile {
            return;
        }
        for position in self.session.positions().filter(|position| position.room != MAILBOX) {
            assert_eq!(hub.epoch_of(position.room), Some(position.epoch), "{} is at {position}", self.name);
        }
        assert_eq!(self.session.request_count(), 0, "{} waits", self.name);
        assert_eq!(self.session.gap_count(), 0, "{} misses something", self.name);
        assert!(
            self.asked.values().all(|asked| !matches!(asked, Asked::Open(_))),
            "{} knows of each request",
            self.name
        );
        self.ledger.finish(referee, &self.session);
    }
}

/// A text with its mark, and with whatever may be mistaken for something else.
pub(super) fn text(random: &mut SplitMix, serial: u64) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..random.below(3) {
        text += PIECES[random.below(PIECES.len() as u64) as usize];
    }
    text += &format!("#{serial};");
    for _ in 0..random.below(3) {
        text += PIECES[random.below(PIECES.len() as u64) as usize];
    }
    text.into_bytes()
}
