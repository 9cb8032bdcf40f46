//! Our formats against the C library's strftime and against date(1).
//!
//! Whatever differs is a bug, or one of the [`DIFFERENCES`], each of which has a reason and an example that is checked in both
//! directions: an example that no longer differs fails too.

#![expect(unsafe_code, reason = "strftime, localtime_r and tzset are C")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, though most of it is outside of the test function"
)]

mod date;
mod differences;
mod moments;
mod oracle;

use belfry::core::{Seed, SplitMix};
use belfry::services::time::{Format, Moment, Text, Zones};
use differences::{Case, DIFFERENCES};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use oracle::Zone;

/// Zones with something particular: odd offsets, negative and half-hour DST, a missing day, changes of the standard time.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Paris",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "Antarctica/Troll",
    "EST5EDT",
    "UTC0",
    "<+0530>-5:30",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "IST-1GMT0,M10.5.0,M3.5.0/1",
    "NZST-12NZDT,M9.5.0,M4.1.0/3",
    "<-03>3<-02>,J60/0,300/25",
    "CST6CDT",
    "ABC-1:23:45",
    "XYZ5ABC",
];

/// Every byte that may stand behind a `%` and is not a flag, a digit or a modifier.
fn letters() -> impl Iterator<Item = char> {
    (' '..='~').filter(|letter| !"-_0123456789^#EO".contains(*letter))
}

fn flags() -> Vec<String> {
    let one = ["", "-", "_", "0", "^", "#"];
    one.iter().flat_map(|first| one.iter().map(move |second| format!("{first}{second}"))).collect()
}

/// What we make of a format: `None` for one that is not good.
fn ours(format: &str, second: i64, zone: &TimeZone) -> Option<String> {
    let format = Format::parse(format).ok()?;
    let mut text = Text::new(usize::MAX);
    let moment = Moment::new(Timestamp::from_second(second).unwrap(), zone);
    let Ok(()) = format.render(&moment, &mut text) else { return Some("(too long)".to_owned()) };
    Some(String::from_utf8(text.as_bytes().to_vec()).unwrap())
}

/// What the C library writes, as we would show it if it were known to us: an unknown conversion is copied by it.
fn check(format: &str, second: i64, broken_down: &oracle::Moment, zone: &Zone, hint: &str) {
    let theirs = oracle::strftime(format, broken_down).filter(|text| text.len() <= 1_232);
    let theirs = theirs.unwrap_or_else(|| "(too long)".to_owned());
    match Format::parse(format) {
        Ok(_) => {
            let ours = ours(format, second, &zone.ours).unwrap();
            let is_listed =
                || DIFFERENCES.iter().any(|listed| (listed.covers)(&Case { format, second, zone, libc: broken_down }));
            assert!(
                ours == theirs || is_listed(),
                "{format:?} at {second} in {}: {ours:?}, libc {theirs:?} {hint}",
                zone.name
            );
        }
        Err(error) => {
            // Everything before the bad conversion is good, and the C library copies the conversion.
            let at = error.spec().as_ptr() as usize - format.as_ptr() as usize;
            let start = format[..at].rfind('%').unwrap();
            if DIFFERENCES
                .iter()
                .any(|listed| (listed.covers)(&Case { format: &format[..start], second, zone, libc: broken_down }))
            {
                return;
            }
            // It looks back for the `%` that it copies from, and finds the last one of `%E%`.
            let end = at + error.spec().len();
            let copied = if error.spec().ends_with('%') { "%" } else { &format[start..end] };
            let before = ours(&format[..start], second, &zone.ours).unwrap();
            // It copies as it writes a word: to the width, in the case that the flags ask for.
            let rest = theirs.strip_prefix(&before).unwrap_or("").trim_start_matches([' ', '0']);
            let copies = rest.get(..copied.len()).is_some_and(|start| start.eq_ignore_ascii_case(copied));
            let copies = copies || theirs == "(too long)";
            assert!(copies, "{format:?} at {second} in {}: not {copied:?}, libc {theirs:?} {hint}", zone.name);
        }
    }
}

fn every_conversion_with_every_flag_width_and_modifier() {
    let widths = ["", "0", "1", "2", "3", "5", "10", "40"];
    let flags = flags();
    for (zone, second) in [
        ("Europe/Paris", 1_790_000_603),
        ("America/St_Johns", 1_767_236_399),
        ("Asia/Kolkata", 253_402_207_200),
        ("UTC", -62_135_596_800),
        ("Pacific/Apia", -98_765_432_101),
    ] {
        let zone = oracle::enter(zone);
        let broken_down = oracle::break_down(second);
        for letter in letters() {
            for flags in &flags {
                for width in widths {
                    for modifier in ["", "E", "O"] {
                        check(&format!("%{flags}{width}{modifier}{letter}"), second, &broken_down, &zone, "");
                    }
                }
            }
        }
    }
}

