//! Sessions that come back: from another address, after a while, and to a hub that was restarted or killed.

use super::sessions::stage;
use crate::script::{dump, play};

#[test]
fn numbers_go_on_after_a_kill_only_where_the_files_show_that_nothing_is_missing() {
    for (files, goes_on) in [(0, false), (1, true), (2, false)] {
        let mut stage = stage();
        let before = dump(&stage.hub);
        stage.say("bob", "one");
        stage.say("bob", "two");
        let later = dump(&stage.hub);
        let said: Vec<_> = stage.hub.history_of("lobby").unwrap().cloned().collect();
        let epoch = stage.hub.epoch_of("lobby").unwrap();
        // No file; all of it, though the snapshot is older; the last line is missing.
        let (snapshot, lines) = [(before.clone(), 0), (before, 2), (later, 1)][files].clone();
        stage.restart_from(&snapshot);
        if lines > 0 {
            let now = stage.now();
            stage.hub.restore_history(&now, "lobby", said.into_iter().take(lines).map(|message| (epoch, message)));
        }
        assert_eq!(stage.hub.epoch_of("lobby") == Some(epoch), goes_on, "{files}");
    }
}

#[test]
fn what_no_history_will_tell_is_kept_at_once() {
    let mut stage = stage();
    let session = stage.made_up("<session1>");
    let mut is_kept = |said: &str| {
        stage.hub.take_changed();
        stage.say("anna", &format!("^as {session}^{said}"));
        stage.hub.take_changed()
    };
    assert!(!is_kept("^say 1^hi"), "its line says whose request it was");
    assert!(!is_kept("^say 1^hi") && !is_kept("^hb^") && !is_kept("^say 2 len=0^"));
    assert!(is_kept("^say 2 to=anna^psst"));
    assert!(is_kept("^ask 3^/history off") && is_kept("^say 4^hi"));
}

#[test]
fn a_session_is_remembered_for_ten_minutes_and_a_token_for_one_at_least() {
    let mut stage = stage();
    let (session, token) = (stage.made_up("<session1>"), stage.made_up("<token1>"));
    let mut at = |seconds: u64, nanos: u32| {
        stage.be_late(std::time::Duration::new(seconds, nanos));
        let told = stage.say("anna", &format!("^as {session}^^hello 1 token={token}^"));
        String::from_utf8(told.concat()).unwrap()
    };
    assert!(at(60, 0).contains("session="), "it has gone silent, and is back");
    assert!(at(60, 0).contains("^token "));
    // It is away since somebody has looked.
    let mut at = |seconds: u64, nanos: u32| {
        stage.be_late(std::time::Duration::new(seconds, nanos));
        String::from_utf8(stage.say("anna", &format!("^as {session}^^hb^")).concat()).unwrap()
    };
    assert!(at(599, 999_999_999).contains("^token "));
    assert!(at(0, 1).contains("^bye unknown "));
}

#[test]
fn a_session_is_continued_from_another_address_once_it_has_shown_that_it_is_there() {
    stage().play(
        r"
        anna > ^as <session1>^^say 1^one
        bob < anna: one\n
        anna < ^ack 1^
        anna < ^msg lobby/<epoch1>/1 anna time=1750000000 len=3^one
        carl > ^as <session1>^^say 2^two
        carl < ^token <token2>^
        carl > ^as <session1>^^hello 1^
        carl < ^token <token2>^
        carl > ^as <session1>^^hello 1 token=<token1>^
        carl < ^token <token2>^
        carl > ^as <session1>^^hello 1 token=<token2> at=lobby/<epoch1>/0^
        carl < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=1 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        carl < ^msg lobby/<epoch1>/1 anna time=1750000000 len=3^one
        carl > ^as <session1>^^say 2^two
        bob < anna: two\n
        carl < ^ack 2^
        carl < ^msg lobby/<epoch1>/2 anna time=1750000000 len=3^two
        anna > ^as <session1>^^say 3^three
        anna < ^token <token1>^
        anna > hello
        bob < -- localhost-40001 has joined\n
        bob < localhost-40001: hello\n
        anna < localhost-40001: hello
        carl < ^note lobby len=29^-- localhost-40001 has joined^msg lobby/<epoch1>/3 localhost-40001 time=1750000000 len=5^hello
        @0.25
        carl < ^at lobby/<epoch1>/3^
        @10
        bob < -- anna has gone silent\n
        @13
        @14
        carl > ^as <session1>^^say 3^three
        carl < ^token <token2>^
        carl > ^as <session1>^^hello 1 token=<token2>^
        bob < -- anna has joined\n
        carl < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=2 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        carl < ^note lobby len=18^-- anna has joined
        carl > ^as <session1>^^say 3^three
        bob < anna: three\n
        anna < anna: three
        carl < ^ack 3^
        carl < ^msg lobby/<epoch1>/4 anna time=1750000014 len=5^three
        carl > ^as <session1>^^bye^
        carl < ^bye left session=<session1>^
        bob < -- anna has left\n
        carl > ^as <session1>^^say 4^four
        carl < ^bye unknown session=<session1>^
        carl > ^as <session1>^^bye^
        carl < ^bye left session=<session1>^
        ",
    );
}

