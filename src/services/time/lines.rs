//! The lines that are not the time: what was wrong with a request, and the help.
//!
//! An error line begins with `? `, which no service of ours answers, and repeats nothing of a request but one conversion in
//! printable ASCII. It says what would work.

use super::format::FormatError;
use super::text::{Full, Text};
use super::zones::Zones;
use crate::core::limits::ERROR_LINE_MAX;
use crate::core::{ClockState, Refusal};

/// Why a request gets an error line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong<'r> {
    NotUtf8,
    TooLong,
    AnswerTooLong,
    NoConversion,
    UnknownConversion(FormatError<'r>),
    UnknownZone(&'r str),
}

impl Wrong<'_> {
    /// The same as a verdict.
    pub(super) const fn refusal(&self) -> Refusal {
        match self {
            Self::NotUtf8 => Refusal::NotUtf8,
            Self::TooLong => Refusal::TooLong,
            Self::AnswerTooLong => Refusal::AnswerTooLong,
            Self::NoConversion => Refusal::NoConversion,
            Self::UnknownConversion(_) => Refusal::UnknownConversion,
            Self::UnknownZone(_) => Refusal::UnknownZone,
        }
    }

    /// Writes the error line, without a newline, in the place of whatever stands in `out`.
    pub(super) fn write(&self, zones: &Zones, out: &mut Text) {
        // Room for the newline.
        out.restart(ERROR_LINE_MAX - 1);
        let written = match self {
            Self::NotUtf8 => out.push(b"? not UTF-8; try %H:%M:%S"),
            Self::TooLong => out.push(b"? longer than 512 bytes; try %H:%M:%S"),
            Self::AnswerTooLong => out.push(b"? the answer would be too long; try fewer or narrower fields"),
            Self::NoConversion => out.push(b"? no conversion in it; try %H:%M:%S or %c"),
            Self::UnknownConversion(error) => unknown_conversion(error, out),
            Self::UnknownZone(wanted) => unknown_zone(wanted, zones, out),
        };
        debug_assert!(written.is_ok(), "every error line fits");
    }
}

/// Whether this is a notice of a hub (`-- …`), or an error line of a service like ours, as it was sent or with something
/// put around it: another service sends it back, and the formats that it recommends are no requests.
pub(in crate::services) fn is_of_a_service(payload: &[u8]) -> bool {
    let find = |text: &[u8], part: &[u8]| text.windows(part.len()).position(|window| window == part);
    payload.starts_with(b"? ")
        || payload.starts_with(b"-- ")
        || find(payload, b"? ").is_some_and(|at| find(&payload[at..], b"; try ").is_some())
}

fn unknown_conversion(error: &FormatError<'_>, out: &mut Text) -> Result<(), Full> {
    let spec = error.spec();
    if spec.is_empty() {
        return out.push(b"? unfinished conversion at the end; try %H:%M:%S, or %% for %");
    }
    out.push(b"? unknown conversion")?;
    if spec.bytes().all(|byte| byte.is_ascii_graphic()) {
        out.push(b" %")?;
        out.push(spec.as_bytes())?;
    }
    out.push(b"; try ")?;
    out.push(error.suggestion().unwrap_or("%H:%M:%S, or %% for %").as_bytes())
}

fn unknown_zone(wanted: &str, zones: &Zones, out: &mut Text) -> Result<(), Full> {
    out.push(b"? unknown zone; try TZ=")?;
    match zones.suggest(wanted) {
        Some(name) if out.push(name.as_bytes()).is_ok() => Ok(()),
        _ => out.push(b"Asia/Tokyo or TZ=CET-1CEST"),
    }
}

/// Writes the help, without a newline: how to ask, and how far the clock can be trusted.
pub(super) fn help(clock: ClockState, out: &mut Text) {
    let written = try_help(clock, out);
    debug_assert!(written.is_ok(), "the help fits the answer to a question mark");
}

