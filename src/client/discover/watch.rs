//! `belfry discover --watch`: who comes, goes and changes, until interrupted.
//!
//! Servers tell their groups when they come, change and go, so a socket in those groups hears all of that at once. Where
//! the announcer's port cannot be had, as beside a daemon on this host, and for those who go without a word, the groups
//! are asked from time to time: whoever does not answer three times in a row is gone.
//!
//! The socket is bound to the group and not to the host: questions to a daemon on this host still go to that daemon.

use super::answer::{Answer, Found, aligned, is_same};
use super::search::{GROUP_V4, GROUP_V6, SCHEDULE, Search, groups};
use super::{INTERFACES_WAIT_MAX, Options, addrs, named};
use crate::client::{Failure, Who, complain};
use crate::core::limits::RECEIVE_MAX;
use crate::core::{Instant, Interface};
use crate::daemon::netlink::Netlink;
use crate::daemon::signals::Signals;
use crate::services::announce::{Verb, parse_announcement};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How often the groups are asked while their announcements are heard, and while they are not.
const ASK_LISTENING: Duration = Duration::from_secs(20);
const ASK_DEAF: Duration = Duration::from_secs(5);

/// Questions in a row that a server may leave unanswered.
const MISSED_MAX: u32 = 3;

/// Servers that are kept in mind; more than a network has.
const SERVERS_MAX: usize = 1_024;

/// Announcements that are read before the signals have their turn.
const BUDGET: usize = 64;

/// Goes on until it is interrupted, or nobody reads any more.
pub(super) fn watch(who: &Who, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let signals = Signals::new().map_err(Failure::to("wait for signals"))?;
    let mut netlink = Netlink::open().map_err(Failure::to("watch the interfaces"))?;
    let interfaces = netlink.wait_for_table(INTERFACES_WAIT_MAX).map_err(Failure::to("list the interfaces"))?;
    let named = named(who, options)?;
    let mut search = super::begin(who, options, &interfaces)?;
    let mut ears = Ears::open(&interfaces, options)?;
    let mut present = Present { servers: Vec::new(), ours: addrs(&interfaces), interfaces, json: options.json };
    let begin = search.now();
    let mut asks: Vec<Instant> = SCHEDULE.iter().rev().map(|&after| begin + after).collect();
    loop {
        if let Some(at) = asks.pop_if(|at| *at <= search.now()) {
            // A network that is gone for a while is no reason to end.
            let _ = search.ask();
            named.iter().for_each(|&addr| search.probe(addr));
            if asks.is_empty() {
                present.miss(out)?;
                asks.push(at + if ears.sockets.is_empty() { ASK_DEAF } else { ASK_LISTENING });
            }
        }
        let watched: Vec<BorrowedFd<'_>> = [signals.as_fd(), netlink.as_fd()].into_iter().chain(ears.fds()).collect();
        search.wait(asks.last().copied(), &watched)?;
        search.receive();
        for found in search.take() {
            present.see(found, out)?;
        }
        ears.hear(|source, verb, answer| present.hear(source, verb, answer, out))?;
        if let Ok(Some(table)) = netlink.on_readable() {
            search.turn_to(groups(&table, options.interface.as_deref()).unwrap_or_default());
            ears = Ears::open(&table, options)?;
            (present.ours, present.interfaces) = (addrs(&table), table);
            asks = vec![search.now()];
        }
        if signals.read().map_err(Failure::to("read a signal"))?.is_some() {
            return Ok(());
        }
    }
}

/// The sockets that hear what is told to the groups.
#[derive(Debug)]
struct Ears {
    sockets: Vec<UdpSocket>,
}

impl Ears {
    fn open(interfaces: &[Interface], options: &Options) -> Result<Self, Failure> {
        let targets = groups(interfaces, options.interface.as_deref()).unwrap_or_default();
        let mut indices: Vec<u32> = targets.iter().map(|&(index, _)| index).collect();
        indices.dedup();
        let mut sockets = Vec::new();
        let opened = hear_v4(&indices, options.port).map(|socket| sockets.push(socket));
        // One for each interface: a group address of IPv6 is bound with its scope.
        sockets.extend(indices.iter().filter_map(|&index| hear_v6(index, options.port).ok()));
        if options.verbose {
            match &opened {
                Ok(()) => complain(&format_args!("listening to the groups on {} interfaces", indices.len())),
                Err(error) => complain(&format_args!("cannot listen to the groups, so they are asked: {error}")),
            }
        }
        Ok(Self { sockets })
    }

    fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    fn hear(&self, mut tell: impl FnMut(SocketAddr, Verb, Answer) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut buffer = [0; RECEIVE_MAX];
        for socket in &self.sockets {
            for _ in 0..BUDGET {
                let Ok((len, source)) = socket.recv_from(&mut buffer) else { break };
                let said = std::str::from_utf8(&buffer[..len]).ok().and_then(parse_announcement);
                if let Some(said) = said {
                    tell(source, said.verb, said.into())?;
                }
            }
        }
        Ok(())
    }
}

fn hear_v4(indices: &[u32], port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((GROUP_V4, port)).into())?;
    for &index in indices {
        // One without IPv4 cannot be joined on.
        let _ = socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index));
    }
    Ok(socket.into())
}

fn hear_v6(index: u32, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::V6(SocketAddrV6::new(GROUP_V6, port, 0, index)).into())?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    Ok(socket.into())
}

