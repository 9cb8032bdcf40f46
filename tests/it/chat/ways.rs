//! Programs and terminals: what each is sent, and what it never is.

use crate::script::{play, play_with};

#[test]
fn a_terminal_is_welcomed_and_hears_who_comes_and_goes() {
    play(
        r"
        anna > hello\n => Accepted
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40001: hello\n
        bob > hi anna\r\n => Accepted
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40002: hi anna\n
        bob < localhost-40002: hi anna\n
        anna > /quit\n => Accepted
        anna < -- You have left. Say anything to return.\n
        bob < -- localhost-40001 has left\n
        anna > I am back\n
        bob < -- localhost-40001 has joined\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob < localhost-40001: I am back\n
        anna < localhost-40001: I am back\n
        bob > quit\n => Accepted
        bob < -- You have left. Say anything to return.\n
        anna < -- localhost-40002 has left\n
        bob > quit\n => Accepted
        ",
    );
}

#[test]
fn a_program_gets_messages_and_nothing_unasked() {
    play(
        r"
        anna > hello => Accepted
        anna < localhost-40001: hello
        # a terminal comes, is renamed, sets a topic, is away, switches history off and on, goes: nothing for anna
        bob > /nick bob\n => Answered
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob < -- You are bob now.\n
        bob > /topic tea\n => Answered
        bob < -- The topic is: tea\n
        bob > /away for tea\n => Answered
        bob < -- You are away: for tea\n
        bob > /history off\n => Answered
        bob < -- What is said in this room is no longer kept, and what was kept is gone.\n
        bob > /history on\n => Answered
        bob < -- What is said in this room is kept from now on.\n
        bob > /join lab\n => Answered
        bob < -- You are in lab now.\n-- 1 in lab: bob (away: for tea)\n
        bob > /join lobby\n => Answered
        bob < -- You are in lobby now. The topic is: tea\n-- 2 in lobby: bob (away: for tea), localhost-40001\n
        bob > /msg localhost-40001 for you alone\n => Answered
        anna < bob -> localhost-40001: for you alone
        bob < bob -> localhost-40001: for you alone\n
        bob > to everybody\n => Accepted
        anna < bob: to everybody
        bob < bob: to everybody\n
        bob > /me waves\n => Accepted
        anna < * bob waves
        bob < * bob waves\n
        bob > quit\n => Accepted
        bob < -- You have left. Say anything to return.\n
        # and a program that leaves gets no goodbye
        anna > quit => Accepted
        ",
    );
}

#[test]
fn a_program_gets_the_answers_to_its_own_commands_without_a_newline() {
    play(
        r"
        anna > /nick anna => Answered
        anna < -- You are anna now.
        anna > /who => Answered
        anna < -- 1 in lobby: anna
        anna > /nick -x => Refused(BadName)
        anna < ? not a name: a name begins with a letter or digit
        anna > /away tea => Answered
        anna < -- You are away: tea
        anna > /help => Answered
        anna < -- Type to talk: everybody in your room reads it. // begins a text with a slash.\n-- /nick [NAME]         your name\n-- /join ROOM           another room; it is made if need be\n-- /rooms               which rooms there are\n-- /who [ROOM]          who is in this room, or in another\n-- /msg NAME TEXT       a message to one person\n-- /me TEXT             what you are doing\n-- /topic [TEXT]        what this room is about\n-- /history [N|on|off]  the last lines of this room\n-- /away [TEXT]         say that you are away; without a text: back\n-- /here [TOKEN]        come in from another network, and stay\n-- /help                this list\n-- /quit                leave
        ",
    );
}

#[test]
fn the_first_datagram_decides_the_way_for_as_long_as_a_member_stays() {
    play(
        r"
        anna > ^hb^
        anna > with a newline\n
        anna < localhost-40001: with a newline
        bob > ^hb^\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob > without one
        anna < localhost-40002: without one
        bob < localhost-40002: without one\n
        # whoever leaves and returns may speak otherwise
        bob > quit
        bob < -- You have left. Say anything to return.\n
        bob > ^hb^
        anna > hello
        anna < localhost-40001: hello
        bob < localhost-40001: hello
        ",
    );
}

