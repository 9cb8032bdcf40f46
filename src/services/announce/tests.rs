//! Scripts of the announcer: a moment and an input, then everything that it sends, in order.

use super::*;
use proptest::prelude::*;

const V4: ListenerId = ListenerId(4);
const V6: ListenerId = ListenerId(6);
const FULL: &str = "belfry/1 host=workshop time=8080 chat=9999 heartbeat=3s version=0.1.0";

fn facts() -> Facts {
    Facts {
        host: "workshop".to_owned(),
        version: "0.1.0".to_owned(),
        services: vec![("time".to_owned(), 8080), ("chat".to_owned(), 9999)],
        heartbeat_interval: Some(Duration::from_secs(3)),
    }
}

fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|net| net.parse().unwrap()).collect();
    let loopback = name == "lo";
    Interface { index, name: name.to_owned(), up: true, multicast: true, loopback, addresses, peers: Vec::new() }
}

fn loopback() -> Interface {
    interface(1, "lo", &["127.0.0.1/8", "::1/128"])
}

fn ethernet() -> Interface {
    interface(2, "eth0", &["192.0.2.1/24", "fe80::1/64"])
}

fn now(millis: u64) -> Now {
    Now { mono: Instant::from_nanos(millis * 1_000_000), wall: jiff::Timestamp::UNIX_EPOCH }
}

/// An announcer and what it has sent, one line for each datagram: socket, interface, our address, theirs, text.
struct Script {
    announcer: Announcer,
    out: Outbox,
}

impl Script {
    /// With both sockets, and in no group yet.
    fn new(config: &config::Announce) -> Self {
        let mut announcer = Announcer::new(config, facts(), Seed(7));
        announcer.set_listeners(&[(V4, "0.0.0.0:8001".parse().unwrap()), (V6, "[::]:8001".parse().unwrap())]);
        Self { announcer, out: Outbox::default() }
    }

    /// On the loopback interface and one other, with the announcements of the start behind it.
    fn started(config: &config::Announce) -> Self {
        let mut script = Self::new(config);
        let _ = script.announcer.set_interfaces(&now(0), &[loopback(), ethernet()], &mut script.out);
        script.timeout(1_000);
        script.sent();
        script
    }

    fn interfaces(&mut self, millis: u64, interfaces: &[Interface]) -> Vec<String> {
        let memberships = self.announcer.set_interfaces(&now(millis), interfaces, &mut self.out);
        listed(&memberships)
    }

    fn timeout(&mut self, millis: u64) {
        self.announcer.handle_timeout(&now(millis), &mut self.out);
    }

    fn receive(&mut self, millis: u64, datagram: &Datagram<'_>) -> Verdict {
        self.announcer.handle_datagram(&now(millis), datagram, &mut self.out)
    }

    /// The next timeout, rounded up to a millisecond.
    fn due(&self) -> Option<u64> {
        self.announcer.next_timeout().map(|due| due.as_nanos().div_ceil(1_000_000))
    }

    fn sent(&mut self) -> Vec<String> {
        let line = |(path, bytes): (&Path, &[u8])| {
            let local = path.local.map_or("*".to_owned(), |local| local.to_string());
            format!("{} if{} {local} > {} {}", path.listener.0, path.interface, path.remote, bytes.escape_ascii())
        };
        let lines: Vec<_> = self.out.pending().map(line).collect();
        self.out.advance(lines.len());
        lines
    }
}

fn listed(memberships: &Memberships) -> Vec<String> {
    let list = |sign: &'static str, all: &[Membership]| -> Vec<String> {
        all.iter().map(|one| format!("{sign} {} if{} {}", one.listener.0, one.interface, one.group)).collect()
    };
    [list("leave", &memberships.leave), list("join", &memberships.join)].concat()
}

fn from_group<'a>(remote: &str, arrived_on: u32, payload: &'a [u8]) -> Datagram<'a> {
    let remote: SocketAddr = remote.parse().unwrap();
    let listener = if remote.is_ipv4() { V4 } else { V6 };
    Datagram { arrived_on, multicast: true, ..Datagram::unicast(Path::to(listener, remote), payload) }
}

