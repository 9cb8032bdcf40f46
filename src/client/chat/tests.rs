//! Scripts: what happens, and what is wanted and seen after it.

use super::entry::What;
use super::happening::{Action, Input};
use super::model::{Connection, Model, Settings};
use super::room::Member;
use super::theme::Theme;
use crate::client::session::{Event, Figures, Message, Options, REQUESTS_MAX, Reason, RequestId, Session, Unfit};
use crate::core::frame::{Epoch, MAILBOX};
use crate::core::{Instant, Now, Seed};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui_textarea::{Input as Stroke, Key};
use std::time::Duration;

/// Saturday, 21 November 2026, 14:03:27 UTC.
const UNIX: u64 = 1_795_269_807;

/// Somebody in front of the screen, without a terminal and without a hub.
pub(super) struct Script {
    pub(super) model: Model,
    now: Now,
    ids: Vec<RequestId>,
    number: u64,
}

impl Script {
    /// Before the hub has said anything.
    pub(super) fn new(rooms: &[&str], width: u16, height: u16) -> Self {
        let now = Now { mono: Instant::from_nanos(1 << 40), wall: Timestamp::from_second(UNIX as i64).unwrap() };
        let settings = Settings {
            server: "192.0.2.1:9999".to_owned(),
            zone: TimeZone::UTC,
            theme: Theme { is_coloured: false },
            has_bell: true,
            is_plain: false,
        };
        let rooms: Vec<String> = rooms.iter().map(|&room| room.to_owned()).collect();
        let model = Model::new(settings, &rooms, Seed(1), now);
        // Only a session makes ids.
        let mut session = Session::new(&Options::default(), Seed(1), now.mono).unwrap();
        let ids = (0..64).map(|_| session.join("lab").unwrap()).collect();
        let mut script = Self { model, now, ids, number: 0 };
        script.feed(Input::Resize { width, height });
        script
    }

    /// Anna, welcome in these rooms.
    pub(super) fn welcomed(rooms: &[&str], width: u16, height: u16) -> Self {
        let mut script = Self::new(rooms, width, height);
        script.event(Event::Welcomed { name: "anna".to_owned(), is_new: true });
        for room in rooms {
            script.event(Event::Joined { room: (*room).to_owned(), epoch: Epoch(1), number: 0 });
        }
        script.measure(Figures { round_trip: Some(Duration::from_millis(3)), ..Figures::default() }, 0);
        script
    }

