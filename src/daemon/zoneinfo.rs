//! The zone files of this host.
//!
//! All of them are read at start and on reload, so that the time service never needs a file while it answers. They are
//! a few hundred small files: reading takes milliseconds, parsing is left until somebody asks. What cannot be read is
//! left out: a host without zone files still serves UTC and POSIX strings.

use crate::services::time::{ZoneFile, Zones};
use jiff::tz::TimeZone;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest zone file that is read; the longest of tzdata 2025b has 4 KiB.
const FILE_MAX: u64 = 64 * 1024;

/// How deep names go: `America/Argentina/Ushuaia` is at 3.
const DEPTH_MAX: usize = 4;

/// What is in the directory and is not a zone by that name: two more copies of all of it, with and without leap
/// seconds, and links to what the administrator chose.
const NOT_ZONES: [&str; 4] = ["posix", "right", "localtime", "posixrules"];

/// Where a host keeps its zones, and which one is its own.
#[derive(Clone, Debug)]
pub struct Source {
    /// The directory of zone files.
    pub directory: PathBuf,
    /// The file of the host's own zone.
    pub localtime: PathBuf,
    /// What goes before that file: a path, a name or a POSIX string, as in `TZ`.
    pub tz: Option<OsString>,
}

impl Source {
    /// As the C library finds them (tzset(3)): `TZDIR`, `TZ`, and else the usual places.
    pub fn from_environment() -> Self {
        let directory = std::env::var_os("TZDIR").unwrap_or_else(|| "/usr/share/zoneinfo".into());
        Self { directory: directory.into(), localtime: "/etc/localtime".into(), tz: std::env::var_os("TZ") }
    }

    /// Reads all zones. The host's own is UTC when it is not said or not known.
    pub fn read(&self) -> Zones {
        let mut found = Vec::new();
        walk(&self.directory, "", 1, &mut found);
        let mut zones = Zones::new(merge(found));
        let local = self.local(|name| zones.find(name));
        zones.set_local(local);
        zones
    }

    /// Reads the host's own zone and no other.
    pub fn read_local(&self) -> TimeZone {
        self.local(|name| {
            let mut words = name.split('/');
            let is_name = words.clone().next().is_some_and(|first| !NOT_ZONES.contains(&first))
                && !words.any(|word| matches!(word, "" | "." | ".."));
            let file = is_name.then(|| read_zone(&self.directory.join(name))).flatten();
            file.or_else(|| Zones::new(Vec::new()).find(name))
        })
    }

    fn local(&self, find: impl FnOnce(&str) -> Option<TimeZone>) -> TimeZone {
        let Some(tz) = &self.tz else {
            // Without the file the host keeps UTC, which is nothing to complain about.
            return read_zone(&self.localtime).unwrap_or(TimeZone::UTC);
        };
        let found = tz.to_str().and_then(|tz| {
            let name = tz.strip_prefix(':').unwrap_or(tz);
            if name.starts_with('/') { read_zone(Path::new(name)) } else { find(name) }
        });
        found.unwrap_or_else(|| {
            log::warn!("TZ={} is no time zone that is known here: keeping UTC", tz.display());
            TimeZone::UTC
        })
    }
}

fn read_zone(path: &Path) -> Option<TimeZone> {
    TimeZone::tzif("", &read_tzif(path)?).ok()
}

/// What is in a zone file; `None` for any other, and for what cannot be read.
fn read_tzif(path: &Path) -> Option<Box<[u8]>> {
    // A pipe would be waited for.
    let mut file = fs::metadata(path).ok().filter(fs::Metadata::is_file).and_then(|_| File::open(path).ok())?;
    let mut bytes = Vec::with_capacity(4_096);
    // The magic first: the tables beside the zones are longer than all of them.
    file.by_ref().take(4).read_to_end(&mut bytes).ok()?;
    if bytes != b"TZif" {
        return None;
    }
    file.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes.into_boxed_slice())
}

/// Every zone file below `path` with its name. A name is at most [`DEPTH_MAX`] words long, which ends loops of links.
fn walk(path: &Path, prefix: &str, depth: usize, found: &mut Vec<(Box<[u8]>, String)>) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic())) else {
            continue;
        };
        if depth == 1 && NOT_ZONES.contains(&name) {
            continue;
        }
        let name = format!("{prefix}{name}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth < DEPTH_MAX {
                walk(&entry.path(), &format!("{name}/"), depth + 1, found);
            }
        } else if let Some(bytes) = read_tzif(&entry.path()) {
            found.push((bytes, name));
        }
    }
}

