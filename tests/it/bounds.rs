//! Bounds that no other test tries at the bound and one past it; docs/THREATS.md has the table of all of them.

use belfry::config;
use belfry::core::limits::{
    self, DUMP_SLICE_BYTES, DUMP_SLICE_PLACES, EXPIRIES_MAX, MAILBOXES_BYTES_MAX, NEAREST_AMONG_MAX, NUMBER_MAX,
    RANGES_MAX, SESSION_AWAY_MAX, SESSIONS_AWAY_MAX,
};
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed};
use belfry::services::Service;
use belfry::services::chat::{Hosts, Hub};
use std::net::SocketAddr;
use std::time::Duration;

/// A hub, and the moment in which everything is said.
struct Scene {
    hub: Hub,
    out: Outbox,
    mono: Instant,
}

impl Scene {
    fn new() -> Self {
        let config = config::Chat {
            rate_limit: None,
            max_members: 10_000,
            max_members_per_address: 10_000,
            ..config::Chat::default()
        };
        let hub = Hub::new(&config, "belfry.lan", Hosts::default(), Seed(1));
        Self { hub, out: Outbox::default(), mono: Instant::from_nanos(1_000_000_000) }
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, wall: jiff::Timestamp::UNIX_EPOCH }
    }

    /// What somebody says, and all that goes back to it, in one piece.
    fn say(&mut self, number: u32, said: &str) -> String {
        let source = SocketAddr::from(((0x0a00_0000 + number).to_be_bytes(), 5_000));
        let datagram = Datagram::unicast(Path::to(ListenerId(0), source), said.as_bytes());
        self.hub.handle_datagram(&self.now(), &datagram, &mut self.out);
        self.hub.finish_turn(&mut self.out);
        let mut told = String::new();
        let mut count = 0;
        for (path, bytes) in self.out.pending() {
            count += 1;
            if path.remote == source {
                told.push_str(&String::from_utf8_lossy(bytes));
            }
        }
        self.out.advance(count);
        told
    }

    /// Somebody comes in as a session; which.
    fn begin(&mut self, number: u32) -> String {
        // In many rooms, so that few hear of each.
        let hello = format!("^hello 1 start=1 at=room{}", number % 250);
        let token = self.say(number, &format!("{hello}^"));
        let token = token.trim_start_matches("^token ").trim_end_matches('^');
        let welcome = self.say(number, &format!("{hello} token={token}^"));
        let (_, rest) = welcome.split_once("session=").unwrap_or_else(|| panic!("{welcome}"));
        rest[..16].to_owned()
    }

    /// All that is kept, as it is written.
    fn slices(&self) -> Vec<Vec<u8>> {
        let mut slices = Vec::new();
        let addr_of = |_| Some(SocketAddr::from(([0, 0, 0, 0], 9_999)));
        let push = |slice: &[u8]| {
            slices.push(slice.to_vec());
            Ok::<(), ()>(())
        };
        self.hub.dump_to(addr_of, push).expect("memory takes it");
        slices
    }

    fn is_known(&mut self, number: u32, session: &str) -> bool {
        !self.say(number, &format!("^as {session}^^hb^")).starts_with("^bye unknown ")
    }
}

#[test]
fn a_session_is_remembered_for_ten_minutes_and_not_for_a_moment_longer() {
    let moment = Duration::from_nanos(1);
    for (wait, is_known) in [(SESSION_AWAY_MAX - moment, true), (SESSION_AWAY_MAX, false)] {
        let mut scene = Scene::new();
        let session = scene.begin(1);
        let gone = scene.hub.next_timeout().expect("it is waited for");
        scene.mono = gone;
        let now = scene.now();
        scene.hub.handle_timeout(&now, &mut scene.out);
        assert_eq!(scene.hub.member_count(), 0);
        scene.mono = gone + wait;
        assert_eq!(scene.is_known(1, &session), is_known, "{wait:?}");
    }
}

