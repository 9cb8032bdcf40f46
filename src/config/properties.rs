//! Configurations and files at random: what is printed is read as the same, and nothing makes the reader panic.

use super::raw::TABLES;
use super::tests::read;
use super::*;
use proptest::prelude::*;

fn rate() -> impl Strategy<Value = Option<Rate>> {
    let leak = prop_oneof![Just(0), 2_u32..];
    prop::option::of((1_u32.., 1_u32.., leak).prop_map(|(per_second, burst, leak)| Rate { per_second, burst, leak }))
}

fn rules() -> impl Strategy<Value = Vec<AccessRule>> {
    let net = (any::<IpAddr>(), 0_u8..=32).prop_map(|(addr, prefix)| {
        // Mapped blocks are written as the IPv4 blocks that they are.
        let net = ipnet::IpNet::new(addr.to_canonical(), prefix).unwrap();
        AccessRule::Net(net.trunc())
    });
    let names = prop::sample::select(vec![AccessRule::Any, AccessRule::Loopback, AccessRule::OnLink]);
    prop::collection::vec(prop_oneof![names, net], 0..5)
}

fn duration(millis: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    (millis, 0_u32..1_000_000)
        .prop_map(|(millis, nanos)| Duration::from_millis(millis) + Duration::from_nanos(nanos.into()))
}

fn line_format() -> impl Strategy<Value = LineFormat> {
    let part = "[^{}\\p{C}\\p{Zl}\\p{Zp}]{0,9}";
    let between = "[^{}\\p{C}\\p{Zl}\\p{Zp}]{0,4}[:>|(][^{}\\p{C}\\p{Zl}\\p{Zp}]{0,4}";
    (part, between, part, any::<bool>()).prop_map(|(before, between, after, sender_first)| LineFormat {
        before,
        between,
        after,
        sender_first,
    })
}

prop_compose! {
    fn chat()(
        heartbeats in (duration(100..1_000), duration(1_001..100_000), duration(100_001..31_000_000_000)),
        flags in any::<(bool, bool, bool)>(),
        line_format in line_format(),
        counts in (1_usize..1_000, 1_usize..=65_536, 1_usize..=65_536, 0_usize..=65_536),
        lists in (rules(), rules()),
        rate_limit in rate(),
        fan_out in prop::option::of((1_u32..).prop_map(ByteRate)),
    ) -> Chat {
        let (heartbeat_interval, heartbeat_timeout, silent_timeout) = heartbeats;
        let (max_message, max_members, max_members_per_address, history) = counts;
        Chat {
            enabled: flags.0, echo_to_sender: flags.1, heartbeat_interval, heartbeat_timeout, silent_timeout,
            line_format, max_message, max_members, max_members_per_address, history, log_messages: flags.2, rate_limit,
            fan_out, allow: lists.0, deny: lists.1, ..Chat::default()
        }
    }
}

prop_compose! {
    fn ntp()(
        enabled in any::<bool>(), stratum in 1_u8..=15, local_stratum in 0_u8..=15, rate_limit in rate(),
        lists in (rules(), rules()), ports in (8_100_u16..8_200, 8_200_u16..8_300),
    ) -> Ntp {
        let at = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
        let (listen_rfc868, listen_rfc867) = (at(ports.0), at(ports.1));
        Ntp {
            enabled, stratum, local_stratum, rate_limit, listen_rfc868, listen_rfc867, allow: lists.0, deny: lists.1,
            ..Ntp::default()
        }
    }
}

prop_compose! {
    fn echo()(
        flags in any::<(bool, bool)>(),
        lists in (rules(), rules()),
        counts in (1_usize..=4_096, 1_usize..=4_096),
        idle_timeout in duration(100..31_000_000_000),
        rate_limit in rate(),
    ) -> Echo {
        let transform = if flags.1 { Transform::Upper } else { Transform::None };
        let connections = Connections { max: counts.0, max_per_address: counts.1, idle_timeout };
        Echo {
            enabled: flags.0, allow: lists.0, deny: lists.1, transform, rate_limit, connections, ..Echo::default()
        }
    }
}

prop_compose! {
    fn config()(
        lists in prop::array::uniform6(rules()), chat in chat(), ntp in ntp(),
        default_format in "%[HMS][^\\p{C}\\p{Zl}\\p{Zp}]{0,40}",
        tokyo in any::<bool>(),
        time_rate in rate(), announce_rate in rate(),
        ports in (0_u16..8_000, 10_000_u16..),
        interfaces in prop::collection::vec("!?[^!\\p{C}\\p{Z}\\s/]{1,15}", 0..4),
        interval in prop_oneof![Just(Duration::ZERO), duration(1_000..31_000_000_000)],
        echo in echo(),
    ) -> Config {
        let [allow, deny, time_allow, time_deny, announce_allow, announce_deny] = lists;
        let timezone = if tokyo { Timezone::Named("Asia/Tokyo".to_owned()) } else { Timezone::Local };
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], ports.0)), SocketAddr::from(([0_u16; 8], ports.1))];
        let interfaces = std::iter::once("*".to_owned()).chain(interfaces).collect();
        Config {
            access: Access { allow, deny },
            time: Time {
                listen, allow: time_allow, deny: time_deny, default_format, timezone, rate_limit: time_rate,
                ..Time::default()
            },
            announce: Announce {
                allow: announce_allow, deny: announce_deny, interfaces, interval, rate_limit: announce_rate,
                ..Announce::default()
            },
            chat,
            ntp,
            echo,
            ..Config::default()
        }
    }
}

/// Pieces that often make sense together, so that random files get past the first bracket.
fn piece() -> impl Strategy<Value = String> {
    let words = "[ ] { } = . , \" ' # true -1 1e9 0x10 1979-05-27 \\ \u{1f514} \u{feff} [time] [chat] [[log]] [announce] [echo]";
    let mut pieces: Vec<String> = words.split(' ').map(str::to_owned).collect();
    pieces.extend(["\n", "\r\n", "\t", " "].map(str::to_owned));
    pieces.extend(TABLES.iter().flat_map(|(_, keys)| keys.iter().map(|key| format!("\n{key} = "))));
    pieces
        .extend(["'10s'", "['0.0.0.0:1']", "['ff02::1']", "'{from}: {text}'", "'%H'", "'5/s'", "9"].map(str::to_owned));
    prop_oneof![prop::sample::select(pieces), ".{0,5}"]
}

proptest! {
    #[test]
    fn a_printed_configuration_is_read_as_the_same(config in config()) {
        let text = config.to_toml();
        match read(&text) {
            Ok(again) => prop_assert_eq!(again, config),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
    }

    #[test]
    fn no_text_makes_it_panic_and_every_error_has_its_place(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        if let Err(error) = read(&text) {
            prop_assert!(!error.problems.is_empty());
            for problem in &error.problems {
                prop_assert!(problem.line <= text.matches('\n').count() + 1);
                prop_assert!(problem.to_string().lines().count() >= 3);
            }
        }
    }
}
