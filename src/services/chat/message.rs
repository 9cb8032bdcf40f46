//! What was said, once: as people see it, as sessions get it, and as a line of the file in which it outlives the hub.
//!
//! A line holds the text nearly always, so that stands only once; sessions are given it byte for byte all the same.

use super::name;
use crate::core::frame::{Epoch, Position, write_text_frame};
use crate::core::limits::{DATAGRAM_MAX, NUMBER_MAX};
use crate::core::text::is_control;
use compact_str::CompactString;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place among what was said; 0 when it was numbered in an epoch that is over.
    pub number: u64,
    /// When it was said.
    pub when: Timestamp,
    /// As the room has got it.
    pub line: Box<str>,
    /// Who said it; empty where nobody knows any more.
    pub from: CompactString,
    text: Text,
    /// Whether somebody does it, rather than says it.
    is_action: bool,
    /// Which request of which session it was.
    pub(super) by: Option<By>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    /// The last bytes of the line.
    End(usize),
    /// Something that the line shows differently.
    Own(Box<str>),
}

/// A request of a session, which everybody may know: the number says nothing of the secret that the session is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct By {
    pub(super) session: u64,
    pub(super) request: u64,
}

/// What is said, before it has a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) from: &'a str,
    pub(super) text: &'a str,
    pub(super) is_action: bool,
    pub(super) by: Option<By>,
}

impl Message {
    pub(super) fn new(number: u64, when: Timestamp, line: &str, draft: &Draft<'_>) -> Self {
        let Draft { from, text, is_action, by } = *draft;
        let text = if line.ends_with(text) { Text::End(text.len()) } else { Text::Own(text.into()) };
        Self { number, when, line: line.into(), from: from.into(), text, is_action, by }
    }

    /// A line that somebody said, as far as anybody knows.
    pub fn from_line(when: Timestamp, line: &str) -> Self {
        Self::new(0, when, line, &Draft { from: "", text: line, is_action: false, by: None })
    }

    fn text(&self) -> &str {
        match &self.text {
            Text::End(len) => &self.line[self.line.len() - len..],
            Text::Own(text) => text,
        }
    }

    /// What it counts for: its bytes, and those of a text of its own thrice, because there each may take six in a file where
    /// others take two.
    pub(super) fn len(&self) -> usize {
        self.line.len() + if let Text::Own(text) = &self.text { 3 * text.len() } else { 0 }
    }

    /// The bytes of its text.
    pub(super) fn text_len(&self) -> usize {
        self.text().len()
    }

    /// Appends the frame in which a session gets it.
    pub(super) fn write_frame(&self, room: &str, epoch: Epoch, to: &mut Vec<u8>) {
        let position = Position { room, epoch, number: self.number };
        let kind = if self.is_action { " kind=me" } else { "" };
        let head = format_args!("msg {position} {}{kind} time={}", self.from, self.when.as_second());
        write_text_frame(to, head, self.text().as_bytes());
    }
}

/// A message of a room's history, as a file has it. It names its room, so that what is left of a file still says whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The room's name.
    pub room: String,
    /// In which epoch its number is.
    pub epoch: Epoch,
    /// What was said.
    pub message: Message,
}

/// An entry as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntryLine<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    when: Timestamp,
    #[serde(borrow)]
    line: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_default")]
    epoch: Epoch,
    #[serde(default, skip_serializing_if = "is_default")]
    number: u64,
    #[serde(borrow, default, skip_serializing_if = "is_default")]
    from: Cow<'a, str>,
    /// How much of the end of the line is the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    len: Option<usize>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    action: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<By>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Entry {
    /// What a line in a file has beside the name of its room and what was said.
    pub(super) const FRAME: &str = "{'room':'','when':'1970-01-01T00:00:00.000000000Z','line':'','epoch':'00000000',\
        'number':1000000,'from':'','len':1000,'by':{'session':10000000000000000000,'request':1000000}}\n";

    /// Reads a line without its newline; `None` for what the hub would not have said.
    pub fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice::<EntryLine<'_>>(line).ok()?.read()
    }

    /// Appends the line of a message, with its newline.
    pub fn write(room: &str, epoch: Epoch, message: &Message, to: &mut Vec<u8>) {
        super::keeping::write_line(&EntryLine::new(room, epoch, message), to);
    }
}

impl<'a> EntryLine<'a> {
    pub(super) fn new(room: &'a str, epoch: Epoch, message: &'a Message) -> Self {
        let (len, text) = match &message.text {
            Text::End(len) => (Some(*len), None),
            Text::Own(text) => (None, Some(Cow::from(&**text))),
        };
        Self {
            room: room.into(),
            when: message.when,
            line: (&*message.line).into(),
            epoch,
            number: message.number,
            from: message.from.as_str().into(),
            len,
            text,
            action: message.is_action,
            by: message.by,
        }
    }

    /// What it says; `None` for what the hub would not have said.
    pub(super) fn read(&self) -> Option<Entry> {
        let Self { room, when, line, epoch, number, from, len, text, action, by } = self;
        let text = match (text, len) {
            (Some(text), _) => Text::Own((&**text).into()),
            (None, Some(len)) => Text::End(*len).checked(line)?,
            (None, None) => Text::End(line.len()),
        };
        let is_good = name::fault(room).is_none()
            && is_message(line)
            && is_sayable(from, &text)
            && [*number, by.map_or(0, |by| by.request)].into_iter().all(|number| number <= NUMBER_MAX);
        let (line, from) = (Box::from(&**line), CompactString::from(&**from));
        let message = Message { number: *number, when: *when, line, from, text, is_action: *action, by: *by };
        let mut frame = Vec::new();
        // What has no number is never sent again.
        if message.number > 0 {
            message.write_frame(room, *epoch, &mut frame);
        }
        (is_good && frame.len() <= DATAGRAM_MAX).then(|| Entry { room: room.to_string(), epoch: *epoch, message })
    }
}

impl Text {
    fn checked(self, line: &str) -> Option<Self> {
        match self {
            Self::End(len) if len > line.len() || !line.is_char_boundary(line.len() - len) => None,
            text => Some(text),
        }
    }
}

/// Whether a line may go out as it is: it fits a datagram, steers no terminal, and is one line or goes on indented.
fn is_message(line: &str) -> bool {
    let indented = line.split('\n').skip(1).all(|further| further.starts_with('\t'));
    !line.is_empty() && line.len() < DATAGRAM_MAX && indented && !line.chars().any(is_control)
}

/// Whether it may stand in a frame: the name is one word, and the text is no longer than any text.
fn is_sayable(from: &str, text: &Text) -> bool {
    let is_word = from.len() <= 2 * crate::core::limits::NAME_MAX
        && from.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
    is_word && !matches!(text, Text::Own(text) if text.len() > DATAGRAM_MAX)
}
