//! `belfry discover`: who offers this on the network?
//!
//! The question goes to the group on every interface, three times because datagrams get lost; each server answers it to
//! us alone, from every address at which it was asked. The list has each server once, as far as that can be told.

use super::{Failure, Who};
use crate::clock::Clock;
use crate::core::Interface;
use crate::core::limits::RECEIVE_MAX;
use crate::daemon::netlink::Netlink;
use crate::services::ServiceName;
use crate::services::announce::{Announcement, PADDED_QUESTION, Verb, parse_announcement};
use clap::Args;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

/// The question to a group. One to a host may go to a stranger, who answers no more than it pays for.
const QUESTION: &[u8] = b"Notify";

/// Where it is asked: all hosts of a link.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// When it is asked, after the start.
const SCHEDULE: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_secs(1)];

/// How long the kernel may take to list the interfaces. It takes less than a millisecond.
const INTERFACES_WAIT_MAX: Duration = Duration::from_secs(2);

/// Datagrams that are read before the clock is looked at again, whoever floods us.
const BUDGET: usize = 64;

/// Different answers that are kept; more than a network has servers.
const ANSWERS_MAX: usize = 1_024;

/// What `belfry discover` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Ask on this interface only
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The port that announcers listen on
    #[arg(long, default_value_t = 8001, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

/// A server that has answered, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    source: SocketAddr,
    answer: Answer,
}

impl Found {
    /// Where it offers a service, when it says so.
    pub(super) fn addr_of(&self, service: &str) -> Option<SocketAddr> {
        let &(_, port) = self.answer.services.iter().find(|(name, _)| name == service)?;
        Some(self.addr_at(port))
    }

    pub(super) fn addr_at(&self, port: u16) -> SocketAddr {
        let mut addr = self.source;
        addr.set_port(port);
        addr
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer.host {
            Some(host) => write!(f, "{host} ({})", self.source.ip()),
            None => write!(f, "{}", self.source.ip()),
        }
    }
}

/// The server that is asked when nobody says which: that of this host, or else of this network.
pub(super) fn nearest(_timeout: Duration) -> Result<Option<Found>, Failure> {
    Ok(None)
}

/// Asks everybody, and prints a line for each server that answers.
pub(super) fn discover(who: &Who, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let all = Netlink::open().and_then(|mut netlink| netlink.wait_for_table(INTERFACES_WAIT_MAX));
    let all = all.map_err(Failure::to("list the interfaces"))?;
    let ours: Vec<IpAddr> = all.iter().flat_map(|interface| &interface.addresses).map(|net| net.addr()).collect();
    let mut targets = groups(&all, options.interface.as_deref())?;
    if !who.server.is_empty() {
        for server in who.servers()? {
            targets.extend(server.resolve(ServiceName::Announce)?.into_iter().map(Target::One));
        }
    }
    let mut answers = Vec::new();
    Search::new(targets, options.port)?.run(who.timeout, |source, answer| {
        let answer = (source, answer);
        if answers.len() < ANSWERS_MAX && !answers.contains(&answer) {
            answers.push(answer);
        }
    })?;
    if answers.is_empty() {
        return Err(nobody(who, options));
    }
    for (source, answer) in servers(answers, &ours) {
        writeln!(out, "{:<15}  {answer}", place(source, &all)).map_err(Failure::to("print"))?;
    }
    Ok(())
}

/// Each server once, in the order of their names: of this host's own addresses one, and of others that say the same the
/// IPv4 ones, since a host seldom has two of those on one network but always answers by IPv6 as well.
fn servers(mut answers: Vec<(SocketAddr, Answer)>, ours: &[IpAddr]) -> Vec<(SocketAddr, Answer)> {
    let rank = |addr: IpAddr| (addr.is_ipv6(), addr.is_loopback(), addr);
    answers.sort_by(|(a, said_a), (b, said_b)| (said_a, rank(a.ip())).cmp(&(said_b, rank(b.ip()))));
    let mut servers: Vec<(SocketAddr, Answer)> = Vec::new();
    for (source, answer) in answers {
        let is_ours = |addr: SocketAddr| ours.contains(&addr.ip());
        let shown = servers.iter().any(|(other, said)| {
            let by_another_way = source.is_ipv6() && other.is_ipv4() && answer.host.is_some();
            *said == answer && is_ours(*other) == is_ours(source) && (is_ours(source) || by_another_way)
        });
        if !shown {
            servers.push((source, answer));
        }
    }
    servers
}

/// The silence, and what may be behind it.
fn nobody(who: &Who, options: &Options) -> Failure {
    let port = options.port;
    Failure::NobodyThere(format!(
        "nobody answered within {}
  Is belfryd running there, with [announce] enabled?
  A firewall may drop udp/{port} on the server, or the answers here.
  Some networks, wireless ones above all, do not carry multicast: belfry discover --server HOST",
        humantime::format_duration(who.timeout)
    ))
}

/// Where the question goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The IPv4 group, from this address of ours, on its interface.
    GroupV4(Ipv4Addr),
    /// The IPv6 group, on the interface with this index.
    GroupV6(u32),
    /// One host.
    One(SocketAddr),
}

