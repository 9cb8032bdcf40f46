//! The chat line by line, for terminals without a cursor, screen readers and pipes.
//!
//! What is typed on a terminal stands there already, so it is not printed again when it comes back from the room. Everything
//! that is printed is a line with its time, or begins with `-- `.

use super::driver::Driver;
use super::entry::{Entry, What};
use super::happening::{Action, Input};
use super::room::Room;
use crate::client::Failure;
use crate::client::lines::{Line, Lines};
use crate::client::printer::{Printer, Reader};
use crate::client::session::REQUESTS_MAX;
use crate::core::Instant;
use nix::poll::PollFlags;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

/// Requests that one line may become: the longest that is read, in the shortest pieces that a hub may ask for.
const LINE_REQUESTS_MAX: usize = 64;

/// How long what we have said may take to come back once it is acknowledged, when there is nothing else to wait for.
const ECHO_MAX: Duration = Duration::from_secs(2);

/// Runs until it is told to quit, or until what it reads has ended and was said.
pub(super) fn run(driver: &mut Driver, is_typed: bool, out: &impl AsFd) -> Result<(), Failure> {
    let input = Lines::of_stdin().map_err(Failure::to("read standard input"))?;
    let mut chat = LineByLine {
        input,
        printer: Printer::default(),
        printed: 0,
        is_typed,
        has_quit: false,
        said_at: None,
        end: None,
    };
    loop {
        chat.take_turn(driver);
        if chat.printer.is_empty()
            && let Some(end) = chat.end.take()
        {
            return end;
        }
        if chat.wait(driver, out)? == Reader::Gone {
            return Ok(());
        }
    }
}

struct LineByLine {
    input: Lines<File>,
    printer: Printer,
    /// The last entry that was given to the printer.
    printed: u64,
    is_typed: bool,
    /// Whether `/quit` was read, behind which nothing is.
    has_quit: bool,
    /// When everything was said.
    said_at: Option<Instant>,
    /// How it ends, once everything is printed.
    end: Option<Result<(), Failure>>,
}

impl LineByLine {
    /// Takes what has come from both sides. When whoever reads us has stopped, it waits where it is.
    fn take_turn(&mut self, driver: &mut Driver) {
        driver.keep_time();
        if self.end.is_some() || !self.printer.has_room() {
            return;
        }
        driver.hear();
        let mut wishes = driver.take_wishes();
        while self.wants_lines(driver)
            && let Some(line) = self.input.next()
        {
            driver.feed(read(line));
            wishes.extend(driver.take_wishes());
            self.has_quit |= wishes.contains(&Action::Quit);
        }
        if self.is_typed && wishes.contains(&Action::Bell) {
            self.printer.print("\x07");
        }
        self.print_entries(driver);
        self.end = self.find_end(driver);
    }

    /// Whether the next line can be taken.
    fn wants_lines(&self, driver: &mut Driver) -> bool {
        !self.has_quit && driver.request_count() + LINE_REQUESTS_MAX < REQUESTS_MAX
    }

    /// Whether nothing is left to be read.
    fn is_at_end(&self) -> bool {
        self.has_quit || self.input.is_at_end()
    }

    fn find_end(&mut self, driver: &mut Driver) -> Option<Result<(), Failure>> {
        if driver.model.is_over() && !self.is_typed {
            return Some(Ok(()));
        }
        if !self.is_at_end() {
            return None;
        }
        if driver.request_count() == 0 && (self.has_quit || driver.has_caught_up()) {
            let said_at = *self.said_at.get_or_insert(driver.now());
            if !driver.model.has_pending() || said_at + ECHO_MAX <= driver.now() {
                return Some(Ok(()));
            }
        } else {
            self.said_at = None;
        }
        driver.trouble.take().map(Err)
    }

    /// Gives the printer what is new in the rooms.
    fn print_entries(&mut self, driver: &Driver) {
        let model = &driver.model;
        let several = model.rooms.iter().filter(|room| room.is_in).count() > 1;
        for (room, entry) in model.entries_after(self.printed) {
            self.printed = entry.id;
            let is_seen = matches!(entry.what, What::Said { is_echo: true, .. } | What::Private { to: Some(_), .. });
            if !(self.is_typed && is_seen) {
                self.printer.print(&format_entry(&model.layout().time(entry.time), several.then_some(room), entry));
            }
        }
    }

    /// Waits for something to do: whether anybody reads what is printed, and wants more.
    fn wait(&mut self, driver: &mut Driver, out: &impl AsFd) -> Result<Reader, Failure> {
        let wants_input =
            self.end.is_none() && self.printer.has_room() && !self.input.is_at_end() && self.wants_lines(driver);
        let mut watched = vec![(out.as_fd(), self.printer.wanted())];
        watched.extend(wants_input.then_some((self.input.as_fd(), PollFlags::POLLIN)));
        let wake = driver.wait(self.said_at.map(|at| at + ECHO_MAX), &watched)?;
        if wake.is_interrupted || self.printer.write(out, wake.watched[0])? == Reader::Gone {
            return Ok(Reader::Gone);
        }
        if wake.watched.get(1).is_some_and(|told| !told.is_empty()) {
            self.input.read().map_err(Failure::to("read standard input"))?;
        }
        Ok(Reader::Present)
    }
}

/// What a line of the input is.
fn read((number, line): Line) -> Input {
    match line.map(String::from_utf8) {
        Ok(Ok(text)) => Input::Line(text),
        Ok(Err(_)) => Input::BadLine { number, why: "not UTF-8" },
        Err(_) => Input::BadLine { number, why: "too long" },
    }
}

/// An entry as it is printed. A further line of it is indented, so that it cannot pass for another.
fn format_entry(time: &str, room: Option<&Room>, entry: &Entry) -> String {
    let is_talk = matches!(entry.what, What::Said { .. } | What::Private { .. });
    let mut line = if is_talk { format!("{time} ") } else { String::new() };
    let room = room.filter(|_| matches!(entry.what, What::Said { .. }));
    line.extend(room.map(|room| format!("[{}] ", room.name)));
    line.push_str(&entry.head());
    for (at, text) in entry.text().lines().enumerate() {
        line.push_str(if at > 0 { "\n\t" } else { "" });
        line.push_str(text);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::lines::TooLong;

    #[test]
    fn a_line_that_is_no_text_is_never_taken_for_one() {
        assert!(matches!(read((1, Ok(b"hi".to_vec()))), Input::Line(text) if text == "hi"));
        assert!(matches!(read((2, Ok(b"h\xff".to_vec()))), Input::BadLine { number: 2, why: "not UTF-8" }));
        assert!(matches!(read((3, Err(TooLong))), Input::BadLine { number: 3, why: "too long" }));
    }
}
