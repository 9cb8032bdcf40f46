//! Lists asked of a real hub over a network that loses, doubles and delays, and of hubs that lie.

use super::*;
use crate::config;
use crate::core::limits::DATAGRAM_MAX;
use crate::core::{Datagram, ListenerId, Now, Outbox, Path};
use crate::services::Service;
use crate::services::chat::{Hosts, Hub};
use std::net::SocketAddr;

const START: Instant = Instant::from_nanos(1_000_000_000_000);

/// A hub, a client, and what is between them.
struct World {
    hub: Hub,
    listing: Listing,
    mono: Instant,
    random: SplitMix,
    /// Datagrams in a hundred that are lost; as many are doubled.
    trouble: u64,
    /// On their way: when they arrive, whether at the hub.
    flying: Vec<(Instant, bool, Vec<u8>)>,
    asked: usize,
}

fn hub(seed: u128) -> Hub {
    let config = config::Chat { max_members: 5_000, max_members_per_address: 5_000, ..config::Chat::default() };
    Hub::new(&config, "belfry.lan", Hosts::default(), Seed(seed))
}

impl World {
    fn new(seed: u128, trouble: u64) -> Self {
        let (listing, random) = (Listing::new(Seed(seed)), SplitMix::new(Seed(seed + 1)));
        Self { hub: hub(1), listing, mono: START, random, trouble, flying: Vec::new(), asked: 0 }
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, wall: jiff::Timestamp::UNIX_EPOCH }
    }

    /// What the hub says to a datagram from this port of one host.
    fn hear(&mut self, port: u16, payload: &[u8]) -> Vec<Vec<u8>> {
        let path = Path::to(ListenerId(0), SocketAddr::from(([192, 0, 2, 1], port)));
        let mut out = Outbox::default();
        let now = self.now();
        self.hub.handle_datagram(&now, &Datagram::unicast(path, payload), &mut out);
        self.hub.finish_turn(&mut out);
        out.pending().filter(|(to, _)| to.remote.port() == port).map(|(_, bytes)| bytes.to_vec()).collect()
    }

    fn fill(&mut self, room: &str, ports: std::ops::Range<u16>) {
        ports.for_each(|port| drop(self.hear(port, format!("/join {room}").as_bytes())));
    }

    fn send(&mut self, to_hub: bool, bytes: &[u8]) {
        let copies = match self.random.below(100) {
            chance if chance < self.trouble => 0,
            chance if chance < 2 * self.trouble => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = Duration::from_millis(1 + self.random.below(if self.trouble > 0 { 400 } else { 5 }));
            self.flying.push((self.mono + delay, to_hub, bytes.to_vec()));
        }
    }

    /// Goes on until there is an answer, and does something each time that something arrives.
    fn answer(&mut self, mut meanwhile: impl FnMut(&mut Self)) -> Result<List, ListError> {
        let until = self.mono + Duration::from_secs(600);
        loop {
            let mono = self.mono;
            self.listing.handle_timeout(mono);
            while let Some(datagram) = self.listing.poll_datagram(mono) {
                assert!(datagram.len() <= DATAGRAM_MAX);
                self.asked += 1;
                self.send(true, &datagram);
            }
            if let Some(answer) = self.listing.poll() {
                return answer;
            }
            self.flying.sort_by_key(|(due, ..)| *due);
            let arrival = self.flying.first().map(|(due, ..)| *due);
            self.mono =
                arrival.into_iter().chain(self.listing.next_timeout()).min().expect("something is to come").max(mono);
            assert!(self.mono < until, "no answer");
            if arrival.is_some_and(|due| due <= self.mono) {
                let (_, to_hub, bytes) = self.flying.remove(0);
                meanwhile(self);
                if to_hub {
                    self.hear(60_000, &bytes).iter().for_each(|answer| self.send(false, answer));
                } else {
                    let mono = self.mono;
                    self.listing.handle_datagram(mono, &bytes);
                }
            }
        }
    }
}

fn of(room: &str) -> Wanted {
    Wanted::Members(room.to_owned())
}

fn names(list: &List) -> Vec<&str> {
    match &list.entries {
        Entries::Rooms(rooms) => rooms.iter().map(|room| room.name.as_str()).collect(),
        Entries::Members(members) => members.iter().map(|member| member.name.as_str()).collect(),
    }
}

