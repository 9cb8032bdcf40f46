//! Lists for programs: whoever shows to be where it says is told who is where, page by page, and is nobody in the room for it.

use crate::script::{Stage, V4, play};
use belfry::config;
use belfry::core::limits::{DATAGRAM_MAX, LIST_FIELD_MAX, LISTED_MAX};
use belfry::core::{Datagram, Outbox, Path};
use belfry::services::Service;
use std::collections::BTreeSet;
use std::net::SocketAddr;

#[test]
fn a_program_that_shows_its_token_is_told_who_is_in_a_room_and_nobody_is_told_of_it() {
    play(
        r"
        bob > hello\n
        bob < -- Welcome to belfry.lan. You are localhost-40002 in lobby with nobody else yet. /help lists what you can type.\n-- The last 256 messages of this room are kept; /history shows them.\n
        bob < localhost-40002: hello\n
        @5
        bob > /nick Bob\n
        bob < -- You are Bob now.\n
        bob > /away lunch = break ^hb^\n
        bob < -- You are away: lunch = break ^hb^\n
        carl > ^hb^
        bob < -- localhost-40003 has joined\n
        @6
        anna > ^list members^ => Answered
        anna < ^token <token1>^
        anna > ^list members token=<token1>^ => Answered
        anna < ^members lobby count=2 len=68^Bob away idle=6 text=lunch = break ^hb^\nlocalhost-40003 here idle=1\n
        anna > ^list members LOBBY from=c mark=x7 token=<token1>^\n
        anna < ^members lobby count=2 mark=x7 len=28^localhost-40003 here idle=1\n
        carl > still here
        bob < localhost-40003: still here\n
        carl < localhost-40003: still here
        anna > ^list members #lobby from=c token=<token1>^\0\0
        anna < ^members lobby count=2 len=28^localhost-40003 here idle=0\n
        ",
    );
}

#[test]
fn a_program_that_shows_its_token_is_told_which_rooms_there_are_and_what_they_are_about() {
    play(
        r"
        bob > /join Tea
        bob < -- You are in Tea now.\n-- 1 in Tea: localhost-40002
        bob > /topic green, or black
        bob < -- The topic is: green, or black
        anna > ^list rooms^
        anna < ^token <token1>^
        anna > ^list rooms token=<token1>^
        anna < ^rooms count=1 len=35^Tea members=1 text=green, or black\n
        carl > hi
        carl < localhost-40003: hi
        anna > ^list rooms token=<token1>^
        anna < ^rooms count=2 len=51^lobby members=1\nTea members=1 text=green, or black\n
        anna > ^list rooms from=lobby- token=<token1>^
        anna < ^rooms count=2 len=35^Tea members=1 text=green, or black\n
        anna > ^list rooms from=zebra token=<token1>^
        anna < ^rooms count=2 len=0^
        ",
    );
}

#[test]
fn what_cannot_be_listed_is_an_error_and_to_whom_is_not_proved_a_token_and_no_more() {
    play(
        r"
        anna > ^list members nowhere^
        anna < ^token <token1>^
        anna ~> ^list members nowhere mark=7 token=<token1>^ => Refused(NoSuchRoom)
        anna < ^error - no-such-room mark=7 len=42^? there is no such room; /rooms lists them
        bob > ^list members token=<token1>^
        bob < ^token <token2>^
        anna > ^list rooms from=\{x*65} mark=7 token=<token1>^ => Refused(BadFrame)
        anna < ^error - bad-frame mark=7 len=37^? from and mark have at most 64 bytes
        anna > ^list rooms mark=\{x*65} token=<token1>^ => Refused(BadFrame)
        anna < ^error - bad-frame len=37^? from and mark have at most 64 bytes
        # the rest of what begins so is said, or no frame, as ever
        anna > ^list topics^ => Refused(BadFrame)
        anna < ? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^
        # what only another hub says
        anna > ^rooms count=1 len=16^lobby members=1\n => Dropped(ErrorLine)
        anna > ^members lobby count=0 len=0^ => Dropped(ErrorLine)
        ",
    );
}

