//! Zone and format, as the server reads them, with room for what we want to know beside them.

use crate::client::Failure;

/// What is shown where no format is given, and the server's own cannot be asked for beside something else.
const USUAL_FORMAT: &str = "%Y-%m-%d %X";

/// Zone and format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct Request {
    /// `TZ=Asia/Tokyo `, or empty.
    zone: String,
    format: String,
    /// Whether nothing is to be shown.
    is_exact: bool,
}

impl Request {
    /// The zone may also stand before the format, as `TZ=ZONE FORMAT`.
    pub(super) fn new(zone: Option<&str>, format: &str) -> Result<Self, Failure> {
        let (before, format) = split(format);
        let zone = match zone {
            Some(_) if !before.is_empty() => {
                return Err(Failure::Usage("either --zone or TZ= before the format, not both".to_owned()));
            }
            Some(zone) if zone.contains('"') => {
                return Err(Failure::Usage(format!("no zone has a quotation mark in it: {zone}")));
            }
            Some(zone) if zone.contains(char::is_whitespace) => format!("TZ=\"{zone}\" "),
            Some(zone) => format!("TZ={zone} "),
            None if before.is_empty() => String::new(),
            None => format!("{} ", before.trim_end()),
        };
        Ok(Self { zone, format: format.to_owned(), is_exact: false })
    }

    /// For the exact time alone.
    pub(in crate::client) fn exact() -> Self {
        Self { zone: String::new(), format: String::new(), is_exact: true }
    }

    /// As it was given: the server's own format where there is none.
    pub(super) fn plain(&self) -> String {
        format!("{}{}", self.zone, self.format)
    }

    /// For the exact time and `tag` in the first line, by which the answer is known, and below it what is to be shown.
    pub(super) fn of(&self, tag: u32) -> String {
        let format = match &self.format {
            _ if self.is_exact => return format!("%s.%N {tag}"),
            format if format.trim().is_empty() => USUAL_FORMAT,
            format => format,
        };
        format!("{}%s.%N {tag}%n{format}", self.zone)
    }
}

/// What stands before a format to say the zone, with the white space behind it; and the format.
fn split(text: &str) -> (&str, &str) {
    let Some(zone) = text.strip_prefix("TZ=") else { return ("", text) };
    let rest = match zone.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some((_, rest)) => rest,
        None => zone.find(char::is_whitespace).map_or("", |at| &zone[at..]),
    };
    let format = rest.trim_start();
    (&text[..text.len() - format.len()], format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_stands_before_what_is_asked_however_it_is_given() {
        let cases = [
            (None, "%H:%M", "%H:%M", "%s.%N 7%n%H:%M"),
            (None, "", "", "%s.%N 7%n%Y-%m-%d %X"),
            (None, "TZ=Asia/Tokyo %H", "TZ=Asia/Tokyo %H", "TZ=Asia/Tokyo %s.%N 7%n%H"),
            (None, "TZ=\"a b\" %H", "TZ=\"a b\" %H", "TZ=\"a b\" %s.%N 7%n%H"),
            (None, "TZ=UTC", "TZ=UTC ", "TZ=UTC %s.%N 7%n%Y-%m-%d %X"),
            (Some("Asia/Tokyo"), "%H", "TZ=Asia/Tokyo %H", "TZ=Asia/Tokyo %s.%N 7%n%H"),
            (Some("a b"), "%H", "TZ=\"a b\" %H", "TZ=\"a b\" %s.%N 7%n%H"),
            (Some(""), "%H", "TZ= %H", "TZ= %s.%N 7%n%H"),
        ];
        for (zone, format, plain, tagged) in cases {
            let request = Request::new(zone, format).unwrap();
            assert_eq!((request.plain().as_str(), request.of(7).as_str()), (plain, tagged));
        }
        assert_eq!(Request::exact().of(7), "%s.%N 7");
    }

    #[test]
    fn zones_that_cannot_be_said_are_bad_usage() {
        for (zone, format) in [("UTC", "TZ=UTC %H"), ("a\"b", "%H")] {
            assert!(matches!(Request::new(Some(zone), format), Err(Failure::Usage(_))), "{zone}");
        }
    }
}
