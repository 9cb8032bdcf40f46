//! `belfry say` and `belfry tail` with the real daemon: what is said arrives once, through loss and through kills.

use crate::belfryd::{Belfryd, eventually, new_folder, uninterrupted};
use crate::netns::{self, Host, cable, lose};
use crate::state::{CHAT, directory, hand_over, kill};
use nix::sys::signal::{Signal, kill as send_signal};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// `belfry` in a process of its own, with what it prints.
pub(crate) struct Belfry {
    child: Child,
    folder: PathBuf,
}

impl Belfry {
    pub(crate) fn start(hub: &str, words: &[&str]) -> Self {
        let folder = new_folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
        // No contacts of whoever runs this.
        command.env("XDG_CONFIG_HOME", &folder).args(["--server", hub, "--timeout", "20s"]);
        command.args(words).stdin(Stdio::piped());
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| File::create(folder.join(name)).unwrap());
        let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        Self { child, folder }
    }

    /// `belfry tail`, once it prints what is said.
    pub(crate) fn tail(hub: &str) -> Self {
        Self::tail_with(hub, &["tail"])
    }

    fn tail_with(hub: &str, words: &[&str]) -> Self {
        let tail = Self::start(hub, words);
        let is_heard = || {
            assert_eq!(Self::start(hub, &["say", "is it there?"]).end(), (String::new(), 0));
            !tail.printed().is_empty()
        };
        assert!(eventually(is_heard), "{}", tail.told());
        tail
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    pub(crate) fn told(&self) -> String {
        self.read("stderr")
    }

    /// What was said, by the lines of standard output.
    fn printed(&self) -> Vec<String> {
        let stdout = self.read("stdout");
        let text = |line: &str| match line.strip_prefix('{') {
            Some(_) => serde_json::from_str::<Value>(line).ok()?["text"].as_str().map(str::to_owned),
            None => Some(line.split_once(": ")?.1.to_owned()),
        };
        stdout.lines().filter_map(text).collect()
    }

    /// The same, without what was only said to see whether it is there.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.printed().into_iter().filter(|text| text.starts_with("line ")).collect()
    }

    fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    fn interrupt(&self) {
        send_signal(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
    }

    /// Standard error and the exit status. It ends by itself when it waits in vain.
    pub(crate) fn end(self) -> (String, i32) {
        let (_, told, status) = self.outcome();
        (told, status)
    }

    /// The same, with standard output before it.
    fn outcome(mut self) -> (String, String, i32) {
        let status = uninterrupted(|| self.child.wait()).unwrap();
        (self.read("stdout"), self.told(), status.code().unwrap())
    }
}

