//! A hub that takes over from another: everybody is there as before, nobody is told, and damage costs what is damaged.

use crate::script::{Stage, V6, dump, play_with};
use belfry::config;
use belfry::core::frame::Epoch;
use belfry::core::limits::{DATAGRAM_MAX, NEWS_MAX, ROOMS_MAX};
use belfry::services::chat::{Message, News, Restored, Slice, kept_seed};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

fn stage() -> Stage {
    Stage::new(&config::Chat { history: 3, ..config::Chat::default() })
}

fn back(members: usize) -> Restored {
    Restored { members, ..Restored::default() }
}

/// What the hub keeps, a line each.
fn kept(stage: &Stage) -> Vec<String> {
    String::from_utf8_lossy(&dump(&stage.hub)).lines().map(str::to_owned).collect()
}

#[test]
fn a_restart_is_seen_by_nobody_and_everything_is_as_it_was() {
    let mut stage = stage();
    for (who, said) in [
        ("anna", "/nick Anna\n"),
        ("anna", "/join Lab\n"),
        ("anna", "/topic tea and \"cake\"\n"),
        ("anna", "/away for \\o/ tea\n"),
        ("bob", "^hb^"),
        ("bob", "/join lab"),
        ("bob", "hello"),
        ("anna6@2001:db8::9", "\n"),
        ("[fe80::7%3]:5001", "^hb^"),
    ] {
        stage.say(who, said);
    }
    let before = kept(&stage);
    assert_eq!(stage.restart(), back(4));
    assert_eq!(kept(&stage), before);
    stage.play(
        r#"
        bob > /who => Answered
        bob < -- 2 in Lab: Anna (away: for \\o/ tea), localhost-40002
        bob > /topic => Answered
        bob < -- The topic is: tea and "cake"
        bob > /history => Answered
        bob < [now] localhost-40002: hello
        bob > /who lobby => Answered
        bob < -- 2 in lobby: ::1-40001, ::7-5001
        bob > here again => Accepted
        anna < localhost-40002: here again\n
        bob < localhost-40002: here again
        anna6@2001:db8::9 > and here\n => Accepted
        anna6@2001:db8::9 < ::1-40001: and here\n
        [fe80::7%3]:5001 < ::1-40001: and here
        bob > quit
        anna < -- localhost-40002 has left\n
        "#,
    );
}

#[test]
fn nobody_was_silent_while_nobody_could_be_heard() {
    let mut stage = stage();
    stage.play("anna > ^hb^\nbob > hello\nanna < localhost-40002: hello\nbob < localhost-40002: hello\n@9");
    stage.be_late(std::time::Duration::from_secs(3_600));
    assert_eq!(stage.restart(), back(2));
    stage.play("bob > /who\nbob < -- 2 in lobby: localhost-40001, localhost-40002");
    stage.wait(9);
    stage.play("bob > /who\nbob < -- 2 in lobby: localhost-40001, localhost-40002");
    stage.wait(1);
    stage.play("bob > /who\nbob < -- 1 in lobby: localhost-40002");
    stage.wait(600);
    assert_eq!(stage.hub.member_count(), 0, "who sends no heartbeats may be silent for longer, and not for ever");
}

#[test]
fn neither_a_message_nor_a_heartbeat_is_a_change_and_everything_else_is() {
    let mut stage = stage();
    stage.say("bob", "\n");
    stage.hub.take_changed();
    for (said, is_change) in [
        ("hello", true),
        ("hello", false),
        ("^hb^", true),
        ("^hb^", false),
        ("/nick anna", true),
        ("/me waves", false),
        ("/who", false),
        ("/msg bob psst", false),
        ("/nick bob smith", false),
        ("/join lab", true),
        ("/join lab", false),
        ("/topic tea", true),
        ("/topic", false),
        ("/away", true),
        ("/history off", true),
        ("/history", false),
        ("quit", true),
        ("quit", false),
    ] {
        stage.say("anna", said);
        assert_eq!(stage.hub.take_changed(), is_change, "{said}");
    }
    stage.say("bob@192.0.2.9", "hello");
    assert!(stage.hub.take_changed(), "another address of ours");
    stage.wait(600);
    assert!(stage.hub.take_changed(), "silence");
}

