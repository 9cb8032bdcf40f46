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

mod addresses;
#[path = "../common/mod.rs"]
mod common;
mod discover;
mod doctor;
mod time;

use belfry::core::frame::{Frame, frames};
use common::netns;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ends a server.
const END: &str = "\x04";

/// A server on a port of its own.
#[derive(Debug)]
struct Server {
    addr: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    /// What `script` makes of a datagram goes back.
    fn start(script: impl FnMut(&str) -> Vec<String> + Send + 'static) -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").unwrap(), script)
    }

    fn on(socket: UdpSocket, mut script: impl FnMut(&str) -> Vec<String> + Send + 'static) -> Self {
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

/// A hub that nobody talks in. It takes any text but `bad`.
fn hub(datagram: &str) -> Vec<String> {
    answers(datagram, |frame| match frame.verb {
        "hello" => Some(WELCOME.to_owned()),
        "say" if frame.text == b"bad" => Some(format!("^error {} no-luck len=4^such", number(frame))),
        "say" => Some(format!("^ack {}^", number(frame))),
        "hb" => Some("^at^".to_owned()),
        "bye" => Some("^bye left session=00000000000000aa^".to_owned()),
        _ => None,
    })
}

const WELCOME: &str =
    "^welcome 1 session=00000000000000aa name=guest heartbeat=100 last=0 max=64 at=lobby/00000001/0 at=@/00000001/0^";

fn answers(datagram: &str, answer: impl FnMut(&Frame<'_>) -> Option<String>) -> Vec<String> {
    let frames: Vec<Frame<'_>> = frames(datagram.as_bytes()).map(Result::unwrap).collect();
    frames.iter().filter_map(answer).collect()
}

fn number<'a>(frame: &Frame<'a>) -> &'a str {
    frame.words().next().unwrap()
}

/// What a hub was asked for, in order and once each, however often it was asked.
fn asked(got: &[String]) -> Vec<String> {
    let mut asked: Vec<String> = Vec::new();
    for frame in got.iter().flat_map(|datagram| frames(datagram.as_bytes())).map(Result::unwrap) {
        let text = String::from_utf8_lossy(frame.text);
        let said = match frame.verb {
            "say" => format!("say {} {text}", number(&frame)),
            "as" | "hb" => continue,
            verb => verb.to_owned(),
        };
        if !asked.contains(&said) {
            asked.push(said);
        }
    }
    asked
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
    command
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .args(["--server", &addr.to_string(), "--timeout", "600ms"])
        .args(words);
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
fn say_waits_until_the_hub_has_acknowledged_the_text_and_leaves() {
    let server = Server::start(hub);
    assert_eq!(run(server.addr, &["say", "hello", "all"]), ended("", "", 0));
    assert_eq!(asked(&server.got()), ["hello", "say 1 hello all", "bye"]);
}

#[test]
fn say_says_a_text_as_it_is_whatever_it_looks_like() {
    for text in ["/etc/motd", "quit", "^hb^", "^say 2 lobby^hi", "two\nlines\n", " indented", "tab\t\x1b[2J"] {
        let server = Server::start(hub);
        assert_eq!(run(server.addr, &["say", text]), ended("", "", 0));
        assert_eq!(asked(&server.got()), ["hello".to_owned(), format!("say 1 {text}"), "bye".to_owned()]);
    }
}

#[test]
fn say_fails_when_the_hub_refuses_the_text() {
    let server = Server::start(hub);
    assert_eq!(run(server.addr, &["say", "bad"]), ended("", "belfry: such\n", 1));
    assert_eq!(asked(&server.got()), ["hello", "say 1 bad", "bye"]);
}

#[test]
fn say_says_nothing_that_no_hub_would_take() {
    let server = Server::start(hub);
    let long = "x".repeat(65);
    assert_eq!(run(server.addr, &["say", &long]), ended("", "belfry: a text has at most 64 bytes\n", 1));
    assert_eq!(
        run(server.addr, &["say", " \n"]),
        ended("", "belfry: there is nothing to say: give a text, or - for standard input\n", 64)
    );
    assert_eq!(asked(&server.got()), ["hello", "bye"]);
    let full = Server::start(|datagram| {
        answers(datagram, |frame| Some(format!("^bye full start={}^", frame.value("start").unwrap())))
    });
    assert_eq!(run(full.addr, &["say", "hello"]), ended("", "belfry: the hub is full; try again later\n", 1));
    assert_eq!(asked(&full.got()), ["hello"]);
}

#[test]
fn say_tells_whether_a_text_that_nobody_has_acknowledged_was_sent() {
    let server = Server::start(silent);
    let no_answer = format!("belfry: no answer from {}/udp within 600ms\n", server.addr);
    assert_eq!(run(server.addr, &["say", "hello"]), ended("", &no_answer, 2));
    assert_eq!(asked(&server.got()), ["hello"]);

    let server = Server::start(|datagram| if datagram.contains("^say ") { vec![] } else { hub(datagram) });
    let told =
        format!("belfry: it may or may not have been said\nbelfry: no answer from {}/udp within 600ms\n", server.addr);
    assert_eq!(run(server.addr, &["say", "hello"]), ended("", &told, 2));
    assert_eq!(asked(&server.got()), ["hello", "say 1 hello", "bye"]);

    let server = Server::start(|datagram| {
        answers(datagram, |frame| match frame.verb {
            "say" => Some("^bye unknown session=00000000000000aa^".to_owned()),
            _ => hub(&format!("^{}^", frame.verb)).pop(),
        })
    });
    let told = "belfry: the session is lost: it may or may not have been said\n";
    assert_eq!(run(server.addr, &["say", "hello"]), ended("", told, 1));
    assert_eq!(asked(&server.got()), ["hello", "say 1 hello"]);
}

#[test]
fn say_repeats_what_is_lost_until_it_is_acknowledged() {
    let mut count = 0;
    let server = Server::start(move |datagram| {
        count += 1;
        if count % 2 == 1 { vec![] } else { hub(datagram) }
    });
    assert_eq!(run(server.addr, &["say", "hello", "--timeout", "20s"]), ended("", "", 0));
    let got = server.got();
    assert_eq!(asked(&got), ["hello", "say 1 hello", "bye"]);
    assert!(got.len() >= 6, "{got:?}");
}

#[test]
fn say_goes_to_the_first_address_of_a_name_where_somebody_listens() {
    if !netns::enter() {
        return;
    }
    let both = std::net::ToSocketAddrs::to_socket_addrs("localhost:9999").unwrap().count();
    if both < 2 {
        println!("skipped: localhost has one address");
        return;
    }
    for addr in ["127.0.0.1:9999", "[::1]:9999"] {
        let server = Server::on(UdpSocket::bind(addr).unwrap(), hub);
        let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
        let output = command.args(["--server", "localhost", "say", "hello", "--timeout", "1h"]).output().unwrap();
        assert_eq!(outcome(output), ended("", "", 0), "{addr}");
        let end = UdpSocket::bind((server.addr.ip(), 0)).unwrap();
        end.send_to(END.as_bytes(), server.addr).unwrap();
        assert_eq!(asked(&server.thread.join().unwrap()), ["hello", "say 1 hello", "bye"]);
    }
}

#[test]
fn say_takes_each_line_of_standard_input_and_no_bad_line_keeps_the_others_back() {
    let server = Server::start(hub);
    let input = [b"one\n\nbad\nquit\n\xff\n", "x".repeat(65).as_bytes(), b"\n/two\r\n \nthree"].concat();
    let (stdout, stderr, status) = run_with_input(server.addr, &["say", "-"], &input);
    let said = ["hello", "say 1 one", "say 2 bad", "say 3 quit", "say 4 /two", "say 5 three", "bye"];
    assert_eq!(asked(&server.got()), said);
    assert_eq!((stdout.as_str(), status), ("", 1));
    let mut stderr: Vec<&str> = stderr.lines().collect();
    assert_eq!(stderr.pop(), Some("belfry: lines not said: 3"));
    stderr.sort_unstable();
    let complaints =
        ["belfry: line 3: such", "belfry: line 5: not UTF-8", "belfry: line 6: a text has at most 64 bytes"];
    assert_eq!(stderr, complaints);
}

#[test]
fn say_tells_from_which_line_on_nothing_is_acknowledged() {
    let server = Server::start(|datagram| {
        let mut answers = hub(datagram);
        answers.retain(|answer| !["^ack 3^", "^ack 4^"].contains(&answer.as_str()));
        answers
    });
    let told = format!(
        "belfry: from line 4 on nothing is acknowledged\nbelfry: no answer from {}/udp within 600ms\n",
        server.addr
    );
    assert_eq!(run_with_input(server.addr, &["say", "-"], b"one\n\ntwo\nthree\nfour\n"), ended("", &told, 2));
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

/// A hub where this is said as soon as one comes in, a datagram each.
fn lively(said: &'static [&'static str]) -> impl FnMut(&str) -> Vec<String> + Send {
    move |datagram| {
        let mut answers = hub(datagram);
        if datagram.contains("^hello ") {
            answers.extend(said.iter().map(|&frame| frame.to_owned()));
        }
        answers
    }
}

const HELLO: &str = "^msg lobby/00000001/1 mira time=0 len=5^hello";

#[test]
fn tail_joins_prints_what_is_said_and_leaves_when_it_is_interrupted() {
    let said: &[_] = &[
        HELLO,
        "^msg lobby/00000001/3 eve time=0 len=30^\x1b[2Jgone\nmira: forged\n\ttwice!!\n",
        HELLO,
        "^note lobby len=4^psst^msg lobby/00000001/2 mira kind=me time=0 len=5^waves",
        "^msg @/00000001/1 mira time=0 len=4^psst",
    ];
    for signal in [nix::sys::signal::SIGINT, nix::sys::signal::SIGTERM] {
        let server = Server::start(lively(said));
        let mut tail = Tail::start(server.addr);
        let lines = [(); 6].map(|()| tail.line());
        let expected = [
            "mira: hello\n",
            "* mira waves\n",
            "eve: \\u{1b}[2Jgone\n",
            "\tmira: forged\n",
            "\t\ttwice!!\n",
            "mira -> you: psst\n",
        ];
        assert_eq!(lines, expected);
        tail.signal(signal);
        assert_eq!(tail.end(), (String::new(), 0));
        assert_eq!(asked(&server.got()), ["hello", "bye"]);
    }
}

#[test]
fn tail_says_what_is_lost_and_that_a_room_begins_anew() {
    let server = Server::start(lively(&[
        HELLO,
        "^msg lobby/00000001/6 mira time=0 len=3^one",
        "^gone lobby/00000001/2-4^^gone lobby/00000001/5 unused^",
        "^at @/00000001/1^^gone @/00000001/1^",
        "^msg lobby/00000002/1 mira time=0 len=3^two",
    ]));
    let mut tail = Tail::start(server.addr);
    assert_eq!([(); 3].map(|()| tail.line()), ["mira: hello\n", "mira: one\n", "mira: two\n"]);
    let complaints = [
        "belfry: 3 messages lost in lobby\n",
        "belfry: 1 message lost in our mailbox\n",
        "belfry: the numbers of lobby start anew; messages may be lost\n",
    ];
    assert_eq!([(); 3].map(|()| tail.complaint()), complaints);
    tail.signal(nix::sys::signal::SIGTERM);
    assert_eq!(tail.end(), (String::new(), 0));
}

#[test]
fn tail_ends_when_it_is_removed_and_prints_what_came_before() {
    let server = Server::start(lively(&[HELLO, "^bye kicked session=00000000000000aa^"]));
    let mut tail = Tail::start(server.addr);
    assert_eq!(tail.line(), "mira: hello\n");
    assert_eq!(tail.end(), ("belfry: the operator of the hub has removed us\n".to_owned(), 1));
    assert_eq!(asked(&server.got()), ["hello"]);
}

#[test]
fn tail_ends_quietly_when_nobody_reads_it_any_more() {
    let server = Server::start(lively(&[HELLO]));
    let mut tail = Tail::start(server.addr);
    assert_eq!(tail.line(), "mira: hello\n");
    tail.stdout = None;
    assert_eq!(tail.end(), (String::new(), 0));
    assert_eq!(asked(&server.got()), ["hello", "bye"]);
}

#[test]
fn tail_hears_a_signal_while_its_reader_has_stopped_and_is_no_less_there() {
    let mut heartbeats = 0;
    let (seen, held_up) = std::sync::mpsc::channel();
    let server = Server::start(move |datagram| {
        let mut answers = hub(datagram);
        if datagram.contains("^hello ") {
            let text = "\x1b".repeat(1_000);
            answers.extend((1..=40).map(|number| format!("^msg lobby/00000001/{number} mira time=0 len=1000^{text}")));
        }
        heartbeats += u32::from(datagram.contains("^hb lobby/00000001/40 "));
        if heartbeats == 3 {
            seen.send(()).unwrap();
        }
        answers
    });
    let mut tail = Tail::start(server.addr);
    assert_eq!(tail.line().len(), 6_007);
    // The pipe has been full for a while by then.
    held_up.recv_timeout(Duration::from_secs(10)).unwrap();
    tail.signal(nix::sys::signal::SIGTERM);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while tail.child.try_wait().unwrap().is_none() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = tail.child.try_wait().unwrap();
    let _ = tail.child.kill();
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    assert_eq!(asked(&server.got()).last().map(String::as_str), Some("bye"));
}

#[test]
fn tail_says_once_that_the_hub_is_silent() {
    let server = Server::start(silent);
    let mut tail = Tail::start(server.addr);
    let said = tail.complaint();
    assert_eq!(said, format!("belfry: no answer from {}/udp within 600ms; still trying\n", server.addr));
    tail.signal(nix::sys::signal::SIGTERM);
    assert_eq!(tail.end(), (String::new(), 0));
    assert_eq!(asked(&server.got()), ["hello"]);
}

#[test]
fn tail_says_once_that_nobody_listens_and_comes_in_when_there_is_a_hub() {
    let addr = closed_port(1);
    let mut tail = Tail::start(addr);
    assert_eq!(tail.complaint(), format!("belfry: nobody listens on {addr}/udp; still trying\n"));
    let server = Server::on(UdpSocket::bind(addr).unwrap(), lively(&[HELLO]));
    assert_eq!(tail.line(), "mira: hello\n");
    assert_eq!(tail.complaint(), format!("belfry: {addr}/udp answers\n"));
    tail.signal(nix::sys::signal::SIGTERM);
    assert_eq!(tail.end(), (String::new(), 0));
    assert_eq!(asked(&server.got()), ["hello", "bye"]);
}

#[test]
fn tail_goes_on_where_it_was_when_the_hub_comes_back() {
    let first = Server::start(lively(&[HELLO]));
    let addr = first.addr;
    let mut tail = Tail::start(addr);
    assert_eq!(tail.line(), "mira: hello\n");
    assert_eq!(asked(&first.got()), ["hello"]);
    assert_eq!(tail.complaint(), format!("belfry: nobody listens on {addr}/udp; still trying\n"));
    let said: &[_] = &[HELLO, "^msg lobby/00000001/2 mira time=0 len=5^again"];
    let second = Server::on(UdpSocket::bind(addr).unwrap(), lively(said));
    assert_eq!(tail.line(), "mira: again\n");
    tail.signal(nix::sys::signal::SIGTERM);
    assert_eq!(tail.end(), (format!("belfry: {addr}/udp answers\n"), 0));
    let got = second.got();
    assert!(
        got[0].starts_with("^as 00000000000000aa^^hello 1 ") && got[0].contains(" at=lobby/00000001/1^"),
        "{got:?}"
    );
}

#[test]
fn whoever_waits_for_silence_is_told_when_there_is_no_hub() {
    let server = Server::start(silent);
    let (stdout, stderr, status) = run(server.addr, &["tail", "--until-idle", "100ms"]);
    assert_eq!((stdout.as_str(), status), ("", 2), "{stderr}");
    assert!(stderr.contains("no answer from"), "{stderr}");
    server.got();
    let (_, stderr, status) = run(closed_port(9), &["tail", "--until-idle", "100ms"]);
    assert_eq!((stderr.contains("nobody listens"), status), (true, 1), "{stderr}");
}

#[test]
fn bad_usage_ends_with_64_and_help_with_0() {
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_belfry")).args(words).output().unwrap();
        (!output.stdout.is_empty(), !output.stderr.is_empty(), output.status.code().unwrap())
    };
    for words in [&[][..], &["tell"], &["time", "--server", ":80"], &["msg"]] {
        assert_eq!(run(words), (false, true, 64), "{words:?}");
    }
    for words in [&["--help"][..], &["--version"], &["say", "--help"]] {
        assert_eq!(run(words), (true, false, 0), "{words:?}");
    }
}
