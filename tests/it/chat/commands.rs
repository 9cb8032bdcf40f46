//! What is typed behind a slash: names, rooms, private messages, topics, away.

use crate::script::play;

#[test]
fn a_name_is_chosen_once_by_one_in_any_letter_case() {
    play(
        r"
        anna > \n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob > \n
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > /nick Anna\n => Answered
        anna < -- You are Anna now.\n
        bob < -- localhost-40001 is now Anna\n
        bob > /nick Anna\n => Refused(NameTaken)
        bob < ? Anna is taken; try another\n
        bob > /nick aNNA\n => Refused(NameTaken)
        bob < ? aNNA is taken; try another\n
        bob > /nick localhost-40001\n => Answered
        bob < -- You are localhost-40001 now.\n
        anna < -- localhost-40002 is now localhost-40001\n
        # her own name, in another letter case or the same
        anna > /nick anna\n => Answered
        anna < -- You are anna now.\n
        bob < -- Anna is now anna\n
        anna > /nick anna\n => Answered
        anna < -- You are anna now.\n
        # free again when she has left
        anna > quit\n
        anna < -- You have left. Say anything to return.\n
        bob < -- anna has left\n
        bob > /nick ANNA\n => Answered
        bob < -- You are ANNA now.\n
        anna > /nick\n => Answered
        bob < -- localhost-40001 has joined\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- You are localhost-40001 in lobby.\n
        ",
    );
}

#[test]
fn a_name_is_compared_in_lower_case_of_every_script() {
    play(
        r"
        anna > /nick Änne => Answered
        anna < -- You are Änne now.
        bob > /nick änne => Refused(NameTaken)
        bob < ? änne is taken; try another
        bob > /nick ΣΟΦΙΑ => Answered
        bob < -- You are ΣΟΦΙΑ now.
        carl > /nick σοφια => Refused(NameTaken)
        carl < ? σοφια is taken; try another
        ",
    );
}

#[test]
fn a_bad_name_is_refused_with_what_is_wrong_with_it() {
    play(
        r"
        anna > ^hb^
        anna > /nick \{x*32} => Answered
        anna < -- You are \{x*32} now.
        anna > /nick \{x*33} => Refused(BadName)
        anna < ? not a name: that is longer than 32 bytes
        anna > /nick -x => Refused(BadName)
        anna < ? not a name: a name begins with a letter or digit
        anna > /nick two words => Refused(BadName)
        anna < ? not a name: a name has no spaces
        anna > /nick a:b => Refused(BadName)
        anna < ? not a name: letters, digits, - _ . only
        anna > /nick ^hb^ => Refused(BadName)
        anna < ? not a name: a name begins with a letter or digit
        bob > /nick \{x*32} => Refused(NameTaken)
        bob < ? \{x*32} is taken; try another
        anna > /nick
        anna < -- You are \{x*32} in lobby.
        ",
    );
}

#[test]
fn a_newcomer_whose_automatic_name_is_taken_gets_a_number_behind_it() {
    play(
        r"
        anna > /nick localhost-40002
        anna < -- You are localhost-40002 now.
        bob > /nick
        bob < -- You are localhost-40002-2 in lobby.
        carl > /nick localhost-40002-2
        carl < ? localhost-40002-2 is taken; try another
        bob > quit
        bob > /nick
        bob < -- You are localhost-40002-2 in lobby.
        ",
    );
}

#[test]
fn a_room_is_made_by_going_there_and_what_is_said_stays_in_it() {
    play(
        r"
        anna > \n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob > \n
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        carl > ^hb^
        anna < -- localhost-40003 has joined\n
        bob < -- localhost-40003 has joined\n
        anna > /join Lab\n => Answered
        bob < -- localhost-40001 has gone to Lab\n
        anna < -- You are in Lab now.\n-- 1 in Lab: localhost-40001\n
        anna > just me\n
        anna < localhost-40001: just me\n
        bob > in the lobby\n
        bob < localhost-40002: in the lobby\n
        carl < localhost-40002: in the lobby
        bob > /join #LAB\n => Answered
        anna < -- localhost-40002 has joined\n
        bob < -- You are in Lab now.\n-- 2 in Lab: localhost-40001, localhost-40002\n
        bob > hello\n
        anna < localhost-40002: hello\n
        bob < localhost-40002: hello\n
        bob > /join lab\n => Answered
        bob < -- You are in Lab now.\n-- 2 in Lab: localhost-40001, localhost-40002\n
        carl > /join lab => Answered
        anna < -- localhost-40003 has joined\n
        bob < -- localhost-40003 has joined\n
        carl < -- You are in Lab now.\n-- 3 in Lab: localhost-40001, localhost-40002, localhost-40003
        bob > /join lobby\n => Answered
        anna < -- localhost-40002 has gone to lobby\n
        bob < -- You are in lobby now.\n-- 1 in lobby: localhost-40002\n
        bob > quit\n
        bob < -- You have left. Say anything to return.\n
        anna > /join two rooms\n => Refused(BadName)
        anna < ? not a room name: a name has no spaces\n
        anna > /join\n => Refused(BadCommand)
        anna < ? /join needs a room: /join ROOM\n
        anna > /join -\n => Refused(BadName)
        anna < ? not a room name: a name begins with a letter or digit\n
        anna > /join \{r*33}\n => Refused(BadName)
        anna < ? not a room name: that is longer than 32 bytes\n
        ",
    );
}

