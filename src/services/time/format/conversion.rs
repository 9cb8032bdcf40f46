//! One conversion: `%`, flags, width, modifier, letter.
//!
//! [`kind`] is the table of all letters. It says what each shows, and which of the modifiers `E` and `O` it accepts: the C
//! locale has no other eras and digits, so they change nothing, but glibc knows where they may stand.

/// One conversion with all that modifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conversion {
    /// `-`, `_` or `0`: the last of them.
    pub(super) padding: Option<Padding>,
    /// `^`
    pub(super) upper: bool,
    /// `#`
    pub(super) swap: bool,
    /// The least width; `None` leaves it to the conversion.
    pub(super) width: Option<usize>,
    /// What it shows.
    pub(super) kind: Kind,
}

/// What goes before a number to make it wide enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// `-`
    Nothing,
    /// `_`
    Spaces,
    /// `0`
    Zeros,
}

/// What a conversion shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `%%`, `%n` or `%t`.
    Character(u8),
    /// A word.
    Word(Word),
    /// A number of at least so many digits.
    Number(Number, usize),
    /// The same, with spaces before it when no flag says otherwise.
    Spaced(Number, usize),
    /// What another format shows.
    Composite(&'static str),
    /// `%s`: seconds since the epoch, which are padded like a word.
    UnixSecond,
    /// `%z`: `+0530`.
    Offset,
    /// `%:z`, `%::z` and `%:::z`: `+05:30`, by the number of colons.
    ColonOffset(usize),
    /// `%N`: nanoseconds, or as many digits of them as the width says.
    Fraction,
    /// `%q`: quarter of the year. Like a number, but padded as date(1) does.
    Quarter,
}

/// Words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    WeekdayShort,
    Weekday,
    MonthShort,
    Month,
    AmPm,
    AmPmLower,
    ZoneAbbreviation,
}

/// Numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Century,
    Year,
    YearOfCentury,
    Month,
    Day,
    YearDay,
    Hour,
    Hour12,
    Minute,
    Second,
    /// Sunday 0 to Saturday 6.
    Weekday,
    /// Monday 1 to Sunday 7.
    IsoWeekday,
    IsoYear,
    IsoYearOfCentury,
    IsoWeek,
    WeekFromSunday,
    WeekFromMonday,
}

/// Which modifiers a letter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    None,
    E,
    O,
    Both,
}

impl Takes {
    const fn accepts(self, modifier: Option<u8>) -> bool {
        match modifier {
            None => true,
            Some(b'E') => matches!(self, Self::E | Self::Both),
            Some(_) => matches!(self, Self::O | Self::Both),
        }
    }
}

