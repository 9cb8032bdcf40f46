//! What the hub says, frame by frame. Whatever else comes is passed over.

use super::Session;
use super::event::{Event, Message, Reason};
use super::options::{DISCONNECTED_HELLOS, EVENTS_MAX, HEARTBEATS, TOKEN_LATE, TOKEN_MAX, is_member, is_room};
use super::requests::{Done, What};
use crate::core::Instant;
use crate::core::frame::{Frame, MAILBOX, Position, Range, SessionId, frames, number};
use crate::core::limits::DATAGRAM_MAX;
use std::time::Duration;

/// A frame that lacks what it must have is passed over.
type Heard = Option<()>;

impl Session {
    /// Takes a datagram of the hub.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        self.figures.received += 1;
        // A caller who does not take the events loses nothing by it: what is not heard comes again. And no hub of ours says so
        // much in one datagram.
        if self.events.len() >= EVENTS_MAX || datagram.len() > DATAGRAM_MAX {
            return;
        }
        for frame in frames(datagram) {
            let Ok(frame) = frame else { break };
            if self.is_closed {
                break;
            }
            let _ = self.hear(now, &frame);
        }
        if self.is_here() {
            self.ask_where(now);
        }
    }

    fn hear(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        match frame.verb {
            "token" => return self.hear_token(now, frame),
            "welcome" => return self.hear_welcome(now, frame),
            "bye" => return self.hear_bye(now, frame),
            _ if self.id.is_none() || self.bye.is_some() => return None,
            _ => {}
        }
        let heard = match frame.verb {
            "ack" => self.hear_ack(now, number(frame.words().next()?)?),
            "error" => self.hear_error(frame),
            "answer" => self.hear_answer(frame),
            "joined" => self.hear_joined(now, frame),
            "msg" => self.hear_message(now, frame),
            "note" => self.hear_note(frame),
            "at" => self.hear_at(now, frame),
            "gone" => self.hear_gone(now, frame),
            _ => None,
        };
        if heard.is_some() {
            self.heard_at = now;
        }
        heard
    }

    // ---- coming and going ----

    fn hear_token(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        let token = frame.words().next().filter(|token| token.len() <= TOKEN_MAX)?;
        if self.bye.is_some() {
            return None;
        }
        if self.is_here() && frame.words().nth(1) == Some("renew") {
            (self.token, self.heartbeat_shows_token, self.heartbeat_is_due) = (Some(token.to_owned()), true, true);
            return Some(());
        }
        match self.hello.as_mut().filter(|hello| hello.is_alone) {
            Some(hello) => {
                // The hub may send the same again because it has our first hello twice.
                if self.token.as_deref() != Some(token) && std::mem::take(&mut hello.answers_token) {
                    hello.is_due = true;
                }
            }
            None if now.since(self.welcomed_at) < TOKEN_LATE => return None,
            None => self.resume(now),
        }
        self.token = Some(token.to_owned());
        Some(())
    }

    fn hear_welcome(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        let mut words = frame.words();
        let id: SessionId = frame.value("session")?.parse().ok()?;
        let name = frame.value("name").filter(|name| is_member(name))?;
        let last = number(frame.value("last")?)?;
        let heartbeat = Duration::from_millis(number(frame.value("heartbeat")?)?);
        let text_max = usize::try_from(number(frame.value("max")?)?).unwrap_or(usize::MAX);
        if words.next() != Some("1") || self.bye.is_some() {
            return None;
        }
        let is_new = self.id != Some(id);
        let hello = self.hello.as_ref().filter(|hello| hello.is_alone);
        // Late, of a session that we have lost; unless the hub insists.
        let is_past = self.past.contains(&id) && hello.is_none_or(|hello| hello.count < DISCONNECTED_HELLOS);
        if is_new && (hello.is_none() || is_past) {
            return None;
        }
        if let Some(hello) = hello.filter(|hello| hello.count == 0) {
            self.requests.round_trip.measure(now.since(hello.sent_at));
        }
        let is_back = hello.is_some();
        // What it says of us was true before something that we have asked for since.
        let is_late = !is_new && last < self.requests.done();
        let name = if is_late { self.name.clone() } else { name.to_owned() };
        let was_named = std::mem::replace(&mut self.name, name.clone());
        self.heartbeat = heartbeat.clamp(*HEARTBEATS.start(), *HEARTBEATS.end());
        self.text_max = text_max.min(DATAGRAM_MAX);
        if is_new {
            self.lose_session();
            self.past.retain(|&past| past != id);
            self.id = Some(id);
            self.requests.begin_session(last);
            self.streams.begin_session(&mut self.events);
        } else {
            self.hear_ack(now, last);
        }
        if is_back {
            self.hello = None;
            self.settle(now);
            self.events.push_back(Event::Welcomed { name: name.clone(), is_new });
        } else if was_named != name {
            self.events.push_back(Event::Renamed { name: name.clone() });
        }
        if !is_new && was_named != name {
            self.wanted_name = Some(name).filter(|name| is_room(name));
        }
        for position in frame.values("at").filter_map(Position::read) {
            if !is_late || self.streams.is_known(position.room) {
                self.streams.place(now, &position, &mut self.events);
            }
        }
        if is_new {
            self.streams.remove_others(&mut self.events);
        }
        if !self.streams.is_lost_somewhere() {
            self.hello = None;
        }
        self.heard_at = now;
        Some(())
    }

    fn hear_bye(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        let code = frame.words().next()?;
        let Some(of) = frame.value("session") else {
            // Whoever does not know what we begin with has not heard our hello.
            return if frame.value("start") == Some(&self.start) { self.hear_bye_to_hello(code) } else { None };
        };
        let of: SessionId = of.parse().ok()?;
        if self.id != Some(of) {
            return None;
        }
        match code {
            "unknown" | "left" if self.bye.is_some() => self.close(Reason::Left),
            // We have not said goodbye, so it was a late copy of something, or an operator.
            "unknown" | "left" => self.begin_anew(now),
            "kicked" => self.close(Reason::Kicked),
            code => self.close(Reason::Other(code.to_owned())),
        }
        Some(())
    }

    fn hear_bye_to_hello(&mut self, code: &str) -> Heard {
        self.hello.as_ref().filter(|hello| hello.is_alone)?;
        match code {
            "full" if !std::mem::replace(&mut self.is_full, true) => self.events.push_back(Event::Full),
            "version" => self.close(Reason::Version),
            // We go on asking, whatever else it is.
            _ => {}
        }
        Some(())
    }

    // ---- answers ----

    fn hear_ack(&mut self, now: Instant, number: u64) -> Heard {
        for Done { number, what } in self.requests.acknowledge(now, number, &mut self.events) {
            match what {
                What::Join { room } => self.streams.add(&room, None, Some(number)),
                What::Leave { room } => self.streams.remove(&room, &mut self.events),
                What::Say { .. } | What::Ask { .. } => {}
            }
        }
        Some(())
    }

    fn hear_joined(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        let mut words = frame.words();
        let number = number(words.next()?)?;
        let position = Position::read(words.next()?)?;
        self.hear_ack(now, number);
        self.streams.place_joined(now, number, &position, &mut self.events);
        Some(())
    }

    fn hear_error(&mut self, frame: &Frame<'_>) -> Heard {
        let mut words = frame.words();
        let (of, code) = (words.next()?, words.next()?);
        let id = match of {
            "-" => None,
            // One that was refused already, or acknowledged, or of a session that is lost, is not told.
            of => match self.requests.refuse(number(of)?)? {
                (None, What::Join { room }) => {
                    self.streams.remove(&room, &mut self.events);
                    return Some(());
                }
                (id, _) => id,
            },
        };
        self.events.push_back(Event::Refused { id, code: code.to_owned(), text: frame.text.to_vec() });
        Some(())
    }

    fn hear_answer(&mut self, frame: &Frame<'_>) -> Heard {
        let id = self.requests.asked(number(frame.words().next()?)?);
        self.events.push_back(Event::Answer { id, text: frame.text.to_vec() });
        Some(())
    }

    // ---- what is said ----

    fn hear_message(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        let mut words = frame.words();
        let Position { room, epoch, number: place } = Position::read(words.next()?)?;
        let from = words.next().filter(|name| is_member(name))?;
        let message = Message {
            room: room.to_owned(),
            epoch,
            number: place,
            from: from.to_owned(),
            is_me: frame.value("kind") == Some("me"),
            time: frame.value("time").and_then(number).unwrap_or_default(),
            text: frame.text.to_vec(),
        };
        self.streams.take(now, message, &mut self.figures, &mut self.events);
        Some(())
    }

    fn hear_note(&mut self, frame: &Frame<'_>) -> Heard {
        let room = frame.words().next().filter(|room| *room == MAILBOX || is_room(room))?;
        self.events.push_back(Event::Note { room: room.to_owned(), text: frame.text.to_vec() });
        Some(())
    }

    fn hear_at(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        let positions = || frame.words().filter_map(Position::read);
        for position in positions() {
            self.streams.learn(now, &position, &mut self.events);
        }
        // The answer to a heartbeat names all that there is.
        if positions().any(|position| position.room == MAILBOX) {
            if let Some(sent_at) = self.heartbeat_sent_at.take() {
                self.heartbeats.answered += 1;
                self.heartbeats.round_trip = Some(now.since(sent_at));
            }
            for room in self.streams.unnamed(|room| positions().any(|position| position.room == room)) {
                self.requests.rejoin(&room);
            }
        }
        Some(())
    }

    fn hear_gone(&mut self, now: Instant, frame: &Frame<'_>) -> Heard {
        let mut words = frame.words();
        let range = Range::read(words.next()?)?;
        let is_unused = words.next() == Some("unused");
        self.streams.pass(now, &range, is_unused, &mut self.figures, &mut self.events);
        Some(())
    }
}
