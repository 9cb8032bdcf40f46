//! Members that keep no count: what each of them gets of each datagram, exactly.
//!
//! After every step what the hub sent is held against [`model`], and what it has to keep against its word that nothing has
//! changed. Now and then it is killed, and another takes over.

mod clients;
mod model;

use super::network::{Agenda, Weather, listener, listener_at};
use super::{Play, play, seeds};
use belfry::config;
use belfry::core::frame::Epoch;
use belfry::core::limits::{DATAGRAM_MAX, ERROR_LINE_MAX};
use belfry::core::{Counters, Datagram, ListenerId, Now, Outbox, Path, Seed, SplitMix};
use belfry::services::Service;
use belfry::services::chat::{Hosts, Hub, Message, News, Restored, file_name, kept_seed};
use clients::{Client, Manner, payload};
use model::{Expected, Intent, Model, Rules};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many runs when nobody asks for more: some seconds without optimisation.
const SEEDS_USUAL: u64 = 3_000;

/// A slice of what the hub has to keep: one member or two.
const SLICE_LEN: usize = 200;

#[derive(Clone, Debug)]
enum Event {
    /// A client thinks of something to do.
    Act(usize),
    Arrive {
        from: SocketAddr,
        intent: Intent,
        newline: bool,
        serial: u64,
    },
    Unreachable(SocketAddr),
    Reconfigure,
    Close {
        v4: bool,
    },
    /// The daemon is killed and comes back.
    Restart,
}

