//! History, and the lists of people and rooms: each fits its datagrams.

use crate::script::{Stage, play, play_with};
use belfry::config;
use belfry::core::limits::{DATAGRAM_MAX, HISTORY_ANSWER_DATAGRAMS_MAX};

#[test]
fn history_shows_the_last_lines_with_their_age() {
    play(
        r"
        anna > /history\n => Answered
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- Nothing has been said in this room yet.\n
        anna > one
        anna < localhost-40001: one\n
        @59
        anna > two\nlines
        anna < localhost-40001: two\n\tlines\n
        @60
        anna > /history\n => Answered
        anna < [1 min] localhost-40001: one\n[now] localhost-40001: two\n\tlines\n
        anna > /history 1\n => Answered
        anna < [now] localhost-40001: two\n\tlines\n
        @599
        anna > ^hb^
        @605
        bob > /history => Answered
        anna < -- localhost-40002 has joined\n
        bob < [10 min] localhost-40001: one\n[9 min] localhost-40001: two\n\tlines
        bob > /me waves
        anna < * localhost-40002 waves\n
        bob < * localhost-40002 waves
        @610
        @4000
        bob > /history 100 => Answered
        bob < [1 h] localhost-40001: one\n[1 h] localhost-40001: two\n\tlines\n[56 min] * localhost-40002 waves
        @200000
        bob > /history 100 => Answered
        bob < [2 d] localhost-40001: one\n[2 d] localhost-40001: two\n\tlines\n[2 d] * localhost-40002 waves
        ",
    );
}

#[test]
fn a_number_that_makes_no_sense_is_refused() {
    play(
        r"
        anna > hello
        anna < localhost-40001: hello
        anna > /history 0 => Refused(BadCommand)
        anna < ? /history needs a number, on or off: /history 20
        anna > /history -1 => Refused(BadCommand)
        anna < ? /history needs a number, on or off: /history 20
        anna > /history many => Refused(BadCommand)
        anna < ? /history needs a number, on or off: /history 20
        anna > /history 99999999999999999999999 => Refused(BadCommand)
        anna < ? /history needs a number, on or off: /history 20
        anna > /history 18446744073709551615 => Answered
        anna < [now] localhost-40001: hello
        ",
    );
}

#[test]
fn a_room_can_switch_its_history_off() {
    play(
        r"
        anna > one\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40001: one\n
        bob > \n
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > /history off\n => Answered
        anna < -- What is said in this room is no longer kept, and what was kept is gone.\n
        bob < -- localhost-40001: what is said in this room is no longer kept, and what was kept is gone\n
        anna > two\n
        anna < localhost-40001: two\n
        bob < localhost-40001: two\n
        anna > /history\n => Answered
        anna < -- No history is kept in this room.\n
        # the welcome does not promise it any more
        carl > \n
        anna < -- localhost-40003 has joined\n
        bob < -- localhost-40003 has joined\n
        carl < -- Welcome to belfry.lan. You are localhost-40003 in lobby with 2 others. /help lists what you can type.\n
        anna > /history on\n => Answered
        anna < -- What is said in this room is kept from now on.\n
        bob < -- localhost-40001: what is said in this room is kept from now on\n
        carl < -- localhost-40001: what is said in this room is kept from now on\n
        anna > /history\n => Answered
        anna < -- Nothing has been said in this room yet.\n
        anna > three\n
        anna < localhost-40001: three\n
        bob < localhost-40001: three\n
        carl < localhost-40001: three\n
        anna > /history\n => Answered
        anna < [now] localhost-40001: three\n
        # another room keeps its own
        bob > /join lab\n
        anna < -- localhost-40002 has gone to lab\n
        carl < -- localhost-40002 has gone to lab\n
        bob < -- You are in lab now.\n-- 1 in lab: localhost-40002\n
        bob > in the lab\n
        bob < localhost-40002: in the lab\n
        bob > /history\n
        bob < [now] localhost-40002: in the lab\n
        ",
    );
}

