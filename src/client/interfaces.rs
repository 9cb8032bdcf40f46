//! The interfaces of this host, as `getifaddrs(3)` lists them.

use crate::core::Interface;
use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;
use std::io;
use std::net::IpAddr;

/// Every interface, with its addresses.
pub(super) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in getifaddrs()? {
        let at = match interfaces.iter().position(|interface| interface.name == entry.interface_name) {
            Some(at) => at,
            None => {
                // One that went away in the meantime is none of ours.
                let Ok(index) = if_nametoindex(entry.interface_name.as_str()) else { continue };
                let has = |flags| entry.flags.contains(flags);
                interfaces.push(Interface {
                    index,
                    up: has(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING),
                    multicast: has(InterfaceFlags::IFF_MULTICAST) || has(InterfaceFlags::IFF_LOOPBACK),
                    name: entry.interface_name,
                    addresses: Vec::new(),
                });
                interfaces.len() - 1
            }
        };
        let addr = entry.address.as_ref().and_then(ip);
        let mask = entry.netmask.as_ref().and_then(ip);
        if let (Some(addr), Some(mask)) = (addr, mask)
            && let Ok(net) = IpNet::with_netmask(addr, mask)
        {
            interfaces[at].addresses.push(net);
        }
    }
    Ok(interfaces)
}

fn ip(addr: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = addr.as_sockaddr_in().map(|addr| IpAddr::V4(addr.ip()));
    v4.or_else(|| addr.as_sockaddr_in6().map(|addr| IpAddr::V6(addr.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there_with_its_subnet() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.index > 0 && lo.up && lo.multicast);
        assert!(lo.addresses.contains(&"127.0.0.1/8".parse().unwrap()), "{:?}", lo.addresses);
    }
}