fn announced(verb: &str) -> Vec<String> {
    let rest = if verb == "Goodbye" { "belfry/1 host=workshop" } else { FULL };
    vec![
        format!("4 if1 127.0.0.1 > 224.0.0.1:8001 {verb} {rest}"),
        format!("4 if2 * > 224.0.0.1:8001 {verb} {rest}"),
        format!("6 if2 * > [ff02::1%2]:8001 {verb} {rest}"),
    ]
}

#[test]
fn it_announces_itself_when_it_starts_and_a_second_later_and_every_interval_and_when_it_stops() {
    let mut script = Script::new(&config::Announce::default());
    assert_eq!(script.due(), None);
    let joined = script.interfaces(0, &[loopback(), ethernet()]);
    assert_eq!(joined, ["join 4 if1 224.0.0.1", "join 4 if2 224.0.0.1", "join 6 if2 ff02::1"]);
    assert_eq!(script.sent(), announced("Announce"));

    assert_eq!(script.due(), Some(1_000));
    script.timeout(999);
    assert_eq!(script.sent(), [""; 0]);
    script.timeout(1_000);
    assert_eq!(script.sent(), announced("Announce"));

    for round in 1..=3 {
        let due = script.due().unwrap();
        assert!((54_000 * round..=60_000 * round + round).contains(&due), "{round}: {due}");
        script.timeout(due);
        assert_eq!(script.sent(), announced("Announce"), "{round}");
    }

    let left = script.announcer.goodbye(&mut script.out);
    assert_eq!(listed(&left), ["leave 4 if1 224.0.0.1", "leave 4 if2 224.0.0.1", "leave 6 if2 ff02::1"]);
    assert_eq!(script.sent(), announced("Goodbye"));
    assert_eq!(script.due(), None);
}

#[test]
fn an_interval_of_zero_says_nothing_unasked() {
    let mut script = Script::new(&config::Announce { interval: Duration::ZERO, ..config::Announce::default() });
    assert_eq!(script.interfaces(0, &[loopback(), ethernet()]).len(), 3);
    assert_eq!((script.sent(), script.due()), (vec![], None));
    assert_eq!(script.receive(5, &from_group("192.0.2.9:4000", 2, b"Notify")), Verdict::Answered);
    script.timeout(script.due().unwrap());
    assert_eq!(script.sent(), [format!("4 if0 * > 192.0.2.9:4000 Acknowlege {FULL}")]);
    assert_eq!(script.due(), None);
    assert_eq!(listed(&script.announcer.goodbye(&mut script.out)).len(), 3);
    assert_eq!(script.sent(), [""; 0]);
}

#[test]
fn an_interface_is_announced_on_when_it_comes_up_and_for_each_family_when_that_has_an_address() {
    let mut script = Script::started(&config::Announce::default());
    let with = |wlan: &Interface| [loopback(), ethernet(), wlan.clone()];
    let bare = interface(3, "wlan0", &[]);
    assert_eq!(script.interfaces(2_000, &with(&Interface { up: false, ..bare.clone() })), [""; 0]);
    assert_eq!(script.interfaces(2_100, &with(&bare)), [""; 0]);
    assert_eq!(script.sent(), [""; 0]);

    let v6 = interface(3, "wlan0", &["fe80::3/64"]);
    assert_eq!(script.interfaces(2_200, &with(&v6)), ["join 6 if3 ff02::1"]);
    let on_v6 = format!("6 if3 * > [ff02::1%3]:8001 Announce {FULL}");
    assert_eq!(script.sent(), [on_v6.as_str()]);

    let both = interface(3, "wlan0", &["10.0.0.3/8", "fe80::3/64"]);
    assert_eq!(script.interfaces(2_300, &with(&both)), ["join 4 if3 224.0.0.1"]);
    let on_v4 = format!("4 if3 * > 224.0.0.1:8001 Announce {FULL}");
    assert_eq!(script.sent(), [on_v4.as_str()]);

    let renumbered = interface(3, "wlan0", &["10.0.0.4/8", "10.0.0.5/8", "fe80::3/64"]);
    assert_eq!(script.interfaces(2_400, &with(&renumbered)), [""; 0]);
    assert_eq!((script.sent(), script.due()), (vec![], Some(3_300)));
    script.timeout(3_300);
    assert_eq!(script.sent(), [on_v4, on_v6]);
}

