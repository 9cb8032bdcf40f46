//! The terminal: taken over for the screen, and given back as it was, whatever happens.
//!
//! A release build ends at a panic without unwinding, so it is given back by the panic hook as well as by `Drop`.

use crate::client::Failure;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange, Event,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::Print;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::io::{self, Stdout, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The terminal while it is ours.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes it over.
    pub(super) fn enter() -> Result<Self, Failure> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        take_over().map_err(Failure::to("use the terminal"))?;
        let inner = ratatui::Terminal::new(CrosstermBackend::new(stdout()));
        inner.map(|inner| Self { inner }).map_err(|error| {
            give_back();
            Failure::to("use the terminal")(error)
        })
    }

    /// Draws what has changed.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        self.inner.draw(draw).map(drop).map_err(Failure::to("draw on the terminal"))
    }

    /// Has everything drawn anew.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        self.inner.clear().map_err(Failure::to("draw on the terminal"))
    }

    /// Its columns and rows.
    pub(super) fn size(&self) -> Result<(u16, u16), Failure> {
        self.inner.size().map(|size| (size.width, size.height)).map_err(Failure::to("use the terminal"))
    }

    pub(super) fn ring(&self) {
        let _ = execute!(stdout(), Print('\x07'));
    }

    /// Waits as a stopped job until it is to go on.
    pub(super) fn suspend(&mut self) -> Result<(), Failure> {
        give_back();
        // The whole job, as the terminal would: whoever runs us waits for us.
        let stopped = kill(Pid::from_raw(0), Signal::SIGTSTP);
        take_over().map_err(Failure::to("use the terminal"))?;
        stopped.map_err(|error| Failure::to("stop")(error.into()))?;
        self.clear()
    }

    /// The next key, paste or change that waits.
    pub(super) fn next_event() -> Result<Option<Event>, Failure> {
        // More may have been read than was asked for, so the file itself does not say.
        let next = || if event::poll(Duration::ZERO)? { event::read().map(Some) } else { Ok(None) };
        match next() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            next => next.map_err(Failure::to("read the terminal")),
        }
    }
}

/// What tells that the terminal has another size: something to poll, lest it be missed between a look at the size and the wait.
pub(super) struct Resizes(SignalFd);

impl Resizes {
    /// From now on they wait here.
    pub(super) fn watch() -> Result<Self, Failure> {
        let set = SigSet::from(Signal::SIGWINCH);
        let fd = set
            .thread_block()
            .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC));
        fd.map(Self).map_err(|error| Failure::to("wait for signals")(error.into()))
    }

    /// Takes those that wait.
    pub(super) fn take(&self) {
        while matches!(self.0.read_signal(), Ok(Some(_))) {}
    }
}

impl AsFd for Resizes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange).inspect_err(|_| give_back())
}

fn give_back() {
    let _ = execute!(stdout(), DisableFocusChange, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    #[test]
    fn another_size_is_noticed_although_it_came_before_the_wait() {
        let resizes = Resizes::watch().unwrap();
        let told = || poll(&mut [PollFd::new(resizes.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap();
        assert_eq!(told(), 0);
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        assert_eq!(told(), 1);
        resizes.take();
        assert_eq!(told(), 0);
    }
}
