//! Time zones by name, without a system call.
//!
//! The daemon reads the zone files at start and on reload and hands their bytes over. A file is parsed when somebody first
//! asks for it, which is arithmetic and takes some tens of microseconds, and the result is kept; there are as many as
//! there are files, so strangers cannot make this grow. POSIX strings are not kept at all: reading one costs about as
//! much as finding it would, and whatever is kept of what strangers choose needs a bound.

use jiff::tz::TimeZone;
use std::cmp::Ordering;
use std::fmt;

/// When daylight saving time begins and ends for a POSIX string that names it but does not say: glibc's default.
const DEFAULT_RULE: &str = ",M3.2.0,M11.1.0";

/// A zone file (TZif, RFC 9636), and the names that it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFile {
    /// Its names, such as `Asia/Kolkata` and `Asia/Calcutta`.
    pub names: Vec<String>,
    /// What is in it.
    pub bytes: Box<[u8]>,
}

/// What became of a zone file.
enum Rules {
    Unread(Box<[u8]>),
    Read(TimeZone),
    /// Not what a zone file should be: its names are not known.
    Bad,
}

/// Every zone that can be asked for, and the host's own.
pub struct Zones {
    local: TimeZone,
    rules: Vec<Rules>,
    /// Sorted by name without regard to case; each with its place in `rules`.
    names: Vec<(Box<str>, usize)>,
}

impl Zones {
    /// The zones of these files, on a host that keeps UTC. When two files claim a name, the first has it.
    pub fn new(files: impl IntoIterator<Item = ZoneFile>) -> Self {
        let mut zones = Self { local: TimeZone::UTC, rules: Vec::new(), names: Vec::new() };
        for file in files {
            let place = zones.rules.len();
            zones.names.extend(file.names.into_iter().map(|name| (name.into_boxed_str(), place)));
            zones.rules.push(Rules::Unread(file.bytes));
        }
        zones.names.sort_by(|(a, _), (b, _)| compare(a, b));
        zones.names.dedup_by(|(later, _), (first, _)| compare(later, first).is_eq());
        zones
    }

    /// No names but UTC and POSIX strings, on a host that keeps UTC.
    pub fn utc_only() -> Self {
        Self::new([])
    }

    /// Makes this the host's own zone.
    pub fn set_local(&mut self, local: TimeZone) {
        self.local = local;
    }

    /// The host's own zone.
    pub const fn local(&self) -> &TimeZone {
        &self.local
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no names; `UTC` and POSIX strings are known even then.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether [`Zones::find`] would find it.
    pub fn is_known(&self, wanted: &str) -> bool {
        match self.place(wanted).map(|place| &self.rules[place]) {
            Some(Rules::Read(_)) => true,
            Some(Rules::Unread(bytes)) => parse(bytes).is_some(),
            Some(Rules::Bad) => false,
            None => without_file(wanted).is_some(),
        }
    }

    /// The zone of a name, in any letter case, or of a POSIX string. A name goes before a POSIX string (`EST5EDT` is
    /// both); nothing at all is UTC, as in the C library.
    pub fn find(&mut self, wanted: &str) -> Option<TimeZone> {
        let Some(place) = self.place(wanted) else { return without_file(wanted) };
        let rules = &mut self.rules[place];
        if let Rules::Unread(bytes) = rules {
            *rules = parse(bytes).map_or(Rules::Bad, Rules::Read);
        }
        match rules {
            Rules::Read(zone) => Some(zone.clone()),
            Rules::Unread(_) | Rules::Bad => None,
        }
    }

    /// The full name of a zone that ends in this word: `Tokyo` is in `Asia/Tokyo`.
    pub fn suggest(&self, word: &str) -> Option<&str> {
        let is_meant = |name: &str| {
            let (path, city) = name.as_bytes().split_at(name.len().saturating_sub(word.len()));
            path.ends_with(b"/") && city.eq_ignore_ascii_case(word.as_bytes())
        };
        self.names.iter().map(|(name, _)| &**name).find(|name| is_meant(name))
    }

    fn place(&self, wanted: &str) -> Option<usize> {
        let found = self.names.binary_search_by(|(name, _)| compare(name, wanted)).ok()?;
        Some(self.names[found].1)
    }
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zones").field("local", &self.local).field("names", &self.names.len()).finish_non_exhaustive()
    }
}