impl Drop for Belfry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn lines(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

fn write(to: &mut ChildStdin, lines: &[String]) {
    to.write_all(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
}

/// Pipes so many lines through a hub that is configured like this.
fn pipe(config: &str, words: &[&str], count: u32) {
    let _belfryd = Belfryd::start(config);
    let (hub, all) = ("127.0.0.1", lines(0..count));
    let tail = Belfry::tail_with(hub, words);
    let mut say = Belfry::start(hub, &["say", "-"]);
    write(&mut say.stdin(), &all);
    assert_eq!(say.end(), (String::new(), 0));
    assert!(eventually(|| tail.heard() == all), "{} of them; {}", tail.heard().len(), tail.told());
    tail.interrupt();
    assert_eq!(tail.end(), (String::new(), 0));
}

#[test]
fn ten_thousand_lines_go_through_in_order() {
    if netns::enter() {
        pipe("[chat]\nrate-limit = \"off\"\n", &["tail", "--json"], 10_000);
    }
}

#[test]
fn what_a_hub_does_not_take_at_once_by_default_goes_through_as_it_takes_it() {
    if netns::enter() {
        pipe("", &["tail"], 400);
    }
}

#[test]
fn a_network_that_loses_two_datagrams_in_ten_costs_no_line_and_no_order() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("say", 1, &host);
    let _belfryd = Belfryd::start("");
    if !lose(20) || !host.run(|| lose(20)) {
        return;
    }
    let (hub, all) = ("10.77.1.1", lines(0..500));
    let tail = host.run(|| Belfry::tail(hub));
    let mut say = host.run(|| Belfry::start(hub, &["say", "-"]));
    write(&mut say.stdin(), &all);
    assert_eq!(say.end(), (String::new(), 0));
    // What is lost again and again is asked for ever more seldom.
    let at_last = |is_true: &dyn Fn() -> bool| (0..6).any(|_| eventually(is_true));
    assert!(at_last(&|| tail.heard() == all), "{} of them; {}", tail.heard().len(), tail.told());
    tail.interrupt();
    assert_eq!(tail.end(), (String::new(), 0));
}

#[test]
fn a_hub_that_is_killed_and_remembers_costs_no_line_and_says_none_twice() {
    if !netns::enter() {
        return;
    }
    let (_, option) = directory();
    let mut belfryd = Belfryd::start_with(CHAT, &option);
    let memory = belfryd.stored().pop().expect("it is handed over before it is ready");
    let (hub, all) = ("127.0.0.1", lines(0..400));
    let tail = Belfry::tail(hub);
    let mut say = Belfry::start(hub, &["say", "-"]);
    let mut stdin = say.stdin();
    // Who was there for a second is there after a kill.
    std::thread::sleep(Duration::from_secs(1));
    for (round, lines) in all.chunks(100).enumerate() {
        write(&mut stdin, lines);
        // In the midst of it, and the last time at the end of it.
        assert!(eventually(|| tail.heard().len() > round * 100 + 30 * round), "{} {}", say.told(), tail.told());
        kill(&mut belfryd);
        belfryd = Belfryd::start_with(CHAT, |command| {
            option(command);
            hand_over(&memory)(command);
        });
    }
    drop(stdin);
    assert_eq!(say.end(), (String::new(), 0));
    assert!(eventually(|| tail.heard() == all), "{:?}; {}", tail.heard(), tail.told());
    tail.interrupt();
    let (told, status) = tail.end();
    assert!(told.lines().all(|line| line.contains("127.0.0.1:9999/udp")), "{told}");
    assert_eq!(status, 0);
}

#[test]
fn a_hub_that_is_killed_and_forgets_says_no_line_twice_and_each_that_is_missing_is_reported() {
    if !netns::enter() {
        return;
    }
    let mut belfryd = Belfryd::start(CHAT);
    let (hub, all) = ("127.0.0.1", lines(1..301));
    let tail = Belfry::tail(hub);
    let mut say = Belfry::start(hub, &["say", "-"]);
    let mut stdin = say.stdin();
    write(&mut stdin, &all[..100]);
    assert!(eventually(|| tail.heard().len() == 100), "{} {}", say.told(), tail.told());
    // Nobody answers for a while: what is said now is sent, and never acknowledged.
    belfryd.signal(Signal::SIGSTOP);
    write(&mut stdin, &all[100..200]);
    let sent_before = netns::udp_count("OutDatagrams");
    assert!(eventually(|| netns::udp_count("OutDatagrams") >= sent_before + 2));
    kill(&mut belfryd);
    let _belfryd = Belfryd::start(CHAT);
    write(&mut stdin, &all[200..]);
    drop(stdin);
    let (told, status) = say.end();
    let reported: Vec<&str> = told.lines().filter(|told| told.ends_with("may or may not have been said")).collect();
    assert_eq!((status, reported.is_empty()), (1, false), "{told}");
    assert!(eventually(|| tail.heard().len() + reported.len() >= all.len()), "{told} {}", tail.told());
    tail.interrupt();
    let heard = tail.heard();
    let missing: Vec<_> = all.iter().filter(|line| !heard.contains(line)).collect();
    let is_reported = |line: &String| reported.iter().any(|told| told.starts_with(&format!("belfry: {line}: ")));
    assert!(missing.iter().all(|line| is_reported(line)), "{missing:?} {told}");
    assert!(heard.is_sorted_by_key(|line| all.iter().position(|said| said == line)), "{heard:?}");
    assert_eq!(heard.iter().collect::<std::collections::BTreeSet<_>>().len(), heard.len(), "{heard:?}");
    let (told, status) = tail.end();
    assert!(told.contains("the numbers of lobby start anew; messages may be lost\n"), "{told}");
    assert_eq!(status, 0);
}

#[test]
fn tail_goes_on_from_another_address_when_it_has_lost_its_own() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("say", 1, &host);
    let _belfryd = Belfryd::start("");
    let hub = "10.77.1.1";
    let tail = host.run(|| Belfry::tail(hub));
    host.run(|| netns::ip("addr del 10.77.1.2/24 dev say1"));
    let mut say = Belfry::start(hub, &["say", "-"]);
    write(&mut say.stdin(), &lines(0..100));
    assert_eq!(say.end(), (String::new(), 0));
    host.run(|| netns::ip("addr add 10.77.1.3/24 dev say1"));
    assert!(eventually(|| tail.heard() == lines(0..100)), "{:?} {}", tail.heard(), tail.told());
    tail.interrupt();
    let (told, status) = tail.end();
    assert!(told.ends_with("still trying\nbelfry: 10.77.1.1:9999/udp answers\n"), "{told}");
    assert_eq!(status, 0);
}