#[test]
fn whoever_asks_from_another_network_shows_the_same_token() {
    play(
        r"
        bob > ^hb^
        anna ~> ^list members^ => Answered
        anna < ^token <token1>^
        anna ~> ^list members token=<token1>^ => Answered
        anna < ^members lobby count=1 len=28^localhost-40002 here idle=0\n
        bob > is she in?
        bob < localhost-40002: is she in?
        ",
    );
}

#[test]
fn a_question_keeps_nobody_his_place_and_a_session_asks_without_a_token() {
    play(
        r"
        anna > ^hb^
        @6
        anna > ^list members^
        anna < ^token <token1>^
        @9.5
        anna > ^list members token=<token1>^
        anna < ^members lobby count=1 len=28^localhost-40001 here idle=9\n
        @10
        anna > ^list members token=<token1>^
        anna < ^members lobby count=0 len=0^
        bob > ^hello 1 name=bob^
        bob < ^token <token2>^
        bob > ^hello 1 name=bob token=<token2>^
        bob < ^welcome 1 session=<session1> name=bob heartbeat=3000 last=0 max=1024 at=lobby/<epoch1>/0 at=@/<epoch2>/0^
        bob < ^note lobby len=17^-- bob has joined
        bob > ^as <session1>^^list members mark=1^^list rooms^^list nothing^ => Refused(BadFrame)
        bob < ^members lobby count=1 mark=1 len=16^bob here idle=0\n^rooms count=1 len=16^lobby members=1\n^error - bad-frame len=38^? that is no frame that this hub knows
        # what is asked from its address by somebody else does nothing for it, and is answered by a token
        bob > ^list members^
        bob < ^token <token2>^
        @20
        bob > ^as <session1>^^hb^
        bob < ^token <token3>^
        ",
    );
}

#[test]
fn a_question_with_the_token_of_its_address_is_counted_apart_and_one_that_is_too_much_renews_nothing() {
    let mut stage = Stage::new(&config::Chat::default());
    stage.play("anna > ^hb^\nanna > ^list rooms^\nanna < ^token <token1>^\n");
    let token = stage.made_up("<token1>");
    let path = |port| Path::to(V4, SocketAddr::from(([127, 0, 0, 1], port)));
    let question = format!("^list rooms token={token}^");
    for (port, payload, is_vouched) in [
        (40_001, question.as_str(), true),
        (40_002, question.as_str(), false),
        (40_001, "^list rooms token=0123456789abcdef^", false),
        (40_001, "^list rooms^", false),
    ] {
        let datagram = Datagram::unicast(path(port), payload.as_bytes());
        assert_eq!(stage.hub.vouches_for(&stage.now(), &datagram), is_vouched, "{port}: {payload}");
    }
    stage.wait(6);
    let now = stage.now();
    stage.hub.handle_excess(&now, &Datagram::unicast(path(40_001), question.as_bytes()), &mut Outbox::default());
    stage.wait(5);
    assert_eq!(stage.hub.member_count(), 0, "a heartbeat that is too much would have kept it");
}

/// What stands behind this in a head, if it does.
fn value<'a>(head: &'a str, key: &str) -> Option<&'a str> {
    head.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
}

/// Every page of a list, each as its head and its lines.
fn pages(stage: &mut Stage, of: &str) -> Vec<(String, Vec<String>)> {
    let token = String::from_utf8(stage.say("hugo", &format!("^list {of}^")).remove(0)).expect("text");
    let token = token.trim_start_matches("^token ").trim_end_matches('^').to_owned();
    let (mut pages, mut from): (Vec<(String, Vec<String>)>, _) = (Vec::new(), String::new());
    loop {
        let answers = stage.say("hugo", &format!("^list {of}{from} token={token}^"));
        assert_eq!(answers.len(), 1);
        assert!(pages.len() < 1_000, "it goes on and on");
        assert!(answers[0].len() <= DATAGRAM_MAX, "{} bytes", answers[0].len());
        let answer = String::from_utf8(answers[0].clone()).expect("text");
        let (head, text) = answer[1..].split_once('^').expect("a frame");
        pages.push((head.to_owned(), text.lines().map(str::to_owned).collect()));
        match value(head, "next") {
            Some(next) => from = format!(" from={next}"),
            None => return pages,
        }
    }
}

fn crowd() -> Stage {
    Stage::new(&config::Chat { max_members: 20_000, max_members_per_address: 20_000, ..config::Chat::default() })
}

