//! The `belfry` command against servers made of one socket: what it sends, what it prints, how it ends.
//!
//! All traffic stays on the loopback interface; what asks a group does so in a network of its own, so that no mistake
//! can bring the question to anybody.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test waits by the clock, fails by panicking, and says why it skips"
)]

mod common;

use common::netns;
use socket2::{Domain, InterfaceIndexOrAddress, SockRef, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ends a server.
const END: &str = "\x04";

/// What a server does with a datagram: the datagrams that go back.
type Script = fn(&str) -> Vec<String>;

/// A server on a port of its own.
#[derive(Debug)]
struct Server {
    addr: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn start(script: Script) -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").unwrap(), script)
    }

    fn on(socket: UdpSocket, script: Script) -> Self {
        let addr = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut got = Vec::new();
            let mut buffer = [0; 2048];
            while let Ok((len, source)) = socket.recv_from(&mut buffer) {
                let datagram = String::from_utf8_lossy(&buffer[..len]).into_owned();
                if datagram == END {
                    break;
                }
                for answer in script(&datagram) {
                    socket.send_to(answer.as_bytes(), source).unwrap();
                }
                got.push(datagram);
            }
            got
        });
        Self { addr, thread }
    }

    /// Everything that it got, once the program that talked to it has ended.
    fn got(self) -> Vec<String> {
        let port = self.addr.port();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(END.as_bytes(), ("127.0.0.1", port)).unwrap();
        self.thread.join().unwrap()
    }
}

/// A hub with one member, who talks to nobody.
fn hub(datagram: &str) -> Vec<String> {
    match datagram {
        "^hb^" | "quit" => vec![],
        "/nick" => vec!["-- You are mira in lobby.".to_owned()],
        "bad" => vec!["? no such luck".to_owned()],
        text => vec![format!("mira: {text}")],
    }
}

fn silent(_: &str) -> Vec<String> {
    vec![]
}

/// A port of the loopback interface where nobody listens, and nobody comes to listen by chance: it is below those that
/// the kernel gives out, and differs from test to test and from run to run.
fn closed_port(test: u32) -> SocketAddr {
    let port = 10_000 + (std::process::id() * 2 + test) % 20_000;
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()));
    UdpSocket::bind(addr).unwrap().local_addr().unwrap()
}

