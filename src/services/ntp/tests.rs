//! Clocks that ask, of every kind; each answer in full.

use super::*;
use crate::core::Path;
use std::net::Ipv4Addr;

/// 21 November 2026, 14:03:27.25.
const WALL: &str = "2026-11-21T14:03:27.25Z";
const WALL_SECONDS: u32 = 0xeeac_232f;

const NTP: ListenerId = ListenerId(0);
const NUMBER: ListenerId = ListenerId(1);
const TEXT: ListenerId = ListenerId(2);

const SYNCHRONISED: ClockState =
    ClockState { synchronised: true, max_error: Duration::from_millis(500), leap: Leap::None };

fn service(edit: impl FnOnce(&mut config::Ntp)) -> NtpService {
    let addr = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut config = config::Ntp {
        listen: vec![addr(123)],
        listen_rfc868: vec![addr(37)],
        listen_rfc867: vec![addr(13)],
        ..config::Ntp::default()
    };
    edit(&mut config);
    let listeners = [(NTP, addr(123)), (NUMBER, addr(37)), (TEXT, addr(13))];
    let mut service = NtpService::new(&config, &listeners, Duration::from_nanos(59), 1_795_262_400, Seed(1));
    service.set_clock(SYNCHRONISED);
    service
}

fn now(wall: &str) -> Now {
    Now { mono: Instant::from_nanos(1), wall: wall.parse().unwrap() }
}

fn from(listener: ListenerId, port: u16, payload: &[u8]) -> Datagram<'_> {
    Datagram::unicast(Path::to(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, port))), payload)
}

/// The verdict on a datagram, and the answers to it.
fn hear(service: &mut NtpService, wall: &str, datagram: &Datagram<'_>) -> (Verdict, Vec<Vec<u8>>) {
    let mut out = Outbox::default();
    let verdict = service.handle_datagram(&now(wall), datagram, &mut out);
    (verdict, out.pending().map(|(_, bytes)| bytes.to_vec()).collect())
}

/// A question of a client of version 4 that asks every 64 s.
fn question() -> [u8; 48] {
    let mut packet = [0; 48];
    (packet[0], packet[2]) = (0x23, 6);
    packet[40..].copy_from_slice(b"MOMENT A");
    packet
}

/// The answer to that, by its parts.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    first: [u8; 4],
    root_delay: u32,
    root_dispersion: u32,
    reference_id: [u8; 4],
    /// Reference, origin, receive and transmit.
    moments: [[u8; 8]; 4],
}

impl Answer {
    fn read(packet: &[u8]) -> Self {
        let word = |at: usize| packet[at..at + 4].try_into().unwrap();
        let moment = |at: usize| packet[at..at + 8].try_into().unwrap();
        Self {
            first: word(0),
            root_delay: u32::from_be_bytes(word(4)),
            root_dispersion: u32::from_be_bytes(word(8)),
            reference_id: word(12),
            moments: [16, 24, 32, 40].map(moment),
        }
    }
}

fn ask(service: &mut NtpService, wall: &str) -> Answer {
    let (verdict, answers) = hear(service, wall, &from(NTP, 40_001, &question()));
    assert_eq!((verdict, answers.len()), (Verdict::Answered, 1));
    Answer::read(&answers[0])
}

fn moment(seconds: u32, fraction: u32) -> [u8; 8] {
    (u64::from(seconds) << 32 | u64::from(fraction)).to_be_bytes()
}

/// In place of the moment at which it leaves.
const LATER: [u8; 8] = [0; 8];

#[test]
fn an_answer_tells_the_time_and_what_is_known_of_the_clock() {
    let expected = Answer {
        // No leap second, version 4, server; stratum 4; 64 s; 2⁻²⁴ s are 60 ns.
        first: [0x24, 4, 6, 0xe8],
        root_delay: 0,
        root_dispersion: 0x8000,
        reference_id: [127, 127, 1, 1],
        moments: [moment(WALL_SECONDS, 0), *b"MOMENT A", moment(WALL_SECONDS, 1 << 30), LATER],
    };
    assert_eq!(ask(&mut service(|_| {}), WALL), expected);
}

#[test]
fn the_moment_of_arrival_is_the_kernels_unless_the_clock_was_set_back_since() {
    let question = question();
    for (arrived_at, seconds) in
        [("2026-11-21T14:03:26.25Z", WALL_SECONDS - 1), ("2026-11-21T14:03:28.25Z", WALL_SECONDS)]
    {
        let datagram = Datagram { arrived_at: Some(arrived_at.parse().unwrap()), ..from(NTP, 40_001, &question) };
        let (_, answers) = hear(&mut service(|_| {}), WALL, &datagram);
        assert_eq!(Answer::read(&answers[0]).moments[2], moment(seconds, 1 << 30), "{arrived_at}");
    }
}

