//! Who may speak to us at all.
//!
//! An address is on-link when a router had no part in its coming: loopback, link-local, or in the subnet of one of
//! our own addresses. That is what a stranger cannot claim from afar where networks filter their edges (BCP 38), and
//! it is the default. `deny` wins over `allow`, whatever their order, so that narrowing never depends on where a line
//! stands. A decision names its rule, so that it can be explained.
//!
//! What is not done here: whether the source can be reached at its address (that takes an answer from it) and how
//! often it may speak (`rate_limit`).

use crate::core::Interface;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One rule of `[access]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRule {
    /// Everybody.
    Any,
    /// This host, by its loopback addresses.
    Loopback,
    /// This host and the subnets of its interfaces.
    OnLink,
    /// A CIDR block.
    Net(IpNet),
}

impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Loopback => f.write_str("loopback"),
            Self::OnLink => f.write_str("on-link"),
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

impl FromStr for AccessRule {
    type Err = String;

    /// `any`, `loopback`, `on-link`, a CIDR block or a single address.
    ///
    /// A block whose address has bits outside of its prefix is refused: `10.1.2.3/8` means a host to one reader and
    /// sixteen million to another.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => return Ok(Self::Any),
            "loopback" => return Ok(Self::Loopback),
            "on-link" => return Ok(Self::OnLink),
            _ => {}
        }
        if let Ok(addr) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(addr.to_canonical())));
        }
        let net: IpNet = text.parse().map_err(|_| format!("{text:?} is neither a name nor a block of addresses"))?;
        if net.addr() != net.network() {
            return Err(format!("{text} has bits outside of its prefix: write {} or {}", net.trunc(), net.addr()));
        }
        Ok(Self::Net(unmapped(net)))
    }
}

/// A block of IPv4-mapped addresses as the IPv4 block that it means, since addresses are compared that way.
fn unmapped(net: IpNet) -> IpNet {
    match net.network().to_canonical() {
        IpAddr::V4(addr) if net.network().is_ipv6() && net.prefix_len() >= 96 => {
            Ipv4Net::new(addr, net.prefix_len() - 96).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

/// What `[access]` says of an address, and which rule says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the address may speak to us.
    pub allowed: bool,
    /// The rule that decided; `None` when no rule matches, which keeps the address out.
    pub rule: Option<AccessRule>,
    /// The subnet by which the address is on-link, when the rule is `on-link`.
    pub subnet: Option<IpNet>,
    /// Whether the address is on-link, whichever rule decided.
    pub on_link: bool,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.allowed, self.rule) {
            (true, Some(rule)) => write!(f, "allowed by {rule}")?,
            (false, Some(rule)) => write!(f, "denied by {rule}")?,
            (_, None) => f.write_str("denied, as no rule of allow matches")?,
        }
        match self.subnet {
            Some(subnet) => write!(f, " ({subnet})"),
            None => Ok(()),
        }
    }
}

/// `[access]` and the subnets that make an address on-link.
#[derive(Clone, Debug)]
pub struct Access {
    allow: Vec<AccessRule>,
    deny: Vec<AccessRule>,
    on_link: Vec<IpNet>,
}

/// On-link whatever our interfaces are: loopback and link-local (RFC 1122 §3.2.1.3, RFC 3927, RFC 4291 §2.5).
const ALWAYS_ON_LINK: [IpNet; 4] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
];

impl Access {
    /// The rules of `config` for a host with these interfaces.
    pub fn new(config: &crate::config::Access, interfaces: &[Interface]) -> Self {
        let mut access = Self { allow: config.allow.clone(), deny: config.deny.clone(), on_link: Vec::new() };
        access.set_interfaces(interfaces);
        access
    }

    /// Takes over other rules; the interfaces stay.
    pub fn reconfigure(&mut self, config: &crate::config::Access) {
        self.allow.clone_from(&config.allow);
        self.deny.clone_from(&config.deny);
    }

    /// Takes over what is on-link from the interfaces as they are now.
    ///
    /// An address with a prefix of length 0 makes nobody on-link: it says that the link is not known (some tunnels
    /// have one), not that everybody is on it.
    pub fn set_interfaces(&mut self, interfaces: &[Interface]) {
        self.on_link.clear();
        self.on_link.extend(ALWAYS_ON_LINK);
        for net in interfaces.iter().flat_map(|interface| &interface.addresses) {
            let subnet = net.trunc();
            if subnet.prefix_len() > 0 && !self.on_link.contains(&subnet) {
                self.on_link.push(subnet);
            }
        }
    }

    /// Decides about one address. An IPv4-mapped IPv6 address is the IPv4 address that it maps.
    pub fn decide(&self, addr: IpAddr) -> Decision {
        let addr = addr.to_canonical();
        let on_link = self.on_link.iter().any(|subnet| subnet.contains(&addr));
        if let Some((rule, subnet)) = self.first_match(&self.deny, addr) {
            return Decision { allowed: false, rule: Some(rule), subnet, on_link };
        }
        match self.first_match(&self.allow, addr) {
            Some((rule, subnet)) => Decision { allowed: true, rule: Some(rule), subnet, on_link },
            None => Decision { allowed: false, rule: None, subnet: None, on_link },
        }
    }

    fn first_match(&self, rules: &[AccessRule], addr: IpAddr) -> Option<(AccessRule, Option<IpNet>)> {
        rules.iter().find_map(|&rule| match rule {
            AccessRule::Any => Some((rule, None)),
            AccessRule::Loopback => addr.is_loopback().then_some((rule, None)),
            AccessRule::Net(net) => net.contains(&addr).then_some((rule, None)),
            AccessRule::OnLink => {
                let subnet = self.on_link.iter().find(|subnet| subnet.contains(&addr))?;
                Some((rule, Some(*subnet)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<AccessRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn access(allow: &[&str], deny: &[&str], addresses: &[&str]) -> Access {
        let config = crate::config::Access { allow: rules(allow), deny: rules(deny) };
        Access::new(&config, &[interface(addresses)])
    }

    fn interface(addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|net| net.parse().unwrap()).collect();
        Interface { index: 2, name: "eth0".to_owned(), up: true, multicast: true, addresses }
    }

    /// Each line: the address, and the decision in words.
    fn check(access: &Access, table: &[(&str, &str)]) {
        for &(addr, decision) in table {
            assert_eq!(access.decide(addr.parse().unwrap()).to_string(), decision, "{addr}");
        }
    }

    #[test]
    fn by_default_only_neighbours_may_speak() {
        let nobody = "denied, as no rule of allow matches";
        let access = access(&["on-link"], &[], &["192.168.7.9/25", "2001:db8:1:2::9/64", "203.0.113.4/32"]);
        check(
            &access,
            &[
                ("127.0.0.1", "allowed by on-link (127.0.0.0/8)"),
                ("127.255.255.255", "allowed by on-link (127.0.0.0/8)"),
                ("128.0.0.0", nobody),
                ("::1", "allowed by on-link (::1/128)"),
                ("::2", nobody),
                ("169.254.0.0", "allowed by on-link (169.254.0.0/16)"),
                ("169.255.0.0", nobody),
                ("fe80::1", "allowed by on-link (fe80::/10)"),
                ("febf::1", "allowed by on-link (fe80::/10)"),
                ("fec0::1", nobody),
                ("192.168.7.0", "allowed by on-link (192.168.7.0/25)"),
                ("192.168.7.127", "allowed by on-link (192.168.7.0/25)"),
                ("192.168.7.128", nobody),
                ("::ffff:192.168.7.1", "allowed by on-link (192.168.7.0/25)"),
                ("::ffff:192.168.8.1", nobody),
                ("2001:db8:1:2:ffff::", "allowed by on-link (2001:db8:1:2::/64)"),
                ("2001:db8:1:3::", nobody),
                ("203.0.113.4", "allowed by on-link (203.0.113.4/32)"),
                ("203.0.113.5", nobody),
            ],
        );
    }

    #[test]
    fn deny_wins_over_allow() {
        let access = access(&["any"], &["10.0.0.0/8", "2001:db8::/32", "loopback"], &[]);
        check(
            &access,
            &[
                ("9.255.255.255", "allowed by any"),
                ("10.0.0.0", "denied by 10.0.0.0/8"),
                ("::ffff:10.255.255.255", "denied by 10.0.0.0/8"),
                ("11.0.0.0", "allowed by any"),
                ("2001:db8:ffff::", "denied by 2001:db8::/32"),
                ("2001:db9::", "allowed by any"),
                ("127.0.0.1", "denied by loopback"),
                ("::1", "denied by loopback"),
            ],
        );
    }

    #[test]
    fn a_single_address_and_a_mapped_block_are_rules() {
        let access = access(&["198.51.100.7", "::ffff:172.16.0.0/108"], &[], &[]);
        check(
            &access,
            &[
                ("198.51.100.7", "allowed by 198.51.100.7"),
                ("198.51.100.8", "denied, as no rule of allow matches"),
                ("172.31.255.255", "allowed by 172.16.0.0/12"),
                ("172.32.0.0", "denied, as no rule of allow matches"),
            ],
        );
    }

    #[test]
    fn an_address_without_a_prefix_makes_nobody_on_link() {
        let access = access(&["on-link"], &[], &["10.9.8.7/0", "2001:db8::1/0"]);
        assert!(!access.decide("10.9.8.7".parse().unwrap()).allowed);
        assert!(!access.decide("2001:db8::1".parse().unwrap()).allowed);
    }

    #[test]
    fn what_is_on_link_follows_the_interfaces() {
        let mut access = access(&["on-link"], &[], &["192.0.2.1/24"]);
        assert!(access.decide("192.0.2.9".parse().unwrap()).allowed);
        access.set_interfaces(&[interface(&["198.51.100.1/24"])]);
        assert!(!access.decide("192.0.2.9".parse().unwrap()).allowed);
        assert!(access.decide("198.51.100.9".parse().unwrap()).allowed);
        access.reconfigure(&crate::config::Access { allow: Vec::new(), deny: Vec::new() });
        assert!(!access.decide("127.0.0.1".parse().unwrap()).allowed);
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for text in ["any", "loopback", "on-link", "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "0.0.0.0/0"] {
            assert_eq!(text.parse::<AccessRule>().unwrap().to_string(), text);
        }
        for text in ["", "Any", "10.0.0.0/33", "10.0.0", "fe80::1%eth0", "::/129", "localhost"] {
            let reason = text.parse::<AccessRule>().unwrap_err();
            assert!(reason.contains("is neither a name nor a block"), "{text}: {reason}");
        }
        let reason = "10.1.2.3/8".parse::<AccessRule>().unwrap_err();
        assert_eq!(reason, "10.1.2.3/8 has bits outside of its prefix: write 10.0.0.0/8 or 10.1.2.3");
    }
}
