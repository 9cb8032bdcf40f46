//! The formatter against the C library's: each format that we take means what strftime(3) makes of it, in UTC and at
//! offsets that have whole hours, and others.
//!
//! Left out is what differs on purpose (`tests/strftime/differences.rs`): what strftime does not have, fractions, quarters and
//! offsets with colons; `%s`, which it can say only of the process's own zone; and a control character stands as `?`. It is
//! told the date, so the zone of the process does not matter.

use belfry::core::limits::DATAGRAM_MAX;
use belfry::core::text::shown;
use belfry::services::time::{Format, Moment, Text, Zones};
use jiff::Timestamp;
use nix::libc;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

/// Zones without summer time: the POSIX string, seconds east of UTC, and what `%Z` says.
const ZONES: [(&str, i64, &CStr); 4] =
    [("UTC", 0, c"UTC"), ("JST-9", 32_400, c"JST"), ("<-0330>3:30", -12_600, c"-0330"), ("ABC-1:23:45", 5_025, c"ABC")];

/// Moments: in summer and winter, on both sides of 1970 and of year 0, near the last that there is, on the first and
/// the last day of a week-numbered year.
const SECONDS: [i64; 8] =
    [1_795_271_007, 1_767_225_599, 0, -1, -62_167_219_201, 253_360_000_000, -98_765_432_101, 1_609_459_200];

/// Two bytes that choose the moment, and a format.
pub fn format(data: &[u8]) {
    let [moment, place, text @ ..] = data else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let Ok(format) = Format::parse(text) else { return };
    if has_no_counterpart(text) {
        return;
    }
    let second = SECONDS[usize::from(moment & 7)] + i64::from(moment >> 3) * 86_400 * 13 + i64::from(place >> 2) * 997;
    let (zone, offset, abbreviation) = ZONES[usize::from(place & 3)];
    let ours = ours(&format, second, zone);
    let theirs = theirs(text, second, offset, abbreviation);
    assert_eq!(ours, theirs, "{text:?} at {second} in {zone}");
}

/// Whether a conversion in it is of date(1) alone, or about the process's zone.
fn has_no_counterpart(format: &str) -> bool {
    format.match_indices('%').any(|(at, _)| {
        let rest = format[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || "-_^#+".contains(c));
        let rest = rest.strip_prefix(['E', 'O']).unwrap_or(rest);
        rest.starts_with(['N', 'q', 's', ':'])
    })
}

/// What we make of it; `None` when it does not fit a datagram.
fn ours(format: &Format<'_>, second: i64, zone: &str) -> Option<String> {
    let zone = Zones::utc_only().find(zone).expect("a POSIX string");
    let mut text = Text::new(DATAGRAM_MAX);
    let wall = Timestamp::from_second(second).expect("a moment");
    format.render(&Moment::new(wall, &zone), &mut text).ok()?;
    Some(String::from_utf8(text.as_bytes().to_vec()).expect("UTF-8 in, UTF-8 out"))
}

/// What the C library makes of it.
fn theirs(format: &str, second: i64, offset: i64, abbreviation: &CStr) -> Option<String> {
    let mut buffer = [0_u8; 2 * DATAGRAM_MAX];
    // A last character tells nothing from too much: both are length 0.
    let format: String = format.chars().map(shown).chain(['.']).collect();
    let format = CString::new(format).expect("a zero byte is a control character");
    let shifted = second + offset;
    let mut tm = MaybeUninit::uninit();
    // SAFETY: both point to what they should; gmtime_r fills the whole structure in unless it returns null.
    let mut tm: libc::tm = unsafe {
        assert!(!libc::gmtime_r(&raw const shifted, tm.as_mut_ptr()).is_null(), "{shifted}");
        tm.assume_init()
    };
    (tm.tm_gmtoff, tm.tm_zone) = (offset, abbreviation.as_ptr());
    // SAFETY: the buffer is as long as it is said to be, and the format and the zone's name end in a zero byte.
    let len = unsafe { libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &raw const tm) };
    let written = buffer[..len].strip_suffix(b".")?;
    (written.len() <= DATAGRAM_MAX).then(|| String::from_utf8_lossy(written).into_owned())
}