#[test]
fn a_hub_that_keeps_no_history_says_so() {
    play_with(
        |config| config.history = 0,
        r"
        anna > hello\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n
        anna < localhost-40001: hello\n
        anna > /history\n => Answered
        anna < -- No history is kept in this room.\n
        anna > /history on\n => Answered
        anna < -- No history is kept in this hub.\n
        ",
    );
}

#[test]
fn the_history_is_as_long_as_configured_and_not_a_line_longer() {
    play_with(
        |config| config.history = 3,
        r"
        anna > one
        anna < localhost-40001: one
        anna > two
        anna < localhost-40001: two
        anna > three
        anna < localhost-40001: three
        anna > /history 5
        anna < [now] localhost-40001: one\n[now] localhost-40001: two\n[now] localhost-40001: three
        anna > four
        anna < localhost-40001: four
        anna > /history 5
        anna < [now] localhost-40001: two\n[now] localhost-40001: three\n[now] localhost-40001: four
        ",
    );
}

#[test]
fn private_messages_and_notices_are_not_in_the_history() {
    play(
        r"
        anna > hello\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40001: hello\n
        anna > /msg localhost-40001 secret\n
        anna < localhost-40001 -> localhost-40001: secret\n
        anna > /topic tea\n
        anna < -- The topic is: tea\n
        anna > /history\n
        anna < [now] localhost-40001: hello\n
        ",
    );
}

/// What one datagram brings forth, as lengths.
fn lengths(stage: &mut Stage, who: &str, said: &str) -> Vec<usize> {
    stage.say(who, said).iter().map(Vec::len).collect()
}

#[test]
fn a_long_history_is_packed_into_few_datagrams_and_the_newest_are_in_them() {
    let mut stage = Stage::new(&config::Chat { history: 1_000, ..config::Chat::default() });
    for number in 0..1_000 {
        stage.say("anna", &format!("message number {number}\n"));
    }
    let some = stage.say("anna", "/history 100\n");
    let text = String::from_utf8(some.concat()).expect("text");
    assert!(some.len() <= 5, "a hundred lines of forty bytes are four datagrams, not {}", some.len());
    assert_eq!(text.lines().count(), 100);
    assert!(text.starts_with("[now] localhost-40001: message number 900\n"), "{text}");
    assert!(text.ends_with("[now] localhost-40001: message number 999\n"), "{text}");
    let all = stage.say("anna", "/history 1000\n");
    assert_eq!(all.len(), HISTORY_ANSWER_DATAGRAMS_MAX);
    assert!(all.iter().all(|datagram| datagram.len() <= DATAGRAM_MAX));
    assert!(all.iter().rev().skip(1).all(|datagram| datagram.len() > DATAGRAM_MAX - 80));
    assert!(all.concat().ends_with(b"message number 999\n"));
}

#[test]
fn the_longest_message_fits_a_datagram_in_the_history_too() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.say("anna", "/nick anna\n");
    let longest = format!("{}b", "a\n".repeat(408));
    assert_eq!(lengths(&mut stage, "anna", &longest), [DATAGRAM_MAX]);
    stage.wait(3_599);
    stage.say("anna", "short\n");
    for length in lengths(&mut stage, "anna", "/history\n") {
        assert!(length <= DATAGRAM_MAX, "{length}");
    }
}

