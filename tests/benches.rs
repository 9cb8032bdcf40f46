//! What the benchmarks make of their numbers. The numbers are for `make bench`.
#![expect(clippy::disallowed_methods, dead_code, reason = "parts of the benchmarks, which measure by the clock")]

#[path = "../benches/frames.rs"]
mod frames;
#[path = "../benches/plot.rs"]
mod plot;
#[path = "../benches/report.rs"]
mod report;
#[path = "../benches/rounds.rs"]
mod rounds;

use frames::frames;
use plot::{Axis, Plot};
use report::{Table, Target, Unit};
use rounds::{Contestant, Plan, Series, interleave, quantile};
use std::cell::RefCell;
use std::io;
use std::time::Duration;

fn series(who: &str, values: &[f64]) -> Series {
    Series::of(who, Ok(values.to_vec()))
}

#[test]
fn contestants_take_turns_after_a_round_to_warm_up() {
    let turns = RefCell::new(String::new());
    let contestant = |who: &'static str| {
        let round = |_| {
            turns.borrow_mut().push_str(who);
            Ok(1.0)
        };
        Contestant::new(who, Ok((nix::unistd::getpid(), round)))
    };
    let plan = Plan { rounds: 2, round: Duration::from_secs(1) };
    let all = interleave(plan, vec![contestant("a"), contestant("b")]);
    assert_eq!(*turns.borrow(), "ababab");
    assert_eq!(all[0].values, Ok(vec![1.0; 2]), "the first does not count");
}

#[test]
fn a_ratio_is_the_median_of_those_of_each_round() {
    let (one, other) = (series("one", &[10.0, 200.0, 30.0]), series("other", &[10.0, 100.0, 60.0]));
    assert_eq!(one.ratio_to(&other), Some(1.0));
    assert_eq!((one.median(), one.spread()), (Some(30.0), Some((10.0, 200.0))));
    assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
    assert_eq!(quantile(&[], 0.5), None);
}

#[test]
fn a_target_is_met_at_its_bound_and_missed_below() {
    let mut table = Table::new("Title", "What is done.");
    let others = [series("belfryd", &[95.0]), series("bare loop", &[100.0]), series("peer", &[96.0])];
    table.compare("work", &others, &[("bare loop", 0.95), ("peer", 1.0)]);
    table.add(
        "memory",
        Unit::Bytes,
        series("belfryd", &[301.0]),
        Some(Target::at_most(Unit::Bytes, Some(301.0), 300.0)),
    );
    let page = table.markdown();
    assert!(page.contains("|  | bare loop | 100/s | 100–100 |  | 0.95 | ≥ 0.95 × | met |"), "{page}");
    assert!(page.contains("|  | peer | 96/s | 96–96 |  | 0.99 | ≥ 1.00 × | **missed** |"), "{page}");
    assert!(page.contains("| ≤ 300 bytes | **missed** |"), "{page}");
    assert_eq!(table.targets(), (3, 1));
}

#[test]
fn who_could_not_be_measured_is_in_the_table_with_the_reason_and_meets_nothing() {
    let mut table = Table::new("Title", "What is done.");
    let absent = Series::of("peer", Err(io::Error::other("it is not installed")));
    table.compare("work", &[series("belfryd", &[1_234_567.0]), absent], &[("peer", 1.5)]);
    let page = table.markdown();
    assert!(page.contains("| work | belfryd | 1,230,000/s |"), "{page}");
    assert!(page.contains("|  | peer | not measured: it is not installed |  |  |  | ≥ 1.50 × |  |"), "{page}");
    assert_eq!(table.targets(), (1, 0));
}

#[test]
fn every_point_of_a_plot_is_in_its_plane() {
    let plot = Plot {
        file: "plot.svg",
        title: "a < b",
        x: Axis::decades("x", 10.0, 1_000.0, |value| value.to_string()),
        y: Axis::linear("y", 7.0, |value| value.to_string()),
        lines: vec![("line".to_owned(), vec![(10.0, 0.0), (100.0, 8.0), (1e9, 1e9)])],
    };
    let svg = plot.svg();
    assert!(svg.contains("<title>a &lt; b</title>"));
    // The corner, the middle of the top, and what is outside at the edge.
    assert!(svg.contains("points=\"80.0,320.0 335.0,50.0 590.0,50.0\""), "{svg}");
}

#[test]
fn frames_are_read_as_the_hub_packs_them() {
    let datagram = b"^ack 1^^msg lobby/5e2f01aa/19 bob time=1764000002 len=2^h^\n^at lobby/5e2f01aa/20^\0\0\0";
    let read: Vec<_> = frames(datagram).collect();
    assert_eq!(read.iter().map(|it| it.text).collect::<Vec<_>>(), [&b""[..], b"h^", b""]);
    assert_eq!(read[1].value("time"), Some(&b"1764000002"[..]));
    assert_eq!(read[1].value("kind"), None);
    assert_eq!(frames(b"^msg room len=3^ab").count(), 0, "it is cut off");
}
