//! The whole state of the client, and what becomes of it by what happens: events of the session, keys, time.
//!
//! It knows no terminal, no socket and no clock. Moments come with what happens, and what it wants done comes out as a list of
//! [`Action`]s. So everything that a user can see is tested without a terminal.

use super::entry::{Entry, Text, What, clean_line};
use super::field::Field;
use super::happening::{Action, Input};
use super::layout::Layout;
use super::room::Room;
use super::survey::Survey;
use super::theme::Theme;
use crate::client::LOBBY;
use crate::client::session::Figures;
use crate::core::frame::MAILBOX;
use crate::core::{Instant, Now, Seed};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The longest text as long as the hub has not said otherwise: its default.
const TEXT_MAX: usize = 1_024;

/// Bells are at least so far apart.
const BELL_EVERY: Duration = Duration::from_secs(1);

/// What the hub is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Connecting { since: Instant },
    Connected,
    Silent { since: Instant },
    Over { why: String },
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) needle: String,
    /// The entry that was found last.
    pub(super) at: Option<u64>,
    /// How many entries have it.
    pub(super) count: usize,
}

/// What does not change.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The server as it is shown.
    pub(super) server: String,
    pub(super) zone: TimeZone,
    pub(super) theme: Theme,
    pub(super) has_bell: bool,
    /// Whether there is no screen, but lines.
    pub(super) is_plain: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) settings: Settings,
    /// What we are called, and were.
    pub(super) name: String,
    pub(super) names: Vec<String>,
    /// There is always at least one.
    pub(super) rooms: Vec<Room>,
    pub(super) current: usize,
    /// Rooms that the hub has told of.
    pub(super) known_rooms: Vec<String>,
    pub(super) field: Field,
    pub(super) search: Option<Search>,
    pub(super) shows_help: bool,
    /// Whether members are shown; as the screen has room for them, without it.
    pub(super) shows_members: Option<bool>,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) is_focused: bool,
    pub(super) connection: Connection,
    pub(super) figures: Figures,
    pub(super) waiting: usize,
    /// Messages that were not delivered; those that are doubtful are in their rooms.
    pub(super) unsaid_count: usize,
    pub(super) text_max: usize,
    /// When the hub was heard last.
    pub(super) heard_at: Instant,
    /// The hub is back: since when, after how long, and how many messages came in each room, until it is told.
    pub(super) back: Option<Back>,
    /// Rooms that we have asked to come into, and are to be shown then.
    pub(super) wanted: Vec<String>,
    pub(super) survey: Survey,
    bell_at: Option<Instant>,
    pub(super) now: Now,
    next_id: u64,
    actions: Vec<Action>,
}

/// The hub is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Back {
    pub(super) at: Instant,
    pub(super) after: Duration,
    pub(super) fetched: Vec<(String, usize)>,
}

impl Model {
    pub(super) fn new(settings: Settings, rooms: &[String], seed: Seed, now: Now) -> Self {
        let rooms: Vec<Room> = rooms.iter().map(|name| Room::new(name)).collect();
        Self {
            settings,
            name: String::new(),
            names: Vec::new(),
            rooms: if rooms.is_empty() { vec![Room::new(LOBBY)] } else { rooms },
            current: 0,
            known_rooms: Vec::new(),
            field: Field::new(),
            search: None,
            shows_help: false,
            shows_members: None,
            width: 80,
            height: 24,
            is_focused: true,
            connection: Connection::Connecting { since: now.mono },
            figures: Figures::default(),
            waiting: 0,
            unsaid_count: 0,
            text_max: TEXT_MAX,
            heard_at: now.mono,
            back: None,
            wanted: Vec::new(),
            survey: Survey::new(seed, now.mono),
            bell_at: None,
            now,
            next_id: 1,
            actions: Vec::new(),
        }
    }

    /// Something happens; what is to be done about it.
    pub(super) fn update(&mut self, now: Now, input: Input) -> Vec<Action> {
        self.now = now;
        match input {
            Input::Key(stroke) => self.key(stroke),
            Input::Paste(text) => self.paste(&text),
            Input::Line(text) => self.submit_line(&text),
            Input::BadLine { number, why } => self.refuse_line(number, why),
            Input::Resize { width, height } => (self.width, self.height) = (width, height),
            Input::Focus(is_focused) => self.focus(is_focused),
            Input::Event { event, is_earlier } => self.hear(event, is_earlier),
            Input::Trouble(trouble) => self.hear_trouble(&trouble),
            Input::Figures { figures, waiting, text_max } => self.measure(figures, waiting, text_max),
            Input::Taken { mark, result } => self.taken(mark, result),
            Input::Unfit(unfit) => self.notice(&unfit.to_string()),
            Input::Members { room, members, total } => self.hear_members(&room, members, total),
            Input::Rooms(rooms) => self.known_rooms = rooms.iter().map(|room| clean_line(room)).collect(),
            Input::Tick => self.tick(),
        }
        std::mem::take(&mut self.actions)
    }

