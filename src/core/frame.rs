//! The frames of sessions, as they stand in datagrams: reading and writing, for the hub and its clients alike.
//!
//! ```text
//! frame = "^" verb *( " " field ) "^" [ text ]      ; field = word / key "=" value
//! ```
//!
//! docs/PROTOCOL.md has the grammar in full, and what each verb means. Reading allocates nothing and never fails on what it
//! does not know; a frame that is none ends its datagram.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// The verbs whose frames have a text even when they do not say how long it is: then it is the rest of the datagram.
const WITH_TEXT: [&str; 6] = ["say", "ask", "msg", "note", "answer", "error"];

/// A frame, read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is about: two or more lower-case letters.
    pub verb: &'a str,
    fields: &'a str,
    /// What stands behind it.
    pub text: &'a [u8],
}

/// Something in a datagram that is no frame. Nothing behind it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Frame<'a> {
    fn fields(&self) -> impl Iterator<Item = (Option<&'a str>, &'a str)> + use<'a> {
        let fields = self.fields.strip_prefix(' ').into_iter().flat_map(|fields| fields.split(' '));
        fields.map(|field| match field.split_once('=') {
            Some((key, value)) => (Some(key), value),
            None => (None, field),
        })
    }

    /// The fields without a key, in their order.
    pub fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields().filter_map(|(key, word)| key.is_none().then_some(word))
    }

    /// The values of all fields with this key, in their order.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.fields().filter_map(move |(of, value)| (of == Some(key)).then_some(value))
    }

    /// The value of the first field with this key.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.values(key).next()
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "^{}{}^{}", self.verb, self.fields, self.text.escape_ascii())
    }
}

/// The frames of a datagram, in order; the last item is the error if there is one.
pub fn frames(datagram: &[u8]) -> Frames<'_> {
    Frames { rest: datagram }
}

/// Iterates over the frames of a datagram.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let filler = self.rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
        let rest = &self.rest[filler..];
        if rest.is_empty() {
            self.rest = rest;
            return None;
        }
        let read = read(rest);
        self.rest = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(frame, _)| frame).ok_or(Malformed))
    }
}

/// Reads the frame at the beginning; what stands behind it.
fn read(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let inner = bytes.strip_prefix(b"^")?;
    let end = inner.iter().position(|&byte| byte == b'^')?;
    let (head, text) = (&inner[..end], &inner[end + 1..]);
    let head = std::str::from_utf8(head).ok().filter(|head| !head.bytes().any(|byte| byte.is_ascii_control()))?;
    let (verb, fields) = head.split_at(head.find(' ').unwrap_or(head.len()));
    if verb.len() < 2 || !verb.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let frame = Frame { verb, fields, text: &[] };
    if !frame.fields().all(|(key, word)| key.map_or(!word.is_empty(), is_key)) {
        return None;
    }
    let len = match frame.value("len") {
        Some(len) => number(len).and_then(|len| usize::try_from(len).ok()).filter(|&len| len <= text.len())?,
        None if WITH_TEXT.contains(&verb) => {
            let (text, _) = super::text::split_line(text);
            return Some((Frame { text, ..frame }, &[]));
        }
        None => 0,
    };
    Some((Frame { text: &text[..len], ..frame }, &text[len..]))
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// A number as it stands in a field: digits and nothing else, which `str::parse` is not as strict about.
pub fn number(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

/// Which numbering of a room: it changes when the numbers start anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "&str")]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        hex(text, 8).and_then(|number| u32::try_from(number).ok()).map(Self).ok_or(Malformed)
    }
}

/// What a client shows to be who it is, once the hub has told it: a secret, which does not show in a log by mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "&str")]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        hex(text, 16).map(Self).ok_or(Malformed)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// How both are kept: as they stand in a frame.
macro_rules! kept_as_written {
    ($($name:ident)*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Malformed;

            fn try_from(text: &str) -> Result<Self, Malformed> {
                text.parse()
            }
        }
    )*};
}

kept_as_written!(Epoch SessionId);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed")
    }
}

/// A number in so many hexadecimal digits, in lower case.
pub(crate) fn hex(text: &str, digits: usize) -> Option<u64> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit)).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// The room that stands for what was said to a session alone.
pub const MAILBOX: &str = "@";

/// A place among what was said in a room: `lobby/5e2f01aa/18`. Number 0 is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The room's name, or [`MAILBOX`].
    pub room: &'a str,
    /// Which numbering.
    pub epoch: Epoch,
    /// The number in it.
    pub number: u64,
}

impl<'a> Position<'a> {
    /// Reads `ROOM/EPOCH/NUMBER`.
    pub fn read(word: &'a str) -> Option<Self> {
        let (_, number) = word.rsplit_once('/')?;
        let range = Range::read(word).filter(|_| !number.contains('-'))?;
        Some(Self { room: range.room, epoch: range.epoch, number: range.first })
    }
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.room, self.epoch, self.number)
    }
}

/// Some of what was said in a room, both ends included: `lobby/5e2f01aa/12-15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<'a> {
    /// The room's name, or [`MAILBOX`].
    pub room: &'a str,
    /// Which numbering.
    pub epoch: Epoch,
    /// The first number.
    pub first: u64,
    /// The last number, not below the first.
    pub last: u64,
}

