//! Access rules and rates: what is read is written and read as the same, and a decision is what its rules say, by a
//! second way of finding out.
//!
//! ```text
//! allow 10.0.0.0/8     for every service
//! chat-deny on-link    for one
//! 2 192.0.2.1/24       an address of ours on an interface: 1 is the loopback interface, 2 and 3 are others
//! 3 peer 10.9.0.2/32   the other end of one
//! rate 50/s burst 200
//! from 2 192.0.2.7     what is decided about this one, who arrives there? 0 is not known, and there is no 9
//! ```

use super::is_clean;
use super::script::{number, steps};
use belfry::config::Config;
use belfry::core::Interface;
use belfry::core::access::{Access, AccessRule, Ground};
use belfry::core::rate::{ByteRate, Rate};
use belfry::services::ServiceName;
use ipnet::IpNet;
use std::fmt::{Debug, Display};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Rules, and addresses that are held against them.
pub fn access(data: &[u8]) {
    let mut config = Config::default();
    config.access.allow.clear();
    let mut interfaces = [interface(1), interface(2), interface(3)];
    for step in steps(data).take(64).filter_map(|step| str::from_utf8(step).ok()) {
        let Some((what, rest)) = step.split_once(' ') else { continue };
        match what {
            "allow" => config.access.allow.extend(read::<AccessRule>(rest)),
            "deny" => config.access.deny.extend(read::<AccessRule>(rest)),
            "chat-allow" => config.chat.allow.extend(read::<AccessRule>(rest)),
            "chat-deny" => config.chat.deny.extend(read::<AccessRule>(rest)),
            "rate" => {
                let rate = read::<Rate>(rest);
                assert!(rate.is_none_or(|rate| rate.per_second > 0 && rate.burst > 0), "{rest}");
                read::<ByteRate>(rest);
            }
            "1" | "2" | "3" => {
                let interface = &mut interfaces[number(what.as_bytes(), 3) as usize - 1];
                match rest.strip_prefix("peer ") {
                    Some(peer) => interface.peers.extend(peer.parse::<IpNet>()),
                    None => interface.addresses.extend(rest.parse::<IpNet>()),
                }
            }
            _ => {
                let Some((arrived_on, addr)) = rest.split_once(' ') else { continue };
                let Ok(addr) = addr.parse() else { continue };
                decide(&config, &interfaces, addr, number(arrived_on.as_bytes(), 9) as u32);
            }
        }
    }
}

fn interface(index: u32) -> Interface {
    Interface {
        index,
        name: format!("eth{index}"),
        up: true,
        multicast: true,
        loopback: index == 1,
        addresses: Vec::new(),
        peers: Vec::new(),
    }
}

/// What a text says, if anything; that is written so that it says the same.
fn read<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string().parse().ok().as_ref(), Some(&value), "{text}");
    Some(value)
}

fn decide(config: &Config, interfaces: &[Interface], addr: IpAddr, arrived_on: u32) {
    let access = Access::new(config, interfaces);
    for service in [ServiceName::Time, ServiceName::Chat] {
        let decision = access.decide(addr, arrived_on, service);
        // A mapped address is the address that it maps.
        assert_eq!(access.decide(addr.to_canonical(), arrived_on, service), decision, "{addr}");
        let sentence = decision.sentence(addr);
        assert!(is_clean(&sentence) && !sentence.contains('\n'), "{sentence:?}");
        let addr = addr.to_canonical();
        if is_nobody(interfaces, addr, arrived_on) {
            assert_eq!((decision.ground, decision.on_link), (Ground::Nobody, None), "{addr}");
            continue;
        }
        let on_link = is_on_link(interfaces, addr, arrived_on);
        assert_eq!(decision.on_link.is_some(), on_link, "{addr} by {arrived_on} among {interfaces:?}");
        let names = |rule: &AccessRule| match *rule {
            AccessRule::Any => true,
            AccessRule::Loopback => addr.is_loopback(),
            AccessRule::OnLink => on_link,
            AccessRule::Net(net) => is_in(addr, net),
        };
        let is_named = |all: &[AccessRule], own: &[AccessRule]| {
            all.iter().any(names) || (service == ServiceName::Chat && own.iter().any(names))
        };
        let is_allowed = is_named(&config.access.allow, &config.chat.allow);
        let is_denied = is_named(&config.access.deny, &config.chat.deny);
        assert_eq!(decision.is_allowed(), is_allowed && !is_denied, "{sentence}");
        assert_eq!(matches!(decision.ground, Ground::Denied(_)), is_denied, "{sentence}");
        if let Ground::Allowed(entry) | Ground::Denied(entry) = decision.ground {
            assert!(names(&entry.rule), "{sentence}");
        }
    }
}

fn is_own_v4(interfaces: &[Interface], addr: IpAddr) -> bool {
    addr.is_ipv4() && interfaces.iter().flat_map(|interface| &interface.addresses).any(|net| net.addr() == addr)
}

/// Whether no sender can have the address, or none there.
fn is_nobody(interfaces: &[Interface], addr: IpAddr, arrived_on: u32) -> bool {
    let is_astray = addr.is_ipv4() && addr.is_loopback() && matches!(arrived_on, 2 | 3);
    let is_astray = is_astray && !is_own_v4(interfaces, addr);
    is_astray || addr.is_unspecified() || addr.is_multicast() || addr == Ipv4Addr::BROADCAST
}

fn is_on_link(interfaces: &[Interface], addr: IpAddr, arrived_on: u32) -> bool {
    let on_each = ["127.0.0.0/8", "::1/128", "fe80::/10"];
    if on_each.iter().any(|net| is_in(addr, net.parse().expect("a block"))) {
        return true;
    }
    let is_any = arrived_on <= 1 || is_own_v4(interfaces, addr);
    let there = interfaces.iter().filter(|interface| is_any || interface.index == arrived_on);
    let mut nets = there.flat_map(|interface| interface.addresses.iter().chain(&interface.peers));
    nets.any(|net| if net.prefix_len() == 0 { net.addr() == addr } else { is_in(addr, *net) })
}

/// Whether the first bits are the same.
fn is_in(addr: IpAddr, net: IpNet) -> bool {
    let bits = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()) << 96,
        IpAddr::V6(addr) => addr.to_bits(),
    };
    let differ = bits(addr) ^ bits(net.addr());
    addr.is_ipv4() == net.addr().is_ipv4() && differ.leading_zeros() >= u32::from(net.prefix_len())
}
