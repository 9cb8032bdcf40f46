//! Screens as text.

use crate::client::chat::happening::Input;
use crate::client::chat::tests::Script;
use crate::client::session::{Event, Figures};
use crate::core::frame::{Epoch, MAILBOX};
use proptest::prelude::*;
use ratatui_textarea::Key;
use std::time::Duration;

/// A conversation with everything in it.
fn conversation(width: u16, height: u16) -> Script {
    let mut script = Script::welcomed(&["lobby", "lab"], width, height);
    script.members("lobby", &["anna", "bob", "carl", "dora"]);
    script.event(Event::Note { room: "lobby".to_owned(), text: b"-- dora has joined".to_vec() });
    script.hears("lobby", "bob", "the kiln is at 900 degrees, and it will take until the evening before it is cold");
    script.hears("lobby", "carl", "two\nlines");
    script.hears("lobby", "bob", "thank you, Anna 天気 é");
    script.hears("lab", "bob", "anna?");
    script.hears(MAILBOX, "carl", "psst");
    script.says("I come");
    let round_trip = Some(Duration::from_millis(3));
    script.measure(Figures { repaired: 2, round_trip, ..Figures::default() }, 1);
    script.types("what is being typed");
    script
}

#[test]
fn a_usual_screen_has_rooms_conversation_members_state_and_field() {
    let expected = "\
\x201 lobby  2 lab 1!  3 @ 1!
                                                            │ 4 members
                                                            │ anna
                                                            │ bob
                                                            │ carl
                                                            │ dora (away)
                                                            │
                                                            │
                                                            │
                                                            │
                                                            │
                                                            │
                                                            │
                                                            │
── Saturday, 21 November 2026 ──────────────────────────────│
14:03 -- dora has joined                                    │
14:03 bob: the kiln is at 900 degrees, and it will take     │
        until the evening before it is cold                 │
14:03 carl: two                                             │
        lines                                               │
14:03 bob: thank you, Anna 天気 é                           │
  …   anna: I come                                          │
 anna · connected · 1 message to be sent · 192.0.2.1:9999 · round trip 3 ms · re
> what is being typed
";
    assert_eq!(conversation(80, 24).screen(), expected);
}

#[test]
fn a_narrow_screen_has_the_conversation_to_itself_until_the_members_are_asked_for() {
    let expected = "\
\x201 lobby  2 lab 1!  3 @ 1!
14:03 bob: the kiln is at 900 degrees,
        and it will take until the
        evening before it is cold
14:03 carl: two
        lines
14:03 bob: thank you, Anna 天気 é
  …   anna: I come
 anna · connected · 1 message to be sent
> what is being typed
";
    let mut script = conversation(40, 10);
    assert_eq!(script.screen(), expected);
    script.presses(Key::F(2), false, false);
    assert!(script.screen().contains("│ dora (away)\n"), "{}", script.screen());
    script.presses(Key::F(2), false, false);
    assert_eq!(script.screen(), expected);
}

#[test]
fn a_wide_screen_shows_all_of_the_state() {
    let screen = conversation(120, 40).screen();
    let state = " anna · connected · 1 message to be sent · 192.0.2.1:9999 · round trip 3 ms · repaired 2 · lost 0\n";
    assert!(screen.contains(state), "{screen}");
    assert_eq!(screen.lines().count(), 40);
}

#[test]
fn help_is_a_page_or_where_that_does_not_fit_lines_of_the_conversation() {
    let mut script = conversation(80, 24);
    script.presses(Key::F(1), false, false);
    assert!(script.screen().contains("\n /join ROOM      join or switch to a room\n"), "{}", script.screen());
    script.presses(Key::Char('x'), false, false);
    assert!(script.screen().ends_with("> what is being typed\n"));
    let mut script = conversation(60, 12);
    script.presses(Key::F(1), false, false);
    assert!(script.screen().contains("        /rooms: list the rooms\n"), "{}", script.screen());
}

#[test]
fn the_field_grows_with_its_lines_up_to_a_third_of_the_screen() {
    let mut script = conversation(40, 12);
    script.feed(Input::Paste("\none\ntwo\nthree\nfour".to_owned()));
    assert!(script.screen().ends_with("> one\n  two\n  three\n  four\n"), "{}", script.screen());
}

#[test]
fn no_screen_is_too_small() {
    for (width, height) in [(1, 1), (1, 24), (80, 1), (2, 2), (3, 3), (9, 4), (20, 5), (0, 0), (0, 9), (80, 0)] {
        let mut script = conversation(width, height);
        for key in [Key::PageUp, Key::PageDown, Key::F(1), Key::F(2), Key::F(2), Key::End, Key::Tab] {
            script.presses(key, false, false);
            script.screen();
        }
        script.presses(Key::Char('f'), true, false);
        script.types("kiln");
        script.screen();
    }
}

