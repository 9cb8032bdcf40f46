//! How each kind of value is written: text to value and back.
//!
//! What is checked here needs nothing but the text itself. What depends on another key, on a bound or on the host is
//! checked in `check`.

use super::{LineFormat, LogTarget, Timezone};
use crate::core::access::AccessRule;
use crate::core::limits::DURATION_MAX;
use crate::core::rate::{ByteRate, Rate};
use crate::core::text::is_control;
use log::LevelFilter;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A value that stands in the file as a string.
pub(super) trait Setting: Sized {
    /// What to write, for somebody who wrote something else.
    const EXPECTED: &'static str;

    /// The value, or what is wrong with the text.
    fn from_text(text: &str) -> Result<Self, String>;

    /// The text that [`Setting::from_text`] reads as this value.
    fn to_text(&self) -> String;
}

impl Setting for String {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_text(&self) -> String {
        self.clone()
    }
}

const TARGETS: [(&str, LogTarget); 4] = [
    ("auto", LogTarget::Auto),
    ("journal", LogTarget::Journal),
    ("syslog", LogTarget::Syslog),
    ("stderr", LogTarget::Stderr),
];

impl Setting for LogTarget {
    const EXPECTED: &'static str = "\"auto\", \"journal\", \"syslog\" or \"stderr\"";

    fn from_text(text: &str) -> Result<Self, String> {
        by_name(&TARGETS, text).ok_or_else(|| format!("there is no target {text:?}"))
    }

    fn to_text(&self) -> String {
        name_of(&TARGETS, *self)
    }
}

/// Log levels by their names, from nothing to everything.
pub const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

impl Setting for LevelFilter {
    const EXPECTED: &'static str = "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";

    fn from_text(text: &str) -> Result<Self, String> {
        by_name(&LEVELS, text).ok_or_else(|| format!("there is no level {text:?}"))
    }

    fn to_text(&self) -> String {
        name_of(&LEVELS, *self)
    }
}

pub(super) fn by_name<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
    names.iter().find(|(name, _)| *name == text).map(|&(_, value)| value)
}

pub(super) fn name_of<T: PartialEq>(names: &[(&str, T)], value: T) -> String {
    names.iter().find(|(_, named)| *named == value).map_or_else(String::new, |(name, _)| (*name).to_owned())
}

impl Setting for AccessRule {
    const EXPECTED: &'static str = "\"any\", \"loopback\", \"on-link\", an address or a block such as \"10.0.0.0/8\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Setting for Option<Rate> {
    const EXPECTED: &'static str = "\"off\", or a rate such as \"50/s burst 200 leak 1/8\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(None) } else { text.parse().map(Some) }
    }

    fn to_text(&self) -> String {
        self.map_or_else(|| "off".to_owned(), |rate| rate.to_string())
    }
}

impl Setting for Option<ByteRate> {
    const EXPECTED: &'static str = "\"off\", or bytes a second such as \"32 MB/s\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(None) } else { text.parse().map(Some) }
    }

    fn to_text(&self) -> String {
        self.map_or_else(|| "off".to_owned(), |rate| rate.to_string())
    }
}

impl Setting for Timezone {
    const EXPECTED: &'static str = "\"local\", or a zone such as \"Europe/Berlin\"";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(if text == "local" { Self::Local } else { Self::Named(text.to_owned()) })
    }

    fn to_text(&self) -> String {
        match self {
            Self::Local => "local".to_owned(),
            Self::Named(name) => name.clone(),
        }
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration such as \"10s\", \"1.5h\" or \"1m 30s\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text).map_err(|error| format!("{text:?}: {error}"))?;
        if duration > DURATION_MAX {
            return Err(format!("{text:?} is longer than a year"));
        }
        Ok(duration)
    }

    fn to_text(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"";

    /// Refuses what could be parsed but never be bound and answered from.
    fn from_text(text: &str) -> Result<Self, String> {
        let addr: SocketAddr = text.parse().map_err(|_| why_no_socket_address(text))?;
        if addr.ip().is_multicast() {
            return Err(format!("{} is a group, and nothing can be answered from it", addr.ip()));
        }
        match addr {
            SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
                Err(format!("{text:?} is an IPv4 address: write {}:{}", addr.ip().to_canonical(), addr.port()))
            }
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
                Err(format!("{text:?} lacks the number of its interface: write [{}%2]:{}", v6.ip(), v6.port()))
            }
            _ => Ok(addr),
        }
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