#[test]
fn a_hello_that_is_said_again_is_the_same_session_and_another_start_is_another() {
    stage().play(
        r"
        anna > ^hello 1 start=a token=<token1>^
        anna < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna > ^hello 1 start=b name=anna token=<token1>^
        bob < -- anna has left\n
        bob < -- anna has joined\n
        anna < ^welcome 1 session=<session2> name=anna heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch3>/0^
        anna < ^note lobby len=18^-- anna has joined
        anna > ^as <session1>^^say 1^hi
        anna < ^bye unknown session=<session1>^
        bob > ^hello 1 name=bob^
        bob < ^token <token2>^
        bob > ^hello 1 name=anna token=<token2>^
        anna < ^note lobby len=27^-- localhost-40002 has left
        bob < ^welcome 1 session=<session3> name=anna-2 heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch4>/0^
        anna < ^note lobby len=20^-- anna-2 has joined
        bob < ^note lobby len=20^-- anna-2 has joined
        bob > hello
        bob < ? a session is here: its datagrams begin with ^as …^
        carl > ^hello 2 start=x^
        carl < ^bye version start=x^
        carl > ^hello 2^
        carl < ^bye version^
        carl > ^hello^
        carl < ^bye version^
        carl > ^hello 1 token=0000000000000000^
        carl < ^token <token3>^
        @120
        anna > ^hello 1 start=b token=<token1>^
        anna < ^token <token4>^
        ",
    );
}

#[test]
fn no_number_of_a_mailbox_stands_for_two_messages_however_often_the_hub_is_killed() {
    let mut stage = stage();
    stage.play(
        r"
        bob > /msg anna one\n
        bob < localhost-40002 -> anna: one\n
        anna < ^msg @/<epoch2>/1 localhost-40002 time=1750000000 len=3^one
        ",
    );
    // Nothing is confirmed, and what the second forgets may be what the first has said.
    stage.restart();
    stage.restart();
    stage.play(
        r"
        bob > /msg anna two\n
        bob < localhost-40002 -> anna: two\n
        anna < ^msg @/<epoch2>/2002 localhost-40002 time=1750000000 len=3^two
        ",
    );
    stage.restart();
    stage.play(
        r"
        anna > ^as <session1>^^want @/<epoch2>/1-3003^
        anna < ^msg @/<epoch2>/1 localhost-40002 time=1750000000 len=3^one^gone @/<epoch2>/2-2001 unused^^msg @/<epoch2>/2002 localhost-40002 time=1750000000 len=3^two^gone @/<epoch2>/2003-3002 unused^
        ",
    );
}

