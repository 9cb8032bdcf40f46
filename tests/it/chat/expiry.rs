//! Who is gone when: silence, closed ports, and that the gone get nothing more.

use crate::script::{Stage, play};
use belfry::config;
use std::time::Duration;

#[test]
fn a_member_that_sends_heartbeats_is_gone_ten_seconds_after_its_last_datagram() {
    play(
        r"
        anna > ^hb^
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        @9.999999999
        bob > still there?\n
        anna < localhost-40002: still there?
        bob < localhost-40002: still there?\n
        @10
        bob < -- localhost-40001 has gone silent\n
        bob > and now?\n
        bob < localhost-40002: and now?\n
        ",
    );
}

#[test]
fn every_datagram_renews_not_only_heartbeats() {
    play(
        r"
        anna > ^hb^
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        @9
        anna > text
        anna < localhost-40001: text
        bob < localhost-40001: text\n
        @18
        anna > /who
        anna < -- 2 in lobby: localhost-40001, localhost-40002
        @27
        anna > /nonsense
        anna < ? no such command; /help lists them, // sends a slash
        @36
        anna > \xff
        anna < ? that is not UTF-8; nothing was relayed
        @45
        anna > \{x*1025}
        anna < ? a message has at most 1024 bytes
        @54
        anna >| cut off
        anna < ? a message has at most 1024 bytes
        @63
        anna > ^frame^
        anna < ? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^
        @72.999999999
        @73
        bob < -- localhost-40001 has gone silent\n
        ",
    );
}

#[test]
fn a_member_that_never_sent_a_heartbeat_is_gone_ten_minutes_after_its_last_datagram() {
    play(
        r"
        anna > hello\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40001: hello\n
        bob > ^hb^\n
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        @1
        bob > quit\n
        bob < -- You have left. Say anything to return.\n
        anna < -- localhost-40002 has left\n
        @599.999999999
        bob > still there?\n
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40002: still there?\n
        bob < localhost-40002: still there?\n
        @600
        bob < -- localhost-40001 has gone silent\n
        bob > and now?\n
        bob < localhost-40002: and now?\n
        ",
    );
}

#[test]
fn one_heartbeat_is_enough_to_be_held_to_them_from_then_on() {
    play(
        r"
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > hello
        bob < -- localhost-40001 has joined\n
        bob < localhost-40001: hello\n
        anna < localhost-40001: hello
        @100
        anna > ^hb^
        @109
        anna > hello
        bob < localhost-40001: hello\n
        anna < localhost-40001: hello
        @118.999999999
        @119
        bob < -- localhost-40001 has gone silent\n
        ",
    );
}

#[test]
fn whoever_has_expired_joins_anew_under_the_automatic_name_in_the_lobby() {
    play(
        r"
        anna > ^hb^
        anna > /nick anna
        anna < -- You are anna now.
        anna > /join lab
        anna < -- You are in lab now.\n-- 1 in lab: anna
        @10
        anna > /nick
        anna < -- You are localhost-40001 in lobby.
        ",
    );
}

#[test]
fn the_expired_get_not_even_the_message_that_finds_them_expired() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        anna > ^hb^
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob > /nick bob\n
        bob < -- You are bob now.\n
        ",
    );
    // The daemon was held up: the datagram is there before the timer has run.
    stage.be_late(Duration::from_secs(10));
    stage.play(
        r"
        bob > anybody here?\n
        bob < -- localhost-40001 has gone silent\n
        bob < bob: anybody here?\n
        anna > /nick
        bob < -- localhost-40001 has joined\n
        anna < -- You are localhost-40001 in lobby.
        ",
    );
}

#[test]
fn all_who_expire_at_once_are_told_to_those_who_stay() {
    play(
        r"
        anna > ^hb^
        bob > ^hb^\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        carl > ^hb^\n
        bob < -- localhost-40003 has joined\n
        carl < -- Welcome to belfry.lan. You are localhost-40003 in lobby with 2 others. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        dora > \n
        bob < -- localhost-40004 has joined\n
        carl < -- localhost-40004 has joined\n
        dora < -- Welcome to belfry.lan. You are localhost-40004 in lobby with 3 others. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        @10
        dora < -- Gone silent: localhost-40001, localhost-40002, localhost-40003\n
        ",
    );
}

#[test]
fn a_member_whose_port_is_closed_is_gone_at_the_second_answer_that_says_so() {
    play(
        r"
        anna > ^hb^
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna ! unreachable
        bob > one\n
        anna < localhost-40002: one
        bob < localhost-40002: one\n
        anna ! unreachable
        bob < -- localhost-40001 has closed its port\n
        bob > two\n
        bob < localhost-40002: two\n
        # and whoever is no member is nobody's business
        anna ! unreachable
        carl ! unreachable
        ",
    );
}

#[test]
fn a_datagram_between_two_such_answers_shows_that_the_port_is_open() {
    play(
        r"
        anna > ^hb^
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna ! unreachable
        anna > ^hb^
        anna ! unreachable
        bob > still there?\n
        anna < localhost-40002: still there?
        bob < localhost-40002: still there?\n
        anna ! unreachable
        bob < -- localhost-40001 has closed its port\n
        ",
    );
}

#[test]
fn a_member_whose_host_has_left_the_network_gets_nothing_until_it_is_heard_again() {
    play(
        r"
        anna > ^hb^
        anna > /nick anna
        anna < -- You are anna now.
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna ! out-of-reach
        anna ! out-of-reach
        # and whoever is no member is nobody's business
        carl ! out-of-reach
        bob > one\n
        bob < localhost-40002: one\n
        bob > /who\n
        bob < -- 2 in lobby: anna (out of reach), localhost-40002\n
        @9
        anna > ^hb^
        bob > two\n
        anna < localhost-40002: two
        bob < localhost-40002: two\n
        anna ! out-of-reach
        bob > /msg anna psst\n
        anna < localhost-40002 -> anna: psst
        bob < localhost-40002 -> anna: psst\n
        bob < -- anna is out of reach, and may not get it\n
        @19
        bob < -- anna has gone silent\n
        ",
    );
}

#[test]
fn a_member_that_only_listens_is_tried_anew_half_a_minute_after_its_host_was_lost() {
    play(
        r"
        anna > register
        anna < localhost-40001: register
        bob > ^hb^
        bob > /nick bob
        bob < -- You are bob now.
        anna ! out-of-reach
        @9
        bob > one
        bob < bob: one
        @18
        bob > ^hb^
        @27
        bob > ^hb^
        @29.999999999
        bob > two
        bob < bob: two
        @30
        bob > three
        bob < bob: three
        anna < bob: three
        ",
    );
}