#[test]
fn so_many_sessions_are_remembered_and_of_one_more_the_first_to_have_gone_is_forgotten() {
    for more in [0, 1] {
        let mut scene = Scene::new();
        let count = SESSIONS_AWAY_MAX as u32 + more;
        let mut sessions = Vec::new();
        for number in 0..count {
            scene.mono = scene.mono + Duration::from_micros(1);
            sessions.push(scene.begin(number));
        }
        scene.mono = scene.mono + Duration::from_secs(11);
        let now = scene.now();
        // They go in several turns.
        while scene.hub.next_timeout().is_some_and(|due| due <= now.mono) {
            scene.hub.handle_timeout(&now, &mut scene.out);
        }
        assert_eq!(scene.hub.member_count(), 0);
        assert_eq!(scene.is_known(0, &sessions[0]), more == 0);
        assert!(scene.is_known(1, &sessions[1]));
    }
}

#[test]
fn a_slice_of_the_hub_ends_with_the_line_that_reaches_its_bound_or_after_so_many_places() {
    let mut scene = Scene::new();
    (0..DUMP_SLICE_PLACES as u32).for_each(|number| drop(scene.say(number, "hello")));
    let slices = scene.slices();
    assert!(slices.len() > 2 && slices.concat().ends_with(b"\n"));
    for slice in &slices[..slices.len() - 1] {
        let last_line = slice.split_inclusive(|&byte| byte == b'\n').next_back().expect("there is one");
        assert!((DUMP_SLICE_BYTES..DUMP_SLICE_BYTES + last_line.len()).contains(&slice.len()));
    }
    // What is told besides the members has three places of its own.
    for (highest, count) in [(DUMP_SLICE_PLACES as u32 - 4, 1), (DUMP_SLICE_PLACES as u32 - 3, 2)] {
        let mut scene = Scene::new();
        (0..=highest).for_each(|number| drop(scene.say(number, "hello")));
        (0..highest).for_each(|number| drop(scene.say(number, "quit")));
        assert_eq!((scene.hub.member_count(), scene.slices().len()), (1, count), "{highest}");
    }
}

#[test]
fn what_was_overtaken_is_put_right_in_the_next_slice_once_and_each_gets_on() {
    let mut scene = Scene::new();
    (0..100).for_each(|number| drop(scene.say(number, "hello")));
    let slice = |scene: &mut Scene| {
        let mut text = Vec::new();
        let slice = scene.hub.dump_slice(1, |_| Some(SocketAddr::from(([0, 0, 0, 0], 9_999))), &mut text);
        (String::from_utf8(text).expect("UTF-8"), slice.is_last)
    };
    // The first line, and fifty members.
    assert!((0..=50).all(|_| !slice(&mut scene).1));
    for said in ["/away", "/away for tea"] {
        (0..50).for_each(|number| drop(scene.say(number, said)));
    }
    let (text, is_last) = slice(&mut scene);
    let count = |what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("{\"gone\""), count("{\"member\""), is_last), (50, 51, false));
    assert_eq!(text.matches("for tea").count(), 50);
}

#[test]
fn so_many_ranges_of_one_want_are_looked_at_and_not_one_more() {
    let mut scene = Scene::new();
    let session = scene.begin(1);
    scene.say(2, "/join room1");
    for number in 0..=RANGES_MAX {
        scene.say(2, &format!("text {number}"));
    }
    let position = scene.say(1, &format!("^as {session}^^hb^"));
    let epoch = position.split('/').nth(1).expect("a position").to_owned();
    let ranges: String = (1..=RANGES_MAX + 1).map(|number| format!(" room1/{epoch}/{number}")).collect();
    assert_eq!(scene.say(1, &format!("^as {session}^^want{ranges}^")).matches("^msg ").count(), RANGES_MAX);
}

#[test]
fn when_all_mailboxes_together_are_full_nobody_gets_more_until_somebody_has_read_his() {
    let mut scene = Scene::new();
    let sessions: Vec<String> = (1..=250).map(|number| scene.begin(number)).collect();
    let text = "x".repeat(1_000);
    let mut said = (0..15).flat_map(|_| 1..=250_u32);
    let is_full = |told: &str| told.contains("? too much waits for others");
    let write = |scene: &mut Scene, number| is_full(&scene.say(0, &format!("/msg 10.0.0.{number}-5000 {text}")));
    let count = said.by_ref().take_while(|&number| !write(&mut scene, number)).count();
    // The last may be past it.
    let bytes = count * (text.len() + "10.0.0.0-5000 -> 10.0.0.250-5000: ".len());
    assert!(
        (MAILBOXES_BYTES_MAX - 2 * bytes / count..=MAILBOXES_BYTES_MAX + 2 * bytes / count).contains(&bytes),
        "{bytes}"
    );
    assert!(write(&mut scene, 7));
    // Somebody who has nothing waiting gets it.
    scene.begin(251);
    assert!(!write(&mut scene, 251));
    assert!(write(&mut scene, 251));
    let told = scene.say(7, &format!("^as {}^^hb^", sessions[6]));
    let newest = told.split([' ', '^']).find(|word| word.starts_with("@/")).expect("it has mail").to_owned();
    scene.say(7, &format!("^as {}^^hb {newest}^", sessions[6]));
    assert!(!write(&mut scene, 7));
}

