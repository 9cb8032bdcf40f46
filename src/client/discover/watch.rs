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

/// How often everybody is asked, well below what an announcer answers.
const INTERVAL: Duration = Duration::from_secs(3);

/// The shortest time between two rounds, however often interfaces change.
const AGAIN: Duration = Duration::from_secs(1);

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
    let mut rounds = Rounds::begin(search.now());
    loop {
        if let Some(is_missed) = rounds.take(search.now()) {
            // A network that is gone for a while is no reason to end.
            let _ = search.ask();
            let known = present.servers.iter().flat_map(|server| server.sources.iter().copied());
            named.iter().copied().chain(known).for_each(|addr| search.probe(addr));
            if is_missed && let failed @ Err(_) = present.miss(out) {
                return Ok(failed);
            }
        }
        search.wait(rounds.next(), &[signals.as_fd(), netlink.as_fd()])?;
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
            rounds.hurry(search.now());
        }
        if signals.read().map_err(Failure::to("read a signal"))?.is_some() {
            return Ok(Ok(()));
        }
    }
}

/// When everybody is asked.
#[derive(Debug)]
struct Rounds {
    /// The next last; there is always one.
    due: Vec<Instant>,
    asked_at: Instant,
    /// When a round was counted that has to be answered.
    counted_at: Option<Instant>,
}

impl Rounds {
    fn begin(now: Instant) -> Self {
        Self { due: SCHEDULE.iter().rev().map(|&after| now + after).collect(), asked_at: now, counted_at: None }
    }

    fn next(&self) -> Option<Instant> {
        self.due.last().copied()
    }

    /// Begins a round when it is time; `true` when it counts against whoever does not answer it. Announcers leave questions
    /// unanswered that follow each other too fast.
    fn take(&mut self, now: Instant) -> Option<bool> {
        self.due.pop_if(|at| *at <= now)?;
        self.asked_at = now;
        if !self.due.is_empty() {
            return Some(false);
        }
        self.due.push(now + INTERVAL);
        let counts = self.counted_at.is_none_or(|at| at + INTERVAL <= now);
        if counts {
            self.counted_at = Some(now);
        }
        Some(counts)
    }

    /// Something has changed: the next round is at once, or soon after the last.
    fn hurry(&mut self, now: Instant) {
        let soon = now.max(self.asked_at + AGAIN);
        self.due = vec![self.next().map_or(soon, |next| next.min(soon))];
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

    #[test]
    fn interfaces_that_change_all_the_time_count_no_more_rounds_against_servers_than_the_clock_does() {
        let at = |millis| Instant::from_nanos(millis * 1_000_000);
        let run = |changes: std::ops::Range<u64>| {
            let mut rounds = Rounds::begin(at(0));
            let mut taken = Vec::new();
            for millis in (0..10_000).step_by(100) {
                if changes.contains(&millis) {
                    rounds.hurry(at(millis));
                }
                taken.extend(rounds.take(at(millis)).map(|counts| (millis, counts)));
            }
            taken
        };
        let calm = [(0, false), (300, false), (1_000, true), (4_000, true), (7_000, true)];
        assert_eq!(run(0..0), calm);
        let restless = [(1_000, true), (2_000, false), (3_000, false), (4_000, true), (5_000, false), (8_000, true)];
        let taken = run(1_100..4_500);
        assert_eq!(taken[2..], restless);
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
