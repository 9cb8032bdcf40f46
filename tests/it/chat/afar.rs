//! Those who come from another network: nothing goes there until somebody there has asked for it, and shows it again and again.

use crate::script::{Stage, play, play_with};
use belfry::config;
use std::time::Duration;

#[test]
fn a_program_from_another_network_is_in_the_room_once_it_has_sent_its_token_back_and_while_it_does() {
    play(
        r"
        bob > ^hb^
        anna ~> hello => Refused(NoToken)
        anna < ^token <token1>^
        bob > is anybody there?
        bob < localhost-40002: is anybody there?
        anna ~> ^hb <token1>^ => Accepted
        bob > welcome
        bob < localhost-40002: welcome
        anna < localhost-40002: welcome
        @9
        bob > ^hb^
        anna ~> ^hb <token1>^
        @18
        bob > ^hb^
        anna ~> ^hb <token1>^
        # the token of the minute before is good, and the next is told
        @20
        anna ~> ^hb <token1>^
        anna < ^token <token2>^
        @27
        bob > ^hb^
        anna ~> ^hb <token2>^
        @36
        bob > ^hb^
        # what anybody may have said in its name renews nothing
        anna ~> I am still here
        bob < localhost-40001: I am still here
        anna < localhost-40001: I am still here
        anna ~> ^hb^ => Refused(NoToken)
        anna < ^token <token2>^
        @45
        bob > ^hb^
        anna ~> I am still here
        bob < localhost-40001: I am still here
        anna < localhost-40001: I am still here
        @54
        bob > ^hb^
        anna ~> I am still here
        bob < localhost-40001: I am still here
        anna < localhost-40001: I am still here
        @57
        bob > is she?
        bob < localhost-40002: is she?
        anna ~> yes => Refused(NoToken)
        anna < ^token <token2>^
        ",
    );
}

#[test]
fn somebody_at_a_terminal_on_another_network_is_told_what_to_send_and_sends_it_now_and_then() {
    play_with(
        |config| config.silent_timeout = Duration::from_secs(60),
        r"
        anna ~> hello\n => Refused(NoToken)
        anna < -- You are on another network. To come in, send: /here <token1>\n
        anna ~> /here <token1>\n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna ~> hello\n
        anna < localhost-40001: hello\n
        @31
        anna ~> hello\n
        anna < -- To stay, send: /here <token2>\n
        anna < localhost-40001: hello\n
        anna ~> hello again\n
        anna < localhost-40001: hello again\n
        anna ~> /here <token2>\n => Answered
        anna < -- You are localhost-40001 in lobby.\n
        @91
        bob > ^hb^
        bob > too late
        bob < localhost-40002: too late
        anna ~> hello\n
        anna < -- You are on another network. To come in, send: /here <token3>\n
        ",
    );
}

#[test]
fn nobody_who_forges_an_address_on_another_network_puts_anybody_out() {
    play(
        r"
        anna ~> ^hb^
        anna < ^token <token1>^
        anna ~> ^hb <token1>^
        anna ~> quit => Refused(NoToken)
        anna < ^token <token1>^
        anna ~> /quit => Refused(NoToken)
        anna < ^token <token1>^
        anna ~> quit 0123456789abcdef => Refused(NoToken)
        anna < ^token <token1>^
        anna ! unreachable
        anna ! unreachable
        anna ~> here I am
        anna < localhost-40001: here I am
        anna ~> quit <token1> => Accepted
        anna ~> am I?
        anna < ^token <token1>^
        ",
    );
}

#[test]
fn a_token_is_good_for_its_address_and_for_two_minutes_at_most() {
    play(
        r"
        anna ~> ^hb^
        anna < ^token <token1>^
        bob ~> ^hb <token1>^ => Refused(NoToken)
        bob < ^token <token2>^
        anna ~> ^hb ffffffffffffffff^ => Refused(NoToken)
        anna < ^token <token1>^
        @79.999
        anna ~> /here <token1> => Answered
        anna < -- You are localhost-40001 in lobby.
        anna ~> quit <token1>
        @80
        anna ~> /here <token1> => Refused(NoToken)
        anna < ^token <token3>^
        ",
    );
}