/// The groups on every interface that takes part, or on the one with the name that is given.
fn groups(interfaces: &[Interface], only: Option<&str>) -> Result<Vec<Target>, Failure> {
    if let Some(name) = only
        && interfaces.iter().all(|interface| interface.name != name)
    {
        return Err(Failure::Usage(format!("there is no interface {name:?}")));
    }
    let mut targets = Vec::new();
    let wanted = |interface: &&Interface| only.is_none_or(|name| interface.name == name);
    for interface in interfaces.iter().filter(wanted).filter(|interface| interface.up && interface.multicast) {
        let addrs = || interface.addresses.iter().map(|net| net.addr());
        let v4 = addrs().find_map(|addr| if let IpAddr::V4(addr) = addr { Some(addr) } else { None });
        targets.extend(v4.map(Target::GroupV4));
        targets.extend(addrs().any(|addr| addr.is_ipv6()).then_some(Target::GroupV6(interface.index)));
    }
    Ok(targets)
}

/// The sockets that ask and hear.
#[derive(Debug)]
struct Search {
    v4: UdpSocket,
    /// `None` on a host without IPv6.
    v6: Option<UdpSocket>,
    targets: Vec<Target>,
    port: u16,
    clock: Clock,
}

impl Search {
    fn new(targets: Vec<Target>, port: u16) -> Result<Self, Failure> {
        if targets.is_empty() {
            return Err(Failure::Failed("no interface here is up and can multicast".to_owned()));
        }
        let open = |addr: IpAddr| {
            let socket = UdpSocket::bind((addr, 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let v4 = open(Ipv4Addr::UNSPECIFIED.into()).map_err(Failure::to("open a socket"))?;
        let v6 = open(Ipv6Addr::UNSPECIFIED.into()).ok();
        Ok(Self { v4, v6, targets, port, clock: Clock::new() })
    }

    /// Asks as scheduled until `timeout`, and hands over each answer with its source.
    fn run(&self, timeout: Duration, mut heard: impl FnMut(SocketAddr, Answer)) -> Result<(), Failure> {
        let start = self.clock.now().mono;
        let end = start + timeout;
        let mut due = SCHEDULE.iter().map(|&after| start + after).peekable();
        loop {
            let now = self.clock.now().mono;
            if now >= end {
                return Ok(());
            }
            if due.next_if(|&at| at <= now).is_some() {
                self.ask().map_err(Failure::to("ask on any interface"))?;
            }
            let until = due.peek().map_or(end, |&at| at.min(end));
            self.wait(until.since(now))?;
            for socket in [Some(&self.v4), self.v6.as_ref()].into_iter().flatten() {
                let mut buffer = [0; RECEIVE_MAX];
                for _ in 0..BUDGET {
                    let Ok((len, source)) = socket.recv_from(&mut buffer) else { break };
                    if let Some(answer) = Answer::parse(&buffer[..len]) {
                        heard(source, answer);
                    }
                }
            }
        }
    }

    /// Asks every target; fails when not one could be asked.
    fn ask(&self) -> io::Result<()> {
        let mut trouble = None;
        let mut asked = 0;
        for &target in &self.targets {
            match self.ask_one(target) {
                Ok(()) => asked += 1,
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if asked == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn ask_one(&self, target: Target) -> io::Result<()> {
        let v6 = || self.v6.as_ref().ok_or(io::Error::from(io::ErrorKind::Unsupported));
        let (socket, to, question) = match target {
            Target::GroupV4(ours) => {
                SockRef::from(&self.v4).set_multicast_if_v4(&ours)?;
                (&self.v4, SocketAddr::from((GROUP_V4, self.port)), QUESTION)
            }
            Target::GroupV6(index) => (v6()?, SocketAddrV6::new(GROUP_V6, self.port, 0, index).into(), QUESTION),
            Target::One(to @ SocketAddr::V4(_)) => (&self.v4, to, &PADDED_QUESTION[..]),
            Target::One(to @ SocketAddr::V6(_)) => (v6()?, to, &PADDED_QUESTION[..]),
        };
        socket.send_to(question, to).map(drop)
    }

    fn wait(&self, at_most: Duration) -> Result<(), Failure> {
        let sockets = [Some(&self.v4), self.v6.as_ref()];
        let mut fds: Vec<PollFd<'_>> =
            sockets.into_iter().flatten().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::try_from(at_most + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(Failure::to("wait")(error.into())),
        }
    }
}

/// An address without the port of the announcer, as `--server` takes it.
fn place(source: SocketAddr, interfaces: &[Interface]) -> String {
    match source {
        SocketAddr::V6(addr) if addr.scope_id() != 0 => {
            let interface = interfaces.iter().find(|interface| interface.index == addr.scope_id());
            let scope = interface.map_or_else(|| addr.scope_id().to_string(), |interface| interface.name.clone());
            format!("{}%{scope}", addr.ip())
        }
        addr => addr.ip().to_string(),
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    host: Option<String>,
    services: Vec<(String, u16)>,
}

impl Answer {
    fn parse(payload: &[u8]) -> Option<Self> {
        let Announcement { verb, host, services, .. } = parse_announcement(std::str::from_utf8(payload).ok()?)?;
        (verb == Verb::Acknowlege).then_some(Self { host, services })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<15}  ", self.host.as_deref().unwrap_or("-"))?;
        if self.services.is_empty() {
            return f.write_str("-");
        }
        for (at, (name, port)) in self.services.iter().enumerate() {
            write!(f, "{}{name} {port}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::text::is_control;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_shown_as_far_as_it_is_understood_and_nothing_else_is_one() {
        let cases: [(&[u8], &str); 4] = [
            (b"Acknowlege belfry/1 host=tower time=8080 chat=9999\n", "tower            time 8080, chat 9999"),
            (b"Acknowlege belfry/2 ntp=123 colour=red heartbeat=3s", "-                ntp 123"),
            (b"Acknowlege\0\0", "-                -"),
            (b"Acknowlege belfry/1 host=\x1b[2J time=0", "-                -"),
        ];
        for (payload, shown) in cases {
            assert_eq!(Answer::parse(payload).unwrap().to_string(), shown);
        }
        for payload in [&b"Notify"[..], b"", b"Announce belfry/1 host=tower", b"Goodbye", b"\xff"] {
            assert_eq!(Answer::parse(payload), None, "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_answers_steers_the_terminal(
            rest in "( (host|time|chat|[a-z]{1,9})=[a-z0-9\\PC\u{1b}\u{9b}\u{202e}\r\u{7f}]{0,9}){0,5}[\n\0]?",
            raw in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            for tail in [rest.as_bytes(), &raw] {
                let payload = [b"Acknowlege belfry/1", tail].concat();
                if let Some(answer) = Answer::parse(&payload) {
                    let shown = answer.to_string();
                    prop_assert!(!shown.contains(|c| c == '\n' || is_control(c)), "{shown:?}");
                }
            }
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
        ];
        let v4 = |addr: [u8; 4]| Target::GroupV4(addr.into());
        let cases = [
            (None, vec![v4([127, 0, 0, 1]), Target::GroupV6(1), v4([192, 0, 2, 1]), Target::GroupV6(2)]),
            (Some("if2"), vec![v4([192, 0, 2, 1]), Target::GroupV6(2)]),
            (Some("down"), vec![]),
        ];
        for (only, targets) in cases {
            assert_eq!(groups(&all, only).unwrap(), targets, "{only:?}");
        }
        assert!(matches!(groups(&all, Some("eth9")), Err(Failure::Usage(_))));
    }

    #[test]
    fn an_address_is_shown_as_the_server_option_takes_it() {
        let eth3 = Interface {
            index: 3,
            name: "eth3".to_owned(),
            up: true,
            multicast: true,
            loopback: false,
            addresses: Vec::new(),
            peers: Vec::new(),
        };
        let cases = [
            ("192.0.2.1:8001", "192.0.2.1"),
            ("[fe80::1%3]:8001", "fe80::1%eth3"),
            ("[fe80::1%4]:8001", "fe80::1%4"),
            ("[::1]:8001", "::1"),
        ];
        for (addr, shown) in cases {
            assert_eq!(place(addr.parse().unwrap(), std::slice::from_ref(&eth3)), shown);
            assert!(shown.parse::<super::super::server::Server>().is_ok());
        }
    }

    #[test]
    fn each_server_is_listed_once_however_many_ways_it_answers() {
        let answers = [
            ("[fe80::9%2]:8001", "Acknowlege belfry/1 host=workshop time=8080"),
            ("192.0.2.9:8001", "Acknowlege belfry/1 host=workshop time=8080"),
            ("192.0.2.8:8001", "Acknowlege belfry/1 host=workshop time=8080"),
            ("[fe80::7%2]:8001", "Acknowlege belfry/1 host=attic time=8080"),
            ("127.0.0.1:8001", "Acknowlege belfry/1 host=tower chat=9999"),
            ("192.0.2.1:8001", "Acknowlege belfry/1 host=tower chat=9999"),
            ("[fe80::1%2]:8001", "Acknowlege belfry/1 host=tower chat=9999"),
            ("192.0.2.5:8001", "Acknowlege"),
            ("[fe80::5%2]:8001", "Acknowlege"),
        ];
        let answers = answers.map(|(addr, said)| (addr.parse().unwrap(), Answer::parse(said.as_bytes()).unwrap()));
        let ours = ["127.0.0.1", "192.0.2.1", "fe80::1"].map(|addr| addr.parse().unwrap());
        let listed: Vec<String> =
            servers(answers.to_vec(), &ours).into_iter().map(|(addr, _)| addr.to_string()).collect();
        assert_eq!(
            listed,
            [
                "192.0.2.5:8001",
                "[fe80::5%2]:8001",
                "[fe80::7%2]:8001",
                "192.0.2.1:8001",
                "192.0.2.8:8001",
                "192.0.2.9:8001"
            ]
        );
    }
}
