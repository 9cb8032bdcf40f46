//! What goes out to rooms has a bound, and nobody alone uses it up.

use crate::script::{Stage, play_with};
use belfry::config;
use belfry::core::rate::ByteRate;

#[test]
fn a_source_that_has_used_up_its_share_is_refused_and_the_others_are_heard() {
    play_with(
        |config| config.fan_out = Some(ByteRate(400)),
        r"
        192.0.2.1:5001 > ^hb^
        192.0.2.2:5002 > ^hb^
        # two copies of 16 bytes and their headers are 116 bytes: of 200 there is place for one
        192.0.2.1:5001 > one
        192.0.2.1:5001 < 192.0.2.1-5001: one
        192.0.2.2:5002 < 192.0.2.1-5001: one
        192.0.2.1:5001 > two => Refused(Busy)
        192.0.2.1:5001 < ? too much is being said; try again in a moment
        192.0.2.2:5002 > three
        192.0.2.1:5001 < 192.0.2.2-5002: three
        192.0.2.2:5002 < 192.0.2.2-5002: three
        @1
        192.0.2.1:5001 > two
        192.0.2.1:5001 < 192.0.2.1-5001: two
        192.0.2.2:5002 < 192.0.2.1-5001: two
        ",
    );
}

#[test]
fn a_session_says_again_what_there_was_no_place_for() {
    play_with(
        |config| config.fan_out = Some(ByteRate(800)),
        r"
        anna > ^hello 1 start=a name=anna^
        anna < ^token <token1>^
        anna > ^hello 1 start=a name=anna token=<token1>^
        anna < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^note lobby len=18^-- anna has joined
        anna > ^as <session1>^^say 1 len=120^\{x*120}
        anna < ^ack 1^
        anna < ^msg lobby/<epoch1>/1 anna time=1750000000 len=120^\{x*120}
        anna > ^as <session1>^^say 2 len=120^\{y*120} => Accepted
        anna < ^ack 1^
        @0.25
        anna < ^at lobby/<epoch1>/1^
        @2
        anna > ^as <session1>^^say 2 len=120^\{y*120} => Accepted
        anna < ^ack 2^
        anna < ^msg lobby/<epoch1>/2 anna time=1750000002 len=120^\{y*120}
        ",
    );
}

#[test]
fn notices_leave_half_for_what_is_said() {
    let mut stage = Stage::new(&config::Chat { fan_out: Some(ByteRate(1_600)), ..config::Chat::default() });
    stage.say("anna", "\n");
    // Of 3,200 bytes each of these takes some 340, for who has come and for the topic.
    let mut told = |number: usize| {
        let sent = stage.say(&format!("192.0.2.{number}:5000"), &format!("/topic {}", "x".repeat(200)));
        sent.iter().filter(|datagram| datagram.starts_with(b"-- 192.0.2.")).count()
    };
    assert_eq!([1, 2, 3, 4, 5, 6].map(&mut told), [2, 2, 2, 2, 1, 0]);
    assert_eq!(stage.say("192.0.2.6:5000", "hello").len(), 7, "everybody hears it");
}

#[test]
fn what_is_asked_for_again_waits_while_less_than_half_is_there() {
    play_with(
        |config| config.fan_out = Some(ByteRate(1_200)),
        r"
        anna > ^hello 1 start=a name=anna^
        anna < ^token <token1>^
        anna > ^hello 1 start=a name=anna token=<token1>^
        anna < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^note lobby len=18^-- anna has joined
        192.0.2.1:5001 > \{x*100}
        192.0.2.1:5001 < 192.0.2.1-5001: \{x*100}
        anna < ^note lobby len=28^-- 192.0.2.1-5001 has joined^msg lobby/<epoch1>/1 192.0.2.1-5001 time=1750000000 len=100^\{x*100}
        192.0.2.2:5001 > \{y*100}
        192.0.2.1:5001 < 192.0.2.2-5001: \{y*100}
        192.0.2.2:5001 < 192.0.2.2-5001: \{y*100}
        anna < ^note lobby len=28^-- 192.0.2.2-5001 has joined^msg lobby/<epoch1>/2 192.0.2.2-5001 time=1750000000 len=100^\{y*100}
        192.0.2.3:5001 > ^hb^
        anna < ^note lobby len=28^-- 192.0.2.3-5001 has joined
        anna > ^as <session1>^^want lobby/<epoch1>/1^
        @0.25
        anna < ^at lobby/<epoch1>/2^
        @2
        anna > ^as <session1>^^want lobby/<epoch1>/1^
        anna < ^msg lobby/<epoch1>/1 192.0.2.1-5001 time=1750000000 len=100^\{x*100}
        ",
    );
}
