//! What is on-link: the subnets of our own addresses, interface by interface.
//!
//! A source is on-link when it is in a subnet of the interface that its datagram arrived on (RFC 6762 §5.5), and not of
//! just any: Linux takes in datagrams that pretend to come from the subnet of another interface, unless `rp_filter` is 1,
//! and systemd sets 2. Which interface that is, the kernel says as the owner of the addresses: the bridge and not its
//! port, the bond, the VLAN, the member of a VRF.
//!
//! What a host sends to itself arrives, so the kernel says, on the interface that has the address that was asked, or on the
//! loopback interface. From an IPv4 address of ours it is on-link on each: Linux drops those that come from elsewhere
//! (unless `accept_local` is 1). It does not drop the IPv6 ones, so a program that asks one address of its host from another
//! is on-link by IPv4 or by the loopback interface alone. The device of a VRF is not taken for a loopback interface: who
//! asks itself within a VRF is to be named by address.

use crate::core::Interface;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// By what a source is on-link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnLink<'a> {
    /// The subnet that it is in.
    pub subnet: IpNet,
    /// The name of the interface with this subnet; `None` when it is so on each.
    pub interface: Option<&'a str>,
}

const LOOPBACK_V4: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
const LOOPBACK_V6: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128));
const LINK_LOCAL_V6: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10));

/// What is on-link on each interface: loopback and IPv6 link-local (RFC 1122 §3.2.1.3, RFC 4291 §2.5), which no router passes
/// on. IPv4 link-local is not among them: Linux passes it on like any other, so it counts where we have such an address
/// ourselves.
fn on_each(addr: IpAddr) -> Option<IpNet> {
    match addr {
        IpAddr::V4(addr) => addr.is_loopback().then_some(LOOPBACK_V4),
        IpAddr::V6(addr) if addr.is_loopback() => Some(LOOPBACK_V6),
        IpAddr::V6(addr) => addr.is_unicast_link_local().then_some(LINK_LOCAL_V6),
    }
}

/// The interfaces with their subnets.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    /// By number.
    links: Vec<Link>,
    /// Our IPv4 addresses in their order.
    own_v4: Vec<Ipv4Addr>,
}

#[derive(Clone, Debug)]
struct Link {
    index: u32,
    name: String,
    loopback: bool,
    subnets: Vec<IpNet>,
}

impl Links {
    pub(super) fn new(interfaces: &[Interface]) -> Self {
        let link = |interface: &Interface| {
            let mut subnets: Vec<_> = interface.addresses.iter().chain(&interface.peers).map(subnet).collect();
            subnets.sort_unstable();
            subnets.dedup();
            Link { index: interface.index, name: interface.name.clone(), loopback: interface.loopback, subnets }
        };
        let mut links: Vec<_> = interfaces.iter().map(link).collect();
        links.sort_by_key(|link| link.index);
        let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        let v4 = |net: &IpNet| if let IpNet::V4(net) = net { Some(net.addr()) } else { None };
        let mut own_v4: Vec<_> = addresses.filter_map(v4).collect();
        own_v4.sort_unstable();
        Self { links, own_v4 }
    }

    /// By what a source is on-link whose datagram arrived on an interface; 0 is an interface that is not known, and
    /// then any will do.
    pub(super) fn find(&self, addr: IpAddr, arrived_on: u32) -> Option<OnLink<'_>> {
        if let Some(subnet) = on_each(addr) {
            return Some(OnLink { subnet, interface: None });
        }
        let links = match self.get(arrived_on) {
            _ if arrived_on == 0 || self.is_own_v4(addr) => &self.links,
            Some(link) if link.loopback => &self.links,
            Some(link) => std::slice::from_ref(link),
            None => &[],
        };
        links.iter().find_map(|link| {
            let subnet = *link.subnets.iter().find(|subnet| subnet.contains(&addr))?;
            Some(OnLink { subnet, interface: Some(&link.name) })
        })
    }

    /// Whether it is a loopback address that came from elsewhere. The kernel drops these, but those in 127.0.0.0/8 that are
    /// not ours only where `route_localnet` is 0, and container software sets it to 1.
    pub(super) fn is_astray(&self, addr: IpAddr, arrived_on: u32) -> bool {
        matches!(addr, IpAddr::V4(addr) if addr.is_loopback())
            && !self.is_own_v4(addr)
            && self.get(arrived_on).is_some_and(|link| !link.loopback)
    }

    fn is_own_v4(&self, addr: IpAddr) -> bool {
        matches!(addr, IpAddr::V4(addr) if self.own_v4.binary_search(&addr).is_ok())
    }

    fn get(&self, index: u32) -> Option<&Link> {
        self.links.binary_search_by_key(&index, |link| link.index).ok().map(|at| &self.links[at])
    }
}

