//! What may be said, and how it arrives.

use crate::script::{play, play_with};
use belfry::config::LineFormat;

#[test]
fn a_message_is_as_long_as_max_message_and_not_a_byte_longer() {
    play(
        r"
        anna > ^hb^
        bob > \{x*1024} => Accepted
        anna < localhost-40002: \{x*1024}
        bob < localhost-40002: \{x*1024}
        bob > \{x*1025} => Refused(TooLong)
        bob < ? a message has at most 1024 bytes
        bob > \{x*1024}\n => Accepted
        anna < localhost-40002: \{x*1024}
        bob < localhost-40002: \{x*1024}
        bob > \{x*1024}\r\n => Accepted
        anna < localhost-40002: \{x*1024}
        bob < localhost-40002: \{x*1024}
        bob > \{x*1025}\n => Refused(TooLong)
        bob < ? a message has at most 1024 bytes
        bob > \{x*1026} => Refused(TooLong)
        bob < ? a message has at most 1024 bytes
        bob > \{x*1026}\n => Refused(TooLong)
        bob < ? a message has at most 1024 bytes
        # bytes, not letters
        bob > \{ä*512} => Accepted
        anna < localhost-40002: \{ä*512}
        bob < localhost-40002: \{ä*512}
        bob > \{ä*512}x => Refused(TooLong)
        bob < ? a message has at most 1024 bytes
        # and the zero bytes behind a string are not part of it
        bob > \{x*1024}\{\0*500} => Accepted
        anna < localhost-40002: \{x*1024}
        bob < localhost-40002: \{x*1024}
        ",
    );
}

#[test]
fn a_datagram_that_was_cut_off_is_refused_whole() {
    play(
        r"
        anna > ^hb^
        bob >| the beginning of it => Refused(TooLong)
        bob < ? a message has at most 1024 bytes
        carl >| the beginning of it\n => Refused(TooLong)
        carl < ? a message has at most 1024 bytes\n
        anna > nobody has joined
        anna < localhost-40001: nobody has joined
        ",
    );
}

#[test]
fn what_is_not_utf_8_is_refused_and_nothing_of_it_is_relayed() {
    play(
        r"
        anna > ^hb^
        bob > caf\xe9 => Refused(NotUtf8)
        bob < ? that is not UTF-8; nothing was relayed
        bob > caf\xe9\n => Refused(NotUtf8)
        bob < ? that is not UTF-8; nothing was relayed\n
        anna > \xff\xfe => Refused(NotUtf8)
        anna < ? that is not UTF-8; nothing was relayed
        bob > \xf0\x9f\x95 => Refused(NotUtf8)
        bob < ? that is not UTF-8; nothing was relayed
        bob > café 🕰 => Accepted
        anna < localhost-40002: café 🕰
        bob < localhost-40002: café 🕰
        ",
    );
}

#[test]
fn zero_bytes_and_newlines_at_the_end_are_how_clients_send_a_line() {
    play(
        r"
        anna > hello\0
        anna < localhost-40001: hello
        anna > hello\0\0\0\0\0\0
        anna < localhost-40001: hello
        anna > hello\n\0
        anna < localhost-40001: hello
        anna > hello\r\n
        anna < localhost-40001: hello
        anna > hello  \n
        anna < localhost-40001: hello
        carl > \xff\n\0
        carl < ? that is not UTF-8; nothing was relayed\n
        anna > quit\n\0
        bob > ^hb^
        ",
    );
}