    pub(super) fn feed(&mut self, input: Input) -> Vec<Action> {
        self.model.update(self.now, input)
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Action> {
        self.feed(Input::Event { event, is_earlier: false })
    }

    pub(super) fn measure(&mut self, figures: Figures, waiting: usize) {
        self.feed(Input::Figures { figures, waiting, text_max: 1_024 });
    }

    /// Time passes, and what is due then happens.
    pub(super) fn wait(&mut self, millis: u64) -> Vec<Action> {
        let by = Duration::from_millis(millis);
        self.now = Now { mono: self.now.mono + by, wall: self.now.wall + by };
        self.feed(Input::Tick)
    }

    fn message(&mut self, room: &str, from: &str, text: &str) -> Message {
        self.number += 1;
        let (room, from, text) = (room.to_owned(), from.to_owned(), text.as_bytes().to_vec());
        Message { room, epoch: Epoch(1), number: self.number, from, is_me: false, time: UNIX, text }
    }

    pub(super) fn hears(&mut self, room: &str, from: &str, text: &str) -> Vec<Action> {
        let message = self.message(room, from, text);
        self.event(Event::Message(message))
    }

    pub(super) fn members(&mut self, room: &str, names: &[&str]) {
        let member = |name: &&str| Member { name: (*name).to_owned(), is_away: *name == "dora" };
        let (members, total) = (names.iter().map(member).collect(), names.len() as u64);
        self.feed(Input::Members { room: room.to_owned(), members, total });
    }

    pub(super) fn presses(&mut self, key: Key, ctrl: bool, alt: bool) -> Vec<Action> {
        self.feed(Input::Key(Stroke { key, ctrl, alt, shift: false }))
    }

    pub(super) fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.presses(Key::Char(c), false, false);
        }
    }

    /// Types a line and Enter, and gives what it says the next ids.
    pub(super) fn says(&mut self, text: &str) -> Vec<Action> {
        self.types(text);
        let actions = self.presses(Key::Enter, false, false);
        for action in &actions {
            if let Action::Say { mark, .. } = action {
                let result = Ok(self.ids.remove(0));
                self.feed(Input::Taken { mark: *mark, result });
            }
        }
        actions
    }

    /// What the next that is said will be called.
    fn next_id(&self) -> RequestId {
        self.ids[0]
    }

    /// The entries of the room that is shown, without their times.
    fn entries(&self) -> Vec<String> {
        let line = |text: &str| text.to_owned();
        let entries = self.model.room().entries.iter();
        entries.map(|entry| entry.head() + &entry.text().lines().map(line).collect::<Vec<_>>().join("|")).collect()
    }

    /// The screen as text, without white space at the ends of its rows.
    pub(super) fn screen(&self) -> String {
        let backend = TestBackend::new(self.model.width, self.model.height);
        let mut terminal = Terminal::new(backend).unwrap();
        terminal.draw(|frame| super::view::draw(&self.model, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let mut screen = String::new();
        for y in 0..buffer.area.height {
            let mut row = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                if skip == 0 {
                    row.push_str(symbol);
                    skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
                }
                skip -= 1;
            }
            screen.push_str(row.trim_end());
            screen.push('\n');
        }
        screen
    }
}

fn say(actions: &[Action]) -> Vec<(&str, Option<&str>, bool, &str)> {
    let said = actions.iter().filter_map(|action| match action {
        Action::Say { room, to, is_me, text, .. } => Some((room.as_str(), to.as_deref(), *is_me, text.as_str())),
        _ => None,
    });
    said.collect()
}

// ---- saying ----

#[test]
fn what_is_said_waits_at_the_end_until_it_comes_back_in_its_place() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    let id = script.next_id();
    assert_eq!(say(&script.says("hello")), [("lobby", None, false, "hello")]);
    assert_eq!((script.entries().len(), script.model.room().pending.len()), (0, 1));
    script.hears("lobby", "bob", "hello");
    script.event(Event::Done(id));
    assert!(script.model.room().pending[0].is_acknowledged);
    script.hears("lobby", "anna", "hello");
    assert_eq!(script.entries(), ["bob: hello", "anna: hello"]);
    assert!(!script.model.has_pending());
}

#[test]
fn what_is_refused_says_why_and_what_nobody_can_tell_is_taken_back_when_it_comes_all_the_same() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    let ids = [script.ids[0], script.ids[1]];
    script.says("one");
    script.says("two");
    script.event(Event::Refused { id: Some(ids[0]), code: "full".to_owned(), text: b"? the hub is full".to_vec() });
    script.event(Event::Unconfirmed(ids[1]));
    assert_eq!(script.entries(), ["-- not delivered, the hub is full (full): one", "-- delivery unknown: two"]);
    assert_eq!(script.model.unsaid_count(), 2);
    script.hears("lobby", "anna", "two");
    assert_eq!(script.entries(), ["-- not delivered, the hub is full (full): one", "anna: two"]);
    assert_eq!(script.model.unsaid_count(), 1);
    script.hears("lobby", "anna", "two");
    assert_eq!(script.entries().len(), 3, "somebody else's session in our name, or we said it twice");
}

