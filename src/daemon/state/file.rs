//! Files of the state directory: opened so that nothing in their place leads elsewhere or holds us up, and replaced whole
//! or not at all.

use nix::libc;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a regular file; its length with it.
pub(super) fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<(File, u64)> {
    // A symbolic link could lead anywhere, and a pipe would have us wait for its reader.
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let len = regular_len(&file)?;
    Ok((file, len))
}

/// The length of a regular file.
pub(super) fn regular_len(file: &File) -> io::Result<u64> {
    let meta = file.metadata()?;
    if meta.is_file() { Ok(meta.len()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
}

/// Has `path` hold what `write` writes and nothing else, by way of the file `new` in the same folder: whoever looks meanwhile, or
/// after a kill, finds what was there before.
pub(super) fn replace_file(
    path: &Path,
    new: &str,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let new = path.with_file_name(new);
    let mut options = OpenOptions::new();
    let opened = open_regular(options.write(true).create(true).truncate(true).mode(mode), &new);
    let written = opened.and_then(|(mut file, _)| write(&mut file));
    written.and_then(|()| std::fs::rename(&new, path)).inspect_err(|_| {
        // It may be what fills the disk.
        let _ = std::fs::remove_file(&new);
    })
}
