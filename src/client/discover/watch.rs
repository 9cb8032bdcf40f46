//! `belfry discover --watch`: who comes, goes and changes, until interrupted.
//!
//! The groups are asked every few seconds, and so is every server alone: one that has ended is noticed at the next question
//! by its closed port, and one that is cut off when it has not answered three times in a row.
//!
//! It does not listen to what servers tell their groups unasked. For that it would need their port, and whoever holds that
//! port keeps a daemon on this host from starting.

use super::answer::{Found, is_same};
use super::search::{SCHEDULE, groups};
use super::{INTERFACES_WAIT_MAX, Options, addrs, named};
use crate::client::columns::aligned;
use crate::client::{Failure, Who};
use crate::core::{Instant, Interface};
use crate::daemon::netlink::Netlink;
use crate::daemon::signals::Signals;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

/// How often everybody is asked: an announcer answers once a second.
const INTERVAL: Duration = Duration::from_secs(3);

/// Questions in a row that a server may leave unanswered.
const MISSED_MAX: u32 = 3;

/// Servers that are kept in mind; more than a network has.
const SERVERS_MAX: usize = 1_024;

/// Goes on until it is interrupted, or nobody reads any more.
pub(super) fn watch(who: &Who, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let signals = Signals::new().map_err(Failure::to("wait for signals"))?;
    match go_on(who, options, &signals, out)? {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::to("print")(error)),
        _ => Ok(()),
    }
}

/// The inner result is that of printing.
fn go_on(who: &Who, options: &Options, signals: &Signals, out: &mut impl Write) -> Result<io::Result<()>, Failure> {
    let mut netlink = Netlink::open().map_err(Failure::to("watch the interfaces"))?;
    let interfaces = netlink.wait_for_table(INTERFACES_WAIT_MAX).map_err(Failure::to("list the interfaces"))?;
    let named = named(who, options)?;
    let mut search = super::begin(who, options, &interfaces)?;
    let mut present = Present { servers: Vec::new(), ours: addrs(&interfaces), interfaces, json: options.json };
    let begin = search.now();
    // The next last.
    let mut asks: Vec<Instant> = SCHEDULE.iter().rev().map(|&after| begin + after).collect();
    loop {
        if let Some(at) = asks.pop_if(|at| *at <= search.now()) {
            // A network that is gone for a while is no reason to end.
            let _ = search.ask();
            let known = present.servers.iter().flat_map(|server| server.sources.iter().copied());
            named.iter().copied().chain(known).for_each(|addr| search.probe(addr));
            if asks.is_empty() {
                if let failed @ Err(_) = present.miss(out) {
                    return Ok(failed);
                }
                asks.push(at.max(search.now()) + INTERVAL);
            }
        }
        search.wait(asks.last().copied(), &[signals.as_fd(), netlink.as_fd()])?;
        search.receive();
        let refused = std::mem::take(&mut search.refused);
        let mut printed = refused.into_iter().try_for_each(|addr| present.refuse(addr, out));
        for found in search.take() {
            printed = printed.and_then(|()| present.see(found, out));
        }
        if printed.is_err() {
            return Ok(printed);
        }
        if let Ok(Some(table)) = netlink.on_readable() {
            search.turn_to(groups(&table, options.interface.as_deref()).unwrap_or_default());
            (present.ours, present.interfaces) = (addrs(&table), table);
            asks = vec![search.now()];
        }
        if signals.read().map_err(Failure::to("read a signal"))?.is_some() {
            return Ok(Ok(()));
        }
    }
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
    /// Nobody listens at one address of a server.
    fn refuse(&mut self, addr: SocketAddr, out: &mut impl Write) -> io::Result<()> {
        self.lose(|server| server.sources.iter().all(|&source| source == addr), out)?;
        self.servers.iter_mut().for_each(|server| server.sources.retain(|&source| source != addr));
        Ok(())
    }

    fn see(&mut self, found: Found, out: &mut impl Write) -> io::Result<()> {
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
    fn miss(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.servers.iter_mut().for_each(|server| server.missed += 1);
        self.lose(|server| server.missed > MISSED_MAX, out)
    }

    fn lose(&mut self, is_gone: impl Fn(&Server) -> bool, out: &mut impl Write) -> io::Result<()> {
        let (gone, present) = std::mem::take(&mut self.servers).into_iter().partition(is_gone);
        self.servers = present;
        let gone: Vec<Server> = gone;
        gone.iter().try_for_each(|server| self.print(&server.found, ("-", "gone"), out))
    }

    fn print(&self, found: &Found, (sign, event): (&str, &str), out: &mut impl Write) -> io::Result<()> {
        let line = if self.json {
            found.json(Some(event), &self.interfaces)
        } else {
            let line: String = aligned(&[found.columns(&self.interfaces)]).collect();
            format!("{sign} {line}")
        };
        writeln!(out, "{line}").and_then(|()| out.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::announce::parse_announcement;

    /// What is printed of these, one after the other; `closed` is a closed port, `miss` a question.
    fn told(script: &[(&str, &str)]) -> Vec<String> {
        let ours = vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        let mut present = Present { servers: Vec::new(), ours, interfaces: Vec::new(), json: false };
        let mut out = Vec::new();
        for (source, said) in script {
            let addr = source.parse();
            let said = parse_announcement(said);
            match (addr, said) {
                (Ok(source), Some(said)) => {
                    present.see(Found { source, answer: said.into(), round_trip: None }, &mut out)
                }
                (Ok(addr), None) => present.refuse(addr, &mut out),
                (Err(_), _) => present.miss(&mut out),
            }
            .unwrap();
        }
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    const TOWER: &str = "Acknowlege belfry/1 host=tower time=8080";

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
        let changed = "Acknowlege belfry/1 host=tower time=8081";
        let by_v6 = ("[fe80::7%2]:8001", changed);
        let lines = told(&[("192.0.2.7:8001", TOWER), ("[fe80::7%2]:8001", TOWER), by_v6, ("192.0.2.7:8001", changed)]);
        assert_eq!(lines[1..], ["~ tower  192.0.2.7  time 8081  -  -  -"]);
    }

    #[test]
    fn a_server_goes_when_all_its_ports_are_closed_or_when_it_has_not_answered_three_times() {
        let gone = "- tower  192.0.2.7  time 8080  -  -  -";
        let both = [("192.0.2.7:8001", TOWER), ("[fe80::7%2]:8001", TOWER)];
        let closed = [("[fe80::7%2]:8001", "closed"), ("192.0.2.7:8001", "closed"), ("192.0.2.7:8001", "closed")];
        assert_eq!(told(&[both[0], both[1], closed[0]]).len(), 1);
        assert_eq!(told(&[both[0], both[1], closed[0], closed[1], closed[2]])[1..], [gone]);
        let (tower, miss) = (both[0], ("", "miss"));
        assert_eq!(told(&[tower, miss, miss, miss, tower, miss, miss, miss]).len(), 1);
        assert_eq!(told(&[tower, miss, miss, miss, miss])[1..], [gone]);
    }
}