#[test]
fn what_cannot_even_wait_is_marked_and_what_is_too_long_goes_in_shorter_pieces() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.types("hello world");
    let actions = script.presses(Key::Enter, false, false);
    let Action::Say { mark, .. } = actions[0] else { panic!("{actions:?}") };
    let actions = script.feed(Input::Taken { mark, result: Err(Unfit::TooLong { max: 6 }) });
    let said: Vec<_> = say(&actions).into_iter().map(|(.., text)| text).collect();
    assert_eq!(said, ["hello", "world"]);
    let Action::Say { mark, .. } = actions[0] else { panic!("{actions:?}") };
    script.feed(Input::Taken { mark, result: Err(Unfit::Full) });
    assert_eq!(script.entries(), ["-- not delivered, too much waits to be sent: hello"]);
}

#[test]
fn a_long_paste_tells_how_many_messages_it_will_be_before_it_is_sent() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    let lines: Vec<String> = (0..40).map(|number| format!("{number} {}", "x".repeat(70))).collect();
    script.feed(Input::Paste(lines.join("\n")));
    assert!(script.screen().contains("Enter sends 4 messages"), "{}", script.screen());
    let actions = script.says("");
    assert_eq!(say(&actions).len(), 4);
    let texts: Vec<_> = say(&actions).into_iter().map(|(.., text)| text).collect();
    assert_eq!(texts.join("\n"), lines.join("\n"));
    assert!(!script.screen().contains("Enter sends"));
    // What fits is one, with its lines.
    script.feed(Input::Paste("one\ntwo".to_owned()));
    assert_eq!(say(&script.says("")), [("lobby", None, false, "one\ntwo")]);
}

#[test]
fn more_than_can_wait_at_once_is_not_begun_and_stays_to_be_edited() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    let text = "x".repeat(1_024 * REQUESTS_MAX + 1);
    script.feed(Input::Paste(text.clone()));
    assert_eq!(say(&script.says("")), []);
    assert_eq!(script.entries(), ["-- not sent: this takes 257 messages, and at most 256 can wait to be sent"]);
    assert_eq!(script.model.field.text(), text);
    // With its command: otherwise the next Enter would say it to everybody.
    for begin in ["/msg bob ", "/me ", "//"] {
        script.model.field.set(&[]);
        let line = format!("{begin}{text}");
        script.feed(Input::Paste(line.clone()));
        assert_eq!(say(&script.says("")), []);
        assert_eq!(script.model.field.text(), line);
        assert_eq!(say(&script.says("")), [], "{begin}");
    }
}

#[test]
fn a_line_that_nobody_typed_is_never_given_back_and_counts_when_it_is_not_said() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.model.settings.is_plain = true;
    script.model.waiting = REQUESTS_MAX;
    assert_eq!(script.feed(Input::Line("/msg bob psst".to_owned())), []);
    assert!(script.model.field.is_empty());
    script.feed(Input::BadLine { number: 7, why: "too long" });
    script.feed(Input::Line("/msg bob".to_owned()));
    let lines = [
        "-- not sent: this takes 1 message, and at most 256 can wait to be sent: /msg bob psst",
        "-- line 7 not sent: too long",
        "-- /msg needs a name and a text: /msg NAME TEXT: /msg bob",
    ];
    assert_eq!(script.entries(), lines);
    assert_eq!(script.model.unsaid_count(), 3);
}

#[test]
fn what_the_hub_has_and_may_not_send_back_stands_where_it_was_said_and_not_at_the_end_for_ever() {
    let restarted = || Event::Welcomed { name: "anna".to_owned(), is_new: true };
    let lost = || Event::Lost { room: "lobby".to_owned(), epoch: Epoch(1), first: 1, count: 2 };
    let anew = || Event::Anew { room: "lobby".to_owned(), epoch: Epoch(2), number: 0 };
    let left = || Event::Left { room: "lobby".to_owned() };
    for event in [restarted(), lost(), anew(), left()] {
        let mut script = Script::welcomed(&["lobby"], 80, 24);
        let id = script.next_id();
        script.says("one");
        script.says("two");
        script.event(Event::Done(id));
        script.event(event.clone());
        assert_eq!(script.entries()[0], "anna: one", "{event:?}");
        let pending = &script.model.room().pending;
        assert_eq!(pending.iter().map(|pending| pending.raw.as_str()).collect::<Vec<_>>(), ["two"], "{event:?}");
        // It comes all the same, and stands there once.
        script.hears("lobby", "anna", "one");
        assert_eq!(script.entries().iter().filter(|line| line.ends_with(": one")).count(), 1, "{event:?}");
        assert_eq!(script.model.unsaid_count(), 0);
    }
}