/// Tells a slice of the hub: one line, unless much was overtaken.
fn slice(stage: &mut Stage, text: &mut Vec<u8>) -> Slice {
    let addr_of = |id| Some(SocketAddr::from((if id == V6 { IpAddr::from([0_u16; 8]) } else { [0; 4].into() }, 9_999)));
    stage.hub.dump_slice(1, addr_of, text)
}

#[test]
fn who_comes_goes_and_changes_between_two_slices_is_there_as_in_the_end() {
    let mut stage = stage();
    for (who, said) in [("anna", "/nick anna"), ("bob", "/nick bob"), ("carl", "/nick carl"), ("dora", "/nick dora")] {
        stage.say(who, said);
    }
    let mut text = Vec::new();
    assert!(slice(&mut stage, &mut text).is_first);
    // Anna and bob are told, carl and dora are not.
    (0..2).for_each(|_| assert_eq!(slice(&mut stage, &mut text), Slice { is_first: false, is_last: false }));
    for (who, said) in [
        ("bob", "/nick robert"),
        ("carl", "/nick bob"),
        ("anna", "quit"),
        ("emil", "/nick anna"),
        ("dora", "/join lab"),
        ("dora", "quit"),
        ("bob", "/join lab"),
        ("bob", "/topic tea"),
        ("anna", "/nick Anita"),
    ] {
        stage.say(who, said);
    }
    while !slice(&mut stage, &mut text).is_last {}
    let mut before = kept(&stage);
    assert_eq!(stage.restart_from(&text), back(4));
    let mut after = kept(&stage);
    let who = |lines: &mut Vec<String>| {
        lines.retain(|line| line.starts_with("{\"member\""));
        lines.sort();
    };
    who(&mut before);
    who(&mut after);
    assert_eq!(after, before);
    stage.play("bob > /topic => Answered\nbob < -- The topic is: tea");
}

/// Says hello for a session, or for one that there is already, and shows the token; which session it is.
fn hello(stage: &mut Stage, who: &str, session: Option<&str>) -> String {
    let begin = session.map_or_else(String::new, |id| format!("^as {id}^"));
    let value = |told: Vec<Vec<u8>>, key: &str, len| {
        let told = String::from_utf8(told.concat()).expect("UTF-8");
        let (_, rest) = told.split_once(key).unwrap_or_else(|| panic!("{told}"));
        rest[..len].to_owned()
    };
    let token = value(stage.say(who, &format!("{begin}^hello 1 start=1^")), "^token ", 16);
    value(stage.say(who, &format!("{begin}^hello 1 start=1 token={token}^")), " session=", 16)
}

#[test]
fn a_session_that_moves_or_goes_between_two_slices_is_there_once_and_where_it_is_in_the_end() {
    let mut stage = stage();
    let first = hello(&mut stage, "anna", None);
    let second = hello(&mut stage, "bob", None);
    let mut text = Vec::new();
    // The head and both.
    (0..3).for_each(|_| assert!(!slice(&mut stage, &mut text).is_last));
    assert_eq!(hello(&mut stage, "carl", Some(&first)), first);
    stage.say("bob", &format!("^as {second}^^bye^"));
    stage.say("anna", "hello");
    while !slice(&mut stage, &mut text).is_last {}
    let remotes = |stage: &Stage| -> Vec<String> {
        let remote =
            |line: &String| line.split("\"remote\":").nth(1).map(|rest| rest.split('}').next().map(str::to_owned));
        let mut remotes: Vec<_> = kept(stage).iter().filter_map(remote).flatten().collect();
        remotes.sort();
        remotes
    };
    let before = remotes(&stage);
    assert_eq!(stage.restart_from(&text), back(2));
    assert_eq!(remotes(&stage), before);
    assert_eq!(kept(&stage).iter().filter(|line| line.starts_with("{\"session\"")).count(), 1);
}

#[test]
fn what_changes_while_nothing_is_told_of_it_yet_is_told_once() {
    let mut stage = stage();
    ["anna", "bob"].iter().for_each(|who| drop(stage.say(who, "^hb^")));
    let mut text = Vec::new();
    slice(&mut stage, &mut text);
    stage.say("bob", "/nick robert");
    stage.say("anna", "quit");
    while !slice(&mut stage, &mut text).is_last {}
    assert_eq!(String::from_utf8_lossy(&text).lines().collect::<Vec<_>>(), kept(&stage));
    stage.say("bob", "/nick bob");
    assert!(slice(&mut stage, &mut text).is_first && stage.hub.is_dumping());
    stage.hub.abandon_dump();
    assert!(slice(&mut stage, &mut text).is_first);
}

