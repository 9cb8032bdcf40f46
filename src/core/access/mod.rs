//! Who may speak to us at all.
//!
//! A source is on-link when a router had no part in its coming (`links`). That is what a stranger cannot claim from afar
//! where networks filter their edges (BCP 38), and it is the default. Rules stand in `[access]`, for all services, and in
//! the table of each, for that one: whoever an `allow` names is let in, unless a `deny` names it too. So `deny` wins,
//! wherever it stands, and narrowing never depends on the order of lines. A decision names its rule and where that
//! stands, so that it can be explained.
//!
//! What is not done here: whether the source can be reached at its address (that takes an answer from it) and how
//! often it may speak (`rate_limit`).

mod links;
mod rule;

pub use links::OnLink;
pub use rule::AccessRule;

use crate::config::Config;
use crate::core::Interface;
use crate::services::ServiceName;
use links::Links;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

/// An entry of `allow` or `deny`: a rule, and the table of the configuration where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The rule.
    pub rule: AccessRule,
    /// The table: `access`, or the name of a service.
    pub table: &'static str,
}

/// What a decision rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// This entry of `allow` lets the source in, and none of `deny` keeps it out.
    Allowed(Entry),
    /// This entry of `deny` keeps it out.
    Denied(Entry),
    /// No rule names it, which keeps it out.
    NoRule,
    /// No sender can have this address, so nothing is ever answered there.
    Nobody,
}

/// Whether a source may speak to a service, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Which service.
    pub service: ServiceName,
    /// What it rests on.
    pub ground: Ground,
    /// By what the source is on-link, whatever the ground.
    pub on_link: Option<OnLink<'a>>,
}

impl Ground {
    /// The rule, and the list where it stands (`[access] allow`); none without a rule.
    pub fn rule(&self) -> Option<(AccessRule, String)> {
        match self {
            Self::Allowed(Entry { rule, table }) => Some((*rule, format!("[{table}] allow"))),
            Self::Denied(Entry { rule, table }) => Some((*rule, format!("[{table}] deny"))),
            Self::NoRule | Self::Nobody => None,
        }
    }
}

impl Decision<'_> {
    /// Whether the source may speak.
    pub const fn is_allowed(&self) -> bool {
        matches!(self.ground, Ground::Allowed(_))
    }

    /// The decision about `source` as a sentence, without a full stop.
    pub fn sentence(&self, source: impl Display) -> String {
        let service = self.service;
        let does = if self.is_allowed() { "let in" } else { "kept out" };
        let rule = self.ground.rule();
        let said = match &rule {
            Some((rule, place)) => format!("{source} is {does} by \"{rule}\" in {place}"),
            None if self.ground == Ground::Nobody => {
                return format!("{source} is {does} by no rule: no source has this address there");
            }
            None => format!("{source} is {does}: no rule in [access] allow or [{service}] allow lets it in"),
        };
        let Some(OnLink { subnet, interface }) = self.on_link else {
            let consequence = match service {
                _ if !self.is_allowed() => "",
                ServiceName::Time | ServiceName::Ntp | ServiceName::Echo => "",
                ServiceName::Announce => ", so a question of its to a group is not answered",
                ServiceName::Chat => ", so the room speaks to it when it has shown that it gets answers",
            };
            return format!("{said}; it is not on-link{consequence}");
        };
        let is_rule = matches!(rule, Some((AccessRule::OnLink, _)));
        let because = if is_rule { ": it is" } else { "; it is on-link," };
        let of = interface.map_or_else(String::new, |name| format!(" of {name}"));
        format!("{said}{because} in {subnet}{of}")
    }
}

/// The entries that count for one service: those of `[access]`, and its own.
#[derive(Clone, Debug, Default)]
struct Rules {
    allow: Vec<Entry>,
    deny: Vec<Entry>,
}

/// The rules, and the subnets that make a source on-link.
#[derive(Clone, Debug)]
pub struct Access {
    rules: [Rules; ServiceName::ALL.len()],
    links: Links,
}

impl Access {
    /// The rules of `config` for a host with these interfaces.
    pub fn new(config: &Config, interfaces: &[Interface]) -> Self {
        let mut access = Self { rules: Default::default(), links: Links::new(interfaces) };
        access.reconfigure(config);
        access
    }

    /// Takes over other rules; the interfaces stay.
    pub fn reconfigure(&mut self, config: &Config) {
        for service in ServiceName::ALL {
            let (allow, deny) = match service {
                ServiceName::Time => (&config.time.allow, &config.time.deny),
                ServiceName::Chat => (&config.chat.allow, &config.chat.deny),
                ServiceName::Announce => (&config.announce.allow, &config.announce.deny),
                ServiceName::Ntp => (&config.ntp.allow, &config.ntp.deny),
                ServiceName::Echo => (&config.echo.allow, &config.echo.deny),
            };
            let entries = |all: &[AccessRule], own: &[AccessRule]| {
                let tables = [("access", all), (service.name(), own)];
                let entries = tables.map(|(table, rules)| rules.iter().map(move |&rule| Entry { rule, table }));
                entries.into_iter().flatten().collect()
            };
            self.rules[service as usize] =
                Rules { allow: entries(&config.access.allow, allow), deny: entries(&config.access.deny, deny) };
        }
    }