#[test]
fn what_is_said_to_somebody_alone_stands_in_the_mailbox_and_so_does_the_answer() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    let id = script.next_id();
    assert_eq!(say(&script.says("/msg bob psst, you")), [("@", Some("bob"), false, "psst, you")]);
    script.event(Event::Done(id));
    assert_eq!(script.hears(MAILBOX, "bob", "what?"), [Action::Bell]);
    assert!(script.screen().starts_with(" 1 lobby  2 @ 1!\n"));
    script.presses(Key::Char('2'), false, true);
    assert_eq!(script.entries(), ["you -> bob: psst, you", "bob -> you: what?"]);
    // Who answers need not type the name, and nothing goes to the room by mistake.
    assert_eq!(say(&script.says("nothing")), []);
    script.presses(Key::Char('u'), true, false);
    script.presses(Key::Tab, false, false);
    assert_eq!(say(&script.says("nothing")), [("@", Some("bob"), false, "nothing")]);
}

#[test]
fn commands_of_ours_are_obeyed_and_others_go_to_the_hub_which_answers() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    assert_eq!(say(&script.says("/me waves")), [("lobby", None, true, "waves")]);
    assert_eq!(say(&script.says("//etc/motd")), [("lobby", None, false, "/etc/motd")]);
    let ask = |text: &str| [Action::Ask { room: Some("lobby".to_owned()), text: text.to_owned() }];
    assert_eq!(script.says("/topic tea"), ask("/topic tea"));
    assert_eq!(script.says("/frobnicate"), ask("/frobnicate"));
    script.event(Event::Answer { id: None, text: b"-- 2 in lobby: anna, bob\n-- that is all".to_vec() });
    script.event(Event::Refused { id: None, code: "bad-command".to_owned(), text: b"? no such command".to_vec() });
    assert_eq!(script.entries(), ["-- 2 in lobby: anna, bob|that is all", "-- no such command (bad-command)"]);
    assert_eq!(script.says("/quit"), [Action::Quit]);
    assert_eq!(script.presses(Key::Char('c'), true, false), [Action::Quit]);
    assert_eq!(script.presses(Key::Char('d'), true, false), [Action::Quit]);
    script.types("x");
    assert_eq!(script.presses(Key::Char('d'), true, false), [], "there is something to be lost");
}

// ---- rooms ----

#[test]
fn rooms_are_turned_to_when_they_are_joined_by_their_numbers_and_where_something_is_new() {
    let mut script = Script::welcomed(&["lobby", "lab"], 80, 24);
    assert_eq!(script.says("/join Kitchen"), [Action::Join("Kitchen".to_owned())]);
    script.event(Event::Joined { room: "kitchen".to_owned(), epoch: Epoch(1), number: 0 });
    assert_eq!(script.model.room().name, "kitchen");
    script.hears("lobby", "bob", "hi all");
    assert_eq!(script.hears("lab", "bob", "ANNA, come"), [Action::Bell]);
    assert!(script.screen().starts_with(" 1 lobby 1  2 lab 1!  3 kitchen\n"), "{}", script.screen());
    script.presses(Key::Char('a'), false, true);
    assert_eq!(script.model.room().name, "lab", "whoever is meant goes there first");
    script.presses(Key::Char('a'), false, true);
    assert_eq!(script.model.room().name, "lobby");
    script.presses(Key::Char('p'), true, false);
    assert_eq!(script.model.room().name, "kitchen");
    script.presses(Key::Char('n'), true, false);
    assert_eq!(script.says("/leave lab"), [Action::Leave("lab".to_owned())]);
    script.event(Event::Left { room: "lab".to_owned() });
    assert!(script.screen().starts_with(" 1 lobby  2 kitchen\n"), "{}", script.screen());
    // What was begun in a room is there when one comes back.
    script.types("begun");
    script.presses(Key::Char('2'), false, true);
    assert!(script.model.field.is_empty());
    script.presses(Key::Char('1'), false, true);
    assert_eq!(script.model.field.text(), "begun");
}