fn every_conversion_at_every_odd_moment_in_every_zone() {
    let all: String =
        letters().filter(|letter| Format::parse(&format!("%{letter}")).is_ok()).map(|l| format!("%{l}|")).collect();
    let all = all.replace("%N|", "").replace("%q|", "").replace("%s|", "");
    for name in ZONES {
        let zone = oracle::enter(name);
        for second in moments::odd(&zone.ours) {
            let broken_down = oracle::break_down(second);
            check(&all, second, &broken_down, &zone, "");
            check("%s", second, &broken_down, &zone, "");
        }
    }
}

/// Offsets and abbreviations of each zone that is installed, at every change of its rules.
fn every_change_of_every_zone() {
    let mut count = 0;
    for name in moments::names() {
        let zone = oracle::enter(&name);
        for second in moments::changes(&zone.ours).flat_map(|change| [change - 1, change]) {
            check("%F %T %Z %z", second, &oracle::break_down(second), &zone, "");
            count += 1;
        }
    }
    assert!(count > 10_000, "{count} moments: is tzdata installed?");
}

fn random_formats_at_random_moments() {
    let seed = std::env::var("STRFTIME_SEED").map_or(20_260_921, |seed| seed.parse().unwrap());
    let hint = format!("(STRFTIME_SEED={seed})");
    let mut chance = SplitMix::new(Seed(seed));
    for name in ZONES {
        let zone = oracle::enter(name);
        for _ in 0..120_000 / ZONES.len() {
            let second = moments::random(&mut chance);
            check(&random_format(&mut chance), second, &oracle::break_down(second), &zone, &hint);
        }
    }
}

fn random_format(chance: &mut SplitMix) -> String {
    let mut pick = |from: &str| from.chars().nth(chance.below(from.len() as u64) as usize).unwrap();
    let mut format = String::new();
    for _ in 0..1 + pick("012345").to_digit(10).unwrap() {
        while pick("01") == '1' {
            format.push(pick(" :-/.,xYz0123456789%{}"));
        }
        format.push('%');
        while pick("012") == '0' {
            format.push(pick("-_0^#"));
        }
        if pick("0123") == '0' {
            format.extend([pick("123456789"), pick("0123456789")].iter().skip(usize::from(pick("01") == '0')));
        }
        if pick("01234") == '0' {
            format.push(pick("EO"));
        }
        format.push(pick("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%JQ+~"));
    }
    format
}

fn the_listed_differences_differ_as_listed() {
    for listed in DIFFERENCES {
        if let Some(missing) = listed.needs.filter(|file| !std::path::Path::new(file).exists()) {
            println!("not compared, for there is no {missing}: {}", listed.name);
            continue;
        }
        let zone = oracle::enter(listed.zone);
        // mktime begins its search where its last one ended.
        oracle::break_down(listed.second - 86_400);
        let broken_down = oracle::break_down(listed.second);
        let theirs = oracle::strftime(listed.format, &broken_down);
        let ours = ours(listed.format, listed.second, &zone.ours);
        assert_eq!(theirs.as_deref(), listed.libc, "libc, {}", listed.name);
        assert_eq!(ours.as_deref(), listed.ours, "ours, {}", listed.name);
        assert_ne!(theirs, ours, "no longer a difference: {}", listed.name);
    }
}

/// The difference that is not one of formats: a mistyped zone must not look like a right answer.
fn a_zone_that_nobody_knows_is_utc_to_the_c_library_and_unknown_to_us() {
    for name in ["Mars/Olympus", "CEST", "Europe/Pariss", "../../etc/passwd"] {
        oracle::set_zone(name);
        assert_eq!(oracle::break_down(1_790_000_603).offset(), 0, "{name}");
        assert!(!Zones::utc_only().is_known(name), "{name}");
    }
}

/// One function, because the zone of the C library is the process's.
#[test]
fn formats_mean_what_they_mean_in_the_c_library_and_in_date() {
    every_conversion_with_every_flag_width_and_modifier();
    every_conversion_at_every_odd_moment_in_every_zone();
    every_change_of_every_zone();
    random_formats_at_random_moments();
    the_listed_differences_differ_as_listed();
    a_zone_that_nobody_knows_is_utc_to_the_c_library_and_unknown_to_us();
    date::extensions_mean_what_they_mean_in_date();
}
