//! The bounds, at each and one past it. When full, the new are refused and the present kept.

use crate::script::{Stage, play, play_with};
use belfry::config;
use belfry::core::limits::{ERROR_LINE_MAX, ROOMS_MADE_MAX, ROOMS_MAX, ROOMS_OF_SOURCE_MAX, SOURCES_OF_NETWORK};

#[test]
fn a_full_hub_refuses_the_new_and_keeps_the_present() {
    play_with(
        |config| config.max_members = 2,
        r"
        anna > \n => Accepted
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob > ^hb^ => Accepted
        anna < -- localhost-40002 has joined\n
        carl > hello => Refused(Full)
        carl < ? the hub is full; try again later
        carl > ^hb^ => Refused(Full)
        carl < ? the hub is full; try again later
        carl > \n => Refused(Full)
        carl < ? the hub is full; try again later\n
        carl > /nick carl\n => Refused(Full)
        carl < ? the hub is full; try again later\n
        carl > /help => Answered
        carl < -- Type to talk: everybody in your room reads it. // begins a text with a slash.\n-- /nick [NAME]         your name\n-- /join ROOM           another room; it is made if need be\n-- /rooms               which rooms there are\n-- /who [ROOM]          who is in this room, or in another\n-- /msg NAME TEXT       a message to one person\n-- /me TEXT             what you are doing\n-- /topic [TEXT]        what this room is about\n-- /history [N|on|off]  the last lines of this room\n-- /away [TEXT]         say that you are away; without a text: back\n-- /here [TOKEN]        come in from another network, and stay\n-- /help                this list\n-- /quit                leave
        anna > /who\n
        anna < -- 2 in lobby: localhost-40001, localhost-40002\n
        bob > quit
        anna < -- localhost-40002 has left\n
        carl > hello => Accepted
        anna < -- localhost-40003 has joined\n
        anna < localhost-40003: hello\n
        carl < localhost-40003: hello
        ",
    );
}

#[test]
fn an_address_has_so_many_members_and_not_one_more() {
    play_with(
        |config| config.max_members_per_address = 2,
        r"
        192.0.2.1:5001 > ^hb^ => Accepted
        192.0.2.1:5002 > ^hb^ => Accepted
        192.0.2.1:5003 > ^hb^ => Refused(Full)
        192.0.2.1:5003 < ? too many members from your address already
        192.0.2.2:5003 > ^hb^ => Accepted
        192.0.2.1:5001 > quit
        192.0.2.1:5003 > ^hb^ => Accepted
        # on our links each IPv6 address is somebody else
        [2001:db8::1]:5001 > ^hb^ => Accepted
        [2001:db8::1]:5002 > ^hb^ => Accepted
        [2001:db8::1]:5003 > ^hb^ => Refused(Full)
        [2001:db8::1]:5003 < ? too many members from your address already
        [2001:db8::2]:5001 > ^hb^ => Accepted
        # but everybody on a link shares fe80::/64
        [fe80::1]:5001 > ^hb^ => Accepted
        [fe80::1]:5002 > ^hb^ => Accepted
        [fe80::1]:5003 > ^hb^ => Refused(Full)
        [fe80::1]:5003 < ? too many members from your address already
        [fe80::2]:5001 > ^hb^ => Accepted
        ",
    );
}

#[test]
fn an_ipv6_network_counts_as_sixteen_addresses_on_our_links_and_as_one_elsewhere() {
    let mut stage = Stage::new(&config::Chat { max_members_per_address: 2, ..config::Chat::default() });
    for host in 1..=2 * SOURCES_OF_NETWORK {
        let answers = stage.say(&format!("[2001:db8::{host:x}]:5001"), "^hb^");
        assert_eq!(answers.len(), 0, "{host}");
    }
    stage.play(
        r"
        [2001:db8::21]:5001 > ^hb^ => Refused(Full)
        [2001:db8::21]:5001 < ? too many members from your address already
        [2001:db8:0:1::1]:5001 > ^hb^ => Accepted
        [2001:db8:0:2::1]:5001 ~> ^hb^
        [2001:db8:0:2::1]:5001 < ^token <token1>^
        [2001:db8:0:2::1]:5001 ~> ^hb <token1>^ => Accepted
        [2001:db8:0:2::2]:5001 ~> ^hb^
        [2001:db8:0:2::2]:5001 < ^token <token2>^
        [2001:db8:0:2::2]:5001 ~> ^hb <token2>^ => Accepted
        [2001:db8:0:2::3]:5001 ~> ^hb^
        [2001:db8:0:2::3]:5001 < ^token <token3>^
        [2001:db8:0:2::3]:5001 ~> ^hb <token3>^ => Refused(Full)
        [2001:db8:0:2::3]:5001 < ? too many members from your address already
        ",
    );
}

