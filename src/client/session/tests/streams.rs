//! Scripts of what is said in rooms: order, repair, and which rooms we are in.

use super::*;

#[test]
fn messages_come_in_their_order_each_once_and_what_is_missing_is_asked_for() {
    let mut script = Script::welcomed();
    script.hears(&[message(8), message(8), message(7)].concat());
    assert_eq!(script.events(), ["lobby/1/8 bob: m8"]);
    for number in [11, 12, 15, 11] {
        script.hears(&message(number));
    }
    assert_eq!(script.events(), NOTHING);
    assert_eq!(script.wait(40), ["AS^want lobby/00000001/9-10 lobby/00000001/13-14^"]);
    assert_eq!(script.wait(260), ["AS^want lobby/00000001/9-10 lobby/00000001/13-14^"]);
    script.hears(&message(10));
    assert_eq!(script.wait(260), ["AS^want lobby/00000001/9 lobby/00000001/13-14^"], "progress makes it quick again");
    script.hears(&[message(13), message(9)].concat());
    assert_eq!(script.events(), [9, 10, 11, 12, 13].map(|number| format!("lobby/1/{number} bob: m{number}")));
    assert_eq!(script.session.gap_count(), 1);
    assert_eq!(script.session.figures().repaired, 3);
}

#[test]
fn datagrams_that_overtake_one_another_are_no_loss() {
    let mut script = Script::welcomed();
    script.hears(&message(9));
    assert_eq!(script.wait(20), NOTHING);
    script.hears(&message(8));
    assert_eq!(script.wait(1_000), NOTHING);
    assert_eq!(script.session.figures().repaired, 0);
}

#[test]
fn the_answer_to_a_heartbeat_shows_what_is_missing_at_the_end() {
    let mut script = Script::welcomed();
    assert_eq!(script.hears("^at lobby/00000001/9 @/00000002/1 lab/00000007/5^"), NOTHING);
    assert_eq!(script.wait(40), ["AS^want lobby/00000001/8-9 @/00000002/1^"]);
    script.hears("^msg @/00000002/1 bob kind=me time=5 len=1^x");
    assert_eq!(script.events(), ["@/2/1 bob does: x"]);
}

#[test]
fn what_is_gone_is_counted_in_its_place_and_what_never_was_is_not() {
    let mut script = Script::welcomed();
    script.hears(&[message(12), message(20)].concat());
    script.hears("^gone lobby/00000001/1-9^^gone lobby/00000001/14-15 unused^^gone lobby/00000001/16-99^");
    script.hears("^gone lobby/00000001/11^");
    assert_eq!(script.events(), ["Lost lobby/1/8 2"]);
    script.hears("^gone lobby/00000001/10^");
    let events = ["Lost lobby/1/10 1", "Lost lobby/1/11 1", "lobby/1/12 bob: m12"];
    assert_eq!(script.events(), events);
    script.hears(&message(13));
    let events = ["lobby/1/13 bob: m13", "Lost lobby/1/16 4", "lobby/1/20 bob: m20"];
    assert_eq!(script.events(), events);
    assert_eq!((script.session.figures().lost, script.session.gap_count()), (8, 0));
    script.hears("^at lobby/00000001/18446744073709551615^^gone lobby/00000001/21-18446744073709551615^");
    script.hears("^at lobby/00000001/18446744073709551615^");
    assert_eq!(script.session.positions().next().unwrap().number, u64::MAX);
}

#[test]
fn numbers_that_begin_anew_are_counted_from_zero_and_what_is_late_of_the_old_ones_is_passed_over() {
    let mut script = Script::welcomed();
    script.hears(&[message(8), message(10)].concat());
    script.hears(&[epoch_message(9, 2), message(9), epoch_message(9, 1)].concat());
    let events = ["lobby/1/8 bob: m8", "Anew lobby/9/0", "lobby/9/1 bob: m1", "lobby/9/2 bob: m2"];
    assert_eq!(script.events(), events);
    script.hears("^at lobby/00000001/99^^at lobby/00000001/99^");
    script.hears(&epoch_message(9, 3));
    script.hears("^at lobby/00000001/99^^at lobby/00000001/99^");
    assert_eq!((script.events(), script.session.gap_count()), (vec!["lobby/9/3 bob: m3".to_owned()], 0));
    // A hub that goes on with it all the same is believed, and nothing comes twice.
    script.hears("^at lobby/00000001/9^");
    script.hears(&[message(8), message(9)].concat());
    assert_eq!(script.events(), ["Anew lobby/1/8", "lobby/1/9 bob: m9"]);
}