    /// When a [`Input::Tick`] is due.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        // While the hub is away, the seconds are counted.
        let second = (self.connection != Connection::Connected && !self.is_over())
            .then(|| self.now.mono + Duration::from_secs(1));
        let back = self.back.as_ref().map(|back| back.at);
        let members = (self.connection == Connection::Connected).then(|| self.survey.at());
        [second, back, members].into_iter().flatten().min()
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.connection, Connection::Over { .. })
    }

    fn tick(&mut self) {
        let now = self.now.mono;
        self.tell_back();
        if self.connection != Connection::Connected {
            return;
        }
        let member_count = self.room().member_count;
        let Some(has_reason) = self.survey.take_due(member_count, now) else { return };
        let room = self.room().name.clone();
        if room != MAILBOX {
            self.act(Action::Members(room));
        }
        if !has_reason || self.known_rooms.is_empty() {
            self.act(Action::Rooms);
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Once for what is for us, and not for each line of a flood.
    pub(super) fn ring(&mut self) {
        let now = self.now.mono;
        if self.settings.has_bell && self.bell_at.is_none_or(|at| at + BELL_EVERY <= now) {
            self.bell_at = Some(now);
            self.act(Action::Bell);
        }
    }

    // ---- rooms ----

    /// The room that is shown.
    pub(super) fn room(&self) -> &Room {
        &self.rooms[self.current]
    }

    pub(super) fn room_mut(&mut self) -> &mut Room {
        &mut self.rooms[self.current]
    }

    /// The place of a room.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.rooms.iter().position(|room| room.is_called(name))
    }

    /// The place of a room, which is made if need be.
    pub(super) fn find_or_add(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| {
            self.rooms.push(Room::new(&clean_line(name)));
            self.rooms.len() - 1
        })
    }

    /// Turns to another room.
    pub(super) fn turn_to(&mut self, at: usize) {
        if at >= self.rooms.len() || at == self.current {
            return;
        }
        let draft = self.field.lines();
        self.room_mut().draft = draft;
        self.room_mut().new_from = None;
        self.current = at;
        self.search = None;
        self.room_mut().see();
        let draft = std::mem::take(&mut self.room_mut().draft);
        self.field.set(&draft);
        self.survey.ask_soon(self.now.mono);
        if self.settings.is_plain {
            let name = self.room().name.clone();
            self.notice(&format!("You are in {name} now."));
        }
    }

    /// Takes a room away. There is always one left.
    pub(super) fn remove_room(&mut self, at: usize) {
        if self.rooms.len() == 1 {
            return;
        }
        if at == self.current {
            self.turn_to(if at == 0 { 1 } else { at - 1 });
        }
        let room = self.rooms.remove(at);
        self.unsaid_count += room.doubtful.iter().filter(|(_, pending)| !pending.is_acknowledged).count();
        if self.current > at {
            self.current -= 1;
        }
    }

    fn focus(&mut self, is_focused: bool) {
        self.is_focused = is_focused;
        let room = self.room_mut();
        if is_focused {
            room.see();
        } else {
            // What comes from now on is new to whoever comes back.
            room.new_from = None;
        }
    }

    // ---- entries ----

    /// Adds something to a room at this place, and says its id.
    pub(super) fn push(&mut self, at: usize, time: i64, what: What) -> u64 {
        let id = self.next_id();
        self.rooms[at].push(Entry { id, time, what });
        id
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// That of the last entry.
    pub(super) fn last_id(&self) -> u64 {
        self.next_id - 1
    }

    pub(super) fn unix(&self) -> i64 {
        self.now.wall.as_second()
    }

    /// Something to know, in the room at this place.
    pub(super) fn notice_in(&mut self, at: usize, text: &str) {
        let time = self.unix();
        // The hub's own begin as ours will.
        let text = text.strip_prefix("-- ").unwrap_or(text).replace("\n-- ", "\n");
        self.push(at, time, What::Notice(Text::new(text.as_bytes())));
    }

    /// The same in the room that is shown.
    pub(super) fn notice(&mut self, text: &str) {
        self.notice_in(self.current, text);
    }

    /// The same in every room.
    pub(super) fn notice_everywhere(&mut self, text: &str) {
        (0..self.rooms.len()).for_each(|at| self.notice_in(at, text));
    }

    /// Everything behind this entry, in whatever room, in the order in which it came.
    pub(super) fn entries_after(&self, id: u64) -> Vec<(&Room, &Entry)> {
        let mut entries: Vec<_> = self
            .rooms
            .iter()
            .flat_map(|room| room.entries.range(room.index_of(id + 1)..).map(move |entry| (room, entry)))
            .collect();
        entries.sort_by_key(|(_, entry)| entry.id);
        entries
    }

    /// Whether something of ours is on its way.
    pub(super) fn has_pending(&self) -> bool {
        self.rooms.iter().any(|room| !room.pending.is_empty())
    }

    /// How entries become rows here.
    pub(super) fn layout(&self) -> Layout<'_> {
        let needle = self.search.as_ref().map(|search| search.needle.as_str());
        let (zone, theme) = (&self.settings.zone, self.settings.theme);
        Layout { width: self.conversation_size().0, zone, theme, needle }
    }
}
