//! Clients that know nothing of Belfry, against the built-in defaults: three netcats, and the programs of tutorials.
//!
//! Each test has a network of its own, so the daemon has its real ports.

use crate::belfryd::{Belfryd, eventually};
use crate::netns;
use crate::person::{Person, is_installed, shell};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Command, Stdio};

/// The defaults; an empty file, since the host may have a belfry.toml.
const DEFAULTS: &str = "";

/// How each netcat asks a question in a pipe. ncat ends as soon as its input does, so its input is kept open.
const ASK: [(&str, &str); 3] = [
    ("nc.openbsd", "echo 'FORMAT' | nc.openbsd -u -w1 127.0.0.1 8080"),
    ("ncat", "(echo 'FORMAT'; sleep 0.3) | ncat -u 127.0.0.1 8080"),
    ("socat", "echo 'FORMAT' | socat -t1 - UDP:127.0.0.1:8080"),
];

/// How each netcat is used by a person.
const TALK: [(&str, &str); 3] = [
    ("nc.openbsd", "nc.openbsd -u 127.0.0.1 9999"),
    ("ncat", "ncat -u 127.0.0.1 9999"),
    ("socat", "socat - UDP:127.0.0.1:9999"),
];

#[test]
fn the_time_is_asked_with_any_netcat() {
    if !netns::enter() {
        return;
    }
    let _belfryd = Belfryd::start(DEFAULTS);
    for (netcat, line) in ASK.into_iter().filter(|(netcat, _)| is_installed(netcat)) {
        let ask = |format: &str| shell(&line.replace("FORMAT", format));
        let today = shell("LC_ALL=C date '+%A %d %B %Y'");
        let told = ask("%A %d %B %Y %T %Z");
        assert!(told.starts_with(today.trim_end()), "{netcat}: {told:?}, {today:?}");
        let kolkata = ask("TZ=Asia/Kolkata %H:%M %z");
        assert!(kolkata.ends_with(" +0530\n"), "{netcat}: {kolkata:?}");
        let default = ask("");
        assert_eq!(default.len(), "2026-11-21 09:26:09\n".len(), "{netcat}: {default:?}");
        assert!(ask("what time is it").starts_with("? "), "{netcat}");
    }
}

#[test]
fn an_empty_datagram_is_a_question_too() {
    if !netns::enter() || !is_installed("socat") {
        return;
    }
    let _belfryd = Belfryd::start(DEFAULTS);
    let told = shell("printf '' | socat -t1 - UDP:127.0.0.1:8080,shut-null");
    assert_eq!(told.len(), "2026-11-21 09:26:09".len(), "{told:?}");
}

#[test]
fn two_people_talk_whatever_netcat_each_of_them_has() {
    if !netns::enter() {
        return;
    }
    let _belfryd = Belfryd::start(DEFAULTS);
    let there: Vec<_> = TALK.into_iter().filter(|(netcat, _)| is_installed(netcat)).collect();
    for (round, (_, anna_has)) in there.iter().enumerate() {
        for (_, bob_has) in &there {
            let (mut anna, mut bob) = (Person::at(anna_has), Person::at(bob_has));
            anna.types("/nick anna");
            anna.reads("You are anna now.");
            bob.types("/nick bob");
            bob.reads("You are bob now.");
            anna.reads("is now bob");
            anna.types("hello bob");
            bob.reads("anna: hello bob");
            anna.reads("anna: hello bob");
            bob.types("/msg anna psst");
            anna.reads("bob -> anna: psst");
            bob.types("quit");
            anna.reads("bob has left");
            anna.types(&format!("quit {round}"));
            anna.reads(&format!("quit {round}"));
            anna.types("quit");
            anna.reads("Say anything to return.");
        }
    }
}

fn python(script: &str, arguments: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"))).args(arguments.split(' '));
    command
}

#[test]
fn chat_programs_of_tutorials_talk_to_each_other_and_to_people() {
    if !netns::enter() || !is_installed("python3") || !is_installed("nc.openbsd") {
        return;
    }
    let _belfryd = Belfryd::start(DEFAULTS);
    let mut person = Person::at("nc.openbsd -u 127.0.0.1 9999");
    person.types("");
    person.reads("/history shows them.");
    let mut listener = python("listener.py", "127.0.0.1 9999 3").stdout(Stdio::piped()).spawn().unwrap();
    person.reads(": register");
    let chatter = python("chatter.py", "127.0.0.1 9999 hello 0.3").output().unwrap();
    person.reads("has left");
    person.types("goodbye");
    let mut heard = String::new();
    std::io::Read::read_to_string(&mut listener.stdout.take().unwrap(), &mut heard).unwrap();
    listener.wait().unwrap();
    let texts: Vec<_> = heard.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(texts, ["register", "hello", "goodbye"], "messages and nothing else, one a datagram");
    let chatter = String::from_utf8(chatter.stdout).unwrap();
    assert_eq!(chatter.lines().count(), 1, "its own text, and nothing unasked: {chatter:?}");
}

#[test]
fn time_programs_of_tutorials_get_one_datagram_back() {
    if !netns::enter() || !is_installed("python3") {
        return;
    }
    let _belfryd = Belfryd::start(DEFAULTS);
    let ask = |request: &str| {
        let mut command = python("clock.py", "127.0.0.1 8080");
        String::from_utf8(command.arg(request).output().unwrap().stdout).unwrap()
    };
    assert_eq!(ask("").trim_end().len(), "2026-11-21 09:26:09".len());
    assert_eq!(ask("TZ=UTC %Z").trim_end(), "UTC");
}

#[test]
fn at_a_terminal_it_says_what_listens_where_and_a_line_to_try() {
    if !netns::enter() || !is_installed("script") {
        return;
    }
    let mut child = Command::new("script")
        .args(["-qfec", env!("CARGO_BIN_EXE_belfryd"), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut screen = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    assert!(eventually(|| {
        let _ = screen.read_line(&mut seen);
        seen.contains(" discover")
    }));
    for line in ["time listens on 0.0.0.0:8080", "chat listens on 0.0.0.0:9999", "announce listens on 0.0.0.0:8001"] {
        assert!(seen.contains(line), "{seen}");
    }
    let line_to_try = seen.lines().find_map(|line| line.trim().strip_prefix("the time:")).expect("a line to try");
    if is_installed("nc.openbsd") {
        assert!(!shell(&line_to_try.replace("nc -u", "nc.openbsd -u")).is_empty(), "{line_to_try}");
    }
    let discover = seen.lines().find_map(|line| line.trim().strip_prefix("who is on:")).expect("a line to try");
    assert!(shell(discover).contains("time 8080, chat 9999"), "{discover}");
    // Ctrl-C ends it.
    child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    assert!(eventually(|| child.try_wait().unwrap().is_some()));
    assert!(UdpSocket::bind("0.0.0.0:8080").is_ok(), "it has ended");
}

#[test]
fn a_terminal_that_is_closed_takes_its_daemon_along() {
    if !netns::enter() || !is_installed("script") {
        return;
    }
    let mut terminal = Command::new("script")
        .args(["-qfec", env!("CARGO_BIN_EXE_belfryd"), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(eventually(|| UdpSocket::bind("0.0.0.0:8080").is_err()), "it has started");
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    assert!(eventually(|| UdpSocket::bind("0.0.0.0:8080").is_ok()), "it has ended");
}