#[test]
fn a_list_costs_a_question_for_the_token_and_one_for_each_page() {
    let mut world = World::new(1, 0);
    world.fill("lab", 10_000..10_100);
    world.hear(10_005, b"/away lunch break");
    world.hear(10_005, b"/topic what is cooking");
    world.listing.ask(of("LAB"), world.mono).expect("a room name");
    let list = world.answer(|_| {}).expect("a list");
    assert_eq!((list.total, names(&list).len(), world.asked), (100, 100, 4));
    let Entries::Members(members) = &list.entries else { panic!("{list:?}") };
    let away = MemberEntry {
        name: "192.0.2.1-10005".to_owned(),
        is_away: true,
        away_text: Some("lunch break".to_owned()),
        in_reach: true,
        idle: Some(Duration::ZERO),
    };
    assert_eq!(members[5], away);
    assert_eq!((members[6].is_away, &members[6].away_text), (false, &None));
    // The token is good for the next.
    world.listing.ask(Wanted::Rooms, world.mono).expect("it can be asked");
    let list = world.answer(|_| {}).expect("a list");
    assert_eq!(world.asked, 5);
    let topic = Some("what is cooking".to_owned());
    let lab = RoomEntry { name: "lab".to_owned(), members: 100, topic };
    assert_eq!(list, List { wanted: Wanted::Rooms, total: 1, entries: Entries::Rooms(vec![lab]) });
}

#[test]
fn whatever_the_network_does_everybody_is_in_the_list_once() {
    for seed in 0..40 {
        let mut world = World::new(seed, 20);
        world.fill("lab", 10_000..10_400);
        world.listing.ask(of("lab"), world.mono).expect("a room name");
        world.listing.ask(Wanted::Rooms, world.mono).expect("it can be asked");
        let list = world.answer(|_| {}).expect("a list");
        let expected: Vec<String> = (10_000..10_400).map(|port| format!("192.0.2.1-{port}")).collect();
        assert_eq!(names(&list), expected, "seed {seed}");
        assert_eq!(names(&world.answer(|_| {}).expect("a list")), ["lab"], "seed {seed}");
    }
}

#[test]
fn who_was_there_all_the_time_is_in_the_list_whoever_comes_and_goes_and_whatever_happens_to_the_hub() {
    for seed in 0..20 {
        let mut world = World::new(seed, 20);
        world.fill("lab", 10_000..10_300);
        world.listing.ask(of("lab"), world.mono).expect("a room name");
        let mut count = 0;
        let list = world.answer(|world| {
            count += 1;
            world.fill("lab", 20_000 + count..20_001 + count);
            world.hear(20_000 + count / 2, b"quit");
            if count == 20 {
                // Another hub, which knows no token of the last one.
                world.hub = hub(2);
                world.fill("lab", 10_000..10_300);
            }
        });
        let list = list.expect("a list");
        let names = names(&list);
        let there: Vec<_> = names.iter().filter(|name| name.starts_with("192.0.2.1-10")).collect();
        assert_eq!(there.len(), 300, "seed {seed}");
        assert!(names.is_sorted(), "seed {seed}");
    }
}

#[test]
fn what_cannot_be_had_is_an_error_and_the_next_question_is_asked() {
    let mut world = World::new(1, 0);
    world.fill("lab", 10_000..10_001);
    for bad in ["", "a b", "a^", "a=b", "a\n", &"x".repeat(65)] {
        assert_eq!(world.listing.ask(of(bad), world.mono), Err(ListError::BadName), "{bad:?}");
    }
    world.listing.ask(of("nowhere"), world.mono).expect("a room name");
    world.listing.ask(of("lab"), world.mono).expect("a room name");
    assert_eq!(world.answer(|_| {}), Err(ListError::NoSuchRoom));
    assert_eq!(names(&world.answer(|_| {}).expect("a list")), ["192.0.2.1-10000"]);
    world.listing.ask(of("lab"), world.mono).expect("a room name");
    world.listing.handle_datagram(world.mono, b"? no frame that a hub knows: \x1b\n");
    let refused = ListError::Refused("no frame that a hub knows: \x1b".to_owned());
    assert_eq!(world.listing.poll(), Some(Err(refused)));
}

#[test]
fn so_many_questions_wait_and_not_one_more_and_none_is_asked_twice() {
    let mut listing = Listing::new(Seed(1));
    for number in 0..=WAITING_MAX {
        assert_eq!(listing.ask(of(&number.to_string()), START), Ok(()), "one is asked, the others wait");
    }
    assert_eq!(listing.ask(of("7"), START), Ok(()));
    assert_eq!(listing.ask(of("one-more"), START), Err(ListError::Full));
}