#[test]
fn the_moment_of_leaving_is_left_to_who_sends_it() {
    let (mut service, mut out) = (service(|_| {}), Outbox::default());
    service.handle_datagram(&now(WALL), &from(NTP, 40_001, &question()), &mut out);
    service.handle_datagram(&now("2026-11-20T00:00:00Z"), &from(NTP, 40_001, &question()), &mut out);
    service.handle_datagram(&now(WALL), &from(NUMBER, 40_001, b""), &mut out);
    let stamped: Vec<_> = out.deliveries(1).map(|delivery| delivery.is_stamped).collect();
    assert_eq!(stamped, [true, false, false]);
}

#[test]
fn a_leap_second_is_told_while_the_clock_is_synchronised() {
    for (leap, first) in [(Leap::None, 0x24), (Leap::Insert, 0x64), (Leap::Delete, 0xa4)] {
        let mut service = service(|config| config.local_stratum = 10);
        service.set_clock(ClockState { leap, ..SYNCHRONISED });
        assert_eq!(ask(&mut service, WALL).first[0], first);
        service.set_clock(ClockState { leap, synchronised: false, ..SYNCHRONISED });
        assert_eq!(ask(&mut service, WALL).first[0], 0x24, "nobody knows");
    }
}

#[test]
fn a_clock_that_nobody_keeps_right_is_said_to_be_so() {
    let mut service = service(|_| {});
    service.set_clock(ClockState { synchronised: false, ..SYNCHRONISED });
    let expected = Answer {
        first: [0xe4, 0, 6, 0xe8],
        root_delay: 0,
        root_dispersion: 16 << 16,
        reference_id: *b"INIT",
        moments: [[0; 8], *b"MOMENT A", moment(WALL_SECONDS, 1 << 30), LATER],
    };
    assert_eq!(ask(&mut service, WALL), expected);
}

#[test]
fn all_go_by_a_clock_that_nobody_keeps_right_where_that_is_wanted() {
    for (local_stratum, reference_id) in [(10, [127, 127, 1, 1]), (1, *b"LOCL")] {
        let mut service = service(|config| config.local_stratum = local_stratum);
        assert_eq!(ask(&mut service, WALL).first[1], 4, "not while it is kept right");
        service.set_clock(ClockState { synchronised: false, max_error: Duration::from_secs(16), leap: Leap::None });
        let answer = ask(&mut service, WALL);
        assert_eq!(answer.first, [0x24, local_stratum, 6, 0xe8]);
        assert_eq!((answer.root_dispersion, answer.reference_id), (0, reference_id));
    }
}

#[test]
fn no_time_is_told_that_is_before_the_date_of_the_sources() {
    let mut service = service(|config| config.local_stratum = 10);
    for wall in ["2026-11-21T11:59:59.999Z", "1970-01-01T00:00:01Z", "1869-01-01T00:00:01Z"] {
        let answer = ask(&mut service, wall);
        assert_eq!((answer.first, answer.reference_id), ([0xe4, 0, 6, 0xe8], *b"INIT"), "{wall}");
        let moments = [[0; 8], *b"MOMENT A", *b"MOMENT A", *b"MOMENT A"];
        assert_eq!(answer.moments, moments, "{wall}: what the client says, and nothing of ours");
        for listener in [NUMBER, TEXT] {
            let plain = hear(&mut service, wall, &from(listener, 40_001, b""));
            assert_eq!(plain, (Verdict::Dropped(DropReason::NoTime), vec![]), "{wall}");
        }
    }
    assert_eq!(ask(&mut service, "2026-11-21T12:00:00Z").first[1], 4);
}

#[test]
fn an_answer_has_the_version_of_its_question_and_is_none_itself() {
    for first in 0..=u8::MAX {
        let mut service = service(|_| {});
        let mut packet = question();
        packet[0] = first;
        let (verdict, answers) = hear(&mut service, WALL, &from(NTP, 40_001, &packet));
        let is_question = matches!(first & 0x3f, 0x08 | 0x0b | 0x13 | 0x1b | 0x23);
        assert_eq!(answers.len(), usize::from(is_question), "{first:#x}");
        let Some(answer) = answers.first() else {
            assert_eq!(verdict, Verdict::Dropped(DropReason::NotForUs));
            continue;
        };
        assert_eq!(answer[0], first & 0x38 | 4);
        let back = hear(&mut service, WALL, &from(NTP, 123, answer));
        assert_eq!(back, (Verdict::Dropped(DropReason::NotForUs), vec![]), "{first:#x}");
    }
}

