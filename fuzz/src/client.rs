//! The client's end of a session: whatever a hub says, what the client says is well-formed, bounded and not without end, and its
//! user hears each message once and in order.
//!
//! ```text
//! <^token 0123^         the hub says this; $S is our session, $I the start of our hello
//! >lobby hello          we say hello in the lobby
//! =anna hello           to Anna alone
//! ?/who                 a command
//! +tea  -tea            we come and go
//! @250                  so many milliseconds go by
//! ~  !  .               another address; nobody listens; we leave
//! ```

use super::script::{number, steps, unescape};
use belfry::client::session::{Audience, EVENTS_MAX, Event, Options, Session, Wanted};
use belfry::core::frame::{Epoch, frames};
use belfry::core::limits::{DATAGRAM_MAX, SESSION_ROOMS_MAX};
use belfry::core::{Instant, Seed};
use std::collections::BTreeMap;
use std::time::Duration;

/// Datagrams at once: each request that may be in flight in one of its own, and what goes with them.
const DATAGRAMS_MAX: usize = 48;

/// Pieces of what is missing, in the worst case: one before each message that waits for an earlier one, in each room.
const GAPS_MAX: usize = (SESSION_ROOMS_MAX + 1) * 257;

struct World {
    session: Session,
    now: Instant,
    start: Vec<u8>,
    /// The last message of each room.
    newest: BTreeMap<String, (Epoch, u64)>,
}

/// A program.
pub fn client(data: &[u8]) {
    let wanted = |room: &str| Wanted { room: room.to_owned(), from: None };
    let options = Options { name: Some("anna".to_owned()), rooms: vec![wanted("lobby")], back: 3, requests_max: 40 };
    let now = Instant::from_nanos(1_000_000_000_000);
    let session = Session::new(&options, Seed(1), now).expect("the options are good");
    let mut world = World { session, now, start: b"0".to_vec(), newest: BTreeMap::new() };
    world.look();
    for step in steps(data).take(200) {
        world.step(step);
        world.look();
    }
}

impl World {
    fn step(&mut self, step: &[u8]) {
        let [what, rest @ ..] = step else { return };
        let session = self.session.id().map_or_else(|| "0123456789abcdef".to_owned(), |id| id.to_string());
        let start = self.start.clone();
        let rest = unescape(rest, |letter| match letter {
            b'S' => Some(session.clone().into_bytes()),
            b'I' => Some(start.clone()),
            _ => None,
        });
        let text = String::from_utf8_lossy(&rest);
        let (word, more) = text.split_once(' ').unwrap_or((&text, ""));
        match what {
            b'<' => self.session.handle_datagram(self.now, &rest),
            b'>' => drop(self.session.say(Audience::Room(Some(word)), false, more.as_bytes())),
            b'*' => drop(self.session.say(Audience::Room(None), true, &rest)),
            b'=' => drop(self.session.say(Audience::Member(word), false, more.as_bytes())),
            b'?' => drop(self.session.ask(None, &rest)),
            b'+' => drop(self.session.join(&text)),
            b'-' => drop(self.session.leave(&text)),
            b'~' => self.session.handle_address_change(self.now),
            b'!' => self.session.handle_unreachable(self.now),
            b'.' => self.session.bye(self.now),
            b'@' => self.advance(Duration::from_millis(number(&rest, 100_000))),
            _ => {}
        }
    }

    /// Lets time go by; what is due is done at its moment, unless there is much of it.
    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        for _ in 0..8 {
            let Some(due) = self.session.next_timeout().filter(|&due| due <= until) else { break };
            self.now = self.now.max(due);
            self.handle_timeout();
        }
        self.now = until;
        self.handle_timeout();
    }

    fn handle_timeout(&mut self) {
        self.session.handle_timeout(self.now);
        self.look();
        let due = self.session.next_timeout();
        assert!(due.is_none_or(|due| due > self.now), "what is due is done: {due:?}, {:?}", self.now);
    }

    /// Takes what comes out, and looks whether it may.
    fn look(&mut self) {
        let mut count = 0;
        while let Some(datagram) = self.session.poll_datagram(self.now) {
            count += 1;
            assert!(count <= DATAGRAMS_MAX, "it does not end");
            self.look_at(&datagram);
        }
        let mut events = 0;
        while let Some(event) = self.session.poll_event() {
            events += 1;
            self.hear(event);
        }
        assert!(events <= EVENTS_MAX + DATAGRAM_MAX, "{events} events");
        assert!(self.session.gap_count() <= GAPS_MAX, "{} gaps", self.session.gap_count());
        assert!(self.session.positions().count() <= SESSION_ROOMS_MAX + 1);
        assert!(self.session.request_count() <= 40);
    }

    fn look_at(&mut self, datagram: &[u8]) {
        assert!((1..=DATAGRAM_MAX).contains(&datagram.len()), "{} bytes", datagram.len());
        for (at, frame) in frames(datagram).enumerate() {
            let frame = frame.unwrap_or_else(|_| panic!("{}", datagram.escape_ascii()));
            let ours = ["as", "hello", "hb", "want", "say", "ask", "join", "leave", "bye"];
            assert!(ours.contains(&frame.verb) && (frame.verb == "as") == (at == 0 && frame.verb == "as"), "{frame:?}");
            if let Some(start) = frame.value("start") {
                self.start = start.as_bytes().to_vec();
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Message(message) => {
                assert!(message.text.len() <= DATAGRAM_MAX);
                let place = (message.epoch, message.number);
                let before = self.newest.insert(message.room.to_lowercase(), place);
                let is_next = before.is_none_or(|(epoch, number)| epoch != message.epoch || number < message.number);
                assert!(is_next, "{before:?} before {message:?}");
            }
            // It counts anew from there.
            Event::Joined { room, .. } | Event::Anew { room, .. } | Event::Left { room } => {
                self.newest.remove(&room.to_lowercase());
            }
            Event::Welcomed { is_new: true, .. } => self.newest.clear(),
            _ => {}
        }
    }
}
