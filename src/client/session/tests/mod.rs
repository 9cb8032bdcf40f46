//! Scripts: what the hub says and how much time passes; exactly these datagrams and events come of it.

mod requests;
mod streams;

use super::*;
use crate::core::frame::Epoch;

/// What every datagram of the session `00000000000000aa` begins with.
const AS: &str = "^as 00000000000000aa^";

const WELCOME: &str = "^welcome 1 session=00000000000000aa name=anna heartbeat=3000 last=0 max=1024 \
                       at=lobby/00000001/7 at=@/00000002/0^";

struct Script {
    session: Session,
    now: Instant,
}

impl Script {
    fn new(options: &Options) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        Self { session: Session::new(options, Seed(1), now).unwrap(), now }
    }

    /// One that has been welcomed, whose first heartbeat is over.
    fn welcomed() -> Self {
        let mut script = Self::new(&Options::default());
        script.sent();
        script.hears(WELCOME);
        script.wait(300);
        script.events();
        script
    }

    /// What is to be sent; the token of the handshake as `START`, what each begins with as `AS`.
    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(datagram) = self.session.poll_datagram(self.now) {
            assert!(datagram.len() <= DATAGRAM_MAX);
            let text = String::from_utf8(datagram).unwrap();
            sent.push(text.replace(&format!("start={}", self.session.start), "START").replace(AS, "AS"));
        }
        sent
    }

    /// The hub says so; what is sent at once.
    fn hears(&mut self, datagram: &str) -> Vec<String> {
        self.session.handle_datagram(self.now, datagram.as_bytes());
        self.sent()
    }

    /// What is sent in so many milliseconds of silence.
    fn wait(&mut self, millis: u64) -> Vec<String> {
        let until = self.now + Duration::from_millis(millis);
        let mut sent = Vec::new();
        while let Some(at) = self.session.next_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            assert!(self.session.next_timeout().is_none_or(|next| next > self.now), "the next deadline lies ahead");
            sent.extend(self.sent());
        }
        self.now = until;
        sent
    }

    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_event()).map(|event| shown(&event)).collect()
    }

    fn say(&mut self, text: &str) -> RequestId {
        self.session.say(Audience::Room(Some("lobby")), false, text.as_bytes()).unwrap()
    }
}

fn shown(event: &Event) -> String {
    match event {
        Event::Message(Message { room, epoch, number, from, is_me, text, .. }) => {
            let does = if *is_me { " does" } else { "" };
            format!("{room}/{}/{number} {from}{does}: {}", epoch.0, text.escape_ascii())
        }
        Event::Refused { id, code, text } => {
            let id = id.map_or("-".to_owned(), |id| id.to_string());
            format!("Refused {id} {code}: {}", text.escape_ascii())
        }
        Event::Note { room, text } => format!("Note {room}: {}", text.escape_ascii()),
        Event::Answer { id, text } => format!("Answer {id:?}: {}", text.escape_ascii()),
        Event::Lost { room, epoch, first, count } => format!("Lost {room}/{}/{first} {count}", epoch.0),
        Event::Joined { room, epoch, number } => format!("Joined {room}/{}/{number}", epoch.0),
        Event::Anew { room, epoch, number } => format!("Anew {room}/{}/{number}", epoch.0),
        event => format!("{event:?}"),
    }
}

fn message(number: u64) -> String {
    epoch_message(1, number)
}

fn epoch_message(epoch: u32, number: u64) -> String {
    let text = format!("m{number}");
    format!("^msg lobby/{}/{number} bob time=5 len={}^{text}", Epoch(epoch), text.len())
}

const NOTHING: [&str; 0] = [];

// ---- coming in ----

