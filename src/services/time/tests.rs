//! The service as a whole: what goes in on the left, all that comes out on the right.

use super::*;
use crate::core::limits::{ERROR_LINE_MAX, TIME_REQUEST_MAX};
use crate::core::{ListenerId, Path, Refusal};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;

/// 2026-09-21 14:23:27.120000009 UTC, a Monday.
const NANOS: i128 = 1_790_000_607_120_000_009;

fn now(nanos_later: i128) -> Now {
    Now { mono: Instant::default(), wall: Timestamp::from_nanosecond(NANOS + nanos_later).unwrap() }
}

fn config(default_format: &str, timezone: config::Timezone) -> config::Time {
    config::Time { default_format: default_format.to_owned(), timezone, ..config::Time::default() }
}

fn service() -> TimeService {
    TimeService::new(&config::Time::default(), Zones::utc_only(), Seed(7))
}

/// One datagram: its verdict, and the answer if there is one.
fn ask(service: &mut TimeService, now: Now, payload: &[u8], truncated: bool) -> (Verdict, Option<Vec<u8>>) {
    let path = Path::to(ListenerId(0), SocketAddr::from(([192, 0, 2, 1], 4_711)));
    let mut out = Outbox::default();
    let datagram = Datagram { truncated, ..Datagram::unicast(path, payload) };
    let verdict = service.handle_datagram(&now, &datagram, &mut out);
    let sent: Vec<_> = out.pending().map(|(to, bytes)| (*to, bytes.to_vec())).collect();
    assert!(sent.len() <= 1, "one datagram in, at most one out");
    assert_eq!(sent.is_empty(), matches!(verdict, Verdict::Dropped(_)), "{verdict:?}");
    assert!(sent.iter().all(|(to, _)| *to == path), "the answer goes back");
    (verdict, sent.into_iter().next().map(|(_, bytes)| bytes))
}

fn answer(service: &mut TimeService, payload: &[u8]) -> String {
    String::from_utf8(ask(service, now(0), payload, false).1.expect("an answer")).unwrap()
}

#[test]
fn each_request_gets_its_answer() {
    use Refusal::{AnswerTooLong, NoConversion, NotUtf8, TooLong, UnknownConversion, UnknownZone};
    let wide = "%40d".repeat(40);
    let long = [b'x'; TIME_REQUEST_MAX + 1];
    let table: &[(&[u8], Result<&str, Refusal>)] = &[
        (b"", Ok("2026-09-21 14:23:27")),
        (b" \n", Ok("2026-09-21 14:23:27\n")),
        (b"%H:%M", Ok("14:23")),
        (b"%H:%M\r\n\0", Ok("14:23\n")),
        (b"at %H\nand %3N\n", Ok("at 14\nand 120\n")),
        (b"TZ=CET-1CEST,M3.5.0,M10.5.0/3 %c %Z\n", Ok("Mon Sep 21 16:23:27 2026 CEST\n")),
        (b"TZ=\"<+0530>-5:30\"", Ok("2026-09-21 19:53:27")),
        (b"TZ= %Z", Ok("UTC")),
        (b"\x1b[31m%H", Ok("?[31m14")),
        (b"? %H", Err(Refusal::Full)),
        (b"hello\n", Err(NoConversion)),
        (b"100%% %n%t", Err(NoConversion)),
        (b"TZ=UTC hello", Err(NoConversion)),
        (b"%H %Q", Err(UnknownConversion)),
        (b"%", Err(UnknownConversion)),
        (b"TZ=Mars/Olympus %H", Err(UnknownZone)),
        (b"TZ=../../etc/passwd %H", Err(UnknownZone)),
        (b"%H \xff", Err(NotUtf8)),
        (&long, Err(TooLong)),
        (b"%9999999d", Err(AnswerTooLong)),
        (wide.as_bytes(), Err(AnswerTooLong)),
    ];
    let mut service = service();
    for &(payload, expected) in table {
        let shown = payload.escape_ascii();
        let (verdict, sent) = ask(&mut service, now(0), payload, false);
        let sent = sent.map(|bytes| String::from_utf8(bytes).unwrap());
        match expected {
            Ok(text) => assert_eq!((verdict, sent.as_deref()), (Verdict::Answered, Some(text)), "{shown}"),
            // Stands for silence, which has no refusal.
            Err(Refusal::Full) => {
                assert_eq!((verdict, sent), (Verdict::Dropped(DropReason::ErrorLine), None), "{shown}")
            }
            Err(why) => {
                let sent = sent.unwrap();
                assert_eq!(verdict, Verdict::Refused(why), "{shown}");
                assert!(sent.starts_with("? ") && sent.len() <= ERROR_LINE_MAX, "{shown}: {sent}");
                assert_eq!(sent.ends_with('\n'), payload.ends_with(b"\n"), "{shown}");
            }
        }
    }
}

