//! Who is in a room, and which rooms there are, as docs/PROTOCOL.md has it under Lists: asked without being a member.
//!
//! It owns no socket and reads no clock, as [`Session`](super::session::Session):
//!
//! ```text
//! listing.ask(Wanted::Members("lobby".to_owned()), now)?;
//! loop {
//!     while let Some(datagram) = listing.poll_datagram(now) { socket.send(datagram) }
//!     while let Some(answer) = listing.poll() { use(answer) }
//!     wait for the socket or listing.next_timeout();
//!     listing.handle_datagram(now, …), listing.handle_timeout(now)
//! }
//! ```
//!
//! A list comes in pages. Each question for one has a mark of its own, which its answer repeats, so that what is late, doubled or
//! of somebody else is told apart. One question is asked at a time, again and again until it is answered; when to give up is for
//! the caller to say. The socket must be its own: to a session a token means that the hub does not know its address.

use crate::core::frame::{Frame, frames, number, write_frame};
use crate::core::limits::NAME_MAX;
use crate::core::{Instant, Seed, SplitMix};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Before a question is repeated for the first time.
const RETRY_MIN: Duration = Duration::from_millis(250);

/// The longest between two repetitions.
const RETRY_MAX: Duration = Duration::from_secs(3);

/// Tokens after which a question is asked anew at once, until a page has come: one is what there is, a second is that of a hub
/// that has just been restarted.
const TOKENS_MAX: u32 = 3;

/// The longest token that is repeated.
const TOKEN_LEN_MAX: usize = 128;

/// Questions that wait for their turn.
pub const WAITING_MAX: usize = 16;

/// Entries of a list that are kept, whatever the hub sends: more than anybody reads.
pub const ENTRIES_MAX: usize = 16_384;

/// Pages that are asked for: one for each four entries. A page may hold none.
const PAGES_MAX: usize = ENTRIES_MAX / 4;

/// The longest line that is kept: the longest name and the longest text, and as much again.
const LINE_LEN_MAX: usize = 512;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The rooms of the hub.
    Rooms,
    /// The members of this room.
    Members(String),
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// What was asked for.
    pub wanted: Wanted,
    /// How many there are, as far as the hub has said; more than the entries where there are more than are kept.
    pub total: u64,
    /// By name, without regard to letter case.
    pub entries: Entries,
}

/// What a list is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entries {
    /// Rooms.
    Rooms(Vec<RoomEntry>),
    /// Members of one room.
    Members(Vec<MemberEntry>),
}

/// A member, as the hub tells of it. Names and texts are as the hub has sent them: clean them before a terminal sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    /// What it is called.
    pub name: String,
    /// Whether it has said that it is away.
    pub is_away: bool,
    /// What it said when it went.
    pub away_text: Option<String>,
    /// Whether its host is on the network, as far as the hub knows.
    pub in_reach: bool,
    /// How long ago it last said something, or came.
    pub idle: Option<Duration>,
}

/// A room, as the hub tells of it. Names and texts are as the hub has sent them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEntry {
    /// What it is called.
    pub name: String,
    /// How many are in it.
    pub members: u64,
    /// What it is about, if anybody has said that.
    pub topic: Option<String>,
}

/// Why there is no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListError {
    /// That is no name of a room.
    BadName,
    /// Too many questions wait for their turn.
    Full,
    /// There is no such room.
    NoSuchRoom,
    /// The hub says no, for another reason: in its words, not cleaned.
    Refused(String),
}

/// Asks a hub for lists.
#[derive(Clone, Debug)]
pub struct Listing {
    random: SplitMix,
    token: Option<String>,
    entries_max: usize,
    waiting: VecDeque<Wanted>,
    question: Option<Question>,
    answers: VecDeque<Result<List, ListError>>,
}

/// What is being asked.
#[derive(Clone, Debug)]
struct Question {
    wanted: Wanted,
    /// The name with which the page begins.
    from: Option<String>,
    /// What its answer repeats.
    mark: String,
    is_due: bool,
    wait: Duration,
    again_at: Instant,
    /// Tokens that have come since the last page.
    tokens: u32,
    pages: usize,
    total: u64,
    /// The lines, by their names in the form in which names are compared.
    lines: BTreeMap<String, String>,
}

