//! Sessions, from the outside: what a program says that wants to lose nothing, and what it gets.

use crate::script::{Stage, play_with};
use belfry::config;
use belfry::core::frame::frames;
use belfry::core::limits::{
    BURST_MAX, DATAGRAM_MAX, MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX, REPAIR_MESSAGES_MIN, REQUESTS_MAX,
    SESSION_ROOMS_MAX,
};
use belfry::core::rate::Rate;

/// A stage on which Anna has a session, and Bob sits at a terminal.
pub(super) fn stage() -> Stage {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        anna > ^hello 1 start=a name=anna^
        anna < ^token <token1>^
        anna > ^hello 1 start=a name=anna token=<token1>^
        anna < ^welcome 1 session=<session1> name=anna heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^note lobby len=18^-- anna has joined
        bob > \n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with one other. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        anna < ^note lobby len=29^-- localhost-40002 has joined
        ",
    );
    stage
}

#[test]
fn a_session_says_each_request_once_and_everybody_reads_it_in_their_way() {
    stage().play(
        r"
        carl > ^hb^
        bob < -- localhost-40003 has joined\n
        anna < ^note lobby len=29^-- localhost-40003 has joined
        anna > ^as <session1>^^say 1^hi^^say 2 len=3^a\xc3\xa4^say 3 lobby kind=me len=5^waves => Accepted
        bob < anna: hi^^say 2 len=3^aä^say 3 lobby kind=me len=5^waves\n
        carl < anna: hi^^say 2 len=3^aä^say 3 lobby kind=me len=5^waves
        anna < ^ack 1^
        anna < ^msg lobby/<epoch1>/1 anna time=1750000000 len=51^hi^^say 2 len=3^aä^say 3 lobby kind=me len=5^waves
        anna > ^as <session1>^^say 1^hi^^say 2 len=3^a\xc3\xa4^say 3 lobby kind=me len=5^waves
        anna < ^ack 1^
        anna > ^as <session1>^^say 1 len=2^hi^say 2 len=3^a\xc3\xa4^say 3 lobby kind=me len=5^waves
        bob < anna: aä\n
        carl < anna: aä
        bob < * anna waves\n
        carl < * anna waves
        anna < ^ack 3^
        anna < ^msg lobby/<epoch1>/2 anna time=1750000000 len=3^aä^msg lobby/<epoch1>/3 anna kind=me time=1750000000 len=5^waves
        bob > hello\n
        bob < localhost-40002: hello\n
        carl < localhost-40002: hello
        anna < ^msg lobby/<epoch1>/4 localhost-40002 time=1750000000 len=5^hello
        @0.25
        anna < ^at lobby/<epoch1>/4^
        @1
        ",
    );
}

#[test]
fn what_is_said_while_something_waits_goes_to_sessions_in_the_same_datagrams() {
    let mut stage = stage();
    let said = |text: &str| format!("bob < localhost-40002: {text}\\n");
    let frames = |held: &[String]| held.iter().filter(|line| line.starts_with("anna")).cloned().collect::<Vec<_>>();
    let first = stage.hold(Some(("bob", "one\n")));
    assert_eq!(
        (first.len(), &first[0], stage.has_gathered()),
        (2, &said("one"), false),
        "nothing waits, so nobody does"
    );
    stage.hold(Some(("bob", "two\n")));
    assert!(stage.has_gathered(), "the next turn may not wait for anything");
    let held = stage.hold(Some(("bob", "three\n")));
    assert_eq!((frames(&held), &held[2..]), (frames(&first), &[said("two"), said("three")][..]));
    stage.send_first(1);
    assert_eq!(frames(&stage.hold(None)), frames(&first), "the session itself has not been sent the first");
    stage.send_first(1);
    let held = stage.hold(None);
    let (last, lines) = held.split_last().unwrap();
    assert_eq!((lines, stage.has_gathered()), (&[said("two"), said("three")][..], false));
    assert!(last.starts_with("anna") && last.ends_with("len=5^three") && last.contains("len=3^two^msg"), "{last}");
}

