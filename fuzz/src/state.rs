//! What outlives the process: files that somebody may have written into.

use belfry::core::frame::Epoch;
use belfry::core::limits::HISTORY_BYTES_MAX;
use belfry::daemon::state::{Found, Memory, Tail};
use belfry::services::chat::{Entry, file_name};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use super::script::{number, steps};

/// The most that is read of a file at a time, and a line that is longer is none of ours.
const CHUNK: usize = 16 * 1024;

/// A history's file: its end is what a reader of the whole finds there, and each line is written and read as the same.
///
/// `*100 …` stands for a hundred such lines, and `#20000` for so many bytes that make no sense; `!` leaves out the last
/// newline.
pub fn history(data: &[u8]) {
    let mut file = Vec::new();
    for step in steps(data) {
        match step {
            [b'*', rest @ ..] => {
                let line = rest.iter().position(|&byte| byte == b' ').map_or(&[][..], |space| &rest[space + 1..]);
                (0..number(rest, 100)).for_each(|_| file.extend([line, b"\n"].concat()));
            }
            [b'#', rest @ ..] => {
                let len = usize::try_from(number(rest, 20_000)).expect("it is small");
                file.resize(file.len() + len, b'#');
                file.push(b'\n');
            }
            b"!" => drop(file.pop()),
            line => file.extend([line, b"\n"].concat()),
        }
        if file.len() > 1 << 16 {
            break;
        }
    }
    let is_long = file.split(|&byte| byte == b'\n').any(|line| line.len() > CHUNK && !line.starts_with(b"#"));
    for count_max in [1, 100_000] {
        let tail = Tail::read_from(&Bytes(&file), file.len() as u64, count_max).expect("memory can be read");
        if !is_long {
            assert_eq!(tail.as_ref().map_or(0, |tail| tail.lines.len()), count(&file, count_max));
        }
        let Some(tail) = tail else { continue };
        assert!((1..=count_max).contains(&tail.lines.len()) && tail.len == file.len() as u64);
        assert!(tail.lines.iter().map(|(_, message)| message.line.len()).sum::<usize>() <= HISTORY_BYTES_MAX);
        for (epoch, message) in &tail.lines {
            let mut line = Vec::new();
            Entry::write(&tail.room, *epoch, message, &mut line);
            let again = Entry::read(line.strip_suffix(b"\n").expect("a line ends"));
            let again = again.unwrap_or_else(|| panic!("it is not read: {}", line.escape_ascii()));
            assert_eq!((&again.epoch, &again.message), (epoch, message));
        }
    }
}

/// How many lines a reader of the whole file finds at its end.
fn count(file: &[u8], count_max: usize) -> usize {
    let mut bytes = 0;
    let mut found: Vec<(Epoch, String)> = Vec::new();
    for line in file.split(|&byte| byte == b'\n').rev() {
        let Some(entry) = Entry::read(line) else { continue };
        if found.first().is_some_and(|(_, room)| file_name(room) != file_name(&entry.room)) {
            continue;
        }
        bytes += entry.message.line.len();
        if bytes > HISTORY_BYTES_MAX || found.len() == count_max {
            break;
        }
        found.push((entry.epoch, entry.room));
    }
    found.len()
}

/// Bytes in the place of a file.
struct Bytes<'a>(&'a [u8]);

impl FileExt for Bytes<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(usize::try_from(offset).expect("it fits")..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Where snapshots begin.
const PAGE: u64 = 4_096;
const HEAD_LEN: usize = 64;

/// The file in memory: its head and what stands in its place for a snapshot. Whatever is found there is all there is, and what
/// is written after it is read back.
pub fn head(data: &[u8]) {
    let (head, snapshot) = data.split_at(data.len().min(HEAD_LEN));
    let file = File::from(fd_of(&Memory::new().expect("a file in memory")));
    file.set_len(0).expect("it can be shortened");
    file.write_all_at(head, 0).expect("it can be written");
    if !snapshot.is_empty() {
        file.write_all_at(snapshot, PAGE).expect("it can be written");
    }
    let memory = match Memory::adopt(file.into()) {
        Ok(Found::Whole(memory, found)) => {
            assert!(snapshot.starts_with(&found) || found.iter().all(|&byte| byte == 0));
            memory
        }
        Ok(Found::Damaged(memory, found)) => {
            assert!(found.len() <= snapshot.len() + usize::try_from(PAGE).expect("a page"));
            memory
        }
        Err(reason) => return assert!(!reason.is_empty()),
    };
    let mut memory = memory;
    for next in [&b"anna"[..], &[b'b'; 5_000], b""] {
        memory.save(next).expect("it can be written");
        match Memory::adopt(fd_of(&memory)) {
            Ok(Found::Whole(again, found)) => {
                assert_eq!(found, next);
                memory = again;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn fd_of(memory: &Memory) -> OwnedFd {
    memory.as_fd().try_clone_to_owned().expect("a number for it")
}