#[test]
fn a_private_message_reaches_one_person_in_any_room() {
    play(
        r"
        anna > /nick anna\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- You are anna now.\n
        bob > /nick bob
        anna < -- localhost-40002 has joined\n
        bob < -- You are bob now.
        anna < -- localhost-40002 is now bob\n
        carl > /nick carl\n
        anna < -- localhost-40003 has joined\n
        carl < -- Welcome to belfry.lan. You are localhost-40003 in lobby with 2 others. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        carl < -- You are carl now.\n
        anna < -- localhost-40003 is now carl\n
        bob > /join lab
        anna < -- bob has gone to lab\n
        carl < -- bob has gone to lab\n
        bob < -- You are in lab now.\n-- 1 in lab: bob
        anna > /msg bob hello there\n => Answered
        bob < anna -> bob: hello there
        anna < anna -> bob: hello there\n
        bob > /msg ANNA hi => Answered
        anna < bob -> anna: hi\n
        bob < bob -> anna: hi
        anna > /msg dora hello\n => Refused(NoSuchMember)
        anna < ? nobody has that name; /who shows who is here\n
        anna > /msg bob\n => Refused(BadCommand)
        anna < ? /msg needs a name and a text: /msg NAME TEXT\n
        anna > /msg\n => Refused(BadCommand)
        anna < ? /msg needs a name and a text: /msg NAME TEXT\n
        anna > /msg anna note to self\n => Answered
        anna < anna -> anna: note to self\n
        # who comes in by one
        dora > /msg carl hello
        anna < -- localhost-40004 has joined\n
        carl < -- localhost-40004 has joined\n
        carl < localhost-40004 -> carl: hello\n
        dora < localhost-40004 -> carl: hello
        ",
    );
}

#[test]
fn an_action_is_told_of_its_sender() {
    play(
        r"
        anna > /nick anna\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- You are anna now.\n
        bob > ^hb^
        anna < -- localhost-40002 has joined\n
        anna > /me waves\n => Accepted
        anna < * anna waves\n
        bob < * anna waves
        anna > /ME waves\n => Accepted
        anna < * anna waves\n
        bob < * anna waves
        anna > /me\n => Refused(BadCommand)
        anna < ? /me needs a text: /me waves\n
        anna > /me   \n => Refused(BadCommand)
        anna < ? /me needs a text: /me waves\n
        ",
    );
}

#[test]
fn a_topic_is_told_to_the_terminals_there_and_to_who_comes() {
    play(
        r"
        anna > /topic\n => Answered
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- There is no topic; /topic TEXT sets one.\n
        bob > \n
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > /topic tea at four\n => Answered
        anna < -- The topic is: tea at four\n
        bob < -- localhost-40001 has set the topic: tea at four\n
        anna > /topic\n => Answered
        anna < -- The topic is: tea at four\n
        carl > \n
        anna < -- localhost-40003 has joined\n
        bob < -- localhost-40003 has joined\n
        carl < -- Welcome to belfry.lan. You are localhost-40003 in lobby with 2 others. /help lists what you can type.\n-- The topic is: tea at four\n-- The last 256 messages of this room are kept; /history shows them.\n
        dora > ^hb^
        anna < -- localhost-40004 has joined\n
        bob < -- localhost-40004 has joined\n
        carl < -- localhost-40004 has joined\n
        bob > /join lab\n
        anna < -- localhost-40002 has gone to lab\n
        carl < -- localhost-40002 has gone to lab\n
        bob < -- You are in lab now.\n-- 1 in lab: localhost-40002\n
        bob > /topic beakers\n
        bob < -- The topic is: beakers\n
        anna > /join lab\n
        carl < -- localhost-40001 has gone to lab\n
        bob < -- localhost-40001 has joined\n
        anna < -- You are in lab now. The topic is: beakers\n-- 2 in lab: localhost-40001, localhost-40002\n
        anna > /topic \{t*200}\n => Answered
        anna < -- The topic is: \{t*200}\n
        bob < -- localhost-40001 has set the topic: \{t*200}\n
        anna > /topic \{t*201}\n => Refused(TooLong)
        anna < ? that is longer than 200 bytes\n
        ",
    );
}

