//! Members that are services: what comes back from them at once, lest the hub and they talk for ever.
//!
//! A spoofed datagram can make a member of an echo service, of a time server or of another hub. Each answers every
//! message it is sent, its own included. These signs give it away, each within [`REFLEX_MAX`] or less, since a service
//! answers at once and a person who quotes takes longer:
//!
//! * its text holds a line that the hub has just relayed in its room, or told it alone;
//! * its name stands twice in one line, as the hub writes it: it has come back before, to a room so busy that the line
//!   was forgotten meanwhile;
//! * it says a second error line (`? …`);
//! * it says the same for the fourth time in a row, each in a later turn, within [`REPEAT_PAUSE`] of the last.
//!
//! Such a text is dropped without a word. What is refused (bytes that are not UTF-8) is not answered for ever either: see
//! `core::error_streaks`. A service that says something else each time (chargen, a quote of the day) looks like a program that
//! waits for its line to come back before it says the next. The rate limit ends that when it is fast: a loop is over as soon
//! as one datagram is lost. And one that is slow ends after [`ANSWERS_IN_A_ROW_MAX`], when one line does not come back.

use crate::config::LineFormat;
use crate::core::limits::{ANSWERS_IN_A_ROW_MAX, REPEATS_MAX};
use crate::core::{DropReason, Instant, Seed};
use std::time::Duration;

/// A text that comes later than this after the line that it repeats was typed by somebody.
const REFLEX_MAX: Duration = Duration::from_secs(2);

/// Two texts that are apart by more are not said in a row: a sensor sends ten readings a second, a loop in the local network a
/// hundred or more.
const REPEAT_PAUSE: Duration = Duration::from_millis(50);

/// Lines remembered for each room: as many as people say in it while a datagram is under way.
const ROOM_LINES_MAX: usize = 16;

/// How much of a line's text is remembered, behind or before its sender: enough that no other line has it, little enough
/// that a service has not put something else in its place.
const TEXT_KEPT: usize = 12;

/// How much of a line of the hub's own is remembered.
const OWN_KEPT: usize = 40;

/// Which bytes a text has, but for their first bit and the case of letters. A text that lacks one that a line has does not
/// hold the line, and nearly all are told apart by that alone, without a search.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes(u128);

impl Bytes {
    fn of(text: &str) -> Self {
        Self(text.bytes().fold(0, |bytes, byte| bytes | 1 << (byte.to_ascii_lowercase() & 0x7f)))
    }