impl Listing {
    /// Nothing is asked yet. The `seed` must be another each time.
    pub fn new(seed: Seed) -> Self {
        let (waiting, answers) = (VecDeque::new(), VecDeque::new());
        Self { random: SplitMix::new(seed), token: None, entries_max: ENTRIES_MAX, waiting, question: None, answers }
    }

    /// The same, for somebody who needs no more than the first so many entries of a list: no more pages are asked for then.
    pub fn keeping(self, entries_max: usize) -> Self {
        Self { entries_max: entries_max.clamp(1, ENTRIES_MAX), ..self }
    }

    /// Asks for a list, behind those that have been asked for; one that is waited for already is not asked for twice.
    pub fn ask(&mut self, wanted: Wanted, now: Instant) -> Result<(), ListError> {
        if let Wanted::Members(room) = &wanted
            && !is_word(room)
        {
            return Err(ListError::BadName);
        }
        if self.waiting.contains(&wanted) || self.question.as_ref().is_some_and(|question| question.wanted == wanted) {
            return Ok(());
        }
        if self.waiting.len() + self.answers.len() >= WAITING_MAX {
            return Err(ListError::Full);
        }
        self.waiting.push_back(wanted);
        self.begin(now);
        Ok(())
    }

    /// Whether an answer is waited for.
    pub fn is_asking(&self) -> bool {
        self.question.is_some()
    }

    /// How many pages have come of the list that is being asked for.
    pub fn page_count(&self) -> usize {
        self.question.as_ref().map_or(0, |question| question.pages)
    }

    /// The next answer: in the order of the questions, one for each.
    pub fn poll(&mut self) -> Option<Result<List, ListError>> {
        self.answers.pop_front()
    }

    /// The next datagram that is to be sent.
    pub fn poll_datagram(&mut self, now: Instant) -> Option<Vec<u8>> {
        let question = self.question.as_mut().filter(|question| question.is_due)?;
        question.is_due = false;
        question.again_at = now + question.wait;
        question.wait = (question.wait * 2).min(RETRY_MAX);
        let mut head = match &question.wanted {
            Wanted::Rooms => "list rooms".to_owned(),
            Wanted::Members(room) => format!("list members {room}"),
        };
        head.extend(question.from.iter().map(|from| format!(" from={from}")));
        head.extend([" mark=", &question.mark]);
        head.extend(self.token.iter().map(|token| format!(" token={token}")));
        let mut datagram = Vec::new();
        write_frame(&mut datagram, format_args!("{head}"));
        Some(datagram)
    }