impl<'a> Range<'a> {
    /// Reads `ROOM/EPOCH/NUMBER` or `ROOM/EPOCH/NUMBER-NUMBER`.
    pub fn read(word: &'a str) -> Option<Self> {
        let mut parts = word.rsplitn(3, '/');
        let (numbers, epoch, room) = (parts.next()?, parts.next()?, parts.next()?);
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (first, last) = (number(first)?, number(last)?);
        let is_room = !room.is_empty() && !room.contains('/');
        (is_room && first <= last).then(|| epoch.parse().ok()).flatten().map(|epoch| Self { room, epoch, first, last })
    }
}

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.room, self.epoch, self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

/// Appends a frame without a text.
pub fn write_frame(to: &mut Vec<u8>, head: fmt::Arguments<'_>) {
    let _ = write!(Bytes(to), "^{head}^");
}

/// Takes text as bytes.
struct Bytes<'a>(&'a mut Vec<u8>);

impl fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Appends a frame with a text; `head` is without the length.
pub fn write_text_frame(to: &mut Vec<u8>, head: fmt::Arguments<'_>, text: &[u8]) {
    write_frame(to, format_args!("{head} len={}", text.len()));
    to.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(datagram: &[u8]) -> Vec<String> {
        frames(datagram).map(|frame| frame.map_or("malformed".to_owned(), |frame| format!("{frame:?}"))).collect()
    }

    #[test]
    fn a_datagram_holds_frames_and_what_is_none_ends_it() {
        let cases: [(&[u8], &[&str]); 21] = [
            (b"", &[]),
            (b"\0\r\n", &[]),
            (b"^hb^", &["^hb^"]),
            (b"^hb^\n^bye^\0\0", &["^hb^", "^bye^"]),
            (b"^say 1 len=4^a^b^^hb^", &["^say 1 len=4^a^b^", "^hb^"]),
            (b"^say 1 lobby^to the end^hb^\r\n\0", &["^say 1 lobby^to the end^hb^"]),
            (b"^say 1 len=3^a\n\0", &["^say 1 len=3^a\\n\\x00"]),
            (b"^say 1 len=3^ab", &["malformed"]),
            (b"^say 1 len=x^ab", &["malformed"]),
            (b"^say 1 len=+2^ab", &["malformed"]),
            (b"^newer a=b len=2^^^^hb^", &["^newer a=b len=2^^^", "^hb^"]),
            (b"^hb^x^hb^", &["^hb^", "malformed"]),
            (b"^o^", &["malformed"]),
            (b"^Hb^", &["malformed"]),
            (b"^hb", &["malformed"]),
            (b"^hb a\x1b^", &["malformed"]),
            (b"^hb  a^", &["malformed"]),
            (b"^hb a ^", &["malformed"]),
            (b"^hb =a^", &["malformed"]),
            (b"^hb A=b^", &["malformed"]),
            (b"^hb a-b=c^", &["malformed"]),
        ];
        for (datagram, read) in cases {
            assert_eq!(shown(datagram), read, "{}", datagram.escape_ascii());
        }
        assert_eq!(shown(b"^say 1^caf\xe9"), ["^say 1^caf\\xe9"], "a text is bytes");
        assert_eq!(shown(b"^say \xe9^x"), ["malformed"], "a head is not");
    }

    #[test]
    fn fields_are_words_in_their_places_and_values_anywhere() {
        let frame = frames(b"^hello at=lab 1 at=lobby= name=^").next().expect("one").expect("a frame");
        assert_eq!(frame.words().collect::<Vec<_>>(), ["1"]);
        assert_eq!(frame.values("at").collect::<Vec<_>>(), ["lab", "lobby="]);
        assert_eq!((frame.value("name"), frame.value("token")), (Some(""), None));
    }

    #[test]
    fn positions_and_ranges_are_written_as_they_are_read() {
        for word in ["lobby/5e2f01aa/0", "@/00000000/18446744073709551615", "a.b-c_d/ffffffff/7"] {
            assert_eq!(Position::read(word).map(|position| position.to_string()).as_deref(), Some(word));
        }
        let range = Range { room: "lab", epoch: Epoch(10), first: 12, last: 15 };
        assert_eq!(Range::read("lab/0000000a/12-15"), Some(range));
        assert_eq!(range.to_string(), "lab/0000000a/12-15");
        for word in [
            "",
            "lobby",
            "lobby/5e2f01aa",
            "/5e2f01aa/1",
            "lobby/5E2F01AA/1",
            "lobby/5e2f01a/1",
            "lobby/5e2f01aa/",
            "lobby/5e2f01aa/+1",
            "lobby/5e2f01aa/-1",
            "lobby/5e2f01aa/18446744073709551616",
            "lobby/5e2f01aa/3-2",
            "a/b/5e2f01aa/1",
        ] {
            assert_eq!(Range::read(word), None, "{word}");
        }
        assert_eq!(Position::read("lobby/5e2f01aa/1-2"), None);
        assert_eq!(Position::read("lobby/5e2f01aa/1-1"), None, "a range, if of one");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut datagram = Vec::new();
        write_text_frame(&mut datagram, format_args!("msg lobby/0000000a/1 anna"), b"^hb^\n");
        write_frame(&mut datagram, format_args!("ack 7"));
        assert_eq!(datagram, b"^msg lobby/0000000a/1 anna len=5^^hb^\n^ack 7^");
        assert_eq!(shown(&datagram), ["^msg lobby/0000000a/1 anna len=5^^hb^\\n", "^ack 7^"]);
    }
}
