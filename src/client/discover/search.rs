//! The search: the question to the groups, the answers of whoever hears it, and how long each takes to answer when it
//! is asked alone.
//!
//! Groups are asked three times, because datagrams get lost. Each address that answers is asked once more by a connected
//! socket, and so is each host that was named: that tells the round trip, and that nobody listens.

use super::answer::{Answer, Found};
use crate::client::Failure;
use crate::client::link::Link;
use crate::clock::Clock;
use crate::core::interfaces::Family;
use crate::core::limits::RECEIVE_MAX;
use crate::core::{Instant, Interface};
use crate::services::announce::{PADDED_QUESTION, Verb, parse_announcement};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The question to a group. One to a host may go to a stranger, who answers no more than it pays for.
const QUESTION: &[u8] = b"Notify";

/// Where it is asked: all hosts of a link.
pub(super) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
pub(super) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// When it is asked, after the start.
pub(super) const SCHEDULE: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_secs(1)];

/// Datagrams that are read before the clock is looked at again, whoever floods us.
const BUDGET: usize = 64;

/// Different answers that are kept; more than a network has servers.
const ANSWERS_MAX: usize = 1_024;

/// Addresses that are asked alone: each takes a socket, of which a process has some thousand.
const PROBES_MAX: usize = 256;

/// After how long an address that has not answered is asked again.
const PROBE_AGAIN: Duration = Duration::from_millis(200);

/// A group on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The IPv4 group, from this address of ours, on its interface.
    V4(Ipv4Addr),
    /// The IPv6 group, on the interface with this index.
    V6(u32),
}

/// The groups on every interface that takes part, or on the one with the name that is given; with its index.
pub(super) fn groups(interfaces: &[Interface], only: Option<&str>) -> Result<Vec<(u32, Target)>, Failure> {
    if let Some(name) = only
        && interfaces.iter().all(|interface| interface.name != name)
    {
        return Err(Failure::Usage(format!("there is no interface {name:?}")));
    }
    let mut targets = Vec::new();
    for interface in interfaces.iter().filter(|interface| only.is_none_or(|name| interface.name == name)) {
        let index = interface.index;
        let v4 = interface.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(addr) => Some((index, Target::V4(addr))),
            IpAddr::V6(_) => None,
        });
        targets.extend(v4.filter(|_| interface.reaches_groups(Family::V4)));
        targets.extend(interface.reaches_groups(Family::V6).then_some((index, Target::V6(index))));
    }
    Ok(targets)
}

/// What came of asking one group.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) interface: u32,
    pub(super) target: Target,
    pub(super) count: u32,
    pub(super) trouble: Option<io::Error>,
}

/// A question to one address alone.
#[derive(Debug)]
struct Probe {
    addr: SocketAddr,
    /// `None` once it was answered, or nobody listens.
    link: Option<Link>,
    sent_at: Instant,
}

/// The sockets that ask and hear, and what was heard.
#[derive(Debug)]
pub(super) struct Search {
    v4: UdpSocket,
    /// `None` on a host without IPv6.
    v6: Option<UdpSocket>,
    port: u16,
    clock: Clock,
    pub(super) asked: Vec<Asked>,
    probes: Vec<Probe>,
    pub(super) found: Vec<Found>,
    /// Hosts where nobody listens.
    pub(super) refused: Vec<SocketAddr>,
}

