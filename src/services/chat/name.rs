//! Names of members and rooms: which are good, and which a member gets that has not asked for one.

use crate::core::limits::NAME_MAX;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Why a name cannot be had, as the end of a sentence.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name.chars().next() {
        None => Some("a name has at least one letter"),
        Some(first) if !first.is_alphanumeric() => Some("a name begins with a letter or digit"),
        _ if name.contains(char::is_whitespace) => Some("a name has no spaces"),
        _ if !name.chars().all(inner) => Some("letters, digits, - _ . only"),
        _ if name.chars().any(deceives) || mixes_alphabets(name) => Some("it looks like another name"),
        _ if name.len() > NAME_MAX => Some("that is longer than 32 bytes"),
        _ => None,
    }
}

/// Letters that show nothing, and forms of letters that look like the letters themselves: the Hangul fillers, a combining
/// iota, a dotless i, letters as symbols and numerals, full-width (and with them half-width) and mathematical letters.
fn deceives(c: char) -> bool {
    matches!(c, '\u{131}' | '\u{345}' | '\u{115f}' | '\u{1160}' | '\u{2100}'..='\u{218f}' | '\u{3164}' | '\u{ff00}'..='\u{ffef}' | '\u{1d400}'..='\u{1d7ff}')
}

/// Whether Latin letters stand beside Greek, Cyrillic, Armenian or Cherokee ones, many of which look the same.
fn mixes_alphabets(name: &str) -> bool {
    let has = |of: fn(char) -> bool| name.chars().any(of);
    has(|c| c.is_ascii_alphabetic())
        && has(|c| matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}'))
}

/// The form in which names are compared: `Anna` and `anna` are one name.
pub(super) fn key(name: &str) -> Cow<'_, str> {
    // Most are in it, those that we make of addresses among them.
    let is_key = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_key { Cow::Borrowed(name) } else { Cow::Owned(name.to_lowercase()) }
}

/// The host names of `/etc/hosts` (hosts(5)), the first of each address without its domain.
///
/// The hub never asks a name server: that takes a network that answers, and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<IpAddr, String>);

impl Hosts {
    /// Reads the text of a hosts file; lines that make no sense are passed over, as resolvers do.
    pub fn parse(text: &str) -> Self {
        let mut hosts = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(addr) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            let label = words.next().and_then(|name| name.split('.').next()).unwrap_or_default();
            // Room for `-65535` and for a `-999` behind it.
            if fault(label).is_none() && label.len() <= NAME_MAX - 10 {
                hosts.entry(addr).or_insert_with(|| label.to_owned());
            }
        }
        Self(hosts)
    }

    /// The name of a member at `addr` that has not chosen one: `HOST-PORT`.
    ///
    /// A host that has no name goes by its address; of an IPv6 address only the interface identifier (RFC 4291 §2.5.1).
    pub(super) fn automatic_name(&self, addr: SocketAddr) -> String {
        let port = addr.port();
        match (self.0.get(&addr.ip()), addr.ip()) {
            (Some(host), _) => format!("{host}-{port}"),
            (None, IpAddr::V4(ip)) => format!("{ip}-{port}"),
            (None, IpAddr::V6(ip)) => format!("{}-{port}", Ipv6Addr::from(u128::from(ip) & u128::from(u64::MAX))),
        }
    }
}

/// Whether a member at `addr` has this name from us, for want of one of its own: an IPv6 address is no [good](fault) one.
pub(super) fn is_automatic(name: &str, addr: SocketAddr) -> bool {
    let rest = name.strip_prefix(&Hosts::default().automatic_name(addr));
    let is_number = |rest: &str| rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok());
    rest.is_some_and(|rest| rest.is_empty() || is_number(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_a_letter_and_is_at_most_32_bytes() {
        for good in ["anna", "Änne", "анна", "Άννα", "अमर", "アンナ", "7", "a-b_c.d", &"x".repeat(NAME_MAX)]
        {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "victim\u{3164}",
            "v\u{2170}ctim",
            "օla",
            "vıctim",
            "ｖｉｃｔｉｍ",
            "victіm",
            "𝐯ictim",
            "",
            "-x",
            "a b",
            "a:b",
            "a\u{1b}",
            "^hb^",
            "#lab",
            &"x".repeat(NAME_MAX + 1),
        ] {
            assert!(fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn a_member_without_a_name_goes_by_its_host_and_port() {
        let hosts =
            Hosts::parse("127.0.0.1 localhost\n# c\n192.0.2.7\tworkshop.lan workshop # x\n192.0.2.7 other\nx y\n");
        let name = |addr: &str| hosts.automatic_name(addr.parse().expect("an address"));
        assert_eq!(name("127.0.0.1:4711"), "localhost-4711");
        assert_eq!(name("192.0.2.7:4711"), "workshop-4711");
        assert_eq!(name("192.0.2.8:4711"), "192.0.2.8-4711");
        assert_eq!(name("[2001:db8::1:2:3:4]:4711"), "::1:2:3:4-4711");
        assert!(name("[2001:db8:1111:2222:3333:4444:5555:6666]:65535").len() <= NAME_MAX);
        let six = "[2001:db8::1]:4711".parse().expect("an address");
        for (name, is) in [("::1-4711", true), ("::1-4711-2", true), ("::1-4712", false), ("::1-4711 x", false)] {
            assert_eq!(is_automatic(name, six), is, "{name}");
        }
    }
}
