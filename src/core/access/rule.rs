//! One rule of an `allow` or `deny` list, and how it is written.

use ipnet::{IpNet, Ipv4Net};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A rule: the sources that it means.
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

#[cfg(test)]
mod tests {
    use super::*;

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
