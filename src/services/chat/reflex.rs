//! Members that are services: what comes back from them at once, lest the hub and they talk for ever.
//!
//! A spoofed datagram can make a member of an echo service, of a time server or of another hub. Each answers every
//! message it is sent, its own included. Three signs give it away, and each counts only within [`REFLEX_MAX`] of the
//! member's last message, since a service answers at once and a person who quotes takes longer:
//!
//! * its text holds a line of its own that the hub has just relayed;
//! * its name stands twice in one line, as the hub writes it;
//! * it says the same error line (`? …`) again.
//!
//! Such a text is dropped without a word. A service that says something else each time is for the rate limit to slow.

use crate::config::LineFormat;
use crate::core::{DropReason, Instant, Seed};
use std::time::Duration;

/// A text that comes later than this after the member's last one was typed by somebody.
const REFLEX_MAX: Duration = Duration::from_secs(2);

/// Lines remembered of each member: as many as two hubs have under way between them after a welcome.
const LINES_MAX: usize = 4;

/// How much of a line's text is remembered, behind or before its sender.
const TEXT_KEPT: usize = 32;

/// What a member has just said.
#[derive(Debug, Default)]
pub(super) struct Reflex {
    /// In lower case: some services answer in upper.
    lines: [String; LINES_MAX],
    /// The place of the next line.
    next: usize,
    /// When the last was said.
    last: Instant,
    /// Hash of the last text that looked like an error line; 0 for none.
    error: u64,
}

impl Reflex {
    /// Notes what was relayed for the member, as it was rendered.
    pub(super) fn note(&mut self, now: Instant, signature: &str) {
        if now.since(self.last) > REFLEX_MAX {
            self.lines.iter_mut().for_each(String::clear);
        }
        let line = &mut self.lines[self.next];
        line.clear();
        line.push_str(signature);
        line.make_ascii_lowercase();
        self.next = (self.next + 1) % LINES_MAX;
        self.last = now;
    }

    /// Why a text of the member's called `name` is no message, if it is none.
    pub(super) fn find(
        &mut self,
        now: Instant,
        seed: Seed,
        format: &LineFormat,
        name: &str,
        text: &str,
    ) -> Option<DropReason> {
        let error = if text.starts_with("? ") { seed.hash(&text) } else { 0 };
        let last_error = std::mem::replace(&mut self.error, error);
        if now.since(self.last) > REFLEX_MAX {
            return None;
        }
        if error != 0 && error == last_error {
            return Some(DropReason::ErrorLine);
        }
        let text = text.to_ascii_lowercase();
        let returned = self.lines.iter().any(|line| !line.is_empty() && text.contains(line.as_str()));
        let twice = text.lines().next().is_some_and(|first| stands_twice(format, &name.to_ascii_lowercase(), first));
        (returned || twice).then_some(DropReason::Echo)
    }
}

fn stands_twice(format: &LineFormat, name: &str, line: &str) -> bool {
    let (before, after) =
        if format.sender_first { (&format.before, &format.between) } else { (&format.between, &format.after) };
    let mark = [before, name, after].concat().to_ascii_lowercase();
    // Not the end of another word: a member called `a` may write `data: 1, extra: 2`.
    let stands_alone = |&(at, _): &(usize, &str)| !line[..at].ends_with(char::is_alphanumeric);
    line.match_indices(&mark).filter(stands_alone).nth(1).is_some()
}

/// The part of a rendered line by which it is known again: the sender and what stands beside it.
pub(super) fn signature<'a>(line: &'a str, sender_first: bool, name: &str, format: &LineFormat) -> &'a str {
    let len = format.before.len() + name.len() + format.between.len() + format.after.len() + TEXT_KEPT;
    if sender_first {
        let first = line.lines().next().unwrap_or_default();
        let end = (0..=len.min(first.len())).rev().find(|&end| first.is_char_boundary(end)).unwrap_or_default();
        &first[..end]
    } else {
        let last = line.lines().next_back().unwrap_or_default();
        let start = (last.len().saturating_sub(len)..).find(|&start| last.is_char_boundary(start)).unwrap_or_default();
        &last[start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(1_000_000_000_000 + millis * 1_000_000)
    }

    fn find(reflex: &mut Reflex, millis: u64, text: &str) -> Option<DropReason> {
        reflex.find(at(millis), Seed(1), &LineFormat::default(), "anna", text)
    }

    #[test]
    fn a_line_that_comes_back_is_known_by_its_beginning_for_two_seconds() {
        let mut reflex = Reflex::default();
        assert_eq!(find(&mut reflex, 0, "anna: hello"), None);
        reflex.note(at(0), signature("anna: hello\n\tthere", true, "anna", &LineFormat::default()));
        for text in
            ["anna: hello", "bob: anna: hello\n\t\tthere", "ANNA: HELLO", "you said anna: hello", "anna: hello!"]
        {
            assert_eq!(find(&mut reflex, 2_000, text), Some(DropReason::Echo), "{text}");
            assert_eq!(find(&mut reflex, 2_001, text), None, "{text}");
        }
        for text in ["hello", "anna: hell", "bob: hello", "anna: hi\nanna: hi"] {
            assert_eq!(find(&mut reflex, 0, text), None, "{text}");
        }
        assert_eq!(find(&mut reflex, 0, "anna: anna: 12"), Some(DropReason::Echo));
        assert_eq!(find(&mut reflex, 0, "Johanna: 1, Susanna: 2"), None);
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
        assert_eq!(signature(&line, false, "anna", &format), format!("{} - anna>", "ä".repeat(16)));
        assert_eq!(signature("* anna waves", true, "anna", &format), "* anna waves");
    }
}
