//! The NTP service: only what a client says has an answer, which is no longer than that and has none itself; what is asked for
//! as a number or a text has one that is no question either.

use belfry::config;
use belfry::core::limits::ANSWER_BASE;
use belfry::core::{ClockState, Datagram, DropReason, Instant, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::Service;
use belfry::services::ntp::NtpService;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

/// The sockets, by their ports: NTP, the number, the text.
const PORTS: [u16; 3] = [123, 37, 13];

/// A datagram, to each socket.
pub fn ntp(data: &[u8]) {
    let sockets = PORTS.map(|port| (ListenerId(port), SocketAddr::from(([127, 0, 0, 1], port))));
    let [listen, listen_rfc868, listen_rfc867] = sockets.map(|(_, addr)| vec![addr]);
    let config = config::Ntp { listen, listen_rfc868, listen_rfc867, ..config::Ntp::default() };
    // Of all the clocks there are: right, or before or after what is known of it.
    let second = data.first().map_or(0, |&byte| i64::from(byte) * 86_400 * 365 - 1_000_000_000);
    let now = Now { mono: Instant::from_nanos(1), wall: Timestamp::new(second, 123_456_789).expect("a moment") };
    let mut service = NtpService::new(&config, &sockets, Duration::from_nanos(60), 1_795_262_400, Seed(1));
    for synchronised in [true, false] {
        service.set_clock(ClockState { synchronised, max_error: Duration::from_millis(3), ..ClockState::default() });
        for port in PORTS {
            hear(&mut service, &now, port, data);
        }
    }
}

/// Looks at the answer to a datagram, and at the answer to the answer.
fn hear(service: &mut NtpService, now: &Now, port: u16, payload: &[u8]) {
    let Some(answer) = ask(service, now, port, payload) else { return };
    if port == PORTS[0] {
        let (version, mode) = (payload[0] >> 3 & 7, payload[0] & 7);
        assert!(matches!((version, mode), (1..=4, 3) | (1, 0)), "an answer to version {version}, mode {mode}");
        assert_eq!((answer.len(), payload.len()), (48, 48));
        assert_eq!((answer[0] >> 3 & 7, answer[0] & 7), (version, 4));
        assert_eq!(answer[24..32], payload[40..48], "it is known by the moment at which its question left");
        assert!(answer[0] >> 6 != 3 || answer[1] == 0, "no stratum without a clock");
    } else {
        assert!(payload.len() <= 2 && answer.len() <= ANSWER_BASE, "{} bytes for {}", answer.len(), payload.len());
    }
    for port in PORTS {
        assert_eq!(ask(service, now, port, &answer), None, "it has an answer itself");
    }
}

/// The answer to a datagram, if there is one; and the same of one that is too many.
fn ask(service: &mut NtpService, now: &Now, port: u16, payload: &[u8]) -> Option<Vec<u8>> {
    let path = Path::to(ListenerId(port), "192.0.2.7:40001".parse().expect("an address"));
    let (datagram, mut out) = (Datagram::unicast(path, payload), Outbox::default());
    let verdict = service.handle_datagram(now, &datagram, &mut out);
    let answers: Vec<_> = out.pending().map(|(to, bytes)| (*to, bytes.to_vec())).collect();
    let expected = match verdict {
        Verdict::Answered => 1,
        Verdict::Dropped(DropReason::NotForUs | DropReason::NoTime) => 0,
        other => panic!("{other:?}"),
    };
    assert_eq!(answers.len(), expected);
    assert!(answers.iter().all(|(to, _)| *to == path));

    out.advance(expected);
    service.handle_excess(now, &datagram, &mut out);
    let excess = out.pending().count();
    assert!(excess <= 1 && out.pending().all(|(to, bytes)| *to == path && bytes.len() == payload.len()));
    assert!(excess == 0 || (port == PORTS[0] && expected == 1), "who gets no answer is told nothing");
    answers.into_iter().next().map(|(_, answer)| answer)
}