#[test]
fn a_group_is_left_where_an_interface_goes_down_loses_its_addresses_or_vanishes() {
    let mut script = Script::started(&config::Announce::default());
    let down = Interface { up: false, ..ethernet() };
    assert_eq!(script.interfaces(2_000, &[loopback(), down]), ["leave 4 if2 224.0.0.1", "leave 6 if2 ff02::1"]);
    assert_eq!(script.interfaces(2_100, &[loopback(), ethernet()]).len(), 2);
    let v6 = interface(2, "eth0", &["fe80::1/64"]);
    assert_eq!(script.interfaces(2_200, &[loopback(), v6]), ["leave 4 if2 224.0.0.1"]);
    assert_eq!(script.interfaces(2_300, &[loopback()]), ["leave 6 if2 ff02::1"]);
    script.sent();
    script.timeout(script.due().unwrap());
    assert_eq!(script.sent(), [""; 0], "where it is gone from, nothing is repeated");
}

#[test]
fn globs_choose_the_interfaces() {
    let mut script = Script::new(&config::Announce::default());
    let docker = interface(5, "docker0", &["172.17.0.1/16"]);
    assert_eq!(script.interfaces(0, &[loopback(), docker.clone()]), ["join 4 if1 224.0.0.1"]);
    let config = config::Announce { interfaces: vec!["docker?".to_owned()], ..config::Announce::default() };
    let changed = script.announcer.reconfigure(&now(10), &config, &mut script.out);
    assert_eq!(listed(&changed), ["leave 4 if1 224.0.0.1", "join 4 if5 224.0.0.1"]);
    let question = from_group("172.17.0.9:4000", 1, b"Notify");
    assert_eq!(script.receive(20, &question), Verdict::Dropped(DropReason::NotForUs));
    assert_eq!(script.receive(20, &Datagram { arrived_on: 5, ..question }), Verdict::Answered);
}

#[test]
fn several_groups_are_taken_part_in_and_a_new_one_is_announced_to() {
    let mut script = Script::started(&config::Announce::default());
    let groups = ["239.1.2.3", "ff02::1", "ff05::8001"].map(|group| group.parse().unwrap()).to_vec();
    let config = config::Announce { groups, ..config::Announce::default() };
    let changed = script.announcer.reconfigure(&now(2_000), &config, &mut script.out);
    assert_eq!(
        listed(&changed),
        [
            "leave 4 if1 224.0.0.1",
            "leave 4 if2 224.0.0.1",
            "join 4 if1 239.1.2.3",
            "join 4 if2 239.1.2.3",
            "join 6 if2 ff05::8001",
        ]
    );
    assert_eq!(
        script.sent(),
        [
            format!("4 if1 127.0.0.1 > 239.1.2.3:8001 Announce {FULL}"),
            format!("4 if2 * > 239.1.2.3:8001 Announce {FULL}"),
            format!("6 if2 * > [ff05::8001%2]:8001 Announce {FULL}"),
        ]
    );
}

