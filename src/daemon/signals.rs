//! Signals as something to read, so that they take their place in the turn.
//!
//! They are blocked in the calling thread and wait at a signalfd. That must happen before any other thread starts, and
//! there is none. `SIGPIPE` needs nothing: Rust's runtime ignores it before `main`, and a test holds it to that.

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The code of a signal that no process sent (sigaction(2)). Process 0 may also be one of another PID namespace.
const SI_KERNEL: i32 = 0x80;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `SIGTERM`, `SIGINT`, a `SIGHUP` because the terminal is gone: say goodbye and end.
    Terminate,
    /// `SIGHUP`: read the configuration again.
    Reload,
}

/// A signal, and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// What it asks for.
    pub which: Request,
    /// Its number.
    pub number: Number,
    /// The process that sent it; 0 for the kernel, as when Ctrl-C is typed.
    pub pid: u32,
    /// The user who sent it.
    pub uid: u32,
}

impl fmt::Display for Signal {
    /// `SIGTERM from process 1 of user 0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => write!(f, "{}", self.number),
            pid => write!(f, "{} from process {pid} of user {}", self.number, self.uid),
        }
    }
}

/// The signals that wait for us.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Takes `SIGTERM`, `SIGINT` and `SIGHUP` away from their default actions, from now on.
    pub fn new() -> io::Result<Self> {
        let set: SigSet = [Number::SIGTERM, Number::SIGINT, Number::SIGHUP].into_iter().collect();
        set.thread_block()?;
        // A write past the limit of a file's size is an error like any other, no reason to die (setrlimit(2)).
        SigSet::from(Number::SIGXFSZ).thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self(fd))
    }

    /// The next signal, if one waits; an error is fatal, since nothing could end us in good order any more.
    pub fn read(&self) -> io::Result<Option<Signal>> {
        let Some(info) = self.0.read_signal()? else { return Ok(None) };
        let number = Number::try_from(info.ssi_signo as i32)?;
        // From the kernel: the terminal that it ran at is gone.
        let hung_up = info.ssi_code == SI_KERNEL;
        let which = if number == Number::SIGHUP && !hung_up { Request::Reload } else { Request::Terminate };
        Ok(Some(Signal { which, number, pid: info.ssi_pid, uid: info.ssi_uid }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn a_signal_waits_to_be_read_and_says_who_sent_it() {
        let signals = Signals::new().unwrap();
        assert_eq!(signals.read().unwrap(), None);
        let (pid, uid) = (std::process::id(), nix::unistd::getuid().as_raw());
        let cases = [
            (Number::SIGHUP, Request::Reload, "SIGHUP"),
            (Number::SIGTERM, Request::Terminate, "SIGTERM"),
            (Number::SIGINT, Request::Terminate, "SIGINT"),
        ];
        for (number, which, name) in cases {
            raise(number).unwrap();
            let signal = signals.read().unwrap().unwrap();
            assert_eq!(signal, Signal { which, number, pid, uid });
            assert_eq!(signal.to_string(), format!("{name} from process {pid} of user {uid}"));
            assert_eq!(signals.read().unwrap(), None);
        }
    }

    #[test]
    fn a_write_to_a_closed_pipe_is_an_error_and_not_the_end() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
        assert_ne!(ignored & (1 << (Number::SIGPIPE as u32 - 1)), 0);
    }
}
