//! Lines on standard error: a terminal, a file, a pipe, or the stream that systemd reads.
//!
//! Whoever reads the other end may have stopped (a terminal after Ctrl-S, a pipe into a pager). A terminal or pipe is
//! therefore opened anew without blocking, since the flag on the descriptor that we inherited is shared with whoever
//! started us; where that is not possible, each write is asked for first (`poll`), which is enough for lines of at most
//! `PIPE_BUF` bytes.

use super::line::Line;
use super::{Deliver, Delivery};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

/// The longest line here, newline included: a pipe that can be written to at all takes `PIPE_BUF` bytes (pipe(7)).
const STDERR_LINE_MAX: usize = 4_096;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `belfryd: text`, for a person.
    Plain,
    /// `<6>text`, for systemd, which takes the number for the priority (sd-daemon(3)).
    Prefixed,
}

/// Standard error, or what a test puts in its place.
#[derive(Debug)]
pub(super) struct Stderr {
    fd: OwnedFd,
    is_socket: bool,
    style: Style,
}

impl Stderr {
    /// The standard error of this process. `$JOURNAL_STREAM` is `journal_stream`.
    pub(super) fn of_process(journal_stream: Option<&str>) -> io::Result<Self> {
        let stderr = io::stderr();
        let style = if leads_to_journal(stderr.as_fd(), journal_stream) { Style::Prefixed } else { Style::Plain };
        Self::new(stderr.as_fd(), style)
    }

    /// Lines in `style` on `fd`.
    pub(super) fn new(fd: BorrowedFd<'_>, style: Style) -> io::Result<Self> {
        let inherited = File::from(fd.try_clone_to_owned()?);
        let kind = inherited.metadata()?.file_type();
        let reopened = (kind.is_fifo() || kind.is_char_device()).then(|| {
            let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
            OpenOptions::new().write(true).custom_flags(flags).open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        });
        let file = reopened.and_then(Result::ok).unwrap_or(inherited);
        Ok(Self { fd: file.into(), is_socket: kind.is_socket(), style })
    }

    /// One attempt that does not wait: how many bytes went out.
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.is_socket {
            return send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
        }
        let mut wanted = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
        poll(&mut wanted, PollTimeout::ZERO)?;
        let can_write = wanted[0].revents().is_some_and(|ready| ready.contains(PollFlags::POLLOUT));
        if can_write { nix::unistd::write(&self.fd, bytes) } else { Err(Errno::EAGAIN) }
    }
}

impl Deliver for Stderr {
    fn deliver(&mut self, line: &Line) -> Delivery {
        let mut text = match self.style {
            Style::Plain => line.to_string(),
            Style::Prefixed => format!("<{}>{}", line.priority(), line.text),
        };
        let mut end = text.len().min(STDERR_LINE_MAX - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('\n');
        match self.write(text.as_bytes()) {
            Ok(written) if written == text.len() => Delivery::Done,
            // A terminal may take a part; the rest is not worth a queue.
            Ok(_) | Err(_) => Delivery::Full,
        }
    }
}

/// Whether `fd` is the stream that `$JOURNAL_STREAM` names as `device:inode` (systemd.exec(5)): the variable is
/// inherited by processes whose standard error leads elsewhere.
pub(super) fn leads_to_journal(fd: BorrowedFd<'_>, journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|stream| stream.split_once(':')) else { return false };
    let Ok(metadata) = fd.try_clone_to_owned().map(File::from).and_then(|file| file.metadata()) else { return false };
    device.parse() == Ok(metadata.dev()) && inode.parse() == Ok(metadata.ino())
}