#[test]
fn whoever_is_here_is_not_touched_by_what_comes_from_another_network_in_his_name() {
    play(
        r"
        anna > ^hb^
        anna ~> hello => Refused(NoToken)
        anna < ^token <token1>^
        anna ~> quit => Refused(NoToken)
        anna < ^token <token1>^
        @9
        anna ~> ^hb^ => Refused(NoToken)
        anna < ^token <token1>^
        @10
        bob > is anybody there?
        bob < localhost-40002: is anybody there?
        ",
    );
}

#[test]
fn whoever_comes_to_a_network_of_ours_need_not_show_anything_any_more() {
    play(
        r"
        anna ~> ^hb^
        anna < ^token <token1>^
        anna ~> ^hb <token1>^
        anna > ^hb^ => Accepted
        @9
        anna > ^hb^
        @18
        anna > ^hb^
        @27
        anna > ^hb^
        @36
        anna > still here
        anna < localhost-40001: still here
        ",
    );
}

#[test]
fn on_a_network_of_ours_what_others_must_show_does_no_harm() {
    play(
        r"
        anna > ^hb 0123456789abcdef^ => Accepted
        anna > /here
        anna < -- You are localhost-40001 in lobby.
        anna > quit 0123456789abcdef => Accepted
        ",
    );
}

#[test]
fn a_session_from_another_network_shows_that_it_is_there_every_half_minute() {
    play(
        r"
        anna ~> ^hello 1 start=a^
        anna < ^token <token1>^
        anna ~> ^hello 1 start=a token=<token1>^
        anna < ^welcome 1 session=<session1> name=localhost-40001 heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^note lobby len=29^-- localhost-40001 has joined
        @9
        anna ~> ^as <session1>^^hb^
        anna < ^at lobby/<epoch1>/0 @/<epoch2>/0^
        @18
        anna ~> ^as <session1>^^hb^
        anna < ^at lobby/<epoch1>/0 @/<epoch2>/0^^token <token1> renew^
        anna ~> ^as <session1>^^hb token=<token1>^
        anna < ^at lobby/<epoch1>/0 @/<epoch2>/0^
        @27
        anna ~> ^as <session1>^^hb^
        anna < ^at lobby/<epoch1>/0 @/<epoch2>/0^
        @36
        anna ~> ^as <session1>^^say 1^hello
        anna < ^token <token2> renew^^ack 1^
        anna < ^msg lobby/<epoch1>/1 localhost-40001 time=1750000036 len=5^hello
        @36.25
        anna < ^at lobby/<epoch1>/1^
        @45
        anna ~> ^as <session1>^^hb^
        anna < ^at lobby/<epoch1>/1 @/<epoch2>/0^^token <token2> renew^
        # not shown: it is away, and comes back as it was
        @48
        anna ~> ^as <session1>^^hb^ => Answered
        anna < ^token <token2>^
        anna ~> ^as <session1>^^hello 1 start=a at=lobby/<epoch1>/1 token=<token2>^
        anna < ^welcome 1 session=<session1> name=localhost-40001 heartbeat=3000 last=1 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^note lobby len=29^-- localhost-40001 has joined
        ",
    );
}

#[test]
fn what_a_service_answers_is_not_asked_for_a_token_and_nobody_is_asked_for_ever() {
    play(
        r"
        anna ~> ^token 0123456789abcdef^ => Dropped(ErrorLine)
        anna ~> ? no conversion in it => Dropped(ErrorLine)
        anna ~> -- You are on another network.\n => Dropped(ErrorLine)
        anna ~> You said: -- you are on another network. to come in, SEND: /here 01\n => Dropped(ErrorLine)
        anna ~> one
        anna < ^token <token1>^
        @0.5
        anna ~> two
        anna < ^token <token1>^
        @1
        anna ~> three
        anna < ^token <token1>^
        @1.5
        anna ~> four => Dropped(Reflex)
        bob ~> one
        bob < ^token <token2>^
        @2.5
        anna ~> five
        anna < ^token <token1>^
        ",
    );
}

#[test]
fn whoever_had_shown_that_he_is_there_is_there_after_a_restart_and_shows_it_again() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        anna ~> ^hb^
        anna < ^token <token1>^
        anna ~> ^hb <token1>^
        ",
    );
    assert_eq!(stage.restart().members, 1);
    stage.play(
        r"
        anna ~> ^hb^ => Refused(NoToken)
        anna < ^token <token1>^
        anna ~> ^hb <token1>^ => Accepted
        anna ~> hello
        anna < localhost-40001: hello
        ",
    );
}
