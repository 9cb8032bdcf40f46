//! `/etc/hosts`: whatever stands there, whoever comes from one of its addresses gets a name that can be had, and no two the
//! same.

use super::is_clean;
use belfry::config;
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::Service;
use belfry::services::chat::{Hosts, Hub};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// The text of the file.
pub fn hosts(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let hosts = Hosts::parse(text);
    let words = text.split_whitespace().filter_map(|word| word.parse::<IpAddr>().ok());
    let addrs: BTreeSet<IpAddr> = words.take(32).collect();
    let config = config::Chat { rate_limit: None, history: 0, ..config::Chat::default() };
    let mut hub = Hub::new(&config, "belfry.lan", hosts, Seed(1));
    let mut out = Outbox::default();
    let now = Now { mono: Instant::from_nanos(1), wall: jiff::Timestamp::UNIX_EPOCH };
    let mut count = 0;
    for addr in addrs {
        for port in [40_001, 65_535] {
            let path = Path::to(ListenerId(u16::from(addr.is_ipv6())), SocketAddr::from((addr, port)));
            let verdict = hub.handle_datagram(&now, &Datagram::unicast(path, b"^hb^"), &mut out);
            count += usize::from(verdict == Verdict::Accepted);
        }
    }
    let names: BTreeSet<String> = hub.members().map(|member| member.name.to_lowercase()).collect();
    assert_eq!((names.len(), hub.member_count()), (count, count), "{names:?}");
    for name in names {
        let is_good = |c: char| c.is_alphanumeric() || "-_.:".contains(c);
        assert!(is_clean(&name) && name.len() <= 47 && name.chars().all(is_good), "{name:?}");
    }
}