#[test]
fn whoever_is_away_says_so_to_who_asks() {
    play(
        r"
        anna > /nick anna\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < -- You are anna now.\n
        bob > /nick bob\n
        anna < -- localhost-40002 has joined\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob < -- You are bob now.\n
        anna < -- localhost-40002 is now bob\n
        anna > /away having tea\n => Answered
        anna < -- You are away: having tea\n
        bob < -- anna is away: having tea\n
        bob > /msg anna are you there\n
        anna < bob -> anna: are you there\n
        bob < bob -> anna: are you there\n
        bob < -- anna is away: having tea\n
        bob > /who\n
        bob < -- 2 in lobby: anna (away: having tea), bob\n
        # talking does not bring her back; that is for her to say
        anna > soon\n
        anna < anna: soon\n
        bob < anna: soon\n
        anna > /away\n => Answered
        anna < -- You are back.\n
        bob < -- anna is back\n
        bob > /who\n
        bob < -- 2 in lobby: anna, bob\n
        anna > /away \{z*200}\n => Answered
        anna < -- You are away: \{z*200}\n
        bob < -- anna is away: \{z*200}\n
        anna > /away \{z*201}\n => Refused(TooLong)
        anna < ? that is longer than 200 bytes\n
        ",
    );
}

#[test]
fn an_unknown_command_is_answered_to_its_sender_alone_with_the_nearest() {
    play(
        r"
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > /nikc anna\n => Refused(BadCommand)
        anna < ? no such command; did you mean /nick? /help lists them\n
        anna > /hsitory\n => Refused(BadCommand)
        anna < ? no such command; did you mean /history? /help lists them\n
        anna > /xyzzy\n => Refused(BadCommand)
        anna < ? no such command; /help lists them, // sends a slash\n
        anna > /\n => Refused(BadCommand)
        anna < ? no such command; /help lists them, // sends a slash\n
        anna > / \n => Refused(BadCommand)
        anna < ? no such command; /help lists them, // sends a slash\n
        anna > /usr/bin/env is a path\n => Refused(BadCommand)
        anna < ? no such command; /help lists them, // sends a slash\n
        anna > /\{q*1000}\n => Refused(BadCommand)
        anna < ? no such command; /help lists them, // sends a slash\n
        anna > /historyxx\n => Refused(BadCommand)
        anna < ? no such command; did you mean /history? /help lists them\n
        anna > /historyxxx\n => Refused(BadCommand)
        anna < ? no such command; /help lists them, // sends a slash\n
        # she is not even a member
        bob > /who\n
        bob < -- 1 in lobby: localhost-40002\n
        ",
    );
}

#[test]
fn help_says_what_can_be_typed_to_anybody_who_asks() {
    play(
        r"
        anna > /help\n => Answered
        anna < -- Type to talk: everybody in your room reads it. // begins a text with a slash.\n-- /nick [NAME]         your name\n-- /join ROOM           another room; it is made if need be\n-- /rooms               which rooms there are\n-- /who [ROOM]          who is in this room, or in another\n-- /msg NAME TEXT       a message to one person\n-- /me TEXT             what you are doing\n-- /topic [TEXT]        what this room is about\n-- /history [N|on|off]  the last lines of this room\n-- /away [TEXT]         say that you are away; without a text: back\n-- /here [TOKEN]        come in from another network, and stay\n-- /help                this list\n-- /quit                leave\n
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob > /HELP me\n => Answered
        bob < -- Type to talk: everybody in your room reads it. // begins a text with a slash.\n-- /nick [NAME]         your name\n-- /join ROOM           another room; it is made if need be\n-- /rooms               which rooms there are\n-- /who [ROOM]          who is in this room, or in another\n-- /msg NAME TEXT       a message to one person\n-- /me TEXT             what you are doing\n-- /topic [TEXT]        what this room is about\n-- /history [N|on|off]  the last lines of this room\n-- /away [TEXT]         say that you are away; without a text: back\n-- /here [TOKEN]        come in from another network, and stay\n-- /help                this list\n-- /quit                leave\n
        bob > /who\n
        bob < -- 1 in lobby: localhost-40002\n
        ",
    );
}