struct World {
    random: SplitMix,
    hub: Hub,
    out: Outbox,
    model: Model,
    config: config::Chat,
    clients: Vec<Client>,
    by_addr: BTreeMap<SocketAddr, usize>,
    weather: Weather,
    agenda: Agenda<Event>,
    steps_left: usize,
    verdicts: Counters,
    inputs: u64,
    /// What the hub had to keep after the last step, if it is looked at after each: that takes long.
    state: Vec<u8>,
    is_thorough: bool,
    /// What it has told of that so far, in a slice after each step.
    slices: Vec<u8>,
    /// The files of histories.
    files: BTreeMap<String, Vec<String>>,
    /// A running hash of everything the hub did.
    trace: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SplitMix::new(Seed(seed.into()));
        // Most runs are small, so that there are many; some are a full hall.
        let count = if seed.is_multiple_of(50) { 300 } else { 2 + random.below(30) };
        let hosts = 1 + random.below(count);
        let config = config::Chat {
            max_members: 1 + random.below(count + count / 2) as usize,
            max_members_per_address: 1 + random.below(20) as usize,
            echo_to_sender: random.below(3) > 0,
            history: [0, 3, 256][random.below(3) as usize],
            ..config::Chat::default()
        };
        let weather = Weather {
            loss_percent: random.below(51),
            double_percent: random.below(20),
            delay_max: Duration::from_millis(1 + random.below(4_000)),
        };
        let mut by_addr = BTreeMap::new();
        let mut clients = Vec::new();
        for number in 0..count {
            let client = Client::new(number, hosts, &mut random);
            if by_addr.insert(client.addr, clients.len()).is_none() {
                clients.push(client);
            }
        }
        let model = Model::new(rules(&config));
        let mut world = Self {
            hub: Hub::new(&config, "belfry.lan", Hosts::default(), Seed(seed.into())),
            out: Outbox::default(),
            verdicts: Counters::default(),
            by_addr: clients.iter().enumerate().map(|(at, client)| (client.addr, at)).collect(),
            agenda: Agenda::new(),
            steps_left: 200 + 4 * clients.len(),
            inputs: 0,
            state: Vec::new(),
            slices: Vec::new(),
            is_thorough: seed % 20 == 1,
            files: BTreeMap::new(),
            trace: seed,
            random,
            model,
            config,
            clients,
            weather,
        };
        for client in 0..world.clients.len() {
            let start = Duration::from_millis(world.random.below(5_000));
            world.agenda.schedule(start, Event::Act(client));
        }
        world.keep();
        world
    }

    /// One event, with all timeouts that come before it at their own moments.
    fn happen(&mut self) {
        let Some((at, event)) = self.agenda.pop() else { return };
        // Now and then the daemon is held up, and a datagram is there before the timer has run.
        let late = matches!(event, Event::Arrive { .. }) && self.random.below(8) == 0;
        while let Some(due) = self.hub.next_timeout().filter(|&due| due < at && !late) {
            assert_eq!(Some(due), self.model.next_expiry(), "somebody expires when the hub says so");
            self.agenda.now = due;
            let now = self.clocks();
            self.hub.handle_timeout(&now, &mut self.out);
            let expected = self.model.expire(self.agenda.now);
            self.check(None, &expected);
        }
        self.agenda.now = at;
        match event {
            Event::Act(client) => self.act(client),
            Event::Arrive { from, intent, newline, serial } => self.arrive(from, &intent, newline, serial),
            Event::Unreachable(addr) => {
                let now = self.clocks();
                self.hub.handle_unreachable(&now, addr, &mut self.out);
                let expected = self.model.unreachable(addr);
                self.check(None, &expected);
            }
            Event::Reconfigure => {
                self.config.echo_to_sender = self.random.below(2) == 0;
                self.config.heartbeat_timeout = Duration::from_secs(4 + self.random.below(10));
                self.config.history = self.random.below(5) as usize;
                self.hub.reconfigure(&self.config, Hosts::default(), &mut self.out);
                self.model.rules = rules(&self.config);
                self.keep();
            }
            Event::Close { v4 } => {
                let now = self.clocks();
                self.hub.remove_listener(&now, listener(v4), &mut self.out);
                let expected = self.model.close(v4);
                self.check(None, &expected);
            }
            Event::Restart => self.restart(),
        }
    }

    fn clocks(&self) -> Now {
        self.agenda.clocks()
    }

    fn act(&mut self, at: usize) {
        if self.clients[at].crashed {
            return;
        }
        match self.random.below(400) {
            0 => return self.clients[at].crashed = true,
            1 => self.agenda.schedule(Duration::ZERO, Event::Reconfigure),
            2 => {
                let v4 = self.random.below(2) == 0;
                self.agenda.schedule(Duration::ZERO, Event::Close { v4 });
            }
            3 => self.agenda.schedule(Duration::ZERO, Event::Restart),
            _ => {}
        }
        let (said, pause) = self.clients[at].act(&mut self.random, self.agenda.serial);
        if let Some((intent, newline)) = said {
            let (from, serial) = (self.clients[at].addr, self.agenda.serial);
            for delay in self.weather.copies(&mut self.random) {
                self.agenda.schedule(delay, Event::Arrive { from, intent: intent.clone(), newline, serial });
            }
        }
        self.agenda.schedule(pause, Event::Act(at));
    }

    fn arrive(&mut self, from: SocketAddr, intent: &Intent, newline: bool, serial: u64) {
        let bytes = payload(intent, newline, serial);
        let mut path = Path::to(listener(from.is_ipv4()), from);
        if serial.is_multiple_of(7) {
            path.interface = 2;
        }
        let truncated = *intent == Intent::Truncated;
        let datagram = Datagram { truncated, ..Datagram::unicast(path, &bytes) };
        // Who is due at this very moment is gone before it is heard.
        let due = self.model.expire(self.agenda.now);
        let strangers = !self.model.members.contains_key(&from);
        let now = self.clocks();
        let verdict = self.hub.handle_datagram(&now, &datagram, &mut self.out);
        self.inputs += 1;
        self.verdicts.count(verdict);
        let (must, mut expected) = self.model.hear(self.agenda.now, from, intent, newline, verdict);
        assert_eq!(verdict, must, "{from} {intent:?}");
        if strangers && !self.model.members.contains_key(&from) {
            assert!(self.out.pending().filter(|(path, _)| path.remote == from).count() <= 1);
        }
        due.notices.into_iter().for_each(|(addr, count)| *expected.notices.entry(addr).or_default() += count);
        self.check(Some(from), &expected);
    }

    /// Holds what was sent against what must be sent. `about` is whom the step is about.
    fn check(&mut self, about: Option<SocketAddr>, expected: &Expected) {
        let (mut messages, mut answers, mut notices) = (Vec::new(), 0, BTreeMap::new());
        let sent: Vec<(SocketAddr, ListenerId, String)> = self
            .out
            .pending()
            .map(|(path, bytes)| {
                assert!(bytes.len() <= DATAGRAM_MAX, "{} bytes to {}", bytes.len(), path.remote);
                (path.remote, path.listener, std::str::from_utf8(bytes).expect("all that is sent is UTF-8").to_owned())
            })
            .collect();
        self.out.advance(sent.len());
        for (to, socket, line) in sent {
            self.trace = Seed(self.trace.into()).hash(&(to, &line));
            assert_eq!(socket, listener(to.is_ipv4()), "{to} is spoken to by its own socket");
            assert!(!line.chars().any(steers), "{line:?}");
            assert!(!line.starts_with("? ") || line.len() <= ERROR_LINE_MAX, "{line:?}");
            if self.model.members.get(&to).is_some_and(|member| line.ends_with('\n') != member.line) {
                panic!("{to} is not spoken to in its way: {line:?}");
            }
            match line.get(..2) {
                Some("--" | "? ") if about == Some(to) => answers += 1,
                Some("--" | "? ") => *notices.entry(to).or_default() += 1,
                _ if line.starts_with('[') => answers += 1,
                _ => messages.push((to, line.clone())),
            }
            self.deliver(to, line);
        }
        messages.sort_unstable();
        let mut must = expected.messages.clone();
        must.sort_unstable();
        assert_eq!(messages, must, "messages of {about:?}");
        let (least, most) = expected.answers;
        let extra = about.and_then(|about| expected.notices.get(&about)).copied().unwrap_or_default();
        assert!(
            (least + extra..=most + extra).contains(&answers),
            "{answers} answers to {about:?}, not {least}..={most}"
        );
        let mut must = expected.notices.clone();
        must.retain(|to, _| Some(*to) != about);
        assert_eq!(notices, must, "notices");
        assert_eq!(self.hub.member_count(), self.model.members.len());
        assert_eq!(self.hub.next_timeout(), self.model.next_expiry());
        assert_eq!(self.verdicts.total(), self.inputs);
        self.keep();
    }

    /// Does what the daemon does before anything leaves.
    fn keep(&mut self) {
        for news in self.hub.take_news().collect::<Vec<_>>() {
            match news {
                News::Said { room, message, kept: true, .. } => {
                    self.files.entry(file_name(&room)).or_default().push(message.line.to_string())
                }
                News::Said { .. } => {}
                News::Lost { count } => panic!("{count} are lost"),
                News::Forgotten { room } | News::Trimmed { room } => {
                    match histories(&self.hub).remove(&file_name(&room)) {
                        Some(lines) => drop(self.files.insert(file_name(&room), lines)),
                        None => drop(self.files.remove(&file_name(&room))),
                    }
                }
            }
        }
        if self.is_thorough {
            let state = dump(&self.hub);
            assert!(
                self.hub.take_changed() || lines(&self.state) == lines(&state),
                "a change that nobody marks is not kept"
            );
            self.state = state;
            self.keep_in_slices();
        }
    }

    /// What the hub tells in slices, and goes on meanwhile, is in the end what it is then.
    fn keep_in_slices(&mut self) {
        let mut text = Vec::new();
        let slice = self.hub.dump_slice(SLICE_LEN, socket_addr, &mut text);
        if slice.is_first {
            self.slices.clear();
        }
        self.slices.append(&mut text);
        if slice.is_last {
            let mut hub = Hub::new(&self.config, "belfry.lan", Hosts::default(), Seed(0));
            let restored = hub.restore(&self.clocks(), &self.slices, listener_at, &mut Outbox::default());
            let told = String::from_utf8_lossy(&self.slices);
            assert_eq!(restored, Restored { members: self.hub.member_count(), ..Restored::default() }, "{told}");
            let who = |state: &[u8]| {
                let mut lines = lines(state);
                lines.retain(|line| line.starts_with("{\"member\""));
                lines
            };
            assert_eq!(who(&dump(&hub)), who(&self.state), "{told}");
        }
    }

    fn restart(&mut self) {
        self.state = dump(&self.hub);
        let seed = kept_seed(&self.state).expect("it is there");
        let old = std::mem::replace(&mut self.hub, Hub::new(&self.config, "belfry.lan", Hosts::default(), seed));
        let now = self.clocks();
        let restored = self.hub.restore(&now, &self.state, listener_at, &mut self.out);
        assert_eq!(restored, Restored { members: self.model.members.len(), ..Restored::default() });
        for (file, lines) in &self.files {
            let room = old.rooms().find(|room| file_name(room) == *file).expect("a file is a room's");
            self.hub.restore_history(
                &now,
                room,
                lines.iter().map(|line| (Epoch::default(), Message::from_line(now.wall, line))),
            );
        }
        // Where more is kept now than then, what a file still has of before comes back too.
        let (mut restored, old) = (histories(&self.hub), histories(&old));
        for (file, lines) in &mut restored {
            lines.drain(..lines.len().saturating_sub(old.get(file).map_or(0, Vec::len)));
        }
        assert_eq!(restored, old);
        self.model.restart(self.agenda.now);
        self.check(None, &Expected::default());
    }

    fn deliver(&mut self, to: SocketAddr, line: String) {
        let at = self.by_addr[&to];
        if self.clients[at].crashed && self.random.below(2) == 0 {
            self.agenda.schedule(Duration::from_millis(5), Event::Unreachable(to));
        }
        if self.clients[at].manner == Manner::Echo {
            let first = line.lines().next().unwrap_or_default();
            self.clients[at].got = (first.len() <= 900 && !first.is_empty()).then(|| first.trim_end().to_owned());
        }
    }
}