#[test]
fn a_socket_bound_to_one_address_takes_part_where_that_address_is() {
    let mut script = Script::new(&config::Announce::default());
    script.announcer.set_listeners(&[(V4, "127.0.0.2:9001".parse().unwrap())]);
    assert_eq!(script.interfaces(0, &[loopback(), ethernet()]), ["join 4 if1 224.0.0.1"]);
    assert_eq!(script.sent(), [format!("4 if1 * > 224.0.0.1:9001 Announce {FULL}")]);
    // A new socket has joined nothing, and the old one is closed: nothing is left by it.
    script.announcer.set_listeners(&[(V6, "192.0.2.1:9001".parse().unwrap())]);
    assert_eq!(script.interfaces(10, &[loopback(), ethernet()]), ["join 6 if2 224.0.0.1"]);
}

#[test]
fn a_question_to_the_group_is_answered_after_a_while_and_only_once() {
    let mut script = Script::started(&config::Announce::default());
    assert_eq!(script.receive(5_000, &from_group("192.0.2.9:4000", 2, b"Notify\n")), Verdict::Answered);
    assert_eq!(script.receive(5_001, &from_group("192.0.2.9:4000", 2, b"Notify")), Verdict::Answered);
    assert_eq!(script.receive(5_002, &from_group("[fe80::9%2]:4000", 2, b"Notify")), Verdict::Answered);
    assert_eq!(script.sent(), [""; 0]);
    let first = script.due().unwrap();
    assert!((5_020..=5_122).contains(&first), "{first}");
    script.timeout(5_019);
    assert_eq!(script.sent(), [""; 0]);
    script.timeout(5_122);
    let mut answers = script.sent();
    answers.sort();
    assert_eq!(
        answers,
        [
            format!("4 if0 * > 192.0.2.9:4000 Acknowlege {FULL}\\n"),
            format!("6 if2 * > [fe80::9%2]:4000 Acknowlege {FULL}"),
        ]
    );
    assert_eq!(script.receive(5_200, &from_group("192.0.2.9:4000", 2, b"Notify")), Verdict::Answered);
    script.timeout(5_400);
    assert_eq!(script.sent().len(), 1, "who asks again gets another");
}

#[test]
fn a_direct_question_is_answered_at_once_from_the_address_that_was_asked() {
    let mut script = Script::started(&config::Announce::default());
    let path = Path { local: Some([192, 0, 2, 1].into()), ..Path::to(V4, "192.0.2.9:4000".parse().unwrap()) };
    assert_eq!(script.receive(5_000, &from_group("192.0.2.9:4000", 2, b"Notify")), Verdict::Answered);
    assert_eq!(script.receive(5_001, &Datagram::unicast(path, b"Notify\r\n")), Verdict::Answered);
    assert_eq!(script.sent(), [format!("4 if0 192.0.2.1 > 192.0.2.9:4000 Acknowlege {FULL}\\n")]);
    script.timeout(5_200);
    assert_eq!(script.sent(), [""; 0], "that settled the question to the group");
}

#[test]
fn who_is_not_on_link_gets_what_its_question_pays_for_and_no_answer_by_way_of_a_group() {
    let mut script = Script::started(&config::Announce::default());
    let answer = |script: &mut Script, payload: &[u8]| {
        let path = Path::to(V4, "203.0.113.9:4000".parse().unwrap());
        let question = Datagram { on_link: false, ..Datagram::unicast(path, payload) };
        assert_eq!(script.receive(5_000, &question), Verdict::Answered);
        script.sent()
    };
    let shown = |line: &str| vec![format!("4 if0 * > 203.0.113.9:4000 Acknowlege {line}")];
    assert_eq!(answer(&mut script, b"Notify"), shown(FULL), "it is short enough");
    // "Acknowlege " and this are one byte more than 84 and three times six, and with seven bytes two less.
    let longer = FULL.replace("workshop", &"h".repeat(8 + 103 - 11 - FULL.len()));
    let host = longer.split(['=', ' ']).nth(2).unwrap().to_owned();
    script.announcer.set_facts(&now(5_000), Facts { host, ..facts() }, &mut script.out);
    script.sent();
    let short = FULL.replace("host=workshop ", "");
    assert_eq!(answer(&mut script, b"Notify"), shown(&short));
    assert_eq!(answer(&mut script, b"Notify\0"), shown(&longer));
    assert_eq!(answer(&mut script, b"Notify\n"), shown(&format!("{longer}\\n")));
    assert_eq!(answer(&mut script, &PADDED_QUESTION), shown(&longer));
    let to_a_group = Datagram { on_link: false, ..from_group("203.0.113.9:4000", 2, b"Notify") };
    assert_eq!(script.receive(5_000, &to_a_group), Verdict::Dropped(DropReason::Access));
    let waiting = script.due().is_some_and(|due| due < 5_200);
    assert!(!waiting && script.sent().is_empty());
}