proptest! {
    #[test]
    fn whatever_strangers_say_no_row_of_the_conversation_looks_like_another(
        texts in proptest::collection::vec(proptest::collection::vec(
            prop_oneof![
                any::<char>(), Just('\n'), Just('\r'), Just('\x1b'), Just('─'), Just('-'), Just(' '), Just('\u{301}'),
                Just('天'), Just('\u{202e}'), Just('\u{200d}'),
            ], 0..60), 1..5),
        from in "[a-z\u{202e}\u{1b}]{1,8}", is_note in any::<bool>(), width in 24_u16..70,
    ) {
        let mut script = Script::welcomed(&["lobby"], width, 60);
        for text in &texts {
            let text = String::from_iter(text);
            if is_note {
                script.event(Event::Note { room: "lobby".to_owned(), text: text.into_bytes() });
            } else {
                script.hears("lobby", &from, &text);
            }
        }
        let screen = script.screen();
        let rows: Vec<&str> = screen.lines().skip(1).take(57).collect();
        prop_assert!(!screen.contains(|c| c != '\n' && crate::core::text::is_control(c)), "{screen:?}");
        let of = |begin: &str| rows.iter().filter(|row| row.starts_with(begin)).count();
        if of("── Saturday") == 1 {
            prop_assert_eq!(of("14:03 "), texts.len(), "{}", screen);
        }
        for row in rows {
            let is_ours = ["14:03 ", "── Saturday"].iter().any(|begin| row.starts_with(begin));
            let indent = " ".repeat(usize::from(width / 4).min(8));
            prop_assert!(is_ours || row.is_empty() || row.starts_with(&indent), "{row:?} in {screen}");
        }
    }
}

/// Anything that a user or a hub may do.
#[derive(Clone, Debug)]
enum Step {
    Key(Key, bool, bool),
    Line(String),
    Paste(String),
    Said(usize, String),
    Joined(usize),
    Left(usize),
    Away,
    Back(bool),
    Size(u16, u16),
    Focus(bool),
    Wait(u64),
}

const ROOMS: [&str; 5] = ["lobby", "lab", "kitchen", "@", "Lobby"];

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::sample::select(vec![
        Key::PageUp,
        Key::PageDown,
        Key::Home,
        Key::End,
        Key::Up,
        Key::Down,
        Key::Left,
        Key::Right,
        Key::Tab,
        Key::Enter,
        Key::Esc,
        Key::Backspace,
        Key::F(1),
        Key::F(2),
        Key::Char('a'),
        Key::Char('f'),
        Key::Char('j'),
        Key::Char('n'),
        Key::Char('2'),
        Key::Char('\u{301}'),
        Key::Char('天'),
        Key::Char('/'),
        Key::Char(' '),
    ]);
    let lines = prop::sample::select(vec![
        "hello",
        "/msg bob psst",
        "/join lab",
        "/join kitchen",
        "/leave",
        "/me waves",
        "/search o",
        "/nick x",
        "//x",
        "/help",
    ]);
    prop_oneof![
        6 => (keys, any::<bool>(), any::<bool>()).prop_map(|(key, ctrl, alt)| Step::Key(key, ctrl, alt)),
        3 => lines.prop_map(|line| Step::Line(line.to_owned())),
        1 => "[a-z\n 天\u{301}]{0,3000}".prop_map(Step::Paste),
        6 => (0..4_usize, "[a-z\n 天\u{301}-]{0,120}").prop_map(|(room, text)| Step::Said(room, text)),
        1 => (0..3_usize).prop_map(Step::Joined),
        1 => (0..5_usize).prop_map(Step::Left),
        1 => Just(Step::Away),
        1 => any::<bool>().prop_map(Step::Back),
        2 => (1..100_u16, 1..40_u16).prop_map(|(width, height)| Step::Size(width, height)),
        1 => any::<bool>().prop_map(Step::Focus),
        1 => (0..5_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    // Each is a few dozen screens.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_done_in_whatever_order_there_is_a_screen(steps in proptest::collection::vec(step(), 0..60)) {
        let mut script = Script::welcomed(&["lobby", "lab"], 80, 24);
        for step in steps {
            match step {
                Step::Key(key, ctrl, alt) => drop(script.presses(key, ctrl, alt)),
                Step::Line(line) => drop(script.feed(Input::Line(line))),
                Step::Paste(text) => drop(script.feed(Input::Paste(text))),
                Step::Said(room, text) => drop(script.hears(ROOMS[room], "bob", &text)),
                Step::Joined(room) => {
                    script.event(Event::Joined { room: ROOMS[room].to_owned(), epoch: Epoch(1), number: 0 });
                }
                Step::Left(room) => drop(script.event(Event::Left { room: ROOMS[room].to_owned() })),
                Step::Away => drop(script.event(Event::Disconnected)),
                Step::Back(is_new) => drop(script.event(Event::Welcomed { name: "anna".to_owned(), is_new })),
                Step::Size(width, height) => drop(script.feed(Input::Resize { width, height })),
                Step::Focus(is_focused) => drop(script.feed(Input::Focus(is_focused))),
                Step::Wait(millis) => drop(script.wait(millis)),
            }
            prop_assert_eq!(script.screen().lines().count(), usize::from(script.model.height));
        }
    }
}