#[test]
fn of_the_questions_that_are_too_many_one_in_eight_is_told_so() {
    let (mut service, mut out) = (service(|_| {}), Outbox::default());
    let question = question();
    let excess = |service: &mut NtpService, listener, payload: &[u8], out: &mut Outbox| {
        service.handle_excess(&now(WALL), &from(listener, 40_001, payload), out)
    };
    let verdicts: Vec<_> = (0..8_000).map(|_| excess(&mut service, NTP, &question, &mut out)).collect();
    let told = verdicts.iter().filter(|&&verdict| verdict == Verdict::Refused(Refusal::TooOften)).count();
    let dropped = verdicts.iter().filter(|&&verdict| verdict == Verdict::Dropped(DropReason::RateLimit)).count();
    assert_eq!((told + dropped, out.pending().count()), (8_000, told));
    assert!((900..1_100).contains(&told), "{told}");
    let answer = Answer::read(out.pending().next().unwrap().1);
    assert_eq!((answer.first, answer.reference_id), ([0xe4, 0, 6, 0xe8], *b"RATE"));
    assert_eq!(answer.moments, [[0; 8], *b"MOMENT A", *b"MOMENT A", *b"MOMENT A"]);
    let mut none = Outbox::default();
    let mut answer = [0; 48];
    answer[0] = 0x24;
    for (listener, payload) in [(NTP, &answer[..]), (NTP, b""), (NUMBER, b""), (NUMBER, &question), (TEXT, &question)] {
        for _ in 0..100 {
            let verdict = excess(&mut service, listener, payload, &mut none);
            assert_eq!(verdict, Verdict::Dropped(DropReason::RateLimit));
        }
    }
    assert!(none.is_empty());
}

#[test]
fn the_time_is_told_as_a_number_and_as_a_text() {
    let mut service = service(|_| {});
    let number = (Verdict::Answered, vec![WALL_SECONDS.to_be_bytes().to_vec()]);
    let text = (Verdict::Answered, vec![b"Saturday, November 21, 2026 14:03:27-UTC\r\n".to_vec()]);
    for question in [&b""[..], b"\n", b"\r\n"] {
        assert_eq!(hear(&mut service, WALL, &from(NUMBER, 40_001, question)), number);
        assert_eq!(hear(&mut service, WALL, &from(TEXT, 1_024, question)), text);
    }
    for other in [&b"now"[..], &number.1[0], &text.1[0], &question()] {
        for listener in [NUMBER, TEXT] {
            let heard = hear(&mut service, WALL, &from(listener, 40_001, other));
            assert_eq!(heard, (Verdict::Dropped(DropReason::NotForUs), vec![]), "{}", other.escape_ascii());
        }
    }
    for listener in [NUMBER, TEXT] {
        let from_a_service = hear(&mut service, WALL, &from(listener, 123, b""));
        assert_eq!(from_a_service, (Verdict::Dropped(DropReason::SourcePort), vec![]));
    }
    service.set_clock(ClockState { synchronised: false, ..SYNCHRONISED });
    for listener in [NUMBER, TEXT] {
        let heard = hear(&mut service, WALL, &from(listener, 40_001, b""));
        assert_eq!(heard, (Verdict::Dropped(DropReason::NoTime), vec![]));
    }
}

#[test]
fn another_configuration_is_answered_by_at_once() {
    let mut service = service(|_| {});
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 37));
    let config = config::Ntp { stratum: 2, listen_rfc867: vec![addr], ..config::Ntp::default() };
    service.reconfigure(&config, &[(NUMBER, addr)]);
    assert_eq!(ask(&mut service, WALL).first[1], 2);
    let (_, answers) = hear(&mut service, WALL, &from(NUMBER, 40_001, b""));
    assert!(answers[0].starts_with(b"Saturday, "));
}

#[test]
fn the_precision_is_the_power_of_two_that_is_not_finer_than_the_clock() {
    let table = [(1, -29), (2, -28), (59, -24), (60, -23), (1_000, -19), (1_000_000, -9), (500_000_000, -1)];
    for (nanos, exponent) in table {
        assert_eq!(log2(Duration::from_nanos(nanos)), exponent, "{nanos} ns");
    }
    assert_eq!(log2(Duration::from_secs(3)), 0);
}