/// A zone that needs no file: UTC, or a POSIX string (POSIX.1-2024 §8.3).
fn without_file(wanted: &str) -> Option<TimeZone> {
    if wanted.is_empty() || wanted.eq_ignore_ascii_case("UTC") {
        return Some(TimeZone::UTC);
    }
    TimeZone::posix(wanted).ok().or_else(|| {
        if wanted.contains(',') {
            return None;
        }
        TimeZone::posix(&[wanted, DEFAULT_RULE].concat()).ok()
    })
}

fn parse(bytes: &[u8]) -> Option<TimeZone> {
    // The name would be for jiff's own printing, which is not used.
    TimeZone::tzif("", bytes).ok()
}

/// The order of names without regard to the case of ASCII letters, of which alone they are made.
fn compare(a: &str, b: &str) -> Ordering {
    a.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(b.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    /// A zone file of version 1 without transitions, all at one offset, whose name is in it.
    fn zone_file(offset: i32, abbreviation: &str, names: &[&str]) -> ZoneFile {
        let mut bytes = b"TZif\0".to_vec();
        bytes.extend([0; 15]);
        let counts = [0, 0, 0, 0, 1, abbreviation.len() as u32 + 1];
        bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(offset.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(abbreviation.bytes().chain([0]));
        ZoneFile { names: names.iter().map(|&name| name.to_owned()).collect(), bytes: bytes.into() }
    }

    fn offset(zone: &TimeZone) -> i32 {
        zone.to_offset(Timestamp::UNIX_EPOCH).seconds()
    }

    fn zones() -> Zones {
        let bad = ZoneFile { names: vec!["Nowhere/Bad".to_owned()], bytes: b"TZif2 and no more".to_vec().into() };
        let files = [
            zone_file(19_800, "IST", &["Asia/Kolkata", "Asia/Calcutta"]),
            zone_file(-3_600, "ODD", &["EST5EDT"]),
            bad,
            zone_file(0, "ZZZ", &["asia/kolkata"]),
        ];
        Zones::new(files)
    }

    #[test]
    fn a_name_is_found_in_any_letter_case_and_under_each_of_its_names() {
        let mut zones = zones();
        for name in ["Asia/Kolkata", "asia/CALCUTTA", "ASIA/KOLKATA"] {
            assert!(zones.is_known(name), "{name}");
            assert_eq!(zones.find(name).map(|zone| offset(&zone)), Some(19_800), "{name}");
            assert!(zones.is_known(name), "{name}, read");
        }
    }

    #[test]
    fn a_posix_string_is_a_zone_unless_a_file_has_that_name() {
        let mut zones = zones();
        let table = [
            ("CET-1CEST,M3.5.0,M10.5.0/3", 3_600),
            ("<+0530>-5:30", 19_800),
            ("UTC0", 0),
            ("utc", 0),
            ("", 0),
            ("EST5EDT", -3_600),
            ("CST6CDT", -21_600),
        ];
        for (text, expected) in table {
            assert!(zones.is_known(text), "{text}");
            assert_eq!(zones.find(text).map(|zone| offset(&zone)), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_and_no_posix_string_is_unknown() {
        let mut zones = zones();
        let long = "A".repeat(512);
        let table = [
            "/etc/localtime",
            "../../etc/passwd",
            "posix/Asia/Kolkata",
            "right/Asia/Kolkata",
            "Asia/Kolkata/",
            "Asia",
            "CEST",
            "nonsense",
            "\0",
            "Nowhere/Bad",
            "Europe/Zürich",
            "CET-1CEST,",
            "CET-1CEST,M13.5.0,M10.5.0",
            "é5",
            &long,
        ];
        for text in table {
            assert!(!zones.is_known(text), "{text}");
            assert!(zones.find(text).is_none(), "{text}");
            assert!(zones.find(text).is_none(), "{text}, again");
        }
    }

    #[test]
    fn a_city_alone_suggests_its_zone() {
        assert_eq!(zones().suggest("CALCUTTA"), Some("Asia/Calcutta"));
        for word in ["Asia", "cutta", "Asia/Calcutta", "/Calcutta", "", "\u{e9}"] {
            assert_eq!(zones().suggest(word), None, "{word}");
        }
        assert_eq!(Zones::utc_only().suggest("Tokyo"), None);
    }
}