/// Whether a terminal would do something else than show it.
fn steers(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".contains(c)
}

/// Everything that the hub has to keep.
fn dump(hub: &Hub) -> Vec<u8> {
    let mut state = Vec::new();
    hub.dump(socket_addr, &mut state);
    state
}

fn socket_addr(id: ListenerId) -> Option<SocketAddr> {
    Some(SocketAddr::from((if id == listener(true) { [0; 4].into() } else { IpAddr::from([0_u16; 8]) }, 9_999)))
}

/// All that is kept of what was said, by the names of the files.
fn histories(hub: &Hub) -> BTreeMap<String, Vec<String>> {
    let of = |room| Some((file_name(room), hub.history_of(room)?.map(|message| message.line.to_string()).collect()));
    hub.rooms().filter_map(of).collect()
}

/// The lines without their order: that of the members changes with each datagram.
///
/// How many messages a room has had is told by its history too.
fn lines(state: &[u8]) -> BTreeSet<String> {
    let line = |line| String::from_utf8_lossy(line).split(",\"number\":").next().unwrap_or_default().to_owned();
    state.split(|&byte| byte == b'\n').map(line).collect()
}

fn rules(config: &config::Chat) -> Rules {
    Rules {
        members_max: config.max_members,
        members_per_address_max: config.max_members_per_address,
        heartbeat_timeout: config.heartbeat_timeout,
        silent_timeout: config.silent_timeout,
        echo: config.echo_to_sender,
        keeps_history: config.history > 0,
    }
}