/// So many members, each in this room.
fn fill(stage: &mut Stage, host: &str, room: &str, count: usize) {
    for port in 1..=count {
        stage.say(&format!("{host}:{}", 10_000 + port), &format!("/join {room}"));
    }
}

#[test]
fn a_long_list_comes_in_full_pages_and_everybody_is_in_it_once_in_the_order_of_the_names() {
    let mut stage = crowd();
    fill(&mut stage, "192.0.2.7", "lab", 500);
    fill(&mut stage, "192.0.2.8", "tea", 100);
    let away = format!("/away {}", "x".repeat(200));
    (1..=100).for_each(|port| drop(stage.say(&format!("192.0.2.7:{}", 10_000 + port), &away)));
    stage.say("192.0.2.7:10400", "/nick ZOE");
    stage.say("192.0.2.7:10401", "/nick anna");
    let pages = pages(&mut stage, "members lab");
    assert!(pages.iter().all(|(head, _)| value(head, "count") == Some("500")), "{pages:?}");
    let lines: Vec<_> = pages.iter().flat_map(|(_, lines)| lines).collect();
    let names: Vec<_> = lines.iter().map(|line| line.split(' ').next().expect("a name").to_lowercase()).collect();
    assert_eq!(names.len(), 500);
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 500, "nobody twice");
    assert!(names[498..] == ["anna", "zoe"], "{:?}", &names[498..]);
    // A page ends where the next line would not fit.
    for pair in pages.windows(2) {
        let (len, next) = (pair[0].1.iter().map(|line| line.len() + 1).sum::<usize>(), pair[1].1[0].len() + 1);
        assert!(len + next + 200 > DATAGRAM_MAX, "{len} bytes, and {next} would have fitted");
    }
}

#[test]
fn rooms_come_in_pages_too() {
    let mut stage = crowd();
    (1..=100).for_each(|room| fill(&mut stage, &format!("192.0.2.{room}"), &format!("room-{room}"), 1));
    let pages = pages(&mut stage, "rooms");
    assert!(pages.len() > 1);
    let lines: Vec<_> = pages.into_iter().flat_map(|(_, lines)| lines).collect();
    let mut rooms: Vec<_> = (1..=100).map(|room| format!("room-{room} members=1")).collect();
    rooms.sort();
    assert_eq!(lines, rooms);
}

#[test]
fn so_many_names_are_looked_through_for_one_page_and_not_one_more() {
    let mut stage = crowd();
    // All of their names come first, and they are by far the most.
    fill(&mut stage, "192.0.2.1", "lobby", 4 * LISTED_MAX);
    fill(&mut stage, "192.0.2.7", "lab", LISTED_MAX);
    let of_small = pages(&mut stage, "members lab");
    assert!(!of_small[0].1.is_empty(), "those of a thin room are looked through, wherever the others are");
    stage.say("192.0.2.7:20000", "/join lab");
    let of_large = pages(&mut stage, "members lab");
    assert_eq!(of_large[0].1, Vec::<String>::new());
    assert_eq!(value(&of_large[0].0, "next"), Some("192.0.2.1-11025"), "{}", of_large[0].0);
    let count = |pages: &[(String, Vec<String>)]| pages.iter().map(|(_, lines)| lines.len()).sum::<usize>();
    assert_eq!((count(&of_small), count(&of_large)), (LISTED_MAX, LISTED_MAX + 1));
}

#[test]
fn the_longest_from_and_mark_are_taken_and_one_byte_more_is_an_error() {
    for (len, begins) in [(LIST_FIELD_MAX, "^rooms "), (LIST_FIELD_MAX + 1, "^error - bad-frame ")] {
        for field in ["from", "mark"] {
            let mut stage = Stage::new(&config::Chat::default());
            stage.play("anna > ^list rooms^\nanna < ^token <token1>^\n");
            let token = stage.made_up("<token1>");
            let answers = stage.say("anna", &format!("^list rooms {field}={} token={token}^", "x".repeat(len)));
            let answer = String::from_utf8_lossy(&answers[0]);
            assert!(answer.starts_with(begins), "{field} of {len} bytes: {answer}");
        }
    }
}