#[test]
fn new_facts_are_announced_and_old_ones_are_not() {
    let mut script = Script::started(&config::Announce::default());
    script.announcer.set_facts(&now(2_000), facts(), &mut script.out);
    assert_eq!(script.sent(), [""; 0]);
    let facts = Facts { services: vec![], heartbeat_interval: None, ..facts() };
    script.announcer.set_facts(&now(2_100), facts, &mut script.out);
    let sent = script.sent();
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[1], "4 if2 * > 224.0.0.1:8001 Announce belfry/1 host=workshop version=0.1.0");
    assert_eq!(script.due(), Some(3_100));
}

#[test]
fn waiting_answers_are_bounded_and_the_new_are_turned_away() {
    let mut script = Script::started(&config::Announce::default());
    let ask = |script: &mut Script, source: usize| {
        let remote = format!("10.0.{}.{}:4000", source / 256, source % 256);
        script.receive(5_000, &from_group(&remote, 2, b"Notify"))
    };
    for source in 0..PENDING_ANSWERS_MAX {
        assert_eq!(ask(&mut script, source), Verdict::Answered);
    }
    assert_eq!(ask(&mut script, PENDING_ANSWERS_MAX), Verdict::Dropped(DropReason::Full));
    assert_eq!(ask(&mut script, 0), Verdict::Answered, "it has an answer waiting");
    script.timeout(5_121);
    assert_eq!(script.sent().len(), PENDING_ANSWERS_MAX);
    assert_eq!(ask(&mut script, PENDING_ANSWERS_MAX), Verdict::Answered);
}

#[test]
fn memberships_are_bounded_and_the_lowest_interfaces_come_first() {
    let mut script = Script::new(&config::Announce::default());
    let many: Vec<_> = (1..=200).map(|index| interface(index, "eth", &["192.0.2.1/24", "fe80::1/64"])).collect();
    let joined = script.interfaces(0, &many);
    assert_eq!(joined.len(), MEMBERSHIPS_MAX);
    assert_eq!(joined.last().unwrap(), "join 6 if128 ff02::1");
    assert_eq!(script.interfaces(1, &many), [""; 0]);
}

#[test]
fn its_own_lines_come_back_and_are_not_answered() {
    let mut script = Script::started(&config::Announce::default());
    for verb in ["Announce", "Goodbye", "Acknowlege", "? what"] {
        let line = format!("{verb} {FULL}");
        for datagram in [from_group("192.0.2.1:8001", 2, line.as_bytes()), from_group("192.0.2.9:8001", 2, b"")] {
            assert_eq!(script.receive(5_000, &datagram), Verdict::Dropped(DropReason::NotForUs), "{line}");
            let direct = Datagram { multicast: false, ..datagram };
            assert_eq!(script.receive(5_000, &direct), Verdict::Dropped(DropReason::NotForUs), "{line}");
        }
    }
    let cut = Datagram { truncated: true, ..from_group("192.0.2.9:4000", 2, b"Notify") };
    assert_eq!(script.receive(5_000, &cut), Verdict::Dropped(DropReason::NotForUs));
    script.timeout(6_000);
    assert_eq!(script.sent(), [""; 0]);
}

