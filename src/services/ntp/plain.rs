//! The two services that told the time before NTP: as a number (RFC 868) and as a line of text (RFC 867).
//!
//! Both are to answer whatever comes, and so would talk to each other, or to any service of that age, for ever. Here a
//! question is nothing at all, as RFC 868 has it, or the end of a line, as people type it. An answer is longer than that,
//! so it is never taken for a question.

use crate::core::NtpTimestamp;
use crate::core::limits::ANSWER_BASE;
use crate::services::time::{Format, Moment, Text};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The longest question: `\r\n`.
const QUESTION_MAX: usize = 2;

/// The seconds since 1900 are the beginning of a moment in NTP.
const NUMBER_LEN: usize = 4;

/// What RFC 867 proposes, which has no fixed form.
const TEXT: &str = "%A, %B %-d, %Y %H:%M:%S-UTC";

/// Whether somebody asks.
pub(super) fn is_question(payload: &[u8]) -> bool {
    payload.len() <= QUESTION_MAX && payload.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b'\0'))
}

/// The time as RFC 868 tells it.
pub(super) fn number(wall: Timestamp) -> [u8; NUMBER_LEN] {
    let [a, b, c, d, ..] = NtpTimestamp::of(wall).to_bytes();
    [a, b, c, d]
}

/// The time as RFC 867 tells it.
pub(super) fn text(wall: Timestamp) -> Text {
    let mut text = Text::new(ANSWER_BASE);
    let format = Format::parse(TEXT).expect("it is one");
    let written = format.render(&Moment::new(wall, &TimeZone::UTC), &mut text).and_then(|()| text.push(b"\r\n"));
    written.expect("the longest, in September, has half as many bytes");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_nothing_or_the_end_of_a_line() {
        for question in ["", "\n", "\r\n", "\0", "\n\0"] {
            assert!(is_question(question.as_bytes()), "{question:?}");
        }
        for other in [" ", "x", "\r\n\0", "\n\n\n", "now"] {
            assert!(!is_question(other.as_bytes()), "{other:?}");
        }
    }
}