#[test]
fn the_seed_stays() {
    let mut stage = stage();
    let seed = kept_seed(&dump(&stage.hub));
    stage.restart_from(&dump(&stage.hub));
    assert_eq!((kept_seed(&dump(&stage.hub)), kept_seed(b"{\"hub\":{}}\n")), (seed, None));
}

#[test]
fn who_came_by_a_socket_that_is_gone_is_gone_too() {
    let mut stage = stage();
    ["anna", "anna6", "bob"].iter().for_each(|who| drop(stage.say(who, "^hb^")));
    let text = String::from_utf8_lossy(&dump(&stage.hub)).replace("[::]:9999", "[::1]:9999");
    assert_eq!(stage.restart_from(text.as_bytes()), Restored { members: 2, cut_off: 1, ..Restored::default() });
    stage.close(V6);
    assert_eq!(stage.hub.member_count(), 2);
}

#[test]
fn those_who_come_back_stay_whatever_the_bounds_are_now_and_the_new_are_refused() {
    let mut stage = stage();
    stage.say("anna", "hello");
    for who in ["bob", "carl", "[2001:db8::1]:5001", "[2001:db8::2]:5001"] {
        stage.say(who, "^hb^");
    }
    let text = dump(&stage.hub);
    for (max_members, max_members_per_address) in [(4, 64), (100, 1), (5, 64)] {
        let mut stage = Stage::new(&config::Chat { max_members, max_members_per_address, ..config::Chat::default() });
        assert_eq!(stage.restart_from(&text), Restored { members: 5, ..Restored::default() });
        let told = stage.say("dora", "^hb^");
        assert!(
            told.iter().any(|line| line.starts_with(b"? the hub is full") || line.starts_with(b"? too many members"))
        );
    }
}