#[test]
fn the_highest_number_of_a_request_is_taken_and_one_above_it_is_none() {
    let mut scene = Scene::new();
    let session = scene.begin(1);
    let before = NUMBER_MAX - 1;
    let told = scene.say(1, &format!("^as {session}^^say {} after={NUMBER_MAX} len=1^x", NUMBER_MAX + 1));
    assert!(told.contains("^error - bad-frame"), "{told}");
    let told = scene.say(1, &format!("^as {session}^^say {NUMBER_MAX} after={before} len=1^x"));
    assert!(told.contains(&format!("^ack {NUMBER_MAX}^")), "{told}");
}

#[test]
fn so_many_names_are_looked_through_for_the_nearest_and_not_one_more() {
    let mut scene = Scene::new();
    for number in 1..NEAREST_AMONG_MAX as u32 {
        scene.say(number, "^hb^");
    }
    scene.say(0, "/nick zz-very-last");
    let nearest = |scene: &mut Scene| {
        let now = scene.now();
        scene.hub.kick(&now, "zz-very-lost", &mut scene.out).expect_err("nobody has that name").nearest
    };
    assert_eq!(scene.hub.member_count(), NEAREST_AMONG_MAX);
    assert_eq!(nearest(&mut scene).as_deref(), Some("zz-very-last"));
    scene.say(NEAREST_AMONG_MAX as u32, "^hb^");
    assert_eq!(nearest(&mut scene), None);
}

/// A bound as a number: bytes, pieces or nanoseconds.
trait Bound {
    fn number(self) -> u128;
}

impl Bound for usize {
    fn number(self) -> u128 {
        self as u128
    }
}

impl Bound for u8 {
    fn number(self) -> u128 {
        self.into()
    }
}

impl Bound for u32 {
    fn number(self) -> u128 {
        self.into()
    }
}

impl Bound for u64 {
    fn number(self) -> u128 {
        self.into()
    }
}

impl Bound for Duration {
    fn number(self) -> u128 {
        self.as_nanos()
    }
}

/// The names of bounds, and what they are.
macro_rules! bounds {
    ($($name:ident)*) => { [$((stringify!($name), Bound::number(limits::$name)),)*] };
}

/// A value of the table: `4 MiB`.
fn value(text: &str) -> u128 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let scale = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "days" => 86_400_000_000_000,
        _ => panic!("{text}"),
    };
    number.replace(',', "").parse::<u128>().expect(text) * scale
}

