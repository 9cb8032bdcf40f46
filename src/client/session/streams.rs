//! The rooms that we are in, and the mailbox: which numbering each is in, and how far we are.
//!
//! A numbering that we have left does not come back, and what is late of it is passed over. It is remembered with how far we
//! were, so that nothing comes twice even where a hub does not keep to that.

use super::event::{Event, Figures, Message};
use super::options::{DOUBTS_MAX, PAST_EPOCHS_MAX, ROOMS_MAX, UNNAMED_MAX, WANTED_RANGES_MAX, is_room};
use super::packet::Packet;
use super::stream::{Place, Taken};
use crate::core::frame::{Epoch, MAILBOX, Position, Range, write_frame};
use crate::core::{Instant, SplitMix};
use std::collections::VecDeque;
use std::fmt::Write as _;

/// One room, or the mailbox.
#[derive(Clone, Debug)]
struct Stream {
    room: String,
    /// Unknown until the hub has said from where we count.
    place: Option<Place>,
    /// Whether the present session is in the room, as the hub says.
    is_in: bool,
    /// The number of the request to which we owe being in it.
    joined_by: Option<u64>,
    /// How often in a row the hub has named a numbering that we have left.
    doubts: u32,
    /// How often in a row it has not named the room among those that we are in.
    unnamed: u32,
}

/// A numbering that we have left.
#[derive(Clone, Debug)]
struct Past {
    room: String,
    epoch: Epoch,
    reached: u64,
}

/// All of them, in the order in which we came to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    list: Vec<Stream>,
    past: VecDeque<Past>,
    /// How many earlier messages of a room are asked for.
    back: u64,
}

impl Streams {
    /// None, so far.
    pub(super) fn new(back: u64) -> Self {
        Self { back, ..Self::default() }
    }

    fn find(&mut self, room: &str) -> Option<&mut Stream> {
        self.list.iter_mut().find(|stream| stream.room == room)
    }

    // ---- coming and going ----

    /// One more room. The hub says later from where we count, unless `from` does.
    pub(super) fn add(&mut self, room: &str, from: Option<(Epoch, u64)>, joined_by: Option<u64>) {
        if let Some(stream) = self.find(room) {
            stream.joined_by = joined_by;
        } else if self.list.len() <= ROOMS_MAX {
            let place = from.map(|(epoch, number)| Place::new(epoch, number));
            self.list.push(Stream { room: room.to_owned(), place, is_in: false, joined_by, doubts: 0, unnamed: 0 });
        }
    }

    /// We are no longer in the room.
    pub(super) fn remove(&mut self, room: &str, events: &mut VecDeque<Event>) {
        if let Some(at) = self.list.iter().position(|stream| stream.room == room) {
            let stream = self.list.remove(at);
            if let Some(place) = &stream.place {
                self.remember(&stream.room, place);
            }
            if room != MAILBOX {
                events.push_back(Event::Left { room: stream.room });
            }
        }
    }

