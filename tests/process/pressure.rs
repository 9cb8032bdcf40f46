//! Too much: one service is flooded, and the others go on; memory stays bounded; what the kernel drops is counted.

use crate::belfryd::{Belfryd, Client, PATIENCE, QUIET, eventually};
use crate::loops::forge;
use crate::netns::{self, Host, cable, ip};
use nix::sys::signal::{SIGCONT, SIGSTOP};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Ends a flood when it is dropped.
struct Dam<'a>(&'a AtomicBool);

impl Drop for Dam<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_of_one_service_leaves_the_other_answered_and_memory_bounded() {
    let belfryd = Belfryd::start(QUIET);
    let (chat, time) = (belfryd.client("chat"), belfryd.client("time"));
    // A room with a few who listen, so that each text of the flood is also sent.
    let listeners: Vec<_> = (0..20).map(|_| belfryd.client("chat")).collect();
    listeners.iter().for_each(|client| client.send("^hb^"));
    chat.ask("/nick flooder");
    let before = belfryd.resident_kib();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let text = [b'x'; 1_000];
            while !stop.load(Ordering::Relaxed) {
                // The buffer of our own socket may be full too.
                let _ = chat.0.send(&text);
            }
        });
        // However this ends, the flood does too.
        let _dam = Dam(&stop);
        for _ in 0..500 {
            assert_eq!(time.ask("%Z"), "UTC");
        }
    });
    let grown = belfryd.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "it grew by {grown} KiB");
}

#[test]
fn addresses_without_number_leave_memory_bounded() {
    let config = QUIET.replace("[chat]\n", "[chat]\nmax-members = 100\nmax-members-per-address = 100\n");
    let belfryd = Belfryd::start(&config.replace("\"off\"", "\"1000000/s burst 1000000\""));
    let (addr, time) = (belfryd.addr("chat"), belfryd.addr("time"));
    // At another address the kernel may well choose a port that the daemon has, from which nobody is answered.
    let bind_elsewhere = |ip: Ipv4Addr| {
        let mut sockets = std::iter::repeat_with(|| UdpSocket::bind((ip, 0)).unwrap());
        let is_free = |port| ![addr.port(), time.port()].contains(&port);
        sockets.find(|socket| is_free(socket.local_addr().unwrap().port())).unwrap()
    };
    let mut refused = 0;
    for host in 0..40_u8 {
        for last in 1..=50 {
            let client = Client(bind_elsewhere(Ipv4Addr::new(127, 0, host, last)));
            client.0.connect(addr).unwrap();
            client.0.set_read_timeout(Some(PATIENCE)).unwrap();
            refused += usize::from(client.ask("/nick").starts_with("? the hub is full"));
        }
    }
    assert_eq!(refused, 40 * 50 - 100);
}

#[test]
fn what_the_kernel_drops_is_counted_and_told() {
    let mut belfryd = Belfryd::start(QUIET);
    let time = belfryd.client("time");
    belfryd.signal(SIGSTOP);
    // More than twice as many as its buffer holds.
    for _ in 0..60_000 {
        time.send([b'x'; 500]);
    }
    belfryd.signal(SIGCONT);
    // The counter comes with the first datagram that is received after the loss.
    let after = belfryd.client("time");
    assert!(eventually(|| {
        after.send("%Z");
        after.waiting().contains(&"UTC".to_owned())
    }));
    belfryd.stop();
    let log = belfryd.log();
    let dropped = log.lines().find(|line| line.contains("time: ") && line.ends_with("dropped by the kernel"));
    assert!(dropped.is_some(), "{log}");
}

#[test]
fn hosts_that_have_left_the_network_hold_up_nobody() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    let limits_off = "[time]\nrate-limit = \"off\"\n[chat]\nrate-limit = \"off\"\n[announce]\nenabled = false\n";
    let _belfryd = Belfryd::start(limits_off);
    // Members whose hosts vanish: their addresses go, and with them whoever would answer for them on the cable.
    let vanishing: Vec<_> = (100..120).map(|last| Ipv4Addr::new(10, 77, 1, last)).collect();
    host.run(|| vanishing.iter().for_each(|addr| ip(&format!("addr add {addr}/24 dev lan1"))));
    for &addr in &vanishing {
        let client = host.run(|| Client(UdpSocket::bind((addr, 0)).unwrap()));
        client.0.connect("10.77.1.1:9999").unwrap();
        client.0.set_read_timeout(Some(PATIENCE)).unwrap();
        client.ask("hello");
    }
    host.run(|| vanishing.iter().for_each(|addr| ip(&format!("addr del {addr}/24 dev lan1"))));
    ip("neigh flush dev lan0");

    let person = Client::to("127.0.0.1:9999".parse().unwrap());
    let mut slowest = Duration::ZERO;
    for number in 0..300 {
        let asked = Instant::now();
        let text = format!("{number} {}", "x".repeat(200));
        let line = person.ask(&text);
        assert!(line.ends_with(&text), "{line}");
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(15));
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // The kernel reports a thousand such errors a second at most, so not all who are gone are known to be yet.
    assert!(person.ask("/who").contains("(out of reach)"));
}

#[test]
fn requests_in_the_name_of_hosts_that_are_not_there_hold_up_nobody_and_make_no_answer_old() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    let limits_off = "[time]\ntimezone = \"UTC\"\nrate-limit = \"off\"\n[announce]\nenabled = false\n";
    let _belfryd = Belfryd::start(limits_off);
    let server = SocketAddrV4::new(Ipv4Addr::new(10, 77, 1, 1), 8080);
    let there = Client(host.run(|| UdpSocket::bind("10.77.1.2:0").unwrap()));
    there.0.connect(server).unwrap();
    there.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut unanswered = 0;
    for number in 0..30_u16 {
        host.run(|| {
            for forged in 0..100_u16 {
                let absent = Ipv4Addr::new(10, 77, 1, 10 + ((number * 100 + forged) % 240) as u8);
                forge(SocketAddrV4::new(absent, 40_000 + forged), server, b"%T\n");
            }
        });
        there.send("%s");
        let mut buffer = [0; 64];
        match there.0.recv(&mut buffer) {
            Ok(len) => {
                let told: i64 = String::from_utf8_lossy(&buffer[..len]).parse().unwrap();
                let age = jiff::Timestamp::now().as_second() - told;
                assert!(age <= 1, "it is {age} s old");
            }
            Err(_) => unanswered += 1,
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(unanswered <= 3, "{unanswered} of 30 were not answered");
}
