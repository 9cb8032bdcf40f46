//! Several sockets, and several addresses of ours.

use crate::script::{Stage, V4, V6, play};
use belfry::config;

#[test]
fn people_on_both_sockets_are_in_one_room() {
    play(
        r"
        anna > hello\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40001: hello\n
        anna6 > hello\n
        anna < -- ::1-40001 has joined\n
        anna6 < -- Welcome to belfry.lan. You are ::1-40001 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < ::1-40001: hello\n
        anna6 < ::1-40001: hello\n
        bob > ^hb^
        anna < -- localhost-40002 has joined\n
        anna6 < -- localhost-40002 has joined\n
        bob6 > ^hb^
        anna < -- ::2-40002 has joined\n
        anna6 < -- ::2-40002 has joined\n
        anna6 > /nick six\n
        anna6 < -- You are six now.\n
        anna < -- ::1-40001 is now six\n
        bob > from a program
        anna < localhost-40002: from a program\n
        anna6 < localhost-40002: from a program\n
        bob < localhost-40002: from a program
        bob6 < localhost-40002: from a program
        anna > /msg six psst\n
        anna6 < localhost-40001 -> six: psst\n
        anna < localhost-40001 -> six: psst\n
        bob6 > quit
        anna < -- ::2-40002 has left\n
        anna6 < -- ::2-40002 has left\n
        anna6 > /who\n
        anna6 < -- 3 in lobby: localhost-40001, localhost-40002, six\n
        ",
    );
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked_and_a_member_may_change_it() {
    play(
        r"
        anna@192.0.2.1 > hello\n
        anna@192.0.2.1 < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna@192.0.2.1 < localhost-40001: hello\n
        bob@192.0.2.1 > ^hb^
        anna@192.0.2.1 < -- localhost-40002 has joined\n
        bob@192.0.2.1 > hello
        anna@192.0.2.1 < localhost-40002: hello\n
        bob@192.0.2.1 < localhost-40002: hello
        # the same member, another address of ours
        anna@192.0.2.2 > /nick\n => Answered
        anna@192.0.2.2 < -- You are localhost-40001 in lobby.\n
        bob@192.0.2.1 > hello again
        anna@192.0.2.2 < localhost-40002: hello again\n
        bob@192.0.2.1 < localhost-40002: hello again
        anna@192.0.2.3 > quit\n
        anna@192.0.2.3 < -- You have left. Say anything to return.\n
        bob > the kernel may choose
        bob < localhost-40002: the kernel may choose
        ",
    );
}

#[test]
fn a_stranger_is_answered_from_the_address_that_was_asked() {
    play(
        r"
        anna@192.0.2.1 > \xff
        anna@192.0.2.1 < ? that is not UTF-8; nothing was relayed
        anna@192.0.2.2 > /help => Answered
        anna@192.0.2.2 < -- Type to talk: everybody in your room reads it. // begins a text with a slash.\n-- /nick [NAME]         your name\n-- /join ROOM           another room; it is made if need be\n-- /rooms               which rooms there are\n-- /who [ROOM]          who is in this room, or in another\n-- /msg NAME TEXT       a message to one person\n-- /me TEXT             what you are doing\n-- /topic [TEXT]        what this room is about\n-- /history [N|on|off]  the last lines of this room\n-- /away [TEXT]         say that you are away; without a text: back\n-- /here [TOKEN]        come in from another network, and stay\n-- /help                this list\n-- /quit                leave
        anna@192.0.2.2 > /nosuch => Refused(BadCommand)
        anna@192.0.2.2 < ? no such command; /help lists them, // sends a slash
        ",
    );
}

#[test]
fn a_socket_that_closes_takes_its_members_with_it() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        anna > \n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob > ^hb^
        anna < -- localhost-40002 has joined\n
        anna6 > \n
        anna < -- ::1-40001 has joined\n
        anna6 < -- Welcome to belfry.lan. You are ::1-40001 in lobby with 2 others. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob6 > \n
        anna < -- ::2-40002 has joined\n
        anna6 < -- ::2-40002 has joined\n
        bob6 < -- Welcome to belfry.lan. You are ::2-40002 in lobby with 3 others. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        ",
    );
    stage.close(V4);
    stage.play(
        r"
        anna6 < -- Cut off by a change of configuration: localhost-40001, localhost-40002\n
        bob6 < -- Cut off by a change of configuration: localhost-40001, localhost-40002\n
        anna6 > hello\n
        anna6 < ::1-40001: hello\n
        bob6 < ::1-40001: hello\n
        ",
    );
    stage.close(V6);
    stage.play(
        r"
        anna > hello\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < localhost-40001: hello\n
        ",
    );
    assert_eq!(stage.hub.member_count(), 1);
}
