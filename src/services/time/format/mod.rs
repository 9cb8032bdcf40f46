//! strftime formats, with the meaning that glibc 2.36 gives them in the C locale.
//!
//! `tests/strftime` holds this to the C library's own `strftime`, for every conversion, flag, width and modifier, and
//! lists what differs. On top come the extensions of date(1): `%N` and its fractions, `%:z`, `%::z`, `%:::z` and `%q`.
//!
//! A format is read twice, once to know that it is good and once to fill it in, and nothing of it is stored: reading
//! costs less than a list of its parts would. It does not resolve zones and does not know what a request is.

mod conversion;
mod render;
mod week;

pub use conversion::FormatError;
use conversion::{Conversion, Kind, Next, next};

/// A format that is known to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format<'f> {
    text: &'f str,
    conversions: usize,
    fractions: bool,
}

impl<'f> Format<'f> {
    /// Reads a whole format. The error names the first conversion that strftime does not have.
    ///
    /// ```
    /// use belfry::services::time::Format;
    /// assert!(Format::parse("%A, %-d %B, %H:%M").is_ok());
    /// assert_eq!(Format::parse("%H:%f").unwrap_err().suggestion(), Some("%6N"));
    /// ```
    pub fn parse(text: &'f str) -> Result<Self, FormatError<'f>> {
        let mut format = Self { text, conversions: 0, fractions: false };
        for item in (Items { rest: text }) {
            if let Item::Conversion(conversion) = item? {
                format.conversions += usize::from(!matches!(conversion.kind, Kind::Character(_)));
                format.fractions |= matches!(conversion.kind, Kind::Fraction);
            }
        }
        Ok(format)
    }

    /// Whether anything is filled in: literal text, `%%`, `%n` and `%t` alone come out as they went in.
    pub const fn fills_in(&self) -> bool {
        self.conversions > 0
    }

    /// Whether the text changes within a second.
    pub const fn shows_fractions(&self) -> bool {
        self.fractions
    }

    /// The parts, of which none is an error.
    fn items(self) -> impl Iterator<Item = Item<'f>> {
        Items { rest: self.text }.map_while(Result::ok)
    }
}

/// A part of a format.
#[derive(Clone, Copy, Debug)]
enum Item<'f> {
    Literal(&'f str),
    Conversion(Conversion),
}

struct Items<'f> {
    rest: &'f str,
}

impl<'f> Iterator for Items<'f> {
    type Item = Result<Item<'f>, FormatError<'f>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let literal_len = self.rest.find('%').unwrap_or(self.rest.len());
        if literal_len > 0 {
            let (literal, rest) = self.rest.split_at(literal_len);
            self.rest = rest;
            return Some(Ok(Item::Literal(literal)));
        }
        Some(match next(self.rest) {
            Ok(Next { conversion, rest }) => {
                self.rest = rest;
                Ok(Item::Conversion(conversion))
            }
            Err(error) => {
                self.rest = "";
                Err(error)
            }
        })
    }
}