#[test]
fn what_was_said_before_we_came_is_asked_for_and_comes_in_order_and_what_is_gone_is_no_loss() {
    let mut script = Script::new(&Options { back: 3, ..Options::default() });
    script.sent();
    script.hears(WELCOME);
    assert_eq!(script.events()[1..], ["Joined lobby/1/4"], "not the welcome");
    assert_eq!(script.wait(100), ["AS^want lobby/00000001/5-7^"]);
    // Somebody says something before the earlier ones are there.
    script.hears(&[message(8), message(7)].concat());
    assert_eq!(script.events(), NOTHING);
    script.hears(&["^gone lobby/00000001/5^".to_owned(), message(6)].concat());
    assert_eq!(script.events(), ["lobby/1/6 bob: m6", "lobby/1/7 bob: m7", "lobby/1/8 bob: m8"]);
    let Figures { repaired, lost, .. } = script.session.figures();
    assert_eq!((repaired, lost, script.session.gap_count()), (0, 0, 0));
    let is_earlier = |epoch, number| {
        let (room, from, text) = ("lobby".to_owned(), "bob".to_owned(), Vec::new());
        script.session.is_earlier(&Message { room, epoch: Epoch(epoch), number, from, is_me: false, time: 0, text })
    };
    assert_eq!([(1, 7), (1, 8), (2, 7)].map(|(epoch, number)| is_earlier(epoch, number)), [true, false, false]);
    // What is missed from now on is a loss.
    script.hears(&message(10));
    script.hears("^gone lobby/00000001/9^");
    assert_eq!(script.events(), ["Lost lobby/1/9 1", "lobby/1/10 bob: m10"]);
}

#[test]
fn whoever_comes_back_into_a_room_gets_what_was_said_meanwhile_but_nothing_twice() {
    let mut script = Script::new(&Options { back: 100, ..Options::default() });
    script.sent();
    script.hears(&WELCOME.replace("lobby/00000001/7", "lobby/00000001/7 at=lab/00000003/2"));
    script.wait(100);
    script.hears("^gone lobby/00000001/1-7^^gone lab/00000003/1-2^");
    script.session.leave("lobby").unwrap();
    script.sent();
    script.hears("^ack 1^");
    script.session.join("lobby").unwrap();
    script.sent();
    script.events();
    script.hears("^joined 2 lobby/00000001/9^");
    assert_eq!(script.events(), ["Done(RequestId(2))", "Joined lobby/1/7"]);
    assert!(script.wait(100).iter().any(|sent| sent.contains("want lobby/00000001/8-9^")));
}

#[test]
fn a_hello_is_answered_by_a_token_that_with_a_token_by_a_welcome_and_a_heartbeat_follows() {
    let rooms = vec![
        Wanted { room: "lobby".to_owned(), from: None },
        Wanted { room: "lab".to_owned(), from: Some((Epoch(0xab), 18)) },
    ];
    let mut script = Script::new(&Options { name: Some("anna".to_owned()), rooms, ..Options::default() });
    let hello = "^hello 1 START name=anna at=lobby at=lab/000000ab/18^";
    assert_eq!(script.sent(), [hello]);
    assert_eq!(script.wait(260), [hello], "it may be lost");
    let proved = "^hello 1 START name=anna at=lobby at=lab/000000ab/18 token=t0k3n^";
    assert_eq!(script.hears("^token t0k3n^"), [proved]);
    assert_eq!(script.hears("^token t0k3n^"), NOTHING, "the second copy of the first hello");
    assert_eq!(script.hears("^token other^"), NOTHING, "one hello for each time that it is due");
    let welcome = "^welcome 1 session=00000000000000aa name=anna-2 heartbeat=3000 last=0 max=1024 \
                   at=lobby/00000001/7 at=lab/000000ab/12 at=@/00000002/0^";
    assert_eq!(script.hears(welcome), NOTHING);
    assert_eq!(script.hears(welcome), NOTHING, "it may come twice");
    let joined = ["Joined lobby/1/7", "Joined lab/171/18"];
    assert_eq!(script.events(), [&["Welcomed { name: \"anna-2\", is_new: true }"][..], &joined].concat());
    assert_eq!(
        script.wait(300),
        ["AS^hb lobby/00000001/7 lab/000000ab/18 @/00000002/0^"],
        "where we are is for us to say"
    );
}

#[test]
fn without_an_answer_hellos_become_seldom_and_do_not_end() {
    let mut script = Script::new(&Options::default());
    script.sent();
    let counts = [1_000, 9_000, 60_000].map(|millis| script.wait(millis).len());
    assert!(counts[0] >= 1 && counts[1] >= 3 && (12..=16).contains(&counts[2]), "{counts:?}");
    assert_eq!(script.events(), NOTHING, "nobody was connected who could be disconnected");
    script.hears(WELCOME);
    assert_eq!(script.events()[0], "Welcomed { name: \"anna\", is_new: true }");
}