impl Search {
    pub(super) fn new(targets: Vec<(u32, Target)>, port: u16) -> Result<Self, Failure> {
        let open = |addr: IpAddr| {
            let socket = UdpSocket::bind((addr, 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let v4 = open(Ipv4Addr::UNSPECIFIED.into()).map_err(Failure::to("open a socket"))?;
        let v6 = open(Ipv6Addr::UNSPECIFIED.into()).ok();
        let mut search = Self {
            v4,
            v6,
            port,
            clock: Clock::new(),
            asked: Vec::new(),
            probes: Vec::new(),
            found: Vec::new(),
            refused: Vec::new(),
        };
        search.turn_to(targets);
        Ok(search)
    }

    /// Asks other groups from now on.
    pub(super) fn turn_to(&mut self, targets: Vec<(u32, Target)>) {
        let asked = |(interface, target)| Asked { interface, target, count: 0, trouble: None };
        self.asked = targets.into_iter().map(asked).collect();
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now().mono
    }

    /// Asks as scheduled, until `timeout` or until what was found `is_enough`.
    pub(super) fn run_until(&mut self, timeout: Duration, is_enough: impl Fn(&[Found]) -> bool) -> Result<(), Failure> {
        let start = self.now();
        let end = start + timeout;
        let mut due = SCHEDULE.iter().map(|&after| start + after).peekable();
        while !is_enough(&self.found) && self.now() < end {
            if due.next_if(|&at| at <= self.now()).is_some() {
                self.ask()?;
            }
            self.wait(Some(due.peek().map_or(end, |&at| at.min(end))), &[])?;
            self.receive();
        }
        Ok(())
    }

    /// The same, until the first answer and for so long after it as others may take.
    pub(super) fn run_and_settle(&mut self, timeout: Duration, settle: Duration) -> Result<(), Failure> {
        let end = self.now() + timeout;
        self.run_until(timeout, |found| !found.is_empty())?;
        let end = end.min(self.now() + settle);
        while self.now() < end {
            self.wait(Some(end), &[])?;
            self.receive();
        }
        Ok(())
    }

    /// What was heard since the last time, and lets everybody be asked alone once more.
    pub(super) fn take(&mut self) -> Vec<Found> {
        self.probes.retain(|probe| probe.link.is_some());
        std::mem::take(&mut self.found)
    }

    /// Asks every group, and again those who were asked alone and have not answered.
    pub(super) fn ask(&mut self) -> Result<(), Failure> {
        let mut trouble = None;
        for at in 0..self.asked.len() {
            match self.ask_group(self.asked[at].target) {
                Ok(()) => self.asked[at].count += 1,
                Err(error) => {
                    trouble = Some(io::Error::from(error.kind()));
                    self.asked[at].trouble = Some(error);
                }
            }
        }
        // Each question has a socket of its own, so that nobody mistakes the answer to one for that to another.
        let now = self.now();
        let is_late = |probe: &Probe| probe.link.is_some() && now.since(probe.sent_at) >= PROBE_AGAIN;
        let late: Vec<SocketAddr> = self.probes.iter().filter(|probe| is_late(probe)).map(|probe| probe.addr).collect();
        self.probes.retain(|probe| !is_late(probe));
        late.into_iter().for_each(|addr| self.probe(addr));
        match trouble {
            Some(error) if self.asked.iter().all(|asked| asked.count == 0) && self.probes.is_empty() => {
                Err(Failure::to("ask on any interface")(error))
            }
            _ => Ok(()),
        }
    }

    /// Asks an address alone, unless it was already.
    pub(super) fn probe(&mut self, addr: SocketAddr) {
        if self.probes.len() >= PROBES_MAX || self.probes.iter().any(|probe| probe.addr == addr) {
            return;
        }
        let link = Link::open(addr).and_then(|link| link.send(&PADDED_QUESTION).map(|()| link)).ok();
        self.probes.push(Probe { addr, link, sent_at: self.clock.now().mono });
    }

    /// Waits until `until`, an answer, or one of those that are `watched`.
    pub(super) fn wait(&self, until: Option<Instant>, watched: &[BorrowedFd<'_>]) -> Result<(), Failure> {
        let probes = self.open_probes().filter_map(|probe| probe.link.as_ref()).map(AsFd::as_fd);
        let ours = [Some(&self.v4), self.v6.as_ref()].into_iter().flatten().map(AsFd::as_fd);
        let all = ours.chain(probes).chain(watched.iter().copied());
        let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let left = until.map(|until| until.since(self.now()) + Duration::from_millis(1));
        let timeout = left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(Failure::to("wait")(error.into())),
        }
    }

    /// Takes what has come. Whoever answers for the first time is asked alone.
    pub(super) fn receive(&mut self) {
        let mut heard = Vec::new();
        for socket in [Some(&self.v4), self.v6.as_ref()].into_iter().flatten() {
            let mut buffer = [0; RECEIVE_MAX];
            for _ in 0..BUDGET {
                let Ok((len, source)) = socket.recv_from(&mut buffer) else { break };
                heard.extend(acknowlege(&buffer[..len]).map(|answer| (source, answer)));
            }
        }
        for (source, answer) in heard {
            self.keep(source, answer, None);
            self.probe(source);
        }
        for at in 0..self.probes.len() {
            self.receive_probe(at);
        }
    }

    fn receive_probe(&mut self, at: usize) {
        let Probe { addr, link: Some(link), sent_at } = &self.probes[at] else { return };
        let (addr, sent_at) = (*addr, *sent_at);
        match link.receive_now() {
            Ok(None) => {}
            Ok(Some(payload)) => {
                if let Some(answer) = acknowlege(&payload) {
                    self.probes[at].link = None;
                    let round_trip = self.now().since(sent_at);
                    self.keep(addr, answer, Some(round_trip));
                }
            }
            Err(failure) => {
                self.probes[at].link = None;
                if matches!(failure, Failure::NobodyListens(_)) {
                    self.refused.push(addr);
                }
            }
        }
    }

    fn keep(&mut self, source: SocketAddr, answer: Answer, round_trip: Option<Duration>) {
        if round_trip.is_some() {
            for found in self.found.iter_mut().filter(|found| found.source == source) {
                found.round_trip = round_trip;
            }
        }
        let is_known = self.found.iter().any(|found| found.source == source && found.answer == answer);
        if !is_known && self.found.len() < ANSWERS_MAX {
            self.found.push(Found { source, answer, round_trip });
        }
    }

    fn ask_group(&self, target: Target) -> io::Result<()> {
        let (socket, to) = match target {
            Target::V4(ours) => {
                SockRef::from(&self.v4).set_multicast_if_v4(&ours)?;
                (&self.v4, SocketAddr::from((GROUP_V4, self.port)))
            }
            Target::V6(index) => {
                let v6 = self.v6.as_ref().ok_or(io::Error::from(io::ErrorKind::Unsupported))?;
                (v6, SocketAddrV6::new(GROUP_V6, self.port, 0, index).into())
            }
        };
        socket.send_to(QUESTION, to).map(drop)
    }

    fn open_probes(&self) -> impl Iterator<Item = &Probe> {
        self.probes.iter().filter(|probe| probe.link.is_some())
    }
}

/// What an answer says; `None` for everything else.
pub(in crate::client) fn acknowlege(payload: &[u8]) -> Option<Answer> {
    let said = parse_announcement(std::str::from_utf8(payload).ok()?)?;
    (said.verb == Verb::Acknowlege).then(|| said.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_answer_is_one() {
        assert_eq!(acknowlege(b"Acknowlege\0\0"), Some(Answer::default()));
        for payload in [&b"Notify"[..], b"", b"Announce belfry/1 host=tower", b"Goodbye", b"\xff"] {
            assert_eq!(acknowlege(payload), None, "{payload:?}");
        }
    }

    #[test]
    fn the_question_goes_once_by_each_family_of_each_interface_that_takes_part() {
        let interface = |index, name: &str, up, multicast, addrs: &[&str]| Interface {
            index,
            name: name.to_owned(),
            up,
            multicast,
            loopback: name == "lo",
            addresses: addrs.iter().map(|net| net.parse().unwrap()).collect(),
            peers: Vec::new(),
        };
        let all = [
            interface(1, "lo", true, true, &["127.0.0.1/8", "::1/128"]),
            interface(2, "if2", true, true, &["192.0.2.1/24", "192.0.2.2/24", "fe80::1/64", "fd00::1/64"]),
            interface(3, "down", false, true, &["192.0.2.3/24"]),
            interface(4, "tun", true, false, &["192.0.2.4/24"]),
            interface(5, "bare", true, true, &[]),
            interface(6, "only6", true, true, &["fe80::6/64"]),
        ];
        let v4 = |index, addr: [u8; 4]| (index, Target::V4(addr.into()));
        let v6 = |index| (index, Target::V6(index));
        let cases = [
            (None, vec![v4(1, [127, 0, 0, 1]), v4(2, [192, 0, 2, 1]), v6(2), v6(6)]),
            (Some("if2"), vec![v4(2, [192, 0, 2, 1]), v6(2)]),
            (Some("down"), vec![]),
        ];
        for (only, targets) in cases {
            assert_eq!(groups(&all, only).unwrap(), targets, "{only:?}");
        }
        assert!(matches!(groups(&all, Some("eth9")), Err(Failure::Usage(_))));
    }
}
