//! Lines of standard input, as far as they have come: whoever reads them waits for other things too.

use crate::core::limits::RECEIVE_MAX;
use crate::core::text::without_newline;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// The longest line that is kept: no hub takes more.
const LINE_MAX: usize = RECEIVE_MAX;

/// A line, without its newline, and its number from 1.
pub(super) type Line = (u64, Result<Vec<u8>, TooLong>);

/// A line of more than [`LINE_MAX`] bytes, which is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What was read, and not asked for yet.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: R,
    bytes: Vec<u8>,
    /// How many lines were given out.
    count: u64,
    /// Whether we are in the midst of a line that is too long.
    is_too_long: bool,
    is_at_end: bool,
}

impl Lines<File> {
    /// Those of standard input.
    pub(super) fn of_stdin() -> io::Result<Self> {
        // Not by io::Stdin, whose buffer would hide from poll(2) what it has read.
        Ok(Self::new(io::stdin().as_fd().try_clone_to_owned()?.into()))
    }
}

impl<R: AsFd> AsFd for Lines<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl<R: Read> Lines<R> {
    fn new(source: R) -> Self {
        Self { source, bytes: Vec::new(), count: 0, is_too_long: false, is_at_end: false }
    }

    /// Whether nothing more can be read. Lines that were read before may wait.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Reads once.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; LINE_MAX];
        match self.source.read(&mut buffer) {
            Ok(0) => self.is_at_end = true,
            Ok(len) => self.bytes.extend_from_slice(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next line, if all of it is there; at the end of the input, what is left of it.
    pub(super) fn next(&mut self) -> Option<Line> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n');
        let len = match end {
            Some(at) => at + 1,
            None if self.is_at_end && (self.is_too_long || !self.bytes.is_empty()) => self.bytes.len(),
            None => {
                if self.bytes.len() > LINE_MAX {
                    self.is_too_long = true;
                    self.bytes.clear();
                }
                return None;
            }
        };
        let mut line: Vec<u8> = self.bytes.drain(..len).collect();
        line.truncate(without_newline(&line).0.len());
        self.count += 1;
        let is_too_long = std::mem::take(&mut self.is_too_long) || line.len() > LINE_MAX;
        Some((self.count, if is_too_long { Err(TooLong) } else { Ok(line) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A source that gives what it has in these pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.pop_front().unwrap_or_default();
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new(Pieces(pieces.iter().map(|piece| piece.to_vec()).collect()));
        let mut all = Vec::new();
        while !lines.is_at_end() {
            lines.read().unwrap();
            all.extend(std::iter::from_fn(|| lines.next()));
        }
        all
    }

    fn line(number: u64, text: &[u8]) -> Line {
        (number, Ok(text.to_vec()))
    }

    #[test]
    fn lines_are_put_together_and_taken_apart_and_the_last_needs_no_newline() {
        let pieces: [&[u8]; 4] = [b"one\ntw", b"o\r", b"\n\n\xff\n", b"five"];
        let expected = [line(1, b"one"), line(2, b"two"), line(3, b""), line(4, b"\xff"), line(5, b"five")];
        assert_eq!(lines(&pieces), expected);
        assert_eq!(lines(&[b"one\n"]), [line(1, b"one")]);
        assert_eq!(lines(&[]), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_not_kept() {
        let most = vec![b'x'; LINE_MAX];
        assert_eq!(lines(&[&most, b"\ntwo"]), [line(1, &most), line(2, b"two")]);
        assert_eq!(lines(&[&most, b"x\ntwo"]), [(1, Err(TooLong)), line(2, b"two")]);
        assert_eq!(lines(&[&most, &most, &most, b"\ntwo"]), [(1, Err(TooLong)), line(2, b"two")]);
        assert_eq!(lines(&[&most, &most]), [(1, Err(TooLong))]);
    }
}