#[test]
fn the_page_has_every_bound_with_its_value_and_a_test_that_tries_it() {
    let bounds = bounds![
        DATAGRAM_MAX TIME_REQUEST_MAX ANSWER_BASE ERROR_LINE_MAX RECEIVE_MAX RECEIVE_BUFFER QUESTIONS_BUFFER SEND_BUFFER ANSWERS_BUFFER SPARING_PART NAME_MAX TOPIC_MAX ROOMS_MAX ROOMS_OF_SOURCE_MAX ROOMS_MADE_MAX HISTORY_BYTES_MAX REPAIR_MESSAGES_MIN REPAIR_BYTES MAILBOX_MESSAGES_MAX MAILBOX_BYTES_MAX MAILBOXES_BYTES_MAX SESSION_ROOMS_MAX REQUESTS_MAX RANGES_MAX NUMBER_MAX SESSIONS_AWAY_MAX SESSION_AWAY_MAX HISTORY_FILE_MAX HISTORY_FILE_SLACK HISTORY_FILES_MAX HISTORY_ANSWER_DATAGRAMS_MAX FAN_OUT_SECONDS FAN_OUT_SOURCES_MIN OUTBOX_BYTES_MAX OUTBOX_ENTRIES_MAX OUTBOX_DATAGRAMS_MAX BURST_MAX RATE_LIMIT_SOURCES TOKEN_PERIOD KISS_PART SOURCES_OF_NETWORK ERRORS_IN_A_ROW_MAX ERROR_PAUSE ERROR_STREAKS_MAX LISTED_MAX LIST_FIELD_MAX REPEATS_MAX ANSWERS_IN_A_ROW_MAX STRATUM_MAX TIME_CACHE_MAX ANNOUNCEMENT_MAX HOST_MAX PENDING_ANSWERS_MAX MEMBERSHIPS_MAX NETLINK_TURN_MAX DURATION_MAX MEMBERS_MAX EXPIRIES_MAX DUMP_SLICE_BYTES DUMP_SLICE_PLACES NEWS_MAX HISTORY_MAX LIST_MAX CONFIG_FILE_MAX CONFIG_FILES_MAX ANNOUNCE_INTERVAL_MIN HEARTBEAT_MIN CONTROL_CONNECTIONS_MAX CONTROL_REQUEST_MAX CONTROL_ANSWER_MAX CONTROL_MEMBERS_MAX CONTROL_PATIENCE NEAREST_AMONG_MAX LOGGED_MESSAGES_MAX LOGGED_MESSAGES_PERIOD ECHOES_MAX CONNECTIONS_MAX IDLE_TIMEOUT_MIN CONNECTION_INPUT_MAX CONNECTION_OUTPUT_MAX CONNECTION_BUFFER LINGER_MAX
    ];
    let declared = include_str!("../../src/core/limits.rs").lines().filter_map(|line| line.strip_prefix("pub const "));
    let declared: Vec<_> = declared.filter_map(|line| line.split(':').next()).collect();
    assert_eq!(declared, bounds.map(|(name, _)| name), "each bound of limits.rs");
    let section = include_str!("../../docs/THREATS.md").split("\n## Bounds\n").nth(1).expect("it has one");
    let rows = section.split("\n## ").next().into_iter().flat_map(str::lines).filter(|line| line.starts_with("| `"));
    let mut rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let sources = sources();
    for (name, number) in bounds {
        let at = rows.iter().position(|row| row[1] == format!("`{name}`")).unwrap_or_else(|| panic!("no {name}"));
        let row = rows.remove(at);
        assert_eq!(value(row[2]), number, "{name}");
        let is_test = |test: &str| sources.contains(&format!("#[test]\nfn {test}()"));
        let test = row[4].strip_prefix('`').and_then(|test| test.strip_suffix('`'));
        assert!(test.map_or(row[4].starts_with("none: "), is_test), "{name} is tried by {}", row[4]);
    }
    assert_eq!(rows, Vec::<Vec<&str>>::new(), "bounds that are none");
}

/// All Rust there is, without indentation and what stands between `#[test]` and its function.
fn sources() -> String {
    let (mut text, mut folders) = (String::new(), vec![]);
    folders.extend(["src", "tests"].map(|folder| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = std::fs::read_to_string(path).expect("it is text");
                let lines = file.lines().map(str::trim_start).filter(|line| !line.starts_with("#[expect"));
                lines.for_each(|line| text.extend([line, "\n"]));
            }
        }
    }
    text
}

#[test]
fn so_many_expire_in_one_turn_and_the_others_in_the_next() {
    let mut scene = Scene::new();
    let all = 2 * EXPIRIES_MAX + 1;
    (0..all as u32).for_each(|number| drop(scene.say(number, "^hb^")));
    scene.mono = scene.hub.next_timeout().expect("they are waited for");
    let mut left = Vec::new();
    // What comes in the turn takes out nobody more.
    scene.say(all as u32, "^hb^");
    left.push(scene.hub.member_count());
    scene.say(all as u32, "^hb^");
    while scene.hub.next_timeout().is_some_and(|due| due <= scene.mono) {
        left.push(scene.hub.member_count());
        scene.mono = scene.mono + Duration::from_nanos(1);
        let now = scene.now();
        scene.hub.handle_timeout(&now, &mut scene.out);
    }
    let after = |turns: usize| all - turns * EXPIRIES_MAX + 1;
    assert_eq!(left, [after(1), after(1), after(2)]);
    assert_eq!(scene.hub.member_count(), 1, "who has just come");
}
