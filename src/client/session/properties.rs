//! Whatever comes, a session goes on: no panic, bounded memory, positions that never go back, deadlines that lie ahead.

use super::options::{HELD_MAX, PAST_EPOCHS_MAX};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What happens to a session.
#[derive(Clone, Debug)]
enum Step {
    Hears(Vec<u8>),
    Waits(u64),
    Says(usize),
    Joins(&'static str),
    Leaves(&'static str),
    Unreachable,
    Moves,
}

fn room() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["lobby", "lab", "@", "kitchen"])
}

fn place() -> impl Strategy<Value = String> {
    let number = prop_oneof![4 => 0..40_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    let epoch = prop::sample::select(vec!["00000001", "00000002", "00000003", "0"]);
    (room(), epoch, number).prop_map(|(room, epoch, number)| format!("{room}/{epoch}/{number}"))
}

/// Frames of a hub, most of which make sense.
fn frame() -> impl Strategy<Value = String> {
    let number = || prop_oneof![8 => 0..12_u64, 1 => any::<u64>()];
    let word = prop::sample::select(vec!["unknown", "left", "full", "odd"]);
    let session = || prop::sample::select(vec!["00000000000000aa", "00000000000000bb", "x"]);
    prop_oneof![
        6 => place().prop_map(|place| format!("^msg {place} bob time=5 len=1^x")),
        2 => prop::collection::vec(place(), 0..5).prop_map(|places| format!("^at {}^", places.join(" "))),
        2 => (place(), number(), any::<bool>()).prop_map(|(place, last, unused)| {
            format!("^gone {place}-{last}{}^", if unused { " unused" } else { "" })
        }),
        3 => number().prop_map(|number| format!("^ack {number}^")),
        1 => number().prop_map(|number| format!("^error {number} full len=1^x")),
        1 => (number(), place()).prop_map(|(number, place)| format!("^joined {number} {place}^")),
        1 => (word, session()).prop_map(|(code, session)| format!("^bye {code} session={session}^")),
        1 => "[a-c]{1,200}".prop_map(|token| format!("^token {token}^")),
        3 => (session(), number(), number(), prop::collection::vec(place(), 0..4)).prop_map(
            |(session, last, max, places)| {
                let places: String = places.iter().map(|place| format!(" at={place}")).collect();
                format!("^welcome 1 session={session} name=a heartbeat=3000 last={last} max={}{places}^", max % 2_000)
            }
        ),
        1 => "\\PC{0,40}",
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let frames = prop::collection::vec(frame(), 1..6).prop_map(|frames| Step::Hears(frames.concat().into_bytes()));
    prop_oneof![
        12 => frames,
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Step::Hears),
        5 => (0..5_000_u64).prop_map(Step::Waits),
        3 => (0..1_300_usize).prop_map(Step::Says),
        1 => room().prop_map(Step::Joins),
        1 => room().prop_map(Step::Leaves),
        1 => Just(Step::Unreachable),
        1 => Just(Step::Moves),
    ]
}

/// What has been handed out: for each room and numbering, the last number.
#[derive(Default)]
struct Ledger(BTreeMap<(String, u32), u64>);

impl Ledger {
    fn take(&mut self, session: &mut Session) {
        while let Some(event) = session.poll_event() {
            if let Event::Message(message) = event {
                let last = self.0.entry((message.room.clone(), message.epoch.0)).or_default();
                assert!(message.number > *last, "{message:?} after {last}");
                *last = message.number;
            }
        }
    }
}

fn check(session: &Session) {
    assert!(session.gap_count() <= (ROOMS_MAX + 1) * (HELD_MAX + 1));
    assert!(session.positions().count() <= ROOMS_MAX + 1);
    assert!(session.request_count() <= REQUESTS_MAX);
    assert!(session.streams.past_count() <= PAST_EPOCHS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_comes_a_session_goes_on(steps in prop::collection::vec(step(), 1..60)) {
        let mut now = Instant::from_nanos(1);
        let mut session = Session::new(&Options::default(), Seed(7), now).unwrap();
        let mut ledger = Ledger::default();
        for step in steps {
            match step {
                Step::Hears(datagram) => session.handle_datagram(now, &datagram),
                Step::Waits(millis) => now = now + Duration::from_millis(millis),
                Step::Says(len) => drop(session.say(Audience::Room(None), false, &vec![b'^'; len])),
                Step::Joins(room) => drop(session.join(room)),
                Step::Leaves(room) => drop(session.leave(room)),
                Step::Unreachable => session.handle_unreachable(now),
                Step::Moves => session.handle_address_change(now),
            }
            session.handle_timeout(now);
            prop_assert!(session.next_timeout().is_none_or(|next| next > now));
            prop_assert!(session.is_closed() || session.next_timeout().is_some());
            let mut sent = 0;
            while let Some(datagram) = session.poll_datagram(now) {
                prop_assert!(datagram.len() <= DATAGRAM_MAX);
                let read: Vec<_> = crate::core::frame::frames(&datagram).collect();
                prop_assert!(read.iter().all(Result::is_ok), "{}", datagram.escape_ascii());
                sent += 1;
            }
            prop_assert!(sent <= 40, "{sent} datagrams at once");
            prop_assert!(session.next_timeout().is_none_or(|next| next > now));
            ledger.take(&mut session);
            check(&session);
        }
    }
}