#[test]
fn what_has_gathered_is_for_who_leaves_too_and_no_heartbeat_tells_of_it_before() {
    let mut stage = stage();
    stage.play(
        r"
        anna > ^as <session1>^^join 1 lab^
        anna < ^joined 1 lab/<epoch3>/0^^ack 1^
        anna < ^note lab len=18^-- anna has joined
        ",
    );
    stage.hold(Some(("bob", "one\n")));
    stage.hold(Some(("bob", "two\n")));
    let held = stage.hold(Some(("anna", "^as <session1>^^hb^")));
    let newest = held.iter().find(|line| line.starts_with("anna < ^at")).unwrap();
    assert!(newest.starts_with("anna < ^at lobby/") && newest.contains("/1 lab/"), "{newest}");
    let held = stage.hold(Some(("anna", "^as <session1>^^leave 2 lobby^")));
    assert!(held.iter().any(|line| line.starts_with("anna < ^msg lobby/") && line.ends_with("len=3^two")), "{held:#?}");
}

#[test]
fn what_gathers_for_sessions_is_sent_when_it_is_a_burst_whatever_waits() {
    let mut stage = stage();
    stage.hold(Some(("bob", "first\n")));
    let text = format!("{}\n", "x".repeat(1_000));
    let frames = |held: Vec<String>| held.iter().filter(|line| line.starts_with("anna")).count();
    let turns = 1 + (1..100).take_while(|_| frames(stage.hold(Some(("bob", &text)))) == 1).count();
    assert_eq!((turns, frames(stage.hold(None))), (BURST_MAX + 1, BURST_MAX + 2));
}

#[test]
fn a_request_whose_turn_has_not_come_is_not_done_and_one_that_cannot_be_leaves_its_place() {
    stage().play(
        r"
        anna > ^as <session1>^^say 2^two
        anna < ^ack 0^
        anna > ^as <session1>^^say 1 len=0^^say 2 len=3^two => Refused(BadCommand)
        anna < ^error 1 bad-command len=25^? there is nothing to say^ack 0^
        anna > ^as <session1>^^say 2 after=0 len=3^two^say 3 len=5^three
        bob < anna: two\n
        bob < anna: three\n
        anna < ^ack 3^
        anna < ^msg lobby/<epoch1>/1 anna time=1750000000 len=3^two^msg lobby/<epoch1>/2 anna time=1750000000 len=5^three
        anna > ^as <session1>^^say 4 after=1 len=4^four
        anna < ^ack 3^
        anna > ^as <session1>^^say 5 after=5^x
        anna < ^error - bad-frame len=38^? that is no frame that this hub knows
        anna > ^as <session1>^^say 0^x
        anna < ^error - bad-frame len=38^? that is no frame that this hub knows
        anna > ^as <session1>^^say^x
        anna < ^error - bad-frame len=38^? that is no frame that this hub knows
        anna > ^as <session1>^^say 4 nowhere^x
        anna < ^error 4 no-such-room len=41^? you are not in that room; ^join N ROOM^
        anna > ^as <session1>^^say 4 to=nobody^x
        anna < ^error 4 no-such-member len=46^? nobody has that name; /who shows who is here
        anna > ^as <session1>^^say 4^\xff
        anna < ^error 4 not-utf-8 len=40^? that is not UTF-8; nothing was relayed
        anna > ^as <session1>^^say 4^\{x*1025}
        anna < ^error 4 too-long len=34^? a message has at most 1024 bytes
        anna > ^as <session1>^^say 9 after=8^a hub that was killed believes it
        bob < anna: a hub that was killed believes it\n
        anna < ^ack 9^
        anna < ^msg lobby/<epoch1>/3 anna time=1750000000 len=33^a hub that was killed believes it
        anna > ^as <session1>^^say 9223372036854775807 after=9^the last
        bob < anna: the last\n
        anna < ^ack 9223372036854775807^
        anna < ^msg lobby/<epoch1>/4 anna time=1750000000 len=8^the last
        anna > ^as <session1>^^say 9223372036854775808^one more
        anna < ^error - bad-frame len=38^? that is no frame that this hub knows
        ",
    );
}

