//! Lists for programs: who is in a room, and which rooms there are. Whoever asks becomes no member by it.
//!
//! ```text
//! ^list rooms [from=ROOM] [mark=M] [token=T]^           ^rooms count=TOTAL [next=ROOM] [mark=M] len=LEN^TEXT
//! ^list members [ROOM] [from=NAME] [mark=M] [token=T]^  ^members ROOM count=TOTAL [next=NAME] [mark=M] len=LEN^TEXT
//! ```
//!
//! Each answer is one datagram with a line for each entry, in the order of the names, beginning with the first that is not before
//! `from`; `next` is where the list goes on. The hub keeps nothing of it, so an answer, which may be fifteen times as long as its
//! question, goes only to an address that has shown a token, on our links too. A session has shown enough.
//!
//! A room may have a million members, which are not sorted for each page. The names of the whole hub are in order, and are looked
//! through from `from` on, as far as [`LISTED_MAX`]; a page may be empty, then, and the next not. Of a room that has few of them its
//! own members are looked through.

use super::member::{Member, MemberId};
use super::rooms::{Room, RoomId};
use super::{Hub, Problem, name};
use crate::core::frame::{Frame, frames, write_text_frame};
use crate::core::limits::{DATAGRAM_MAX, LIST_FIELD_MAX, LISTED_MAX};
use crate::core::{Datagram, Instant, Now, Outbox, Refusal, Verdict};
use std::borrow::Cow;
use std::fmt::Write as _;

/// No entry is shorter: a name of one letter, a word and the shortest value, and what is between.
const ENTRY_LEN_MIN: usize = "a here idle=0\n".len();

/// A room is thin that has less than one in so many of the hub's members.
const THIN_PART: usize = 4;

/// What somebody asks for a list, and of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    of: Of<'a>,
    frame: Frame<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Of<'a> {
    Rooms,
    /// Of a room; the lobby, without a name.
    Members(Option<&'a str>),
}

impl<'a> Question<'a> {
    /// What a frame asks for, if it is a list that there is.
    pub(super) fn read(frame: Frame<'a>) -> Option<Self> {
        let mut words = frame.words();
        let of = match words.next().filter(|_| frame.verb == "list")? {
            "rooms" => Of::Rooms,
            "members" => Of::Members(words.next()),
            _ => return None,
        };
        Some(Self { of, frame })
    }

    /// The question that a datagram is, if it is one and nothing else.
    pub(super) fn in_datagram(payload: &'a [u8]) -> Option<Self> {
        frames(payload).next()?.ok().and_then(Self::read).filter(|_| Self::is_alone(payload))
    }

    /// Whether nothing stands behind the first frame of a datagram.
    pub(super) fn is_alone(payload: &[u8]) -> bool {
        frames(payload).nth(1).is_none()
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.frame.value(key)
    }

    /// What the answer repeats.
    fn mark(&self) -> String {
        self.value("mark").map(|mark| format!(" mark={mark}")).unwrap_or_default()
    }
}

/// Whether a frame is a list, which only a hub says.
pub(super) fn is_list(frame: Frame<'_>) -> bool {
    matches!(frame.verb, "rooms" | "members") && frame.value("count").is_some()
}

impl Hub {
    /// Answers whoever has shown to be where it says; anybody else gets what shows it.
    pub(super) fn hear_question(
        &mut self,
        now: &Now,
        datagram: &Datagram<'_>,
        question: &Question<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        let path = datagram.path;
        if !question.value("token").is_some_and(|token| self.is_token(now, path.remote, token)) {
            return self.send_token(now, path, out);
        }
        let (page, refused) = self.page(now.mono, question);
        out.send(path, &page);
        refused.map_or(Verdict::Answered, Verdict::Refused)
    }

    /// The frame that answers a question, and whether it says no.
    pub(super) fn page(&self, now: Instant, question: &Question<'_>) -> (Vec<u8>, Option<Refusal>) {
        let mut frame = Vec::new();
        let problem = match self.filled_page(now, question) {
            Ok(page) => {
                page.write(&mut frame);
                return (frame, None);
            }
            Err(problem) => problem,
        };
        let is_short = question.value("mark").is_none_or(|mark| mark.len() <= LIST_FIELD_MAX);
        let mark = if is_short { question.mark() } else { String::new() };
        write_text_frame(&mut frame, format_args!("error - {}{mark}", problem.why), problem.line.as_bytes());
        (frame, Some(problem.why))
    }

