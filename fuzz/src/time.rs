//! The time service: each request gets one answer within its bounds, the same again within the second, and nothing that
//! steers a terminal.

use super::is_clean;
use belfry::config;
use belfry::core::limits::{ANSWER_BASE, DATAGRAM_MAX, ERROR_LINE_MAX};
use belfry::core::text::split_line;
use belfry::core::{Datagram, DropReason, Instant, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::Service;
use belfry::services::time::{TimeService, Zones};
use jiff::Timestamp;

/// A request.
pub fn time(data: &[u8]) {
    let mut service = TimeService::new(&config::Time::default(), Zones::utc_only(), Seed(1));
    let second = 1_795_271_007 + data.first().map_or(0, |&byte| i64::from(byte) * 86_400);
    let wall = Timestamp::new(second, 123_456_789).expect("a moment");
    let first = ask(&mut service, wall, data, false);
    assert_eq!(ask(&mut service, wall, data, false), first, "it is the same again");
    ask(&mut service, wall, data, true);
}

/// The verdict on a request, and what it got.
fn ask(service: &mut TimeService, wall: Timestamp, payload: &[u8], truncated: bool) -> (Verdict, Vec<u8>) {
    let now = Now { mono: Instant::from_nanos(1), wall };
    let path = Path::to(ListenerId(0), "192.0.2.7:40001".parse().expect("an address"));
    let mut out = Outbox::default();
    let verdict = service.handle_datagram(&now, &Datagram { truncated, ..Datagram::unicast(path, payload) }, &mut out);
    let answers: Vec<_> = out.pending().collect();
    if matches!(verdict, Verdict::Dropped(_)) {
        assert_eq!((verdict, answers.len()), (Verdict::Dropped(DropReason::ErrorLine), 0));
        return (verdict, Vec::new());
    }
    let [(to, answer)] = answers[..] else { panic!("{} answers", answers.len()) };
    assert_eq!(*to, path);
    assert!(answer.len() <= DATAGRAM_MAX.min(ANSWER_BASE + 3 * payload.len()), "{} bytes", answer.len());
    let text = str::from_utf8(answer).expect("an answer is UTF-8");
    assert!(is_clean(text), "{text:?}");
    assert!(text.ends_with('\n') || !split_line(payload).1, "{text:?}");
    if matches!(verdict, Verdict::Refused(_)) {
        assert!(text.starts_with("? ") && answer.len() <= ERROR_LINE_MAX, "{text:?}");
    }
    (verdict, answer.to_vec())
}