    /// Takes over what is on-link from the interfaces as they are now.
    pub fn set_interfaces(&mut self, interfaces: &[Interface]) {
        self.links = Links::new(interfaces);
    }

    /// Decides about a source that speaks to a service by way of an interface; 0 is one that is not known. An
    /// IPv4-mapped IPv6 address is the IPv4 address that it maps.
    pub fn decide(&self, addr: IpAddr, arrived_on: u32, service: ServiceName) -> Decision<'_> {
        let addr = addr.to_canonical();
        if is_nobody(addr) || self.links.is_astray(addr, arrived_on) {
            return Decision { service, ground: Ground::Nobody, on_link: None };
        }
        let on_link = self.links.find(addr, arrived_on);
        let names = |entry: &&Entry| match entry.rule {
            AccessRule::Any => true,
            AccessRule::Loopback => addr.is_loopback(),
            AccessRule::OnLink => on_link.is_some(),
            AccessRule::Net(net) => net.contains(&addr),
        };
        let rules = &self.rules[service as usize];
        let ground = match (rules.deny.iter().find(names), rules.allow.iter().find(names)) {
            (Some(&entry), _) => Ground::Denied(entry),
            (None, Some(&entry)) => Ground::Allowed(entry),
            (None, None) => Ground::NoRule,
        };
        Decision { service, ground, on_link }
    }
}

