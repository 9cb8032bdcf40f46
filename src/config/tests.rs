//! Whole files: what they mean, and how each mistake is shown.

use super::raw::TABLES;
use super::*;

const KNOWN: Known<'static> = Known { zone: &|zone| zone == "Asia/Tokyo", format: &|format| format.contains('%') };

pub(super) fn read(text: &str) -> Result<Config, ConfigError> {
    parse(&[Source { file: "belfry.toml", text }], &KNOWN)
}

/// All that is said of the mistakes in `text`.
fn shown(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

/// Each line: a file, the first line about its mistake, and the last.
fn check(table: &[(&str, &str, &str)]) {
    for &(text, message, help) in table {
        let shown = shown(text);
        assert_eq!(shown.lines().count(), 4, "one problem in {text}\n{shown}");
        assert_eq!(shown.lines().next(), Some(format!("belfry.toml:{message}").as_str()), "{text}");
        assert_eq!(shown.lines().last(), Some(format!("   {help}").as_str()), "{text}");
    }
}

#[test]
fn the_example_is_the_default() {
    assert_eq!(read(include_str!("../../etc/belfry.toml")).unwrap(), Config::default());
    assert_eq!(read("").unwrap(), Config::default());
    assert_eq!(parse(&[], &KNOWN).unwrap(), Config::default());
}

#[test]
fn what_the_readme_shows_as_a_configuration_is_one() {
    // Before that the contacts of a user are shown, who has such a file of his own.
    let section = include_str!("../../README.md").split("\n## Configuration\n").nth(1).expect("it has one");
    let shown: Vec<_> = section.split("```toml\n").skip(1).collect();
    assert!(shown.len() >= 3);
    for text in shown {
        let text = text.split("```").next().unwrap();
        assert_ne!(read(text).unwrap(), Config::default(), "{text}");
    }
}

#[test]
fn the_example_and_the_printed_configuration_have_every_key() {
    for text in [include_str!("../../etc/belfry.toml"), &Config::default().to_toml()] {
        let file: toml::Table = text.parse().unwrap();
        assert_eq!(file.len(), TABLES.len());
        for (table, keys) in TABLES {
            let mut written: Vec<_> = file[*table].as_table().unwrap().keys().cloned().collect();
            let mut known = keys.to_vec();
            written.sort_unstable();
            known.sort_unstable();
            assert_eq!(written, known, "[{table}]");
        }
    }
}

#[test]
fn every_line_of_the_example_has_its_reason_above_it() {
    let lines: Vec<_> = include_str!("../../etc/belfry.toml").lines().collect();
    for pair in lines.windows(2) {
        let is_key = !pair[1].starts_with(['#', '[']) && !pair[1].is_empty();
        assert!(!is_key || pair[0].starts_with('#'), "{}", pair[1]);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of all keys")]
fn each_key_is_taken_over() {
    let text = "
        [log]
        target = 'syslog'
        level = 'trace'
        [access]
        allow = ['any', '2001:db8::/32']
        deny = ['10.0.0.1']
        [time]
        enabled = false
        listen = []
        allow = ['loopback']
        deny = ['127.0.0.2', '::1']
        default-format = '%s'
        timezone = 'Asia/Tokyo'
        rate-limit = 'off'
        [chat]
        enabled = true
        listen = ['127.0.0.1:0', '127.0.0.1:0']
        allow = ['10.1.0.0/16']
        deny = ['any']
        heartbeat-interval = '1s'
        heartbeat-timeout = '1m'
        silent-timeout = '1m'
        echo-to-sender = false
        line-format = '<{from}> {text}'
        max-message = 1
        max-members = 1
        max-members-per-address = 2
        history = 0
        log-messages = true
        rate-limit = '5/s'
        fan-out = '1500kB/s'
        [announce]
        enabled = true
        listen = ['[::1]:8080']
        allow = ['on-link']
        deny = ['10.2.0.1']
        groups = ['ff05::b']
        interfaces = ['eth0']
        interval = '0'
        rate-limit = '7/s burst 9'
        [ntp]
        enabled = true
        listen = ['127.0.0.1:1123']
        allow = ['10.3.0.0/16']
        deny = ['10.3.0.1']
        stratum = 2
        local-stratum = 10
        listen-rfc868 = ['127.0.0.1:37']
        listen-rfc867 = ['127.0.0.1:13', '[::1]:13']
        rate-limit = '1/s burst 8 leak 1/4'
        [echo]
        enabled = true
        listen = ['127.0.0.1:7']
        allow = ['any']
        deny = ['loopback']
        transform = 'upper'
        rate-limit = 'off'
        max-connections = 2
        max-connections-per-address = 1
        idle-timeout = '100ms'
    ";
    let expected = Config {
        log: Log { target: LogTarget::Syslog, level: log::LevelFilter::Trace },
        access: Access {
            allow: vec![AccessRule::Any, "2001:db8::/32".parse().unwrap()],
            deny: vec!["10.0.0.1".parse().unwrap()],
        },
        time: Time {
            enabled: false,
            listen: Vec::new(),
            allow: vec![AccessRule::Loopback],
            deny: vec!["127.0.0.2".parse().unwrap(), "::1".parse().unwrap()],
            default_format: "%s".to_owned(),
            timezone: Timezone::Named("Asia/Tokyo".to_owned()),
            rate_limit: None,
        },
        chat: Chat {
            enabled: true,
            listen: vec!["127.0.0.1:0".parse().unwrap(); 2],
            allow: vec!["10.1.0.0/16".parse().unwrap()],
            deny: vec![AccessRule::Any],
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(60),
            silent_timeout: Duration::from_secs(60),
            echo_to_sender: false,
            line_format: LineFormat {
                before: "<".to_owned(),
                between: "> ".to_owned(),
                after: String::new(),
                sender_first: true,
            },
            max_message: 1,
            max_members: 1,
            max_members_per_address: 2,
            history: 0,
            log_messages: true,
            rate_limit: Some(Rate::new(5, 5)),
            fan_out: Some(ByteRate(1_500_000)),
        },
        announce: Announce {
            enabled: true,
            listen: vec!["[::1]:8080".parse().unwrap()],
            allow: vec![AccessRule::OnLink],
            deny: vec!["10.2.0.1".parse().unwrap()],
            groups: vec!["ff05::b".parse().unwrap()],
            interfaces: vec!["eth0".to_owned()],
            interval: Duration::ZERO,
            rate_limit: Some(Rate::new(7, 9)),
        },
        ntp: Ntp {
            enabled: true,
            listen: vec!["127.0.0.1:1123".parse().unwrap()],
            allow: vec!["10.3.0.0/16".parse().unwrap()],
            deny: vec!["10.3.0.1".parse().unwrap()],
            stratum: 2,
            local_stratum: 10,
            listen_rfc868: vec!["127.0.0.1:37".parse().unwrap()],
            listen_rfc867: vec!["127.0.0.1:13".parse().unwrap(), "[::1]:13".parse().unwrap()],
            rate_limit: Some(Rate { leak: 4, ..Rate::new(1, 8) }),
        },
        echo: Echo {
            enabled: true,
            listen: vec!["127.0.0.1:7".parse().unwrap()],
            allow: vec![AccessRule::Any],
            deny: vec![AccessRule::Loopback],
            transform: Transform::Upper,
            rate_limit: None,
            connections: Connections { max: 2, max_per_address: 1, idle_timeout: Duration::from_millis(100) },
        },
    };
    assert_eq!(read(text).unwrap(), expected);
    assert_eq!(read(&expected.to_toml()).unwrap(), expected);
}

#[test]
fn a_mistake_is_shown_in_its_line() {
    assert_eq!(
        shown("[chat]\nheartbeat-interval = \"20s\"\n"),
        concat!(
            "belfry.toml:2:22: heartbeat-interval must be shorter than heartbeat-timeout (10s)\n",
            "    2 | heartbeat-interval = \"20s\"\n",
            "      |                      ^^^^^\n",
            "   expected a duration below 10s",
        )
    );
    assert_eq!(
        shown("[time]\nlisten = [\n  \"0.0.0.0:8080\", # ours\n  \"0.0.0.0:70000\",\n]\n"),
        concat!(
            "belfry.toml:4:3: listen: \"0.0.0.0:70000\": \"70000\" is not a port (0 to 65535)\n",
            "    4 |   \"0.0.0.0:70000\",\n",
            "      |   ^^^^^^^^^^^^^^^\n",
            "   expected an address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"",
        )
    );
}

#[test]
fn unknown_keys_and_tables_are_refused_with_the_nearest_known() {
    check(&[
        ("[time]\nlistn = []", "2:1: unknown key listn in [time]", "did you mean listen?"),
        ("[chat]\nmax_message = 9", "2:1: unknown key max_message in [chat]", "did you mean max-message?"),
        ("[chat]\ngroups = []", "2:1: unknown key groups in [chat]", "did you mean groups of [announce]?"),
        ("[log]\ncolour = true", "2:1: unknown key colour in [log]", "expected target, level"),
        ("[tmie]\nenabled = true", "1:2: unknown table [tmie]", "did you mean [time]?"),
        (
            "[\"a\\u001b[2J\"]",
            "1:2: unknown table [a\\u{1b}[2J]",
            "expected [log], [access], [time], [chat], [announce], [ntp], [echo]",
        ),
        ("[irc]\n", "1:2: unknown table [irc]", "expected [log], [access], [time], [chat], [announce], [ntp], [echo]"),
        (
            "enabled = true",
            "1:1: enabled stands outside of all tables",
            "expected it below [time] or [chat] or [announce] or [ntp] or [echo]",
        ),
        ("port = 1", "1:1: port stands outside of all tables", "expected keys below a table such as [time]"),
        ("time = 8080", "1:1: time is a table", "expected a table: [time] on a line of its own, and its keys below"),
    ]);
    let long = format!("[time]\n{} = 1", "x".repeat(100_000));
    assert!(shown(&long).ends_with("expected enabled, listen, allow, deny, default-format, timezone, rate-limit"));
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let listen = "an address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"";
    let listens = format!("expected a list in brackets, each entry {listen}");
    check(&[
        ("[time]\nenabled = 1", "2:11: enabled cannot be integer `1`", "expected true or false"),
        ("[time]\nlisten = '[::]:1'", "2:10: listen cannot be string \"[::]:1\"", &listens),
        ("[time]\nlisten = [1]", "2:11: an entry of listen cannot be integer `1`", &format!("expected {listen}")),
        (
            "[time]\ntimezone = {}",
            "2:12: timezone cannot be map",
            "expected \"local\", or a zone such as \"Europe/Berlin\"",
        ),
        ("[chat]\nhistory = '9'", "2:11: history cannot be string \"9\"", "expected a whole number"),
        ("[chat]\nhistory = 1.5", "2:11: history cannot be floating point `1.5`", "expected a whole number"),
        ("[chat]\nhistory = -1", "2:11: history: -1 is not a count", "expected a whole number, 0 or more"),
        (
            "[chat]\nheartbeat-timeout = 10",
            "2:21: heartbeat-timeout cannot be integer `10`",
            "expected a duration such as \"10s\", \"1.5h\" or \"1m 30s\"",
        ),
        (
            "[chat]\nheartbeat-timeout = '10'",
            "2:21: heartbeat-timeout: \"10\": time unit needed, for example 10sec or 10ms",
            "expected a duration such as \"10s\", \"1.5h\" or \"1m 30s\"",
        ),
        (
            "[access]\nallow = ['on-link', '10.0.0.0/33']",
            "2:21: allow: \"10.0.0.0/33\" is neither a name nor a block of addresses",
            "expected \"any\", \"loopback\", \"on-link\", an address or a block such as \"10.0.0.0/8\"",
        ),
        (
            "[time]\nrate-limit = '0/s'",
            "2:14: rate-limit: a rate of 0 would let nothing through",
            "expected \"off\", or a rate such as \"50/s burst 200 leak 1/8\"",
        ),
        (
            "[log]\nlevel = 'verbose'",
            "2:9: level: there is no level \"verbose\"",
            "expected \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        ),
        (
            "[announce]\ninterfaces = ['*', '']",
            "2:20: interfaces: \"\" is an empty pattern, which no interface matches",
            "expected a name or a pattern such as \"eth*\" or \"!docker*\"",
        ),
        (
            "[chat]\nline-format = '{text}'",
            "2:15: line-format: {from} is missing",
            "expected {from} and {text}, each once, with a sign between, such as \"{from}: {text}\"",
        ),
    ]);
}

#[test]
fn what_is_not_toml_is_refused() {
    for (text, place) in [
        ("[time]\nenabled = true\nenabled = true", "3:1"),
        ("[time]\n[chat]\n[time]", "3:2"),
        ("[time\n", "1:6"),
        ("[time]\nlisten = [\n", "2:11"),
        ("[time]\nlisten\n", "2:7"),
    ] {
        let error = read(text).expect_err(text);
        let first = &error.problems[0];
        assert_eq!(format!("{}:{}", first.line, first.column), place, "{error}");
        assert!(first.message.starts_with("not TOML: "), "{error}");
    }
}

#[test]
fn heartbeats_are_shorter_than_timeouts() {
    let chat = |keys: &str| format!("[chat]\n{keys}");
    for (keys, message, help) in [
        (
            "heartbeat-interval = '10s'",
            "2:22: heartbeat-interval must be shorter than heartbeat-timeout (10s)",
            "expected a duration below 10s",
        ),
        (
            "heartbeat-timeout = '3s'",
            "2:21: heartbeat-timeout must be longer than heartbeat-interval (3s)",
            "expected a duration above 3s",
        ),
        (
            "heartbeat-timeout = '601s'",
            "2:21: heartbeat-timeout must not be longer than silent-timeout (10m)",
            "expected a duration at most 10m",
        ),
        (
            "heartbeat-timeout = '5s'\nsilent-timeout = '4999ms'",
            "3:18: silent-timeout must not be shorter than heartbeat-timeout (5s)",
            "expected a duration at least 5s",
        ),
        (
            "heartbeat-interval = '99ms'",
            "2:22: heartbeat-interval is too short",
            "expected a duration such as \"10s\", of at least 100ms",
        ),
    ] {
        check(&[(&chat(keys), message, help)]);
    }
    for keys in [
        "heartbeat-interval = '100ms'",
        "heartbeat-interval = '9999ms'",
        "heartbeat-timeout = '3001ms'",
        "heartbeat-timeout = '600s'",
        "heartbeat-timeout = '5s'\nsilent-timeout = '5s'",
    ] {
        assert!(read(&chat(keys)).is_ok(), "{keys}");
    }
}

#[test]
fn a_message_fits_a_datagram_with_all_that_stands_around_it() {
    let with = |max: usize, format: &str| format!("[chat]\nmax-message = {max}\nline-format = '{format}'");
    let long = format!("{{from}}{}{{text}}", "-".repeat(175));
    assert!(read(&with(1_197, "{from}: {text}")).is_ok());
    assert!(read(&with(1_024, &long)).is_ok());
    let fits = "max-message does not fit a datagram of 1232 bytes, with a name and line-format around it";
    let room = "line-format leaves no room for a message of 1024 bytes (max-message) in a datagram";
    check(&[
        (&with(1_198, "{from}: {text}"), &format!("2:15: {fits}"), "expected at most 1197"),
        (&with(20_000, "{from}: {text}"), &format!("2:15: {fits}"), "expected at most 1197"),
        (&with(1_025, &long), &format!("2:15: {fits}"), "expected at most 1024"),
        (
            &format!("[chat]\nline-format = '{long}.'"),
            &format!("2:15: {room}"),
            "expected at most 175 bytes beside {from} and {text}, found 176",
        ),
        (
            &with(1, &long.replace('-', "--------")),
            "3:15: line-format leaves no room for a message of 1 bytes (max-message) in a datagram",
            "expected at most 1198 bytes beside {from} and {text}, found 1400",
        ),
        (&with(0, "{from}: {text}"), "2:15: max-message must not be zero", "expected a number of bytes"),
    ]);
}

#[test]
fn counts_have_bounds() {
    assert!(read("[chat]\nmax-members = 1000000\nhistory = 65536\nmax-members-per-address = 1000000").is_ok());
    assert!(read("[ntp]\nstratum = 15\nlocal-stratum = 15").is_ok());
    assert!(read("[echo]\nmax-connections = 4096\nmax-connections-per-address = 4096").is_ok());
    check(&[
        ("[chat]\nmax-members = 0", "2:15: max-members cannot be 0", "expected a number from 1 to 1000000"),
        ("[chat]\nmax-members = 1000001", "2:15: max-members cannot be 1000001", "expected a number from 1 to 1000000"),
        ("[chat]\nhistory = 65537", "2:11: history cannot be 65537", "expected a number from 0 to 65536"),
        (
            "[chat]\nmax-members-per-address = 0",
            "2:27: max-members-per-address cannot be 0",
            "expected a number from 1 to 1000000",
        ),
        ("[ntp]\nstratum = 0", "2:11: stratum cannot be 0", "expected a number from 1 to 15"),
        ("[ntp]\nlocal-stratum = 16", "2:17: local-stratum cannot be 16", "expected a number from 0 to 15"),
        ("[echo]\nmax-connections = 4097", "2:19: max-connections cannot be 4097", "expected a number from 1 to 4096"),
        (
            "[echo]\nmax-connections-per-address = 0",
            "2:31: max-connections-per-address cannot be 0",
            "expected a number from 1 to 4096",
        ),
        (
            "[echo]\nidle-timeout = '99ms'",
            "2:16: idle-timeout is too short",
            "expected a duration such as \"10m\", of at least 100ms",
        ),
        (
            "[echo]\ntransform = 'lower'",
            "2:13: transform: there is no transform \"lower\"",
            "expected \"none\" or \"upper\"",
        ),
        (&format!("[access]\ndeny = [{}]", "'any',".repeat(65)), "2:8: deny has 65 entries", "expected at most 64"),
    ]);
    assert!(read(&format!("[access]\ndeny = [{}]", "'any',".repeat(64))).is_ok());
}

#[test]
fn no_two_listeners_share_a_port() {
    let help = "expected a port for each, or addresses that do not overlap";
    check(&[
        ("[time]\nlisten = ['0.0.0.0:9999']", "2:11: time on 0.0.0.0:9999 and chat on 0.0.0.0:9999 share a port", help),
        (
            "[chat]\nlisten = ['127.0.0.1:8080']",
            "2:11: time on 0.0.0.0:8080 and chat on 127.0.0.1:8080 share a port",
            help,
        ),
        (
            "[ntp]\nenabled = true\nlisten-rfc868 = ['[::]:123']",
            "3:18: ntp listens twice: on [::]:123 and on [::]:123",
            help,
        ),
        ("[time]\nlisten = ['[::1]:1', '[::]:1']", "2:22: time listens twice: on [::1]:1 and on [::]:1", help),
        (
            "[chat]\nlisten = ['127.0.0.1:5']\n[time]\nlisten = ['127.0.0.1:5']",
            "4:11: time on 127.0.0.1:5 and chat on 127.0.0.1:5 share a port",
            help,
        ),
    ]);
    for fine in [
        "[time]\nlisten = ['0.0.0.0:9999']\n[chat]\nenabled = false",
        "[time]\nlisten = ['0.0.0.0:9999']\n[chat]\nlisten = ['[::]:9999']",
        "[time]\nlisten = ['127.0.0.1:1', '127.0.0.2:1', '[::1]:1']",
        "[time]\nlisten = ['0.0.0.0:0', '0.0.0.0:0']\n[chat]\nlisten = ['0.0.0.0:0']",
    ] {
        assert!(read(fine).is_ok(), "{fine}");
    }
}

#[test]
fn groups_are_multicast_and_have_a_listener() {
    check(&[
        (
            "[announce]\ngroups = ['224.0.0.1', '192.168.0.1']",
            "2:24: 192.168.0.1 is not a multicast group",
            "expected an address in 224.0.0.0/4 or ff00::/8",
        ),
        (
            "[announce]\ngroups = ['ff02::1', 'FF02::1']",
            "2:22: ff02::1 stands twice in groups",
            "expected each group once",
        ),
        (
            "[announce]\nlisten = ['0.0.0.0:8001']\ngroups = ['ff02::1']",
            "3:11: the group ff02::1 needs an IPv6 listener in [announce]",
            "expected an address such as \"[::]:8001\" in listen, or groups without ff02::1",
        ),
        (
            "[announce]\nlisten = ['[::]:8001']\ngroups = ['224.0.0.251']",
            "3:11: the group 224.0.0.251 needs an IPv4 listener in [announce]",
            "expected an address such as \"0.0.0.0:8001\" in listen, or groups without 224.0.0.251",
        ),
        ("[announce]\ninterfaces = []", "2:14: interfaces chooses none", "expected a pattern, such as \"*\""),
    ]);
    assert!(read("[announce]\nenabled = false\nlisten = ['0.0.0.0:8001']").is_ok());
    assert!(read("[announce]\ngroups = []").is_ok());
    assert!(read("[announce]\ninterval = '1s'").is_ok());
    let too_short = read("[announce]\ninterval = '999ms'").expect_err("a slip of the finger");
    assert!(too_short.to_string().starts_with("belfry.toml:2:12: interval is too short"), "{too_short}");
    assert!(read("[announce]\ninterfaces = ['!docker0']").is_ok(), "everything else");
    let ipv4_alone = read("[announce]\nlisten = ['0.0.0.0:8001']").expect("the default groups follow the sockets");
    assert_eq!(ipv4_alone.announce.groups, [IpAddr::from([224, 0, 0, 1])]);
}

#[test]
fn what_only_the_host_knows_is_asked_of_it() {
    let help = "expected a strftime format such as \"%Y-%m-%d %X\"";
    check(&[
        (
            "[time]\ntimezone = 'Mars/Olympus'",
            "2:12: timezone: nobody knows the zone \"Mars/Olympus\"",
            "expected \"local\", a zone such as \"Europe/Berlin\", or a POSIX rule such as \"CET-1CEST\"",
        ),
        ("[time]\ndefault-format = 'noon'", "2:18: default-format is no format, or has no conversion to fill in", help),
        ("[time]\ndefault-format = \"%H\\n\"", "2:18: default-format has a control character", help),
        (
            &format!("[time]\ndefault-format = '%H{}'", "x".repeat(511)),
            "2:18: default-format is longer than a request may be (512 bytes)",
            help,
        ),
        (
            "[chat]\nlisten = []",
            "2:10: chat is enabled but listens nowhere",
            "expected at least one address, or enabled = false",
        ),
    ]);
    assert!(read(&format!("[time]\ndefault-format = '%H{}'", "x".repeat(510))).is_ok());
}

#[test]
fn independent_mistakes_are_shown_together_and_in_order() {
    let text = "[chat]\nhistory = 'all'\nlistn = []\n[time]\nenabled = 'yes'\nlisten = ['nowhere']\n[tiem]\n";
    let lines: Vec<_> = read(text).unwrap_err().problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 5, 6, 7]);
    let text = "[chat]\nmax-members = 0\nheartbeat-timeout = '1s'\n[announce]\ngroups = ['10.0.0.1', '::1']\n";
    let lines: Vec<_> = read(text).unwrap_err().problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 5, 5]);
}