fn try_help(clock: ClockState, out: &mut Text) -> Result<(), Full> {
    out.push(b"strftime formats: %H:%M, TZ=Asia/Tokyo %c; clock ")?;
    if !clock.synchronised {
        // The kernel's figure bounds nothing then: it stops at 16 s, and was never right if nothing ever set the clock.
        return out.push(b"not synchronised, error unknown");
    }
    let micros = clock.max_error.as_nanos().div_ceil(1_000);
    let (relation, count, unit) = match micros {
        0..1_000 => ("below", micros.max(1), "us"),
        1_000..1_000_000 => ("below", micros.div_ceil(1_000), "ms"),
        1_000_000..=99_999_000_000 => ("below", micros.div_ceil(1_000_000), "s"),
        // No kernel says so; it has to fit all the same.
        _ => ("above", 99_999, "s"),
    };
    out.push(format!("synchronised, error {relation} {count} {unit}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::{ANSWER_BASE, TIME_REQUEST_MAX};
    use crate::services::time::Format;
    use std::time::Duration;

    fn line(wrong: Wrong<'_>) -> String {
        let mut out = Text::new(0);
        wrong.write(&Zones::utc_only(), &mut out);
        String::from_utf8(out.as_bytes().to_vec()).unwrap()
    }

    fn help_line(clock: ClockState) -> String {
        // The shortest request for help is one byte long.
        let mut out = Text::new(ANSWER_BASE + 3);
        help(clock, &mut out);
        String::from_utf8(out.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn every_error_line_says_what_would_work() {
        let unknown = |format| Wrong::UnknownConversion(Format::parse(format).unwrap_err());
        let table = [
            (Wrong::NotUtf8, "? not UTF-8; try %H:%M:%S"),
            (Wrong::TooLong, "? longer than 512 bytes; try %H:%M:%S"),
            (Wrong::AnswerTooLong, "? the answer would be too long; try fewer or narrower fields"),
            (Wrong::NoConversion, "? no conversion in it; try %H:%M:%S or %c"),
            (unknown("%Y %!"), "? unknown conversion %!; try %H:%M:%S, or %% for %"),
            (unknown("%f"), "? unknown conversion %f; try %6N"),
            (unknown("%-5EH"), "? unknown conversion %EH; try %H"),
            (unknown("%\x1b"), "? unknown conversion; try %H:%M:%S, or %% for %"),
            (unknown("%é"), "? unknown conversion; try %H:%M:%S, or %% for %"),
            (unknown("100%"), "? unfinished conversion at the end; try %H:%M:%S, or %% for %"),
            (Wrong::UnknownZone("\x1b[2J"), "? unknown zone; try TZ=Asia/Tokyo or TZ=CET-1CEST"),
        ];
        for (wrong, expected) in table {
            assert_eq!(line(wrong), expected);
            assert!(expected.len() < ERROR_LINE_MAX, "{expected}");
            for around in ["", "You said: ", "bob: "] {
                assert!(is_of_a_service(format!("{around}{expected}\n").as_bytes()), "{around}{expected}");
            }
        }
        assert!(is_of_a_service(b"-- Welcome to belfry.lan."));
        for request in ["?", "--%H", "%H? %M", "try %H; try %M", "is it %H? yes"] {
            assert!(!is_of_a_service(request.as_bytes()), "{request}");
        }
        assert!(line(Wrong::TooLong).contains(&TIME_REQUEST_MAX.to_string()));
    }

    #[test]
    fn a_city_alone_is_told_its_zone_unless_the_name_is_too_long() {
        let told = |name: &str| {
            let file = crate::services::time::ZoneFile { names: vec![name.to_owned()], bytes: Box::default() };
            let mut out = Text::new(0);
            Wrong::UnknownZone("tokyo").write(&Zones::new([file]), &mut out);
            String::from_utf8(out.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(told("Asia/Tokyo"), "? unknown zone; try TZ=Asia/Tokyo");
        let long = format!("{}/Tokyo", "A".repeat(ERROR_LINE_MAX));
        assert_eq!(told(&long), "? unknown zone; try TZ=Asia/Tokyo or TZ=CET-1CEST");
    }

    #[test]
    fn the_help_tells_the_state_of_the_clock_and_fits_its_bound_in_every_state() {
        let ends = |synchronised, max_error| {
            let line = help_line(ClockState { synchronised, max_error, ..ClockState::default() });
            let (help, state) = line.split_once("; ").unwrap();
            assert_eq!(help, "strftime formats: %H:%M, TZ=Asia/Tokyo %c");
            state.to_owned()
        };
        assert_eq!(ends(false, Duration::from_secs(16)), "clock not synchronised, error unknown");
        let table = [
            (Duration::ZERO, "1 us"),
            (Duration::from_micros(999), "999 us"),
            (Duration::from_nanos(999_001), "1 ms"),
            (Duration::from_micros(12_345), "13 ms"),
            (Duration::from_millis(1_500), "2 s"),
            (Duration::from_secs(99_999), "99999 s"),
        ];
        for (max_error, expected) in table {
            assert_eq!(ends(true, max_error), format!("clock synchronised, error below {expected}"));
        }
        assert_eq!(ends(true, Duration::MAX), "clock synchronised, error above 99999 s");
    }
}
