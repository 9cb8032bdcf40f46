//! A server with two addresses, one of which is silent, as behind a firewall that drops what it does not want: the other is
//! asked in time.

use super::{END, Server, asked, ended, hub, netns, outcome, silent};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// The addresses of `tower`, in the order in which they are asked.
const TOWER: [&str; 2] = ["[::1]:9999", "127.0.0.1:9999"];

/// Runs `belfry` where the name `tower` has two addresses.
fn belfry(words: &[&str]) -> Output {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let hosts = std::env::temp_dir().join(format!("belfry-hosts-{}-{number}", std::process::id()));
    std::fs::write(&hosts, "127.0.0.1 tower\n::1 tower\n").unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", "mount --bind \"$1\" /etc/hosts; shift; exec \"$@\"", "sh"]);
    command.arg(&hosts).arg(env!("CARGO_BIN_EXE_belfry")).args(["--server", "tower:9999"]).args(words);
    let output = command.env("XDG_CONFIG_HOME", "/nonexistent").output().unwrap();
    std::fs::remove_file(hosts).unwrap();
    output
}

/// What an answering server at either address gets, while the other is silent.
fn with_either(script: fn(&str) -> Vec<String>, words: &[&str], mut check: impl FnMut(Output, Vec<String>)) {
    for (silent, addr) in [(TOWER[0], TOWER[1]), (TOWER[1], TOWER[0])] {
        let _silent = UdpSocket::bind(silent).unwrap();
        let server = Server::on(UdpSocket::bind(addr).unwrap(), script);
        let output = belfry(words);
        check(output, end(server));
    }
}

/// Everything that a server got.
fn end(Server { addr, thread }: Server) -> Vec<String> {
    UdpSocket::bind((addr.ip(), 0)).unwrap().send_to(END.as_bytes(), addr).unwrap();
    thread.join().unwrap()
}

/// A time service at which it is always the same time.
fn time(format: &str) -> Vec<String> {
    let told = format.replace("%s.%N", "1795000000.000000001").replace("%n", "\n").replace("%Y-%m-%d %X", "noon");
    vec![if told.is_empty() { "noon".to_owned() } else { told }]
}

fn rooms(datagram: &str) -> Vec<String> {
    let mark = datagram.split(" mark=").nth(1).unwrap().split(['^', ' ']).next().unwrap();
    vec![format!("^rooms count=1 mark={mark} len=16^lobby members=1\n")]
}

#[test]
fn say_goes_on_to_the_address_that_answers() {
    if netns::enter() {
        with_either(hub, &["say", "hello", "--timeout", "2s"], |output, got| {
            assert_eq!(outcome(output), ended("", "", 0));
            assert_eq!(asked(&got), ["hello", "say 1 hello", "bye"]);
        });
    }
}

#[test]
fn questions_without_a_session_go_on_to_the_address_that_answers() {
    if !netns::enter() {
        return;
    }
    with_either(time, &["time", "--timeout", "2s"], |output, _| {
        assert_eq!(outcome(output), ended("noon\n", "", 0));
    });
    with_either(time, &["time", "--json", "--timeout", "2s"], |output, _| {
        let (stdout, stderr, status) = outcome(output);
        assert!(stdout.contains(r#""time":"noon""#), "{stdout}");
        assert_eq!((stderr.as_str(), status), ("", 0));
    });
    with_either(rooms, &["rooms", "--timeout", "2s"], |output, _| {
        assert_eq!(outcome(output), ended("lobby  1\n", "", 0));
    });
}

#[test]
fn a_clock_that_ticks_goes_on_to_the_address_that_answers() {
    if !netns::enter() {
        return;
    }
    // What is refused ends it.
    with_either(
        |_| vec!["? enough".to_owned()],
        &["time", "--watch", "--timeout", "1s"],
        |output, _| {
            assert_eq!(outcome(output), ended("", "belfry: enough\n", 1));
        },
    );
}

#[test]
fn silence_everywhere_is_told_with_all_addresses() {
    if !netns::enter() {
        return;
    }
    let servers = TOWER.map(|addr| Server::on(UdpSocket::bind(addr).unwrap(), silent));
    let told = |addrs: [&str; 2]| format!("no answer from {}/udp or {}/udp within 600ms", addrs[0], addrs[1]);
    for words in [&["say", "hello"][..], &["rooms"], &["time"], &["time", "--offset"]] {
        let (stdout, stderr, status) = outcome(belfry(&[words, &["--timeout", "600ms"]].concat()));
        let printed = stdout + &stderr;
        let reversed = [TOWER[1], TOWER[0]];
        assert!(printed.contains(&told(TOWER)) || printed.contains(&told(reversed)), "{words:?}: {printed}");
        assert_eq!(status, 2, "{words:?}");
    }
    for server in servers {
        assert!(!end(server).is_empty(), "each was asked");
    }
}

#[test]
fn of_a_silent_and_a_closed_address_the_silence_is_told() {
    if !netns::enter() {
        return;
    }
    for addr in TOWER {
        let silent: SocketAddr = addr.parse().unwrap();
        let _silent = UdpSocket::bind(silent).unwrap();
        for words in [&["say", "hello"][..], &["rooms"], &["time"]] {
            let told = format!("belfry: no answer from {silent}/udp within 600ms\n");
            assert_eq!(outcome(belfry(&[words, &["--timeout", "600ms"]].concat())), ended("", &told, 2), "{words:?}");
        }
    }
}
