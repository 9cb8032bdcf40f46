//! Filling a format in.
//!
//! The oddities are glibc's, kept because scripts have met them: a width pads numbers with zeros, words with spaces; `%-5d`
//! pads with spaces outside of the number; the sign of `%5z` is padded apart from its digits. The conversions that only
//! date(1) has pad as date(1) does.

use super::conversion::{Conversion, Kind, Number, Padding, Word};
use super::{Format, Item, week};
use crate::core::text;
use crate::services::time::moment::Moment;
use crate::services::time::text::{Full, Text};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Format<'_> {
    /// Appends what the format shows at `moment`.
    pub fn render(&self, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        self.items().try_for_each(|item| match item {
            Item::Literal(text) => literal(text, out),
            Item::Conversion(conversion) => conversion.render(moment, out),
        })
    }

    /// Whether what it shows fits so many bytes at its longest: on a Wednesday in September, in a zone without a name.
    pub fn fits(&self, limit: usize) -> bool {
        let wall = Timestamp::constant(1_790_852_182, 0);
        let zone = TimeZone::posix("<-1234>12:34").expect("a good POSIX string");
        self.render(&Moment::new(wall, &zone), &mut Text::new(limit)).is_ok()
    }
}

/// Text as it stands, but for the characters that would move the cursor of somebody's terminal.
fn literal(literal: &str, out: &mut Text) -> Result<(), Full> {
    if literal.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return out.push(literal.as_bytes());
    }
    literal.chars().try_for_each(|character| out.push(text::shown(character).encode_utf8(&mut [0; 4]).as_bytes()))
}

impl Conversion {
    fn render(&self, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        match self.kind {
            Kind::Character(byte) => self.padded(&[byte], out),
            Kind::Word(word) => self.word(word, moment, out),
            Kind::Number(number, digits) => self.number(number.of(moment), digits, self.padding, out),
            Kind::Spaced(number, digits) => {
                let padding = self.padding.unwrap_or(Padding::Spaces);
                self.number(number.of(moment), digits, Some(padding), out)
            }
            Kind::Composite(format) => self.composite(format, moment, out),
            Kind::UnixSecond => self.unix_second(moment, out),
            Kind::Offset => self.offset(moment, out),
            Kind::ColonOffset(colons) => self.colon_offset(colons, moment, out),
            Kind::Fraction => self.fraction(moment, out),
            Kind::Quarter => self.quarter(moment, out),
        }
    }

    fn width(&self) -> usize {
        self.width.unwrap_or(0)
    }

    /// What fills words up: spaces, but for the flag `0`.
    fn fill(&self) -> u8 {
        if self.padding == Some(Padding::Zeros) { b'0' } else { b' ' }
    }

    fn padded(&self, bytes: &[u8], out: &mut Text) -> Result<(), Full> {
        out.repeat(self.fill(), self.width().saturating_sub(bytes.len()))?;
        out.push(bytes)
    }

    fn word(&self, word: Word, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        let start = out.len();
        self.padded(word.of(moment).as_bytes(), out)?;
        let written = out.written_mut(start);
        let lower = match word {
            Word::AmPmLower => true,
            Word::AmPm | Word::ZoneAbbreviation => self.swap,
            _ => false,
        };
        if lower {
            written.make_ascii_lowercase();
        } else if self.upper || self.swap {
            written.make_ascii_uppercase();
        }
        Ok(())
    }

    fn composite(&self, format: &'static str, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        let start = out.len();
        let format = Format { text: format, conversions: 1, fractions: false };
        format.render(moment, out)?;
        out.pad_left(start, self.width(), self.fill())?;
        if self.upper {
            out.written_mut(start).make_ascii_uppercase();
        }
        Ok(())
    }

    fn number(&self, value: i64, digits: usize, padding: Option<Padding>, out: &mut Text) -> Result<(), Full> {
        let decimal = Decimal::of(value.unsigned_abs());
        let sign: &[u8] = if value < 0 { b"-" } else { b"" };
        let missing = digits.max(self.width()).saturating_sub(sign.len() + decimal.digits().len());
        let width = self.width().saturating_sub(sign.len() + decimal.digits().len());
        if padding == Some(Padding::Nothing) {
            out.repeat(b' ', width)?;
        }
        lead(sign, padding, missing, out)?;
        out.push(decimal.digits())
    }

