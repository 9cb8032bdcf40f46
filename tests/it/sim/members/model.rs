//! The hub as simple as it can be said: a list of members, and what each thing done to it must bring forth.
//!
//! It shares no code with the hub, keeps no queues and no tables, and does not read payloads: it is told what a datagram
//! means by whoever made it up.

use belfry::core::limits::{ERROR_PAUSE, ERRORS_IN_A_ROW_MAX};
use belfry::core::{DropReason, Instant, Refusal, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What somebody means to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Heartbeat,
    Nothing,
    Quit,
    Help,
    /// What is sent, and how others must see it.
    Text(String, String),
    Me(String),
    Message(String, String),
    Nick(String),
    BadNick,
    Join(String),
    Topic(String),
    Away,
    KeepHistory(bool),
    History,
    Who,
    Rooms,
    WhoAmI,
    UnknownCommand,
    Frame,
    NotUtf8,
    TooLong,
    Truncated,
    /// A line of the hub's own, sent back to it: relayed like any text, or dropped.
    Returned(String),
}

/// The part of the configuration that the model knows of.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) members_max: usize,
    pub(crate) members_per_address_max: usize,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) silent_timeout: Duration,
    pub(crate) echo: bool,
    pub(crate) keeps_history: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    room: String,
    pub(crate) line: bool,
    heartbeats: bool,
    heard: Instant,
    strikes: u8,
}

/// What a step must bring forth.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Messages, whole.
    pub(crate) messages: Vec<(SocketAddr, String)>,
    /// Lines of the hub's own to whom the step was about: at least, at most.
    pub(crate) answers: (usize, usize),
    /// Lines of the hub's own to others.
    pub(crate) notices: BTreeMap<SocketAddr, usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) rules: Rules,
    pub(crate) members: BTreeMap<SocketAddr, Member>,
    /// When each last made a mistake, and how many it had made in a row before.
    errors: BTreeMap<SocketAddr, (Instant, usize)>,
}

