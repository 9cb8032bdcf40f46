//! What a connection is to be sent: bytes in order, up to a bound, and whether they are the last.
//!
//! Whoever writes looks for [`room`](Output::room) first; whoever sends takes from the front. No memory is held while
//! nothing waits, since connections are many and mostly idle.

/// Bytes that wait to leave on one connection.
#[derive(Debug)]
pub struct Output {
    bytes: Vec<u8>,
    max: usize,
    ended: bool,
}

impl Output {
    /// Room for `max` bytes that wait.
    pub const fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, ended: false }
    }

    /// How many more bytes there is room for.
    pub fn room(&self) -> usize {
        self.max - self.bytes.len()
    }

    /// Appends bytes, for which there is room.
    pub fn push(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room(), "whoever writes has looked for room");
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends ASCII text in upper case, for which there is room.
    pub fn push_upper_case(&mut self, ascii: &[u8]) {
        let start = self.bytes.len();
        self.push(ascii);
        self.bytes[start..].make_ascii_uppercase();
    }

    /// Says that nothing more follows.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing more follows.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What waits.
    pub fn pending(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Notes that so many bytes have left.
    pub fn advance(&mut self, len: usize) {
        self.bytes.drain(..len);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_taken_from_the_front_and_makes_room_behind() {
        let mut output = Output::new(8);
        output.push(b"hello");
        output.push_upper_case(b"you");
        assert_eq!((output.pending(), output.room()), (&b"helloYOU"[..], 0));
        output.advance(6);
        assert_eq!((output.pending(), output.room()), (&b"OU"[..], 6));
        output.advance(2);
        assert_eq!((output.is_empty(), output.bytes.capacity()), (true, 0), "its memory goes with it");
    }
}
