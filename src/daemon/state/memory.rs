//! A file in memory that the service manager holds for us while we are gone (memfd_create(2)), and what it says.
//!
//! ```text
//! 0        belfry-1 OFFSET LENGTH CHECKSUM      64 bytes, numbers in hexadecimal
//! OFFSET   the last snapshot
//! ```
//!
//! A snapshot is written piece by piece where the last one is not, and only then does the head point to it: whenever we are
//! killed, one of the two is whole. What the last one took is given back to the kernel. The two places are so far apart that
//! nobody needs to know beforehand how long a snapshot will be; what lies between them takes no memory.

use super::SNAPSHOT_MAX;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use siphasher::sip::SipHasher13;
use std::fs::File;
use std::hash::Hasher as _;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

/// What the head begins with. Another number is another layout, and not read.
const MAGIC: &str = "belfry-1";

/// One write within one page, so that a kill does not tear it.
const HEAD_LEN: usize = 64;

/// Snapshots begin at pages, so that the one can be given back without the other. A page of 64 KiB would only give back
/// less at a time.
const PAGE: u64 = 4_096;

/// So much of it is given back at a time: a fraction of a millisecond's work.
const GIVEN_BACK_LEN: u64 = 1 << 20;

/// The second place, behind the longest snapshot in the first.
const SECOND: u64 = PAGE + SNAPSHOT_MAX;

/// The file.
#[derive(Debug)]
pub struct Memory {
    file: File,
    /// Where the last snapshot is.
    offset: u64,
    len: u64,
    /// The next one, while it is being written.
    draft: Draft,
    /// Where the one before the last was, as far as that is not given back yet.
    superfluous: Range<u64>,
}

/// A snapshot that nothing points to yet.
#[derive(Debug)]
struct Draft {
    offset: u64,
    len: u64,
    sum: SipHasher13,
}

impl Draft {
    /// An empty one, where the last snapshot is not.
    fn beside(offset: u64, len: u64) -> Self {
        let end = offset.saturating_add(len);
        let place = match offset {
            SECOND.. => PAGE,
            _ if end <= SECOND => SECOND,
            // No version of ours has put it there.
            _ => end.next_multiple_of(PAGE),
        };
        Self { offset: place, len: 0, sum: SipHasher13::new() }
    }
}

/// What was found in a file that somebody handed over.
#[derive(Debug)]
pub enum Found {
    /// The last snapshot.
    Whole(Memory, Vec<u8>),
    /// What is left of it.
    Damaged(Memory, Vec<u8>),
}