#[test]
fn control_characters_never_arrive() {
    play(
        r"
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > \x1b[2J\x1b]0;owned\x07 bell\x08\x7f null\0inside cr\rover
        bob < -- localhost-40001 has joined\n
        bob < localhost-40001: ?[2J?]0;owned? bell?? null?inside cr?over\n
        anna < localhost-40001: ?[2J?]0;owned? bell?? null?inside cr?over
        anna > csi:\xc2\x9b nel:\xc2\x85. override:\xe2\x80\xae isolate:\xe2\x81\xa6 ls:\xe2\x80\xa8.
        bob < localhost-40001: csi:? nel:?. override:? isolate:? ls:?.\n
        anna < localhost-40001: csi:? nel:?. override:? isolate:? ls:?.
        anna > tab\tstays, ‍zero-width-joiner stays 👩‍🚀
        bob < localhost-40001: tab\tstays, ‍zero-width-joiner stays 👩‍🚀\n
        anna < localhost-40001: tab\tstays, ‍zero-width-joiner stays 👩‍🚀
        anna > \x1b
        bob < localhost-40001: ?\n
        anna < localhost-40001: ?
        anna > /me \x1b[31mblushes
        bob < * localhost-40001 ?[31mblushes\n
        anna < * localhost-40001 ?[31mblushes
        anna > /topic \x1b[31mred\x07
        anna < -- The topic is: ?[31mred?
        bob < -- localhost-40001 has set the topic: ?[31mred?\n
        anna > /away \x1b[31mred
        anna < -- You are away: ?[31mred
        bob < -- localhost-40001 is away: ?[31mred\n
        anna > /msg localhost-40002 \x1b[31mred
        bob < localhost-40001 -> localhost-40002: ?[31mred\n
        anna < localhost-40001 -> localhost-40002: ?[31mred
        anna > /nick \x1b[31mred
        anna < ? not a name: a name begins with a letter or digit
        anna > /join \x1b[31mred
        anna < ? not a room name: a name begins with a letter or digit
        anna > /\x1b[31mred
        anna < ? no such command; /help lists them, // sends a slash
        anna > /msg \x1b[31mred x
        anna < ? nobody has that name; /who shows who is here
        ",
    );
}

#[test]
fn the_further_lines_of_a_paste_are_indented_so_that_they_pass_for_nobody_elses() {
    play(
        r"
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > fn main() {\n    hello()\n}\n
        bob < -- localhost-40001 has joined\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob < localhost-40001: fn main() {\n\t    hello()\n\t}\n
        anna < localhost-40001: fn main() {\n\t    hello()\n\t}\n
        anna > innocent\nlocalhost-40002: I owe anna 10 crowns\n-- The hub closes.\r\n? no
        bob < localhost-40001: innocent\n\tlocalhost-40002: I owe anna 10 crowns\n\t-- The hub closes.\n\t? no\n
        anna < localhost-40001: innocent\n\tlocalhost-40002: I owe anna 10 crowns\n\t-- The hub closes.\n\t? no\n
        anna > \nafter an empty line
        bob < localhost-40001: \n\tafter an empty line\n
        anna < localhost-40001: \n\tafter an empty line\n
        anna > /me sings\nlalala
        bob < * localhost-40001 sings\n\tlalala\n
        anna < * localhost-40001 sings\n\tlalala\n
        anna > /topic one\ntwo
        anna < -- The topic is: one two\n
        bob < -- localhost-40001 has set the topic: one two\n
        anna > /msg localhost-40002 one\ntwo
        bob < localhost-40001 -> localhost-40002: one\n\ttwo\n
        anna < localhost-40001 -> localhost-40002: one\n\ttwo\n
        ",
    );
}

#[test]
fn a_paste_that_its_indentation_makes_too_long_is_refused() {
    play(
        r"
        bob > ^hb^
        # six bytes of name, three for each line but the last: 1,231 with the indentation, 1,232 with a newline
        anna > /nick anna
        anna < -- You are anna now.
        anna > \{a\n*408}b => Accepted
        bob < anna: \{a\n\t*408}b
        anna < anna: \{a\n\t*408}b
        anna > \{a\n*409}b => Refused(TooLong)
        anna < ? too long once your name and the indentation are added
        anna > /me \{a\n*408} => Accepted
        bob < * anna \{a\n\t*407}a
        anna < * anna \{a\n\t*407}a
        anna > /me \{a\n*500} => Refused(TooLong)
        anna < ? too long once your name and the indentation are added
        anna > /msg localhost-40002 \{a\n*500} => Refused(TooLong)
        anna < ? too long once your name and the indentation are added
        bob > nothing of these
        bob < localhost-40002: nothing of these
        anna < localhost-40002: nothing of these
        ",
    );
}

#[test]
fn two_slashes_begin_a_text_with_one() {
    play(
        r"
        anna > //etc/motd => Accepted
        anna < localhost-40001: /etc/motd
        anna > // => Accepted
        anna < localhost-40001: /
        anna > ///// => Accepted
        anna < localhost-40001: ////
        anna > not at the beginning: //etc/motd /who => Accepted
        anna < localhost-40001: not at the beginning: //etc/motd /who
        anna >  /who => Accepted
        anna < localhost-40001:  /who
        ",
    );
}

#[test]
fn a_frame_that_the_hub_does_not_speak_is_refused_and_not_relayed() {
    play(
        r"
        bob > ^hb^
        anna > ^tell 0 anna^ => Refused(BadFrame)
        anna < ? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^
        anna > ^tell 0 anna^\n => Refused(BadFrame)
        anna < ? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^\n
        anna > ^m 1 text^ => Refused(BadFrame)
        anna < ? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^
        # faces are none
        anna > ^_^ => Accepted
        bob < localhost-40001: ^_^
        anna < localhost-40001: ^_^
        anna > ^^ => Accepted
        bob < localhost-40001: ^^
        anna < localhost-40001: ^^
        anna > ^o^ => Accepted
        bob < localhost-40001: ^o^
        anna < localhost-40001: ^o^
        anna > ^ => Accepted
        bob < localhost-40001: ^
        anna < localhost-40001: ^
        ",
    );
}

#[test]
fn a_word_that_looks_like_one_of_the_hubs_is_text() {
    play(
        r"
        anna > Quit
        anna < localhost-40001: Quit
        anna > quit smoking
        anna < localhost-40001: quit smoking
        anna >  quit
        anna < localhost-40001:  quit
        anna > ^hb^ ^hb^
        anna < ? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^
        anna > -- the hub closes
        anna < localhost-40001: -- the hub closes
        anna > ? no
        anna < localhost-40001: ? no
        ",
    );
}

#[test]
fn the_line_format_says_where_the_sender_stands() {
    let format = |before: &str, between: &str, after: &str, sender_first| LineFormat {
        before: before.to_owned(),
        between: between.to_owned(),
        after: after.to_owned(),
        sender_first,
    };
    play_with(
        |config| config.line_format = format("<", "> ", "", true),
        r"
        anna > hello\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < <localhost-40001> hello\n
        ",
    );
    play_with(
        |config| config.line_format = format("[", " | ", "]", true),
        r"
        anna > hello
        anna < [localhost-40001 | hello]
        anna > two\nlines
        anna < [localhost-40001 | two\n\tlines]
        anna > /me waves
        anna < * localhost-40001 waves
        ",
    );
    play_with(
        |config| config.line_format = format("", " -- ", "", false),
        r"
        anna > hello
        anna < hello -- localhost-40001
        anna > two\nlines
        anna < two\n\tlines -- localhost-40001
        anna > /me waves
        anna < * localhost-40001 waves
        ",
    );
}

#[test]
fn what_people_say_is_never_taken_for_an_echo() {
    play(
        r"
        anna > /nick a
        anna < -- You are a now.
        anna > data: 5
        anna < a: data: 5
        anna > I am a: one, b: two
        anna < a: I am a: one, b: two
        anna > a: hello
        anna < a: a: hello
        anna > again
        anna < a: again
        anna > again
        anna < a: again
        anna > ? again
        anna < a: ? again
        @2.000000001
        anna > ? again
        anna < a: ? again
        bob > ^hb^
        anna > 5
        anna < a: 5
        bob < a: 5
        bob > data: 50
        anna < localhost-40002: data: 50
        bob < localhost-40002: data: 50
        bob > ? what
        anna < localhost-40002: ? what
        bob < localhost-40002: ? what
        @10
        # a transcript, pasted after the fact
        anna > a: data: 5
        anna < a: a: data: 5
        bob < a: a: data: 5
        anna > bob: hi
        anna < a: bob: hi
        bob < a: bob: hi
        anna > a: again
        anna < a: a: again
        bob < a: a: again
        anna > a: again
        anna < a: a: again
        bob < a: a: again
        ",
    );
}
