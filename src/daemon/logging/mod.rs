//! The log: lines to the journal, to syslog or to standard error, and never a wait.
//!
//! A line is rendered, handed to the kernel once without blocking, and forgotten. When the other end does not take it,
//! the line is lost and counted; the next line that gets through is preceded by one that says how many were. When nobody
//! listens at the other end at all, standard error gets the line instead.
//!
//! The text says everything, for people; who and where stand in key-values as well, which only the journal takes, for
//! `journalctl ROOM=lobby`:
//!
//! ```
//! log::info!(room = "lobby", member = "mira"; "mira joins lobby");
//! ```
//!
//! It does not ration lines: what strangers can cause is counted by its caller, not logged each time.

pub(crate) mod event;
mod line;
mod socket;
mod stderr;

use crate::config::LogTarget;
pub(crate) use socket::JOURNAL;

use line::Line;
use log::{LevelFilter, Metadata, Record};
use socket::{Journal, Syslog};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use stderr::Stderr;

/// Starts logging for this process; records below `level` are dropped where they are written.
pub fn install(target: LogTarget, level: LevelFilter) -> io::Result<()> {
    reconfigure(target, level)?;
    // Fails only when it was done before, and then the logger is already ours.
    let _ = log::set_logger(&LOGGER);
    Ok(())
}

/// Sends lines to another place, or of other levels, from now on. On an error everything stays as it was.
pub fn reconfigure(target: LogTarget, level: LevelFilter) -> io::Result<()> {
    let stderr = Stderr::of_process(std::env::var("JOURNAL_STREAM").ok().as_deref())?;
    let sink = match target {
        LogTarget::Journal => Some(Box::new(Journal::at(Path::new(JOURNAL))?) as Box<dyn Deliver>),
        LogTarget::Auto if stderr_leads_to_journal() => {
            Some(Box::new(Journal::at(Path::new(JOURNAL))?) as Box<dyn Deliver>)
        }
        LogTarget::Syslog => Some(Box::new(Syslog::at(Path::new(socket::SYSLOG))?) as Box<dyn Deliver>),
        LogTarget::Auto | LogTarget::Stderr => None,
    };
    LOGGER.output().redirect(sink, Box::new(stderr));
    set_level(level);
    Ok(())
}

/// Whether standard error is a stream to the journal, as systemd says of what it starts.
pub(crate) fn stderr_leads_to_journal() -> bool {
    stderr::leads_to_journal(io::stderr().as_fd(), std::env::var("JOURNAL_STREAM").ok().as_deref())
}

/// Drops records below `level` from now on, wherever lines go.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// What became of a line that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Done,
    /// It would have had to wait, or broke.
    Full,
    /// Nobody listens there.
    Absent,
}

/// Takes a line to where it belongs, or fails at once.
trait Deliver: Send {
    fn deliver(&mut self, line: &Line) -> Delivery;
}

/// Where lines go, and how many got lost on the way there.
struct Output {
    sink: Option<Box<dyn Deliver>>,
    stderr: Option<Box<dyn Deliver>>,
    lost: u64,
}

impl Output {
    const NOWHERE: Self = Self { sink: None, stderr: None, lost: 0 };

    fn redirect(&mut self, sink: Option<Box<dyn Deliver>>, stderr: Box<dyn Deliver>) {
        (self.sink, self.stderr) = (sink, Some(stderr));
    }

    fn log(&mut self, line: &Line) {
        if self.lost > 0 && self.deliver(&Line::lost(self.lost)) {
            self.lost = 0;
        }
        // While that line does not get through, this one would only jump the queue.
        if self.lost > 0 || !self.deliver(line) {
            self.lost += 1;
        }
    }

    /// Whether the line got through, to the sink or in its absence to standard error.
    fn deliver(&mut self, line: &Line) -> bool {
        let at_sink = self.sink.as_mut().map_or(Delivery::Absent, |sink| sink.deliver(line));
        match at_sink {
            Delivery::Absent => self.stderr.as_mut().is_some_and(|stderr| stderr.deliver(line) == Delivery::Done),
            Delivery::Done | Delivery::Full => at_sink == Delivery::Done,
        }
    }
}

/// What the `log` macros call. There is one thread; the lock is for the compiler.
struct Logger(Mutex<Output>);

static LOGGER: Logger = Logger(Mutex::new(Output::NOWHERE));

impl Logger {
    fn output(&self) -> MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What the crates below us have to say of their insides is nobody's affair here.
        metadata.level() <= log::max_level() && metadata.target().starts_with("belfry")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // Rendered before the lock is taken: a value's Display that logs must not wait for itself.
            let line = Line::new(record);
            self.output().log(&line);
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests;
