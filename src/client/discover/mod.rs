//! `belfry discover`: who offers this on the network? And for the other commands: which server is the nearest?
//!
//! The question goes to the group on every interface; each server answers it to us alone, from every address at which it
//! was asked. The list has each server once, as far as that can be told.
//!
//! | file | what it is about |
//! |---|---|
//! | `search.rs` | asking and hearing |
//! | `answer.rs` | what a server says, and which answers are of the same |
//! | `report.rs` | `-v`: what was sent and heard by each interface, and why nothing may have come |
//! | `watch.rs` | `--watch`: who comes and goes |

mod answer;
mod report;
mod search;
mod watch;

pub(super) use answer::Found;
pub(super) use search::acknowlege;

use super::columns::aligned;
use super::link::Link;
use super::{Failure, Who, complain};
use crate::clock::Clock;
use crate::core::Interface;
use crate::daemon::netlink::Netlink;
use crate::services::ServiceName;
use crate::services::announce::PADDED_QUESTION;
use answer::{Answer, choose, servers};
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use search::{Search, groups};
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

/// The port of announcers where nothing else is said.
const PORT: u16 = 8001;

/// How long the kernel may take to list the interfaces. It takes less than a millisecond.
const INTERFACES_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long the announcer of this host may take. It takes less than a millisecond, unless the machine is busy.
const HERE_WAIT_MAX: Duration = Duration::from_millis(100);

/// After how long this host's announcer is asked again. Whoever asks more than five times a second gets one answer in eight.
const HERE_AGAIN: Duration = Duration::from_millis(5);

/// From the first answer to the choice: an answer to a group comes up to 120 ms after the question.
const SETTLE: Duration = Duration::from_millis(150);

/// How long an answer to a group may take where it is what is checked: announcers answer so many questions a second, and were asked before.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(2_500);

/// What `belfry discover` can be told.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  belfry discover\n  belfry discover -v --interface lo\n  belfry discover --json")]
pub(super) struct Options {
    /// Ask on this interface only
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The port that announcers listen on
    #[arg(long, default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
    /// Go on, and print who comes (+), goes (-) and changes (~), until interrupted
    #[arg(long)]
    watch: bool,
    /// Say of each interface what was sent and heard, and why nothing may have come
    #[arg(short, long, conflicts_with = "watch")]
    verbose: bool,
}

/// The server that is asked when nobody says which: that of this host, or else of this network. In haste it is the one that
/// answers first; otherwise a terminal is told when there are several.
pub(super) fn nearest(timeout: Duration, is_hasty: bool) -> Result<Option<Found>, Failure> {
    if let Some(found) = here(timeout.min(HERE_WAIT_MAX))? {
        return Ok(Some(found));
    }
    // Whoever has no interfaces, or may not ask for them, has no network either.
    let Ok(interfaces) = interfaces() else { return Ok(None) };
    let targets = groups(&interfaces, None)?;
    if targets.is_empty() {
        return Ok(None);
    }
    let mut search = Search::new(targets, PORT)?;
    let settle = if is_hasty { Duration::ZERO } else { SETTLE };
    if search.run_and_settle(timeout, settle).is_err() {
        return Ok(None);
    }
    let ours = addrs(&interfaces);
    let servers = servers(search.found, &ours);
    let chosen = choose(&servers, &ours).cloned();
    let is_told = servers.len() > 1 && !is_hasty && io::stderr().is_terminal();
    if let Some(chosen) = chosen.as_ref().filter(|_| is_told) {
        let count = servers.len();
        complain(&format_args!(
            "{count} servers here; asking {chosen}; belfry discover lists them, --server names one"
        ));
    }
    Ok(chosen)
}

/// Whether the announcer with this address, which answers so when it is asked alone, answers a question to the groups; `None`
/// where it is on no network of ours.
pub(super) fn answers_groups(addr: SocketAddr, alone: Option<Answer>) -> Result<Option<bool>, Failure> {
    let interfaces = interfaces()?;
    let is_beyond = |interface: &Interface| report::came_by(addr, interface);
    let Some(interface) = interfaces.iter().find(|interface| is_beyond(interface)) else { return Ok(None) };
    let mut search = Search::new(groups(&interfaces, Some(&interface.name))?, addr.port())?;
    // A host answers from each of its addresses at which it was asked.
    let alone = alone.filter(|answer| answer.host.is_some());
    let is_it = |found: &Found| found.source.ip() == addr.ip() || Some(&found.answer) == alone.as_ref();
    search.run_until(GROUP_WAIT_MAX, |found| found.iter().any(is_it))?;
    Ok(Some(search.found.iter().any(is_it)))
}

