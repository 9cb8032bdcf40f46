//! What was said in one place, numbered: the store from which sessions are sent again what they have missed, and the history
//! that people read.
//!
//! The newest messages of it are the history, as many as the configuration keeps; where it keeps none, the last few are there
//! for those who have missed one, and nobody else.

use super::message::Message;
use crate::core::frame::Epoch;
use crate::core::limits::{HISTORY_BYTES_MAX, REPAIR_MESSAGES_MIN};
use std::collections::VecDeque;
use std::rc::Rc;

/// What was said, oldest first.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) epoch: Epoch,
    /// The number of the newest; 0 while nothing has been said.
    pub(super) newest: u64,
    messages: VecDeque<Rc<Message>>,
    /// How many of them, counted from the newest, are the history.
    shown: usize,
    /// What those take.
    shown_bytes: usize,
    bytes: usize,
}

impl Stream {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { epoch, newest: 0, messages: VecDeque::new(), shown: 0, shown_bytes: 0, bytes: 0 }
    }

    /// What all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what was said next. What is `kept` is history, of which there are `count_max` at most.
    pub(super) fn push(&mut self, message: Rc<Message>, kept: bool, count_max: usize) {
        debug_assert!(message.number > self.newest || message.number == 0, "numbers ascend");
        self.newest = self.newest.max(message.number);
        let len = message.len();
        self.bytes += len;
        self.messages.push_back(message);
        (self.shown, self.shown_bytes) = if kept { (self.shown + 1, self.shown_bytes + len) } else { (0, 0) };
        self.trim(count_max);
    }

    /// Leaves at most `count_max` in the history, and no more for repair than there must be.
    pub(super) fn trim(&mut self, count_max: usize) {
        while self.shown > count_max {
            self.shown_bytes -= self.messages[self.messages.len() - self.shown].len();
            self.shown -= 1;
        }
        while self.messages.len() > self.shown.max(REPAIR_MESSAGES_MIN) || self.bytes > HISTORY_BYTES_MAX {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes -= message.len();
            if self.shown > self.messages.len() {
                self.shown -= 1;
                self.shown_bytes -= message.len();
            }
        }
    }

    /// Forgets everything that was said; the numbers go on.
    pub(super) fn forget(&mut self) {
        (self.shown, self.shown_bytes, self.bytes) = (0, 0, 0);
        self.messages.clear();
    }

    /// Forgets what stands up to `number`.
    pub(super) fn forget_up_to(&mut self, number: u64) {
        while self.messages.front().is_some_and(|message| message.number <= number) {
            self.pop();
        }
    }

    /// Keeps no more than the last `count` and so many bytes of them.
    pub(super) fn bound(&mut self, count: usize, bytes: usize) {
        while self.messages.len() > count || self.bytes > bytes {
            self.pop();
        }
    }

    /// The last `count` messages of the history, oldest first.
    pub(super) fn history(&self, count: usize) -> impl ExactSizeIterator<Item = &Message> {
        let skip = self.messages.len() - self.shown.min(count);
        self.messages.iter().skip(skip).map(|message| &**message)
    }

    /// How many messages the history has.
    pub(super) fn history_len(&self) -> usize {
        self.shown
    }

    /// The bytes that the history takes.
    pub(super) fn history_bytes(&self) -> usize {
        self.shown_bytes
    }

    /// The number of the oldest that anybody may read; the one that comes next, where there is none.
    pub(super) fn first_shown(&self) -> u64 {
        let first = self.history(usize::MAX).find(|message| message.number > 0);
        first.map_or(self.newest + 1, |message| message.number)
    }

    /// Everything that is there from `number` on.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = &Message> {
        let first = self.messages.partition_point(|message| message.number < number.max(1));
        self.messages.range(first..).map(|message| &**message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn say(stream: &mut Stream, text: &str, kept: bool, count_max: usize) {
        let mut message = Message::from_line(Timestamp::UNIX_EPOCH, text);
        message.number = stream.newest + 1;
        stream.push(Rc::new(message), kept, count_max);
    }

    fn history(stream: &Stream, count: usize) -> Vec<&str> {
        stream.history(count).map(|message| &*message.line).collect()
    }

    #[test]
    fn the_oldest_messages_go_first_and_stay_a_while_for_those_who_have_missed_them() {
        let mut stream = Stream::new(Epoch(1));
        for text in ["a", "b", "c", "d"] {
            say(&mut stream, text, true, 3);
        }
        assert_eq!(history(&stream, 10), ["b", "c", "d"]);
        assert_eq!(history(&stream, 2), ["c", "d"]);
        assert_eq!(stream.since(0).count(), 4);
        stream.trim(1);
        assert_eq!(history(&stream, 10), ["d"]);
        for number in 5..=REPAIR_MESSAGES_MIN + 1 {
            say(&mut stream, &number.to_string(), true, 3);
        }
        assert_eq!(stream.since(0).next().map(|message| message.number), Some(2), "one past the bound");
        assert_eq!(stream.since(7).next().map(|message| message.number), Some(7));
    }

    #[test]
    fn what_is_not_kept_is_no_history_and_ends_what_was() {
        let mut stream = Stream::new(Epoch(1));
        say(&mut stream, "a", true, 3);
        say(&mut stream, "b", false, 3);
        assert_eq!((history(&stream, 10).len(), stream.since(1).count()), (0, 2));
        say(&mut stream, "c", true, 3);
        assert_eq!(history(&stream, 10), ["c"]);
        stream.forget_up_to(2);
        assert_eq!(stream.since(0).count(), 1);
        stream.forget();
        assert_eq!((stream.newest, stream.since(0).count(), stream.history_bytes()), (3, 0, 0));
    }

    #[test]
    fn a_history_is_bounded_in_bytes_too() {
        let mut stream = Stream::new(Epoch(1));
        let kib = "x".repeat(1_024);
        for _ in 0..256 {
            say(&mut stream, &kib, true, 1_000);
        }
        assert_eq!(stream.history_len(), 256, "at the bound");
        say(&mut stream, "x", true, 1_000);
        assert_eq!(stream.history_len(), 256, "one byte past it");
    }
}
