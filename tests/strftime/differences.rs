//! Where we differ from the C library, and why.

use crate::oracle::{self, Moment, Zone};
use jiff::Timestamp;

/// What is compared.
pub(crate) struct Case<'c> {
    pub(crate) format: &'c str,
    pub(crate) second: i64,
    pub(crate) zone: &'c Zone,
    pub(crate) libc: &'c Moment,
}

/// A difference.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    #[expect(dead_code, reason = "for those who read")]
    pub(crate) why: &'static str,
    pub(crate) format: &'static str,
    pub(crate) zone: &'static str,
    pub(crate) second: i64,
    pub(crate) libc: Option<&'static str>,
    /// `None` for an error line.
    pub(crate) ours: Option<&'static str>,
    /// A file that has to be there for the C library to differ.
    pub(crate) needs: Option<&'static str>,
    /// Whether it may explain what is shown.
    pub(crate) covers: fn(&Case<'_>) -> bool,
}

/// Whether a conversion in the format ends in this, behind its flags, width and modifier.
fn has(format: &str, ends: &[&str]) -> bool {
    format.match_indices('%').any(|(at, _)| {
        let rest = format[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || "-_^#".contains(c));
        let rest = rest.strip_prefix(['E', 'O']).unwrap_or(rest);
        ends.iter().any(|end| rest.starts_with(end))
    })
}

/// For what the comparison treats apart, or never meets.
const NEVER: fn(&Case<'_>) -> bool = |_| false;

/// All of them.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "fractions, as in date(1)",
        why: "%N is an extension of date(1): strftime is not told of anything shorter than a second",
        format: "%3N",
        zone: "UTC",
        second: 0,
        libc: Some("%3N"),
        ours: Some("000"),
        needs: None,
        covers: |case| has(case.format, &["N"]),
    },
    Difference {
        name: "the quarter, as in date(1)",
        why: "%q is an extension of date(1)",
        format: "%q",
        zone: "UTC",
        second: 0,
        libc: Some("%q"),
        ours: Some("1"),
        needs: None,
        covers: |case| has(case.format, &["q"]),
    },
    Difference {
        name: "offsets with colons, as in date(1)",
        why: "%:z, %::z and %:::z are extensions of date(1)",
        format: "%:z",
        zone: "UTC",
        second: 0,
        libc: Some("%:z"),
        ours: Some("+00:00"),
        needs: None,
        covers: |case| has(case.format, &[":z", "::z", ":::z"]),
    },
    Difference {
        name: "the seconds of an hour that comes twice",
        why: "strftime finds %s by undoing the date, which has two answers when a clock is put back without summer time",
        format: "%s",
        zone: "Europe/Paris",
        second: -1_855_958_961,
        libc: Some("-1855959522"),
        ours: Some("-1855958961"),
        needs: None,
        covers: |case| has(case.format, &["s"]) && case.libc.mktime != case.second,
    },
    Difference {
        name: "summer time before 1970 by a POSIX string",
        why: "glibc computes the rules of no year before 1970; for us a rule without a beginning holds in every year",
        format: "%H %Z",
        zone: "CET-1CEST,M3.5.0,M10.5.0/3",
        second: -86_400 * 180,
        libc: Some("01 CET"),
        ours: Some("02 CEST"),
        needs: None,
        covers: |case| {
            let ours = case.zone.ours.to_offset(Timestamp::from_second(case.second).unwrap()).seconds();
            case.zone.name.contains(',') && case.second < 0 && i64::from(ours) != case.libc.offset()
        },
    },
    Difference {
        name: "a POSIX string that names summer time and gives no rules",
        why: "glibc takes the history of New York from the file posixrules, and its name too after 2037; we take the \
              rules of today, as glibc does where that file is missing",
        format: "%H %Z",
        zone: "XYZ5ABC",
        second: 637_934_400,
        libc: Some("07 XYZ"),
        ours: Some("08 ABC"),
        needs: Some("/usr/share/zoneinfo/posixrules"),
        covers: |case| {
            let wall = Timestamp::from_second(case.second).unwrap();
            let ours = case.zone.ours.to_offset_info(wall);
            let differ = i64::from(ours.offset().seconds()) != case.libc.offset()
                || oracle::strftime("%Z", case.libc).as_deref() != Some(ours.abbreviation());
            case.zone.is_posix() && !case.zone.name.contains(',') && differ
        },
    },
    Difference {
        name: "an unknown conversion",
        why: "glibc copies it; an error line tells a typing mistake from text, and never looks like a format to another server",
        format: "%H %J",
        zone: "UTC",
        second: 0,
        libc: Some("00 %J"),
        ours: None,
        needs: None,
        covers: NEVER,
    },
    Difference {
        name: "a modifier where it means nothing",
        why: "glibc copies it, as any unknown conversion",
        format: "%EH",
        zone: "UTC",
        second: 0,
        libc: Some("%EH"),
        ours: None,
        needs: None,
        covers: NEVER,
    },
    Difference {
        name: "a % at the end",
        why: "glibc copies it, as any unknown conversion; %% says the same on purpose",
        format: "%H%",
        zone: "UTC",
        second: 0,
        libc: Some("00%"),
        ours: None,
        needs: None,
        covers: NEVER,
    },
    Difference {
        name: "control characters",
        why: "an answer is shown on terminals, and whoever forges a request chooses its text: all but newline and tab become ?",
        format: "\x1b[31m%H",
        zone: "UTC",
        second: 0,
        libc: Some("\x1b[31m00"),
        ours: Some("?[31m00"),
        needs: None,
        covers: NEVER,
    },
];
