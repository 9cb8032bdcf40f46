//! A link that is flooded: which share of the honest hosts on it is told the time meanwhile.
//!
//! `BELFRYD=target/release/belfryd BELFRY_FLOOD_SECONDS=5` makes it a measurement, beside a loop that does nothing but read the
//! same flood; `BELFRY_FLOODERS=2` and `BELFRY_FLOOD_RATE=50000` say how many flood, and how fast each.

use crate::belfryd::{Belfryd, new_folder};
use crate::flooding::stats;
use crate::loops::Forger;
use crate::netns::{Host, cable, enter, ip};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt};
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

/// Hosts that ask for the time every 40 ms, fewer than the rate limit lets each.
const HONEST: std::ops::Range<u8> = 2..10;

/// In whose name a flood comes.
#[derive(Clone, Copy, Debug)]
enum Sources {
    /// 120 addresses of the host that floods.
    Present,
    /// So many addresses of the link that nobody has.
    Absent(u32),
}

impl Sources {
    fn addr(self, number: u64) -> Ipv4Addr {
        match self {
            Self::Present => Ipv4Addr::new(10, 77, 1, 128 + (number % 120) as u8),
            Self::Absent(count) => Ipv4Addr::from_bits(0x0a4d_0802 + (number % u64::from(count)) as u32),
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// A host on a cable, with the addresses of the honest and of those that are only forged.
fn link() -> Host {
    let host = Host::new();
    cable("lan", 1, &host);
    // Where the absent would be.
    ip("addr add 10.77.8.1/21 dev lan0");
    host.run(|| {
        HONEST.skip(1).for_each(|last| ip(&format!("addr add 10.77.1.{last}/24 dev lan1")));
        ip("route add local 10.77.1.128/25 dev lan1 table local");
    });
    host
}

/// Asks for the time, from each honest host by turns, 200 times a second; how often, and how often in vain.
fn ask_honestly(host: &Host, time: Duration) -> (u32, u32) {
    let sockets: Vec<_> =
        HONEST.map(|last| host.run(|| UdpSocket::bind((Ipv4Addr::new(10, 77, 1, last), 0)).unwrap())).collect();
    for socket in &sockets {
        socket.connect((SERVER, 8080)).unwrap();
        socket.set_nonblocking(true).unwrap();
    }
    let (started, mut asked, mut answered) = (Instant::now(), 0, 0);
    let mut hear = || {
        let heard = |socket: &UdpSocket| std::iter::from_fn(|| socket.recv(&mut [0; 64]).ok()).count() as u32;
        answered += sockets.iter().map(heard).sum::<u32>();
        answered
    };
    while started.elapsed() < time {
        let _ = sockets[asked as usize % sockets.len()].send(format!("{asked} %s").as_bytes());
        asked += 1;
        hear();
        std::thread::sleep((started + asked * Duration::from_millis(5)).saturating_duration_since(Instant::now()));
    }
    let patient = Instant::now() + Duration::from_secs(1);
    while hear() < asked && Instant::now() < patient {
        std::thread::sleep(Duration::from_millis(10));
    }
    (asked, asked - answered)
}

/// Sends to a port, at this pace or as fast as one thread can, until it is told to stop; how much.
fn flood_link(host: &Host, port: u16, source_port: u16, sources: Sources, rate: u64, stop: &AtomicBool) -> u64 {
    let forger = host.run(Forger::new);
    let (started, mut sent) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        forger.send(SocketAddrV4::new(sources.addr(sent), source_port), SocketAddrV4::new(SERVER, port), b"%H flood");
        sent += 1;
        if sent % 32 == 0 && rate > 0 {
            let due = started + Duration::from_nanos(sent * 1_000_000_000 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    sent
}

/// Does something while the link is flooded; datagrams a second, and what came of it.
fn while_flooded<T>(
    host: &Host,
    port: u16,
    source_port: u16,
    sources: Sources,
    action: impl FnOnce() -> T,
) -> (u64, T) {
    let (stop, rate) = (AtomicBool::new(false), setting("BELFRY_FLOOD_RATE", 0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let flood = || flood_link(host, port, source_port, sources, rate, &stop);
        let threads: Vec<_> = (0..setting("BELFRY_FLOODERS", 1)).map(|_| scope.spawn(flood)).collect();
        let result = action();
        stop.store(true, Ordering::Relaxed);
        let elapsed = started.elapsed();
        let sent: u64 = threads.into_iter().map(|flood| flood.join().unwrap()).sum();
        ((sent as f64 / elapsed.as_secs_f64()) as u64, result)
    })
}

/// Datagrams that the kernel has dropped at a port of this network.
fn dropped(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
    let at_port =
        |line: &&str| line.split_whitespace().nth(1).is_some_and(|addr| addr.ends_with(&format!(":{port:04X}")));
    let drops = |line: &str| line.split_whitespace().last()?.parse::<u64>().ok();
    table.lines().filter(at_port).filter_map(drops).sum()
}

/// How long a process or a thread has had a processor.
fn processor_time(process: &str) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("Linux counts it"))
}

/// Datagrams that are read in a second of processor time.
fn pace(count: u64, processor: Duration) -> u64 {
    (count as f64 / processor.as_secs_f64().max(0.001)) as u64
}

/// Reads a port for some time and does nothing with it; how much, in how much processor time, and what the kernel dropped.
fn read_bare(time: Duration) -> (u64, Duration, u64) {
    let socket = UdpSocket::bind((SERVER, 8_079)).unwrap();
    setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffers = vec![[0; 2_048]; 64];
    let mut headers = MultiHeaders::<()>::preallocate(64, None);
    let (started, before, mut count) = (Instant::now(), processor_time("thread-self"), 0);
    while started.elapsed() < time {
        let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let read = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None);
        count += read.map_or(0, |read| read.count() as u64);
    }
    (count, processor_time("thread-self") - before, dropped(8_079))
}

/// What the time service has counted: answered, too much, dropped by the kernel, not sent.
fn counted(control: &Path) -> [u64; 4] {
    let stats = stats(control);
    let time = stats.iter().find(|service| service.service == "time").expect("it runs");
    [time.answered, time.dropped["rate-limit"], time.kernel_drops, time.unsent]
}

/// A daemon with its defaults, on one end of a cable.
struct Scene {
    host: Host,
    control: PathBuf,
    time: Duration,
    belfryd: Belfryd,
}

impl Scene {
    /// `None` where there can be no network for it.
    fn new() -> Option<Self> {
        if !enter() {
            return None;
        }
        let (host, folder) = (link(), new_folder());
        let control = folder.join("control");
        let belfryd = Belfryd::start_in(folder, "[announce]\ninterval = \"0s\"\n", |command| {
            command.arg("--control").arg(&control);
        });
        Some(Self { host, control, time: Duration::from_secs(setting("BELFRY_FLOOD_SECONDS", 1)), belfryd })
    }

    /// Floods a port and asks for the time meanwhile: how often, and how often in vain.
    fn ask_while_flooded(&self, port: u16, source_port: u16, sources: Sources) -> (u32, u32) {
        let pid = self.belfryd.pid().to_string();
        let (before, processor) = (counted(&self.control), processor_time(&pid));
        let ask = || ask_honestly(&self.host, self.time);
        let (rate, (asked, unanswered)) = while_flooded(&self.host, port, source_port, sources, ask);
        let (after, processor) = (counted(&self.control), processor_time(&pid) - processor);
        let [answered, limited, drops, unsent] = std::array::from_fn(|at| after[at] - before[at]);
        println!(
            "port {port} from {sources:?}:{source_port}: {rate}/s, {unanswered} of {asked} honest unanswered; \
             answered {answered}, rate-limit {limited}, kernel-drops {drops}, unsent {unsent}; \
             {} in a second of processor",
            pace(answered + limited, processor)
        );
        (asked, unanswered)
    }
}

#[test]
fn honest_hosts_are_told_the_time_while_the_link_is_flooded() {
    let Some(scene) = Scene::new() else { return };
    // From port 53 nobody is heard anywhere.
    for (port, source_port) in [(9_999, 5_000), (8_001, 5_000), (8_080, 53)] {
        let (asked, unanswered) = scene.ask_while_flooded(port, source_port, Sources::Present);
        assert!(port == 8_080 || unanswered * 100 <= asked, "{port}: {unanswered} of {asked}");
    }
    // A flood of the time service itself is lost in part where there is less processor than network, and nobody knows whose
    // those were: how much a loop reads that does nothing else is told beside it.
    let bare = || read_bare(scene.time);
    let (rate, (read, processor, dropped)) = while_flooded(&scene.host, 8_079, 5_000, Sources::Present, bare);
    println!("bare: {rate}/s, {read} read, {} in a second of processor, {dropped} dropped", pace(read, processor));
    scene.ask_while_flooded(8_080, 5_000, Sources::Present);
}

#[test]
fn honest_hosts_are_told_the_time_while_it_is_asked_in_the_name_of_a_whole_network_where_nobody_is() {
    let Some(scene) = Scene::new() else { return };
    // The kernel gives up looking for a host after three seconds, and begins anew.
    for count in [254, 254, setting("BELFRY_FLOOD_ABSENT", 254)] {
        let (asked, unanswered) = scene.ask_while_flooded(8_080, 5_000, Sources::Absent(count as u32));
        assert!(unanswered * 5 <= asked, "{unanswered} of {asked}");
    }
}