#[test]
fn a_hub_without_place_is_asked_again_and_one_of_another_version_is_not() {
    let mut script = Script::new(&Options::default());
    script.sent();
    let ours = format!("start={}", script.session.start);
    for forged in ["^bye full^", "^bye version^", "^bye version start=0^"] {
        script.hears(forged);
        assert_eq!(script.events(), NOTHING, "only who has heard our hello knows what we begin with");
    }
    script.hears(&format!("^bye full {ours}^"));
    script.hears(&format!("^bye full {ours}^"));
    assert_eq!(script.events(), ["Full"]);
    assert_eq!(script.wait(260).len(), 1);
    script.hears(&format!("^bye version {ours}^"));
    assert_eq!((script.events(), script.wait(60_000)), (vec!["Closed(Version)".to_owned()], vec![]));
    assert_eq!(script.session.next_timeout(), None);
    assert_eq!(script.session.join("lab"), Err(Unfit::Closed));
}

#[test]
fn a_name_that_changes_is_told_and_is_the_one_that_we_would_like() {
    let mut script = Script::welcomed();
    script.hears(&WELCOME.replace("anna", "zoe"));
    assert_eq!(script.events(), ["Renamed { name: \"zoe\" }"]);
    script.session.handle_address_change(script.now);
    assert_eq!(script.sent(), ["AS^hello 1 START name=zoe at=lobby/00000001/7^"]);
}

// ---- coming back ----

#[test]
fn a_token_in_answer_to_anything_has_the_session_continued_and_all_in_flight_repeated() {
    let mut script = Script::welcomed();
    script.say("a");
    script.sent();
    assert_eq!(script.hears("^token t1^"), NOTHING, "it is late, and of the handshake");
    script.wait(1_000);
    assert_eq!(script.hears("^token t2^"), ["AS^hello 1 START at=lobby/00000001/7 token=t2^"]);
    script.say("b");
    assert_eq!(script.sent(), NOTHING);
    let welcome = WELCOME.replace("last=0", "last=1");
    assert_eq!(script.hears(&welcome), ["AS^say 2 lobby after=1 len=1^b"]);
    assert_eq!(script.events(), ["Done(RequestId(1))", "Welcomed { name: \"anna\", is_new: false }"]);
}

#[test]
fn after_three_silent_heartbeats_we_ask_and_after_three_hellos_our_user_knows() {
    let mut script = Script::welcomed();
    let beats = script.wait(8_600);
    assert!((2..=3).contains(&beats.len()) && beats.iter().all(|sent| sent.contains("^hb")), "{beats:?}");
    assert!(script.wait(150).contains(&"AS^hello 1 START at=lobby/00000001/7^".to_owned()));
    assert_eq!(script.events(), NOTHING);
    script.wait(2_000);
    assert_eq!(script.events(), ["Disconnected"]);
    script.wait(60_000);
    script.hears(WELCOME);
    assert_eq!(script.events(), ["Welcomed { name: \"anna\", is_new: false }"]);
    assert_eq!(script.wait(300), ["AS^hb lobby/00000001/7 @/00000002/0^"]);
}

#[test]
fn a_closed_port_is_told_at_once_and_asked_again_in_a_moment() {
    let mut script = Script::welcomed();
    script.session.handle_unreachable(script.now);
    script.session.handle_unreachable(script.now);
    assert_eq!(script.events(), ["Disconnected"]);
    assert_eq!(script.sent(), NOTHING);
    assert_eq!(script.wait(260), ["AS^hello 1 START at=lobby/00000001/7^"]);
}

#[test]
fn a_lost_session_is_begun_anew_and_what_was_in_flight_is_unconfirmed() {
    let mut script = Script::welcomed();
    script.hears(&message(8));
    for at in 0..33 {
        script.say(&format!("{at}"));
    }
    script.sent();
    script.wait(1_000);
    script.events();
    assert_eq!(script.hears("^bye unknown session=00000000000000ab^"), NOTHING, "another's");
    let hello = "^hello 1 START at=lobby/00000001/8^";
    assert_eq!(script.hears("^bye unknown session=00000000000000aa^"), [hello]);
    assert_eq!(script.events(), (1..=32).map(|id| format!("Unconfirmed(RequestId({id}))")).collect::<Vec<_>>());
    assert_eq!(script.hears(WELCOME), NOTHING, "a late one, of the lost session");
    let welcome = "^welcome 1 session=00000000000000bb name=anna heartbeat=3000 last=0 max=1024 \
                   at=lobby/00000001/8 at=@/00000003/0^";
    // Numbers go on, so that a late acknowledgement means nothing.
    let say = "^as 00000000000000bb^^say 33 lobby after=0 len=2^32";
    assert_eq!(script.hears(welcome), [say]);
    script.hears("^ack 5^^ack 32^^ack 0^");
    assert_eq!(script.session.request_count(), 1);
    script.hears("^ack 33^");
    let events = ["Welcomed { name: \"anna\", is_new: true }", "Joined lobby/1/8", "Done(RequestId(33))"];
    assert_eq!(script.events(), events);
}