    fn filled_page(&self, now: Instant, question: &Question<'_>) -> Result<Page, Problem> {
        let from = question.value("from").unwrap_or_default();
        if from.len() > LIST_FIELD_MAX || question.value("mark").is_some_and(|mark| mark.len() > LIST_FIELD_MAX) {
            return Err(Problem::new(
                Refusal::BadFrame,
                format!("? from and mark have at most {LIST_FIELD_MAX} bytes"),
            ));
        }
        let from = name::key(from);
        match question.of {
            Of::Rooms => {
                let mut page = Page::new("rooms".to_owned(), self.rooms.listed().count(), question);
                let rooms = self.rooms.listed().skip_while(|room| name::key(&room.name) < from);
                let _ = rooms.take_while(|room| page.add(&room.name, &room_line(room))).count();
                Ok(page)
            }
            Of::Members(room) => {
                let id = self.room_or(super::rooms::LOBBY, room)?;
                let room = self.rooms.get(id);
                let mut page = Page::new(format!("members {}", room.name), room.len(), question);
                self.add_members(now, id, &from, &mut page);
                Ok(page)
            }
        }
    }

    fn add_members(&self, now: Instant, room: RoomId, from: &str, page: &mut Page) {
        let of_room = self.rooms.get(room);
        // Where every few of the hub are in the room, a page is full after some of its names.
        let is_thin = of_room.len() * THIN_PART < self.members.len();
        if is_thin && of_room.len() <= LISTED_MAX {
            let members = first_by_name(
                of_room.members().map(|id| (self.members.key_of(id), id)).filter(|(key, _)| **key >= *from),
            );
            let mut members = members.iter().map(|&(_, id)| self.members.get(id));
            let _ = members.by_ref().take_while(|member| page.add(&member.name, &member_line(now, member))).count();
            return;
        }
        for (steps, member) in self.members.by_name_from(from).enumerate() {
            if steps == LISTED_MAX {
                page.next = Some(member.name.to_string());
            }
            if page.next.is_some() || member.is_in(room) && !page.add(&member.name, &member_line(now, member)) {
                break;
            }
        }
    }
}

/// More than fit a page, of those that come first, in order.
fn first_by_name<'a>(members: impl Iterator<Item = (Cow<'a, str>, MemberId)>) -> Vec<(Cow<'a, str>, MemberId)> {
    let mut members: Vec<_> = members.collect();
    let count = DATAGRAM_MAX / ENTRY_LEN_MIN + 1;
    if count < members.len() {
        members.select_nth_unstable(count);
        members.truncate(count);
    }
    members.sort_unstable();
    members
}

/// An answer in the making.
struct Page {
    head: String,
    mark: String,
    text: String,
    /// The first that has no place in it.
    next: Option<String>,
}

impl Page {
    fn new(of: String, count: usize, question: &Question<'_>) -> Self {
        Self { head: format!("{of} count={count}"), mark: question.mark(), text: String::new(), next: None }
    }

    /// Adds an entry; `false`, and where the list goes on, when there is no place for it.
    fn add(&mut self, name: &str, line: &str) -> bool {
        let around = "^ next= len=1232^".len() + LIST_FIELD_MAX;
        if self.head.len() + self.mark.len() + around + self.text.len() + line.len() > DATAGRAM_MAX {
            self.next = Some(name.to_owned());
            return false;
        }
        self.text.push_str(line);
        true
    }

    fn write(&self, frame: &mut Vec<u8>) {
        let Self { head, mark, text, next } = self;
        let next = next.as_ref().map(|next| format!(" next={next}")).unwrap_or_default();
        write_text_frame(frame, format_args!("{head}{next}{mark}"), text.as_bytes());
        debug_assert!(frame.len() <= DATAGRAM_MAX);
    }
}

/// A line with a text to its end, if there is one.
fn with_text(mut line: String, text: &str) -> String {
    if !text.is_empty() {
        let _ = write!(line, " text={text}");
    }
    line.push('\n');
    line
}

fn room_line(room: &Room) -> String {
    with_text(format!("{} members={}", room.name, room.len()), &room.topic)
}

fn member_line(now: Instant, member: &Member) -> String {
    let presence = if member.away().is_some() { "away" } else { "here" };
    let reach = if member.in_reach { "" } else { " out-of-reach" };
    let idle = now.since(member.last_said).as_secs();
    with_text(format!("{} {presence}{reach} idle={idle}", member.name), member.away().unwrap_or_default())
}