/// What a letter shows, and the modifiers it takes. The letters that take both are those for which glibc never looks.
const fn kind(letter: u8) -> Option<(Kind, Takes)> {
    use Kind::{Character, Composite, Number as N, Spaced, Word as W};
    Some(match letter {
        b'%' => (Character(b'%'), Takes::None),
        b'n' => (Character(b'\n'), Takes::Both),
        b't' => (Character(b'\t'), Takes::Both),
        b'a' => (W(Word::WeekdayShort), Takes::None),
        b'A' => (W(Word::Weekday), Takes::None),
        b'b' | b'h' => (W(Word::MonthShort), Takes::O),
        b'B' => (W(Word::Month), Takes::O),
        b'p' => (W(Word::AmPm), Takes::Both),
        b'P' => (W(Word::AmPmLower), Takes::Both),
        b'Z' => (W(Word::ZoneAbbreviation), Takes::Both),
        b'c' => (Composite("%a %b %e %H:%M:%S %Y"), Takes::E),
        b'D' => (Composite("%m/%d/%y"), Takes::None),
        b'F' => (Composite("%Y-%m-%d"), Takes::None),
        b'r' => (Composite("%I:%M:%S %p"), Takes::Both),
        b'R' => (Composite("%H:%M"), Takes::Both),
        b'T' => (Composite("%H:%M:%S"), Takes::Both),
        b'x' => (Composite("%m/%d/%y"), Takes::E),
        b'X' => (Composite("%H:%M:%S"), Takes::E),
        b'C' => (N(Number::Century, 1), Takes::Both),
        b'Y' => (N(Number::Year, 1), Takes::E),
        b'y' => (N(Number::YearOfCentury, 2), Takes::Both),
        b'm' => (N(Number::Month, 2), Takes::O),
        b'd' => (N(Number::Day, 2), Takes::O),
        b'e' => (Spaced(Number::Day, 2), Takes::O),
        b'j' => (N(Number::YearDay, 3), Takes::O),
        b'H' => (N(Number::Hour, 2), Takes::O),
        b'k' => (Spaced(Number::Hour, 2), Takes::O),
        b'I' => (N(Number::Hour12, 2), Takes::O),
        b'l' => (Spaced(Number::Hour12, 2), Takes::O),
        b'M' => (N(Number::Minute, 2), Takes::O),
        b'S' => (N(Number::Second, 2), Takes::O),
        b's' => (Kind::UnixSecond, Takes::Both),
        b'w' => (N(Number::Weekday, 1), Takes::O),
        b'u' => (N(Number::IsoWeekday, 1), Takes::Both),
        b'G' => (N(Number::IsoYear, 1), Takes::O),
        b'g' => (N(Number::IsoYearOfCentury, 2), Takes::O),
        b'V' => (N(Number::IsoWeek, 2), Takes::O),
        b'U' => (N(Number::WeekFromSunday, 2), Takes::O),
        b'W' => (N(Number::WeekFromMonday, 2), Takes::O),
        b'z' => (Kind::Offset, Takes::Both),
        b'N' => (Kind::Fraction, Takes::O),
        b'q' => (Kind::Quarter, Takes::E),
        _ => return None,
    })
}

/// A conversion that strftime does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatError<'f> {
    /// What cannot be converted: the modifier or colons, if any, and the letter; empty when the format ends before it.
    spec: &'f str,
}

impl<'f> FormatError<'f> {
    /// The conversion as people write it, without its `%`, flags and width; empty for a `%` at the end.
    pub const fn spec(&self) -> &'f str {
        self.spec
    }

    /// What was probably meant: the letters of other libraries, and letters that have a modifier they do not take.
    pub fn suggestion(&self) -> Option<&'static str> {
        let letter = self.spec.trim_start_matches(['E', 'O']);
        Some(match letter {
            "f" => "%6N",
            "L" => "%3N",
            "i" => "%M",
            "J" => "%j",
            "K" => "%k",
            "Q" => "%Z",
            "v" => "%e-%b-%Y",
            "+" => "%c",
            "o" => "%e",
            ":" => "%:z",
            // A good letter with a modifier that it does not take.
            _ => MODIFIED.get(MODIFIED.iter().position(|&known| known[1..] == *letter)?)?,
        })
    }
}

/// The letters that refuse a modifier.
const MODIFIED: &[&str] = &[
    "%%", "%a", "%A", "%b", "%B", "%c", "%d", "%D", "%e", "%F", "%g", "%G", "%h", "%H", "%I", "%j", "%k", "%l", "%m",
    "%M", "%N", "%q", "%S", "%U", "%V", "%w", "%W", "%x", "%X", "%Y",
];

/// A conversion and what stands behind it.
pub(super) struct Next<'f> {
    pub(super) conversion: Conversion,
    pub(super) rest: &'f str,
}