#[test]
fn more_than_may_be_held_is_asked_for_again_when_there_is_room() {
    let mut script = Script::welcomed();
    for number in 9..9 + 1_000 {
        script.hears(&message(number));
    }
    assert_eq!(script.session.gap_count(), 2);
    let sent = script.wait(40);
    assert_eq!(sent, ["AS^want lobby/00000001/8^"], "what comes of the others would find no room");
    script.hears(&message(8));
    assert_eq!(script.events().len(), 1 + options::HELD_MAX);
    assert_eq!(script.wait(260), ["AS^want lobby/00000001/265-1008^"]);
}

#[test]
fn notes_are_passed_on_and_rooms_that_nobody_is_in_passed_over() {
    let mut script = Script::welcomed();
    script.hears("^msg lab/00000001/1 bob time=5 len=1^x^note lobby len=8^bob left^note a/b len=0^");
    assert_eq!(script.events(), ["Note lobby: bob left"]);
}

// ---- rooms ----

#[test]
fn a_join_says_where_we_count_from_and_a_leave_ends_it() {
    let mut script = Script::welcomed();
    script.session.join("lab").unwrap();
    assert_eq!(script.sent(), ["AS^join 1 lab after=0^"]);
    script.hears("^joined 1 lab/00000005/3^^msg lab/00000005/4 bob time=5 len=1^x");
    assert_eq!(script.events(), ["Done(RequestId(1))", "Joined lab/5/3", "lab/5/4 bob: x"]);
    script.session.leave("lab").unwrap();
    assert_eq!(script.sent(), ["AS^leave 2 lab after=1^"]);
    script.hears("^ack 2^^joined 1 lab/00000005/3^^msg lab/00000005/5 bob time=5 len=1^y");
    assert_eq!(script.events(), ["Done(RequestId(2))", "Left { room: \"lab\" }"]);
    script.session.join("lab").unwrap();
    script.sent();
    script.hears("^joined 3 lab/00000005/4^^msg lab/00000005/4 bob time=5 len=1^x");
    assert_eq!(script.events(), ["Done(RequestId(3))", "Joined lab/5/4"], "nothing comes twice");
}

#[test]
fn a_late_welcome_does_not_bring_back_a_room_that_was_left_or_a_name_that_was_changed() {
    let mut script = Script::welcomed();
    script.session.join("lab").unwrap();
    script.sent();
    script.hears("^joined 1 lab/00000005/3^");
    script.session.leave("lab").unwrap();
    script.sent();
    script.hears("^ack 2^");
    script.events();
    let late = WELCOME.replace("last=0", "last=1").replace("at=@", "at=lab/00000005/3 at=@");
    script.hears(&late.replace("anna", "zoe"));
    assert_eq!(script.events(), NOTHING);
    // A hub that was killed may have forgotten what it has done, and is one all the same.
    script.session.handle_address_change(script.now);
    script.hears(&late);
    assert_eq!(script.events(), ["Welcomed { name: \"anna\", is_new: false }"]);
}

#[test]
fn when_only_the_acknowledgement_of_a_join_comes_the_welcome_is_asked_where_we_are() {
    let mut script = Script::welcomed();
    script.session.join("lab").unwrap();
    script.sent();
    script.hears("^ack 1^");
    assert_eq!(script.wait(510), ["AS^hello 1 START at=lobby/00000001/7 at=lab^"]);
    script.say("meanwhile");
    assert_eq!(script.sent(), ["AS^say 2 lobby after=1 len=9^meanwhile"]);
    script.hears(&WELCOME.replace("at=@", "at=lab/00000005/3 at=@"));
    assert_eq!(script.events(), ["Done(RequestId(1))", "Joined lab/5/3"]);
    script.hears("^ack 2^");
    assert_eq!(script.wait(1_000), NOTHING);
}

#[test]
fn a_room_that_the_hub_has_forgotten_us_in_is_joined_again_and_nobody_has_to_ask() {
    let mut script = Script::welcomed();
    script.hears("^at @/00000002/0^");
    assert_eq!(script.hears("^at lab/00000009/4^^at @/00000002/0^"), ["AS^join 1 lobby after=0^"]);
    script.hears("^joined 1 lobby/00000001/9^");
    assert_eq!(script.wait(40), NOTHING, "we are where we were");
    script.hears("^at lobby/00000001/9 @/00000002/0^");
    assert_eq!(script.wait(40), ["AS^want lobby/00000001/8-9^"]);
    assert_eq!(script.events(), NOTHING);
    for _ in 0..2 {
        script.hears("^at @/00000002/0^");
    }
    script.hears("^error 2 full len=0^");
    assert_eq!(script.events(), ["Left { room: \"lobby\" }"]);
}

#[test]
fn a_room_that_the_hub_never_names_is_one_that_we_are_not_in() {
    let mut script = Script::welcomed();
    script.session.join("lab").unwrap();
    script.sent();
    script.hears("^ack 1^");
    script.wait(2_000);
    assert_eq!(script.events(), ["Done(RequestId(1))", "Left { room: \"lab\" }"]);
    assert_eq!(script.session.next_timeout().map(|at| at > script.now), Some(true));
}
