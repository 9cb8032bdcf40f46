//! Sessions, from the outside: what a program says that wants to lose nothing, and what it gets.

use crate::script::{Stage, play, play_with};
use belfry::config;

/// Anna has a session, and Bob sits at a terminal.
const BEGIN: &str = r"
        anna > ^hello 1 start=a name=anna^
        anna < ^token <token1>^
        anna > ^hello 1 start=a name=anna token=<token1>^
        anna < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        bob > \n
        ";

#[test]
fn a_session_shows_that_it_is_there_and_says_something_once() {
    play(BEGIN);
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(BEGIN);
    stage.play(
        r"
        anna > ^as <session1>^^say 1^hi^^say 2 len=3^a\xc3\xa4^say 3 lobby kind=me len=5^waves
        anna > ^as <session1>^^say 2 len=3^a\xc3\xa4^say 3 lobby kind=me len=5^waves
        bob > hello\n
        @0.3
        anna > ^as <session1>^^hb lobby/<epoch1>/1^
        anna > ^as <session1>^^want lobby/<epoch1>/2-9 @/<epoch2>/1 lobby/00000000/1 lab/<epoch1>/1^
        anna > ^as <session1>^^bye^
        anna > ^as <session1>^^hb^
        ",
    );
}