#[test]
fn a_request_that_was_cut_off_is_too_long_even_when_its_beginning_is_known() {
    let mut service = service();
    ask(&mut service, now(0), b"%H", false);
    assert_eq!(ask(&mut service, now(0), b"%H", true).0, Verdict::Refused(Refusal::TooLong));
}

#[test]
fn the_answer_at_its_bound_goes_out_and_one_byte_more_does_not() {
    let mut service = service();
    // Four bytes in: 84 and twelve out.
    assert_eq!(answer(&mut service, b"%96c").len(), 96);
    assert!(answer(&mut service, b"%97c").starts_with("? "));
    assert_eq!(answer(&mut service, b"%98c\n").len(), 99);
    assert!(answer(&mut service, b"%99c\n").starts_with("? "));
    let longest = format!("{}%{}d", "x".repeat(394), DATAGRAM_MAX - 394);
    assert_eq!(answer(&mut service, longest.as_bytes()).len(), DATAGRAM_MAX);
    let longer = format!("{}%{}d", "x".repeat(394), DATAGRAM_MAX - 393);
    assert!(answer(&mut service, longer.as_bytes()).starts_with("? "));
}

#[test]
fn the_help_says_how_good_the_clock_is_now() {
    let mut service = service();
    assert!(answer(&mut service, b"?").ends_with("clock not synchronised, error unknown"));
    service.set_clock(ClockState { synchronised: true, max_error: Duration::from_millis(3), ..ClockState::default() });
    assert!(answer(&mut service, b"?\n").ends_with("clock synchronised, error below 3 ms\n"));
    service.set_clock(ClockState { synchronised: true, max_error: Duration::MAX, ..ClockState::default() });
    assert!(answer(&mut service, b"?").len() <= ANSWER_BASE + 3);
}

#[test]
fn an_answer_is_the_same_whether_it_was_kept_or_not_and_whichever_way_the_clock_steps() {
    let mut service = service();
    let second = 1_000_000_000;
    for (later, expected) in [(0, "27"), (1, "27"), (second, "28"), (0, "27"), (-28 * second, "59"), (0, "27")] {
        let (_, sent) = ask(&mut service, now(later), b"%S", false);
        assert_eq!(sent.as_deref(), Some(expected.as_bytes()), "{later}");
    }
    for (later, expected) in [(0, "120"), (1_000_000, "121"), (0, "120")] {
        let (_, sent) = ask(&mut service, now(later), b"%3N", false);
        assert_eq!(sent.as_deref(), Some(expected.as_bytes()), "{later}");
    }
}

#[test]
fn a_new_configuration_answers_in_its_own_format_and_zone_at_once() {
    let mut service = service();
    assert_eq!(answer(&mut service, b""), "2026-09-21 14:23:27");
    assert_eq!(answer(&mut service, b"%H %Z"), "14 UTC");
    let named = config::Timezone::Named("IST-5:30".to_owned());
    service.reconfigure(&config("%T %6N", named), Zones::utc_only());
    assert_eq!(answer(&mut service, b""), "19:53:27 120000");
    assert_eq!(answer(&mut service, b"%H %Z"), "19 IST");
    let (_, sent) = ask(&mut service, now(1_000), b"", false);
    assert_eq!(sent.as_deref(), Some(b"19:53:27 120001".as_slice()));
}

