//! The echo by UDP and by TCP: simple clients, very many, slow ones, and such as do not behave.

use crate::belfryd::{Belfryd, PATIENCE, QUIET, eventually};
use crate::control;
use crate::netns::{self, Host, cable, ip};
use crate::person::is_installed;
use belfry::control::{ServiceStats, Stats};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An echo with these keys, beside the others.
fn config(keys: &str) -> String {
    format!("{QUIET}[echo]\nenabled = true\nlisten = [\"127.0.0.1:0\"]\n{keys}\n")
}

/// Somebody who connects from an address of loopback.
fn connect_from(host: u8, addr: SocketAddr) -> TcpStream {
    connect_between(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)), addr)
}

fn connect_between(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn connect(belfryd: &Belfryd) -> TcpStream {
    connect_from(1, belfryd.addr("echo/tcp"))
}

/// What comes back of a text, if anything does.
fn ask(mut client: &TcpStream, said: &str) -> Option<String> {
    client.write_all(said.as_bytes()).ok()?;
    let mut answer = vec![0; said.len()];
    client.read_exact(&mut answer).ok()?;
    Some(String::from_utf8(answer).unwrap())
}

/// Whether the other end has closed it.
fn is_closed(mut client: &TcpStream) -> bool {
    match client.read(&mut [0]) {
        Ok(len) => len == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn stats(control: &Path) -> ServiceStats {
    let line = control::done(control, &["stats", "--json"]);
    let stats: Stats = belfry::control::parse_outcome(&line).unwrap().unwrap();
    stats.services.into_iter().find(|of| of.service == "echo").unwrap()
}

/// Lets this process have as many connections as a test needs.
fn raise_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(16_384), hard).unwrap();
}

#[test]
fn what_is_sent_comes_back_by_udp_and_by_tcp() {
    for (keys, said, back) in [("", "hello\n", "hello\n"), ("transform = \"upper\"", "hello äöü\n", "HELLO ÄÖÜ\n")]
    {
        let belfryd = Belfryd::start(&config(keys));
        assert_eq!(belfryd.client("echo").ask(said), back);
        let client = connect(&belfryd);
        assert_eq!(ask(&client, said).as_deref(), Some(back));
        assert_eq!(ask(&client, said).as_deref(), Some(back), "and again");
    }
}

#[test]
fn twenty_programs_of_tutorials_that_stay_connected_are_answered_in_upper_case() {
    if !is_installed("python3") {
        return;
    }
    // Without another key: what is there by default is enough for a class.
    let belfryd = Belfryd::start(&config("transform = \"upper\""));
    let script = format!("{}/tests/clients/shouter.py", env!("CARGO_MANIFEST_DIR"));
    let port = belfryd.addr("echo/tcp").port().to_string();
    let output = Command::new("python3").args([&script, "127.0.0.1", &port, "20"]).output().unwrap();
    let expected = ["HELLO\n".repeat(20), "HELLO AGAIN\n".repeat(20), "STRASSE\n".repeat(20)].concat();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_thousand_clients_at_once_each_get_their_own_back() {
    raise_limit();
    let keys = "transform = \"upper\"\nrate-limit = \"off\"\nmax-connections-per-address = 1000";
    let (belfryd, control) = control::start(&config(keys));
    let clients: Vec<_> = (0..1_000).map(|_| connect(&belfryd)).collect();
    // All speak before any listens; and each text comes in two pieces, between which all others do.
    for round in 0..3 {
        for piece in ["one ", "two"] {
            for (number, mut client) in clients.iter().enumerate() {
                client.write_all(format!("{piece}{number} {round} ").as_bytes()).unwrap();
            }
        }
        for (number, mut client) in clients.iter().enumerate() {
            let expected = format!("ONE {number} {round} TWO{number} {round} ");
            let mut back = vec![0; expected.len()];
            client.read_exact(&mut back).unwrap();
            assert_eq!(String::from_utf8(back).unwrap(), expected);
        }
    }
    assert_eq!((stats(&control).connections, stats(&control).accepted), (1_000, 1_000));
    drop(clients);
    assert!(eventually(|| stats(&control).connections == 0));
}

#[test]
fn who_never_reads_holds_up_nobody_and_takes_no_memory() {
    let (belfryd, _control) = control::start(&config("rate-limit = \"off\""));
    let time = belfryd.client("time");
    let clients: Vec<_> = (0..30).map(|_| connect(&belfryd)).collect();
    let before = belfryd.resident_kib();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mut client in &clients {
            client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            let is_over = &is_over;
            scope.spawn(move || {
                let mut sent = 0;
                // 32 MB, if they were taken.
                while sent < 32 << 20 && !is_over.load(Ordering::Relaxed) {
                    match client.write(&[b'x'; 65_536]) {
                        Ok(len) => sent += len,
                        Err(_) => break,
                    }
                }
                assert!(sent < 32 << 20, "{sent} bytes were taken, of which nobody has read any");
            });
        }
        for _ in 0..300 {
            assert_eq!(time.ask("%Z"), "UTC");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let grown = belfryd.resident_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "it grew by {grown} KiB");
    assert_eq!(ask(&connect(&belfryd), "hello").as_deref(), Some("hello"), "others are served meanwhile");
}

#[test]
fn who_reads_late_gets_all_of_it_and_then_the_end() {
    let belfryd = Belfryd::start(&config("transform = \"upper\""));
    let client = connect(&belfryd);
    let text = "straße ".repeat(500_000);
    std::thread::scope(|scope| {
        let (mut sender, text) = (&client, &text);
        scope.spawn(move || {
            // In pieces that cut characters.
            text.as_bytes().chunks(4_093).for_each(|piece| sender.write_all(piece).unwrap());
            sender.shutdown(Shutdown::Write).unwrap();
        });
        std::thread::sleep(Duration::from_millis(200));
        let mut back = Vec::new();
        (&client).read_to_end(&mut back).unwrap();
        assert!(back == text.to_uppercase().into_bytes(), "{} bytes came back", back.len());
    });
}

#[test]
fn who_has_closed_its_half_gets_what_is_left_even_of_a_character_that_never_was_complete() {
    let belfryd = Belfryd::start(&config("transform = \"upper\""));
    let mut client = connect(&belfryd);
    client.write_all(b"hello \xe2\x82").unwrap();
    let mut back = [0; 6];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"HELLO ");
    client.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\xe2\x82");
}

#[test]
fn a_connection_on_which_nothing_moves_is_closed_and_others_are_not() {
    let belfryd = Belfryd::start(&config("idle-timeout = \"400ms\""));
    let (idle, busy) = (connect(&belfryd), connect(&belfryd));
    idle.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(eventually(|| {
        assert_eq!(ask(&busy, "still here").as_deref(), Some("still here"));
        is_closed(&idle)
    }));
    assert_eq!(ask(&busy, "still here").as_deref(), Some("still here"));
    assert!(is_closed(&busy), "it has stopped talking");
}

#[test]
fn who_is_one_too_many_is_closed_at_once_and_counted_and_the_others_stay() {
    let (belfryd, control) = control::start(&config("max-connections = 3\nmax-connections-per-address = 2"));
    let addr = belfryd.addr("echo/tcp");
    let (one, two) = (connect_from(1, addr), connect_from(1, addr));
    assert!(is_closed(&connect_from(1, addr)), "one too many from there");
    let three = connect_from(2, addr);
    assert_eq!(ask(&three, "hello").as_deref(), Some("hello"));
    assert!(is_closed(&connect_from(3, addr)), "one too many in all");
    assert_eq!((stats(&control).accepted, stats(&control).dropped["full"]), (3, 2));
    for client in [&one, &two] {
        assert_eq!(ask(client, "hello").as_deref(), Some("hello"));
    }
    drop(one);
    assert!(eventually(|| stats(&control).connections == 2));
    assert_eq!(ask(&connect_from(3, addr), "hello").as_deref(), Some("hello"), "there is a place again");
}

#[test]
fn who_may_not_speak_may_not_connect_and_a_reload_closes_whom_it_keeps_out() {
    let deny = "deny = [\"127.0.0.2\"]";
    let (belfryd, control) = control::start(&config(deny));
    let addr = belfryd.addr("echo/tcp");
    assert!(is_closed(&connect_from(2, addr)));
    assert_eq!(stats(&control).dropped["access"], 1);
    let (one, three) = (connect_from(1, addr), connect_from(3, addr));
    assert_eq!(ask(&three, "hello").as_deref(), Some("hello"));
    belfryd.reload(&config("deny = [\"127.0.0.3\"]\ntransform = \"upper\""));
    assert!(is_closed(&three));
    assert_eq!(ask(&one, "hello").as_deref(), Some("hello"), "a connection goes on as it began");
    assert_eq!(ask(&connect_from(2, addr), "hello").as_deref(), Some("HELLO"));
}

#[test]
fn who_connects_is_on_link_by_a_subnet_of_the_interface_that_it_came_by() {
    if !netns::enter() {
        return;
    }
    let (neighbour, other) = (Host::new(), Host::new());
    cable("lan", 1, &neighbour);
    cable("dmz", 2, &other);
    // Somebody at another link who has an address of the first, and is answered there.
    other.run(|| ip("addr add 10.77.1.7/32 dev dmz1"));
    ip("route add 10.77.1.7/32 dev dmz0");
    neighbour.run(|| ip("route add 10.77.2.0/24 via 10.77.1.1"));
    let (belfryd, control) = control::start("[echo]\nenabled = true\n[announce]\nenabled = false\n");
    let port = belfryd.addr("echo/tcp").port();
    let connect = |host: &Host, from: [u8; 4], to: [u8; 4]| {
        host.run(|| connect_between(SocketAddr::from((from, 0)), SocketAddr::from((to, port))))
    };
    let client = connect(&neighbour, [10, 77, 1, 2], [10, 77, 2, 1]);
    assert_eq!(ask(&client, "hello").as_deref(), Some("hello"), "by whichever of our addresses");
    assert!(is_closed(&connect(&other, [10, 77, 1, 7], [10, 77, 2, 1])));
    assert_eq!(stats(&control).dropped["access"], 1);
    let client = connect(&other, [10, 77, 2, 2], [10, 77, 2, 1]);
    assert_eq!(ask(&client, "hello").as_deref(), Some("hello"));
}

#[test]
fn connections_take_tokens_too_and_none_by_lot() {
    let (belfryd, control) = control::start(&config("rate-limit = \"1/s burst 2 leak 1/2\""));
    let clients: Vec<_> = (0..30).map(|_| connect(&belfryd)).collect();
    let served = clients.iter().filter(|client| ask(client, "hello").is_some()).count();
    let counted = stats(&control);
    assert_eq!((counted.accepted as usize, counted.dropped["rate-limit"] as usize), (served, 30 - served));
    assert!((2..6).contains(&served), "{served} of 30");
    // Whoever forges datagrams in its name takes none of those.
    assert_eq!(belfryd.client("echo").ask("hello"), "hello");
}

#[test]
fn a_reload_that_widens_the_address_keeps_the_port_and_who_is_connected_and_one_that_ends_it_closes_all() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = |ip: &str| {
        config("").replace("[echo]\nenabled = true\nlisten = [\"127.0.0.1:0\"]", "[echo]\nenabled = true")
            + &format!("listen = [\"{ip}:{free}\"]\n")
    };
    let belfryd = Belfryd::start(&at("127.0.0.1"));
    let client = connect(&belfryd);
    assert_eq!(ask(&client, "hello").as_deref(), Some("hello"));
    belfryd.reload(&at("0.0.0.0"));
    belfryd.wait_for_log(&format!("echo/tcp listens on 0.0.0.0:{free}"));
    assert_eq!(ask(&client, "hello").as_deref(), Some("hello"));
    let other = connect_from(1, SocketAddr::from(([127, 0, 0, 5], free)));
    assert_eq!(ask(&other, "hello").as_deref(), Some("hello"));
    belfryd.reload(QUIET);
    assert!(is_closed(&client) && is_closed(&other));
    assert!(TcpStream::connect(("127.0.0.1", free)).is_err(), "nobody listens");
}