/// Reads the conversion that begins at the start of `text`, which is a `%`.
pub(super) fn next(text: &str) -> Result<Next<'_>, FormatError<'_>> {
    let bytes = text.as_bytes();
    let mut conversion =
        Conversion { padding: None, upper: false, swap: false, width: None, kind: Kind::Character(b'%') };
    let mut at = 1;
    while let Some(&flag) = bytes.get(at) {
        match flag {
            b'-' => conversion.padding = Some(Padding::Nothing),
            b'_' => conversion.padding = Some(Padding::Spaces),
            b'0' => conversion.padding = Some(Padding::Zeros),
            b'^' => conversion.upper = true,
            b'#' => conversion.swap = true,
            _ => break,
        }
        at += 1;
    }
    while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
        let width = conversion.width.unwrap_or(0);
        // A width that does not fit a number does not fit a datagram either.
        conversion.width = Some(width.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        at += 1;
    }
    let spec_start = at;
    let modifier = bytes.get(at).copied().filter(|byte| matches!(byte, b'E' | b'O'));
    at += usize::from(modifier.is_some());
    let colons = bytes[at..].iter().take_while(|&&byte| byte == b':').count();
    let known = match (colons, bytes.get(at + colons)) {
        (0, Some(&letter)) => kind(letter).filter(|(_, takes)| takes.accepts(modifier)).map(|(kind, _)| kind),
        (1..=3, Some(b'z')) if modifier != Some(b'O') => Some(Kind::ColonOffset(colons)),
        _ => None,
    };
    match known {
        Some(kind) => {
            conversion.kind = kind;
            Ok(Next { conversion, rest: &text[at + colons + 1..] })
        }
        None => Err(FormatError { spec: through_char(text, spec_start, at) }),
    }
}

/// `text` from `start` through the character at `last`, which may be longer than a byte, or missing.
fn through_char(text: &str, start: usize, last: usize) -> &str {
    let last_len = text[last..].chars().next().map_or(0, char::len_utf8);
    &text[start..last + last_len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_modifier_and_the_letter_alone() {
        let table = [
            ("%Q", "Q", Some("%Z")),
            ("%-10EH!", "EH", Some("%H")),
            ("%OY", "OY", Some("%Y")),
            ("%E%", "E%", Some("%%")),
            ("%EE", "EE", None),
            ("%_5", "", None),
            ("%", "", None),
            ("%E", "E", None),
            ("%é", "é", None),
            ("%+", "+", Some("%c")),
            ("%:H", ":", Some("%:z")),
            ("%::::z", ":", Some("%:z")),
            ("%O:z", "O:", Some("%:z")),
        ];
        for (text, spec, suggestion) in table {
            let error = next(text).map(|_| ()).expect_err(text);
            assert_eq!((error.spec(), error.suggestion()), (spec, suggestion), "{text}");
        }
    }

    #[test]
    fn every_suggestion_is_a_good_conversion() {
        for first in ["", "E", "O"] {
            for letter in (0..=127_u8).map(char::from) {
                let spec = format!("{first}{letter}");
                let Some(suggestion) = (FormatError { spec: &spec }).suggestion() else { continue };
                assert!(crate::services::time::Format::parse(suggestion).is_ok(), "{suggestion}");
            }
        }
    }

    #[test]
    fn every_letter_that_refuses_a_modifier_is_suggested_without_it() {
        for letter in 0..=127_u8 {
            let Some((_, takes)) = kind(letter) else { continue };
            for modifier in [b'E', b'O'] {
                let spec = String::from_utf8(vec![b'%', modifier, letter]).unwrap();
                let refused = next(&spec).map(|_| ());
                assert_eq!(refused.is_ok(), takes.accepts(Some(modifier)), "{spec}");
                if let Err(error) = refused {
                    assert_eq!(error.suggestion(), Some(format!("%{}", char::from(letter)).as_str()), "{spec}");
                }
            }
        }
    }

    #[test]
    fn the_last_padding_flag_counts_and_a_huge_width_stays_huge() {
        let read = next("%-_0^#99999999999999999999999999d").map(|next| next.conversion).ok().unwrap();
        assert_eq!(read.padding, Some(Padding::Zeros));
        assert_eq!((read.upper, read.swap, read.width), (true, true, Some(usize::MAX)));
    }
}
