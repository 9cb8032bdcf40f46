//! What is said in a room of programs: one datagram for each message and member, as the room grows.

use super::{Bench, Findings};
use crate::bare::Loop;
use crate::belfryd::{Belfryd, Settings};
use crate::crowd::{Crowd, Programs, TEXT_LEN};
use crate::peers;
use crate::plot::{Axis, Plot};
use crate::process::Process;
use crate::report::{Table, Target, Unit};
use crate::rooms::{Room, deliveries};
use crate::rounds::{Contestant, Series, interleave};
use crate::subscribers::{Protocol, Subscribers};
use nix::unistd::Pid;
use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

/// Members of the rooms.
const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// The room in which others are compared: they have a connection for each member.
const COMPARED: usize = 1_000;

/// The members' socket: as much as comes while the load is not looking.
const BUFFER: usize = 64 << 20;

pub(super) fn run(bench: &Bench) -> io::Result<Findings> {
    let mut table = Table::new(
        "Fan-out to programs",
        &format!(
            "Deliveries of {TEXT_LEN} bytes, one datagram for each message and member, with one message in flight: the next is \
            said when all have the last. The bare loop knows its members by their address and sends them a constant. \
            The members are one socket, each with an address of its own; NATS and mosquitto have a TCP connection \
            for each subscriber (QoS 0), and the Python server is `recvfrom` and a loop of `sendto`."
        ),
    );
    let mut rates = Vec::new();
    for size in SIZES {
        let belfryd = Belfryd::start(bench.cores, &Settings::default());
        let belfryd = belfryd.and_then(|it| {
            let programs = programs(it.chat, size)?;
            // And who speaks.
            it.expect_members(size + 1)?;
            Ok(round(it.process, programs))
        });
        let bare = Loop::Relay.start(bench.cores).and_then(|(process, hub)| Ok(round(process, programs(hub, size)?)));
        let mut contestants = vec![Contestant::new("belfryd", belfryd), Contestant::new("bare loop", bare)];
        if size == COMPARED {
            contestants.push(broker("NATS", peers::nats(bench.cores), Protocol::Nats));
            contestants.push(broker("mosquitto", peers::mosquitto(bench.cores), Protocol::Mqtt));
            let python = peers::python_chat(bench.cores).and_then(|(mut process, hub)| {
                let mut crowd = Crowd::new(hub, BUFFER)?;
                process.wait_until(|| crowd.is_served())?;
                crowd.grow_to(size)?;
                Ok(round(process, Programs::new(crowd)?))
            });
            contestants.push(Contestant::new("Python", python));
        }
        let series = interleave(bench.plan, contestants);
        let targets: &[_] = if [10, 1_000, 100_000].contains(&size) { &[("bare loop", 0.95)] } else { &[] };
        table.compare(&format!("{size} members"), &series, targets);
        rates.push((size, series));
    }
    Ok(Findings { tables: vec![table, costs(&rates)], plots: vec![plot(&rates)] })
}

fn programs(hub: SocketAddrV4, size: usize) -> io::Result<Programs> {
    let mut crowd = Crowd::new(hub, BUFFER)?;
    crowd.grow_to(size)?;
    Programs::new(crowd)
}

fn broker(who: &str, started: io::Result<(Process, SocketAddrV4)>, protocol: Protocol) -> Contestant<'static> {
    let made = started.and_then(|(process, server)| Ok(round(process, Subscribers::new(protocol, server, COMPARED)?)));
    Contestant::new(who, made)
}

/// A round in a room; its server lives as long.
fn round(process: Process, mut room: impl Room) -> (Pid, impl FnMut(Duration) -> io::Result<f64>) {
    let server = process.pid();
    let round = move |time| {
        let _ = &process;
        deliveries(&mut room, 1, time)
    };
    (server, round)
}

/// What a delivery costs in a large room, in relation to a small one.
fn costs(rates: &[(usize, Vec<Series>)]) -> Table {
    let mut table = Table::new(
        "Cost of a delivery as the room grows",
        "For how long the server ran for each of the deliveries above; what it waits for the next message is not in it.",
    );
    let small = rates.iter().find(|(size, _)| *size == 100).and_then(|(_, series)| series[0].costs().median());
    for (size, series) in rates.iter().filter(|(size, _)| *size >= 100) {
        for series in &series[..2] {
            let costs = series.costs();
            let growth = costs.median().zip(small).map(|(cost, small)| cost / small - 1.0);
            let target = (*size == 100_000 && series.who == "belfryd").then(|| {
                let text = format!("≤ 10 % above 100 members ({:+.0} %)", growth.unwrap_or(f64::NAN) * 100.0);
                Target::new(&text, growth.is_some_and(|growth| growth <= 0.1))
            });
            table.add(&format!("{size} members"), Unit::Nanoseconds, costs, target);
        }
    }
    table
}

fn plot(rates: &[(usize, Vec<Series>)]) -> Plot {
    let line = |number: usize| {
        let points = rates.iter().filter_map(|(size, series)| Some((*size as f64, series[number].median()?)));
        points.collect::<Vec<_>>()
    };
    let mut lines = vec![("belfryd".to_owned(), line(0)), ("bare loop".to_owned(), line(1))];
    let compared = rates.iter().find(|(size, _)| *size == COMPARED).map_or(&[][..], |(_, series)| &series[2..]);
    for series in compared {
        lines.extend(series.median().map(|rate| (format!("{} (1,000)", series.who), vec![(COMPARED as f64, rate)])));
    }
    let highest = lines.iter().flat_map(|(_, points)| points).map(|&(_, rate)| rate).fold(1.0, f64::max);
    Plot {
        file: "fan-out.svg",
        title: "Fan-out to programs, 64 bytes, one message in flight",
        x: Axis::decades("members of the room", 10.0, 100_000.0, |value| Unit::PerSecond.text(value)),
        y: Axis::linear("deliveries each second", highest, |value| Unit::PerSecond.text(value)),
        lines,
    }
}
