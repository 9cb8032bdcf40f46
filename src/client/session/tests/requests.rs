//! Scripts of what we ask for: numbers, order, repetition.

use super::*;

#[test]
fn requests_share_a_datagram_and_an_acknowledgement() {
    let mut script = Script::welcomed();
    script.say("one");
    script.say("^hb^\n\0");
    script.session.say(Audience::Member("bob"), true, b"waves").unwrap();
    script.session.say(Audience::Room(None), false, b"first").unwrap();
    script.session.ask(Some("lobby"), b"/topic tea").unwrap();
    script.session.ask(None, b"/who").unwrap();
    let requests = "^say 1 lobby after=0 len=3^one^say 2 lobby len=6^^hb^\n\0^say 3 to=bob kind=me len=5^waves^say 4 len=5^first\
                    ^ask 5 lobby len=10^/topic tea^ask 6 len=4^/who";
    assert_eq!(script.sent(), [format!("AS{requests}")]);
    script.hears("^ack 2^");
    assert_eq!(script.events(), ["Done(RequestId(1))", "Done(RequestId(2))"]);
    assert_eq!(script.session.request_count(), 4);
    script.hears("^ack 6^^answer 6 len=4^anna^answer 4 len=1^?^ack 1^^ack 7^");
    let done = [3, 4, 5, 6].map(|id| format!("Done(RequestId({id}))"));
    let answers = ["Answer Some(RequestId(6)): anna", "Answer None: ?"].map(str::to_owned);
    assert_eq!(script.events(), [&done[..], &answers].concat());
    assert_eq!(script.session.figures().round_trip, Some(Duration::ZERO));
}

#[test]
fn what_is_not_acknowledged_is_repeated_ever_more_seldom_and_progress_makes_it_quick_again() {
    let mut script = Script::welcomed();
    script.say("a");
    script.say("b");
    let both = "AS^say 1 lobby after=0 len=1^a^say 2 lobby len=1^b";
    assert_eq!(script.sent(), [both]);
    assert_eq!(script.wait(260), [both]);
    assert_eq!(script.wait(520), [both]);
    assert_eq!(script.wait(1_040), [both]);
    assert_eq!(script.hears("^ack 1^"), ["AS^say 2 lobby after=1 len=1^b"], "it was sent in vain behind the other");
    assert_eq!(script.wait(260), ["AS^say 2 lobby after=1 len=1^b"]);
    assert_eq!(script.session.figures().repeated, 8);
    script.hears("^ack 2^");
    script.wait(1_500);
    assert_eq!(script.session.request_count(), 0);
}

#[test]
fn three_acknowledgements_of_the_same_have_the_next_repeated_before_its_time() {
    let mut script = Script::welcomed();
    for text in ["a", "b"] {
        script.say(text);
        script.sent();
    }
    assert_eq!(script.hears("^ack 0^"), NOTHING);
    assert_eq!(script.hears("^ack 0^"), NOTHING);
    assert_eq!(script.hears("^ack 0^"), ["AS^say 1 lobby after=0 len=1^a^say 2 lobby len=1^b"]);
    assert_eq!(script.hears("^ack 0^^ack 0^"), NOTHING);
}

#[test]
fn an_error_is_told_and_the_next_request_says_what_was_the_last() {
    let mut script = Script::welcomed();
    for text in ["a", "b", "c", "d"] {
        script.say(text);
    }
    script.sent();
    script.hears("^ack 1^");
    let again = "AS^say 3 lobby after=1 len=1^c^say 4 lobby len=1^d";
    assert_eq!(script.hears("^error 2 no-such-room len=4^gone"), [again]);
    assert_eq!(script.hears("^error 2 no-such-room len=4^gone"), NOTHING);
    assert_eq!(script.events(), ["Done(RequestId(1))", "Refused 2 no-such-room: gone"]);
    assert_eq!(script.wait(260), [again]);
    script.hears("^ack 3^");
    script.hears("^error 4 full len=0^^error - bad-frame len=1^?");
    script.say("e");
    assert_eq!(script.sent(), ["AS^say 5 lobby after=3 len=1^e"]);
    let events = ["Done(RequestId(3))", "Refused 4 full: ", "Refused - bad-frame: ?"];
    assert_eq!(script.events(), events);
    // A copy of the fourth has been done after all.
    script.hears("^ack 4^");
    assert_eq!(script.events(), ["Done(RequestId(4))"]);
    assert_eq!(script.wait(260), ["AS^say 5 lobby after=4 len=1^e"]);
}

#[test]
fn no_more_than_thirty_two_requests_are_in_flight_and_no_more_wait_than_may() {
    let mut script = Script::welcomed();
    for _ in 0..REQUESTS_MAX {
        script.session.join("lab").unwrap();
    }
    assert_eq!(script.session.join("lab"), Err(Unfit::Full));
    let numbers = |sent: Vec<String>| sent.iter().map(|datagram| datagram.matches("^join").count()).sum::<usize>();
    assert_eq!(numbers(script.sent()), 32);
    assert_eq!(numbers(script.hears("^ack 5^")), 5);
}

#[test]
fn what_does_not_fit_is_refused_at_once() {
    let mut script = Script::welcomed();
    let mut say = |len: usize| script.session.say(Audience::Room(Some("lobby")), false, &vec![b'x'; len]);
    assert!(say(1_024).is_ok());
    assert_eq!(say(1_025), Err(Unfit::TooLong { max: 1_024 }));
    for name in ["", "a b", "a^b", "a=b", "a/b", "@", "a\n", &"x".repeat(33)] {
        assert_eq!(script.session.join(name), Err(Unfit::BadName), "{name:?}");
        let options = Options { name: Some(name.to_owned()), ..Options::default() };
        assert_eq!(Session::new(&options, Seed(1), script.now).err(), Some(Unfit::BadName), "{name:?}");
    }
    assert_eq!(script.session.say(Audience::Member("a b"), false, b"x"), Err(Unfit::BadName));
    let mut script = Script::new(&Options::default());
    assert_eq!(script.session.ask(None, &[b'x'; 1_300]), Err(Unfit::TooLong { max: 1_149 }), "it would be no datagram");
}