/// What `belfry` prints, what it complains of, and its exit status.
fn run(words: &[&str], input: &str) -> (String, String, i32) {
    let mut belfry = Belfry::start("127.0.0.1", words);
    belfry.stdin().write_all(input.as_bytes()).unwrap();
    belfry.outcome()
}

fn undated(printed: &str) -> Vec<&str> {
    printed.lines().map(|line| &line["2026-11-21 14:03:05 ".len()..]).collect()
}

#[test]
fn what_was_said_earlier_is_printed_from_so_many_messages_ago_or_from_so_long_ago() {
    if !netns::enter() {
        return;
    }
    let _belfryd = Belfryd::start(CHAT);
    for (room, text) in [("lab", "one"), ("lab", "two"), ("yard", "three")] {
        assert_eq!(run(&["say", "--name", "anna", "--room", room, text], "").2, 0);
    }
    let printed = |words: &[&str]| run(words, "").0;
    assert_eq!(undated(&printed(&["history", "--room", "lab"])), ["anna: one", "anna: two"]);
    assert_eq!(undated(&printed(&["history", "1", "--room", "LAB"])), ["anna: two"], "in any letter case");
    assert_eq!(undated(&printed(&["history", "1h", "--room", "lab"])), ["anna: one", "anna: two"]);
    assert_eq!(printed(&["history", "0", "--room", "lab"]), "");
    let both = printed(&["history", "--room", "lab", "--room", "yard"]);
    assert_eq!(undated(&both), ["[lab] anna: one", "[lab] anna: two", "[yard] anna: three"]);
    let tail = ["tail", "--since", "1", "--room", "lab", "--until-idle", "500ms"];
    assert_eq!(printed(&tail), "anna: two\n");
    let object = printed(&["history", "1", "--json", "--room", "yard"]);
    assert_eq!(serde_json::from_str::<Value>(&object).unwrap()["room"], "yard");
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    if !netns::enter() {
        return;
    }
    let _belfryd = Belfryd::start(CHAT);
    let text = vec!["a line that is longer than others"; 2_000].join("\n");
    assert_eq!(run(&["say", "-"], &text), (String::new(), String::new(), 0));
    for words in [&["history", "1000"][..], &["history", "--json"], &["who"], &["rooms"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
        command.args(["--server", "127.0.0.1"]).args(words).stdout(writer);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert_eq!(
            (String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()),
            ("", Some(0)),
            "{words:?}"
        );
    }
}

#[test]
fn a_word_to_one_member_is_acknowledged_or_refused_and_a_room_that_cannot_be_had_is_said() {
    if !netns::enter() {
        return;
    }
    let _belfryd = Belfryd::start(CHAT);
    let tail = Belfry::start("127.0.0.1", &["tail", "--name", "bob", "--until-idle", "3s"]);
    assert!(eventually(|| run(&["msg", "bob", "--name", "anna", "is it there?"], "").2 == 0));
    assert_eq!(run(&["msg", "bob", "--name", "anna", "-"], "one\ntwo\n"), (String::new(), String::new(), 0));
    let (stdout, _, status) = tail.outcome();
    assert!(stdout.ends_with("anna -> you: one\nanna -> you: two\n"), "{stdout}");
    assert_eq!(status, 0);
    let (_, stderr, status) = run(&["msg", "nobody", "hi"], "");
    assert_eq!((stderr.contains("nobody has that name"), status), (true, 1), "{stderr}");
    for (words, word) in [(["say", "--room=-._", "hi"], "no room"), (["say", "--room=a b", "hi"], "a name has")] {
        let (_, stderr, status) = run(&words, "");
        assert!(stderr.contains(word) && status != 0, "{stderr}");
    }
}
