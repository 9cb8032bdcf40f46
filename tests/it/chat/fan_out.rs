//! What goes out to rooms has a bound, and nobody alone uses it up.

use crate::script::play_with;
use belfry::core::rate_limit::ByteRate;

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
        |config| config.fan_out = Some(ByteRate(400)),
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
fn notices_and_repairs_leave_half_for_what_is_said() {
    play_with(
        |config| config.fan_out = Some(ByteRate(400)),
        r"
        anna > \n
        anna < -- Welcome to belfry.lan. You are localhost-40001 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        # of 800 bytes each of these takes 71 or 69, to her, as did her own
        bob > ^hb^
        anna < -- localhost-40002 has joined\n
        bob > quit
        anna < -- localhost-40002 has left\n
        bob > ^hb^
        anna < -- localhost-40002 has joined\n
        bob > quit
        anna < -- localhost-40002 has left\n
        bob > ^hb^
        bob > quit
        bob > ^hb^
        bob > hello
        anna < localhost-40002: hello\n
        bob < localhost-40002: hello
        ",
    );
}
