//! A text of bounded length in a buffer of its own: what an answer is written into.
//!
//! A write that would go past the limit is an error and leaves the text as it was, so that a field ten million
//! characters wide costs a comparison. It does not grow, allocate or cut a text short.

use crate::core::limits::DATAGRAM_MAX;

/// There was no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A text that fits a datagram.
#[derive(Debug)]
pub struct Text {
    bytes: [u8; DATAGRAM_MAX],
    len: usize,
    limit: usize,
}

impl Text {
    /// An empty text of at most `limit` bytes, and at most a datagram.
    pub fn new(limit: usize) -> Self {
        Self { bytes: [0; DATAGRAM_MAX], len: 0, limit: limit.min(DATAGRAM_MAX) }
    }

    /// Empties it, to be used again with another limit.
    pub fn restart(&mut self, limit: usize) {
        self.len = 0;
        self.limit = limit.min(DATAGRAM_MAX);
    }

    /// What has been written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Length in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes as they are.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.reserve(bytes.len())?;
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Appends one byte `count` times.
    pub fn repeat(&mut self, byte: u8, count: usize) -> Result<(), Full> {
        let end = self.reserve(count)?;
        self.bytes[self.len..end].fill(byte);
        self.len = end;
        Ok(())
    }

    /// Moves what stands from `start` on to the right and fills the gap, so that it is at least `width` bytes wide.
    pub fn pad_left(&mut self, start: usize, width: usize, byte: u8) -> Result<(), Full> {
        let written = self.len - start;
        let missing = width.saturating_sub(written);
        let end = self.reserve(missing)?;
        self.bytes.copy_within(start..self.len, start + missing);
        self.bytes[start..start + missing].fill(byte);
        self.len = end;
        Ok(())
    }

    /// Appends a newline, for which there is room: whoever set the limit kept a byte of the buffer back.
    pub fn end_line(&mut self) {
        self.limit = (self.limit + 1).min(DATAGRAM_MAX);
        let pushed = self.push(b"\n");
        debug_assert_eq!(pushed, Ok(()), "a byte was kept back");
    }

    /// What stands from `start` on, to change its letters.
    pub fn written_mut(&mut self, start: usize) -> &mut [u8] {
        &mut self.bytes[start..self.len]
    }

    fn reserve(&self, count: usize) -> Result<usize, Full> {
        self.len.checked_add(count).filter(|&end| end <= self.limit).ok_or(Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_past_the_limit_changes_nothing() {
        let mut text = Text::new(4);
        assert_eq!(text.push(b"abc"), Ok(()));
        assert_eq!(text.push(b"de"), Err(Full));
        assert_eq!(text.repeat(b' ', usize::MAX), Err(Full));
        assert_eq!(text.pad_left(1, 4, b' '), Err(Full));
        assert_eq!(text.as_bytes(), b"abc");
        assert_eq!(text.push(b"d"), Ok(()));
        assert_eq!(text.as_bytes(), b"abcd");
    }

    #[test]
    fn no_limit_is_longer_than_a_datagram() {
        let mut text = Text::new(usize::MAX);
        assert_eq!(text.repeat(b'x', DATAGRAM_MAX), Ok(()));
        assert_eq!(text.repeat(b'x', 1), Err(Full));
    }

    #[test]
    fn padding_goes_before_what_was_written_last() {
        let mut text = Text::new(20);
        text.push(b"at ").unwrap();
        text.push(b"9:00").unwrap();
        text.pad_left(3, 6, b'.').unwrap();
        text.pad_left(3, 2, b'!').unwrap();
        assert_eq!(text.as_bytes(), b"at ..9:00");
    }
}