    const fn has_all_of(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

/// A line that went out, by its beginning, in lower case: some services answer in upper.
#[derive(Debug, Default)]
struct Line {
    when: Instant,
    text: String,
    bytes: Bytes,
}

impl Line {
    fn write(&mut self, now: Instant, text: &str) {
        self.when = now;
        self.text.clear();
        self.text.push_str(text);
        self.text.make_ascii_lowercase();
        self.bytes = Bytes::of(text);
    }

    fn is_recent(&self, now: Instant) -> bool {
        is_recent(now, self.when) && !self.text.is_empty()
    }

    /// Whether it stands in `text`, not with another word grown to its sender: a member called `a` that says `5` does
    /// not keep anybody from saying `data: 50`.
    fn stands_in(&self, text: &str, format: &LineFormat) -> bool {
        text.match_indices(&self.text).any(|(at, line)| {
            let behind = &text[at + line.len()..];
            is_word_start(text, at) || !format.sender_first && !behind.starts_with(char::is_alphanumeric)
        })
    }
}

/// The last lines that were relayed in a room.
#[derive(Debug, Default)]
pub(super) struct RoomLines {
    lines: [Line; ROOM_LINES_MAX],
    /// The place of the next line.
    next: usize,
}

impl RoomLines {
    /// Notes the [`signature`] of a line.
    pub(super) fn note(&mut self, now: Instant, signature: &str) {
        self.lines[self.next].write(now, signature);
        self.next = (self.next + 1) % ROOM_LINES_MAX;
    }
}

/// What a member has just been told, and said.
#[derive(Debug, Default)]
pub(super) struct Reflex {
    /// The last line that was for it alone; most programs never get one.
    told: Option<Box<Line>>,
    /// When the last text that looked like an error line was relayed.
    error: Option<Instant>,
    /// The last text by its hash, when it was said, and how often in a row.
    said: (u64, Instant, usize),
    /// When its own line last went back to it, and how many such lines it has answered in a row.
    echoed: Option<Instant>,
    answers: usize,
}

impl Reflex {
    /// Notes what the hub itself has to say to the member.
    pub(super) fn note_told(&mut self, now: Instant, line: &str) {
        self.told.get_or_insert_default().write(now, &line[..boundary(line, OWN_KEPT)]);
    }

    /// Notes what the member says to its room, and whether that goes back to it.
    pub(super) fn note_said(&mut self, now: Instant, text: &str) -> bool {
        let hash = Seed(0).hash(&text);
        let (_, when, count) = self.said;
        // What was heard in the same turn is no answer to the last.
        let count = if self.is_repeated(now, hash) { count + usize::from(now > when) } else { 1 };
        self.said = (hash, now, count);
        let is_answer = self.echoed.is_some_and(|echoed| is_recent(now, echoed));
        self.answers = if is_answer { self.answers + 1 } else { 0 };
        let gets_echo = self.answers < ANSWERS_IN_A_ROW_MAX;
        self.echoed = gets_echo.then_some(now);
        gets_echo
    }

    /// Whether it has just said the text with this hash.
    fn is_repeated(&self, now: Instant, hash: u64) -> bool {
        let (last, when, _) = self.said;
        hash == last && now.since(when) <= REPEAT_PAUSE
    }

    /// Why a text of the member called `name` is no message, if it is none.
    pub(super) fn find(
        &mut self,
        now: Instant,
        room: &RoomLines,
        format: &LineFormat,
        name: &str,
        text: &str,
    ) -> Option<DropReason> {
        if text.starts_with("? ") {
            if self.error.is_some_and(|error| is_recent(now, error)) {
                return Some(DropReason::ErrorLine);
            }
            self.error = Some(now);
        }
        if self.said.2 >= REPEATS_MAX && self.is_repeated(now, Seed(0).hash(&text)) {
            self.said.1 = now;
            return Some(DropReason::Reflex);
        }
        let lines = self.told.as_deref().into_iter().chain(&room.lines);
        let bytes = Bytes::of(text);
        let (mut is_busy, mut lower) = (false, None::<String>);
        let mut comes_back = |line: &Line| {
            is_busy = true;
            bytes.has_all_of(line.bytes)
                && line.stands_in(lower.get_or_insert_with(|| text.to_ascii_lowercase()), format)
        };
        let is_line = lines.filter(|line| line.is_recent(now)).any(&mut comes_back);
        (is_line || is_busy && stands_twice(format, name, text)).then_some(DropReason::Echo)
    }
}

fn is_recent(now: Instant, then: Instant) -> bool {
    now.since(then) <= REFLEX_MAX
}

/// Whether no word of the text goes on at `at`.
fn is_word_start(text: &str, at: usize) -> bool {
    !text[..at].ends_with(char::is_alphanumeric)
}

/// Whether the sender stands twice in the first line of `text`, in capitals or not. A member called `a` may write
/// `data: 1, extra: 2`.
fn stands_twice(format: &LineFormat, name: &str, text: &str) -> bool {
    let (before, after) =
        if format.sender_first { (&format.before, &format.between) } else { (&format.between, &format.after) };
    let (line, marks) = (text.lines().next().unwrap_or_default(), [before, name, after]);
    let (mut at, mut count) = (0, 0);
    while at < line.len() && count < 2 {
        let len = len_of_all(&marks, &line.as_bytes()[at..]).filter(|_| is_word_start(line, at));
        count += usize::from(len.is_some());
        at += len.unwrap_or(1).max(1);
    }
    count == 2
}

/// The length of these texts, if the bytes begin with one after the other, in capitals or not.
fn len_of_all(texts: &[&str], bytes: &[u8]) -> Option<usize> {
    texts.iter().try_fold(0, |at, text| {
        let part = bytes.get(at..at + text.len())?;
        part.eq_ignore_ascii_case(text.as_bytes()).then_some(at + text.len())
    })
}

/// The part of a rendered line by which it is known again: the sender and what stands beside it.
pub(super) fn signature<'a>(line: &'a str, sender_first: bool, name: &str, format: &LineFormat) -> &'a str {
    let len = format.before.len() + name.len() + format.between.len() + format.after.len() + TEXT_KEPT;
    if sender_first {
        let first = line.lines().next().unwrap_or_default();
        &first[..boundary(first, len)]
    } else {
        let last = line.lines().next_back().unwrap_or_default();
        &last[boundary(last, last.len().saturating_sub(len))..]
    }
}

