//! Moments at which calendars and zones are odd.

use belfry::core::SplitMix;
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;

/// The first and the last second that both a `Timestamp` and every zone can show.
const FIRST: i64 = -377_705_000_000;
const LAST: i64 = 253_402_207_200;

/// Ends of years, leap days, noon and midnight, ends of what a number holds, and every change of the zone's rules, each
/// with the second before and after.
pub(crate) fn odd(zone: &TimeZone) -> Vec<i64> {
    let mut moments = vec![0, i64::from(i32::MAX), i64::from(i32::MIN), i64::from(u32::MAX), FIRST, LAST, 999_999_999];
    let years =
        (1995..2030).chain([-9_998, -400, -1, 0, 1, 4, 99, 100, 999, 1000, 1582, 1600, 1752, 1900, 2100, 9_998]);
    for year in years {
        let days = [(12, 28), (12, 29), (12, 30), (12, 31), (1, 1), (1, 2), (1, 3), (1, 4), (2, 28), (3, 1), (7, 31)];
        for (month, day) in days {
            for (hour, minute) in [(0, 0), (12, 0), (12, 59), (13, 0)] {
                let civil = date(year, month, day).at(hour, minute, 0, 0);
                moments.push(zone.to_ambiguous_timestamp(civil).compatible().unwrap().as_second());
            }
        }
    }
    moments.extend(changes(zone));
    moments
        .iter()
        .flat_map(|moment| [moment - 1, *moment, moment + 1])
        .filter(|at| (FIRST..=LAST).contains(at))
        .collect()
}

/// Every change of the zone's rules, the yearly ones until 2128.
pub(crate) fn changes(zone: &TimeZone) -> impl Iterator<Item = i64> {
    let from = Timestamp::from_second(-6_000_000_000).unwrap();
    zone.following(from).map(|change| change.timestamp().as_second()).take_while(|&change| change < 5_000_000_000)
}

/// Every name of a zone that is installed.
pub(crate) fn names() -> Vec<String> {
    let table = std::fs::read_to_string("/usr/share/zoneinfo/tzdata.zi").expect("tzdata is installed");
    let names = table.lines().filter_map(|line| match line.split_once(' ')? {
        ("Z", rest) => rest.split(' ').next(),
        ("L", rest) => rest.split(' ').nth(1),
        _ => None,
    });
    names.map(str::to_owned).collect()
}

/// Any moment, half of them within a century of now.
pub(crate) fn random(chance: &mut SplitMix) -> i64 {
    if chance.below(2) == 0 {
        chance.below(6_000_000_000) as i64 - 2_000_000_000
    } else {
        chance.below((LAST - FIRST) as u64) as i64 + FIRST
    }
}
