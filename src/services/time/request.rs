//! What a datagram asks for.
//!
//! ```text
//! request = [ "TZ=" zone [ white space ] ] [ format ] [ CR ] [ LF ] *NUL  |  "?" [ CR ] [ LF ] *NUL
//! zone    = *( not white space )  |  DQUOTE *( not DQUOTE ) DQUOTE
//! ```
//!
//! It does not know which zones and conversions there are.

use crate::core::limits::TIME_REQUEST_MAX;
use crate::core::text::{without_newline, without_trailing_nuls};

/// A request, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'r> {
    /// What is wanted.
    pub(super) wanted: Wanted<'r>,
    /// Whether it ends in a newline, as what people type does; the answer then does too.
    pub(super) newline: bool,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'r> {
    /// How to ask, and how good the clock is.
    Help,
    /// The time.
    Time {
        /// In this zone; `None` for the service's own.
        zone: Option<&'r str>,
        /// In this format; `None` for the service's own.
        format: Option<&'r str>,
    },
    /// Nothing: it is longer than a request may be.
    TooLong,
    /// Nothing: it is not UTF-8.
    NotUtf8,
}

impl<'r> Request<'r> {
    /// Reads a datagram, which the kernel may have cut off.
    pub(super) fn read(payload: &'r [u8], truncated: bool) -> Self {
        let text = without_trailing_nuls(payload);
        let (line, newline) = without_newline(text);
        let wanted = if truncated || text.len() > TIME_REQUEST_MAX {
            Wanted::TooLong
        } else {
            str::from_utf8(line).map_or(Wanted::NotUtf8, Wanted::read)
        };
        Self { wanted, newline }
    }
}

impl<'r> Wanted<'r> {
    fn read(line: &'r str) -> Self {
        if line.trim() == "?" {
            return Self::Help;
        }
        let (zone, format) = match line.strip_prefix("TZ=") {
            Some(rest) => {
                let (zone, format) = split_zone(rest);
                (Some(zone), format.trim_start())
            }
            None => (None, line),
        };
        Self::Time { zone, format: Some(format).filter(|format| !format.trim().is_empty()) }
    }
}

/// The zone at the start of `rest`, without its quotes, and what stands behind it.
fn split_zone(rest: &str) -> (&str, &str) {
    match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some(parts) => parts,
        None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn time<'r>(zone: Option<&'r str>, format: Option<&'r str>) -> Wanted<'r> {
        Wanted::Time { zone, format }
    }

    #[test]
    fn a_datagram_is_read_as_zone_format_and_newline() {
        let table: &[(&[u8], Wanted<'_>, bool)] = &[
            (b"", time(None, None), false),
            (b"\n", time(None, None), true),
            (b" \t \r\n", time(None, None), true),
            (b"\0\0", time(None, None), false),
            (b"%H\n\0\0", time(None, Some("%H")), true),
            (b" %H \r\n", time(None, Some(" %H ")), true),
            (b"%H\r", time(None, Some("%H\r")), false),
            (b"%H\n\n", time(None, Some("%H\n")), true),
            (b"TZ=Asia/Tokyo", time(Some("Asia/Tokyo"), None), false),
            (b"TZ=Asia/Tokyo \n", time(Some("Asia/Tokyo"), None), true),
            (b"TZ=Asia/Tokyo  %H:%M %z\n", time(Some("Asia/Tokyo"), Some("%H:%M %z")), true),
            (b"TZ=\"Asia/Tokyo\" %H", time(Some("Asia/Tokyo"), Some("%H")), false),
            (b"TZ=\"Asia/Tokyo %H", time(Some("\"Asia/Tokyo"), Some("%H")), false),
            (b"TZ= %H", time(Some(""), Some("%H")), false),
            (b"TZ=", time(Some(""), None), false),
            (b"tz=UTC %H", time(None, Some("tz=UTC %H")), false),
            (b"?", Wanted::Help, false),
            (b"?\r\n", Wanted::Help, true),
            (b"??", time(None, Some("??")), false),
            (b"%H \xff\n", Wanted::NotUtf8, true),
        ];
        for &(payload, wanted, newline) in table {
            assert_eq!(Request::read(payload, false), Request { wanted, newline }, "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn a_request_at_the_bound_is_read_and_one_past_it_or_cut_off_is_not() {
        let longest = [b'x'; TIME_REQUEST_MAX];
        assert_ne!(Request::read(&longest, false).wanted, Wanted::TooLong);
        assert_eq!(Request::read(&longest, true).wanted, Wanted::TooLong);
        assert_eq!(Request::read(&[b'x'; TIME_REQUEST_MAX + 1], false).wanted, Wanted::TooLong);
        let padded = [b"%H".as_slice(), &[0; 1_022]].concat();
        assert_eq!(Request::read(&padded, false).wanted, time(None, Some("%H")));
    }
}
