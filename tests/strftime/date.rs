//! The extensions that only date(1) has, against the date(1) that is installed.

use crate::oracle;
use belfry::services::time::{Format, Moment, Text};
use jiff::Timestamp;
use std::process::Command;

const MOMENTS: &[&str] =
    &["1790000603.120000009", "1790000603.000000000", "0.999999999", "1767236399.100000000", "-2000000000.5"];

const ZONES: &[&str] =
    &["UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Amsterdam", "Africa/Monrovia", "Factory", "ABC1:23:45"];

/// Compares every conversion that date(1) adds, with every flag, pair of flags and width.
pub(crate) fn extensions_mean_what_they_mean_in_date() {
    let version = Command::new("date").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    if !String::from_utf8_lossy(&version).contains("GNU coreutils") {
        println!("not compared with date(1): the one installed is not of GNU coreutils");
        return;
    }
    let (formats, separated) = formats();
    for name in ZONES {
        let zone = oracle::enter(name);
        for moment in MOMENTS {
            let shown =
                Command::new("date").args([&format!("-d@{moment}"), &separated]).env("LC_ALL", "C").output().unwrap();
            assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
            let shown = String::from_utf8(shown.stdout).unwrap();
            let wall = timestamp(moment);
            for (format, theirs) in formats.iter().zip(shown.trim_end_matches('\n').split('|')) {
                let mut text = Text::new(usize::MAX);
                let read = Format::parse(format).unwrap_or_else(|error| panic!("{format}: {error:?}"));
                read.render(&Moment::new(wall, &zone.ours), &mut text).unwrap();
                let ours = String::from_utf8_lossy(text.as_bytes());
                assert_eq!(ours, theirs, "ours, date's: {format} at {moment} in {name}");
            }
        }
    }
}

/// The formats, and all of them as an argument of date(1).
fn formats() -> (Vec<String>, String) {
    let mut formats = Vec::new();
    for flags in crate::flags() {
        for width in ["", "1", "2", "3", "5", "6", "9", "10", "40"] {
            for end in ["N", "ON", ":z", "::z", ":::z", "E:z", "q", "Eq"] {
                formats.push(format!("%{flags}{width}{end}"));
            }
        }
    }
    // date(1) replaces `%-N`, so spelled, by the digits that the clock has; `%_-N` and `%-ON` escape it, but not us.
    formats.retain(|format| !["%--N", "%_-N", "%0-N", "%^-N", "%#-N", "%-^N", "%-#N"].contains(&format.as_str()));
    formats.retain(|format| !(format.ends_with("-ON") || format.ends_with("-^ON") || format.ends_with("-#ON")));
    let separated = format!("+{}", formats.join("|"));
    (formats, separated)
}

fn timestamp(seconds: &str) -> Timestamp {
    let (whole, fraction) = seconds.split_once('.').unwrap();
    let nanos: i128 = format!("{fraction:0<9}").parse().unwrap();
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    Timestamp::from_nanosecond(whole.parse::<i128>().unwrap() * 1_000_000_000 + sign * nanos).unwrap()
}