#[test]
fn commands_are_answered_with_the_number_of_their_request() {
    stage().play(
        r"
        anna > ^as <session1>^^ask 1^/who => Accepted
        anna < ^answer 1 len=36^-- 2 in lobby: anna, localhost-40002^ack 1^
        anna > ^as <session1>^^ask 1^/who
        anna < ^ack 1^
        anna > ^as <session1>^^ask 2^/nick ann
        bob < -- anna is now ann\n
        anna < ^welcome 1 session=<session1> name=ann heartbeat=3000 last=2 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^answer 2 len=19^-- You are ann now.^ack 2^
        anna < ^note lobby len=18^-- anna is now ann
        anna > ^as <session1>^^ask 3^/topic tea
        bob < -- ann has set the topic: tea\n
        anna < ^answer 3 len=20^-- The topic is: tea^ack 3^
        anna < ^note lobby len=29^-- ann has set the topic: tea
        anna > ^as <session1>^^ask 4^/xyzzy
        anna < ^error 4 bad-command len=53^? no such command; /help lists them, // sends a slash
        anna > ^as <session1>^^ask 4^who
        anna < ^error 4 bad-command len=49^? a command begins with a slash; /help lists them
        anna > ^as <session1>^^ask 4^/quit
        anna < ^error 4 bad-command len=22^? ^bye^ ends a session
        anna > ^as <session1>^^ask 4^/me waves
        bob < * ann waves\n
        anna < ^ack 4^
        anna < ^msg lobby/<epoch1>/1 ann kind=me time=1750000000 len=5^waves
        anna > ^as <session1>^^ask 5^/join lab
        anna < ^error 5 bad-command len=37^? a session comes in by ^join N ROOM^
        anna > ^as <session1>^^join 5 #Lab^
        anna < ^joined 5 Lab/<epoch3>/0^^ack 5^
        anna < ^note Lab len=17^-- ann has joined
        anna > ^as <session1>^^join 5 lab^
        anna < ^joined 5 Lab/<epoch3>/0^^ack 5^
        anna > ^as <session1>^^ask 6 lab^/topic coffee
        anna < ^answer 6 len=23^-- The topic is: coffee^ack 6^
        anna < ^note Lab len=32^-- ann has set the topic: coffee
        ",
    );
}

#[test]
fn a_session_is_in_several_rooms_and_counts_in_each() {
    stage().play(
        r"
        anna > ^as <session1>^^join 1 Lab^
        anna < ^joined 1 Lab/<epoch3>/0^^ack 1^
        anna < ^note Lab len=18^-- anna has joined
        bob > /join lab\n
        bob < -- You are in Lab now.\n-- 2 in Lab: anna, localhost-40002\n
        anna < ^note lobby len=34^-- localhost-40002 has gone to Lab
        anna < ^note Lab len=29^-- localhost-40002 has joined
        bob > hello\n
        bob < localhost-40002: hello\n
        anna < ^msg Lab/<epoch3>/1 localhost-40002 time=1750000000 len=5^hello
        anna > ^as <session1>^^join 1 Lab^
        anna < ^joined 1 Lab/<epoch3>/0^^ack 1^
        anna > ^as <session1>^^say 2 lab len=2^hi^say 3 len=5^lobby
        bob < anna: hi\n
        anna < ^ack 3^
        anna < ^msg Lab/<epoch3>/2 anna time=1750000000 len=2^hi
        anna < ^msg lobby/<epoch1>/1 anna time=1750000000 len=5^lobby
        anna > ^as <session1>^^leave 4 lobby^
        anna < ^ack 4^
        anna > ^as <session1>^^leave 5 lab^
        anna < ^error 5 bad-command len=46^? it is your only room; ^bye^ ends the session
        anna > ^as <session1>^^join 5 a/b^
        anna < ^error 5 bad-name len=46^? not a room name: letters, digits, - _ . only
        anna > ^as <session1>^^say 5^still in the lab
        bob < anna: still in the lab\n
        anna < ^ack 5^
        anna < ^msg Lab/<epoch3>/3 anna time=1750000000 len=16^still in the lab
        anna > ^as <session1>^^leave 6 lobby^
        anna < ^ack 6^
        ",
    );
}

