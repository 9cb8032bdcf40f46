//! Text that reaches a terminal is clean, wherever it was put in and wherever it comes out: as a text, a name, a room, a topic,
//! in a list, an error line, a history, and in what was kept by a hub before this one.

use belfry::config;
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed};
use belfry::services::Service;
use belfry::services::chat::{Entry, Hosts, Hub};
use belfry::services::time::{TimeService, Zones};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;

/// What terminals obey or show in another order, and what is no text.
const PIECES: [&[u8]; 22] = [
    b"\x1b[2J",
    b"\x1b]0;x\x07",
    b"\xc2\x9b31m",
    b"\x7f",
    b"\r",
    b"\r\n",
    b"\n",
    b"\n\n",
    b"\0",
    b"\x08",
    b"\t",
    b"\xe2\x80\xae",
    b"\xe2\x81\xa6",
    b"\xe2\x80\xa8",
    b"\xe2\x80\x8f",
    b"\xd8\x9c",
    b"\xff",
    b"\xed\xa0\x80",
    b"a",
    b" ",
    b"-",
    b"\xc3\xa4",
];

/// Before which of them they stand.
const HEADS: [&str; 20] = [
    "",
    "",
    "//",
    "/nick ",
    "/nick a",
    "/join ",
    "/join r",
    "/topic ",
    "/away ",
    "/me ",
    "/msg anna ",
    "/msg ",
    "/who ",
    "/history ",
    "/",
    "/nosuch ",
    "? ",
    "-- ",
    "^x",
    "^as 0123456789abcdef^^say 1^",
];

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..8);
    (proptest::sample::select(&HEADS[..]), pieces)
        .prop_map(|(head, pieces)| [head.as_bytes(), pieces.concat().as_slice()].concat())
}

/// What is wrong with something that goes to a terminal.
fn fault(bytes: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Some(format!("not UTF-8: {}", bytes.escape_ascii())) };
    let turns =
        |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let bad = text.chars().find(|&c| turns(c) || c.is_control() && !matches!(c, '\t' | '\n'));
    bad.map(|c| format!("{c:?} in {text:?}"))
}

fn now(number: u64) -> Now {
    // Slowly, so that nobody is taken for a service.
    Now { mono: Instant::from_nanos(1) + Duration::from_secs(2 * number), wall: jiff::Timestamp::UNIX_EPOCH }
}

fn member(number: u16) -> Path {
    Path::to(ListenerId(0), SocketAddr::from(([127, 0, 0, 1], 5_000 + number)))
}

/// Has a hub hear all of it, from terminals and programs by turns, and ask for everything in the end.
fn play(hub: &mut Hub, said: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let mut out = Outbox::default();
    let questions = ["/who", "/rooms", "/topic", "/history", "/nick", "/join lobby", "/history 9", "quit", "/help"];
    let asked = questions.iter().flat_map(|question| [0_u16, 1].map(|from| (from, question.as_bytes())));
    let said = said.iter().enumerate().map(|(at, said)| (at as u16 % 4, said.as_slice()));
    for (number, (from, said)) in said.chain(asked).enumerate() {
        // Even numbers are terminals.
        let payload = if from % 2 == 0 { [said, b"\n"].concat() } else { said.to_vec() };
        hub.handle_datagram(&now(number as u64), &Datagram::unicast(member(from), &payload), &mut out);
        hub.finish_turn(&mut out);
        let mut count = 0;
        for (_, bytes) in out.pending() {
            count += 1;
            if let Some(fault) = fault(bytes) {
                prop_assert!(false, "{} brings {fault}", payload.escape_ascii());
            }
        }
        out.advance(count);
    }
    Ok(())
}

fn hub(hosts: &[u8]) -> Hub {
    let hosts = Hosts::parse(&format!("127.0.0.1 {}", String::from_utf8_lossy(hosts)));
    Hub::new(&config::Chat::default(), "belfry.lan", hosts, Seed(1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_said_reaches_a_terminal_as_what_steers_it(
        hosts in hostile(), said in proptest::collection::vec(hostile(), 1..40),
    ) {
        play(&mut hub(&hosts), &said)?;
    }

    #[test]
    fn nothing_that_was_kept_and_changed_meanwhile_does(
        said in proptest::collection::vec(hostile(), 1..20),
        line in hostile(), topic in hostile(), name in hostile(), away in hostile(),
    ) {
        let mut first = hub(b"localhost");
        play(&mut first, &said)?;
        let mut kept = Vec::new();
        first.dump(|_| Some(SocketAddr::from(([127, 0, 0, 1], 9_999))), &mut kept);
        let mut kept = String::from_utf8(kept).expect("JSON");
        let [line, topic, name, away] = [line, topic, name, away].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let member = serde_json::json!({"member": {
            "name": name, "room": "lobby", "way": "line", "listener": "127.0.0.1:9999", "remote": "127.0.0.1:5000", "away": away,
        }});
        let room = serde_json::json!({"room": {"name": topic, "topic": topic, "keeps-history": true}});
        let lobby = serde_json::json!({"room": {"name": "lobby", "topic": topic, "keeps-history": true}});
        for added in [member, room, lobby] {
            kept.push_str(&format!("{added}\n"));
        }
        let mut second = hub(b"localhost");
        second.restore(&now(0), kept.as_bytes(), |_| Some(ListenerId(0)), &mut Outbox::default());
        let entry = serde_json::json!({"room": "lobby", "when": "2026-11-21T14:03:27Z", "line": line, "from": name});
        let entries = Entry::read(entry.to_string().as_bytes()).into_iter().map(|entry| (entry.epoch, entry.message));
        second.restore_history(&now(0), "lobby", entries);
        play(&mut second, &said)?;
    }

    #[test]
    fn no_answer_of_the_time_service_steers_a_terminal(format in hostile(), before in "(TZ=)?(%[a-zA-Z%])?", line in any::<bool>()) {
        let mut service = TimeService::new(&config::Time::default(), Zones::utc_only(), Seed(1));
        let payload = [before.as_bytes(), &format, b"%H", if line { b"\n" } else { b"" }].concat();
        let mut out = Outbox::default();
        service.handle_datagram(&now(0), &Datagram::unicast(member(0), &payload), &mut out);
        for (_, bytes) in out.pending() {
            prop_assert_eq!(fault(bytes), None, "{}", payload.escape_ascii());
        }
    }
}