#[test]
fn what_is_new_begins_with_a_line_and_what_was_said_before_we_came_is_not_new() {
    let mut script = Script::welcomed(&["lobby", "lab"], 40, 10);
    let message = script.message("lab", "bob", "anna, before");
    assert_eq!(script.feed(Input::Event { event: Event::Message(message), is_earlier: true }), []);
    script.hears("lab", "bob", "after");
    assert!(script.screen().starts_with(" 1 lobby  2 lab 1\n"), "{}", script.screen());
    script.presses(Key::Char('2'), false, true);
    let new = "14:03 bob: anna, before\n── new ─────────────────────────────────\n14:03 bob: after\n";
    assert!(script.screen().contains(new), "{}", script.screen());
    script.presses(Key::Char('1'), false, true);
    script.presses(Key::Char('2'), false, true);
    assert!(!script.screen().contains("── new"), "{}", script.screen());
    // While nobody looks, everything is new.
    script.feed(Input::Focus(false));
    script.hears("lab", "bob", "unseen");
    assert!(script.screen().contains("── new"), "{}", script.screen());
    script.feed(Input::Focus(true));
    assert_eq!(script.model.room().unread, 0);
}

#[test]
fn the_bell_rings_once_for_several_and_not_at_all_when_it_is_switched_off() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    assert_eq!(script.hears("lobby", "bob", "anna"), [Action::Bell]);
    assert_eq!(script.hears("lobby", "bob", "anna!"), []);
    script.wait(1_000);
    assert_eq!(script.hears("lobby", "bob", "anna!!"), [Action::Bell]);
    script.wait(1_000);
    assert_eq!(script.hears("lobby", "anna", "anna is what I am called"), []);
    script.model.settings.has_bell = false;
    assert_eq!(script.hears("lobby", "bob", "anna?"), []);
}

// ---- names ----

#[test]
fn tab_completes_names_rooms_and_commands() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.members("lobby", &["anna", "bob", "Bert", "dora"]);
    script.feed(Input::Rooms(vec!["lab".to_owned(), "lobby".to_owned()]));
    script.hears("lobby", "bodo", "hi");
    for (typed, tabs, completed) in [
        ("bo", 1, "bodo: "),
        ("bo", 2, "bob: "),
        ("hi b", 2, "hi Bert "),
        ("hi ann", 1, "hi ann"),
        ("/wh", 1, "/who "),
        ("/join l", 2, "/join lobby "),
        ("zz", 1, "zz"),
    ] {
        script.types(typed);
        for _ in 0..tabs {
            script.presses(Key::Tab, false, false);
        }
        assert_eq!(script.model.field.text(), completed, "{typed}");
        script.presses(Key::Char('u'), true, false);
    }
}

#[test]
fn who_is_in_the_room_that_is_shown_is_asked_for_soon_after_a_note_and_now_and_then() {
    let mut script = Script::welcomed(&["lobby", "lab"], 80, 24);
    let members = |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Members(_))).count();
    assert_eq!(members(&script.wait(300)), 1);
    script.members("lobby", &["anna", "bob"]);
    assert_eq!(members(&script.wait(14_000)), 0);
    assert_eq!(members(&script.wait(1_100)), 1);
    script.event(Event::Note { room: "lab".to_owned(), text: b"-- carl has joined".to_vec() });
    script.hears("lab", "carl", "hi");
    assert_eq!(members(&script.wait(1_000)), 0, "nobody looks there");
    script.event(Event::Note { room: "lobby".to_owned(), text: b"-- carl has joined".to_vec() });
    assert_eq!(members(&script.wait(400)), 1);
    script.hears("lobby", "bob", "hi");
    assert_eq!(members(&script.wait(400)), 0, "he is known");
    script.hears("lobby", "dora", "hi");
    assert_eq!(members(&script.wait(400)), 1);
    let member = |name: &str| Member { name: name.to_owned(), is_away: false };
    script.feed(Input::Members { room: "lobby".to_owned(), members: vec![member("anna")], total: 1_000 });
    assert!(script.screen().contains("│ 1000 members\n") && script.screen().contains("│ … 999 more\n"));
    script.hears("lobby", "emil", "hi");
    assert_eq!(members(&script.wait(10_000)), 0, "he may be one of the others");
    script.presses(Key::Char('2'), false, true);
    assert_eq!(members(&script.wait(300)), 1);
}