#[test]
fn a_session_is_told_what_it_has_missed_and_what_is_gone() {
    let mut stage = stage();
    stage.reconfigure(&config::Chat { history: 0, ..config::Chat::default() });
    for number in 1..=REPAIR_MESSAGES_MIN + 6 {
        stage.say("bob", &format!("{number}\n"));
    }
    stage.play(
        r"
        anna > ^as <session1>^^hb lobby/<epoch1>/1 @/<epoch2>/0^ => Accepted
        anna < ^at lobby/<epoch1>/1030 @/<epoch2>/0^
        anna > ^as <session1>^^want lobby/<epoch1>/5-8 lobby/<epoch1>/1030-1099^
        anna < ^gone lobby/<epoch1>/5-6^^msg lobby/<epoch1>/7 localhost-40002 time=1750000000 len=1^7^msg lobby/<epoch1>/8 localhost-40002 time=1750000000 len=1^8^msg lobby/<epoch1>/1030 localhost-40002 time=1750000000 len=4^1030
        anna > ^as <session1>^^want lobby/<epoch1>/1031-1032 lobby/00000000/1 lab/<epoch1>/1 lobby @/<epoch2>/1^
        anna < ^at lobby/<epoch1>/1030^
        ",
    );
}

#[test]
fn where_no_history_is_kept_nobody_gets_what_was_said_before() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play(
        r"
        bob > /history off\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob < -- What is said in this room is no longer kept, and what was kept is gone.\n
        bob > one\n
        bob < localhost-40002: one\n
        anna > ^hello 1^
        anna < ^token <token1>^
        anna > ^hello 1 token=<token1>^
        bob < -- localhost-40001 has joined\n
        anna < ^welcome 1 session=<session1> name=localhost-40001 heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/1 at=@/<epoch2>/0^
        anna < ^note lobby len=29^-- localhost-40001 has joined
        bob > two\n
        bob < localhost-40002: two\n
        anna < ^msg lobby/<epoch1>/2 localhost-40002 time=1750000000 len=3^two
        anna > ^as <session1>^^want lobby/<epoch1>/1-2^
        anna < ^gone lobby/<epoch1>/1^^msg lobby/<epoch1>/2 localhost-40002 time=1750000000 len=3^two
        ",
    );
}