impl Play for World {
    fn step(&mut self) -> bool {
        self.happen();
        self.steps_left -= 1;
        self.steps_left > 0
    }
}

/// What a run came to.
fn run(seed: u64) -> (u64, Counters) {
    let mut world = World::new(seed);
    play(seed, &mut world);
    (world.trace, world.verdicts)
}

#[test]
fn whatever_the_network_does_everybody_gets_what_the_model_says() {
    let mut verdicts = [0_u64; 4];
    let seeds = seeds(SEEDS_USUAL);
    let are_many = seeds.end - seeds.start > 1;
    for seed in seeds {
        let (_, counters) = run(seed);
        let all = counters.total();
        let dropped = belfry::core::DropReason::ALL.iter().map(|&why| counters.dropped(why)).sum::<u64>();
        let refused = all - dropped - counters.answered - counters.accepted;
        for (sum, count) in verdicts.iter_mut().zip([counters.answered, counters.accepted, refused, dropped]) {
            *sum += count;
        }
    }
    println!("answered, accepted, refused, dropped: {verdicts:?}");
    assert!(!are_many || verdicts.iter().all(|&count| count > 0), "all kinds of verdicts were seen: {verdicts:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    for seed in [1, 50, 4_711] {
        let (first, verdicts) = run(seed);
        assert_eq!((first, verdicts), run(seed), "seed {seed}");
        assert_ne!(first, run(seed + 1).0, "seed {seed}");
    }
}
