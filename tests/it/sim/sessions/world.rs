//! The world of a run: the hub, those who talk, the network between them and those who disturb it.

use super::super::network::{Agenda, Weather, is_on_link};
use super::super::{Play, number};
use super::actors::{Actor, Client, Deed, Way, text};
use super::attack::{Captured, as_session, nonsense};
use super::keeper::{End, Keeper};
use super::referee::{Input, Ledger, Referee, Text, token_in};
use belfry::config;
use belfry::core::frame::frames;
use belfry::core::{Instant, Outbox, Seed, SplitMix};
use belfry::services::chat::{Hosts, Hub};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// When the network is well and nobody says anything new, so much later everything is delivered, and only heartbeats and their
/// answers fly. It is the sum of the longest that each step waits, when the one before has just been missed: a hello (5 s), a request
/// (3 s), the heartbeat that shows what is missing (3 s), asking for it (3 s), and the expiry of those who were lost in the storm
/// (10 s, of which 6 s are left then).
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(20);

/// What arrives within this time of each other finds the hub busy with the first.
pub(super) const TURN: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Somebody thinks of something to do.
    Act(usize),
    /// A session's timer.
    Wake(usize),
    /// A program's heartbeat.
    Beat(usize),
    ToHub {
        from: SocketAddr,
        payload: Vec<u8>,
        is_genuine: bool,
    },
    ToClient {
        to: SocketAddr,
        payload: Vec<u8>,
    },
    /// Nobody listens at the hub's port.
    Refused(SocketAddr),
    /// Nobody listens at somebody's port.
    Unreachable(SocketAddr),
    /// A process begins where one has ended.
    Reborn {
        actor: usize,
        remembers: bool,
    },
    Attack,
    Kick,
    HubEnds(End),
    HubBegins(End),
    Calm,
    Settled,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Storm,
    Settling,
    Silent,
    Over,
}

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) said: u64,
    pub(super) datagrams: u64,
    pub(super) repaired: u64,
    pub(super) repeated: u64,
    pub(super) lost: u64,
    pub(super) restarts: u64,
}

impl Sum {
    pub(super) fn add(&mut self, other: &Self) {
        let Self { said, datagrams, repaired, repeated, lost, restarts } = other;
        self.said += said;
        self.datagrams += datagrams;
        self.repaired += repaired;
        self.repeated += repeated;
        self.lost += lost;
        self.restarts += restarts;
    }

    pub(super) fn has_seen_all(&self) -> bool {
        let Self { said, datagrams, repaired, repeated, lost, restarts } = *self;
        [said, datagrams, repaired, repeated, lost, restarts].iter().all(|&count| count > 0)
    }
}