/// One file for each content: old names are links or copies, and there are a hundred and fifty of them.
fn merge(mut found: Vec<(Box<[u8]>, String)>) -> Vec<ZoneFile> {
    found.sort_unstable();
    let mut files: Vec<ZoneFile> = Vec::new();
    for (bytes, name) in found {
        match files.last_mut().filter(|last| last.bytes == bytes) {
            Some(last) => last.names.push(name),
            None => files.push(ZoneFile { names: vec![name], bytes }),
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::os::unix::fs::symlink;

    struct Directory(PathBuf);

    impl Directory {
        /// A directory of zones with a link, a hard link, a table, what looks like a zone, and copies that are none.
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("belfry-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("Asia")).unwrap();
            fs::create_dir_all(path.join("right/Asia")).unwrap();
            fs::write(path.join("Asia/Kolkata"), zone(19_800)).unwrap();
            fs::hard_link(path.join("Asia/Kolkata"), path.join("Asia/Calcutta")).unwrap();
            symlink("Asia/Kolkata", path.join("India")).unwrap();
            symlink("Nowhere", path.join("Dangling")).unwrap();
            fs::write(path.join("right/Asia/Tokyo"), zone(1)).unwrap();
            fs::write(path.join("localtime"), zone(3_600)).unwrap();
            fs::write(path.join("zone.tab"), "a table").unwrap();
            fs::write(path.join("Short"), "TZif").unwrap();
            Self(path)
        }

        fn source(&self, tz: Option<&str>) -> Source {
            let tz = tz.map(OsString::from);
            Source { directory: self.0.clone(), localtime: self.0.join("localtime"), tz }
        }

        fn read(&self, tz: Option<&str>) -> Zones {
            self.source(tz).read()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    /// A zone file of version 1 without transitions.
    fn zone(offset: i32) -> Vec<u8> {
        let counts = [0_u32, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat();
        [b"TZif\0".as_slice(), &[0; 15], &counts, &offset.to_be_bytes(), &[0, 0], b"ABC\0"].concat()
    }

    fn offset(zone: &TimeZone) -> i32 {
        zone.to_offset(Timestamp::UNIX_EPOCH).seconds()
    }

    #[test]
    fn each_zone_is_known_by_all_its_names_and_nothing_else_is() {
        let directory = Directory::new("names");
        let mut zones = directory.read(None);
        assert_eq!(zones.len(), 4, "Kolkata, Calcutta, India and Short, which nobody has parsed yet");
        for name in ["Asia/Kolkata", "Asia/Calcutta", "india"] {
            assert_eq!(zones.find(name).map(|zone| offset(&zone)), Some(19_800), "{name}");
        }
        for name in ["right/Asia/Tokyo", "Asia/Tokyo", "Dangling", "zone.tab", "Short", "localtime", "Asia"] {
            assert!(!zones.is_known(name), "{name}");
        }
    }

    #[test]
    fn the_zone_of_the_host_is_found_as_the_c_library_finds_it() {
        let directory = Directory::new("local");
        let path = directory.0.join("Asia/Kolkata");
        let path = path.to_str().unwrap();
        let colon = format!(":{path}");
        let table = [
            (None, 3_600),
            (Some(""), 0),
            (Some("India"), 19_800),
            (Some(":India"), 19_800),
            (Some(path), 19_800),
            (Some(colon.as_str()), 19_800),
            (Some("EST5"), -18_000),
            (Some("Mars/Olympus"), 0),
            (Some("/nowhere"), 0),
            (Some("right/Asia/Tokyo"), 0),
            (Some("../zone.tab"), 0),
        ];
        for (tz, expected) in table {
            assert_eq!(offset(directory.read(tz).local()), expected, "{tz:?}");
            assert_eq!(offset(&directory.source(tz).read_local()), expected, "{tz:?} alone");
        }
    }

    #[test]
    fn files_with_the_same_content_become_one_file_with_all_their_names() {
        let found = [("B", "x"), ("A", "y"), ("C", "x")];
        let files = merge(found.map(|(name, bytes)| (bytes.as_bytes().into(), name.to_owned())).into());
        let shown: Vec<_> = files.iter().map(|file| (&*file.bytes, file.names.join(" "))).collect();
        assert_eq!(shown, [(b"x".as_slice(), "B C".to_owned()), (b"y", "A".to_owned())]);
    }

    #[test]
    fn a_host_without_zone_files_keeps_utc() {
        let nowhere = PathBuf::from("/nowhere");
        let mut zones = Source { directory: nowhere.clone(), localtime: nowhere, tz: None }.read();
        assert!(zones.is_empty());
        assert_eq!(offset(zones.local()), 0);
        assert!(zones.find("UTC0").is_some());
    }
}