    /// The zeros of the flag `0` go before the sign.
    fn unix_second(&self, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        let start = out.len();
        Self { width: None, ..*self }.number(moment.unix_second(), 1, None, out)?;
        out.pad_left(start, self.width(), self.fill())
    }

    /// The sign is a field of its own, as wide as the width says.
    fn offset(&self, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        let offset = moment.offset();
        self.padded(if offset < 0 { b"-" } else { b"+" }, out)?;
        let minutes = offset.abs() / 60;
        self.number(minutes / 60 * 100 + minutes % 60, 4, self.padding, out)
    }

    fn colon_offset(&self, colons: usize, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        let offset = moment.offset();
        // RFC 3339: -00:00 is for an offset that nobody knows; tzdata then calls the zone "-00".
        let negative = offset < 0 || (offset == 0 && moment.abbreviation().starts_with('-'));
        let (hours, minutes, seconds) = (offset.abs() / 3_600, offset.abs() / 60 % 60, offset.abs() % 60);
        let parts = match colons {
            3 if seconds == 0 && minutes == 0 => 1,
            3 if seconds == 0 => 2,
            3 => 3,
            _ => colons + 1,
        };
        let hours = Decimal::of(hours.unsigned_abs());
        let len = 1 + hours.digits().len() + 3 * (parts - 1);
        // Two digits for the hour.
        let least = 3 * parts;
        let missing = self.width.unwrap_or(least).saturating_sub(len);
        let sign: &[u8] = if negative { b"-" } else { b"+" };
        lead(sign, self.padding, missing, out)?;
        out.push(hours.digits())?;
        for part in [minutes, seconds].into_iter().take(parts - 1) {
            out.push(b":")?;
            two_digits(part, out)?;
        }
        Ok(())
    }

    /// The width is a number of digits: `%3N` is milliseconds, rounded down. `%-N` is as many digits as the clock has.
    fn fraction(&self, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        let width = self.width.filter(|&width| width > 0).unwrap_or(9);
        let mut digits = [b'0'; 9];
        let mut rest = moment.nanosecond();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let shown = &digits[..width.min(digits.len())];
        let significant = shown.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
        out.push(&shown[..significant])?;
        match self.padding {
            // Linux counts nanoseconds.
            Some(Padding::Nothing) if self.width.is_none() => out.repeat(b'0', width - significant),
            Some(Padding::Nothing) => Ok(()),
            Some(Padding::Spaces) => out.repeat(b' ', width - significant),
            Some(Padding::Zeros) | None => out.repeat(b'0', width - significant),
        }
    }

    fn quarter(&self, moment: &Moment<'_>, out: &mut Text) -> Result<(), Full> {
        lead(b"", self.padding, self.width().saturating_sub(1), out)?;
        out.push(&[b'1' + ((moment.month() - 1) / 3) as u8])
    }
}

/// What stands before digits that lack so many: zeros behind the sign, or spaces before it.
fn lead(sign: &[u8], padding: Option<Padding>, missing: usize, out: &mut Text) -> Result<(), Full> {
    match padding {
        Some(Padding::Nothing) => out.push(sign),
        Some(Padding::Spaces) => {
            out.repeat(b' ', missing)?;
            out.push(sign)
        }
        Some(Padding::Zeros) | None => {
            out.push(sign)?;
            out.repeat(b'0', missing)
        }
    }
}

fn two_digits(value: i64, out: &mut Text) -> Result<(), Full> {
    out.push(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8])
}

impl Word {
    fn of<'m>(self, moment: &'m Moment<'_>) -> &'m str {
        let weekday = WEEKDAYS[moment.weekday() as usize];
        let month = MONTHS[moment.month() as usize - 1];
        match self {
            Self::WeekdayShort => &weekday[..3],
            Self::Weekday => weekday,
            Self::MonthShort => &month[..3],
            Self::Month => month,
            Self::AmPm | Self::AmPmLower if moment.hour() < 12 => "AM",
            Self::AmPm | Self::AmPmLower => "PM",
            Self::ZoneAbbreviation => moment.abbreviation(),
        }
    }
}

