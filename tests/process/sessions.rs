//! Sessions as others speak them, who have only docs/PROTOCOL.md: a client in Python and the page's own in C, on a network
//! that loses three datagrams in ten each way.

use crate::belfryd::{Belfryd, new_folder};
use crate::netns::{self, Host, cable, lose, lost};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const PAGE: &str = include_str!("../../docs/PROTOCOL.md");

/// How long a program may take in all that tries things again and again. Most take a tenth of that.
const PATIENCE: Duration = Duration::from_secs(120);

/// A room that has forgotten nothing of what is said here, however long somebody hears nothing of it.
const CONFIG: &str = "[chat]\nhistory = 1024\n";

/// The test's own network with a host beside it (10.77.1.1 and 10.77.1.2); each loses three in ten of what the other sends.
fn lossy_network() -> Option<Host> {
    if !netns::enter() || !is_installed("python3") {
        return None;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    (lose(30) && host.run(|| lose(30))).then_some(host)
}

fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocol").join(name)
}

/// A program on the other host, and the lines that it prints.
struct Program {
    child: Child,
    lines: Receiver<String>,
    deadline: Instant,
}

impl Program {
    fn start(host: &Host, command: &mut Command) -> Self {
        let mut child = host.run(|| command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let (send, lines) = channel();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || printed.map_while(Result::ok).all(|line| send.send(line).is_ok()));
        Self { child, lines, deadline: Instant::now() + PATIENCE }
    }

    /// The next line; `None` when it has ended.
    fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it is not done after {PATIENCE:?}"),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody with the Python client.
struct Talker {
    name: &'static str,
    program: Program,
    events: Vec<Value>,
}

impl Talker {
    /// Comes in; it will leave when it has heard so many messages, and all that it says is acknowledged.
    fn start(host: &Host, name: &'static str, expected: usize) -> Self {
        let mut python = Command::new("python3");
        python.arg(script("session.py")).args(["10.77.1.1", "9999", "--json", "--name", name]);
        let program = Program::start(host, python.args(["--expect", &expected.to_string()]));
        let mut talker = Self { name, program, events: Vec::new() };
        talker.listen_until(|talker| talker.count("welcome") > 0);
        talker
    }

    fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| event["event"] == kind).count()
    }

    fn listen_until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            let Some(line) = self.program.line() else { return };
            self.events.push(serde_json::from_str(&line).unwrap());
        }
    }

    /// Hands over what it has to say, and that this is all.
    fn says(&mut self, texts: &[String]) {
        let mut stdin = self.program.child.stdin.take().unwrap();
        for text in texts {
            writeln!(stdin, "{}", Value::from(text.as_str())).unwrap();
        }
    }

    /// Everything that it was told in the room, with its number and its sender.
    fn conversation(&self) -> Vec<(u64, String, String)> {
        let messages = self.events.iter().filter(|event| event["event"] == "msg");
        let of = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
        messages.map(|event| (event["number"].as_u64().unwrap(), of(event, "name"), of(event, "text"))).collect()
    }
}

/// Texts with everything in them that a line could not carry.
fn texts(name: &str, count: usize) -> Vec<String> {
    let text = |n| {
        let newlines = "\n".repeat(n % 3);
        format!("{n} ^hb^ ^as {name}^\r\n\t? \0\x1b[31m\u{9b} Glöckchen 🕰 {}{newlines}", "^ ".repeat(n))
    };
    (0..count).map(text).collect()
}

/// Everybody has heard the same, each message once, and everybody's own are what they said, in their order.
fn assert_one_conversation(talkers: &[Talker], each: usize) {
    let conversation = talkers[0].conversation();
    let numbers: Vec<_> = conversation.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=(talkers.len() * each) as u64).collect::<Vec<_>>());
    for talker in talkers {
        let name = talker.name;
        for trouble in ["lost", "unknown", "error", "epoch"] {
            assert_eq!(talker.count(trouble), 0, "{name}: {trouble}");
        }
        assert_eq!(talker.count("done"), each, "{name}");
        assert_eq!(talker.conversation(), conversation, "{name}");
        let own: Vec<_> =
            conversation.iter().filter(|(_, from, _)| from == name).map(|(.., text)| text.clone()).collect();
        assert_eq!(own, texts(name, each), "{name}");
    }
}

#[test]
fn a_client_made_from_the_page_loses_nothing_where_three_datagrams_in_ten_are_lost() {
    const EACH: usize = 100;
    let Some(host) = lossy_network() else { return };
    let _belfryd = Belfryd::start(CONFIG);
    let mut talkers = ["anna", "bob", "carl"].map(|name| Talker::start(&host, name, 3 * EACH));
    talkers.iter_mut().for_each(|talker| talker.says(&texts(talker.name, EACH)));
    talkers.iter_mut().for_each(|talker| talker.listen_until(|_| false));
    assert_one_conversation(&talkers, EACH);
    let (here, there) = (lost(), host.run(lost));
    assert!(here > 20 && there > 20, "{here} and {there} datagrams were lost");
}

#[test]
fn a_restart_in_the_middle_loses_and_doubles_nothing_for_a_client_made_from_the_page() {
    const EACH: usize = 40;
    let Some(host) = lossy_network() else { return };
    let state = new_folder();
    let start = || {
        Belfryd::start_with(CONFIG, |command| {
            command.arg("--state-directory").arg(&state);
        })
    };
    let mut belfryd = start();
    let mut talkers = ["anna", "bob", "carl"].map(|name| Talker::start(&host, name, 3 * EACH));
    talkers.iter_mut().for_each(|talker| talker.says(&texts(talker.name, EACH)));
    talkers[0].listen_until(|anna| anna.count("msg") >= EACH);
    belfryd.stop();
    let _belfryd = start();
    talkers.iter_mut().for_each(|talker| talker.listen_until(|_| false));
    assert_one_conversation(&talkers, EACH);
}

#[test]
fn the_client_on_the_page_in_c_hears_everything_in_order_where_three_datagrams_in_ten_are_lost() {
    let Some(host) = lossy_network().filter(|_| is_installed("cc")) else { return };
    let _belfryd = Belfryd::start(CONFIG);
    let folder = new_folder();
    let section = PAGE.split("\n## From a microcontroller\n").nth(1).unwrap();
    let program = section.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(folder.join("board.c"), program).unwrap();
    let command = section.split('`').find(|code| code.starts_with("cc ")).expect("the page says how to compile it");
    let warnings = command.replacen("cc", "cc -Wall -Wextra -Werror", 1);
    assert!(Command::new("sh").args(["-c", &warnings]).current_dir(&folder).status().unwrap().success());
    let mut board = Command::new(folder.join("board"));
    let mut board = Program::start(&host, board.args(["10.77.1.1", "9999", "lobby", "the kiln is at 900 degrees"]));
    assert_eq!(board.line().unwrap(), "board: the kiln is at 900 degrees");
    let mut anna = Talker::start(&host, "anna", 0);
    let texts: Vec<_> = (0..60).map(|n| format!("text {n}")).collect();
    anna.says(&texts);
    for text in texts {
        assert_eq!(board.line().unwrap(), format!("anna: {text}"));
    }
    anna.listen_until(|_| false);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_python_client_reads_and_writes_what_the_vectors_say() {
    if !is_installed("python3") {
        return;
    }
    let output = Command::new("python3").arg("-B").arg(script("vectors.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