// ---- the hub ----

#[test]
fn a_hub_that_is_away_is_told_once_and_so_is_its_return_with_what_was_fetched() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.event(Event::Disconnected);
    script.event(Event::Disconnected);
    script.feed(Input::Trouble("nobody listens on 192.0.2.1:9999/udp".to_owned()));
    script.wait(14_000);
    assert!(script.screen().contains(" anna · no answer for 14 s, still trying · "), "{}", script.screen());
    assert!(script.model.next_tick().is_some_and(|at| at <= script.now.mono + Duration::from_secs(1)));
    script.event(Event::Welcomed { name: "anna".to_owned(), is_new: false });
    script.hears("lobby", "bob", "one");
    script.hears("lobby", "bob", "two");
    script.wait(1_000);
    let lines = [
        "-- no answer from 192.0.2.1:9999, still trying",
        "bob: one",
        "bob: two",
        "-- reconnected after 14 s, 2 messages fetched",
    ];
    assert_eq!(script.entries(), lines);
    assert_eq!(script.model.connection, Connection::Connected);
}

#[test]
fn while_nothing_happens_nothing_is_due_for_seconds() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.wait(300);
    assert!(script.model.next_tick().is_some_and(|at| at.since(script.now.mono) >= Duration::from_secs(10)));
}

#[test]
fn a_session_that_is_over_says_why_and_takes_nothing_more() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.event(Event::Closed(Reason::Kicked));
    assert_eq!(say(&script.says("hello?")), []);
    let lines = ["-- the operator of the hub has removed us", "-- The session is over; /quit leaves the chat."];
    assert_eq!(script.entries(), lines);
    assert_eq!(script.model.next_tick(), None);
    assert_eq!(script.says("/quit"), [Action::Quit]);
}

#[test]
fn a_hub_that_has_never_answered_is_told_once() {
    let mut script = Script::new(&[], 80, 24);
    let trouble = || Input::Trouble("no answer from 192.0.2.1:9999/udp within 2s".to_owned());
    script.feed(trouble());
    script.feed(trouble());
    assert_eq!(script.entries(), ["-- no answer from 192.0.2.1:9999/udp within 2s, still trying"]);
}

#[test]
fn a_new_name_is_told_once_and_is_what_others_mean_from_then_on() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.event(Event::Answer { id: None, text: b"-- You are zoe now.".to_vec() });
    script.event(Event::Renamed { name: "zoe".to_owned() });
    assert_eq!(script.entries(), ["-- You are zoe now."]);
    assert_eq!(script.hears("lobby", "bob", "anna?"), []);
    assert_eq!(script.hears("lobby", "bob", "zoe?"), [Action::Bell]);
}

#[test]
fn a_room_that_the_hub_does_not_have_is_told_and_its_spelling_of_another_is_taken() {
    let mut script = Script::new(&["Lobby", "nowhere"], 80, 24);
    script.event(Event::Joined { room: "lobby".to_owned(), epoch: Epoch(1), number: 0 });
    script.event(Event::Left { room: "Lobby".to_owned() });
    script.event(Event::Left { room: "nowhere".to_owned() });
    assert!(script.screen().starts_with(" 1 lobby\n"), "{}", script.screen());
    assert_eq!(script.entries(), ["-- The hub has no room nowhere and cannot create it; /rooms lists the rooms."]);
}

