//! Floods in the name of anybody: what the log says of them, and what they leave in memory.
//!
//! `BELFRY_FLOOD=10000000 BELFRYD=target/release/belfryd` makes the second a measurement.

use crate::belfryd::{Belfryd, eventually, new_folder};
use crate::loops::Forger;
use crate::netns;
use belfry::control::{self, ServiceStats, Stats};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Datagrams that the log must not have a line for each of.
const BAD_DATAGRAMS: u32 = 100_000;

/// Time, chat and announcer, on their own ports.
const PORTS: [u16; 3] = [8080, 9999, 8001];

/// Datagrams in the name of a million, unless `BELFRY_FLOOD` says how many.
const FLOOD_DATAGRAMS: u32 = 100_000;

/// And so many before, to fill what can be filled.
const WARM_UP_DATAGRAMS: u32 = 100_000;

/// How much more memory a flood may leave in use, once everything that has a bound has been at it.
const GROWTH_KIB_MAX: u64 = 1_024;

/// The counters, by service, as the control socket tells them.
pub(crate) fn stats(control: &Path) -> Vec<ServiceStats> {
    let mut stream = UnixStream::connect(control).unwrap();
    stream.write_all(b"{\"command\":\"stats\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    control::parse_outcome::<Stats>(&line).unwrap().unwrap().services
}

/// All that was read, and what the kernel dropped before it could be.
fn total(stats: &[ServiceStats]) -> u64 {
    let of = |service: &ServiceStats| {
        let turned_away = service.refused.values().chain(service.dropped.values()).sum::<u64>();
        service.answered + service.accepted + turned_away + service.kernel_drops
    };
    stats.iter().map(of).sum()
}

/// What somebody sends who would like to see it in the log.
fn bad_payloads() -> Vec<Vec<u8>> {
    let long = |len| vec![b'x'; len];
    let mut payloads = vec![b"\xff\xfe\x80".to_vec(), b"^hb^\xff".to_vec(), long(1_025), long(16_385), long(60_000)];
    let texts = [
        "\u{1b}]0;root\u{7}\u{1b}[2J",
        "\r\n\r\nbelfryd: error: forged\r\n",
        "^nosuch frame^",
        "^as 0123456789abcdef^^say 1^x",
        "^hello 99 start=1^",
        "^hello 1 start=1 token=forged name=\u{202e}x at=lobby/x/y^",
        "^welcome 1 session=0123456789abcdef^",
        "/nosuch \u{1b}[2J",
        "/nick \u{9b}K",
        "/msg nobody x",
        "/who nowhere",
        "/join ../../etc/passwd",
        "%Q",
        "TZ=Nowhere/\u{1b}[2J %H",
        "%500H",
        "no conversion",
        "? forged",
        "-- forged",
        "Notify",
        "notify",
        "Announce belfry/1 host=\u{1b}[2J",
        "Acknowlege belfry/1 host=x time=99999999999",
    ];
    payloads.extend(texts.map(|text| text.as_bytes().to_vec()));
    payloads
}

/// Where the datagram of this number claims to come from.
fn source(number: u32) -> SocketAddrV4 {
    let [_, b, c, d] = number.to_be_bytes();
    match number % 10 {
        0 => SocketAddrV4::new(Ipv4Addr::new(127, 0, c, d), 53),
        1 => SocketAddrV4::new(Ipv4Addr::new(127, 0, c, d), 9999),
        2 => SocketAddrV4::new(Ipv4Addr::new(127, 66, c, d), 5_000),
        3 => SocketAddrV4::new(Ipv4Addr::BROADCAST, 5_000),
        4 => SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 7), 5_000 + (number % 1_000) as u16),
        _ => SocketAddrV4::new(Ipv4Addr::new(127, 1 + b, c, d), 5_000 + (number % 1_000) as u16),
    }
}

/// A line that tells what was turned away: `belfryd: chat: turned away 17: not-utf-8` is 17, for (`chat`, `not-utf-8`).
fn turned_away(line: &str) -> Option<((&str, &str), u64)> {
    let (service, rest) = line.strip_prefix("belfryd: ")?.split_once(": turned away ")?;
    let (count, reason) = rest.split_once(": ")?;
    Some(((service, reason), count.parse().ok()?))
}