#[test]
fn a_session_outlives_the_hub_with_its_requests_its_places_and_its_mail() {
    let mut stage = stage();
    stage.play(
        r"
        anna > ^as <session1>^^join 1 lab^^say 2 lab^one
        anna < ^joined 1 lab/<epoch3>/0^^ack 2^
        anna < ^note lab len=18^-- anna has joined^msg lab/<epoch3>/1 anna time=1750000000 len=3^one
        bob > /msg anna psst\n
        bob < localhost-40002 -> anna: psst\n
        anna < ^msg @/<epoch2>/1 localhost-40002 time=1750000000 len=4^psst
        ",
    );
    stage.restart();
    stage.play(
        r"
        anna > ^as <session1>^^say 2 lab^one
        anna < ^ack 2^
        anna > ^as <session1>^^hb lobby/<epoch1>/0 lab/<epoch3>/1 @/<epoch2>/1^
        anna < ^at lobby/<epoch1>/0 lab/<epoch3>/1 @/<epoch2>/1001^
        bob > /msg anna again\n
        bob < localhost-40002 -> anna: again\n
        anna < ^msg @/<epoch2>/1002 localhost-40002 time=1750000000 len=5^again
        anna > ^as <session1>^^want @/<epoch2>/1-1002^
        anna < ^gone @/<epoch2>/1^^gone @/<epoch2>/2-1001 unused^^msg @/<epoch2>/1002 localhost-40002 time=1750000000 len=5^again
        bob > hi\n
        bob < localhost-40002: hi\n
        anna < ^msg lobby/<epoch1>/1 localhost-40002 time=1750000000 len=2^hi
        ",
    );
    stage.wait(20);
    stage.restart();
    stage.play(
        r"
        anna > ^as <session1>^^hb^
        anna < ^token <token2>^
        anna > ^as <session1>^^hello 1 token=<token2>^
        bob < -- anna has joined\n
        anna < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=2 max=1024 at=lobby/<epoch1>/0 at=lab/<epoch3>/0 at=@/<epoch2>/1^
        anna < ^note lobby len=18^-- anna has joined
        anna < ^note lab len=18^-- anna has joined
        ",
    );
}

#[test]
fn numbers_start_anew_where_the_hub_cannot_know_them() {
    let mut stage = stage();
    stage.play(
        r"
        anna > ^as <session1>^^join 1 lab^^ask 2 lab^/history off
        anna < ^joined 1 lab/<epoch3>/0^^answer 2 len=74^-- What is said in this room is no longer kept, and what was kept is gone.^ack 2^
        anna < ^note lab len=18^-- anna has joined^note lab len=79^-- anna: what is said in this room is no longer kept, and what was kept is gone
        anna > ^as <session1>^^say 3 lab^one
        anna < ^ack 3^
        anna < ^msg lab/<epoch3>/1 anna time=1750000000 len=3^one
        anna > ^as <session1>^^say 4 lobby^two
        bob < anna: two\n
        anna < ^ack 4^
        anna < ^msg lobby/<epoch1>/1 anna time=1750000000 len=3^two
        ",
    );
    stage.restart();
    stage.play(
        r"
        anna > ^as <session1>^^hb^
        anna < ^at lobby/<epoch1>/1 lab/<epoch4>/0 @/<epoch2>/1000^
        anna > ^as <session1>^^say 5 lab^three
        anna < ^ack 5^
        anna < ^msg lab/<epoch4>/1 anna time=1750000000 len=5^three
        ",
    );
}

#[test]
fn a_session_that_is_removed_is_told() {
    let mut stage = stage();
    let now = stage.now();
    stage.hub.kick(&now, "anna", &mut stage.out).unwrap();
    stage.play(
        r"
        anna < ^bye kicked session=<session1>^
        bob < -- anna was removed by the operator\n
        anna > ^as <session1>^^hb^
        anna < ^bye unknown session=<session1>^
        ",
    );
}

#[test]
fn whoever_was_a_plain_member_can_begin_a_session() {
    play(
        r"
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna > hello
        bob < -- localhost-40001 has joined\n
        bob < localhost-40001: hello\n
        anna < localhost-40001: hello
        anna > ^hello 1 token=0^
        anna < ^token <token1>^
        anna > ^hello 1 token=<token1> at=lab at=lobby at=LAB at=a/b^
        bob < -- localhost-40001 has left\n
        bob < -- localhost-40001 has joined\n
        anna < ^welcome 1 session=<session1> name=localhost-40001 heartbeat=3000 last=0 max=1024 at=lab/<epoch1>/0 at=lobby/<epoch2>/1 at=@/<epoch3>/0^
        anna < ^note lab len=29^-- localhost-40001 has joined
        anna < ^note lobby len=29^-- localhost-40001 has joined
        ",
    );
}