fn why_no_socket_address(text: &str) -> String {
    if text.parse::<IpAddr>().is_ok() {
        return format!("{text:?} has no port");
    }
    match text.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_err() => format!("{text:?}: {port:?} is not a port (0 to 65535)"),
        Some((addr, _)) => format!("{text:?}: {addr:?} is not an address"),
        None => format!("{text:?} is not an address with a port"),
    }
}

impl Setting for IpAddr {
    const EXPECTED: &'static str = "an address such as \"224.0.0.1\" or \"ff02::1\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is not an address"))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// A pattern for the names of interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(pub(super) String);

impl Setting for Glob {
    const EXPECTED: &'static str = "a name or a pattern such as \"eth*\" or \"!docker*\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let pattern = text.strip_prefix('!').unwrap_or(text);
        if pattern.is_empty() {
            return Err(format!("{text:?} is an empty pattern, which no interface matches"));
        }
        if pattern.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(format!("{text:?} has a character that no interface has in its name"));
        }
        Ok(Self(text.to_owned()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

const FROM: &str = "{from}";
const TEXT: &str = "{text}";

impl Setting for LineFormat {
    const EXPECTED: &'static str = "{from} and {text}, each once, with a sign between, such as \"{from}: {text}\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if !is_plain(text) {
            return Err("a control character would reach every terminal".to_owned());
        }
        for field in [FROM, TEXT] {
            match text.matches(field).count() {
                0 => return Err(format!("{field} is missing")),
                1 => {}
                _ => return Err(format!("{field} stands more than once")),
            }
        }
        let (from, text_at) = (text.find(FROM).unwrap_or_default(), text.find(TEXT).unwrap_or_default());
        let (first, second) = (from.min(text_at), from.max(text_at));
        let before = &text[..first];
        let between = &text[first + FROM.len()..second];
        let after = &text[second + FROM.len()..];
        // A line is known by these when it comes back: with a mere space, `I` who says `am` would keep "I am" from all.
        if between.chars().all(|c| c.is_alphanumeric() || c.is_whitespace()) {
            return Err("no sign stands between {from} and {text}".to_owned());
        }
        for part in [before, between, after] {
            if let Some(at) = part.find(['{', '}']) {
                let word = part[at..].split_inclusive('}').next().unwrap_or_default();
                return Err(format!("{word:?} is no field"));
            }
        }
        let [before, between, after] = [before, between, after].map(str::to_owned);
        Ok(Self { before, between, after, sender_first: from < text_at })
    }

    fn to_text(&self) -> String {
        let (first, second) = if self.sender_first { (FROM, TEXT) } else { (TEXT, FROM) };
        [&self.before, first, &self.between, second, &self.after].concat()
    }
}

/// Whether a text is one line that looks on every terminal as it reads.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| is_control(c) || matches!(c, '\t' | '\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line: a text, and the text that the value is written as, or why it is refused.
    fn check<T: Setting>(table: &[(&str, Result<&str, &str>)]) {
        for &(text, outcome) in table {
            let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(T::from_text(text).map(|value| value.to_text()), outcome, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        check::<Duration>(&[
            ("10s", Ok("10s")),
            ("1.5h", Ok("1h 30m")),
            ("1m 30s", Ok("1m 30s")),
            ("0", Ok("0s")),
            ("0s", Ok("0s")),
            ("250ms", Ok("250ms")),
            ("365days", Ok("11months 30days 3h 50m 24s")),
            ("366days", Err("\"366days\" is longer than a year")),
            ("10", Err("\"10\": time unit needed, for example 10sec or 10ms")),
            ("", Err("\"\": value was empty")),
        ]);
        assert!(Duration::from_text("-5s").is_err());
        assert!(Duration::from_text("10 parsecs").is_err());
    }

    #[test]
    fn a_listener_is_an_address_of_ours_and_a_port() {
        check::<SocketAddr>(&[
            ("0.0.0.0:8080", Ok("0.0.0.0:8080")),
            ("[::]:0", Ok("[::]:0")),
            ("[fe80::1%3]:8080", Ok("[fe80::1%3]:8080")),
            ("[fe80::1]:8080", Err("\"[fe80::1]:8080\" lacks the number of its interface: write [fe80::1%2]:8080")),
            ("[::ffff:10.0.0.1]:80", Err("\"[::ffff:10.0.0.1]:80\" is an IPv4 address: write 10.0.0.1:80")),
            ("224.0.0.1:8001", Err("224.0.0.1 is a group, and nothing can be answered from it")),
            ("0.0.0.0", Err("\"0.0.0.0\" has no port")),
            ("::1", Err("\"::1\" has no port")),
            ("0.0.0.0:65536", Err("\"0.0.0.0:65536\": \"65536\" is not a port (0 to 65535)")),
            ("localhost:8080", Err("\"localhost:8080\": \"localhost\" is not an address")),
            ("8080", Err("\"8080\" is not an address with a port")),
        ]);
    }

    #[test]
    fn a_line_format_has_both_fields_and_a_sign_between() {
        check::<LineFormat>(&[
            ("{from}: {text}", Ok("{from}: {text}")),
            ("<{from}> {text}\u{2026}", Ok("<{from}> {text}\u{2026}")),
            ("{text} ({from})", Ok("{text} ({from})")),
            ("{text}", Err("{from} is missing")),
            ("{from}", Err("{text} is missing")),
            ("{from} {text} {text}", Err("{text} stands more than once")),
            ("{from} {from} {text}", Err("{from} stands more than once")),
            ("{from}{text}", Err("no sign stands between {from} and {text}")),
            ("{text}{from}", Err("no sign stands between {from} and {text}")),
            ("({from}) {text}", Ok("({from}) {text}")),
            ("{from} {text}", Err("no sign stands between {from} and {text}")),
            ("{from} says {text}", Err("no sign stands between {from} and {text}")),
            ("{time} {from}: {text}", Err("\"{time}\" is no field")),
            ("{from}: {text}}", Err("\"}\" is no field")),
            ("{from}:\t{text}", Err("a control character would reach every terminal")),
            ("{from}:\u{200f} {text}", Err("a control character would reach every terminal")),
            ("{from}:\u{202e} {text}", Err("a control character would reach every terminal")),
            ("{from}: {text}\n", Err("a control character would reach every terminal")),
        ]);
        let reversed = LineFormat::from_text("a{text}-{from}c").unwrap();
        let parts = ["a", "-", "c"].map(str::to_owned);
        assert_eq!([reversed.before, reversed.between, reversed.after], parts);
        assert!(!reversed.sender_first);
        assert_eq!(LineFormat::default().to_text(), "{from}: {text}");
    }

    #[test]
    fn a_pattern_could_match_an_interface() {
        check::<Glob>(&[
            ("*", Ok("*")),
            ("!docker*", Ok("!docker*")),
            ("", Err("\"\" is an empty pattern, which no interface matches")),
            ("!", Err("\"!\" is an empty pattern, which no interface matches")),
            ("eth 0", Err("\"eth 0\" has a character that no interface has in its name")),
            ("a/b", Err("\"a/b\" has a character that no interface has in its name")),
        ]);
    }

    #[test]
    fn names_are_written_in_small_letters() {
        for (name, _) in TARGETS {
            check::<LogTarget>(&[(name, Ok(name))]);
        }
        for (name, _) in LEVELS {
            check::<LevelFilter>(&[(name, Ok(name))]);
        }
        check::<LogTarget>(&[("Journal", Err("there is no target \"Journal\""))]);
        check::<LevelFilter>(&[("INFO", Err("there is no level \"INFO\""))]);
        check::<Option<Rate>>(&[("off", Ok("off")), ("5/s", Ok("5/s burst 5"))]);
        check::<Option<ByteRate>>(&[("off", Ok("off")), ("5kB/s", Ok("5 kB/s"))]);
        check::<Timezone>(&[("local", Ok("local")), ("Asia/Tokyo", Ok("Asia/Tokyo"))]);
        check::<IpAddr>(&[("ff02::1", Ok("ff02::1")), ("any", Err("\"any\" is not an address"))]);
    }
}