/// How many datagrams two services exchange after one of them is sent `first`, itself included.
fn hops(first: &[u8]) -> usize {
    let config = config("%Y-%m-%d %X %%H %%%%d", config::Timezone::Local);
    let mut service = TimeService::new(&config, Zones::utc_only(), Seed(7));
    let mut payload = first.to_vec();
    for hop in 1..=100 {
        match ask(&mut service, now(hop), &payload, false).1 {
            Some(bytes) => payload = bytes,
            None => return usize::try_from(hop).unwrap(),
        }
    }
    panic!("{} is answered for ever", first.escape_ascii());
}

/// Nine for the halvings of 512, one for the error line, one for silence.
const HOPS_MAX: usize = 11;

#[test]
fn two_services_are_silent_soon_whatever_nest_of_percents_they_are_sent() {
    let mut longest = 0;
    let runs = (1..TIME_REQUEST_MAX).flat_map(|run| {
        ["H", "wHwHwHwHw", "5w", "040w", "c%H", "%w%%H%%%%H", "wwwwwwwwwwww"].map(|end| "%".repeat(run) + end)
    });
    let nested = (0..12).scan("%w".to_owned(), |nest, _| {
        *nest = format!("%w{}", nest.replace('%', "%%"));
        Some(nest.clone())
    });
    let zones =
        nested.clone().flat_map(|nest| [format!("TZ= {nest}"), format!("TZ= TZ= TZ= {nest}"), format!("TZ={nest}")]);
    let odd = ["", "?", "?\n", "TZ=UTC", "TZ= TZ=%Z", "%H\n", "\n", "\0"].map(str::to_owned);
    for first in runs.chain(nested).chain(zones).chain(odd) {
        let hops = hops(first.as_bytes());
        assert!(hops <= HOPS_MAX, "{hops} hops: {first}");
        longest = longest.max(hops);
    }
    assert!(longest >= 9, "the nests are no nests: {longest}");
}

/// Requests with more in them than bytes at random have.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("%".to_owned()),
        Just("TZ=".to_owned()),
        Just("TZ=CET-1CEST ".to_owned()),
        Just("\n".to_owned()),
        Just("\0".to_owned()),
        "%{1,40}[a-zA-Z]",
        "%[-_0^#]{0,2}[0-9]{0,4}[EO]?[a-zA-Z%:]",
        "[ -~]{0,5}",
        "\\PC{0,3}",
        any::<char>().prop_map(String::from),
    ];
    let text = prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![4 => text, 1 => prop::collection::vec(any::<u8>(), 0..600)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_answer_is_longer_than_its_bound_and_no_error_line_longer_than_a_line(
        payload in requests(),
        truncated in any::<bool>(),
        second in -377_705_000_000_i64..253_402_207_200,
    ) {
        let wall = Timestamp::from_second(second).unwrap();
        let (verdict, sent) = ask(&mut service(), Now { mono: Instant::default(), wall }, &payload, truncated);
        let Some(sent) = sent else { return Ok(()) };
        prop_assert!(sent.len() <= DATAGRAM_MAX && sent.len() <= ANSWER_BASE + 3 * payload.len());
        let line = std::str::from_utf8(&sent).unwrap();
        prop_assert!(!line.chars().any(|shown| shown.is_control() && shown != '\n' && shown != '\t'), "{line:?}");
        if let Verdict::Refused(_) = verdict {
            prop_assert!(line.starts_with("? ") && line.len() <= ERROR_LINE_MAX, "{line:?}");
            prop_assert!(line.trim_end_matches('\n').bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
        }
    }

    #[test]
    fn two_services_are_silent_soon_whatever_they_are_sent(payload in requests()) {
        prop_assert!(hops(&payload) <= HOPS_MAX);
    }

    #[test]
    fn a_kept_answer_is_the_answer(payload in requests()) {
        let mut warm = service();
        let first = ask(&mut warm, now(0), &payload, false);
        prop_assert_eq!(&ask(&mut warm, now(0), &payload, false), &first);
        ask(&mut warm, now(1_000_000_000), &payload, false);
        prop_assert_eq!(ask(&mut warm, now(0), &payload, false), first);
    }
}
