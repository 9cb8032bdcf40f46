//! A load: a few rooms full of members and some who ask for the time, none of whom knows what happens to the daemon.
//!
//! Members do what README tells them and nothing else: they heartbeat, they talk, and never join again or repeat
//! themselves. Each has an address of its own, so that the limits for one source are far away.

use crate::account::{Account, Request, Text};
use crate::client::Client;
use crate::machine::Machine;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TIME: &str = "127.0.0.1:8080";
const CHAT: &str = "127.0.0.1:9999";

const ROOMS: [&str; 2] = ["lobby", "workshop"];

/// How often a program sends a heartbeat, as README asks for.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How often each member says something. All of a room together stay within its history for half a minute.
const TEXT: Duration = Duration::from_millis(2_500);

/// How often each asker asks for the time.
const REQUEST: Duration = Duration::from_millis(10);

/// The addresses of one asker, in turn: a source may ask 50 times a second.
const ASKER_ADDRESSES: u8 = 4;

/// After this long without anything that has to do with what was sent, nothing more is expected.
const SETTLED: Duration = Duration::from_secs(2);

/// How many there are of each kind.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    /// Members of the program way, with heartbeats.
    pub(crate) programs: u8,
    /// Members of the line way, as people with `nc` are.
    pub(crate) people: u8,
    /// Those who ask for the time.
    pub(crate) askers: u8,
}

/// A load that goes on until it is told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    driver: Option<JoinHandle<(Account, Vec<Member>)>>,
}

impl Load {
    /// Has everybody come in, and then everybody begin.
    pub(crate) fn start(machine: &Machine, crowd: Crowd) -> Self {
        let (members, askers) = machine.in_network(|| {
            let members: Vec<_> = (0..crowd.programs + crowd.people)
                .map(|number| Member::join(number, number >= crowd.programs))
                .collect();
            let askers: Vec<_> = (0..crowd.askers).flat_map(asker).collect();
            (members, askers)
        });
        // Who came first has seen the others come; that is not what is counted.
        std::thread::sleep(Duration::from_millis(200));
        members.iter().for_each(|member| while member.client.receive().is_some() {});
        let stop = Arc::new(AtomicBool::new(false));
        let driver = Driver::new(members, askers);
        let told = Arc::clone(&stop);
        Self { stop, driver: Some(std::thread::spawn(move || driver.run(&told))) }
    }

    /// Has everybody fall silent, waits for what is still to come, and gives the account of it. The members are still
    /// there, for questions.
    pub(crate) fn stop(mut self) -> (Account, Vec<Member>) {
        self.stop.store(true, Ordering::Relaxed);
        self.driver.take().expect("it is stopped once").join().unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A member of the chat.
pub(crate) struct Member {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) room: usize,
    is_person: bool,
}

impl Member {
    /// Comes in under a name and into a room that go by its number.
    pub(crate) fn join(number: u8, is_person: bool) -> Self {
        let client = Client::between(Ipv4Addr::new(127, 0, 1, number + 1), CHAT);
        let name = if is_person { format!("person{number}") } else { format!("program{number}") };
        let room = usize::from(number) % ROOMS.len();
        let member = Self { client, name, room, is_person };
        member.send("^hb^");
        member.send(&format!("/nick {}", member.name));
        member.client.wait_for(&format!("-- You are {} now.", member.name));
        member.send(&format!("/join {}", ROOMS[room]));
        member.client.wait_for(&format!("-- You are in {} now.", ROOMS[room]));
        member
    }

    pub(crate) fn send(&self, text: &str) {
        self.try_send(text).unwrap();
    }

    /// Says something and waits until it comes back, as it does when it was said.
    pub(crate) fn say(&self, text: &str) {
        self.send(text);
        self.client.wait_for(&format!("{}: {text}", self.name));
    }

    fn try_send(&self, text: &str) -> std::io::Result<()> {
        // A person's heartbeat is an empty line: nothing that a person types would be one.
        match (self.is_person, text) {
            (true, "^hb^") => self.client.send("\n"),
            (true, text) => self.client.send(&format!("{text}\n")),
            (false, text) => self.client.send(text),
        }
    }

    /// Who is in its room, as the hub says it.
    pub(crate) fn who(&self) -> Vec<String> {
        self.send("/who");
        let line = self.client.wait_for(&format!(" in {}: ", ROOMS[self.room]));
        let names = line.trim_end().split_once(": ").expect("it was waited for").1;
        names.split(", ").map(str::to_owned).collect()
    }