/// One step of a random script.
#[derive(Clone, Debug)]
enum Step {
    Ask { source: u8, multicast: bool, payload: Vec<u8> },
    Interfaces(Vec<(u32, bool, bool)>),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let payload = prop_oneof![
        3 => Just(b"Notify".to_vec()),
        1 => Just(b"Notify\n".to_vec()),
        1 => Just(b"Announce belfry/1".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop_oneof![
        (0..6_u8, any::<bool>(), payload).prop_map(|(source, multicast, payload)| Step::Ask {
            source,
            multicast,
            payload
        }),
        prop::collection::vec((1..4_u32, any::<bool>(), any::<bool>()), 0..4).prop_map(Step::Interfaces),
        (0..2_000_u16).prop_map(Step::Wait),
    ]
}

/// Plays a script; gives everything sent and asked of the kernel, and how often it should have answered at most.
fn play(steps: &[Step]) -> (Vec<String>, usize) {
    let (mut script, mut millis, mut questions) = (Script::new(&config::Announce::default()), 0, 0);
    let mut trace = Vec::new();
    let mut joined = BTreeSet::new();
    for step in steps {
        match step {
            Step::Ask { source, multicast, payload } => {
                let remote = format!("192.0.2.{source}:4000");
                let datagram = Datagram { multicast: *multicast, ..from_group(&remote, 2, payload) };
                let verdict = script.receive(millis, &datagram);
                trace.push(format!("{verdict:?}"));
                let asked = payload.starts_with(b"Notify");
                questions += usize::from(asked);
                assert!(asked || verdict == Verdict::Dropped(DropReason::NotForUs));
            }
            Step::Interfaces(list) => {
                let mut table: Vec<_> = list
                    .iter()
                    .map(|&(index, up, v6)| {
                        let addresses: &[&str] = if v6 { &["192.0.2.1/24", "fe80::1/64"] } else { &["192.0.2.1/24"] };
                        Interface { up, ..interface(index, "eth", addresses) }
                    })
                    .collect();
                table.sort_by_key(|interface| interface.index);
                table.dedup_by_key(|interface| interface.index);
                let changes = script.announcer.set_interfaces(&now(millis), &table, &mut script.out);
                trace.extend(listed(&changes));
                assert!(changes.leave.iter().all(|left| joined.remove(left)), "only what was joined is left");
                assert!(changes.join.iter().all(|&new| joined.insert(new)), "nothing is joined twice");
            }
            Step::Wait(wait) => {
                millis += u64::from(*wait);
                script.timeout(millis);
                let due = script.announcer.next_timeout();
                assert!(due.is_none_or(|due| due > now(millis).mono), "nothing stays due");
            }
        }
        trace.extend(script.sent());
    }
    (trace, questions)
}

proptest! {
    #[test]
    fn the_same_seed_and_the_same_inputs_give_the_same_trace(steps in prop::collection::vec(step(), 0..60)) {
        prop_assert_eq!(play(&steps), play(&steps));
    }

    #[test]
    fn nothing_but_a_question_is_answered_and_no_question_twice(steps in prop::collection::vec(step(), 0..60)) {
        let (trace, questions) = play(&steps);
        let answers = trace.iter().filter(|line| line.contains(" Acknowlege ")).count();
        prop_assert!(answers <= questions, "{} answers to {} questions", answers, questions);
    }

    #[test]
    fn what_it_says_fed_back_to_it_is_silence(steps in prop::collection::vec(step(), 0..60)) {
        let said: Vec<String> = play(&steps).0.iter().filter_map(|line| Some(line.split_once(" > ")?.1.to_owned())).collect();
        let mut script = Script::started(&config::Announce::default());
        for line in said {
            let text = line.split_once(' ').unwrap().1.replace("\\n", "\n");
            for multicast in [false, true] {
                let datagram = Datagram { multicast, ..from_group("192.0.2.9:8001", 2, text.as_bytes()) };
                prop_assert_eq!(script.receive(5_000, &datagram), Verdict::Dropped(DropReason::NotForUs));
            }
        }
        script.timeout(6_000);
        prop_assert_eq!(script.sent(), Vec::<String>::new());
    }
}
