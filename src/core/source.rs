//! Whose datagram it is, as far as an address tells.
//!
//! A source is an IPv4 address or an IPv6 /64: within that, a host chooses its addresses at will. Link-local addresses
//! all share one prefix (RFC 4291 §2.5.6), so each is a source of its own. On a link of ours a /64 is everybody, so there each
//! address is one, and the /64 another for all of them together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What counts as one host where hosts are counted. Of bytes alone, because there are tables with one for each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(Half),
    /// The last 64 bits of a link-local address.
    LinkLocal(Half),
    /// An IPv6 address that shares its /64 with others who are known not to be the same.
    Host(Ipv6Addr),
}

/// Half of an IPv6 address.
type Half = [u8; 8];

impl Source {
    /// The source that somebody at `addr` is, if no router had a part in his coming, and else.
    pub(crate) fn of_sender(addr: IpAddr, on_link: bool) -> Self {
        match (Self::of(addr), addr) {
            (Self::V6(_), IpAddr::V6(addr)) if on_link => Self::Host(addr),
            (source, _) => source,
        }
    }

    /// The network of a host that shares it with others who are known not to be the same.
    pub(crate) fn network(self) -> Option<Self> {
        match self {
            Self::Host(addr) => Some(Self::V6(halves(addr).0)),
            Self::LinkLocal(_) => Some(Self::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0])),
            Self::V4(_) | Self::V6(_) => None,
        }
    }

    /// The source that `addr` belongs to. An IPv4-mapped IPv6 address is the IPv4 address that it maps.
    pub(crate) fn of(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V4(addr) => Self::V4(addr),
            IpAddr::V6(addr) if addr.is_unicast_link_local() => Self::LinkLocal(halves(addr).1),
            IpAddr::V6(addr) => Self::V6(halves(addr).0),
        }
    }
}

fn halves(addr: Ipv6Addr) -> (Half, Half) {
    let bits = addr.to_bits();
    (((bits >> 64) as u64).to_be_bytes(), (bits as u64).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_an_ipv6_network_or_a_link_local_address() {
        let table = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("fe80::1", "fe80::1", true),
            ("fe80::1", "fe80::2", false),
            ("fe80::1", "0:0:0:1::", false),
            ("0:0:c000:201::", "192.0.2.1", false),
        ];
        for (one, other, same) in table {
            let source = |addr: &str| Source::of(addr.parse().unwrap());
            assert_eq!(source(one) == source(other), same, "{one} and {other}");
        }
    }

    #[test]
    fn on_our_links_each_ipv6_address_is_a_source() {
        let source = |addr: &str, on_link| Source::of_sender(addr.parse().unwrap(), on_link);
        assert_ne!(source("2001:db8::1", true), source("2001:db8::2", true));
        assert_ne!(source("2001:db8::1", true), source("2001:db8:0:1::1", true));
        assert_eq!(source("2001:db8::1", false), source("2001:db8::2", false));
        for addr in ["192.0.2.1", "::ffff:192.0.2.1", "fe80::1"] {
            assert_eq!(source(addr, true), source(addr, false), "{addr}");
        }
    }
}