#[test]
fn whoever_comes_reads_what_history_shows_and_nothing_else_whatever_it_says_to_have_had() {
    let mut stage = Stage::new(&config::Chat { history: 2, ..config::Chat::default() });
    stage.play(
        r"
        bob > one
        bob < localhost-40002: one
        bob > two
        bob < localhost-40002: two
        bob > three
        bob < localhost-40002: three
        anna > ^hello 1^
        anna < ^token <token1>^
        anna > ^hello 1 token=<token1> at=lobby/00000000/0^
        anna < ^welcome 1 session=<session1> name=localhost-40001 heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/1 at=@/<epoch2>/0^
        anna < ^gone lobby/<epoch1>/1^^msg lobby/<epoch1>/2 localhost-40002 time=1750000000 len=3^two^msg lobby/<epoch1>/3 localhost-40002 time=1750000000 len=5^three
        anna < ^note lobby len=29^-- localhost-40001 has joined
        anna > ^as <session1>^^want lobby/<epoch1>/1-3^
        anna < ^gone lobby/<epoch1>/1^^msg lobby/<epoch1>/2 localhost-40002 time=1750000000 len=3^two^msg lobby/<epoch1>/3 localhost-40002 time=1750000000 len=5^three
        bob > /history off
        bob < -- What is said in this room is no longer kept, and what was kept is gone.
        anna < ^note lobby len=90^-- localhost-40002: what is said in this room is no longer kept, and what was kept is gone
        bob > four
        bob < localhost-40002: four
        anna < ^msg lobby/<epoch1>/4 localhost-40002 time=1750000000 len=4^four
        bob > /history on
        bob < -- What is said in this room is kept from now on.
        anna < ^note lobby len=65^-- localhost-40002: what is said in this room is kept from now on
        bob > five
        bob < localhost-40002: five
        anna < ^msg lobby/<epoch1>/5 localhost-40002 time=1750000000 len=4^five
        carl > ^hello 1^
        carl < ^token <token2>^
        carl > ^hello 1 token=<token2> at=lobby/<epoch1>/1^
        carl < ^welcome 1 session=<session2> name=localhost-40003 heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/4 at=@/<epoch3>/0^
        carl < ^gone lobby/<epoch1>/2-4^^msg lobby/<epoch1>/5 localhost-40002 time=1750000000 len=4^five
        anna < ^note lobby len=29^-- localhost-40003 has joined
        carl < ^note lobby len=29^-- localhost-40003 has joined
        carl > ^as <session2>^^want lobby/<epoch1>/1-5^
        carl < ^gone lobby/<epoch1>/1-4^^msg lobby/<epoch1>/5 localhost-40002 time=1750000000 len=4^five
        anna > ^as <session1>^^want lobby/<epoch1>/3-5^
        anna < ^gone lobby/<epoch1>/3^^msg lobby/<epoch1>/4 localhost-40002 time=1750000000 len=4^four^msg lobby/<epoch1>/5 localhost-40002 time=1750000000 len=4^five
        ",
    );
}

#[test]
fn a_session_asks_as_often_as_anybody_speaks_however_it_packs_its_requests() {
    let mut stage = Stage::new(&config::Chat { rate_limit: Some(Rate::new(2, 4)), ..config::Chat::default() });
    stage.play(
        r"
        anna > ^hello 1^
        anna < ^token <token1>^
        anna > ^hello 1 token=<token1>^
        anna < ^welcome 1 session=<session1> name=localhost-40001 heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^note lobby len=29^-- localhost-40001 has joined
        anna > ^as <session1>^^say 1 len=1^a^say 2 len=1^b^say 3 len=1^c^say 4 len=1^d^say 5 len=1^e
        anna < ^ack 4^
        anna < ^msg lobby/<epoch1>/1 localhost-40001 time=1750000000 len=1^a^msg lobby/<epoch1>/2 localhost-40001 time=1750000000 len=1^b^msg lobby/<epoch1>/3 localhost-40001 time=1750000000 len=1^c^msg lobby/<epoch1>/4 localhost-40001 time=1750000000 len=1^d
        @0.25
        anna < ^at lobby/<epoch1>/4^
        @1
        anna > ^as <session1>^^say 5 len=1^e^say 6 len=1^f^say 7 len=1^g
        anna < ^ack 6^
        anna < ^msg lobby/<epoch1>/5 localhost-40001 time=1750000001 len=1^e^msg lobby/<epoch1>/6 localhost-40001 time=1750000001 len=1^f
        ",
    );
}