#[test]
fn a_hundred_thousand_bad_datagrams_are_one_line_a_minute_for_each_reason() {
    if !netns::enter() {
        return;
    }
    let folder = new_folder();
    let control = folder.join("control");
    // A full hub has one reason more, and does not spend the test on what is accepted; an announcer that says nothing unasked
    // does not hear itself.
    let config = "[log]\nlevel = \"trace\"\n[access]\ndeny = [\"127.66.0.0/16\"]\n\
                  [chat]\nmax-members = 10\n[announce]\ninterval = \"0s\"\n";
    let mut belfryd = Belfryd::start_in(folder.clone(), config, |command| {
        command.arg("--control").arg(&control).env("STATE_DIRECTORY", &folder);
    });
    let started = Instant::now();
    let (forger, payloads) = (Forger::new(), bad_payloads());
    let mut sent = 0;
    let mut send = |number: u32, payload: &[u8]| {
        let port = PORTS[number as usize % PORTS.len()];
        forger.send(source(number), SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), payload);
        sent += 1;
        sent
    };
    for number in 0..BAD_DATAGRAMS {
        // Not in step with the sources and the ports.
        send(number, &payloads[(number / 30) as usize % payloads.len()]);
        if number % 100 == 0 {
            // So that most of them are read, and fewer lost by the kernel.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    // What the kernel has dropped is told with the datagrams that come after.
    let (mut number, mut told) = (BAD_DATAGRAMS, Vec::new());
    assert!(
        eventually(|| {
            let sent = (number..number + 3).map(|number| send(number, b"? ")).max();
            number += 3;
            std::thread::sleep(Duration::from_millis(20));
            told = stats(&control);
            Some(total(&told)) == sent
        }),
        "{sent} were sent, {} counted",
        total(&told)
    );
    belfryd.stop();

    let log = belfryd.log();
    let (_, lines) = log.split_once("belfryd: ready: ").expect("it was");
    let mut counts = BTreeMap::new();
    let mut others = Vec::new();
    for line in lines.lines().skip(1) {
        match turned_away(line) {
            Some((what, count)) => {
                let (lines, sum) = counts.entry(what).or_insert((0, 0));
                (*lines, *sum) = (*lines + 1, *sum + count);
            }
            None => others.push(line),
        }
    }
    assert!(matches!(others[..], [stopping] if stopping.contains("SIGTERM")), "{others:?}");
    let minutes = started.elapsed().as_secs() / 60;
    for service in &told {
        let by_reason = service.refused.iter().chain(&service.dropped).map(|(reason, &count)| (reason.as_str(), count));
        for (reason, count) in by_reason.chain([("dropped by the kernel", service.kernel_drops)]) {
            let (lines, sum) = counts.remove(&(service.service.as_str(), reason)).unwrap_or_default();
            // A group carries those all day.
            let count = if reason == "not-for-us" { 0 } else { count };
            assert_eq!(sum, count, "{}: {reason}", service.service);
            assert!(lines <= 1 + minutes, "{}: {lines} lines of {reason}", service.service);
        }
    }
    counts.retain(|&(_, reason), _| !["forgotten", "unsent"].contains(&reason));
    assert_eq!(counts, BTreeMap::new());
}

/// What the datagram of this number says: a bit of everything, different each time.
fn hostile_payload(number: u32) -> Vec<u8> {
    let text = match number / 3 % 16 {
        0 => "^hb^".to_owned(),
        1 => format!("^hello 1 start={number}^"),
        2 => format!("^hello 1 start={number} token={number:016x} name=x{number} at=room{}^", number % 1_000),
        3 => format!("^as {number:016x}^^say {number} len=1^x^want lobby/00000000/1-{number}^"),
        4 => format!("text {number} {}", "x".repeat(number as usize % 1_000)),
        5 => format!("/join room{}", number % 5_000),
        6 => format!("/nick n{number}"),
        7 => format!("/topic {number} {}", "t".repeat(150)),
        8 => format!("/away {number} {}", "a".repeat(150)),
        9 => format!("/msg n{} {number}", number.wrapping_sub(48)),
        10 => format!("%H %N {number}"),
        11 => format!("TZ=UTC{} %c {number}", number % 24),
        12 => "Notify".to_owned(),
        13 => "quit".to_owned(),
        14 => format!("said {number}\n"),
        _ => return [&b"\xff\xfe"[..], &number.to_be_bytes()].concat(),
    };
    text.into_bytes()
}

/// Bytes that wait in the sockets of this network.
fn waiting() -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
    let queue = |line: &str| u64::from_str_radix(line.split_whitespace().nth(4)?.split(':').nth(1)?, 16).ok();
    table.lines().skip(1).filter_map(queue).max().unwrap_or_default()
}

/// Sends so many in the name of a million, as fast as they are read.
fn flood(forger: &Forger, numbers: std::ops::Range<u32>) {
    for number in numbers {
        // A prime, so that sources, ports and payloads are not in step.
        let [_, b, c, d] = (number.wrapping_mul(48_271) % 1_000_000).to_be_bytes();
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 16 + b, c, d), 1_024 + (number % 50_000) as u16);
        let port = PORTS[number as usize % PORTS.len()];
        forger.send(source, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), &hostile_payload(number));
        while number % 500 == 0 && waiting() > 1 << 20 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_flood_in_the_name_of_a_million_leaves_memory_as_it_was() {
    if !netns::enter() {
        return;
    }
    let count = std::env::var("BELFRY_FLOOD").map_or(FLOOD_DATAGRAMS, |count| count.parse().expect("a number"));
    let folder = new_folder();
    let control = folder.join("control");
    // So little history that it is full soon.
    let config = "[chat]\nmax-members = 200\nhistory = 16\n[announce]\ninterval = \"0s\"\n";
    let belfryd = Belfryd::start_in(folder, config, |command| {
        command.arg("--control").arg(&control);
    });
    let (forger, started) = (Forger::new(), Instant::now());
    let at_start = belfryd.resident_kib();
    flood(&forger, 0..WARM_UP_DATAGRAMS);
    assert!(eventually(|| waiting() == 0));
    let before = belfryd.resident_kib();
    flood(&forger, WARM_UP_DATAGRAMS..WARM_UP_DATAGRAMS + count);
    assert!(eventually(|| waiting() == 0));
    let after = belfryd.resident_kib();
    let counted = stats(&control);
    let elapsed = started.elapsed();
    println!(
        "{at_start} KiB at the start, {before} after {WARM_UP_DATAGRAMS}, {after} after {count} more: {elapsed:?}"
    );
    println!("{counted:#?}");
    assert!(after <= before + GROWTH_KIB_MAX, "it grew from {before} to {after} KiB");
    let lost: u64 = counted.iter().map(|service| service.kernel_drops).sum();
    assert!(lost < u64::from(count) / 10, "{lost} were not even read");
}
