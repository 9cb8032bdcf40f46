//! `belfry say`: one text, or each line of standard input, said in the room.
//!
//! The hub confirms nothing that a program says, so a question follows each text: datagrams of one socket are handled
//! in the order in which they arrive, and the answer to the question shows that the text has been handled, with an error
//! line before it if it was refused. A text is never sent twice, since it might then be heard twice.

use super::link::Link;
use super::{Failure, Who, complain, shown};
use crate::core::limits::RECEIVE_MAX;
use std::io::{BufRead, ErrorKind};
use std::time::Duration;

/// The usual port of the chat hub.
pub(super) const PORT: u16 = 9999;

/// Asks who we are; the answer is a line of the hub's own.
pub(super) const QUESTION: &[u8] = b"/nick";

/// Ends our being there.
pub(super) const QUIT: &[u8] = b"quit";

/// How long a line takes at least: a line and its question are two datagrams, and a hub takes 50 a second from one
/// source unless it is told otherwise.
const LINE_INTERVAL: Duration = Duration::from_millis(50);

/// Says `text`.
pub(super) fn say(who: &Who, text: &str) -> Result<(), Failure> {
    let utterance = utterance(text).map_err(|why| Failure::Usage(why.to_owned()))?;
    Link::with_first(who, PORT, |link| {
        let said = say_on(&link, who, &utterance);
        leave(&link);
        said
    })
}

/// Says each line of `lines` that is not blank. A line that cannot be said, or that the hub refuses, is complained of
/// and does not keep the others back.
pub(super) fn say_lines(who: &Who, lines: impl BufRead) -> Result<(), Failure> {
    // Asked before the first line is said, so that no line is lost to an address where nobody listens.
    let link = Link::with_first(who, PORT, |link| confirm(&link, who).map(|()| link))?;
    let said = lines.lines().zip(1..).try_fold(0, |unsaid, (line, number)| {
        let next = link.now() + LINE_INTERVAL;
        let said = match line {
            Ok(line) if line.trim().is_empty() => return Ok(unsaid),
            Ok(line) => match utterance(&line) {
                Ok(utterance) => say_on(&link, who, &utterance),
                Err(why) => Err(Failure::Refused(why.to_owned())),
            },
            // What is behind it can still be read.
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(Failure::Refused("not UTF-8".to_owned())),
            Err(error) => Err(Failure::to(&format!("read line {number}"))(error)),
        };
        while link.now() < next {
            link.receive(next)?;
        }
        match said {
            Err(Failure::Refused(why)) => {
                complain(&format_args!("line {number}: {why}"));
                Ok(unsaid + 1)
            }
            said => said.map(|()| unsaid),
        }
    });
    leave(&link);
    match said? {
        0 => Ok(()),
        unsaid => Err(Failure::Failed(format!("lines not said: {unsaid}"))),
    }
}

fn say_on(link: &Link, who: &Who, utterance: &str) -> Result<(), Failure> {
    link.send(utterance.as_bytes())?;
    confirm(link, who)
}

/// Waits until the hub has handled what was sent to it before.
fn confirm(link: &Link, who: &Who) -> Result<(), Failure> {
    link.ask(QUESTION, who.timeout, |payload| match payload {
        [b'?', b' ', ..] => Some(Err(Failure::Refused(shown(payload, " ")))),
        [b'-', b'-', b' ', ..] => Some(Ok(())),
        // What others say in the meantime, and our own text.
        _ => None,
    })?
}

fn leave(link: &Link) {
    // The hub forgets us in time even if it does not hear this.
    let _ = link.send(QUIT);
}

/// The datagram that says `text` and nothing else, or why there is none.
fn utterance(text: &str) -> Result<String, &'static str> {
    // A newline at the end would say that a person types here, who would get a welcome.
    let text = text.trim_end_matches(['\0', '\r', '\n']);
    match text {
        _ if text.trim().is_empty() => Err("there is nothing to say"),
        _ if text.len() > RECEIVE_MAX => Err("no hub takes a text of more than 16384 bytes"),
        "quit" => Err("\"quit\" would leave the room rather than be said; try \"quit.\""),
        _ if is_frame(text) => Err("a text of the form ^word^ would be a command of a program; put a space before it"),
        _ if text.starts_with('/') => Ok(format!("/{text}")),
        _ => Ok(text.to_owned()),
    }
}

fn is_frame(text: &str) -> bool {
    text.strip_prefix('^').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains('^'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_said_word_for_word() {
        let cases = [
            ("hello", "hello"),
            ("hello\n", "hello"),
            ("two\nlines\r\n", "two\nlines"),
            ("/etc/motd", "//etc/motd"),
            ("//", "///"),
            ("quit smoking", "quit smoking"),
            ("^_^", "^_^"),
            ("^up", "^up"),
            (" ^hb^", " ^hb^"),
        ];
        for (text, said) in cases {
            assert_eq!(utterance(text).as_deref(), Ok(said), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_would_be_a_command_or_is_longer_than_any_message_is_refused() {
        let long = "x".repeat(RECEIVE_MAX);
        assert!(utterance(&long).is_ok());
        for text in
            [&format!("{long}x"), "", " \n", "quit", "quit\r\n", "quit\0", "^hb^", "^hello anna^\n", "^say 1^hello"]
        {
            assert!(utterance(text).is_err(), "{text:?}");
        }
    }
}