#[test]
fn who_is_killed_in_the_midst_of_it_costs_nothing() {
    let (belfryd, control) = control::start(&config(""));
    for _ in 0..10 {
        let mut client = connect(&belfryd);
        client.write_all(&[b'x'; 60_000]).unwrap();
        client.read_exact(&mut [0; 1_000]).unwrap();
        // As the kernel does for a process that has not read everything.
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    }
    assert!(eventually(|| stats(&control).connections == 0));
    assert_eq!(ask(&connect(&belfryd), "hello").as_deref(), Some("hello"));
}

#[test]
fn a_daemon_without_descriptors_takes_in_who_waits_when_there_are_some_and_does_not_turn_in_circles() {
    if !is_installed("prlimit") {
        return;
    }
    let (belfryd, _control) = control::start(&config(""));
    let time = belfryd.client("time");
    let pid = belfryd.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let most = (open + 5).to_string();
    let limit = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={most}:{most}")]).status();
    assert!(limit.unwrap().success());
    let mut clients: Vec<_> = (0..12).map(|_| connect(&belfryd)).collect();
    clients.iter().for_each(|client| client.set_read_timeout(Some(Duration::from_millis(100))).unwrap());
    let served = |clients: &[TcpStream]| clients.iter().filter(|client| ask(client, "x").is_some()).count();
    let first = served(&clients);
    assert!((1..12).contains(&first), "{first}");
    let busy = control::ticks(&belfryd);
    assert_eq!(time.ask("%Z"), "UTC");
    std::thread::sleep(Duration::from_secs(1));
    let waited = control::ticks(&belfryd) - busy;
    assert!(waited < 20, "{waited} ticks of processor time while there was nothing to do");
    // What the others have said meanwhile waits with them.
    drop(clients.drain(..first));
    clients.iter().for_each(|client| client.set_read_timeout(Some(PATIENCE)).unwrap());
    assert_eq!(ask(&clients[0], "x").as_deref(), Some("x"));
}

#[test]
fn the_echo_is_off_until_it_is_enabled() {
    let belfryd = Belfryd::start(QUIET);
    assert!(!belfryd.log().contains("echo listens") && !belfryd.log().contains("echo/tcp"), "{}", belfryd.log());
}