/// Whether an address is one of this host's.
pub(super) fn is_ours(addr: IpAddr) -> bool {
    addr.is_loopback() || interfaces().is_ok_and(|interfaces| addrs(&interfaces).contains(&addr))
}

/// The server of this host. Where there is none, the kernel says so at once.
fn here(timeout: Duration) -> Result<Option<Found>, Failure> {
    let clock = Clock::new();
    let start = clock.now().mono;
    let addrs = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let mut links: Vec<Link> = addrs.iter().filter_map(|&addr| Link::open((addr, PORT).into()).ok()).collect();
    let mut asked_at = None;
    loop {
        let now = clock.now().mono;
        if links.is_empty() || now.since(start) >= timeout {
            return Ok(None);
        }
        if asked_at.is_none_or(|asked_at| now.since(asked_at) >= HERE_AGAIN) {
            links.retain(|link| link.send(&PADDED_QUESTION).is_ok());
            asked_at = Some(now);
        }
        let mut fds: Vec<PollFd<'_>> = links.iter().map(|link| PollFd::new(link.as_fd(), PollFlags::POLLIN)).collect();
        let wait = PollTimeout::try_from(HERE_AGAIN).unwrap_or(PollTimeout::MAX);
        // What interrupts the wait does not end it.
        let _ = poll(&mut fds, wait);
        let mut found = None;
        links.retain(|link| match link.receive_now() {
            Ok(payload) => {
                let answer = payload.and_then(|payload| acknowlege(&payload));
                let heard = answer.map(|answer| Found { source: link.addr, answer, round_trip: None });
                found = found.take().or(heard);
                true
            }
            Err(_) => false,
        });
        if found.is_some() {
            return Ok(found);
        }
    }
}

/// Asks everybody, and prints a line for each server that answers.
pub(super) fn discover(who: &Who, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    if options.watch {
        return watch::watch(who, options, out);
    }
    let interfaces = interfaces()?;
    let mut search = begin(who, options, &interfaces)?;
    let ran = search.run_until(who.timeout, |_| false);
    if options.verbose {
        report::report(&search, &interfaces, options);
    }
    ran?;
    if let (true, Some(&addr)) = (search.found.is_empty(), search.refused.first()) {
        return Err(Failure::NobodyListens(addr));
    }
    if search.found.is_empty() {
        return Err(nobody(who, options));
    }
    let servers = servers(search.found, &addrs(&interfaces));
    if options.json {
        for found in &servers {
            writeln!(out, "{}", found.json(None, &interfaces)).map_err(Failure::printing)?;
        }
    } else {
        let rows: Vec<_> = servers.iter().map(|found| found.columns(&interfaces)).collect();
        for line in aligned(&rows) {
            writeln!(out, "{line}").map_err(Failure::printing)?;
        }
    }
    Ok(())
}

/// A search in all the places that the options name.
fn begin(who: &Who, options: &Options, interfaces: &[Interface]) -> Result<Search, Failure> {
    let targets = groups(interfaces, options.interface.as_deref())?;
    if targets.is_empty() && who.server.is_empty() && !options.verbose && !options.watch {
        return Err(Failure::Failed("no interface here is up and can multicast; -v tells of each why".to_owned()));
    }
    let mut search = Search::new(targets, options.port)?;
    for addr in named(who, options)? {
        search.probe(addr);
    }
    Ok(search)
}

/// The addresses of the servers that are named, to be asked alone.
fn named(who: &Who, options: &Options) -> Result<Vec<SocketAddr>, Failure> {
    if who.server.is_empty() {
        return Ok(Vec::new());
    }
    let addrs = who.servers()?.into_iter().map(|server| server.resolve_at(ServiceName::Announce, options.port));
    Ok(addrs.collect::<Result<Vec<_>, _>>()?.concat())
}

fn interfaces() -> Result<Vec<Interface>, Failure> {
    let all = Netlink::open().and_then(|mut netlink| netlink.wait_for_table(INTERFACES_WAIT_MAX));
    all.map_err(Failure::to("list the interfaces"))
}

/// The addresses of this host.
fn addrs(interfaces: &[Interface]) -> Vec<IpAddr> {
    interfaces.iter().flat_map(|interface| &interface.addresses).map(|net| net.addr()).collect()
}

/// The silence, and what may be behind it.
fn nobody(who: &Who, options: &Options) -> Failure {
    let port = options.port;
    Failure::NobodyThere(format!(
        "nobody answered within {}
  Is belfryd running there, with [announce] enabled?
  A firewall may drop udp/{port} on the server, or the answers here.
  Some networks, wireless ones above all, do not carry multicast: belfry discover --server HOST
  What was sent and heard by each interface: belfry discover -v",
        humantime::format_duration(who.timeout)
    ))
}