    /// When [`Listing::handle_timeout`] is to be called; `None` while nothing is asked.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.question.as_ref().map(|question| question.again_at)
    }

    /// Does what is due. Harmless before [`Listing::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(question) = self.question.as_mut().filter(|question| question.again_at <= now) {
            question.is_due = true;
        }
    }

    /// Takes what has come from the hub.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        if let Some(refusal) = datagram.strip_prefix(b"? ") {
            // A hub that does not know the question.
            return self.end(now, |_| Err(ListError::Refused(String::from_utf8_lossy(refusal).trim_end().to_owned())));
        }
        for frame in frames(datagram).map_while(Result::ok) {
            self.hear(now, &frame);
        }
    }

    fn hear(&mut self, now: Instant, frame: &Frame<'_>) {
        let Some(question) = &mut self.question else { return };
        let is_answer = frame.value("mark") == Some(&question.mark);
        let of_rooms = question.wanted == Wanted::Rooms;
        match frame.verb {
            "token" => self.take_token(frame),
            "rooms" if is_answer && of_rooms => self.take_page(now, frame),
            "members" if is_answer && !of_rooms => self.take_page(now, frame),
            "error" if is_answer => {
                let text = String::from_utf8_lossy(frame.text).trim_start_matches("? ").to_owned();
                let is_unknown = frame.words().nth(1) == Some("no-such-room");
                let error = if is_unknown { ListError::NoSuchRoom } else { ListError::Refused(text) };
                self.end(now, |_| Err(error));
            }
            _ => {}
        }
    }

    fn take_token(&mut self, frame: &Frame<'_>) {
        let Some(token) = frame.words().next().filter(|token| token.len() <= TOKEN_LEN_MAX) else { return };
        let Some(question) = self.question.as_mut().filter(|_| self.token.as_deref() != Some(token)) else { return };
        self.token = Some(token.to_owned());
        question.tokens += 1;
        question.is_due |= question.tokens <= TOKENS_MAX;
    }

    fn take_page(&mut self, now: Instant, frame: &Frame<'_>) {
        let Some(question) = &mut self.question else { return };
        question.pages += 1;
        question.tokens = 0;
        question.total = frame.value("count").and_then(number).unwrap_or(question.total);
        for line in frame.text.split(|&byte| byte == b'\n').filter(|line| line.len() <= LINE_LEN_MAX) {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let name = line.split(' ').next().filter(|name| is_word(name));
            if let Some(name) = name.filter(|_| question.lines.len() < self.entries_max) {
                question.lines.insert(name.to_lowercase(), line.to_owned());
            }
        }
        let is_full = question.lines.len() >= self.entries_max || question.pages == PAGES_MAX;
        match frame.value("next").filter(|next| is_word(next) && !is_full) {
            Some(next) => {
                question.from = Some(next.to_owned());
                question.mark = mark(&mut self.random);
                (question.is_due, question.wait) = (true, RETRY_MIN);
            }
            None => self.end(now, |question| Ok(question.list())),
        }
    }

    fn end(&mut self, now: Instant, answer: impl FnOnce(Question) -> Result<List, ListError>) {
        self.answers.extend(self.question.take().map(answer));
        self.begin(now);
    }

    /// Begins with the next question, if none is being asked.
    fn begin(&mut self, now: Instant) {
        if self.question.is_none()
            && let Some(wanted) = self.waiting.pop_front()
        {
            self.question = Some(Question {
                wanted,
                from: None,
                mark: mark(&mut self.random),
                is_due: true,
                wait: RETRY_MIN,
                again_at: now,
                tokens: 0,
                pages: 0,
                total: 0,
                lines: BTreeMap::new(),
            });
        }
    }
}

impl Question {
    fn list(self) -> List {
        let lines = self.lines.values().map(|line| Line::read(line));
        let entries = match self.wanted {
            Wanted::Rooms => Entries::Rooms(lines.map(Line::room).collect()),
            Wanted::Members(_) => Entries::Members(lines.map(Line::member).collect()),
        };
        List { wanted: self.wanted, total: self.total, entries }
    }
}

/// What an answer repeats: nobody who does not see the question knows it.
fn mark(random: &mut SplitMix) -> String {
    format!("{:016x}", random.next_u64())
}

/// Whether this may stand in a frame as a name.
fn is_word(word: &str) -> bool {
    let stands = |c: char| !matches!(c, ' ' | '^' | '=') && !c.is_control();
    !word.is_empty() && word.len() <= 2 * NAME_MAX && word.chars().all(stands)
}

/// A line of a list: a name, words and values, and a text to its end.
struct Line<'a> {
    name: &'a str,
    words: Vec<&'a str>,
    values: Vec<(&'a str, &'a str)>,
    text: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Self {
        let (fields, text) = match line.split_once(" text=") {
            Some((fields, text)) => (fields, Some(text)),
            None => (line, None),
        };
        let mut fields = fields.split(' ');
        let name = fields.next().unwrap_or_default();
        let (values, words): (Vec<_>, Vec<_>) = fields.partition(|field| field.contains('='));
        Self { name, words, values: values.into_iter().filter_map(|value| value.split_once('=')).collect(), text }
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.values.iter().find(|(of, _)| *of == key).and_then(|(_, value)| number(value))
    }

    fn room(self) -> RoomEntry {
        let members = self.number("members").unwrap_or(0);
        RoomEntry { name: self.name.to_owned(), members, topic: self.text.map(str::to_owned) }
    }

    fn member(self) -> MemberEntry {
        let is_away = self.words.first() == Some(&"away");
        MemberEntry {
            name: self.name.to_owned(),
            is_away,
            away_text: self.text.filter(|_| is_away).map(str::to_owned),
            in_reach: !self.words.contains(&"out-of-reach"),
            idle: self.number("idle").map(Duration::from_secs),
        }
    }
}

#[cfg(test)]
mod tests;