#[test]
fn what_somebody_has_written_into_it_is_taken_as_far_as_it_makes_sense() {
    let mut stage = stage();
    let member = |fields: &str, port: u16| {
        format!(r#"{{"member":{{"listener":"0.0.0.0:9999","remote":"127.0.0.1:{port}",{fields}}}}}"#)
    };
    let long = "x".repeat(201);
    let text = [
        r#"{"room":{"name":"lab","topic":"a\nb\u001b[2J","of-the-future":[1,{}]}}"#.to_owned(),
        format!(r#"{{"room":{{"name":"hall","topic":"{long}"}}}}"#),
        r#"{"room":{"name":"no room"}}"#.to_owned(),
        r#"{"planet":{"name":"mars"}}"#.to_owned(),
        "not json at all \u{0}".to_owned(),
        String::new(),
        member(r#""name":"anna","room":"LAB","of-the-future":true"#, 40_001),
        member(r#""name":"ANNA""#, 40_002),
        member(r#""name":"a b\u001b","room":"no room","away":"\u009b2J""#, 40_003),
        member(r#""name":"dora","room":"kitchen","way":"line""#, 40_004),
        member(r#""name":"emil","way":"shout""#, 40_005),
        member(r#""name":"finn","local":"::1""#, 40_006),
        member(r#""name":"twice""#, 40_001),
        r#"{"member":{"name":"gina","listener":"[::]:9999","remote":"127.0.0.1:40007"}}"#.to_owned(),
        r#"{"gone":{"remote":"127.0.0.1:40009","session":"000000000000000a"}}"#.to_owned(),
        r#"{"member":{"name":"hugo""#.to_owned(),
    ];
    let restored = stage.restart_from(text.join("\n").as_bytes());
    assert_eq!(restored, Restored { members: 4, cut_off: 0, refused: 3, senseless: 5 });
    stage.play(
        r"
        bob > /who => Answered
        bob < -- 2 in lobby: localhost-40002, localhost-40003 (away: ?2J)
        bob > /who lab => Answered
        bob < -- 1 in lab: anna
        bob > /who kitchen => Answered
        bob < -- 1 in kitchen: dora
        anna > /topic => Answered
        anna < -- The topic is: a b?[2J
        carl > /who hall => Answered
        carl < -- 0 in hall:\x20
        ",
    );
}

#[test]
fn no_more_rooms_come_back_than_there_may_be_and_the_first_to_fall_empty_is_the_first_to_go() {
    let mut stage = stage();
    let room = |number: usize| format!("{{\"room\":{{\"name\":\"r{number}\",\"topic\":\"t{number}\"}}}}\n");
    let text: String = (1..=ROOMS_MAX).map(room).collect();
    assert_eq!(stage.restart_from(text.as_bytes()), Restored { senseless: 1, ..Restored::default() });
    assert_eq!(stage.hub.rooms().count(), ROOMS_MAX);
    stage.say("anna", "/join new");
    let rooms: Vec<_> = stage.hub.rooms().collect();
    assert!(!rooms.contains(&"r1") && rooms.contains(&"r2") && rooms.contains(&"new"), "{rooms:?}");
}

#[test]
fn what_was_said_is_told_once_in_order_and_so_is_what_is_forgotten() {
    let mut stage = stage();
    let told = |stage: &mut Stage| -> Vec<String> {
        let tell = |news| match news {
            News::Said { room, message, kept, .. } => format!("{room} {} {} {kept}", message.from, message.line),
            News::Forgotten { room } => format!("{room} is forgotten"),
            News::Trimmed { room } => format!("{room} is trimmed"),
            News::Lost { count } => format!("{count} are lost"),
        };
        stage.hub.take_news().map(tell).collect()
    };
    for said in
        ["/nick anna", "one", "/msg anna psst", "/me waves", "^hb^", "/join Lab", "two", "/history off", "three"]
    {
        stage.say("anna", said);
    }
    let news =
        ["lobby anna anna: one true", "lobby anna * anna waves true", "Lab anna anna: two true", "Lab is forgotten"];
    assert_eq!(told(&mut stage), [&news[..], &["Lab anna anna: three false"]].concat());
    assert_eq!(told(&mut stage), Vec::<String>::new());
    stage.say("anna", "/join lobby");
    (3..=ROOMS_MAX).for_each(|number| drop(stage.say("anna", &format!("/join r{number}"))));
    assert_eq!(told(&mut stage), Vec::<String>::new());
    stage.say("anna", "/join one-more");
    assert_eq!(told(&mut stage), ["Lab is forgotten"]);
    for (count, lost) in [(NEWS_MAX, "one-more anna anna: 1 true"), (NEWS_MAX + 2, "2 are lost")] {
        (1..=count).for_each(|number| drop(stage.say("anna", &format!("{number}"))));
        let told = told(&mut stage);
        assert_eq!(
            (told.len() - usize::from(count > NEWS_MAX), told[0].as_str()),
            (NEWS_MAX, lost),
            "at the bound and past it"
        );
    }
}

#[test]
fn a_history_comes_back_within_its_bounds_unless_its_room_keeps_none() {
    let mut stage = stage();
    let now = stage.now();
    let lines = || ["1", "2", "3", "4"].into_iter().map(|line| (Epoch(1), Message::from_line(now.wall, line)));
    stage.restart_from(br#"{"room":{"name":"silent","keeps-history":false}}"#);
    for (room, is_taken) in [("lobby", true), ("Lab", true), ("silent", false), ("no room", false)] {
        assert_eq!(stage.hub.restore_history(&now, room, lines()), is_taken, "{room}");
    }
    let of = |room| stage.hub.history_of(room).map(|lines| lines.map(|message| &*message.line).collect::<Vec<_>>());
    assert_eq!(of("lab"), Some(vec!["2", "3", "4"]));
    assert_eq!((of("silent"), of("nowhere")), (None, None));
    stage.play("anna > /rooms\nanna < -- Rooms: Lab (0), lobby (1)");
    stage.reconfigure(&config::Chat { history: 0, ..config::Chat::default() });
    assert!(!stage.hub.restore_history(&now, "lobby", lines()));
}

#[test]
fn whoever_comes_in_is_told_that_what_is_said_is_logged() {
    play_with(
        |config| (config.history, config.log_messages) = (0, true),
        r"
        anna > \n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- Whoever runs this host has what is said in rooms written to its log.\n
        ",
    );
}

#[test]
fn whoever_is_there_when_logging_begins_is_told_at_a_reload_or_a_restart_and_not_again() {
    let quiet = config::Chat { history: 0, ..config::Chat::default() };
    let logged = config::Chat { log_messages: true, ..quiet.clone() };
    const NOTICE: &str = "anna < -- Whoever runs this host has what is said in rooms written to its log.\\n";
    let mut stage = Stage::new(&quiet);
    stage.play(
        r"
        anna > \n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n
        bob > ^hb^
        anna < -- localhost-40002 has joined\n
        ",
    );
    stage.reconfigure(&logged);
    stage.play(NOTICE);
    stage.reconfigure(&logged);
    stage.restart();
    stage.play("bob > ^hb^");
    stage.reconfigure(&quiet);
    stage.config = logged;
    stage.restart();
    stage.play(NOTICE);
}

/// Lines that are nearly right.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let address = prop::sample::select(vec!["0.0.0.0:9999", "[::]:9999", "127.0.0.1:40001", "[fe80::1%2]:5", "x", ""]);
    let name = prop_oneof!["[a-zA-ZäЖ0-9._-]{0,40}", "\\PC{0,9}", ".{0,300}"];
    let object = (name.clone(), name.clone(), name, address.clone(), address, any::<(bool, u32)>()).prop_map(
        |(name, room, text, listener, remote, (flag, number))| {
            let [name, room, text] = [name, room, text].map(|text| serde_json::to_string(&text).expect("a text"));
            let session = format!("{:016x}", number % 7);
            match number % 6 {
                5 => format!(r#"{{"gone":{{"remote":"{remote}","session":"{session}"}}}}"#),
                3 => format!(
                    r#"{{"session":{{"id":"{session}","last":{number},"name":{name},"rooms":[{{"room":{room},"epoch":"0000000a","number":{number}}}],"mailbox":{{"room":"@","epoch":"0000000b","number":{number}}},"messages":[{{"room":"m","when":"2026-11-21T14:03:27Z","line":{text},"number":9}}]}}}}"#
                ),
                4 => format!(
                    r#"{{"member":{{"name":{name},"room":{room},"way":"session","session":"{session}","listener":"{listener}","remote":"{remote}"}}}}"#
                ),
                0 => format!(r#"{{"room":{{"name":{name},"topic":{text},"keeps-history":{flag}}}}}"#),
                1 => format!(r#"{{"hub":{{"seed":{number}}}}}"#),
                _ => format!(
                    r#"{{"member":{{"name":{name},"room":{room},"away":{text},"heartbeats":{flag},"listener":"{listener}","remote":"{remote}"}}}}"#
                ),
            }
        },
    );
    prop_oneof![8 => object.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

/// The lines without what is another in each hub: where the numbers of a room or a mailbox stand that nobody has kept.
fn without_numbers(text: &[u8]) -> Vec<serde_json::Value> {
    fn clean(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(object) => {
                object.retain(|key, _| !matches!(key.as_str(), "epoch" | "number" | "unused"));
                object.values_mut().for_each(clean);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(clean),
            _ => {}
        }
    }
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect();
    lines.iter_mut().for_each(clean);
    lines
}

proptest! {
    #[test]
    fn whatever_is_found_in_the_place_of_a_state_does_no_harm_and_what_is_taken_of_it_stays(
        mut lines in prop::collection::vec(line(), 0..40), cut in any::<prop::sample::Index>(),
    ) {
        lines.iter_mut().for_each(|line| line.push(b'\n'));
        let mut text = lines.concat();
        text.truncate(cut.index(text.len() + 1));
        let mut stage = stage();
        let restored = stage.restart_from(&text);
        prop_assert_eq!(stage.hub.member_count(), restored.members);
        let once = dump(&stage.hub);
        prop_assert_eq!(stage.restart_from(&once), back(restored.members));
        prop_assert_eq!(without_numbers(&dump(&stage.hub)), without_numbers(&once));
        for who in ["anna", "[fe80::1%2]:5"] {
            for datagram in stage.say(who, "/who\n").into_iter().chain(stage.say(who, "/topic\n")) {
                prop_assert!(datagram.len() <= DATAGRAM_MAX);
                let shown = String::from_utf8(datagram).expect("UTF-8");
                prop_assert!(!shown.contains(belfry::core::text::is_control), "{shown:?}");
            }
        }
    }
}