#[test]
fn lists_that_do_not_fit_a_datagram_say_how_many_are_left_out() {
    let everybody = config::Chat { max_members_per_address: 1_000, ..config::Chat::default() };
    let mut stage = Stage::new(&everybody);
    for number in 0..200 {
        stage.say(&format!("192.0.2.1:{}", 1_024 + number), "/join lab");
        stage.say(&format!("192.0.2.1:{}", 1_024 + number), &format!("/away {}", "z".repeat(200)));
        let host = 2 + number / 100;
        stage.say(&format!("192.0.2.{host}:{}", 1_024 + number), &format!("/join room-{number}-{}", "r".repeat(20)));
    }
    let people = stage.say("192.0.2.1:1024", "/who");
    assert_eq!(people.len(), 1);
    let people = String::from_utf8(people.concat()).expect("text");
    assert!(people.len() < DATAGRAM_MAX && people.len() > DATAGRAM_MAX - 300, "{}", people.len());
    assert!(people.starts_with("-- 200 in lab: 192.0.2.1-1024 (away: zzz"), "{people}");
    assert!(people.ends_with("z) and 195 more"), "{people}");

    let rooms = String::from_utf8(stage.say("192.0.2.1:1024", "/rooms").concat()).expect("text");
    assert!(rooms.len() < DATAGRAM_MAX && rooms.len() > DATAGRAM_MAX - 100, "{}", rooms.len());
    assert!(rooms.starts_with("-- Rooms: lab (200), room-0-rrr"), "{rooms}");
    assert!(rooms.ends_with(" more"), "{rooms}");

    // Whoever comes in gets the topic and the list in one datagram.
    stage.say("192.0.2.1:1024", &format!("/topic {}", "t".repeat(200)));
    let arrival = stage.say("192.0.2.3:1024", "/join lab\n");
    let lengths: Vec<usize> = arrival.iter().map(Vec::len).collect();
    assert!(lengths.iter().all(|&length| length <= DATAGRAM_MAX), "{lengths:?}");
}

#[test]
fn a_list_of_a_full_hall_is_one_datagram_and_counts_everybody() {
    let full = config::Chat { max_members: 5_000, max_members_per_address: 5_000, ..config::Chat::default() };
    let mut stage = Stage::new(&full);
    for port in 0..5_000 {
        stage.say(&format!("192.0.2.1:{}", 2_000 + port), "^hb^");
    }
    let list = String::from_utf8(stage.say("192.0.2.1:2000", "/who").concat()).expect("text");
    assert!(list.starts_with("-- 5000 in lobby: 192.0.2.1-2000, 192.0.2.1-2001, "), "{list}");
    let (names, more) = list.rsplit_once(" and ").expect("a number at the end");
    assert_eq!(more, format!("{} more", 5_000 - names.split(", ").count()), "{list}");
}

#[test]
fn rooms_are_listed_while_somebody_or_something_is_in_them() {
    play(
        r"
        anna > /rooms\n => Answered
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- Rooms: lobby (1)\n
        anna > /join lab\n
        anna < -- You are in lab now.\n-- 1 in lab: localhost-40001\n
        anna > /rooms\n
        anna < -- Rooms: lab (1)\n
        anna > hello\n
        anna < localhost-40001: hello\n
        anna > /join b\n
        anna < -- You are in b now.\n-- 1 in b: localhost-40001\n
        anna > /rooms\n
        anna < -- Rooms: b (1), lab (0)\n
        anna > /join lab\n
        anna < -- You are in lab now.\n-- 1 in lab: localhost-40001\n
        anna > /rooms\n
        anna < -- Rooms: lab (1)\n
        ",
    );
}

#[test]
fn who_is_in_another_room_can_be_asked_and_a_room_that_is_not_there_is_said_not_to_be() {
    play(
        r"
        anna > ^hb^
        anna > /nick anna
        anna < -- You are anna now.
        bob > ^hb^
        bob > /nick bob
        bob < -- You are bob now.
        bob > /join lab
        bob < -- You are in lab now.\n-- 1 in lab: bob
        anna > /who lab => Answered
        anna < -- 1 in lab: bob
        anna > /who #LAB
        anna < -- 1 in lab: bob
        anna > /who
        anna < -- 1 in lobby: anna
        anna > /who atttic => Refused(NoSuchRoom)
        anna < ? there is no such room; /rooms lists them
        ",
    );
}