/// The last place up to `at` where a character begins.
fn boundary(line: &str, at: usize) -> usize {
    (0..=at.min(line.len())).rev().find(|&at| line.is_char_boundary(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(1_000_000_000_000 + millis * 1_000_000)
    }

    fn find(reflex: &mut Reflex, millis: u64, text: &str) -> Option<DropReason> {
        reflex.find(at(millis), &RoomLines::default(), &LineFormat::default(), "anna", text)
    }

    #[test]
    fn whether_a_text_has_all_bytes_of_a_line_says_nothing_false() {
        let has = |text: &str, line: &str| Bytes::of(text).has_all_of(Bytes::of(line));
        assert!(has("bob: ANNA: HELLO\n\t\tthere", "anna: hello"));
        assert!(has("Grüße aus Zürich", "grüße"), "each text has all of its own parts");
        assert!(has("olleh :anna", "anna: hello"), "the order is for the search to see");
        assert!(!has("anna hello", "anna: hello"));
        assert!(has("", "") && !has("", "a"));
    }

    #[test]
    fn a_sender_stands_twice_in_one_line_as_a_word_and_in_capitals_too() {
        let format = LineFormat::default();
        for (name, text, expected) in [
            ("anna", "anna: anna: x", true),
            ("anna", "ANNA: Anna: x", true),
            ("anna", "x anna: y anna: z", true),
            ("anna", "anna: x\n\tanna: y", false),
            ("anna", "anna: x", false),
            ("a", "data: 1, extra: 2", false),
            ("ä", "ää: ä: ä: x", true),
            ("ä", "öä: ä: x", false),
        ] {
            assert_eq!(stands_twice(&format, name, text), expected, "{name} {text}");
        }
    }

    #[test]
    fn a_line_that_comes_back_is_known_by_its_beginning_for_two_seconds() {
        let mut reflex = Reflex::default();
        assert_eq!(find(&mut reflex, 0, "anna: hello"), None);
        reflex.note_told(at(0), "anna: hello");
        for text in
            ["anna: hello", "bob: anna: hello\n\t\tthere", "ANNA: HELLO", "you said anna: hello", "anna: hello!"]
        {
            assert_eq!(find(&mut reflex, 2_000, text), Some(DropReason::Echo), "{text}");
            assert_eq!(find(&mut reflex, 2_001, text), None, "{text}");
        }
        reflex.note_told(at(0), "anna: 0123456789ab");
        assert_eq!(find(&mut reflex, 0, "anna: 0123456789ab 14:03"), Some(DropReason::Echo));
        for text in ["hello", "anna: hell", "bob: hello", "anna: hi\nanna: hi"] {
            assert_eq!(find(&mut reflex, 0, text), None, "{text}");
        }
        assert_eq!(find(&mut reflex, 0, "anna: anna: 12"), Some(DropReason::Echo));
        let mut room = RoomLines::default();
        room.note(at(0), "carl: hi");
        room.note(at(0), "a: 5");
        let mut find_in = |text| reflex.find(at(2_000), &room, &LineFormat::default(), "anna", text);
        assert_eq!((find_in("carl: hi"), find_in("a: 5")), (Some(DropReason::Echo), Some(DropReason::Echo)));
        assert_eq!((find_in("hi carl"), find_in("data: 50")), (None, None));
        assert_eq!(find(&mut reflex, 0, "Johanna: 1, Susanna: 2"), None);
    }

    #[test]
    fn of_error_lines_one_in_two_seconds_is_a_message() {
        let mut reflex = Reflex::default();
        assert_eq!(find(&mut reflex, 0, "? no conversion"), None);
        assert_eq!(find(&mut reflex, 1_000, "hello"), None);
        assert_eq!(find(&mut reflex, 2_000, "? unknown conversion"), Some(DropReason::ErrorLine));
        assert_eq!(find(&mut reflex, 2_001, "? no conversion"), None);
    }

    #[test]
    fn the_same_text_is_said_three_times_in_a_row_and_as_often_as_anybody_likes_with_pauses() {
        let mut reflex = Reflex::default();
        let say = |reflex: &mut Reflex, millis, text| {
            let found = find(reflex, millis, text);
            if found.is_none() {
                reflex.note_said(at(millis), text);
            }
            found
        };
        assert!((0..20).all(|_| say(&mut reflex, 0, "pasted").is_none()), "nothing of one turn is an answer");
        assert!((1..20).all(|tenth| say(&mut reflex, tenth * 51, "22.5").is_none()), "a sensor");
        assert!(
            (1_000..1_020).all(|milli| say(&mut reflex, milli, if milli % 2 == 0 { "ping" } else { "pong" }).is_none())
        );
        assert!((2_000..2_003).all(|milli| say(&mut reflex, milli, "400 Bad Request").is_none()));
        assert_eq!(say(&mut reflex, 2_052, "400 Bad Request"), Some(DropReason::Reflex));
        assert_eq!(say(&mut reflex, 2_102, "400 Bad Request"), Some(DropReason::Reflex), "the pause begins anew");
        assert_eq!(say(&mut reflex, 2_153, "400 Bad Request"), None);
    }

    #[test]
    fn a_line_does_not_come_back_when_so_many_in_a_row_were_answers() {
        let mut reflex = Reflex::default();
        let answer = |reflex: &mut Reflex, number: u64| reflex.note_said(at(2_000 * number), &number.to_string());
        assert!((0..ANSWERS_IN_A_ROW_MAX as u64).all(|number| answer(&mut reflex, number)));
        assert!(!answer(&mut reflex, ANSWERS_IN_A_ROW_MAX as u64));
        assert!(
            (2_000..2_000 + ANSWERS_IN_A_ROW_MAX as u64).all(|number| answer(&mut reflex, number)),
            "it begins anew"
        );
        let mut patient = Reflex::default();
        assert!((0..2_000_u64).all(|number| patient.note_said(at(2_001 * number), &number.to_string())));
    }

    #[test]
    fn a_signature_holds_the_sender_wherever_it_stands() {
        let format = LineFormat {
            before: "<".to_owned(),
            between: " - ".to_owned(),
            after: ">".to_owned(),
            sender_first: false,
        };
        let line = format!("<one\n\t{} - anna>", "ä".repeat(100));
        assert_eq!(signature(&line, false, "anna", &format), format!("{} - anna>", "ä".repeat(7)));
        assert_eq!(signature("* anna waves", true, "anna", &format), "* anna waves");
    }
}
