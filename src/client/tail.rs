//! `belfry tail`: what is said in the room, line by line, until interrupted.
//!
//! Standard output has what is said and nothing else. That the hub is away, or that something is lost, is said on standard
//! error, once.

use super::attendance::{Attendance, News};
use super::say::closed;
use super::session::{Event, Message, Options};
use super::{Failure, Who, complain, shown};
use crate::core::frame::MAILBOX;
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::fmt;
use std::os::fd::AsFd;

/// Bytes that are printed at once: what a pipe takes without a wait when it takes something (`PIPE_BUF`, pipe(7)). During
/// a wait no signal would be heard.
const PRINTED_MAX: usize = 4_096;

/// Prints what is said to `out` until a signal comes or nobody reads `out` any more.
pub(super) fn tail(who: &Who, out: &impl AsFd) -> Result<(), Failure> {
    let mut attendance = Attendance::begin(who, &Options::default())?;
    let outcome = Tail::default().run(&mut attendance, out);
    attendance.leave();
    outcome
}

#[derive(Debug, Default)]
struct Tail {
    unprinted: Vec<u8>,
    /// Whether the trouble that there is has been said.
    has_complained: bool,
    /// What ends us, once everything is printed.
    end: Option<Failure>,
}

impl Tail {
    fn run(&mut self, attendance: &mut Attendance, out: &impl AsFd) -> Result<(), Failure> {
        loop {
            // When whoever reads us has stopped, the rest waits in the session, which knows how much that may be.
            while self.unprinted.len() < PRINTED_MAX
                && let Some(news) = attendance.next()
            {
                self.hear(attendance, news);
            }
            if self.unprinted.is_empty()
                && let Some(end) = self.end.take()
            {
                return Err(end);
            }
            // Where nothing is asked of it, that its other end has gone is reported all the same.
            let wanted = if self.unprinted.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            let wake = attendance.wait(&[(out.as_fd(), wanted)])?;
            let told = wake.watched[0];
            if wake.is_interrupted || told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
                return Ok(());
            }
            if told.contains(PollFlags::POLLOUT) {
                let len = self.unprinted.len().min(PRINTED_MAX);
                match nix::unistd::write(out, &self.unprinted[..len]) {
                    Ok(len) => drop(self.unprinted.drain(..len)),
                    Err(Errno::EAGAIN | Errno::EINTR) => {}
                    Err(Errno::EPIPE) => return Ok(()),
                    Err(error) => return Err(Failure::to("print")(error.into())),
                }
            }
        }
    }

    fn hear(&mut self, attendance: &Attendance, news: News) {
        match news {
            News::Trouble(failure) => self.complain(&failure),
            News::Event(event) => match event {
                Event::Message(message) => self.unprinted.extend_from_slice(line(&message).as_bytes()),
                Event::Welcomed { .. } => self.be_relieved(attendance),
                Event::Disconnected => self.complain(&format_args!("{}/udp does not answer", attendance.addr())),
                Event::Full => self.complain(&"the hub is full"),
                Event::Lost { room, count, .. } => {
                    let messages = if count == 1 { "message" } else { "messages" };
                    complain(&format_args!("{count} {messages} lost in {}", place(&room)));
                }
                Event::Anew { room, .. } => {
                    complain(&format_args!("{} begins anew; what was said meanwhile may be lost", place(&room)));
                }
                Event::Left { room } => complain(&format_args!("we are no longer in {}", place(&room))),
                Event::Closed(reason) => self.end = Some(closed(&reason)),
                _ => {}
            },
        }
    }

    fn be_relieved(&mut self, attendance: &Attendance) {
        if std::mem::take(&mut self.has_complained) {
            complain(&format_args!("{}/udp answers", attendance.addr()));
        }
    }

    fn complain(&mut self, trouble: &impl fmt::Display) {
        if !std::mem::replace(&mut self.has_complained, true) {
            complain(&format_args!("{trouble}; still trying"));
        }
    }
}

fn place(room: &str) -> String {
    if room == MAILBOX { "our mailbox".to_owned() } else { shown(room.as_bytes(), " ") }
}

/// A message as it is printed. A further line of it is indented, so that it cannot pass for a message of its own.
fn line(message: &Message) -> String {
    let Message { from, .. } = message;
    let begin = match (message.room == MAILBOX, message.is_me) {
        (false, false) => format!("{from}: "),
        (false, true) => format!("* {from} "),
        (true, false) => format!("{from} -> you: "),
        (true, true) => format!("{from} -> you: * {from} "),
    };
    let mut line = shown(&[begin.as_bytes(), &message.text].concat(), "\n\t");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::frame::Epoch;
    use proptest::prelude::*;

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
            let message = Message {
                room: room.to_owned(),
                epoch: Epoch(1),
                number: 1,
                from: "anna".to_owned(),
                is_me,
                time: 0,
                text: text.as_bytes().to_vec(),
            };
            assert_eq!(line(&message), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_hub_says_each_message_is_lines_of_which_only_the_first_begins_one(
            from in "[a\n\r\u{1b}\u{202e}]{0,9}", room in "[a@\n\u{9b}]{1,3}", is_me in any::<bool>(),
            text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\x1b')], 0..60),
        ) {
            let place = place(&room);
            let message = Message { room, epoch: Epoch(1), number: 1, from, is_me, time: 0, text };
            for shown in [line(&message), place] {
                prop_assert!(!shown.contains(crate::core::text::is_control), "{shown:?}");
                prop_assert!(shown.trim_end_matches('\n').split('\n').skip(1).all(|line| line.starts_with('\t')), "{shown:?}");
            }
        }
    }
}