impl Memory {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC;
        // Linux 6.3 asks for it; before, there is no such flag.
        let not_executable = flags | MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
        let file = memfd_create("belfry-state", not_executable).or_else(|_| memfd_create("belfry-state", flags))?;
        let file = File::from(file);
        let mut memory = Self::at(file, PAGE, 0);
        memory.save(&[])?;
        Ok(memory)
    }

    /// Takes over one that was handed to us; else why it is none.
    pub fn adopt(fd: OwnedFd) -> Result<Found, String> {
        let file = File::from(fd);
        // Only files in memory have seals; others fail here, whatever they are.
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(|_| "it is no file in memory".to_owned())?;
        if SealFlag::from_bits_truncate(seals).intersects(!SealFlag::F_SEAL_SEAL) {
            return Err("it is sealed".to_owned());
        }
        let mut head = [0; HEAD_LEN];
        file.read_exact_at(&mut head, 0).map_err(|_| "it has no head".to_owned())?;
        let (offset, len, sum) = read_head(&head).ok_or("it is of another version")?;
        let mut snapshot = Vec::new();
        let end = file.metadata().map_or(0, |meta| meta.len());
        let there = end.saturating_sub(offset).min(len);
        if offset < PAGE || offset % PAGE != 0 || len > SNAPSHOT_MAX {
            return Err("its head makes no sense".to_owned());
        }
        snapshot.resize(usize::try_from(there).map_err(|error| error.to_string())?, 0);
        file.read_exact_at(&mut snapshot, offset).map_err(|error| error.to_string())?;
        let memory = Self::at(file, offset, len);
        let is_whole = there == len && checksum(&snapshot) == sum;
        Ok(if is_whole { Found::Whole(memory, snapshot) } else { Found::Damaged(memory, snapshot) })
    }

    fn at(file: File, offset: u64, len: u64) -> Self {
        Self { file, offset, len, draft: Draft::beside(offset, len), superfluous: 0..0 }
    }

    /// Begins a snapshot, in the place of one that was begun and not [finished](Memory::finish).
    pub fn begin(&mut self) {
        if self.has_superfluous() {
            self.give_back_all();
        }
        self.draft = Draft::beside(self.offset, self.len);
    }

    /// Writes the next piece of the snapshot that was begun. On an error it is for the caller to begin again.
    pub fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        let Draft { offset, len, sum } = &mut self.draft;
        let end = *len + piece.len() as u64;
        // Nobody would read it.
        if end > SNAPSHOT_MAX {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        self.file.write_all_at(piece, *offset + *len)?;
        sum.write(piece);
        *len = end;
        Ok(())
    }

    /// Has what was written since it was begun be the last snapshot. On an error the one before stays. Of what that took
    /// a part is left to be [given back](Memory::give_back_slice), if it was large.
    pub fn finish(&mut self) -> io::Result<()> {
        let &Draft { offset, len, ref sum } = &self.draft;
        self.file.write_all_at(&head(offset, len, sum.finish()), 0)?;
        self.superfluous = self.offset..self.offset.saturating_add(self.len);
        (self.offset, self.len) = (offset, len);
        self.draft = Draft::beside(offset, len);
        self.give_back_slice();
        Ok(())
    }

    /// Writes a snapshot in one piece, and gives back what the one before took. On an error that stays.
    pub fn save(&mut self, snapshot: &[u8]) -> io::Result<()> {
        self.begin();
        self.append(snapshot)?;
        self.finish()?;
        self.give_back_all();
        Ok(())
    }

    /// Gives back what was written of a snapshot that will not be finished.
    pub fn abandon(&mut self) {
        self.begin();
        self.give_back_all();
    }

    /// Gives back a part of what the snapshot before the last took: the kernel takes as long for a page as we for a member.
    pub fn give_back_slice(&mut self) {
        let Range { start, end } = self.superfluous;
        let next = start.saturating_add(GIVEN_BACK_LEN);
        if next < end {
            self.give_back(start, next);
            self.superfluous = next..end;
        } else if start < end {
            self.give_back_all();
        }
    }

    /// Whether something is left to be given back.
    pub fn has_superfluous(&self) -> bool {
        !self.superfluous.is_empty()
    }

    /// Gives back everything but the last snapshot: whoever wrote it may have been killed in the midst of another.
    pub(super) fn give_back_all(&mut self) {
        self.superfluous = 0..0;
        // What cannot be given back is given back another time: what is behind, and what is before.
        let end = self.offset.saturating_add(self.len);
        if self.file.metadata().is_ok_and(|meta| meta.len() > end) {
            let _ = self.file.set_len(end);
        }
        self.give_back(PAGE, self.offset);
    }

    /// What stands from `start` to `end` takes no memory any more.
    fn give_back(&self, start: u64, end: u64) {
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if start < end {
            let _ = fallocate(&self.file, hole, start as i64, (end - start) as i64);
        }
    }

    /// The length of the last snapshot.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the last snapshot is an empty one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Against accidents, not against whoever could write to our memory.
fn checksum(snapshot: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(snapshot);
    hasher.finish()
}

fn head(offset: u64, len: u64, sum: u64) -> [u8; HEAD_LEN] {
    let text = format!("{MAGIC} {offset:016x} {len:016x} {sum:016x}");
    let mut head = [b' '; HEAD_LEN];
    head[..text.len()].copy_from_slice(text.as_bytes());
    head[HEAD_LEN - 1] = b'\n';
    head
}

