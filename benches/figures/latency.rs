//! How long one waits for the time while the hub is busy with a large room.

use super::{Bench, Findings};
use crate::bare::Loop;
use crate::batch::{Outgoing, Receiver, Sender, Wait};
use crate::belfryd::{Belfryd, Settings};
use crate::crowd::Crowd;
use crate::place;
use crate::plot::{Axis, Plot};
use crate::report::{Table, Target, Unit};
use crate::rounds::{Series, quantile};
use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

const MEMBERS: usize = 100_000;

/// How often something is said: much sooner than all could have the last.
const TEXT_INTERVAL: Duration = Duration::from_millis(50);

/// An answer that has not come by then counts as having taken so long.
const PATIENCE: Duration = Duration::from_millis(500);

/// The longest that 99 of 100 answers may take while the room is written to, in microseconds.
const BUSY_MAX: f64 = 2_000.0;

/// Microseconds that answers have taken, round by round.
#[derive(Default)]
struct Waits {
    rounds: Vec<Vec<f64>>,
}

impl Waits {
    fn series(&self, who: &str, part: f64) -> Series {
        Series::of(who, Ok(self.rounds.iter().filter_map(|round| quantile(round, part)).collect()))
    }

    /// Points of the plot: one in how many answers takes longer, and than what.
    fn points(&self) -> Vec<(f64, f64)> {
        let all = self.rounds.concat();
        let parts = (0..=40).map(|step| 10_f64.powf(f64::from(step) / 10.0)).filter(|it| *it <= all.len() as f64);
        parts.filter_map(|one_in| Some((one_in, quantile(&all, 1.0 - 1.0 / one_in)?))).collect()
    }
}

pub(super) fn run(bench: &Bench) -> io::Result<Findings> {
    let belfryd = Belfryd::start(bench.cores, &Settings::default())?;
    let (_bare, bare) = Loop::Answer { len: 19 }.start(bench.cores)?;
    // The kernel drops at once what does not fit the members' socket: the load's core is not to be kept from the answers.
    let mut crowd = Crowd::new(belfryd.chat, 1)?;
    crowd.grow_to(MEMBERS)?;
    // Who speaks is a member from then on. A change of the members has them written down, which is not what this is about.
    crowd.say("hello")?;
    belfryd.process.wait_until_calm()?;
    let mut asker = Asker::new()?;
    let [mut limit, mut idle, mut busy] = <[Waits; 3]>::default();
    let (mut delivered, mut busy_for) = (0, Duration::ZERO);
    for _ in 0..bench.plan.rounds {
        limit.rounds.push(asker.ask(bare, bench.plan.round, |_| Ok(()))?);
        idle.rounds.push(asker.ask(belfryd.time, bench.plan.round, |_| Ok(()))?);
        let (begin, before, mut due) = (Instant::now(), crowd.missed()?, Instant::now());
        let text = |now| {
            if now < due {
                return Ok(());
            }
            due = now + TEXT_INTERVAL;
            crowd.say(&format!("{:?} since this began", begin.elapsed()))
        };
        busy.rounds.push(asker.ask(belfryd.time, bench.plan.round, text)?);
        busy_for += begin.elapsed();
        delivered += crowd.missed()? - before;
        belfryd.process.wait_until_calm()?;
    }
    let rate = Unit::PerSecond.text(delivered as f64 / busy_for.as_secs_f64());
    let table = table(&rate, &limit, &idle, &busy);
    Ok(Findings { tables: vec![table], plots: vec![plot(&idle, &busy)] })
}

fn table(rate: &str, limit: &Waits, idle: &Waits, busy: &Waits) -> Table {
    let mut table = Table::new(
        "Waiting for the time",
        &format!(
            "One question at a time, the next when the answer is there; the asker does not sleep meanwhile. Then the same while \
            a room of {MEMBERS} members is written to without pause: something is said every {} ms, and {rate} deliveries a second \
            left the hub. The members' socket is so small that the kernel drops them there, so that receiving them does \
            not keep the asker from its answer.",
            TEXT_INTERVAL.as_millis()
        ),
    );
    for (work, part) in [("half of the answers within", 0.5), ("99 of 100 within", 0.99)] {
        let (calm, strained) = (idle.series("belfryd, idle", part), busy.series("belfryd, room written to", part));
        let ratio = strained.ratio_to(&calm);
        let target = (part > 0.9).then(|| {
            let text = format!("≤ 3 × idle ({:.1} ×), < 2 ms", ratio.unwrap_or(f64::NAN));
            let met = ratio.is_some_and(|it| it <= 3.0) && strained.median().is_some_and(|it| it < BUSY_MAX);
            Target::new(&text, met)
        });
        table.add(work, Unit::Microseconds, calm, None);
        table.add(work, Unit::Microseconds, strained, target);
        table.add(work, Unit::Microseconds, limit.series("bare loop, idle", part), None);
    }
    table
}

fn plot(idle: &Waits, busy: &Waits) -> Plot {
    let lines = vec![("idle".to_owned(), idle.points()), ("room written to".to_owned(), busy.points())];
    let waits = || lines.iter().flat_map(|(_, points)| points).map(|&(_, wait)| wait);
    let (lowest, highest) = (waits().fold(f64::MAX, f64::min), waits().fold(1.0, f64::max));
    let parts =
        [(1.0, "0 %"), (2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1_000.0, "99.9 %"), (10_000.0, "99.99 %")];
    Plot {
        file: "latency.svg",
        title: "Waiting for the time, while a room of 100,000 is written to",
        x: Axis {
            label: "part of the answers that are there by then",
            ticks: parts.map(|(at, text)| (at, text.to_owned())).into(),
            logarithmic: true,
        },
        y: Axis::decades("microseconds", lowest, highest, |value| Unit::PerSecond.text(value)),
        lines,
    }
}

/// Who asks one question at a time.
struct Asker {
    socket: UdpSocket,
    receiver: Receiver,
    sender: Sender,
}

impl Asker {
    fn new() -> io::Result<Self> {
        Ok(Self { socket: place::bound(0, 1 << 20)?, receiver: Receiver::new(2_048), sender: Sender::new() })
    }

    /// Asks for that long; the microseconds that each answer has taken.
    fn ask(
        &mut self,
        server: SocketAddrV4,
        time: Duration,
        mut before_each: impl FnMut(Instant) -> io::Result<()>,
    ) -> io::Result<Vec<f64>> {
        let (begin, mut waits) = (Instant::now(), Vec::new());
        while begin.elapsed() < time {
            before_each(Instant::now())?;
            let asked = Instant::now();
            self.sender.send_all(&self.socket, &[Outgoing::new(server, b"%Y-%m-%d %X")])?;
            while self.receiver.receive(&self.socket, Wait::Not)? == 0 && asked.elapsed() < PATIENCE {}
            waits.push(asked.elapsed().as_secs_f64() * 1e6);
        }
        Ok(waits)
    }
}