#[test]
fn an_empty_datagram_or_white_space_joins_and_is_not_relayed() {
    play(
        r"
        anna > => Accepted
        bob > \n => Accepted
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        carl > \x20\t => Accepted
        bob < -- localhost-40003 has joined\n
        dora > \0\0\0\0 => Accepted
        bob < -- localhost-40004 has joined\n
        anna > hello
        anna < localhost-40001: hello
        carl < localhost-40001: hello
        dora < localhost-40001: hello
        bob < localhost-40001: hello\n
        ",
    );
}

#[test]
fn a_heartbeat_joins_or_renews_and_is_not_relayed() {
    play(
        r"
        anna > ^hb^ => Accepted
        bob > ^hb^\r\n => Accepted
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        carl > ^hb^\0 => Accepted
        bob < -- localhost-40003 has joined\n
        anna > ^hb^ => Accepted
        # these are not heartbeats
        anna > x^hb^ => Accepted
        anna < localhost-40001: x^hb^
        carl < localhost-40001: x^hb^
        bob < localhost-40001: x^hb^\n
        anna > ^HB^ => Accepted
        anna < localhost-40001: ^HB^
        carl < localhost-40001: ^HB^
        bob < localhost-40001: ^HB^\n
        ",
    );
}

#[test]
fn a_client_that_beats_every_three_seconds_talks_and_quits() {
    play(
        r"
        anna > ^hb^
        @3
        anna > ^hb^
        @6
        anna > ^hb^
        @9
        anna > ^hb^
        bob > ^hb^
        @10
        anna > hello
        anna < localhost-40001: hello
        bob < localhost-40001: hello
        @12
        anna > ^hb^
        bob > ^hb^
        @15
        bob > quit
        anna > ^hb^
        @18
        anna > anybody there?
        anna < localhost-40001: anybody there?
        anna > quit
        @40
        bob > ^hb^
        ",
    );
}

#[test]
fn a_socket_that_registers_and_only_listens_hears_everything_for_ten_minutes() {
    play(
        r"
        anna > register
        anna < localhost-40001: register
        @300
        bob > hello
        anna < localhost-40002: hello
        bob < localhost-40002: hello
        bob > quit
        @599.999999999
        bob > still there?
        anna < localhost-40002: still there?
        bob < localhost-40002: still there?
        @600
        bob > and now?
        bob < localhost-40002: and now?
        ",
    );
}

#[test]
fn without_echo_to_sender_everybody_but_the_sender_hears_a_message() {
    play_with(
        |config| config.echo_to_sender = false,
        r"
        anna > hello
        bob > hello\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40002: hello
        carl > hello
        bob < -- localhost-40003 has joined\n
        anna < localhost-40003: hello
        bob < localhost-40003: hello\n
        bob > /me waves\n
        anna < * localhost-40002 waves
        carl < * localhost-40002 waves
        # answers and private messages are no echo
        anna > /who
        anna < -- 3 in lobby: localhost-40001, localhost-40002, localhost-40003
        anna > /msg localhost-40001 note to self
        anna < localhost-40001 -> localhost-40001: note to self
        anna > /msg localhost-40002 psst
        bob < localhost-40001 -> localhost-40002: psst\n
        anna < localhost-40001 -> localhost-40002: psst
        ",
    );
}

#[test]
fn a_quit_of_somebody_who_is_not_here_is_taken_without_a_word() {
    play(
        r"
        anna > quit => Accepted
        anna > quit\n => Accepted
        anna > /quit => Accepted
        anna > /quit now\n => Accepted
        anna > /help\n => Answered
        anna < -- Type to talk: everybody in your room reads it. // begins a text with a slash.\n-- /nick [NAME]         your name\n-- /join ROOM           another room; it is made if need be\n-- /rooms               which rooms there are\n-- /who [ROOM]          who is in this room, or in another\n-- /msg NAME TEXT       a message to one person\n-- /me TEXT             what you are doing\n-- /topic [TEXT]        what this room is about\n-- /history [N|on|off]  the last lines of this room\n-- /away [TEXT]         say that you are away; without a text: back\n-- /here [TOKEN]        come in from another network, and stay\n-- /help                this list\n-- /quit                leave\n
        # neither made her a member
        bob > hello
        bob < localhost-40002: hello
        ",
    );
}
