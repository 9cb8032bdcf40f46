//! What stands before a service, together with it: whose datagrams are heard when somebody sends too many in a name.

use belfry::config::Config;
use belfry::core::admission::Admission;
use belfry::core::{Datagram, DropReason, Instant, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::chat::{Hosts, Hub};
use belfry::services::{Service, ServiceName, hear};
use std::net::SocketAddr;
use std::time::Duration;

/// A hub behind its admission, as the daemon drives it.
struct Gate {
    admission: Admission,
    hub: Hub,
    out: Outbox,
    mono: Instant,
}

impl Gate {
    fn new() -> Self {
        let config = Config::default();
        Self {
            admission: Admission::new(&config, Seed(1)),
            hub: Hub::new(&config.chat, "belfry.lan", Hosts::default(), Seed(1)),
            out: Outbox::default(),
            mono: Instant::from_nanos(1_000_000_000_000),
        }
    }

    /// What becomes of a datagram from this port of a neighbour, and what goes back there.
    fn hear(&mut self, port: u16, payload: &str) -> (Verdict, String) {
        let now = Now { mono: self.mono, wall: jiff::Timestamp::UNIX_EPOCH };
        self.hub.handle_timeout(&now, &mut self.out);
        let path = Path::to(ListenerId(0), SocketAddr::from(([127, 0, 0, 9], port)));
        let mut datagram = Datagram::unicast(path, payload.as_bytes());
        let Self { admission, hub, out, .. } = self;
        let verdict = hear(ServiceName::Chat, hub, admission, &now, &mut datagram, out);
        self.hub.finish_turn(&mut self.out);
        let back: Vec<_> = self.out.pending().map(|(path, bytes)| (path.remote.port(), bytes.to_vec())).collect();
        self.out.advance(back.len());
        let own = back.iter().filter(|(to, _)| *to == port);
        (verdict, own.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect())
    }

    /// Somebody comes in as a session; which.
    fn begin(&mut self, port: u16, start: u16) -> String {
        let token = self.hear(port, "^hello 1^").1;
        let token = token.trim_start_matches("^token ").trim_end_matches('^').to_owned();
        let (verdict, welcome) = self.hear(port, &format!("^hello 1 start={start} token={token}^"));
        assert_eq!(verdict, Verdict::Answered);
        welcome.split_once(" session=").expect("a welcome").1[..16].to_owned()
    }

    /// So many that anybody may have sent; what became of the last.
    fn flood(&mut self, port: u16, count: usize) -> Verdict {
        (0..count).map(|number| self.hear(port, &format!("flood {number}")).0).last().expect("some")
    }
}

#[test]
fn whoever_forges_an_address_uses_up_nothing_that_its_session_needs() {
    let mut gate = Gate::new();
    let token = gate.hear(5_000, "^hello 1^").1;
    let token = token.trim_start_matches("^token ").trim_end_matches('^').to_owned();
    assert_eq!(gate.flood(5_000, 1_000), Verdict::Dropped(DropReason::RateLimit));
    let (verdict, welcome) = gate.hear(5_000, &format!("^hello 1 token={token}^"));
    assert_eq!(verdict, Verdict::Answered, "a token is nobody else's");
    let (_, session) = welcome.split_once(" session=").expect("a welcome");
    let session = session[..16].to_owned();
    for number in 1..=150 {
        gate.mono = gate.mono + Duration::from_millis(100);
        assert_eq!(gate.flood(5_000, 100), Verdict::Dropped(DropReason::RateLimit));
        let (verdict, told) = gate.hear(5_000, &format!("^as {session}^^say {number} len=2^hi"));
        assert_eq!(verdict, Verdict::Accepted);
        assert!(told.contains(&format!("^ack {number}^")), "{told}");
    }
    // It comes back from another address too, in whose name somebody sends as much.
    gate.mono = gate.mono + Duration::from_secs(1);
    let token = gate.hear(7_000, &format!("^as {session}^^hb^")).1;
    let token = token.trim_start_matches("^token ").trim_end_matches('^').to_owned();
    gate.flood(7_000, 300);
    let (verdict, _) = gate.hear(7_000, &format!("^as {session}^^hello 1 token={token}^"));
    assert_eq!(verdict, Verdict::Answered);
    let (verdict, _) = gate.hear(7_000, &format!("^as {session}^^hb^"));
    assert_eq!(verdict, Verdict::Accepted);
    // Nor is a session heard without bounds.
    gate.mono = gate.mono + Duration::from_secs(5);
    gate.flood(5_000, 300);
    let verdicts = (0..1_000).map(|_| gate.hear(7_000, &format!("^as {session}^^hb^")).0);
    assert_eq!(verdicts.filter(|&verdict| verdict == Verdict::Accepted).count(), 200);
    // And a number that is none is not counted like one.
    assert_eq!(gate.hear(5_000, "^as 0123456789abcdef^^hb^").0, Verdict::Dropped(DropReason::RateLimit));
}

#[test]
fn whoever_is_flooded_in_his_name_keeps_his_place() {
    let mut gate = Gate::new();
    assert_eq!(gate.hear(5_000, "^hb^").0, Verdict::Accepted);
    for _ in 0..30 {
        gate.mono = gate.mono + Duration::from_secs(1);
        // From another port of the same address, so that none of these renews him.
        assert_eq!(gate.flood(6_000, 300), Verdict::Dropped(DropReason::RateLimit));
        assert_eq!(gate.hear(5_000, "^hb^").0, Verdict::Dropped(DropReason::RateLimit));
    }
    assert_eq!(gate.hub.member_count(), 2);
    gate.mono = gate.mono + Duration::from_secs(9);
    let (verdict, told) = gate.hear(5_000, "still here");
    assert_eq!((verdict, told.as_str()), (Verdict::Accepted, "127.0.0.9-5000: still here"));
}

#[test]
fn somebody_who_has_a_session_uses_up_nothing_of_anybody_else_with_it() {
    let mut gate = Gate::new();
    let mallory = gate.begin(6_000, 0);
    let victim = gate.begin(5_000, 0);
    for _ in 0..30 {
        gate.mono = gate.mono + Duration::from_millis(100);
        for _ in 0..100 {
            gate.hear(5_000, &format!("^as {mallory}^^hb^"));
        }
        assert_eq!(gate.hear(5_000, &format!("^as {victim}^^hb^")).0, Verdict::Accepted);
    }
}

#[test]
fn a_class_of_forty_behind_one_address_and_somebody_who_pastes_notice_nothing_of_the_limits() {
    let mut gate = Gate::new();
    // They come in all at once: half of them with sessions.
    let sessions: Vec<String> = (0..20).map(|number| gate.begin(5_000 + number, number)).collect();
    for number in 20..40 {
        assert_eq!(gate.hear(5_000 + number, "^hb^").0, Verdict::Accepted);
    }
    // For two minutes each sends a heartbeat every three seconds, and says something every six.
    for second in 0..120_u64 {
        gate.mono = gate.mono + Duration::from_secs(1);
        for number in (0..40).filter(|number| (second + u64::from(*number)).is_multiple_of(3)) {
            let port = 5_000 + number;
            let session = sessions.get(usize::from(number));
            let heartbeat = session.map_or("^hb^".to_owned(), |session| format!("^as {session}^^hb^"));
            assert_eq!(gate.hear(port, &heartbeat).0, Verdict::Accepted, "{number} after {second} s");
            if (second / 3).is_multiple_of(2) {
                let text = format!("{number} says {second}");
                let said =
                    session.map_or(text.clone(), |session| format!("^as {session}^^say {} after=0^{text}", second + 1));
                let said = if second > 5 { said.replace(" after=0", "") } else { said };
                let (verdict, told) = gate.hear(port, &said);
                assert_eq!(verdict, Verdict::Accepted, "{number} after {second} s");
                assert!(!told.contains("? "), "{told}");
            }
        }
        // Somebody pastes ten lines, from the same address.
        if second == 60 {
            for line in 0..10 {
                let (verdict, told) = gate.hear(5_039, &format!("line {line}\n"));
                assert_eq!(verdict, Verdict::Accepted);
                assert!(told.contains(&format!("line {line}")), "{told}");
            }
        }
    }
}
