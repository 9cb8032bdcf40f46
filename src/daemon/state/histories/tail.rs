//! The end of a history's file: its last lines, read backwards until there are enough, however long the file is.

use super::super::file::open_regular;
use crate::core::frame::Epoch;
use crate::core::limits::{HISTORY_BYTES_MAX, HISTORY_FILE_MAX};
use crate::services::chat::{Entry, Message, file_name};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much is read at a time; more than the longest line, in which everything is escaped.
const CHUNK: usize = 16 * 1024;

/// The last lines of a file, whose room the very last names.
#[derive(Debug, Default)]
pub struct Tail {
    /// The room's name.
    pub room: String,
    /// The newest first.
    pub lines: Vec<(Epoch, Message)>,
    /// Whether nothing else stands among them, and the last is whole.
    pub is_clean: bool,
    /// The length of the file.
    pub len: u64,
    bytes: usize,
}

impl Tail {
    /// Reads the file at `path`.
    pub(super) fn read(path: &Path, count_max: usize) -> io::Result<Option<Self>> {
        let (file, len) = open_regular(OpenOptions::new().read(true), path)?;
        Self::read_from(&file, len, count_max)
    }

    /// Reads at most `count_max` lines, and no more than a history holds; `None` when nothing that was read is a line of
    /// a history. An error says nothing about what the file holds.
    pub fn read_from(file: &impl FileExt, len: u64, count_max: usize) -> io::Result<Option<Self>> {
        let mut tail = Self { is_clean: true, len, ..Self::default() };
        let first = len.saturating_sub(HISTORY_FILE_MAX);
        // The end of a line whose beginning has not been read yet.
        let (mut start, mut rest) = (len, Vec::new());
        let mut is_enough = false;
        while start > first && !is_enough {
            let end = start;
            start = end.saturating_sub(CHUNK as u64).max(first);
            let mut text = vec![0; usize::try_from(end - start).expect("at most a chunk")];
            file.read_exact_at(&mut text, start)?;
            if end == len {
                tail.is_clean = text.ends_with(b"\n");
            }
            text.append(&mut rest);
            let whole = if start == 0 { 0 } else { text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len()) };
            let mut lines = text[whole..].rsplit(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            is_enough = lines.any(|line| !tail.add(line, count_max));
            if whole > CHUNK {
                // No line of ours is that long.
                tail.is_clean = false;
            } else {
                text.truncate(whole);
                rest = text;
            }
        }
        Ok((!tail.lines.is_empty()).then_some(tail))
    }

    /// Adds the line before the others; whether there may be more.
    fn add(&mut self, line: &[u8], count_max: usize) -> bool {
        let entry = Entry::read(line);
        let is_first = self.lines.is_empty();
        let of_room =
            |entry: &Entry| is_first || entry.room == self.room || file_name(&entry.room) == file_name(&self.room);
        let Some(Entry { room, epoch, message }) = entry.filter(of_room) else {
            self.is_clean = false;
            return true;
        };
        self.bytes += message.line.len();
        if self.bytes > HISTORY_BYTES_MAX {
            return false;
        }
        if is_first {
            self.room = room;
        }
        self.lines.push((epoch, message));
        self.lines.len() < count_max
    }
}