#[test]
fn line_by_line_help_finds_and_turns_are_lines_too() {
    let mut script = Script::welcomed(&["lobby", "lab"], 80, 24);
    script.model.settings.is_plain = true;
    script.hears("lab", "bob", "the kiln is hot");
    for line in ["/join lab", "/search kiln", "/help"] {
        script.feed(Input::Line(line.to_owned()));
    }
    let entries = script.entries();
    let first = ["bob: the kiln is hot", "-- You are in lab now.", "-- 1 found|14:03 bob: the kiln is hot"];
    assert_eq!(entries[..3], first);
    assert!(entries[3].contains("|/join ROOM: join or switch to a room|"), "{}", entries[3]);
}

// ---- reading ----

#[test]
fn the_reader_stays_where_he_is_while_more_is_said_and_end_goes_there() {
    let mut script = Script::welcomed(&["lobby"], 40, 10);
    for number in 0..100 {
        script.hears("lobby", "bob", &format!("line {number}"));
    }
    script.presses(Key::PageUp, false, false);
    let before = script.screen();
    assert!(before.contains("line 94\n") && !before.contains("line 95\n"), "{before}");
    assert!(before.contains("5 more below (End)"), "{before}");
    script.hears("lobby", "bob", "line 100");
    assert_eq!(script.screen().lines().nth(7), before.lines().nth(7));
    script.feed(Input::Resize { width: 30, height: 10 });
    assert!(script.screen().contains("line 94\n"));
    script.presses(Key::PageDown, false, false);
    script.presses(Key::PageDown, false, false);
    assert!(script.screen().contains("line 100\n"), "{}", script.screen());
    script.presses(Key::Home, true, false);
    assert!(script.screen().contains("── Saturday") && script.screen().contains("line 0\n"), "{}", script.screen());
    script.presses(Key::PageUp, false, false);
    assert!(script.screen().contains("line 0\n"), "{}", script.screen());
    script.presses(Key::End, false, false);
    assert!(script.screen().contains("line 100\n"));
}

#[test]
fn a_search_goes_from_find_to_find_and_back() {
    let mut script = Script::welcomed(&["lobby"], 40, 10);
    for number in 0..100 {
        script.hears("lobby", "bob", &format!("{} {number}", if number % 30 == 0 { "Kiln" } else { "line" }));
    }
    script.presses(Key::Char('f'), true, false);
    script.types("kiln");
    assert!(script.screen().contains("Kiln 90\n") && script.screen().contains("search: kiln  4 found"));
    script.presses(Key::Up, false, false);
    assert!(script.screen().contains("Kiln 60\n"), "{}", script.screen());
    script.presses(Key::Enter, false, false);
    assert!(script.screen().contains("Kiln 30\n"));
    script.presses(Key::Down, false, false);
    assert!(script.screen().contains("Kiln 60\n"));
    script.presses(Key::Esc, false, false);
    assert!(script.screen().contains("line 99\n"));
    script.says("/search Kiln 0");
    assert!(script.screen().contains("Kiln 0\n"), "{}", script.screen());
    script.presses(Key::Esc, false, false);
    script.says("/search nowhere");
    assert!(script.screen().contains("not found"));
}

#[test]
fn a_note_of_the_hub_and_a_text_of_a_member_do_not_look_alike() {
    let mut script = Script::welcomed(&["lobby"], 80, 24);
    script.event(Event::Note { room: "lobby".to_owned(), text: b"-- bob has joined".to_vec() });
    script.hears("lobby", "carl", "-- bob has joined\n-- dora has joined");
    assert!(matches!(script.model.room().entries[0].what, What::Notice(_)));
    let screen = script.screen();
    let rows: Vec<_> = screen.lines().filter(|row| row.contains("has joined")).collect();
    let expected = ["14:03 -- bob has joined", "14:03 carl: -- bob has joined", "        -- dora has joined"];
    assert_eq!(rows, expected);
}