fn belfry(addr: SocketAddr, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.args(["--server", &addr.to_string(), "--timeout", "600ms"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Standard output, standard error and the exit status.
fn outcome(output: Output) -> (String, String, i32) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn run(addr: SocketAddr, words: &[&str]) -> (String, String, i32) {
    outcome(belfry(addr, words).output().unwrap())
}

fn run_with_input(addr: SocketAddr, words: &[&str], input: &[u8]) -> (String, String, i32) {
    let mut child = belfry(addr, words).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    outcome(child.wait_with_output().unwrap())
}

fn ended(stdout: &str, stderr: &str, status: i32) -> (String, String, i32) {
    (stdout.to_owned(), stderr.to_owned(), status)
}

#[test]
fn time_sends_the_words_as_one_format_and_prints_the_answer() {
    let server = Server::start(|format| vec![format!("<{format}>\n")]);
    assert_eq!(run(server.addr, &["time", "TZ=UTC", "%H:%M"]), ended("<TZ=UTC %H:%M>\n", "", 0));
    assert_eq!(run(server.addr, &["time"]), ended("<>\n", "", 0));
    assert_eq!(server.got(), ["TZ=UTC %H:%M", ""]);
}

#[test]
fn time_says_on_standard_error_what_the_server_did_not_understand() {
    let server = Server::start(|_| vec!["? unknown conversion %Q\x1b[2J\n".to_owned()]);
    assert_eq!(run(server.addr, &["time", "%Q"]), ended("", "belfry: ? unknown conversion %Q\\u{1b}[2J\n", 1));
}

#[test]
fn time_asks_three_times_before_it_gives_up() {
    let server = Server::start(silent);
    let stderr = format!("belfry: no answer from {}/udp within 600ms\n", server.addr);
    assert_eq!(run(server.addr, &["time", "%H"]), ended("", &stderr, 2));
    assert_eq!(server.got(), ["%H", "%H", "%H"]);
}

#[test]
fn a_closed_port_is_said_at_once_by_every_command_that_ends() {
    let addr = closed_port(0);
    let stderr = format!("belfry: nobody listens on {addr}/udp\n");
    for words in [&["time", "--timeout", "1h"][..], &["say", "hello", "--timeout", "1h"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
        let output = command.args(["--server", &addr.to_string()]).args(words).output().unwrap();
        assert_eq!(outcome(output), ended("", &stderr, 1), "{words:?}");
    }
}

#[test]
fn say_waits_until_the_hub_has_handled_the_text_and_leaves() {
    let server = Server::start(hub);
    assert_eq!(run(server.addr, &["say", "hello", "all"]), ended("", "", 0));
    assert_eq!(server.got(), ["hello all", "/nick", "quit"]);
    let server = Server::start(hub);
    assert_eq!(run(server.addr, &["say", "/etc/motd"]), ended("", "", 0));
    assert_eq!(server.got(), ["//etc/motd", "/nick", "quit"]);
}

#[test]
fn say_fails_when_the_hub_refuses_the_text() {
    let server = Server::start(hub);
    assert_eq!(run(server.addr, &["say", "bad"]), ended("", "belfry: ? no such luck\n", 1));
    assert_eq!(server.got(), ["bad", "/nick", "quit"]);
}

#[test]
fn say_sends_a_text_once_however_silent_the_hub_is() {
    let server = Server::start(silent);
    let stderr = format!("belfry: no answer from {}/udp within 600ms\n", server.addr);
    assert_eq!(run(server.addr, &["say", "hello"]), ended("", &stderr, 2));
    assert_eq!(server.got(), ["hello", "/nick", "/nick", "/nick", "quit"]);
}

#[test]
fn say_sends_nothing_that_the_hub_would_take_for_a_command() {
    let server = Server::start(hub);
    for text in ["quit", "^hb^", " "] {
        let (stdout, stderr, status) = run(server.addr, &["say", text]);
        assert_eq!((stdout.as_str(), status, stderr.starts_with("belfry: ")), ("", 64, true), "{text:?}: {stderr}");
    }
    assert_eq!(server.got(), [""; 0]);
}

#[test]
fn say_takes_each_line_of_standard_input_and_no_bad_line_keeps_the_others_back() {
    let server = Server::start(hub);
    let input = b"one\n\nbad\nquit\n\xff\n/two\nthree";
    let (stdout, stderr, status) = run_with_input(server.addr, &["say", "-"], input);
    assert_eq!(server.got(), ["/nick", "one", "/nick", "bad", "/nick", "//two", "/nick", "three", "/nick", "quit"]);
    assert_eq!((stdout.as_str(), status), ("", 1));
    let stderr: Vec<&str> = stderr.lines().collect();
    assert_eq!(
        (stderr.len(), stderr[0], stderr[2], stderr[3]),
        (4, "belfry: line 3: ? no such luck", "belfry: line 5: not UTF-8", "belfry: lines not said: 3")
    );
    assert!(stderr[1].starts_with("belfry: line 4: \"quit\" would leave"), "{stderr:?}");
}

/// `belfry tail`, started, and what it prints.
struct Tail {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

impl Tail {
    fn start(addr: SocketAddr) -> Self {
        let mut child = belfry(addr, &["tail"]).spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    fn complaint(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Standard error and the exit status.
    fn end(mut self) -> (String, i32) {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        (stderr, self.child.wait().unwrap().code().unwrap())
    }
}

/// A hub where somebody talks as soon as one joins.
fn lively(datagram: &str) -> Vec<String> {
    match datagram {
        "^hb^" => vec!["mira: hello".to_owned(), "eve: \x1b[2Jgone\nmira: forged\n\ttwice".to_owned()],
        other => hub(other),
    }
}

#[test]
fn tail_joins_prints_a_line_for_each_message_and_leaves_when_it_is_interrupted() {
    for signal in [nix::sys::signal::SIGINT, nix::sys::signal::SIGTERM] {
        let server = Server::start(lively);
        let mut tail = Tail::start(server.addr);
        let lines = [(); 5].map(|()| tail.line());
        let expected =
            ["mira: hello\n", "eve: \\u{1b}[2Jgone\n", "\tmira: forged\n", "\ttwice\n", "-- You are mira in lobby.\n"];
        assert_eq!(lines, expected);
        tail.signal(signal);
        assert_eq!(tail.end(), (String::new(), 0));
        assert_eq!(server.got(), ["^hb^", "/nick", "quit"]);
    }
}

#[test]
fn tail_ends_quietly_when_nobody_reads_it_any_more() {
    let server = Server::start(lively);
    let mut tail = Tail::start(server.addr);
    assert_eq!(tail.line(), "mira: hello\n");
    tail.stdout = None;
    assert_eq!(tail.end(), (String::new(), 0));
    assert_eq!(server.got(), ["^hb^", "/nick", "quit"]);
}

#[test]
fn tail_hears_a_signal_while_its_reader_has_stopped() {
    let server = Server::start(|datagram| match datagram {
        "^hb^" => vec!["x".repeat(1_000); 150],
        other => hub(other),
    });
    let mut tail = Tail::start(server.addr);
    assert_eq!(tail.line().len(), 1_001);
    // It fills the pipe in that time; should it not, it is interrupted all the same.
    std::thread::sleep(Duration::from_millis(300));
    tail.signal(nix::sys::signal::SIGTERM);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while tail.child.try_wait().unwrap().is_none() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = tail.child.try_wait().unwrap();
    let _ = tail.child.kill();
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    assert_eq!(server.got().last().map(String::as_str), Some("quit"));
}

#[test]
fn tail_says_once_that_the_hub_is_silent() {
    let server = Server::start(silent);
    let mut tail = Tail::start(server.addr);
    let said = tail.complaint();
    assert_eq!(said, format!("belfry: no answer from {}/udp within 600ms; still trying\n", server.addr));
    tail.signal(nix::sys::signal::SIGTERM);
    assert_eq!(tail.end(), (String::new(), 0));
    assert_eq!(server.got(), ["^hb^", "/nick", "quit"]);
}

#[test]
fn tail_says_once_that_nobody_listens_and_joins_the_hub_when_it_comes() {
    let addr = closed_port(1);
    let mut tail = Tail::start(addr);
    assert_eq!(tail.complaint(), format!("belfry: nobody listens on {addr}/udp; still trying\n"));
    let server = Server::on(UdpSocket::bind(addr).unwrap(), lively);
    assert_eq!(tail.line(), "mira: hello\n");
    assert_eq!(tail.complaint(), format!("belfry: {addr}/udp answers\n"));
    tail.signal(nix::sys::signal::SIGTERM);
    assert_eq!(tail.end(), (String::new(), 0));
    assert_eq!(server.got(), ["^hb^", "/nick", "quit"]);
}

#[test]
fn tail_joins_anew_a_hub_that_went_away_and_came_back() {
    let first = Server::start(lively);
    let addr = first.addr;
    let mut tail = Tail::start(addr);
    let joined = [(); 5].map(|()| tail.line());
    assert_eq!(first.got(), ["^hb^", "/nick"]);
    assert_eq!(tail.complaint(), format!("belfry: nobody listens on {addr}/udp; still trying\n"));
    let second = Server::on(UdpSocket::bind(addr).unwrap(), lively);
    assert_eq!([(); 5].map(|()| tail.line()), joined);
    tail.signal(nix::sys::signal::SIGTERM);
    assert_eq!(tail.end(), (format!("belfry: {addr}/udp answers\n"), 0));
    assert_eq!(second.got(), ["^hb^", "/nick", "quit"]);
}

/// A socket in the group on the loopback interface.
fn group() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).unwrap();
    let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
    socket.join_multicast_v4_n(&Ipv4Addr::new(224, 0, 0, 1), &InterfaceIndexOrAddress::Index(loopback)).unwrap();
    SockRef::from(&socket).set_multicast_all_v4(false).unwrap();
    socket.into()
}

fn discover(port: u16, words: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.args(["discover", "--interface", "lo", "--port", &port.to_string()]).args(words);
    outcome(command.output().unwrap())
}

#[test]
fn discover_prints_a_line_for_each_server_that_answers_the_group() {
    if !netns::enter() {
        return;
    }
    let server = Server::on(group(), |question| {
        assert_eq!(question, "Notify");
        ["Acknowlege belfry/1 host=tower time=8080 chat=9999 heartbeat=3s", "hello"].map(str::to_owned).to_vec()
    });
    let stdout = "127.0.0.1        tower            time 8080, chat 9999\n";
    assert_eq!(discover(server.addr.port(), &["--timeout", "500ms"]), ended(stdout, "", 0));
    assert_eq!(server.got(), ["Notify", "Notify"]);
}

#[test]
fn discover_ends_in_time_and_lists_no_end_of_servers_however_many_answers_come() {
    if !netns::enter() {
        return;
    }
    let server = Server::on(group(), |_| (1..=20_000).map(|port| format!("Acknowlege belfry/1 time={port}")).collect());
    let (stdout, stderr, status) = discover(server.addr.port(), &["--timeout", "300ms"]);
    assert_eq!((stderr.as_str(), status), ("", 0));
    assert!((1..=1_024).contains(&stdout.lines().count()), "{}", stdout.lines().count());
}

#[test]
fn discover_asks_the_server_that_is_named_as_well() {
    if !netns::enter() {
        return;
    }
    let server = Server::start(|_| vec!["Acknowlege\0".to_owned()]);
    let addr = server.addr.to_string();
    let outcome = discover(1, &["--timeout", "200ms", "--server", &addr]);
    assert_eq!(outcome, ended("127.0.0.1        -                -\n", "", 0));
    assert_eq!(server.got(), ["Notify"]);
}

#[test]
fn discover_gives_hints_when_nobody_answers() {
    if !netns::enter() {
        return;
    }
    let group = group();
    let (stdout, stderr, status) = discover(group.local_addr().unwrap().port(), &["--timeout", "200ms"]);
    assert_eq!((stdout.as_str(), status), ("", 2));
    assert!(stderr.starts_with("belfry: nobody answered within 200ms\n  Is belfryd running"), "{stderr}");
    let (_, stderr, status) = discover(1, &["--interface", "nowhere"]);
    assert_eq!((stderr.lines().last().unwrap_or_default().is_empty(), status), (false, 64), "{stderr}");
}

#[test]
fn bad_usage_ends_with_64_and_help_with_0() {
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_belfry")).args(words).output().unwrap();
        (!output.stdout.is_empty(), !output.stderr.is_empty(), output.status.code().unwrap())
    };
    for words in [&[][..], &["tell"], &["time", "--server", ":80"], &["say"]] {
        assert_eq!(run(words), (false, true, 64), "{words:?}");
    }
    for words in [&["--help"][..], &["--version"], &["say", "--help"]] {
        assert_eq!(run(words), (true, false, 0), "{words:?}");
    }
}