/// A server that is there, and every address that it has spoken from.
#[derive(Debug)]
struct Server {
    found: Found,
    sources: Vec<SocketAddr>,
    missed: u32,
}

/// The servers that are there.
#[derive(Debug)]
struct Present {
    servers: Vec<Server>,
    ours: Vec<IpAddr>,
    interfaces: Vec<Interface>,
    json: bool,
}

impl Present {
    /// Takes what was told to a group.
    fn hear(&mut self, source: SocketAddr, verb: Verb, answer: Answer, out: &mut impl Write) -> Result<(), Failure> {
        match verb {
            Verb::Goodbye => self.lose(|server| server.sources.contains(&source), out),
            Verb::Announce | Verb::Acknowlege => self.see(Found { source, answer, round_trip: None }, out),
        }
    }

    fn see(&mut self, found: Found, out: &mut impl Write) -> Result<(), Failure> {
        let source = found.source;
        let at = self.servers.iter().position(|server| server.sources.contains(&source));
        if let Some(at) = at {
            let server = &mut self.servers[at];
            server.missed = 0;
            let has_changed = server.found.answer != found.answer;
            server.found.answer = found.answer;
            server.found.round_trip = found.round_trip.or(server.found.round_trip);
            let shown = has_changed.then(|| server.found.clone());
            return shown.map_or(Ok(()), |found| self.print(&found, ("~", "changed"), out));
        }
        let ours = &self.ours;
        let is_other_way =
            |server: &&mut Server| is_same(&server.found, &found, ours) || is_same(&found, &server.found, ours);
        if let Some(server) = self.servers.iter_mut().find(is_other_way) {
            server.missed = 0;
            server.sources.push(source);
            return Ok(());
        }
        if self.servers.len() >= SERVERS_MAX {
            return Ok(());
        }
        self.servers.push(Server { found: found.clone(), sources: vec![source], missed: 0 });
        self.print(&found, ("+", "came"), out)
    }

    /// Counts a question for everybody; whoever answers it is not counted against.
    fn miss(&mut self, out: &mut impl Write) -> Result<(), Failure> {
        self.servers.iter_mut().for_each(|server| server.missed += 1);
        self.lose(|server| server.missed > MISSED_MAX, out)
    }

    fn lose(&mut self, is_gone: impl Fn(&Server) -> bool, out: &mut impl Write) -> Result<(), Failure> {
        let (gone, present) = std::mem::take(&mut self.servers).into_iter().partition(is_gone);
        self.servers = present;
        let gone: Vec<Server> = gone;
        gone.iter().try_for_each(|server| self.print(&server.found, ("-", "gone"), out))
    }

    fn print(&self, found: &Found, (sign, event): (&str, &str), out: &mut impl Write) -> Result<(), Failure> {
        let line = if self.json {
            found.json(Some(event), &self.interfaces)
        } else {
            let line: String = aligned(&[found.columns(&self.interfaces)]).collect();
            format!("{sign} {line}")
        };
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Failure::to("print"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed of these, one after the other; `miss` is a question.
    fn told(script: &[(&str, &str)]) -> Vec<String> {
        let ours = vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        let mut present = Present { servers: Vec::new(), ours, interfaces: Vec::new(), json: false };
        let mut out = Vec::new();
        for (source, said) in script {
            match parse_announcement(said) {
                Some(said) => present.hear(source.parse().unwrap(), said.verb, said.into(), &mut out).unwrap(),
                None => present.miss(&mut out).unwrap(),
            }
        }
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    const TOWER: &str = "Announce belfry/1 host=tower time=8080";

    #[test]
    fn a_server_comes_once_however_often_and_by_however_many_ways_it_says_so() {
        let lines = told(&[
            ("192.0.2.7:8001", TOWER),
            ("192.0.2.7:8001", "Acknowlege belfry/1 host=tower time=8080"),
            ("[fe80::7%2]:8001", TOWER),
            ("192.0.2.8:8001", TOWER),
        ]);
        let expected = ["+ tower  192.0.2.7  time 8080  -  -  -", "+ tower  192.0.2.8  time 8080  -  -  -"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_server_changes_once_whichever_of_its_addresses_says_so_first() {
        let changed = "Announce belfry/1 host=tower time=8081";
        let by_v6 = ("[fe80::7%2]:8001", changed);
        let lines = told(&[("192.0.2.7:8001", TOWER), ("[fe80::7%2]:8001", TOWER), by_v6, ("192.0.2.7:8001", changed)]);
        assert_eq!(lines[1..], ["~ tower  192.0.2.7  time 8081  -  -  -"]);
    }

    #[test]
    fn a_server_goes_when_it_says_goodbye_or_when_it_has_not_answered_three_times() {
        let goodbye = ("[fe80::7%2]:8001", "Goodbye belfry/1 host=tower");
        let gone = "- tower  192.0.2.7  time 8080  -  -  -";
        let lines = told(&[("192.0.2.7:8001", TOWER), ("[fe80::7%2]:8001", TOWER), goodbye, goodbye]);
        assert_eq!(lines[1..], [gone]);
        let (tower, miss) = (("192.0.2.7:8001", TOWER), ("", "miss"));
        assert_eq!(told(&[tower, miss, miss, miss, tower, miss, miss, miss]).len(), 1);
        assert_eq!(told(&[tower, miss, miss, miss, miss])[1..], [gone]);
    }
}