#[test]
fn every_bound_of_a_session_holds_at_it_and_past_it() {
    let mut stage = stage();
    let session = stage.made_up("<session1>");
    let rooms: String = (1..=SESSION_ROOMS_MAX).map(|n| format!("^join {n} r{n}^")).collect();
    let told = stage.say("anna", &format!("^as {session}^{rooms}")).concat();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(told.matches("^joined ").count(), SESSION_ROOMS_MAX - 1, "it is in the lobby already");
    assert!(told.contains(&format!("^error {SESSION_ROOMS_MAX} full")), "{told}");
    let says =
        |first: usize, count: usize| (first..first + count).map(|n| format!("^say {n} len=1^x")).collect::<String>();
    let told = stage.say("anna", &format!("^as {session}^{}", says(SESSION_ROOMS_MAX, REQUESTS_MAX + 1))).concat();
    assert!(String::from_utf8(told).unwrap().contains(&format!("^ack {}^", SESSION_ROOMS_MAX + REQUESTS_MAX - 1)));
    for _ in 0..=MAILBOX_MESSAGES_MAX {
        stage.say("bob", "/msg anna psst");
    }
    let mailbox = stage.made_up("<epoch2>");
    let told = stage.say("anna", &format!("^as {session}^^want @/{mailbox}/1-99^")).concat();
    let told = String::from_utf8(told).unwrap();
    assert_eq!((told.matches("^msg ").count(), told.matches("^gone ").count()), (MAILBOX_MESSAGES_MAX, 1));
    for _ in 0..MAILBOX_BYTES_MAX / 1_000 + 1 {
        stage.say("bob", &format!("/msg anna {}", "y".repeat(980)));
    }
    let told = stage.say("anna", &format!("^as {session}^^want @/{mailbox}/1-99^")).concat();
    assert!((MAILBOX_BYTES_MAX - 2_000..MAILBOX_BYTES_MAX + 2_000).contains(&told.len()), "{}", told.len());
    let starts = [36, 37].map(|len| "s".repeat(len));
    let begin = |stage: &mut Stage, start: &str| {
        let hello = format!("^hello 1 start={start}");
        let token = String::from_utf8(stage.say("carl", &format!("{hello}^")).concat()).unwrap();
        let token = token.split(['^', ' ']).find(|word| word.len() == 16).unwrap_or_default().to_owned();
        let told = String::from_utf8(stage.say("carl", &format!("{hello} token={token}^")).concat()).unwrap();
        told.split("session=").nth(1).unwrap_or_default()[..16].to_owned()
    };
    let ids = [&starts[0], &starts[0], &starts[1]].map(|start| begin(&mut stage, start));
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[test]
fn sessions_are_told_that_what_they_say_is_logged() {
    play_with(
        |config| config.log_messages = true,
        r"
        anna > ^hello 1^
        anna < ^token <token1>^
        anna > ^hello 1 token=<token1>^
        anna < ^welcome 1 session=<session1> name=localhost-40001 heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        anna < ^note @ len=71^-- Whoever runs this host has what is said in rooms written to its log.
        anna < ^note lobby len=29^-- localhost-40001 has joined
        ",
    );
}

#[test]
fn repair_is_paid_from_an_allowance_that_comes_back() {
    let mut stage = stage();
    for number in 1..=80 {
        stage.say("bob", &format!("{number}{}\n", "x".repeat(1_000)));
    }
    let want = |stage: &mut Stage| {
        let session = stage.made_up("<session1>");
        let datagrams = stage.say("anna", &format!("^as {session}^^want lobby/{}/1-80^", stage.made_up("<epoch1>")));
        datagrams.iter().map(Vec::len).sum::<usize>()
    };
    assert!((60_000..=65_536).contains(&want(&mut stage)));
    assert_eq!(want(&mut stage), 0, "nothing is left");
    stage.wait(1);
    assert!((60_000..=65_536).contains(&want(&mut stage)));
}

#[test]
fn what_was_said_to_a_session_alone_is_in_its_mailbox_until_it_has_it() {
    stage().play(
        r"
        bob > /msg anna \x01psst\n
        bob < localhost-40002 -> anna: ?psst\n
        anna < ^msg @/<epoch2>/1 localhost-40002 time=1750000000 len=5^\x01psst
        anna > ^as <session1>^^hb @/<epoch2>/0^
        anna < ^at lobby/<epoch1>/0 @/<epoch2>/1^
        anna > ^as <session1>^^want @/<epoch2>/1^
        anna < ^msg @/<epoch2>/1 localhost-40002 time=1750000000 len=5^\x01psst
        anna > ^as <session1>^^hb @/<epoch2>/1^^want @/<epoch2>/1^
        anna < ^gone @/<epoch2>/1^^at lobby/<epoch1>/0 @/<epoch2>/1^
        anna > ^as <session1>^^say 1 to=localhost-40002 len=4^hush
        bob < anna -> localhost-40002: hush\n
        anna < ^ack 1^
        anna > ^as <session1>^^say 2 to=anna len=2^me
        anna < ^msg @/<epoch2>/2 anna time=1750000000 len=2^me^ack 2^
        anna > ^as <session1>^^ask 3 len=15^/msg anna to me
        anna < ^msg @/<epoch2>/3 anna time=1750000000 len=5^to me^ack 3^
        ",
    );
}

#[test]
fn nobody_speaks_for_a_session_from_its_address_or_with_its_frames() {
    stage().play(
        r"
        anna > hello => Refused(NoSession)
        anna < ? a session is here: its datagrams begin with ^as …^
        anna > ^hb^
        anna < ? a session is here: its datagrams begin with ^as …^
        anna > quit
        anna < ? a session is here: its datagrams begin with ^as …^
        anna > ^as 0000000000000000^^say 1^x => Refused(NoSession)
        anna < ^bye unknown session=<session2>^
        carl > ^as 0000000000000000^^bye^ => Refused(NoSession)
        carl < ^bye left session=<session2>^
        carl > ^bye unknown session=0000000000000000^ => Dropped(ErrorLine)
        carl > ^token 0123456789abcdef^ => Dropped(ErrorLine)
        carl > ^as I said^
        carl < ? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^
        anna > ^as <session1>^^welcome 1^^msg x len=1^y^ack 1^ => Accepted
        anna > ^as <session1>^^newer 1^^hb^ => Refused(BadFrame)
        anna < ^error - bad-frame len=38^? that is no frame that this hub knows^at lobby/<epoch1>/0 @/<epoch2>/0^
        anna > ^as <session1>^ no frame => Refused(BadFrame)
        anna < ^error - bad-frame len=38^? that is no frame that this hub knows
        anna >| ^as <session1>^^say 1^cut off => Refused(TooLong)
        anna < ^error - too-long len=34^? a message has at most 1024 bytes
        anna > ^as <session1>^ => Accepted
        ",
    );
}

#[test]
fn a_hub_that_is_full_takes_no_session_and_says_so() {
    play_with(
        |config| config.max_members = 1,
        r"
        bob > hi
        bob < localhost-40002: hi
        anna > ^hello 1^
        anna < ^token <token1>^
        anna > ^hello 1 token=<token1>^ => Refused(Full)
        anna < ^bye full^
        ",
    );
}

#[test]
fn an_answer_as_long_as_a_datagram_comes_in_two_frames_and_nothing_is_longer_than_a_datagram() {
    let mut stage = stage();
    let session = stage.made_up("<session1>");
    for number in 0..60 {
        stage.say(&format!("127.0.0.1:{}", 1_000 + number), "hello");
        stage.say(&format!("127.0.0.1:{}", 1_000 + number), &format!("/nick {number:02}{}", "x".repeat(30)));
    }
    for (asked, number) in ["/who", "/help", "/rooms"].into_iter().zip(1..) {
        let datagrams = stage.say("anna", &format!("^as {session}^^ask {number}^{asked}"));
        assert!(datagrams.iter().all(|datagram| datagram.len() <= DATAGRAM_MAX), "{asked}");
        let answers = datagrams.iter().flat_map(|datagram| frames(datagram)).filter_map(Result::ok);
        let answers: Vec<_> = answers.filter(|frame| frame.verb == "answer").map(|frame| frame.text).collect();
        assert_eq!(answers.len(), if asked == "/who" { 2 } else { 1 }, "{asked}");
    }
    // They go all at once: a notice with sixty names.
    let mut notes = Vec::new();
    for _ in 0..121 {
        stage.be_late(std::time::Duration::from_secs(5));
        notes.extend(stage.say("anna", &format!("^as {session}^^hb^")));
    }
    let notes: Vec<_> = notes.iter().filter(|datagram| datagram.starts_with(b"^note ")).collect();
    assert!(notes.len() > 1 && notes.iter().all(|note| note.len() <= DATAGRAM_MAX), "{notes:?}");
}