#[test]
fn a_welcome_to_another_session_says_that_ours_is_lost_and_in_which_rooms_we_are() {
    let mut script = Script::welcomed();
    script.say("a");
    script.session.join("lab").unwrap();
    script.sent();
    script.hears("^joined 2 lab/00000005/3^");
    script.say("b");
    script.sent();
    script.session.handle_address_change(script.now);
    assert_eq!(script.sent(), ["AS^hello 1 START at=lobby/00000001/7 at=lab/00000005/3^"]);
    script.events();
    script.hears("^welcome 1 session=00000000000000bb name=x heartbeat=3000 last=0 max=9 at=lobby/00000001/9^");
    let events = [
        "Unconfirmed(RequestId(3))",
        "Welcomed { name: \"x\", is_new: true }",
        "Joined lobby/1/7",
        "Left { room: \"lab\" }",
    ];
    assert_eq!(script.events(), events);
    assert_eq!(script.session.positions().map(|at| at.to_string()).collect::<Vec<_>>(), ["lobby/00000001/7"]);
}

// ---- going ----

#[test]
fn a_goodbye_is_repeated_until_it_is_answered() {
    let mut script = Script::welcomed();
    script.say("a");
    script.sent();
    script.say("b");
    script.session.bye(script.now);
    script.session.bye(script.now);
    assert_eq!(script.events(), ["Unconfirmed(RequestId(1))", "Unsent(RequestId(2))"]);
    assert_eq!(script.sent(), ["AS^bye^"]);
    assert_eq!(script.wait(260), ["AS^bye^"]);
    script.hears(&message(8));
    script.hears("^token t^^bye left session=00000000000000ab^");
    assert_eq!(script.events(), NOTHING);
    let mut other = Script { session: script.session.clone(), now: script.now };
    script.hears("^bye left session=00000000000000aa^^ack 1^");
    assert_eq!((script.events(), script.wait(60_000)), (vec!["Closed(Left)".to_owned()], vec![]));
    assert_eq!(other.wait(60_000), ["AS^bye^", "AS^bye^"]);
    assert_eq!(other.events(), ["Closed(Unanswered)"]);
}

#[test]
fn whoever_is_removed_by_the_operator_does_not_come_back_by_itself() {
    let mut script = Script::welcomed();
    script.hears("^bye kicked^^bye kicked session=00000000000000ab^");
    assert_eq!(script.events(), NOTHING);
    script.hears("^bye kicked session=00000000000000aa^");
    assert_eq!((script.events(), script.wait(60_000)), (vec!["Closed(Kicked)".to_owned()], vec![]));
}

#[test]
fn a_caller_who_takes_no_events_is_told_nothing_that_does_not_come_again() {
    let mut script = Script::welcomed();
    for number in 8..8 + 2 * EVENTS_MAX as u64 {
        script.hears(&message(number));
    }
    assert_eq!(script.session.join("lab"), Err(Unfit::Full));
    assert_eq!(script.events().len(), EVENTS_MAX);
    script.hears(&message(8 + EVENTS_MAX as u64));
    assert_eq!(script.events().len(), 1);
}

#[test]
fn heartbeats_are_sent_at_once_when_they_are_wanted_and_counted_with_their_answers() {
    let mut script = Script::new(&Options::default());
    let now = script.now;
    assert!(!script.session.beat(now), "the hub does not know us");
    let mut script = Script::welcomed();
    script.wait(300);
    let before = script.session.heartbeats();
    let now = script.now;
    assert!(script.session.beat(now));
    assert_eq!(script.sent(), ["AS^hb lobby/00000001/7 @/00000002/0^"]);
    script.wait(20);
    script.hears("^at lobby/00000001/7^");
    assert_eq!(script.session.heartbeats().answered, before.answered, "that a room has fallen silent is no answer");
    script.hears("^at lobby/00000001/7 @/00000002/0^");
    script.hears("^at lobby/00000001/7 @/00000002/0^");
    let after = script.session.heartbeats();
    assert_eq!((after.sent - before.sent, after.answered - before.answered), (1, 1));
    assert_eq!(after.round_trip, Some(Duration::from_millis(20)));
}