    /// The history of its room, in one text, as the hub tells it.
    pub(crate) fn history(&self) -> String {
        self.send("/history 256");
        let mut text = self.client.wait_for("] ");
        std::thread::sleep(Duration::from_millis(500));
        text.extend(std::iter::from_fn(|| self.client.receive()));
        text
    }
}

/// The sockets that one asks for the time from.
fn asker(number: u8) -> impl Iterator<Item = Client> {
    (1..=ASKER_ADDRESSES).map(move |last| Client::between(Ipv4Addr::new(127, 0, 2 + number, last), TIME))
}

/// Sends what is due, and books what comes.
struct Driver {
    members: Vec<Member>,
    askers: Vec<Client>,
    account: Account,
    /// Where each text is in the account.
    texts: HashMap<String, usize>,
    /// The last text that a member has seen of another: they come in the order of the account.
    last_seen: HashMap<(usize, String), usize>,
    last_arrival: Instant,
}

impl Driver {
    fn new(members: Vec<Member>, askers: Vec<Client>) -> Self {
        let (texts, last_seen) = (HashMap::new(), HashMap::new());
        Self { members, askers, account: Account::default(), texts, last_seen, last_arrival: Instant::now() }
    }

    fn run(mut self, stop: &AtomicBool) -> (Account, Vec<Member>) {
        let start = Instant::now();
        // So that they do not all speak at once.
        let spread = |interval: Duration, at: usize, of: usize| start + interval * at as u32 / of as u32;
        let count = self.members.len();
        let mut texts: Vec<_> = (0..count).map(|at| spread(TEXT, at, count)).collect();
        let mut heartbeats: Vec<_> = (0..count).map(|at| spread(HEARTBEAT, at, count)).collect();
        let mut request = start;
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            for at in 0..count {
                if now >= texts[at] {
                    texts[at] += TEXT;
                    self.say(at);
                }
                if now >= heartbeats[at] && !self.members[at].is_person {
                    heartbeats[at] += HEARTBEAT;
                    self.heartbeat(at);
                }
            }
            if now >= request {
                request += REQUEST;
                self.ask();
            }
            self.receive();
            std::thread::sleep(Duration::from_millis(2));
        }
        self.last_arrival = Instant::now();
        while self.last_arrival.elapsed() < SETTLED {
            self.receive();
            std::thread::sleep(Duration::from_millis(10));
        }
        (self.account, self.members)
    }

    /// Sends, and again when the first only told that a datagram before it has found the port closed.
    fn send(account: &mut Account, mut send: impl FnMut() -> std::io::Result<()>) -> bool {
        let is_sent = send().is_ok() || send().is_ok();
        account.unsent += u32::from(!is_sent);
        is_sent
    }

    fn heartbeat(&mut self, at: usize) {
        let member = &self.members[at];
        Self::send(&mut self.account, || member.try_send("^hb^"));
    }

    fn say(&mut self, at: usize) {
        let member = &self.members[at];
        let text = format!("this is number {}", self.account.texts.len());
        let sent = Instant::now();
        if !Self::send(&mut self.account, || member.try_send(&text)) {
            return;
        }
        let line = format!("{}: {text}", member.name);
        let others = self.members.iter().filter(|other| other.room == member.room).count() as u32 - 1;
        self.texts.insert(line.clone(), self.account.texts.len());
        self.account.texts.push(Text { sent, line, room: member.room, acks: 0, seen: 0, others });
    }

    /// Everybody asks, from one address each.
    fn ask(&mut self) {
        let turns = usize::from(ASKER_ADDRESSES);
        let turn = self.account.requests.len() / (self.askers.len() / turns).max(1) % turns;
        for asker in self.askers.iter().skip(turn).step_by(turns) {
            let number = self.account.requests.len();
            let sent = Instant::now();
            if Self::send(&mut self.account, || asker.send(&format!("%%{number}-%Y"))) {
                self.account.requests.push(Request { sent, answers: 0 });
            }
        }
    }

    fn receive(&mut self) {
        for asker in &self.askers {
            while let Some(answer) = asker.receive() {
                self.last_arrival = Instant::now();
                let number = answer.strip_prefix('%').and_then(|rest| rest.split('-').next()?.parse::<usize>().ok());
                match number.and_then(|number| self.account.requests.get_mut(number)) {
                    Some(request) => request.answers += 1,
                    None => self.account.strange.push(format!("an asker got {answer:?}")),
                }
            }
        }
        for at in 0..self.members.len() {
            while let Some(line) = self.members[at].client.receive() {
                self.last_arrival = Instant::now();
                self.book(at, &line);
            }
        }
    }

    fn book(&mut self, at: usize, line: &str) {
        let member = &self.members[at];
        let line = if member.is_person { line.strip_suffix('\n').unwrap_or(line) } else { line };
        let Some(&number) = self.texts.get(line) else {
            let kind = if line.starts_with("-- ") { &mut self.account.notices } else { &mut self.account.strange };
            kind.push(format!("{} got {line:?}", member.name));
            return;
        };
        let text = &mut self.account.texts[number];
        let from = line.split(':').next().expect("a text has its sender");
        let count = if from == member.name { &mut text.acks } else { &mut text.seen };
        *count += 1;
        let before = self.last_seen.insert((at, from.to_owned()), number);
        self.account.disordered += u32::from(before.is_some_and(|before| before >= number));
    }
}
