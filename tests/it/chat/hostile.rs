//! Whatever strangers send, at whatever moment, under whatever configuration: bounded answers and no panic.

use crate::script::{Stage, V4, V6};
use belfry::config;
use belfry::core::limits::{DATAGRAM_MAX, ERROR_LINE_MAX, HISTORY_ANSWER_DATAGRAMS_MAX};
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::Service;
use belfry::services::chat::{Hosts, Hub};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Input {
    Datagram { from: u16, payload: Vec<u8>, truncated: bool, interface: u32 },
    Unreachable(u16),
    Timeout,
    Close(u16),
    Reconfigure(Box<config::Chat>),
}

/// Even numbers are IPv4, and there are few hosts.
fn path(from: u16) -> Path {
    let port = 1_024 + from / 4;
    if from.is_multiple_of(2) {
        Path::to(V4, SocketAddr::from(([192, 0, 2, (from % 4) as u8], port)))
    } else {
        Path::to(V6, SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, from % 4], port)))
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    const COMMANDS: &str = "/(nick|join|rooms|who|msg|me|topic|history|away|help|quit|x)";
    const COMMAND_LINES: &str =
        "/(nick|join|rooms|who|msg|me|topic|history|away|help|quit|x)( [a-cA-C0-9.#-]{1,3}| on| off)?( .{0,40})?\n?";
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        ".{0,60}\n?".prop_map(String::into_bytes),
        COMMAND_LINES.prop_map(String::into_bytes),
        Just(b"^hb^".to_vec()),
        Just(b"quit\n".to_vec()),
        (0_usize..3_000, "[\n\0a\t ä]").prop_map(|(len, unit)| unit.repeat(len).into_bytes()),
        (0_usize..600, COMMANDS).prop_map(|(len, head)| (head + " " + &"b\n".repeat(len)).into_bytes()),
    ]
}

fn config() -> impl Strategy<Value = config::Chat> {
    let bounds = (0_usize..6, 0_usize..6, 0_usize..3, 0_u64..3, any::<bool>());
    let texts = ("[ <\\[]{0,2}", "[ :>]{1,3}", "[ >\\]]{0,2}", any::<bool>(), prop_oneof![Just(1_024), 1_usize..2_000]);
    (bounds, texts).prop_map(
        |((members, of_address, history, timeout, echo), (before, between, after, first, message))| config::Chat {
            max_members: members,
            max_members_per_address: of_address,
            history,
            heartbeat_timeout: Duration::from_secs(timeout),
            silent_timeout: Duration::from_secs(2 * timeout),
            echo_to_sender: echo,
            max_message: message,
            line_format: config::LineFormat { before, between, after, sender_first: first },
            ..config::Chat::default()
        },
    )
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        20 => (0_u16..12, payload(), prop::bool::weighted(0.05), 0_u32..2).prop_map(|(from, payload, truncated, interface)| {
            Input::Datagram { from, payload, truncated, interface }
        }),
        2 => (0_u16..12).prop_map(Input::Unreachable),
        2 => Just(Input::Timeout),
        1 => (0_u16..2).prop_map(Input::Close),
        1 => config().prop_map(|config| Input::Reconfigure(Box::new(config))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_inputs_makes_the_hub_panic_or_exceed_its_bounds(
        first in config(),
        inputs in proptest::collection::vec((0_u64..1_500, input()), 1..60),
    ) {
        let mut hub = Hub::new(&first, "belfry.lan", Hosts::default(), Seed(1));
        let (mut out, mut mono) = (Outbox::default(), Instant::from_nanos(0));
        let mut members_max = first.max_members;
        for (millis, input) in inputs {
            mono = mono + Duration::from_millis(millis);
            let now = Now { mono, wall: jiff::Timestamp::UNIX_EPOCH };
            match input {
                Input::Datagram { from, payload, truncated, interface } => {
                    // What is due at this moment is not an answer.
                    hub.handle_timeout(&now, &mut out);
                    let due = out.pending().count();
                    out.advance(due);
                    let path = Path { interface, ..path(from) };
                    let verdict =
                        hub.handle_datagram(&now, &Datagram { truncated, ..Datagram::unicast(path, &payload) }, &mut out);
                    let own: Vec<_> = out.pending().filter(|(to, _)| to.remote == path.remote).collect();
                    prop_assert!(own.iter().all(|(to, _)| to.interface == interface));
                    prop_assert!(own.len() <= HISTORY_ANSWER_DATAGRAMS_MAX + 2);
                    if let Verdict::Refused(_) = verdict {
                        prop_assert!(own.last().is_some_and(|(_, line)| line.starts_with(b"? ")));
                        prop_assert!(own.last().is_some_and(|(_, line)| line.len() <= ERROR_LINE_MAX));
                    }
                    if let Verdict::Dropped(_) = verdict {
                        prop_assert!(own.is_empty());
                    }
                }
                Input::Unreachable(from) => hub.handle_unreachable(&now, path(from).remote, &mut out),
                Input::Timeout => hub.handle_timeout(&now, &mut out),
                Input::Close(listener) => hub.remove_listener(&now, ListenerId(listener), &mut out),
                Input::Reconfigure(config) => {
                    members_max = config.max_members.max(hub.member_count());
                    hub.reconfigure(&config, Hosts::default(), &mut out);
                }
            }
            prop_assert!(hub.member_count() <= members_max);
            for (to, bytes) in out.pending() {
                prop_assert!(bytes.len() <= DATAGRAM_MAX, "{} bytes to {}", bytes.len(), to.remote);
                let text = std::str::from_utf8(bytes).expect("all that is sent is UTF-8");
                prop_assert!(!text.contains(belfry::core::text::is_control), "{:?}", text);
            }
            let sent = out.pending().count();
            out.advance(sent);
        }
    }
}

#[test]
fn a_thousand_who_go_at_once_cost_one_notice() {
    let mut stage = Stage::new(&config::Chat { max_members_per_address: 2_000, ..config::Chat::default() });
    stage.say("anna", "\n");
    for port in 0..1_000 {
        stage.say(&format!("192.0.2.1:{}", 2_000 + port), "^hb^\n");
    }
    assert_eq!(stage.hub.member_count(), 1_001);
    let now = Now { mono: stage.now().mono + Duration::from_secs(10), ..stage.now() };
    stage.hub.handle_timeout(&now, &mut stage.out);
    let notices: Vec<_> = stage.out.pending().collect();
    assert_eq!((notices.len(), stage.hub.member_count()), (1, 1));
    let notice = String::from_utf8_lossy(notices[0].1);
    assert!(notice.starts_with("-- Gone silent: 192.0.2.1-2000, 192.0.2.1-2001, "), "{notice}");
    assert!(notice.ends_with(" more\n") && notice.len() <= DATAGRAM_MAX, "{notice}");
}
