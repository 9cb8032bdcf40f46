//! What is said in a room of sessions: packed into as few datagrams as hold it.

use super::{Bench, Findings};
use crate::bare::Loop;
use crate::belfryd::{Belfryd, Settings};
use crate::crowd::{Crowd, Sessions, TEXT_LEN};
use crate::peers;
use crate::process::Process;
use crate::report::Table;
use crate::rooms::{Room, deliveries};
use crate::rounds::{Contestant, interleave};
use crate::subscribers::{Protocol, Subscribers};
use std::cell::RefCell;
use std::io;

const MEMBERS: usize = 1_000;

/// The members' socket.
const BUFFER: usize = 64 << 20;

/// How many messages are in flight, and how many times what NATS does it is to be.
const WORKS: [(usize, f64); 3] = [(1, 1.5), (4, 2.0), (64, 2.0)];

pub(super) fn run(bench: &Bench) -> io::Result<Findings> {
    let mut table = Table::new(
        "Fan-out to sessions",
        &format!(
            "Deliveries of texts of {TEXT_LEN} bytes to {MEMBERS} members, with so many messages in flight: one more is said \
            when all have the first of them. Those that are said in one turn share datagrams of up to 1,232 bytes, and the \
            datagrams for one member leave in one piece (`UDP_SEGMENT`), from the bare loop too, which sends frames of \
            the same length. The members are one socket that receives in pieces (`UDP_GRO`). NATS has a TCP connection \
            for each subscriber."
        ),
    );
    let belfryd = Belfryd::start(bench.cores, &Settings::default());
    let belfryd = belfryd.and_then(|it| Ok((Sessions::new(Crowd::new(it.chat, BUFFER)?, MEMBERS)?, it.process)));
    let bare = Loop::Pack.start(bench.cores);
    let bare = bare.and_then(|(process, hub)| Ok((Sessions::new(Crowd::new(hub, BUFFER)?, MEMBERS)?, process)));
    let nats = peers::nats(bench.cores);
    let nats = nats.and_then(|(process, server)| Ok((Subscribers::new(Protocol::Nats, server, MEMBERS)?, process)));
    let (belfryd, bare, nats) = (belfryd.map(RefCell::new), bare.map(RefCell::new), nats.map(RefCell::new));
    for (in_flight, least) in WORKS {
        let contestants = vec![
            contestant("belfryd", &belfryd, in_flight),
            contestant("bare loop", &bare, in_flight),
            contestant("NATS", &nats, in_flight),
        ];
        let series = interleave(bench.plan, contestants);
        table.compare(&format!("{in_flight} in flight"), &series, &[("bare loop", 0.85), ("NATS", least)]);
    }
    Ok(Findings { tables: vec![table], plots: Vec::new() })
}

/// A room, which its server outlives, with so many messages in flight.
fn contestant<'a, R: Room>(who: &str, made: &'a io::Result<RefCell<(R, Process)>>, in_flight: usize) -> Contestant<'a> {
    let round = match made {
        Ok(room) => {
            let round = move |time| deliveries(&mut room.borrow_mut().0, in_flight, time);
            Ok((room.borrow().1.pid(), round))
        }
        Err(error) => Err(io::Error::other(error.to_string())),
    };
    Contestant::new(who, round)
}