/// The subnet that an address stands in.
///
/// A prefix of length 0 says that the link is not known (some tunnels have one), not that everybody is on it: then it is
/// the address alone.
fn subnet(net: &IpNet) -> IpNet {
    if net.prefix_len() == 0 { IpNet::from(net.addr()) } else { net.trunc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn interface(index: u32, name: &str, addresses: &[&str], peers: &[&str]) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            up: true,
            multicast: true,
            loopback: name == "lo",
            addresses: nets(addresses),
            peers: nets(peers),
        }
    }

    fn links() -> Links {
        Links::new(&[
            interface(7, "eth1", &["198.51.100.1/24", "2001:db8:7::1/64"], &[]),
            interface(1, "lo", &["127.0.0.1/8", "::1/128", "203.0.113.4/32"], &[]),
            interface(2, "eth0", &["192.0.2.9/25", "192.0.2.10/25", "2001:db8:2::1/64"], &[]),
            interface(9, "tun0", &["10.9.0.1/32", "10.8.7.6/0"], &["10.9.0.2/32", "10.10.0.5/24", "2001:db8:9::2/128"]),
        ])
    }

    /// Each line: the address, the interface that it arrived on, and by what it is on-link.
    #[test]
    fn a_source_is_on_link_by_a_subnet_of_the_interface_that_it_came_by() {
        let links = links();
        for (addr, arrived_on, expected) in [
            ("192.0.2.0", 2, "192.0.2.0/25 of eth0"),
            ("192.0.2.127", 2, "192.0.2.0/25 of eth0"),
            ("192.0.2.128", 2, "-"),
            ("2001:db8:2:0:ffff::", 2, "2001:db8:2::/64 of eth0"),
            ("2001:db8:3::", 2, "-"),
            // The subnet of one interface on another.
            ("192.0.2.7", 7, "-"),
            ("2001:db8:2::7", 7, "-"),
            ("198.51.100.7", 7, "198.51.100.0/24 of eth1"),
            ("198.51.100.7", 2, "-"),
            // This host, asking itself.
            ("192.0.2.9", 1, "192.0.2.0/25 of eth0"),
            ("198.51.100.1", 1, "198.51.100.0/24 of eth1"),
            ("203.0.113.4", 1, "203.0.113.4/32 of lo"),
            ("10.8.7.6", 1, "10.8.7.6/32 of tun0"),
            ("203.0.113.5", 1, "-"),
            ("2001:db8:7::1", 1, "2001:db8:7::/64 of eth1"),
            ("192.0.2.9", 7, "192.0.2.0/25 of eth0"),
            ("203.0.113.4", 2, "203.0.113.4/32 of lo"),
            ("203.0.113.5", 2, "-"),
            ("2001:db8:7::1", 2, "-"),
            // The other ends of point-to-point links, and what lies around them.
            ("10.9.0.2", 9, "10.9.0.2/32 of tun0"),
            ("10.9.0.3", 9, "-"),
            ("10.9.0.2", 2, "-"),
            ("10.10.0.255", 9, "10.10.0.0/24 of tun0"),
            ("2001:db8:9::2", 9, "2001:db8:9::2/128 of tun0"),
            ("2001:db8:9::3", 9, "-"),
            // A prefix of length 0 makes nobody else on-link.
            ("10.8.7.7", 9, "-"),
            // An interface that we do not know, and one that is not known to us yet.
            ("192.0.2.7", 0, "192.0.2.0/25 of eth0"),
            ("198.51.100.7", 0, "198.51.100.0/24 of eth1"),
            ("203.0.113.9", 0, "-"),
            ("192.0.2.7", 8, "-"),
            // IPv4 link-local only where we have such an address.
            ("169.254.0.1", 7, "-"),
            // On each interface.
            ("fe80::1", 2, "fe80::/10"),
            ("febf::1", 8, "fe80::/10"),
            ("fec0::1", 2, "-"),
            ("127.255.255.255", 1, "127.0.0.0/8"),
            ("128.0.0.0", 1, "-"),
            ("::1", 2, "::1/128"),
            ("::2", 1, "-"),
        ] {
            let found = links.find(addr.parse().unwrap(), arrived_on);
            let shown = found.map_or("-".to_owned(), |by| {
                let of = by.interface.map_or_else(String::new, |name| format!(" of {name}"));
                format!("{}{of}", by.subnet)
            });
            assert_eq!(shown, expected, "{addr} on {arrived_on}");
        }
    }

    #[test]
    fn a_loopback_address_that_is_not_ours_is_astray_on_an_interface_that_is_known_for_another() {
        let links = links();
        for (addr, arrived_on, expected) in [
            ("127.0.0.1", 1, false),
            ("127.0.0.1", 2, false),
            ("127.0.0.2", 1, false),
            ("127.0.0.2", 2, true),
            ("127.255.255.255", 9, true),
            ("128.0.0.0", 2, false),
            ("127.0.0.2", 0, false),
            ("127.0.0.2", 8, false),
            ("::1", 2, false),
            ("192.0.2.7", 2, false),
        ] {
            assert_eq!(links.is_astray(addr.parse().unwrap(), arrived_on), expected, "{addr} on {arrived_on}");
        }
    }
}