impl Number {
    fn of(self, moment: &Moment<'_>) -> i64 {
        let iso = || week::iso(moment.year(), moment.year_day(), moment.weekday());
        match self {
            Self::Century => moment.year().div_euclid(100),
            Self::Year => moment.year(),
            Self::YearOfCentury => moment.year().rem_euclid(100),
            Self::Month => moment.month(),
            Self::Day => moment.day(),
            Self::YearDay => moment.year_day(),
            Self::Hour => moment.hour(),
            Self::Hour12 => (moment.hour() + 11) % 12 + 1,
            Self::Minute => moment.minute(),
            Self::Second => moment.second(),
            Self::Weekday => moment.weekday(),
            Self::IsoWeekday => (moment.weekday() + 6) % 7 + 1,
            Self::IsoYear => iso().0,
            Self::IsoYearOfCentury => iso().0.rem_euclid(100),
            Self::IsoWeek => iso().1,
            Self::WeekFromSunday => week::from_sunday(moment.year_day(), moment.weekday()),
            Self::WeekFromMonday => week::from_monday(moment.year_day(), moment.weekday()),
        }
    }
}

/// A number in decimal digits, without an allocation.
struct Decimal {
    bytes: [u8; 20],
    start: usize,
}

impl Decimal {
    fn of(mut value: u64) -> Self {
        let mut decimal = Self { bytes: [b'0'; 20], start: 20 };
        loop {
            decimal.start -= 1;
            decimal.bytes[decimal.start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return decimal;
            }
        }
    }

    fn digits(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn shown(format: &str) -> String {
        let wall = "2026-09-21T14:03:27.120000009Z".parse().unwrap();
        let zone = TimeZone::posix("IST-5:30").unwrap();
        let mut out = Text::new(usize::MAX);
        Format::parse(format).unwrap().render(&Moment::new(wall, &zone), &mut out).unwrap();
        String::from_utf8(out.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn conversions_flags_and_widths_mean_what_they_mean_in_c() {
        let table = [
            ("%c|%x|%X|%r", "Mon Sep 21 19:33:27 2026|09/21/26|19:33:27|07:33:27 PM"),
            ("%a %A %b %h %B %p %P %Z", "Mon Monday Sep Sep September PM pm IST"),
            ("%^a %#a %#p %#Z %^c", "MON MON pm ist MON SEP 21 19:33:27 2026"),
            ("%5d|%-5d|%_5d|%05d|%-e|%0e", "00021|   21|   21|00021|21|21"),
            ("%10a|%010a|%30c", "       Mon|0000000Mon|      Mon Sep 21 19:33:27 2026"),
            ("%z|%5z|%-z|%_z", "+0530|    +00530|+530|+ 530"),
            ("%:z|%::z|%:::z|%_10:z", "+05:30|+05:30:00|+05:30|     +5:30"),
            ("%N|%3N|%-N|%_12N|%q", "120000009|120|120000009|120000009   |3"),
            ("%5%|%3n|%03t", "    %|  \n|00\t"),
        ];
        for (format, expected) in table {
            assert_eq!(shown(format), expected, "{format}");
        }
    }

    #[test]
    fn a_field_too_wide_for_a_datagram_is_refused_before_it_is_made() {
        let zone = TimeZone::UTC;
        let moment = Moment::new("2026-09-21T14:03:27Z".parse().unwrap(), &zone);
        for format in
            ["%9999999d", "%99999999999999999999c", "%1233Z", "%_1233z", "%2000N", "%2000:z", "%1300q", "%1300n"]
        {
            let mut out = Text::new(usize::MAX);
            assert_eq!(Format::parse(format).unwrap().render(&moment, &mut out), Err(Full), "{format}");
        }
    }

    #[test]
    fn a_format_fits_when_it_does_so_on_a_wednesday_in_september() {
        let longest = "Wednesday 30 September 2026 -1234";
        let format = Format::parse("%A %d %B %Y %Z").unwrap();
        assert!(format.fits(longest.len()) && !format.fits(longest.len() - 1));
    }

    #[test]
    fn no_control_character_of_the_literal_text_is_shown() {
        assert_eq!(shown("\x1b[2J\u{9b}%H\u{202e}\r\x7fé\tx\n"), "?[2J?19???é\tx\n");
    }
}
