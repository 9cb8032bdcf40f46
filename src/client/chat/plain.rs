//! The chat line by line, for terminals without a cursor, screen readers and pipes.
//!
//! What is typed on a terminal stands there already, so it is not printed again when it comes back from the room. Everything
//! that is printed is a line with its time, or begins with `-- `.

use super::driver::Driver;
use super::entry::{Entry, What};
use super::happening::{Action, Input};
use super::room::Room;
use crate::client::Failure;
use crate::client::lines::Lines;
use crate::client::session::REQUESTS_MAX;
use crate::core::Instant;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;

/// Bytes that are printed at once: what a pipe takes without a wait when it takes something (`PIPE_BUF`, pipe(7)).
const PRINTED_MAX: usize = 4_096;

/// Requests that one line may become: the longest that is read, in the shortest pieces that a hub may ask for.
const LINE_REQUESTS_MAX: usize = 64;

/// How long what we have said may take to come back once it is acknowledged, when there is nothing else to wait for.
const ECHO_MAX: Duration = Duration::from_secs(2);

/// Runs until it is told to quit, or until what it reads has ended and was said.
pub(super) fn run(driver: &mut Driver, is_typed: bool, out: &impl AsFd) -> Result<(), Failure> {
    let mut input = Lines::of_stdin().map_err(Failure::to("read standard input"))?;
    let mut printer = Printer { unprinted: Vec::new(), printed: 0, is_typed };
    let mut said_at: Option<Instant> = None;
    loop {
        driver.hear();
        while driver.request_count() + LINE_REQUESTS_MAX < REQUESTS_MAX
            && let Some((_, line)) = input.next()
        {
            let text = line.map_or_else(|_| "/".to_owned(), |line| String::from_utf8_lossy(&line).into_owned());
            driver.feed(Input::Line(text));
        }
        printer.take(driver);
        let wishes = driver.take_wishes();
        if is_typed && wishes.contains(&Action::Bell) {
            printer.unprinted.push(b'\x07');
        }
        let is_quit = wishes.contains(&Action::Quit);
        let is_said = input.is_at_end() && driver.request_count() == 0;
        let now = driver.model.now.mono;
        let is_done = is_said && {
            let since = *said_at.get_or_insert(now);
            !driver.model.has_pending() || since + ECHO_MAX <= now
        };
        if is_quit || is_done {
            return printer.print_all(out);
        }
        if input.is_at_end()
            && let Some(trouble) = driver.trouble.take()
        {
            printer.print_all(out)?;
            return Err(trouble);
        }
        let wants_more = !input.is_at_end() && driver.request_count() + LINE_REQUESTS_MAX < REQUESTS_MAX;
        let wanted = if printer.unprinted.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        let mut watched = vec![(out.as_fd(), wanted)];
        watched.extend(wants_more.then_some((input.as_fd(), PollFlags::POLLIN)));
        let wake = driver.wait(&watched)?;
        let told = wake.watched[0];
        let has_input = wake.watched.get(1).is_some_and(|told| !told.is_empty());
        if wake.is_interrupted || told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            return Ok(());
        }
        if told.contains(PollFlags::POLLOUT) && !printer.print(out)? {
            return Ok(());
        }
        if has_input {
            input.read().map_err(Failure::to("read standard input"))?;
        }
        if is_said {
            driver.feed(Input::Tick);
        }
    }
}

/// What is to be printed.
struct Printer {
    unprinted: Vec<u8>,
    /// The last entry that was taken.
    printed: u64,
    is_typed: bool,
}

impl Printer {
    /// Takes what is new in the rooms.
    fn take(&mut self, driver: &Driver) {
        let model = &driver.model;
        let several = model.rooms.iter().filter(|room| room.is_in).count() > 1;
        let mut lines = String::new();
        for (room, entry) in model.entries_after(self.printed) {
            self.printed = entry.id;
            let is_seen = matches!(entry.what, What::Said { is_echo: true, .. } | What::Private { to: Some(_), .. });
            if !(self.is_typed && is_seen) {
                lines.push_str(&line(&model.layout().time(entry.time), several.then_some(room), entry));
            }
        }
        self.unprinted.extend_from_slice(lines.as_bytes());
    }

    /// Prints some of it; whether anybody reads it.
    fn print(&mut self, out: &impl AsFd) -> Result<bool, Failure> {
        let len = self.unprinted.len().min(PRINTED_MAX);
        match nix::unistd::write(out, &self.unprinted[..len]) {
            Ok(len) => drop(self.unprinted.drain(..len)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::EPIPE) => return Ok(false),
            Err(error) => return Err(Failure::to("print")(error.into())),
        }
        Ok(true)
    }

    fn print_all(&mut self, out: &impl AsFd) -> Result<(), Failure> {
        while !self.unprinted.is_empty() && self.print(out)? {
            // One that takes nothing at the moment is waited for.
            let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
            let _ = poll(&mut fds, PollTimeout::NONE);
        }
        Ok(())
    }
}

/// An entry as it is printed. A further line of it is indented, so that it cannot pass for another.
fn line(time: &str, room: Option<&Room>, entry: &Entry) -> String {
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