fn read_head(head: &[u8]) -> Option<(u64, u64, u64)> {
    let mut words = std::str::from_utf8(head).ok()?.split_ascii_whitespace();
    let is_ours = words.next() == Some(MAGIC);
    let mut number = || u64::from_str_radix(words.next()?, 16).ok();
    let (offset, len, sum) = (number()?, number()?, number()?);
    is_ours.then_some((offset, len, sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Seed, SplitMix};
    use std::os::unix::fs::MetadataExt as _;

    fn read(memory: &Memory) -> Vec<u8> {
        match Memory::adopt(memory.file.try_clone().unwrap().into()) {
            Ok(Found::Whole(_, snapshot)) => snapshot,
            other => panic!("not whole: {other:?}"),
        }
    }

    #[test]
    fn a_thousand_snapshots_read_back_and_take_no_more_room_than_the_largest_two() {
        let mut random = SplitMix::new(Seed(7));
        let mut memory = Memory::new().unwrap();
        assert_eq!(read(&memory), b"");
        let (mut last, mut len) = (0, 0_usize);
        for round in 0..1_000_u32 {
            // It grows and shrinks, by little and by much.
            len = match random.below(8) {
                0 => random.below(200_000) as usize,
                1 => 0,
                _ => len.saturating_add_signed(random.below(3_000) as isize - 1_000),
            };
            let snapshot = vec![round as u8; len];
            memory.begin();
            let piece_len = 1 + random.below(100_000) as usize;
            snapshot.chunks(piece_len).for_each(|piece| memory.append(piece).unwrap());
            memory.finish().unwrap();
            while memory.has_superfluous() {
                memory.give_back_slice();
            }
            assert_eq!(read(&memory), snapshot, "round {round}");
            let taken = memory.file.metadata().unwrap().blocks() * 512;
            assert!(taken <= (len.next_multiple_of(4_096) + 2 * 4_096) as u64, "{taken} bytes for {len} and {last}");
            last = len;
        }
    }

    #[test]
    fn a_kill_before_the_head_is_written_leaves_the_last_snapshot() {
        let mut memory = Memory::new().unwrap();
        for len in [1, 5_000, 10, 4_096, 70_000, 3, 3] {
            let last = vec![b'x'; len];
            memory.save(&last).unwrap();
            for next in [0, 1, 4_096, 100_000] {
                let taken = memory.file.metadata().unwrap().blocks();
                memory.begin();
                (0..3).for_each(|_| memory.append(&vec![b'y'; next]).unwrap());
                assert_eq!(read(&memory), last, "{next} bytes beside {len}");
                memory.abandon();
                assert_eq!(read(&memory), last);
                assert_eq!(memory.file.metadata().unwrap().blocks(), taken, "it is given back");
            }
        }
    }

    #[test]
    fn a_snapshot_that_cannot_be_written_leaves_the_last_one() {
        let file = File::from(memfd_create("test", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        let mut memory = Memory::at(file, PAGE, 0);
        memory.save(b"anna").unwrap();
        memory.save(b"bob").unwrap();
        let full = memory.file.metadata().unwrap().len();
        fcntl(&memory.file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
        memory.save(&vec![b'x'; full as usize]).unwrap_err();
        let mut left = [0; 3];
        memory.file.read_exact_at(&mut left, memory.offset).unwrap();
        let mut read = [0; HEAD_LEN];
        memory.file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!((&left, read), (b"bob", head(memory.offset, 3, checksum(b"bob"))));
    }

    #[test]
    fn a_snapshot_is_never_written_over_the_last_wherever_that_was_found() {
        for offset in [PAGE, 5 * PAGE, SECOND - PAGE, SECOND, SECOND + PAGE, u64::MAX - PAGE + 1] {
            for len in [0, 1, 3 * PAGE, SNAPSHOT_MAX] {
                let (draft, end) = (Draft::beside(offset, len), offset.saturating_add(len));
                assert!(draft.offset >= end || draft.offset + SNAPSHOT_MAX <= offset, "{offset} {len}");
                assert_eq!(draft.offset % PAGE, 0);
            }
        }
    }

    #[test]
    fn a_snapshot_is_as_long_as_one_that_is_read_and_not_a_byte_longer() {
        let mut memory = Memory::new().unwrap();
        memory.save(b"anna").unwrap();
        memory.begin();
        memory.draft.len = SNAPSHOT_MAX - 3;
        memory.append(b"bob").unwrap();
        assert_eq!(memory.append(b"!").unwrap_err().raw_os_error(), Some(libc::EFBIG));
        assert_eq!(read(&memory), b"anna");
    }

    #[test]
    fn what_is_no_state_of_ours_is_told_apart() {
        let refusal = |fd: OwnedFd| Memory::adopt(fd).expect_err("not ours");
        assert_eq!(refusal(File::open("/dev/null").unwrap().into()), "it is no file in memory");
        assert_eq!(refusal(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into()), "it is no file in memory");
        let with = |bytes: &[u8]| {
            let file = File::from(memfd_create("test", MFdFlags::MFD_ALLOW_SEALING).unwrap());
            file.write_all_at(bytes, 0).unwrap();
            file
        };
        assert_eq!(refusal(with(b"").into()), "it has no head");
        let other = [&b"belfry-2 1000 0 0"[..], &[b' '; HEAD_LEN]].concat();
        assert_eq!(refusal(with(&other).into()), "it is of another version");
        assert_eq!(refusal(with(&[0xff; 64]).into()), "it is of another version");
        assert_eq!(refusal(with(&head(17, 1, 0)).into()), "its head makes no sense");
        assert_eq!(refusal(with(&head(PAGE, u64::MAX, 0)).into()), "its head makes no sense");
        let sealed = with(&head(PAGE, 0, checksum(b"")));
        fcntl(&sealed, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).unwrap();
        assert_eq!(refusal(sealed.into()), "it is sealed");
    }

    #[test]
    fn of_a_damaged_one_that_is_left_which_can_be_read() {
        let mut memory = Memory::new().unwrap();
        memory.save(b"anna\nbob\ncarl\n").unwrap();
        memory.file.write_all_at(b"#", memory.offset + 6).unwrap();
        let left = |memory: &Memory| match Memory::adopt(memory.file.try_clone().unwrap().into()) {
            Ok(Found::Damaged(_, left)) => left,
            other => panic!("not damaged: {other:?}"),
        };
        assert_eq!(left(&memory), b"anna\nb#b\ncarl\n");
        memory.file.set_len(memory.offset + 3).unwrap();
        assert_eq!(left(&memory), b"ann");
        memory.file.set_len(HEAD_LEN as u64).unwrap();
        assert_eq!(left(&memory), b"");
        memory.save(b"whole again").unwrap();
        assert_eq!(read(&memory), b"whole again");
    }
}