const LOBBY: &str = "lobby";

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, members: BTreeMap::new(), errors: BTreeMap::new() }
    }

    fn expiry(&self, member: &Member) -> Instant {
        let lifetime = if member.heartbeats { self.rules.heartbeat_timeout } else { self.rules.silent_timeout };
        member.heard + lifetime
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.members.values().map(|member| self.expiry(member)).min()
    }

    /// Takes out all whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Expected {
        self.remove_all(|model, _, member| model.expiry(member) <= now)
    }

    /// Takes out all that came by a socket.
    pub(crate) fn close(&mut self, v4: bool) -> Expected {
        self.remove_all(|_, addr, _| addr.is_ipv4() == v4)
    }

    fn remove_all(&mut self, is_gone: impl Fn(&Self, &SocketAddr, &Member) -> bool) -> Expected {
        let mut expected = Expected::default();
        let gone: Vec<SocketAddr> = self.members.iter().filter(|(a, m)| is_gone(self, a, m)).map(|(a, _)| *a).collect();
        let rooms: BTreeSet<String> =
            gone.iter().map(|addr| self.members.remove(addr).expect("it was there").room).collect();
        rooms.iter().for_each(|room| self.notify(room, None, &mut expected));
        expected
    }

    /// Another hub has taken over: while there was none nobody was silent.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.members.values_mut().for_each(|member| (member.heard, member.strikes) = (now, 0));
    }

    /// The host of a member says that its port is closed.
    pub(crate) fn unreachable(&mut self, addr: SocketAddr) -> Expected {
        let mut expected = Expected::default();
        if let Some(member) = self.members.get_mut(&addr) {
            member.strikes += 1;
            if member.strikes == 2 {
                let room = member.room.clone();
                self.members.remove(&addr);
                self.notify(&room, None, &mut expected);
            }
        }
        expected
    }

    fn notify(&self, room: &str, except: Option<SocketAddr>, expected: &mut Expected) {
        for (addr, member) in &self.members {
            if member.line && member.room == room && Some(*addr) != except {
                *expected.notices.entry(*addr).or_default() += 1;
            }
        }
    }

    fn named(&self, name: &str) -> Option<SocketAddr> {
        let same = |member: &Member| member.name.to_lowercase() == name.to_lowercase();
        self.members.iter().find(|(_, member)| same(member)).map(|(addr, _)| *addr)
    }

    fn relay(&self, from: SocketAddr, line: &str, expected: &mut Expected) {
        for (addr, member) in &self.members {
            if member.room == self.members[&from].room && (self.rules.echo || *addr != from) {
                expected.messages.push((*addr, line.to_owned() + if member.line { "\n" } else { "" }));
            }
        }
    }

    fn is_full_for(&self, addr: SocketAddr) -> bool {
        // Everybody is on a link of the hub's, where each address is somebody else and a network is sixteen.
        let count =
            |of: fn(IpAddr) -> IpAddr| self.members.keys().filter(|other| of(other.ip()) == of(addr.ip())).count();
        let most = self.rules.members_per_address_max;
        let of_network = (16 * most).min(self.rules.members_max / 2).max(most);
        let is_too_many = count(|addr| addr) >= most || addr.is_ipv6() && count(network) >= of_network;
        self.members.len() >= self.rules.members_max || is_too_many
    }

    fn join(&mut self, now: Instant, addr: SocketAddr, line: bool, expected: &mut Expected) {
        let automatic = match addr {
            SocketAddr::V4(v4) => format!("{}-{}", v4.ip(), v4.port()),
            SocketAddr::V6(v6) => format!("::{:x}-{}", v6.ip().segments()[7], v6.port()),
        };
        let mut name = automatic.clone();
        for number in 2.. {
            if self.named(&name).is_none() {
                break;
            }
            name = format!("{automatic}-{number}");
        }
        self.notify(LOBBY, None, expected);
        if line {
            expected.answers = (1, 1);
        }
        let member = Member { name, room: LOBBY.to_owned(), line, heartbeats: false, heard: now, strikes: 0 };
        self.members.insert(addr, member);
    }

    /// Somebody says something. `verdict` is the hub's, for the cases in which the model leaves it the choice: what came back,
    /// and errors in a row, of which it may have forgotten some.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        addr: SocketAddr,
        intent: &Intent,
        newline: bool,
        verdict: Verdict,
    ) -> (Verdict, Expected) {
        let is_reflex = verdict == Verdict::Dropped(DropReason::Reflex);
        let was_member = self.members.contains_key(&addr);
        let (right, mut expected) = self.hear_one(now, addr, intent, newline, verdict);
        if is_reflex && was_member && right == Verdict::Accepted && matches!(intent, Intent::Returned(_)) {
            (_, expected) = (self.errors.remove(&addr), Expected::default());
            return (verdict, expected);
        }
        if !matches!(right, Verdict::Refused(_)) {
            self.errors.remove(&addr);
            return (right, expected);
        }
        let (last, count) = self.errors.get(&addr).copied().unwrap_or((Instant::default(), 0));
        let count = if now.since(last) < ERROR_PAUSE { count + 1 } else { 0 };
        self.errors.insert(addr, (now, count));
        if is_reflex && count >= ERRORS_IN_A_ROW_MAX {
            expected.answers = (expected.answers.0 - 1, expected.answers.1 - 1);
            return (verdict, expected);
        }
        (right, expected)
    }

    fn hear_one(
        &mut self,
        now: Instant,
        addr: SocketAddr,
        intent: &Intent,
        newline: bool,
        verdict: Verdict,
    ) -> (Verdict, Expected) {
        let mut expected = Expected::default();
        if matches!(intent, Intent::Returned(_))
            && matches!(verdict, Verdict::Dropped(why) if why != DropReason::Reflex)
        {
            let by_a_member = self.members.contains_key(&addr);
            assert!(by_a_member, "nothing of a stranger's is an echo");
            let reason = matches!(verdict, Verdict::Dropped(DropReason::Echo | DropReason::ErrorLine));
            assert!(reason, "dropped as an echo");
            return (verdict, expected);
        }
        if let Some(member) = self.members.get_mut(&addr) {
            (member.heard, member.strikes) = (now, 0);
            member.heartbeats |= *intent == Intent::Heartbeat;
        }
        let alone = match intent {
            Intent::Help => Some(Verdict::Answered),
            Intent::UnknownCommand => Some(Verdict::Refused(Refusal::BadCommand)),
            Intent::Frame => Some(Verdict::Refused(Refusal::BadFrame)),
            Intent::NotUtf8 => Some(Verdict::Refused(Refusal::NotUtf8)),
            Intent::TooLong | Intent::Truncated => Some(Verdict::Refused(Refusal::TooLong)),
            _ => None,
        };
        if let Some(verdict) = alone {
            expected.answers = (1, 1);
            return (verdict, expected);
        }
        if *intent == Intent::Quit {
            if let Some(member) = self.members.remove(&addr) {
                expected.answers = if member.line { (1, 1) } else { (0, 0) };
                self.notify(&member.room, None, &mut expected);
            }
            return (Verdict::Accepted, expected);
        }
        if !self.members.contains_key(&addr) {
            if self.is_full_for(addr) {
                expected.answers = (1, 1);
                return (Verdict::Refused(Refusal::Full), expected);
            }
            self.join(now, addr, newline, &mut expected);
        }
        let verdict = self.act(addr, intent, &mut expected);
        (verdict, expected)
    }

    fn act(&mut self, addr: SocketAddr, intent: &Intent, expected: &mut Expected) -> Verdict {
        let answer = |expected: &mut Expected, lines: usize| {
            expected.answers = (expected.answers.0 + 1, expected.answers.1 + lines);
        };
        let me = self.members[&addr].clone();
        match intent {
            Intent::Heartbeat => {
                self.members.get_mut(&addr).expect("a member").heartbeats = true;
                return Verdict::Accepted;
            }
            Intent::Nothing => return Verdict::Accepted,
            Intent::Text(_, shown) | Intent::Returned(shown) => {
                self.relay(addr, &format!("{}: {shown}", me.name), expected);
                return Verdict::Accepted;
            }
            Intent::Me(text) => {
                self.relay(addr, &format!("* {} {text}", me.name), expected);
                return Verdict::Accepted;
            }
            Intent::Message(to, text) => match self.named(to) {
                None => {
                    answer(expected, 1);
                    return Verdict::Refused(Refusal::NoSuchMember);
                }
                Some(recipient) => {
                    let both = if recipient == addr { vec![addr] } else { vec![addr, recipient] };
                    for one in both {
                        let newline = if self.members[&one].line { "\n" } else { "" };
                        let line = format!("{} -> {}: {text}{newline}", me.name, self.members[&recipient].name);
                        expected.messages.push((one, line));
                    }
                    // Whether the other is away, the model does not know.
                    expected.answers.1 += 1;
                }
            },
            Intent::Nick(name) => {
                answer(expected, 1);
                if self.named(name).is_some_and(|other| other != addr) {
                    return Verdict::Refused(Refusal::NameTaken);
                }
                if me.name != *name {
                    self.notify(&me.room, Some(addr), expected);
                }
                self.members.get_mut(&addr).expect("a member").name = name.clone();
            }
            Intent::BadNick => {
                answer(expected, 1);
                return Verdict::Refused(Refusal::BadName);
            }
            Intent::Join(room) => {
                answer(expected, 1);
                if *room != me.room {
                    self.notify(&me.room, Some(addr), expected);
                    self.notify(room, Some(addr), expected);
                    self.members.get_mut(&addr).expect("a member").room = room.clone();
                }
            }
            Intent::KeepHistory(_) if !self.rules.keeps_history => answer(expected, 1),
            Intent::Topic(_) | Intent::Away | Intent::KeepHistory(_) => {
                answer(expected, 1);
                self.notify(&me.room, Some(addr), expected);
            }
            Intent::History => answer(expected, 16),
            Intent::Who | Intent::Rooms | Intent::WhoAmI => answer(expected, 1),
            other => unreachable!("{other:?} is dealt with before anybody joins"),
        }
        Verdict::Answered
    }
}

fn network(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => addr,
        IpAddr::V6(v6) => {
            IpAddr::from([v6.segments()[0], v6.segments()[1], v6.segments()[2], v6.segments()[3], 0, 0, 0, 0])
        }
    }
}