pub(super) struct World {
    pub(super) random: SplitMix,
    pub(super) hub: Hub,
    pub(super) is_down: bool,
    /// When the hub ended that there was before.
    pub(super) ended: Instant,
    pub(super) out: Outbox,
    pub(super) config: config::Chat,
    pub(super) keeper: Keeper,
    pub(super) is_snapshot_needed: bool,
    pub(super) referee: Referee,
    /// What came in this turn.
    pub(super) heard: Vec<Input>,
    /// The moment of the turn in which they were heard.
    pub(super) turned: Instant,
    pub(super) actors: Vec<Actor>,
    pub(super) names: Vec<String>,
    pub(super) by_addr: BTreeMap<SocketAddr, usize>,
    pub(super) next_port: u16,
    pub(super) weather: Weather,
    pub(super) agenda: Agenda<Event>,
    pub(super) phase: Phase,
    /// Marks that were ever given to texts.
    pub(super) marks: u64,
    pub(super) to_hub: Captured,
    pub(super) to_clients: Captured,
    pub(super) trace: u64,
    /// Whether each event is printed.
    pub(super) is_told: bool,
    pub(super) sum: Sum,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SplitMix::new(Seed(seed.into()));
        // Most runs are small, so that there are many; some are a full hall.
        let (sessions, storm) = match seed {
            _ if seed % 1_000 == 999 => (300, 1_000),
            _ if seed % 50 == 49 => (40, 2_000),
            _ if seed % 20 == 18 => (2, 50_000),
            _ => (2 + random.below(5), 2_000 + random.below(10_000)),
        };
        let others = random.below(4);
        let config = config::Chat {
            max_members: if random.below(8) == 0 { 2 + random.below(sessions) as usize } else { 1_000 },
            max_members_per_address: 1_000,
            history: [0, 3, 64, 256][random.below(4) as usize],
            ..config::Chat::default()
        };
        let weather = Weather {
            loss_percent: random.below(51),
            double_percent: random.below(20),
            delay_max: Duration::from_millis(1 + [20, 200, 1_500][random.below(3) as usize]),
        };
        let mut world = Self {
            hub: Hub::new(&config, "belfry.lan", Hosts::default(), Seed(seed.into())),
            is_down: false,
            ended: Instant::default(),
            out: Outbox::default(),
            keeper: Keeper::default(),
            is_snapshot_needed: false,
            referee: Referee::default(),
            heard: Vec::new(),
            turned: Instant::default(),
            actors: Vec::new(),
            names: Vec::new(),
            by_addr: BTreeMap::new(),
            next_port: 5_000,
            agenda: Agenda::new(),
            phase: Phase::Storm,
            marks: 0,
            to_hub: Captured::default(),
            to_clients: Captured::default(),
            trace: seed,
            is_told: number("BELFRY_SEED").is_some(),
            sum: Sum::default(),
            random,
            config,
            weather,
        };
        world.people(sessions, others, seed % 20 == 18);
        world.plan(Duration::from_millis(storm));
        world
    }

    /// Whoever has no session is on another network if that `is_far`.
    fn people(&mut self, sessions: u64, others: u64, is_far: bool) {
        let now = self.agenda.now;
        for number in 0..sessions + others {
            let name = format!("member-{number}");
            let way = match number {
                _ if number < sessions => {
                    let seed = Seed(self.random.next_u64().into());
                    let mut client = Client::new(&name, Ledger::default(), Vec::new(), seed, now);
                    client.is_greedy = number == 1 && self.random.below(6) == 0;
                    client.is_hostile = number == 2 && self.random.below(4) == 0;
                    Way::Session(Box::new(client))
                }
                _ if number % 2 == 0 => Way::Program,
                _ => Way::Terminal,
            };
            let mut addr = self.free_addr();
            if number >= sessions && is_far {
                addr.set_ip(IpAddr::from([10, 0, 0, 4]));
            }
            self.by_addr.insert(addr, self.actors.len());
            self.actors.push(Actor { addr, way, token: None, silent_until: now, is_alive: true, cut_until: now });
            self.names.push(name);
            let (actor, start) = (self.actors.len() - 1, Duration::from_millis(self.random.below(1_000)));
            self.agenda.schedule(start, Event::Act(actor));
            match self.actors[actor].way {
                Way::Session(_) => self.agenda.schedule(start / 2, Event::Wake(actor)),
                _ => self.agenda.schedule(start / 2, Event::Beat(actor)),
            }
        }
    }

    fn free_addr(&mut self) -> SocketAddr {
        self.next_port += 1;
        let port = self.next_port;
        match self.random.below(4) {
            0 => SocketAddr::from(([0x2001, 0xdb8, 0, 1, 0, 0, 0, 7], port)),
            _ => SocketAddr::from(([10, 0, 0, self.random.below(5) as u8], port)),
        }
    }

    pub(super) fn trace(&self) -> u64 {
        Seed(self.trace.into()).hash(&self.referee.trace())
    }

    pub(super) fn sum(&self) -> Sum {
        let mut sum = Sum { said: self.marks, ..self.sum };
        for actor in &self.actors {
            if let Way::Session(client) = &actor.way {
                let figures = client.session.figures();
                sum.repaired += figures.repaired;
                sum.repeated += figures.repeated;
                sum.lost += figures.lost;
            }
        }
        sum
    }

    /// One line for each event, for whoever plays a run again.
    #[expect(clippy::print_stdout, reason = "a test that succeeds prints nothing")]
    fn tell(&self, event: &Event) {
        let now = self.agenda.now;
        match event {
            Event::ToHub { from, payload, .. } => println!("{now} {from} > {}", payload.escape_ascii()),
            Event::ToClient { to, payload } => println!("{now} {to} < {}", payload.escape_ascii()),
            Event::Act(_) | Event::Wake(_) | Event::Beat(_) => {}
            event => println!("{now} {event:?}"),
        }
    }

    // ---- the network ----

    fn send_to_hub(&mut self, actor: usize, payload: Vec<u8>) {
        let (from, now) = (self.actors[actor].addr, self.agenda.now);
        self.sum.datagrams += 1;
        if self.phase == Phase::Silent {
            self.check_silence(actor, &payload, &["as", "hb"]);
        }
        if now < self.actors[actor].cut_until {
            return;
        }
        self.to_hub.see(from, &payload);
        for delay in self.weather.copies(&mut self.random) {
            self.agenda.schedule(delay, Event::ToHub { from, payload: payload.clone(), is_genuine: true });
        }
    }

    pub(super) fn send_to_client(&mut self, to: SocketAddr, payload: Vec<u8>) {
        self.sum.datagrams += 1;
        self.trace = Seed(self.trace.into()).hash(&(to, &payload));
        let actor = self.by_addr.get(&to).copied();
        if self.phase == Phase::Silent
            && let Some(actor) = actor
        {
            self.check_silence(actor, &payload, if is_on_link(to) { &["at"][..] } else { &["at", "token"] });
        }
        if actor.is_none_or(|actor| self.agenda.now >= self.actors[actor].cut_until) {
            self.to_clients.see(to, &payload);
            for delay in self.weather.copies(&mut self.random) {
                self.agenda.schedule(delay, Event::ToClient { to, payload: payload.clone() });
            }
        }
    }

    /// When all is delivered, nothing but these frames flies.
    fn check_silence(&self, actor: usize, payload: &[u8], verbs: &[&str]) {
        if matches!(&self.actors[actor].way, Way::Session(client) if !client.is_welcome || client.is_hostile) {
            return;
        }
        let is_asked_for_token = payload.starts_with(b"-- ") && token_in(payload).is_some();
        if payload.starts_with(b"? the hub is full") || is_asked_for_token {
            return;
        }
        let is_silent = frames(payload).all(|frame| frame.is_ok_and(|frame| verbs.contains(&frame.verb)));
        assert!(is_silent, "after {SETTLED_AFTER:?} of calm: {}", payload.escape_ascii());
    }

    // ---- those who talk ----

    /// Lets a session do what it has to, and takes what comes of it.
    fn pump(&mut self, actor: usize) {
        let (now, addr) = (self.agenda.now, self.actors[actor].addr);
        let Way::Session(client) = &mut self.actors[actor].way else { return };
        client.take_events(&self.referee, addr);
        let mut datagrams = Vec::new();
        while let Some(datagram) = client.session.poll_datagram(now) {
            datagrams.push(datagram);
        }
        let next = client.session.next_timeout();
        if let Some(next) = next.filter(|&next| client.wakes_at.is_none_or(|wakes| next < wakes)) {
            client.wakes_at = Some(next);
            self.agenda.schedule(next.since(now), Event::Wake(actor));
        }
        if client.session.is_closed() && self.actors[actor].is_alive {
            self.die(actor, true);
        }
        datagrams.into_iter().for_each(|datagram| self.send_to_hub(actor, datagram));
    }

    fn wake(&mut self, actor: usize) {
        let now = self.agenda.now;
        let Way::Session(client) = &mut self.actors[actor].way else { return };
        if client.wakes_at.is_some_and(|at| at > now) {
            return;
        }
        client.wakes_at = None;
        client.session.handle_timeout(now);
        assert!(client.session.next_timeout().is_none_or(|next| next > now), "a session's next deadline lies ahead");
        self.pump(actor);
    }

    fn act(&mut self, actor: usize) {
        if self.phase != Phase::Storm {
            return;
        }
        let (now, pause) = (self.agenda.now, Duration::from_millis(1 + self.random.below(1_500)));
        self.agenda.schedule(pause, Event::Act(actor));
        if !self.actors[actor].is_alive {
            return;
        }
        let Way::Session(client) = &mut self.actors[actor].way else { return self.say_plainly(actor) };
        let deed = client.act(&mut self.random, &self.names, &mut self.marks, &mut self.referee);
        let (is_greedy, is_hostile) = (client.is_greedy, client.is_hostile);
        match deed {
            Deed::Asked if is_greedy => self.want_everything(actor),
            Deed::Asked if is_hostile => self.talk_nonsense(actor),
            Deed::Asked => {}
            Deed::IsCut(time) => self.actors[actor].cut_until = now + time,
            Deed::Moves { .. } if is_greedy => {}
            Deed::Moves { knows } => {
                self.readdress(actor);
                if let Way::Session(client) = &mut self.actors[actor].way
                    && knows
                {
                    client.session.handle_address_change(now);
                }
            }
            Deed::Leaves => client.session.bye(now),
            Deed::Dies { remembers } => self.die(actor, remembers),
        }
        self.pump(actor);
    }

    fn readdress(&mut self, actor: usize) {
        let addr = self.free_addr();
        self.by_addr.remove(&self.actors[actor].addr);
        self.by_addr.insert(addr, actor);
        self.actors[actor].addr = addr;
    }

    fn die(&mut self, actor: usize, remembers: bool) {
        self.actors[actor].is_alive = false;
        let after = Duration::from_millis(self.random.below(12_000));
        self.agenda.schedule(after, Event::Reborn { actor, remembers });
    }

    fn be_reborn(&mut self, actor: usize, remembers: bool) {
        if self.phase != Phase::Storm {
            return;
        }
        let (now, seed) = (self.agenda.now, Seed(self.random.next_u64().into()));
        // Where another was just now, there may still come what was for that one.
        self.readdress(actor);
        if let Way::Session(client) = &mut self.actors[actor].way {
            **client = client.reborn(remembers, seed, now);
        }
        self.actors[actor].is_alive = true;
        self.pump(actor);
    }

    fn say_plainly(&mut self, actor: usize) {
        let is_line = matches!(self.actors[actor].way, Way::Terminal);
        self.marks += 1;
        let mut bytes = format!("#{}; ", self.marks).into_bytes();
        let said = text(&mut self.random, self.marks);
        bytes.extend(said.into_iter().filter(|byte| !b"\0\n\r".contains(byte)));
        let text = Text { bytes: bytes.clone(), is_me: false, to: None, is_counted: false };
        self.referee.expect(self.marks, text);
        if is_line {
            bytes.push(b'\n');
        }
        self.send_to_hub(actor, bytes);
    }

    fn beat(&mut self, actor: usize) {
        let now = self.agenda.now;
        let is_storm = self.phase == Phase::Storm;
        let shows = !is_storm || self.actors[actor].silent_until <= now;
        let shown = self.actors[actor].token.clone().filter(|_| shows);
        if shown.is_some() && actor.is_multiple_of(2) && is_storm {
            // Some show it so seldom that nobody may speak to them in between.
            self.actors[actor].silent_until = now + Duration::from_secs(40);
        }
        let token = shown.map_or_else(String::new, |token| format!(" {token}"));
        let newline = if matches!(self.actors[actor].way, Way::Terminal) { "\n" } else { "" };
        self.send_to_hub(actor, format!("^hb{token}^{newline}").into_bytes());
        self.agenda.schedule(Duration::from_secs(3), Event::Beat(actor));
    }

    /// Asks for all that there ever was, which is more than anybody may have.
    fn want_everything(&mut self, actor: usize) {
        let Way::Session(client) = &self.actors[actor].way else { return };
        let Some(id) = client.session.id() else { return };
        let (now, addr) = (self.agenda.now, self.actors[actor].addr);
        self.referee.watch(now, addr);
        let positions = client.session.positions().map(|at| format!(" {}/{}/1-{}", at.room, at.epoch, at.number + 1));
        let wants = format!("^want{}^", positions.collect::<String>()).repeat(5);
        for _ in 0..20 {
            self.send_to_hub(actor, as_session(id, &wants));
        }
    }

    /// Says in its session what no client says.
    fn talk_nonsense(&mut self, actor: usize) {
        let Way::Session(client) = &self.actors[actor].way else { return };
        let Some(id) = client.session.id() else { return };
        let places: Vec<String> = client.session.positions().map(|at| format!("{}/{}", at.room, at.epoch)).collect();
        let datagram = as_session(id, &nonsense(&mut self.random, &places));
        self.send_to_hub(actor, datagram);
    }

    fn happen(&mut self, event: Event) {
        let now = self.agenda.now;
        match event {
            Event::Act(actor) => self.act(actor),
            Event::Wake(actor) if self.actors[actor].is_alive => self.wake(actor),
            Event::Beat(actor) => self.beat(actor),
            Event::ToHub { from, payload, is_genuine } => self.arrive(from, &payload, is_genuine),
            Event::ToClient { to, payload } => match self.by_addr.get(&to) {
                Some(&actor) if self.actors[actor].is_alive => {
                    if let Way::Session(client) = &mut self.actors[actor].way {
                        client.session.handle_datagram(now, &payload);
                        self.pump(actor);
                    } else {
                        let token = token_in(&payload).map(str::to_owned);
                        self.actors[actor].token = token.or(self.actors[actor].token.take());
                    }
                }
                Some(_) if self.random.below(2) == 0 => {
                    self.agenda.schedule(Duration::from_millis(5), Event::Unreachable(to));
                }
                _ => {}
            },
            Event::Refused(to) => {
                if let Some(&actor) = self.by_addr.get(&to)
                    && let Way::Session(client) = &mut self.actors[actor].way
                {
                    client.session.handle_unreachable(now);
                    self.pump(actor);
                }
            }
            Event::Unreachable(addr) if !self.is_down => {
                let now = self.agenda.clocks();
                self.referee.doubt(addr);
                self.hub.handle_unreachable(&now, addr, &mut self.out);
                self.finish_turn();
            }
            Event::Reborn { actor, remembers } => self.be_reborn(actor, remembers),
            Event::Attack => self.attack(),
            Event::Kick => self.kick(),
            Event::HubEnds(end) => self.end_hub(end),
            Event::HubBegins(end) => self.begin_hub(end),
            Event::Calm => self.calm_down(),
            Event::Settled => self.finish(),
            Event::End => self.phase = Phase::Over,
            Event::Wake(_) | Event::Unreachable(_) => {}
        }
    }
}

impl Play for World {
    /// One event, with all timeouts that come before it at their own moments.
    fn step(&mut self) -> bool {
        let Some((at, event)) = self.agenda.pop() else { return false };
        self.run_timers(at);
        self.agenda.now = self.agenda.now.max(at);
        if self.is_told {
            self.tell(&event);
        }
        self.happen(event);
        self.phase != Phase::Over
    }
}