#[test]
fn whoever_needs_a_few_asks_for_no_more_pages_than_have_them() {
    let mut listing = Listing::new(Seed(1)).keeping(3);
    listing.ask(of("lab"), START).expect("a room name");
    let page = "^members lab count=900 next=c mark=MARK len=14^a here\nb here\n";
    assert!(lie(&mut listing, START, page).is_some());
    let page = "^members lab count=900 next=e mark=MARK len=14^c here\nd here\n";
    assert!(lie(&mut listing, START, page).is_some());
    assert_eq!(lie(&mut listing, START, ""), None, "it has asked for two pages");
    let list = listing.poll().expect("an answer").expect("a list");
    assert_eq!((names(&list), list.total), (vec!["a", "b", "c"], 900));
}

/// What a client asks next, answered by a hub that says this in the place of `MARK`.
fn lie(listing: &mut Listing, now: Instant, answer: &str) -> Option<String> {
    let asked = String::from_utf8(listing.poll_datagram(now)?).expect("text");
    let mark = asked.split(" mark=").nth(1).and_then(|rest| rest.split(['^', ' ']).next()).expect("it has one");
    listing.handle_datagram(now, answer.replace("MARK", mark).as_bytes());
    Some(asked)
}

#[test]
fn a_question_is_repeated_after_a_quarter_of_a_second_and_then_twice_as_long_and_never_for_a_token_that_is_known() {
    let (mut listing, mut now) = (Listing::new(Seed(1)), START);
    listing.ask(Wanted::Rooms, now).expect("it can be asked");
    for wait in [250, 500, 1_000, 2_000, 3_000, 3_000] {
        assert!(listing.poll_datagram(now).is_some());
        assert_eq!(listing.poll_datagram(now), None);
        let due = listing.next_timeout().expect("it is repeated");
        assert_eq!(due.since(now), Duration::from_millis(wait));
        listing.handle_timeout(due - Duration::from_nanos(1));
        assert_eq!(listing.poll_datagram(now), None);
        now = due;
        listing.handle_timeout(now);
    }
    // A hub, or somebody who forges its address, that answers with one token after the other.
    let mut asked = 0;
    while asked < 10 && lie(&mut listing, now, &format!("^token {asked:016x}^")).is_some() {
        asked += 1;
    }
    assert_eq!(asked, 1 + TOKENS_MAX);
    assert_eq!(lie(&mut listing, now, ""), None);
}

#[test]
fn a_hub_that_lies_is_believed_no_longer_than_the_bounds_say() {
    // A list that does not end.
    let (mut listing, mut pages) = (Listing::new(Seed(1)), 0);
    listing.ask(of("lab"), START).expect("a room name");
    while lie(&mut listing, START, "^members lab count=9 next=a mark=MARK len=0^").is_some() {
        pages += 1;
    }
    assert_eq!((pages, listing.poll().map(|answer| answer.map(|list| names(&list).len()))), (PAGES_MAX, Some(Ok(0))));
    // More than anybody reads.
    listing.ask(of("lab"), START).expect("a room name");
    let mut count = 0;
    loop {
        let text: String = (0..100).map(|line| format!("m{} here\n", count * 100 + line)).collect();
        let page = format!("^members lab count=4 next=z mark=MARK len={}^{text}", text.len());
        if lie(&mut listing, START, &page).is_none() {
            break;
        }
        count += 1;
    }
    let list = listing.poll().expect("an answer").expect("a list");
    assert_eq!(names(&list).len(), ENTRIES_MAX);
    // What is for another question, and what is none of a list.
    listing.ask(of("lab"), START).expect("a room name");
    for page in
        ["^members lab count=1 mark=0 len=7^a here\n", "^members lab count=1 len=7^a here\n", "^rooms mark=MARK len=0^"]
    {
        lie(&mut listing, START, page);
        listing.handle_timeout(listing.next_timeout().expect("it is asked again"));
        assert_eq!(listing.poll(), None, "{page}");
    }
    let text = format!("\n =\nbob\n{}\nanna away idle=x text=a text=b\n", "x".repeat(LINE_LEN_MAX + 1));
    lie(&mut listing, START, &format!("^members lab count=x mark=MARK len={}^{text}", text.len()));
    let list = listing.poll().expect("an answer").expect("a list");
    assert_eq!(names(&list), ["anna", "bob"]);
    let Entries::Members(members) = list.entries else { panic!() };
    assert_eq!((members[0].away_text.as_deref(), members[0].idle), (Some("a text=b"), None));
}