#[test]
fn a_source_makes_half_of_the_rooms_at_the_most() {
    let mut stage = Stage::new(&config::Chat { max_members_per_address: 1_000, ..config::Chat::default() });
    for number in 0..ROOMS_MADE_MAX {
        stage.say(&format!("192.0.2.1:{}", 2_000 + number), &format!("/join room-{number}"));
    }
    stage.play(
        r"
        192.0.2.1:9001 > /join one-more => Refused(Full)
        192.0.2.1:9001 < ? there are too many rooms; /rooms lists them
        192.0.2.2:9001 > /join one-more
        192.0.2.2:9001 < -- You are in one-more now.\n-- 1 in one-more: 192.0.2.2-9001
        # one that nobody is in makes place
        192.0.2.1:2000 > quit
        192.0.2.1:9001 > /join another
        192.0.2.1:9001 < -- You are in another now.\n-- 1 in another: 192.0.2.1-9001
        ",
    );
}

#[test]
fn there_are_so_many_rooms_and_an_empty_one_makes_place_for_a_new() {
    let mut stage = Stage::new(&config::Chat { max_members_per_address: 1_000, ..config::Chat::default() });
    for number in 1..ROOMS_MAX {
        let host = 1 + number / ROOMS_MADE_MAX;
        stage.say(&format!("192.0.2.{host}:{}", 1_024 + number), &format!("/join room-{number}"));
    }
    stage.play(
        r"
        # the lobby is one of them
        anna > /join one-more => Refused(Full)
        anna < ? there are too many rooms; /rooms lists them
        anna > /nick
        anna < -- You are localhost-40001 in lobby.
        192.0.2.1:1025 > said in room-1
        192.0.2.1:1025 < 192.0.2.1-1025: said in room-1
        192.0.2.1:1025 > quit
        @1
        192.0.2.1:1026 > quit
        @2
        192.0.2.1:1027 > quit
        # the one goes that is empty for longest of those where nothing was said
        anna > /join one-more => Answered
        anna < -- You are in one-more now.\n-- 1 in one-more: localhost-40001
        bob > /join room-3 => Answered
        bob < -- You are in room-3 now.\n-- 1 in room-3: localhost-40002
        carl > /join room-1 => Answered
        carl < -- You are in room-1 now.\n-- 1 in room-1: localhost-40003
        carl > /history => Answered
        carl < [now] 192.0.2.1-1025: said in room-1
        dora > /join yet-another => Refused(Full)
        dora < ? there are too many rooms; /rooms lists them
        ",
    );
}

#[test]
fn whoever_makes_rooms_without_number_makes_nobody_forget_what_was_said() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        anna > /join lab => Answered
        anna < -- You are in lab now.\n-- 1 in lab: localhost-40001
        anna > the kettle is on
        anna < localhost-40001: the kettle is on
        anna > quit
        ",
    );
    let mut refused = None;
    for number in 0..2 * ROOMS_MAX {
        let told = stage.say("192.0.2.1:1024", &format!("/join z{number}"));
        stage.say("192.0.2.1:1024", "mine");
        refused = refused.or(is_full(&told).then_some(number));
    }
    assert_eq!(refused, None, "there are always some of its own that nobody is in");
    stage.play(
        r"
        bob > /join lab => Answered
        bob < -- You are in lab now.\n-- 1 in lab: localhost-40002
        bob > /history => Answered
        bob < [now] localhost-40001: the kettle is on
        ",
    );
}

