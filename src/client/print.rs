//! Messages as `belfry tail` and `belfry history` print them: lines for people, or JSON for programs.

use super::session::Message;
use super::shown;
use crate::core::frame::MAILBOX;
use crate::core::text::is_control;
use crate::daemon::zoneinfo;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt::Write as _;

/// How messages are printed.
#[derive(Clone, Debug)]
pub(super) enum Style {
    /// Lines for people.
    Text {
        /// Each with its time in this zone.
        time: Option<TimeZone>,
        /// Each with its room, since there are several.
        room: bool,
    },
    /// A JSON object a line.
    Json,
}

impl Style {
    /// A message, with a newline. A further line of it is indented, so that it cannot pass for a message of its own.
    pub(super) fn print(&self, message: &Message) -> String {
        let mut line = match self {
            Self::Json => json(message),
            Self::Text { time, room } => {
                let mut begin = time.as_ref().map(|zone| clock(message.time, zone)).unwrap_or_default();
                if *room && message.room != MAILBOX {
                    begin.push_str(&format!("[{}] ", message.room));
                }
                let from = &message.from;
                begin.push_str(&match (message.room == MAILBOX, message.is_me) {
                    (false, false) => format!("{from}: "),
                    (false, true) => format!("* {from} "),
                    (true, false) => format!("{from} -> you: "),
                    (true, true) => format!("{from} -> you: * {from} "),
                });
                shown(&[begin.as_bytes(), &message.text].concat(), "\n\t")
            }
        };
        line.push('\n');
        line
    }
}

/// The zone in which this user wants to see times.
pub(super) fn local_zone() -> TimeZone {
    zoneinfo::Source::from_environment().read_local()
}

/// When something was said, on the hub's clock.
fn clock(seconds: u64, zone: &TimeZone) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "? ".to_owned(), |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S ").to_string())
}

/// A message as programs read it.
#[derive(Serialize)]
struct Object<'a> {
    room: Option<&'a str>,
    epoch: String,
    number: u64,
    time: u64,
    from: &'a str,
    kind: &'a str,
    text: &'a str,
}

fn json(message: &Message) -> String {
    let text = String::from_utf8_lossy(&message.text);
    let message = Object {
        room: (message.room != MAILBOX).then_some(&message.room),
        epoch: message.epoch.to_string(),
        number: message.number,
        time: message.time,
        from: &message.from,
        kind: if message.is_me { "me" } else { "say" },
        text: &text,
    };
    object(&message)
}

/// A JSON object on one line, fit for a terminal too.
pub(super) fn object(value: &impl Serialize) -> String {
    let mut line = String::new();
    // What could steer a terminal is only in strings, where its escape means the same.
    for c in serde_json::to_string(value).unwrap_or_default().chars() {
        if is_control(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::frame::Epoch;
    use proptest::prelude::*;

    const TEXT: Style = Style::Text { time: None, room: false };

    fn message(room: &str, is_me: bool, text: &[u8]) -> Message {
        Message {
            room: room.to_owned(),
            epoch: Epoch(1),
            number: 7,
            from: "anna".to_owned(),
            is_me,
            time: 1_764_000_000,
            text: text.to_vec(),
        }
    }

    #[test]
    fn a_message_begins_with_who_says_it_and_no_text_can_pass_for_another() {
        let cases = [
            ("lobby", false, "hello", "anna: hello\n"),
            ("lobby", true, "waves", "* anna waves\n"),
            (MAILBOX, false, "psst", "anna -> you: psst\n"),
            (MAILBOX, true, "winks", "anna -> you: * anna winks\n"),
            ("lobby", false, "one\nbob: two\r\n\tthree\n", "anna: one\n\tbob: two\n\t\tthree\n"),
            ("lobby", false, "\x1b[2J\rgone\u{202e}", "anna: \\u{1b}[2J\\rgone\\u{202e}\n"),
        ];
        for (room, is_me, text, expected) in cases {
            assert_eq!(TEXT.print(&message(room, is_me, text.as_bytes())), expected);
        }
    }

    #[test]
    fn times_and_rooms_stand_before_it_and_a_time_that_is_none_is_said_to_be_unknown() {
        let style = Style::Text { time: Some(TimeZone::UTC), room: true };
        assert_eq!(style.print(&message("lab", false, b"hi")), "2025-11-24 16:00:00 [lab] anna: hi\n");
        assert_eq!(style.print(&message(MAILBOX, false, b"hi")), "2025-11-24 16:00:00 anna -> you: hi\n");
        let late = Message { time: u64::MAX, ..message("lab", false, b"hi") };
        assert_eq!(style.print(&late), "? [lab] anna: hi\n");
    }

    #[test]
    fn programs_get_an_object_a_line_with_the_text_as_it_is() {
        let text = "one\n\"two\" \u{9b}\u{202e}\u{1b}";
        assert_eq!(
            Style::Json.print(&message("lobby", true, text.as_bytes())),
            concat!(
                r#"{"room":"lobby","epoch":"00000001","number":7,"time":1764000000,"from":"anna","kind":"me","#,
                r#""text":"one\n\"two\" \u009b\u202e\u001b"}"#,
                "\n"
            )
        );
        let private = Style::Json.print(&message(MAILBOX, false, b"psst"));
        assert!(private.starts_with(r#"{"room":null,"#), "{private}");
    }

    proptest! {
        #[test]
        fn whatever_a_hub_says_each_message_is_lines_of_which_only_the_first_begins_one(
            from in "[a\n\r\u{1b}\u{202e}]{0,9}", room in "[a@\n\u{9b}]{1,3}", is_me in any::<bool>(), time in any::<u64>(),
            text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\x1b')], 0..60),
        ) {
            let message = Message { room, epoch: Epoch(1), number: 1, from, is_me, time, text };
            let dated = Style::Text { time: Some(TimeZone::UTC), room: true };
            for printed in [TEXT.print(&message), dated.print(&message)] {
                prop_assert!(!printed.contains(crate::core::text::is_control), "{printed:?}");
                prop_assert!(printed.trim_end_matches('\n').split('\n').skip(1).all(|line| line.starts_with('\t')), "{printed:?}");
            }
            let json = Style::Json.print(&message);
            prop_assert!(!json.trim_end_matches('\n').contains(|c| c == '\n' || crate::core::text::is_control(c)), "{json:?}");
            let read: serde_json::Value = serde_json::from_str(&json).expect("an object");
            prop_assert_eq!(read["text"].as_str(), Some(&*String::from_utf8_lossy(&message.text)));
        }
    }
}
