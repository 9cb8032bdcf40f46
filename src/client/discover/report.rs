//! What was sent and heard by each interface, for whoever wonders why nobody was found.
//!
//! ```text
//! lo: asked 224.0.0.1:8001 from 127.0.0.1 3 times; heard nobody
//! eth0: asked 224.0.0.1:8001 from 192.0.2.1 3 times; asked [ff02::1]:8001 3 times; heard workshop (192.0.2.7)
//! wlan0: not asked: it is down, or has no carrier
//! ```
//!
//! What it cannot see it says as a possibility: rules of a firewall are for root to read, and those of another host for
//! nobody here.

use super::Options;
use super::answer::Found;
use super::search::{Asked, GROUP_V4, GROUP_V6, Search, Target};
use crate::client::complain;
use crate::core::Interface;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Tells of every interface, or of the one that was to be asked.
pub(super) fn report(search: &Search, interfaces: &[Interface], options: &Options) {
    let is_wanted = |interface: &&Interface| options.interface.as_ref().is_none_or(|name| *name == interface.name);
    for interface in interfaces.iter().filter(is_wanted) {
        let asked: Vec<&Asked> = search.asked.iter().filter(|asked| asked.interface == interface.index).collect();
        let heard: Vec<&Found> = search.found.iter().filter(|found| came_by(found.source, interface)).collect();
        complain(&tell(interface, &asked, &heard, options.port));
        for hint in hints(interface, &asked, &heard, is_wireless(&interface.name)) {
            complain(&format_args!("  {hint}"));
        }
    }
    for addr in &search.refused {
        complain(&format_args!("nobody listens on {addr}/udp"));
    }
    if search.found.is_empty() {
        let port = options.port;
        complain(&format_args!(
            "  a firewall may drop udp/{port}: sudo nft list ruleset shows the rules here, and on the server those there"
        ));
    }
}

fn tell(interface: &Interface, asked: &[&Asked], heard: &[&Found], port: u16) -> String {
    let name = &interface.name;
    if asked.is_empty() {
        return format!("{name}: not asked: {}", why_not(interface));
    }
    let sent = asked.iter().map(|asked| {
        let group = match asked.target {
            Target::V4(ours) => format!("{} from {ours}", SocketAddr::from((GROUP_V4, port))),
            Target::V6(_) => SocketAddr::from((GROUP_V6, port)).to_string(),
        };
        match (&asked.trouble, asked.count) {
            (Some(error), 0) => format!("cannot ask {group}: {error}"),
            (_, 1) => format!("asked {group} once"),
            (_, count) => format!("asked {group} {count} times"),
        }
    });
    let heard: Vec<String> = heard.iter().map(ToString::to_string).collect();
    let heard = if heard.is_empty() { "nobody".to_owned() } else { heard.join(", ") };
    format!("{name}: {}; heard {heard}", sent.collect::<Vec<_>>().join("; "))
}

fn why_not(interface: &Interface) -> &'static str {
    if !interface.up {
        "it is down, or has no carrier"
    } else if !interface.multicast {
        "it takes no multicast"
    } else {
        "it has no address"
    }
}

/// Why nothing may have come.
fn hints(interface: &Interface, asked: &[&Asked], heard: &[&Found], is_wireless: bool) -> Vec<&'static str> {
    let mut hints = Vec::new();
    let asked_v4 = asked.iter().any(|asked| matches!(asked.target, Target::V4(_)));
    if asked_v4 && !heard.is_empty() && heard.iter().all(|found| found.source.is_ipv6()) {
        hints.push("answers came by IPv6 only: something drops IPv4 multicast, or the servers have none");
    }
    if !asked.is_empty() && heard.is_empty() && is_wireless {
        hints.push("it is wireless: many access points keep stations apart, or do not carry multicast");
    }
    if asked.is_empty() && interface.up && !interface.multicast {
        hints.push("ask a host behind it by its address: belfry discover --server HOST");
    }
    hints
}

/// Whether an answer from there has come by this interface, as far as its address tells.
pub(super) fn came_by(source: SocketAddr, interface: &Interface) -> bool {
    match source {
        SocketAddr::V6(addr) if addr.scope_id() != 0 => addr.scope_id() == interface.index,
        addr => interface.addresses.iter().any(|net| net.contains(&addr.ip()) && is_of(net.addr(), addr)),
    }
}

fn is_of(ours: IpAddr, addr: SocketAddr) -> bool {
    ours.is_ipv4() == addr.is_ipv4()
}

/// Whether the kernel has a folder for what is wireless about it.
fn is_wireless(name: &str) -> bool {
    let folder = Path::new("/sys/class/net").join(name);
    folder.join("wireless").exists() || folder.join("phy80211").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(up: bool, multicast: bool, addrs: &[&str]) -> Interface {
        Interface {
            index: 3,
            name: "eth3".to_owned(),
            up,
            multicast,
            loopback: false,
            addresses: addrs.iter().map(|net| net.parse().unwrap()).collect(),
            peers: Vec::new(),
        }
    }

    fn found(addr: &str) -> Found {
        Found { source: addr.parse().unwrap(), answer: super::super::answer::Answer::default(), round_trip: None }
    }

    #[test]
    fn an_interface_that_was_not_asked_tells_why() {
        let cases = [
            (interface(false, true, &["192.0.2.1/24"]), "eth3: not asked: it is down, or has no carrier"),
            (interface(true, false, &["192.0.2.1/24"]), "eth3: not asked: it takes no multicast"),
            (interface(true, true, &[]), "eth3: not asked: it has no address"),
        ];
        for (interface, told) in cases {
            assert_eq!(tell(&interface, &[], &[], 8001), told);
        }
    }

    #[test]
    fn an_interface_that_was_asked_tells_what_was_sent_and_heard() {
        let eth3 = interface(true, true, &["192.0.2.1/24", "fe80::1/64"]);
        let v4 = Asked { interface: 3, target: Target::V4([192, 0, 2, 1].into()), count: 3, trouble: None };
        let down = Some(std::io::ErrorKind::NetworkUnreachable.into());
        let v6 = Asked { interface: 3, target: Target::V6(3), count: 0, trouble: down };
        let told = tell(&eth3, &[&v4, &v6], &[&found("192.0.2.7:8001")], 8001);
        let expected = "eth3: asked 224.0.0.1:8001 from 192.0.2.1 3 times; cannot ask [ff02::1]:8001: network unreachable; \
                        heard 192.0.2.7";
        assert_eq!(told, expected);
        let heard =
            [found("[fe80::7%3]:8001"), found("192.0.2.7:8001"), found("[fe80::7%4]:8001"), found("10.0.0.1:1")];
        assert_eq!(heard.each_ref().map(|found| came_by(found.source, &eth3)), [true, true, false, false]);
        assert_eq!(hints(&eth3, &[&v4], &[&heard[0]], false).len(), 1, "IPv6 only");
        assert_eq!(hints(&eth3, &[&v4], &[&heard[0], &heard[1]], true).len(), 0);
        assert_eq!(hints(&eth3, &[&v4], &[], true).len(), 1, "wireless");
    }
}