/// Whether the address cannot be that of one sender (RFC 1122 §3.2.1.3, RFC 4291 §2.5.2 and §2.7).
fn is_nobody(addr: IpAddr) -> bool {
    addr.is_unspecified() || addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<AccessRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn config(allow: &[&str], deny: &[&str]) -> Config {
        let access = crate::config::Access { allow: rules(allow), deny: rules(deny) };
        Config { access, ..Config::default() }
    }

    fn interface(addresses: &[&str]) -> Interface {
        Interface {
            index: 2,
            name: "eth0".to_owned(),
            up: true,
            multicast: true,
            loopback: false,
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
            peers: Vec::new(),
        }
    }

    fn access(config: &Config) -> Access {
        Access::new(config, &[interface(&["192.0.2.9/24", "2001:db8:1:2::9/64"])])
    }

    /// Each line: the address, and the sentence about it and the time service, behind the address.
    fn check(access: &Access, table: &[(&str, &str)]) {
        check_service(access, ServiceName::Time, table);
    }

    fn check_service(access: &Access, service: ServiceName, table: &[(&str, &str)]) {
        for &(addr, expected) in table {
            let sentence = access.decide(addr.parse().unwrap(), 0, service).sentence(addr);
            assert_eq!(sentence, format!("{addr} is {expected}"), "{service}");
        }
    }

    const NO_RULE: &str = "kept out: no rule in [access] allow or [time] allow lets it in; it is not on-link";

    #[test]
    fn by_default_only_neighbours_may_speak() {
        check(
            &access(&config(&["on-link"], &[])),
            &[
                ("127.0.0.1", "let in by \"on-link\" in [access] allow: it is in 127.0.0.0/8"),
                ("192.0.2.7", "let in by \"on-link\" in [access] allow: it is in 192.0.2.0/24 of eth0"),
                ("::ffff:192.0.2.7", "let in by \"on-link\" in [access] allow: it is in 192.0.2.0/24 of eth0"),
                ("2001:db8:1:2:ffff::", "let in by \"on-link\" in [access] allow: it is in 2001:db8:1:2::/64 of eth0"),
                ("192.0.3.0", NO_RULE),
                ("::ffff:192.0.3.0", NO_RULE),
                ("2001:db8:1:3::", NO_RULE),
            ],
        );
    }

    #[test]
    fn deny_wins_over_allow() {
        check(
            &access(&config(&["any"], &["10.0.0.0/8", "2001:db8::/32", "loopback"])),
            &[
                ("9.255.255.255", "let in by \"any\" in [access] allow; it is not on-link"),
                ("10.0.0.0", "kept out by \"10.0.0.0/8\" in [access] deny; it is not on-link"),
                ("::ffff:10.255.255.255", "kept out by \"10.0.0.0/8\" in [access] deny; it is not on-link"),
                ("11.0.0.0", "let in by \"any\" in [access] allow; it is not on-link"),
                (
                    "2001:db8:1:2::7",
                    "kept out by \"2001:db8::/32\" in [access] deny; it is on-link, in 2001:db8:1:2::/64 of eth0",
                ),
                ("2001:db9::", "let in by \"any\" in [access] allow; it is not on-link"),
                ("127.0.0.1", "kept out by \"loopback\" in [access] deny; it is on-link, in 127.0.0.0/8"),
                ("::1", "kept out by \"loopback\" in [access] deny; it is on-link, in ::1/128"),
            ],
        );
        check(
            &access(&config(&["any"], &["on-link"])),
            &[("192.0.2.7", "kept out by \"on-link\" in [access] deny: it is in 192.0.2.0/24 of eth0")],
        );
    }

    #[test]
    fn a_single_address_and_a_mapped_block_are_rules() {
        check(
            &access(&config(&["198.51.100.7", "::ffff:172.16.0.0/108"], &[])),
            &[
                ("198.51.100.7", "let in by \"198.51.100.7\" in [access] allow; it is not on-link"),
                ("198.51.100.8", NO_RULE),
                ("172.31.255.255", "let in by \"172.16.0.0/12\" in [access] allow; it is not on-link"),
                ("172.32.0.0", NO_RULE),
            ],
        );
    }

    #[test]
    fn a_service_lets_in_more_and_keeps_out_more_and_a_deny_wins_wherever_it_stands() {
        let mut config = config(&["loopback"], &["192.0.2.66"]);
        config.time.allow = rules(&["on-link", "192.0.2.66", "127.0.0.2"]);
        config.time.deny = rules(&["127.0.0.2"]);
        config.chat.allow = rules(&["203.0.113.0/24"]);
        config.chat.deny = rules(&["127.0.0.1"]);
        let access = access(&config);
        let loopback = "let in by \"loopback\" in [access] allow; it is on-link, in 127.0.0.0/8";
        check(
            &access,
            &[
                ("127.0.0.1", loopback),
                ("127.0.0.2", "kept out by \"127.0.0.2\" in [time] deny; it is on-link, in 127.0.0.0/8"),
                ("192.0.2.7", "let in by \"on-link\" in [time] allow: it is in 192.0.2.0/24 of eth0"),
                ("192.0.2.66", "kept out by \"192.0.2.66\" in [access] deny; it is on-link, in 192.0.2.0/24 of eth0"),
                ("203.0.113.7", NO_RULE),
            ],
        );
        check_service(
            &access,
            ServiceName::Chat,
            &[
                ("127.0.0.1", "kept out by \"127.0.0.1\" in [chat] deny; it is on-link, in 127.0.0.0/8"),
                ("127.0.0.2", loopback),
                (
                    "203.0.113.7",
                    "let in by \"203.0.113.0/24\" in [chat] allow; it is not on-link, so the room speaks to it when it \
                     has shown that it gets answers",
                ),
                (
                    "192.0.2.7",
                    "kept out: no rule in [access] allow or [chat] allow lets it in; it is on-link, in 192.0.2.0/24 of \
                     eth0",
                ),
            ],
        );
        check_service(&access, ServiceName::Announce, &[("127.0.0.2", loopback)]);
    }

    #[test]
    fn the_interface_decides_with_the_address() {
        let access = access(&config(&["on-link", "loopback"], &[]));
        let allowed =
            |addr: &str, arrived_on| access.decide(addr.parse().unwrap(), arrived_on, ServiceName::Chat).is_allowed();
        assert!(allowed("192.0.2.7", 2) && !allowed("192.0.2.7", 3));
        assert!(allowed("127.0.0.1", 1) && !allowed("127.0.0.1", 2), "the first is not known, so it may be loopback");
    }

    #[test]
    fn nobody_is_let_in_by_no_rule() {
        let config = config(&["any", "224.0.0.1", "127.0.0.1"], &[]);
        let said = "kept out by no rule: no source has this address there";
        let addrs = ["0.0.0.0", "::", "224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"];
        check(&access(&config), &addrs.map(|addr| (addr, said)));
        let access = access(&config);
        let astray = access.decide("127.0.0.1".parse().unwrap(), 2, ServiceName::Time);
        assert_eq!((astray.ground, astray.on_link), (Ground::Nobody, None));
    }

    #[test]
    fn what_is_on_link_follows_the_interfaces_and_the_rules_the_configuration() {
        let mut access = access(&config(&["on-link"], &[]));
        let allowed =
            |access: &Access, addr: &str| access.decide(addr.parse().unwrap(), 2, ServiceName::Announce).is_allowed();
        assert!(allowed(&access, "192.0.2.9"));
        access.set_interfaces(&[interface(&["198.51.100.1/24"])]);
        assert!(!allowed(&access, "192.0.2.9"));
        assert!(allowed(&access, "198.51.100.9"));
        access.reconfigure(&config(&[], &[]));
        assert!(!allowed(&access, "198.51.100.9"));
    }
}