#[test]
fn somebody_who_has_made_few_rooms_has_one_make_place() {
    let mut stage = Stage::new(&config::Chat { max_members_per_address: 1_000, ..config::Chat::default() });
    for number in 1..ROOMS_MAX {
        let source = number / ROOMS_OF_SOURCE_MAX;
        let member = format!("192.0.2.{}:{}", 1 + source, 1_024 + number);
        stage.say(&member, &format!("/join room-{number}"));
        stage.say(&member, "said");
        stage.say(&member, "quit");
    }
    // The first has made one less than the bound, the second as many, of which the oldest goes.
    let rooms = |stage: &mut Stage| stage.hub.rooms().map(str::to_owned).collect::<Vec<_>>();
    let has = |stage: &mut Stage, number: usize| rooms(stage).contains(&format!("room-{number}"));
    stage.say("192.0.2.2:1", "/join new");
    assert!(has(&mut stage, 1) && !has(&mut stage, ROOMS_OF_SOURCE_MAX));
    stage.say("192.0.2.1:1", "/join newer");
    assert!(!has(&mut stage, 1));
    // Nobody can have made as many and be in each of them.
    for number in 0..ROOMS_OF_SOURCE_MAX {
        stage.say(&format!("192.0.2.9:{}", 1_024 + number), &format!("/join full-{number}"));
    }
    assert!(is_full(&stage.say("192.0.2.9:1", "/join one-more")));
}

fn is_full(told: &[Vec<u8>]) -> bool {
    told.iter().any(|line| line.starts_with(b"? there are too many rooms"))
}

#[test]
fn every_error_line_is_short() {
    let mut stage = Stage::new(&config::Chat { max_members: 3, max_message: 1_024, ..config::Chat::default() });
    let name = "n".repeat(32);
    stage.say("anna", &format!("/nick {name}\n"));
    let long = "x".repeat(2_000);
    let paste = "a\n".repeat(500);
    let bad = [
        format!("/nick {name}\n"),
        "/nick -\n".to_owned(),
        "/nick a b\n".to_owned(),
        format!("/nick {name}n\n"),
        "/join -\n".to_owned(),
        "/join a b\n".to_owned(),
        format!("/join {name}n\n"),
        "/join\n".to_owned(),
        "/msg\n".to_owned(),
        "/msg b\n".to_owned(),
        "/msg nobody hello\n".to_owned(),
        "/me\n".to_owned(),
        "/history x\n".to_owned(),
        "/histor\n".to_owned(),
        "/xyzzy\n".to_owned(),
        format!("/topic {}\n", "t".repeat(300)),
        long,
        paste.clone(),
        format!("/me {paste}"),
        format!("/msg {name} {paste}"),
        "^tell^\n".to_owned(),
    ];
    for said in &bad {
        let answers = stage.say("bob", said);
        let answer = answers.last().expect("an answer");
        assert!(answer.starts_with(b"? "), "{said:?}");
        assert!(answer.len() <= ERROR_LINE_MAX, "{} {:?}", answer.len(), answer.escape_ascii().to_string());
    }
}

#[test]
fn a_change_of_configuration_keeps_everybody() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        anna > /nick anna\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- You are anna now.\n
        bob > ^hb^
        anna < -- localhost-40002 has joined\n
        anna > one\n
        anna < anna: one\n
        bob < anna: one
        anna > two\n
        anna < anna: two\n
        bob < anna: two
        ",
    );
    let changed = config::Chat {
        max_members: 1,
        max_message: 10,
        history: 1,
        echo_to_sender: false,
        silent_timeout: std::time::Duration::from_secs(20),
        ..config::Chat::default()
    };
    stage.reconfigure(&changed);
    stage.play(
        r"
        anna > three\n => Accepted
        bob < anna: three
        anna > eleven_byte\n => Refused(TooLong)
        anna < ? a message has at most 10 bytes\n
        anna > /history 9\n
        anna < [now] anna: three\n
        carl > hi => Refused(Full)
        carl < ? the hub is full; try again later
        bob > hi => Accepted
        anna < localhost-40002: hi\n
        @10
        anna < -- localhost-40002 has gone silent\n
        @20
        ",
    );
}

#[test]
fn a_shorter_timeout_is_due_at_once_for_who_has_been_silent_longer() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        anna > hello
        anna < localhost-40001: hello
        @100
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        ",
    );
    stage.reconfigure(&config::Chat { silent_timeout: std::time::Duration::from_secs(50), ..config::Chat::default() });
    stage.play(
        r"
        @100
        bob < -- localhost-40001 has gone silent\n
        @100
        @100
        bob > still there?\n
        bob < localhost-40002: still there?\n
        ",
    );
}

#[test]
fn a_command_with_the_longest_text_is_taken() {
    play(
        r"
        anna > /nick anna
        anna < -- You are anna now.
        anna > /me \{x*1020} => Accepted
        anna < * anna \{x*1020}
        anna > /me \{x*1021} => Refused(TooLong)
        anna < ? a message has at most 1024 bytes
        anna > /me \{x*1021}\n => Refused(TooLong)
        anna < ? a message has at most 1024 bytes
        ",
    );
}
