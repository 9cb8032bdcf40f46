//! A hub that was kept: whatever the file says, a hub takes of it what makes sense, and what it leaves is read whole by the next.

use super::hub::{addr_of, listener_for};
use super::is_clean;
use belfry::config;
use belfry::core::limits::{DATAGRAM_MAX, SESSIONS_AWAY_MAX};
use belfry::core::{Datagram, Instant, Now, Outbox, Path, Seed};
use belfry::services::Service;
use belfry::services::chat::{Hosts, Hub, kept_seed};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// How the highest number that is read begins; the sum of it and a restart is not read any more.
const FAR: &[u8] = b"92233720368547";

/// Lines of a hub.
pub fn kept(data: &[u8]) {
    let now = Now { mono: Instant::from_nanos(1_000_000_000_000), wall: jiff::Timestamp::UNIX_EPOCH };
    let (mut hub, restored) = restore(&now, data, kept_seed(data).unwrap_or(Seed(7)));
    assert_eq!(hub.member_count(), restored.0);
    let lines = data.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
    assert!(restored.0 + restored.1 <= lines);

    let first = dump(&hub);
    let (again, of) = restore(&now, &first, kept_seed(&first).expect("it is there"));
    // Numbers that nobody reaches end somewhere.
    let is_far = first.windows(FAR.len()).any(|digits| digits == FAR);
    assert!(of == (hub.member_count(), 0) || is_far, "{of:?}: {}", first.escape_ascii());
    let second = dump(&again);
    if !is_far {
        assert_eq!(others(&first), others(&second));
    }
    talk(&mut hub, now);
}

/// The lines that are the same in the next hub. Numbers of mailboxes are left out each time, and the numbers of a room begin
/// anew where no history shows them.
fn others(text: &[u8]) -> BTreeSet<String> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"{\"session\""));
    let line = |line| {
        let line = String::from_utf8_lossy(line);
        match line.find(",\"epoch\":\"") {
            Some(at) if line.starts_with("{\"room\"") => line[..at].to_owned(),
            _ => line.into_owned(),
        }
    };
    lines.map(line).collect()
}

/// A new hub that takes it in; how many members are back, and what is not.
fn restore(now: &Now, text: &[u8], seed: Seed) -> (Hub, (usize, usize)) {
    let config = config::Chat { rate_limit: None, ..config::Chat::default() };
    let mut hub = Hub::new(&config, "belfry.lan", Hosts::default(), seed);
    let mut out = Outbox::default();
    let restored = hub.restore(now, text, |addr| Some(listener_for(addr)), &mut out);
    assert!(out.is_empty(), "nobody is told");
    (hub, (restored.members, restored.refused + restored.cut_off + restored.senseless))
}

fn dump(hub: &Hub) -> Vec<u8> {
    let mut text = Vec::new();
    hub.dump(addr_of, &mut text);
    let sessions = text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"{\"session\"")).count();
    assert!(sessions <= SESSIONS_AWAY_MAX + hub.member_count());
    text
}

/// Everybody who is back says something, and somebody else does.
fn talk(hub: &mut Hub, mut now: Now) {
    let mut names = BTreeSet::new();
    for member in hub.members() {
        assert!(names.insert(member.name.to_lowercase()) && is_clean(member.name), "{:?}", member.name);
        assert!(member.away.is_none_or(is_clean) && member.rooms.iter().all(|room| is_clean(room)), "{member:?}");
    }
    let addrs: Vec<_> = hub.members().map(|member| member.addr).take(20).collect();
    let mut out = Outbox::default();
    let stranger = SocketAddr::from(([192, 0, 2, 1], 40_001));
    for addr in addrs.into_iter().chain([stranger]) {
        for payload in ["/who", "hello\n", "/history", "/rooms", "/msg bob psst", "/join tea"] {
            let path = Path::to(listener_for(addr), addr);
            hub.handle_datagram(&now, &Datagram::unicast(path, payload.as_bytes()), &mut out);
            hub.finish_turn(&mut out);
            assert!(out.pending().all(|(_, bytes)| bytes.len() <= DATAGRAM_MAX));
            out.advance(out.pending().count());
        }
    }
    for _ in 0..20 {
        let Some(due) = hub.next_timeout() else { break };
        now.mono = now.mono.max(due);
        hub.handle_timeout(&now, &mut out);
        hub.finish_turn(&mut out);
        out.advance(out.pending().count());
        assert!(hub.next_timeout().is_none_or(|next| next > now.mono), "what is due is done");
    }
}