#[test]
fn a_later_file_replaces_single_keys_and_is_named_in_its_mistakes() {
    let main = Source { file: "belfry.toml", text: "[chat]\nheartbeat-timeout = '20s'\nhistory = 7\n" };
    let fine = Source { file: "conf.d/10.toml", text: "[chat]\nhistory = 8\n" };
    let wrong = Source { file: "conf.d/20.toml", text: "\n[chat]\nheartbeat-interval = '20s'\n" };
    let config = parse(&[main, fine], &KNOWN).unwrap();
    assert_eq!((config.chat.history, config.chat.heartbeat_timeout.as_secs()), (8, 20));
    let error = parse(&[main, fine, wrong], &KNOWN).unwrap_err().to_string();
    assert!(
        error.starts_with("conf.d/20.toml:3:22: heartbeat-interval must be shorter than heartbeat-timeout (20s)\n"),
        "{error}"
    );
    let error = parse(&[wrong, main], &KNOWN).unwrap_err().to_string();
    assert!(error.starts_with("belfry.toml:2:21: heartbeat-timeout must be longer than heartbeat-interval"), "{error}");
}

#[test]
fn a_file_of_mistakes_or_brackets_is_refused_in_little_time() {
    let keys: String = (0..5_000).map(|number| format!("x{number} = 1\n")).collect();
    let error = read(&format!("[chat]\n{keys}")).unwrap_err();
    assert_eq!((error.problems.len(), error.omitted), (20, 4_980));
    assert!(error.to_string().ends_with("\nand 4980 more"));
    let listeners: String = (0..5_000).map(|number| format!("'127.0.0.1:{number}',")).collect();
    assert!(shown(&format!("[chat]\nlisten = [{listeners}]")).contains("listen has 5000 entries"));
    assert!(shown(&format!("time = {}", "[".repeat(100_000))).contains("not TOML"));
    assert!(shown(&format!("time = {}", "{a=".repeat(100_000))).contains("not TOML"));
}

#[test]
fn a_log_gets_every_problem_in_one_line() {
    let error = read("[chat]\nhistory = true\n[time]\nenabled = 1\n").unwrap_err();
    let line = error.line();
    assert!(!line.contains('\n') && !line.contains('^'), "{line}");
    assert!(line.starts_with("belfry.toml:2:11: history cannot be boolean `true`; expected "), "{line}");
    assert!(line.contains(" | belfry.toml:4:11: enabled cannot be integer `1`; expected "), "{line}");
}