    fn remember(&mut self, room: &str, place: &Place) {
        self.past.retain(|past| past.room != room || past.epoch != place.epoch);
        if self.past.len() == PAST_EPOCHS_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past { room: room.to_owned(), epoch: place.epoch, reached: place.reached() });
    }

    fn past(&self, room: &str, epoch: Epoch) -> Option<u64> {
        self.past.iter().find(|past| past.room == room && past.epoch == epoch).map(|past| past.reached)
    }

    /// Another session begins: where it is in each room is for the hub to say. Its mailbox is another.
    pub(super) fn begin_session(&mut self, events: &mut VecDeque<Event>) {
        self.remove(MAILBOX, events);
        for stream in &mut self.list {
            (stream.is_in, stream.joined_by) = (false, None);
        }
    }

    /// The hub says from where we count in a room. In a numbering in which we have a place already, ours is right.
    pub(super) fn place(&mut self, now: Instant, position: &Position<'_>, events: &mut VecDeque<Event>) {
        let Position { room, epoch, number } = *position;
        if room != MAILBOX && !is_room(room) {
            return;
        }
        self.add(room, None, None);
        let past = self.past(room, epoch);
        let back = if room == MAILBOX { 0 } else { self.back };
        let Some(stream) = self.find(room) else { return };
        match &stream.place {
            Some(place) if place.epoch == epoch => {}
            Some(_) if stream.is_in && past.is_some() => {}
            Some(_) => self.switch(room, epoch, number, events),
            None => {
                let since = number.saturating_sub(back).max(past.unwrap_or_default());
                stream.place = Some(Place::with_earlier(now, epoch, since, number));
            }
        }
        if let Some(stream) = self.find(room)
            && !std::mem::replace(&mut stream.is_in, true)
            && room != MAILBOX
            && let Some(place) = &stream.place
        {
            events.push_back(Event::Joined { room: room.to_owned(), epoch: place.epoch, number: place.reached() });
        }
    }

    /// The same, as the answer to the request with this number; an answer to an earlier one is late.
    pub(super) fn place_joined(
        &mut self,
        now: Instant,
        request: u64,
        position: &Position<'_>,
        events: &mut VecDeque<Event>,
    ) {
        if self.find(position.room).is_some_and(|stream| stream.joined_by == Some(request)) {
            self.place(now, position, events);
        }
    }

    /// Takes out the rooms in which the session is not, after all.
    pub(super) fn remove_others(&mut self, events: &mut VecDeque<Event>) {
        self.remove_where(|stream| !stream.is_in, events);
    }

    /// Takes out the rooms in which nobody says from where we count.
    pub(super) fn remove_lost(&mut self, events: &mut VecDeque<Event>) {
        self.remove_where(|stream| stream.place.is_none(), events);
    }

    fn remove_where(&mut self, is_out: impl Fn(&Stream) -> bool, events: &mut VecDeque<Event>) {
        let rooms: Vec<_> =
            self.list.iter().filter(|&stream| is_out(stream)).map(|stream| stream.room.clone()).collect();
        for room in rooms {
            self.remove(&room, events);
        }
    }

    /// Whether this number of the room was given before we came.
    pub(super) fn is_earlier(&self, room: &str, epoch: Epoch, number: u64) -> bool {
        self.places().any(|(of, place)| of == room && place.epoch == epoch && number <= place.earlier)
    }

    /// Whether this is one of our rooms.
    pub(super) fn is_known(&self, room: &str) -> bool {
        self.list.iter().any(|stream| stream.room == room)
    }

    /// Whether there is a room in which we do not know from where to count.
    pub(super) fn is_lost_somewhere(&self) -> bool {
        self.list.iter().any(|stream| stream.place.is_none())
    }

    fn switch(&mut self, room: &str, epoch: Epoch, number: u64, events: &mut VecDeque<Event>) {
        let number = self.past(room, epoch).map_or(number, |reached| reached.max(number));
        let Some(stream) = self.find(room) else { return };
        stream.doubts = 0;
        if let Some(place) = stream.place.replace(Place::new(epoch, number)) {
            self.remember(room, &place);
        }
        events.push_back(Event::Anew { room: room.to_owned(), epoch, number });
    }

    // ---- what the hub says of them ----

    /// The place in this numbering of the room, if it is the present one or a new one.
    fn present(&mut self, room: &str, epoch: Epoch, events: &mut VecDeque<Event>) -> Option<&mut Place> {
        let is_past = self.past(room, epoch).is_some();
        let stream = self.find(room)?;
        if stream.place.as_ref()?.epoch == epoch {
            stream.doubts = 0;
        } else if is_past {
            return None;
        } else {
            self.switch(room, epoch, 0, events);
        }
        self.find(room)?.place.as_mut()
    }

    /// A message.
    pub(super) fn take(&mut self, now: Instant, message: Message, figures: &mut Figures, events: &mut VecDeque<Event>) {
        if let Some(place) = self.present(&message.room, message.epoch, events) {
            figures.repaired += u64::from(place.take(now, message, events) == Taken::Repaired);
        }
    }

    /// The newest of a room.
    pub(super) fn learn(&mut self, now: Instant, position: &Position<'_>, events: &mut VecDeque<Event>) {
        let Position { room, epoch, number } = *position;
        if let Some(place) = self.present(room, epoch, events) {
            place.learn(now, number);
        } else if self.past(room, epoch).is_some()
            && let Some(stream) = self.find(room).filter(|stream| stream.place.is_some())
        {
            // Late ones come now and then. If there is nothing else, then the one that we took for newer was late itself.
            stream.doubts += 1;
            if stream.doubts == DOUBTS_MAX {
                self.switch(room, epoch, 0, events);
            }
        }
    }

    /// The rooms that the hub does not name when it should, and not for the first time: one that was killed may have
    /// forgotten that we have joined them.
    pub(super) fn unnamed(&mut self, is_named: impl Fn(&str) -> bool) -> Vec<String> {
        let mut rooms = Vec::new();
        for stream in self.list.iter_mut().filter(|stream| stream.is_in) {
            stream.unnamed = if is_named(&stream.room) { 0 } else { stream.unnamed + 1 };
            if stream.unnamed == UNNAMED_MAX {
                stream.unnamed = 0;
                rooms.push(stream.room.clone());
            }
        }
        rooms
    }

    /// What cannot be had.
    pub(super) fn pass(
        &mut self,
        now: Instant,
        range: &Range<'_>,
        is_unused: bool,
        figures: &mut Figures,
        events: &mut VecDeque<Event>,
    ) {
        if let Some(place) = self.present(range.room, range.epoch, events) {
            figures.lost = figures.lost.saturating_add(place.pass(now, range, is_unused, events));
        }
    }

    // ---- what we say of them ----

    fn places(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.list.iter().filter_map(|stream| Some((stream.room.as_str(), stream.place.as_ref()?)))
    }

    /// Where we are in each, the mailbox among them.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position<'_>> {
        self.places().map(|(room, place)| place.position(room))
    }

    /// The fields of a hello that name the rooms.
    pub(super) fn write_rooms(&self, head: &mut String) {
        for stream in self.list.iter().filter(|stream| stream.room != MAILBOX) {
            let _ = match &stream.place {
                Some(place) => write!(head, " at={}", place.position(&stream.room)),
                None => write!(head, " at={}", stream.room),
            };
        }
    }

    /// The next moment at which something is to be asked for.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.places().filter_map(|(_, place)| place.gaps.next_due()).min()
    }

    /// Marks what is to be asked for.
    pub(super) fn handle_timeout(&mut self, now: Instant, random: &mut SplitMix) {
        let mut ranges_max = WANTED_RANGES_MAX;
        for place in self.list.iter_mut().filter_map(|stream| stream.place.as_mut()) {
            let wanted_max = place.wanted_max().min(ranges_max);
            ranges_max -= place.gaps.mark(now, random, wanted_max);
        }
    }

    /// Asks for what is marked, as far as there is room.
    pub(super) fn write_wants(&mut self, packet: &mut Packet) {
        let (mut head, room) = ("want".to_owned(), packet.room());
        for stream in &mut self.list {
            let Some(place) = &mut stream.place else { continue };
            let epoch = place.epoch;
            place.gaps.take_marked(|first, last| {
                let before = head.len();
                let _ = write!(head, " {}", Range { room: &stream.room, epoch, first, last });
                let fits = head.len() + "^^".len() <= room;
                if !fits {
                    head.truncate(before);
                }
                fits
            });
        }
        if head.contains(' ') {
            let mut frame = Vec::new();
            write_frame(&mut frame, format_args!("{head}"));
            packet.push(&frame);
        }
    }

    /// Numbers that are missing, in pieces that follow each other.
    pub(super) fn gap_count(&self) -> usize {
        self.places().map(|(_, place)| place.gaps.len()).sum()
    }

    /// How many numberings that we have left are remembered.
    #[cfg(test)]
    pub(super) fn past_count(&self) -> usize {
        self.past.len()
    }
}
