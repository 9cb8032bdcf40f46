//! `belfry chat` as people see it: in terminals, with the real daemon, over networks that lose a lot.

use crate::belfryd::{Belfryd, new_folder};
use crate::netns::{self, Host, cable, lose, lost};
use crate::person::is_installed;
use crate::terminal::Terminal;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is shown of a network without loss, where nobody has said anything for long.
const STATE: &str = " anna · connected · 127.0.0.1:9999 · round trip TIME · repaired 0 · lost 0\n";

fn chat(hub: &str, name: &str) -> String {
    format!("TZ=UTC {} --server {hub} chat --name {name}", env!("CARGO_BIN_EXE_belfry"))
}

/// Somebody in a room, at a terminal of this size.
fn person(name: &str, hub: &str, width: u16, height: u16) -> Terminal {
    let terminal = Terminal::start(&new_folder(), width, height, &chat(hub, name));
    terminal.shows(&format!(" {name} · connected · "));
    terminal
}

fn can_run() -> bool {
    netns::enter() && is_installed("tmux")
}

/// A screen without what differs from one run to the next: times, and how long the hub has taken.
fn masked(screen: &str) -> String {
    let mut masked = String::new();
    for row in screen.lines() {
        let row = if is_time(row) { format!("HH:MM{}", &row[5..]) } else { row.to_owned() };
        let row = match row.split_once("round trip ") {
            Some((before, after)) => {
                let rest = after.split_once(" · ").map_or(String::new(), |(_, rest)| format!(" · {rest}"));
                format!("{before}round trip TIME{rest}")
            }
            None => row,
        };
        let is_day = row.starts_with("── ") && !row.starts_with("── new");
        masked.push_str(if is_day { "── DAY" } else { &row });
        masked.push('\n');
    }
    masked
}

fn is_time(row: &str) -> bool {
    let bytes = row.as_bytes();
    bytes.len() > 5 && bytes[2] == b':' && [0, 1, 3, 4].iter().all(|&at| bytes[at].is_ascii_digit())
}

/// What has been said, as the screen has it.
fn talk(screen: &str) -> Vec<String> {
    let said = screen.lines().filter(|row| is_time(row)).map(|row| row[6..].trim_end_matches([' ', '│']).to_owned());
    said.filter(|said| !said.starts_with("-- ")).collect()
}

#[test]
fn two_people_see_the_same_conversation_where_two_datagrams_in_ten_are_lost_and_the_hub_is_restarted() {
    const EACH: usize = 8;
    if !can_run() {
        return;
    }
    let (here, there) = (Host::new(), Host::new());
    cable("anna", 1, &here);
    cable("bob", 2, &there);
    let state = new_folder();
    let start = || {
        Belfryd::start_with("", |command| {
            command.arg("--state-directory").arg(&state);
        })
    };
    let mut belfryd = start();
    if !lose(20) || !here.run(|| lose(20)) || !there.run(|| lose(20)) {
        return;
    }
    let anna = here.run(|| person("anna", "10.77.1.1", 100, 40));
    let bob = there.run(|| person("bob", "10.77.2.1", 100, 40));
    for number in 0..EACH {
        anna.says(&format!("line {number} of anna"));
        bob.says(&format!("line {number} of bob"));
        if number == EACH / 2 {
            belfryd.stop();
            anna.says("while nobody is there");
            belfryd = start();
        }
    }
    let is_whole = |screen: &str| talk(screen).len() == 2 * EACH + 1 && !screen.contains('…');
    let screens = [&anna, &bob].map(|person| person.waits_for("whole conversation", is_whole));
    assert_eq!(talk(&screens[0]), talk(&screens[1]));
    for (name, count) in [("anna", EACH + 1), ("bob", EACH)] {
        let own: Vec<_> = talk(&screens[0]).into_iter().filter(|said| said.starts_with(name)).collect();
        assert_eq!(own.len(), count, "{}", screens[0]);
        let lines = own.iter().filter(|said| said.contains(" line "));
        assert!(lines.enumerate().all(|(at, said)| *said == format!("{name}: line {at} of {name}")), "{own:?}");
    }
    let lost = [lost(), here.run(lost), there.run(lost)];
    assert!(lost.iter().sum::<u64>() > 10, "{lost:?} datagrams were lost");
    drop(belfryd);
}

#[test]
fn a_screen_shows_what_is_said_who_is_there_and_follows_its_size() {
    if !can_run() {
        return;
    }
    let _belfryd = Belfryd::start("");
    let bob = person("bob", "127.0.0.1", 40, 10);
    let anna = person("anna", "127.0.0.1", 80, 12);
    anna.shows("2 members");
    bob.says("hello anna");
    anna.shows("bob: hello anna");
    anna.pastes("two\n\tlines");
    anna.presses(&["Enter"]);
    bob.says("/msg anna psst");
    anna.shows("2 @ 1!");
    let rows = "                                                            │\n";
    let first = "\
\x201 lobby  2 @ 1!
                                                            │ 2 members
                                                            │ anna
                                                            │ bob
";
    let last = "\
── DAY
HH:MM -- anna has joined                                    │
HH:MM bob: hello anna                                       │
HH:MM anna: two                                             │
            lines                                           │
";
    let expected = format!("{first}{rows}{last}{STATE}>\n");
    anna.waits_for("the screen", |screen| masked(screen) == expected);
    anna.resize(50, 8);
    let narrow = "\
\x201 lobby  2 @ 1!
── DAY
HH:MM -- anna has joined
HH:MM bob: hello anna
HH:MM anna: two
            lines
 anna · connected · 127.0.0.1:9999 · round trip TIME
>
";
    anna.waits_for("the narrow screen", |screen| masked(screen) == narrow);
    anna.presses(&["M-2"]);
    anna.shows("bob -> you: psst");
    bob.presses(&["C-c"]);
}

#[test]
fn a_terminal_is_as_it_was_after_each_way_to_leave_and_while_the_chat_is_suspended() {
    if !can_run() {
        return;
    }
    let belfryd = Belfryd::start("");
    let folder = new_folder();
    let terminal = Terminal::start(&folder, 200, 40, "env PS1='$ ' ENV= sh -i");
    let (before, after) = (folder.join("before"), folder.join("after"));
    let stty = |to: &Path| format!("stty -a > {}", to.display());
    terminal.says(&format!("{}; echo the shell is ''here", stty(&before)));
    terminal.shows("the shell is here");
    let enter = || {
        terminal.says(&chat("127.0.0.1", "anna"));
        terminal.shows(" anna · connected · ");
        assert_eq!(terminal.modes(), "1 1");
    };
    let is_as_before = |way: &str| {
        terminal.shows("the shell is here");
        terminal.says(&format!("{}; echo {way} ''was written", stty(&after)));
        terminal.shows(&format!("{way} was written"));
        let [before, after] = [&before, &after].map(|path| std::fs::read_to_string(path).unwrap());
        assert_eq!((terminal.modes().as_str(), before), ("0 1", after), "{way}");
    };
    enter();
    terminal.says("/quit");
    is_as_before("quit");
    enter();
    terminal.presses(&["C-c"]);
    is_as_before("interrupt");
    enter();
    terminal.presses(&["C-z"]);
    is_as_before("suspend");
    terminal.says("fg");
    terminal.shows(" anna · connected · ");
    terminal.says("back again");
    terminal.shows("anna: back again");
    terminal.presses(&["C-c"]);
    is_as_before("resume");
    let pid = folder.join("pid");
    let command = chat("127.0.0.1", "anna").replacen("TZ=UTC", "exec env TZ=UTC", 1);
    terminal.says(&format!("sh -c 'echo $$ > {}; {command}'", pid.display()));
    terminal.shows(" anna · connected · ");
    let pid = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    is_as_before("terminate");
    // Each has said goodbye.
    let who = belfryd.client("chat").ask("/who");
    assert!(!who.contains("anna"), "{who}");
}

#[test]
fn there_are_no_colours_where_nobody_wants_them() {
    if !can_run() {
        return;
    }
    let _belfryd = Belfryd::start("");
    let is_coloured = |screen: &str| {
        let codes =
            screen.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m')).flat_map(|(code, _)| code.split(';'));
        codes.filter_map(|code| code.parse::<u32>().ok()).any(|code| matches!(code, 30..=38 | 40..=48 | 90..=107))
    };
    for (variable, expected) in [("", true), ("NO_COLOR=1 ", false)] {
        let command = format!("{variable}{}", chat("127.0.0.1", "anna"));
        let anna = Terminal::start(&new_folder(), 80, 24, &command);
        anna.shows(" anna · connected · ");
        anna.says("/me waves");
        anna.shows("* anna waves");
        assert_eq!(is_coloured(&anna.coloured_screen()), expected, "{:?}", anna.coloured_screen());
        anna.presses(&["C-c"]);
    }
}

#[test]
fn line_by_line_it_says_what_it_reads_and_prints_what_is_said() {
    if !can_run() {
        return;
    }
    let _belfryd = Belfryd::start("");
    let run = |input: &str| {
        let (printed, status) = pipe(input.as_bytes());
        assert_eq!(status, Some(0), "{printed}");
        printed
    };
    let printed = masked(&run("one\n/me waves\n/frobnicate\nthe last"));
    assert_eq!(talk_lines(&printed), ["HH:MM carl: one", "HH:MM * carl waves", "HH:MM carl: the last"]);
    assert!(printed.contains("-- no such command"), "{printed}");
    // Whoever comes later sees it too.
    let printed = masked(&run("more\n"));
    assert_eq!(talk_lines(&printed).len(), 4, "{printed}");

    // At a terminal what is typed is not printed a second time.
    let command = format!("TERM=dumb {}", chat("127.0.0.1", "anna"));
    let anna = Terminal::start(&new_folder(), 80, 24, &command);
    anna.shows("carl: more");
    anna.says("hello from a simple terminal");
    run("an answer\n");
    let screen = anna.shows("carl: an answer");
    assert_eq!(screen.matches("hello from a simple terminal").count(), 1, "{screen}");
}

/// What it prints of this input, and its exit status.
fn pipe(input: &[u8]) -> (String, Option<i32>) {
    let mut child = piped().spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    (printed, child.wait().unwrap().code())
}

fn piped() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.args(["--server", "127.0.0.1", "chat", "--name", "carl"]).env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn a_pipe_says_everything_before_its_end_or_before_quit_and_fails_when_something_is_not_said() {
    if !can_run() {
        return;
    }
    assert_eq!(pipe(b"hi\n").1, Some(1), "nobody listens");
    assert_eq!(pipe(b"").1, Some(1), "not even to silence");
    let _belfryd = Belfryd::start("");
    let (printed, status) = pipe(b"hi\n/quit\nnot this\n");
    assert_eq!((talk_lines(&masked(&printed)), status), (vec!["HH:MM carl: hi"], Some(0)), "{printed}");
    // An input that is empty shows what was said.
    let (printed, status) = pipe(b"");
    assert_eq!((talk_lines(&masked(&printed)), status), (vec!["HH:MM carl: hi"], Some(0)), "{printed}");
    let long = vec![b'x'; 20_000];
    let (printed, status) = pipe(&[b"h\xff\n", &long[..], b"\n/msg nobody psst\nthe last\n"].concat());
    assert_eq!(status, Some(1), "{printed}");
    assert_eq!(talk_lines(&masked(&printed)).last(), Some(&"HH:MM carl: the last"), "{printed}");
    for told in ["-- line 1 not sent: not UTF-8\n", "-- line 2 not sent: too long\n", ": psst\n"] {
        assert!(printed.contains(told), "{printed}");
    }
}

#[test]
fn whoever_stops_reading_does_not_keep_a_signal_from_ending_it() {
    if !can_run() {
        return;
    }
    let _belfryd = Belfryd::start("");
    let lines: String = (0..20).map(|number| format!("{number} {}\n", "x".repeat(1_000))).collect();
    assert_eq!(pipe(lines.as_bytes()).1, Some(0));
    let mut child = piped().stdin(Stdio::null()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    fcntl(&out, FcntlArg::F_SETPIPE_SZ(4_096)).unwrap();
    out.read_exact(&mut [0; 100]).unwrap();
    // It is at its end, and most is not printed.
    sleep(Duration::from_secs(3));
    assert_eq!(child.try_wait().unwrap(), None);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("a signal did not end it");
        }
        sleep(Duration::from_millis(20));
    }
}

fn talk_lines(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.starts_with("HH:MM ")).collect()
}

#[test]
fn a_hub_that_is_not_there_is_told_and_waited_for() {
    if !can_run() {
        return;
    }
    let anna = Terminal::start(&new_folder(), 100, 24, &chat("127.0.0.1", "anna"));
    anna.shows("-- nobody listens on 127.0.0.1:9999/udp, still trying");
    let belfryd = Belfryd::start("");
    anna.shows(" anna · connected · ");
    drop(belfryd);
    anna.shows("-- no answer from 127.0.0.1:9999, still trying");
    anna.shows(" anna · no answer for ");
    let _belfryd = Belfryd::start("");
    anna.shows(" s, 0 messages fetched");
}

#[test]
fn what_is_said_last_is_said_although_its_speaker_leaves_at_once_and_what_is_not_is_told() {
    if !can_run() {
        return;
    }
    let host = Host::new();
    cable("chat", 1, &host);
    let belfryd = Belfryd::start("");
    if !lose(20) {
        return;
    }
    let bob = person("bob", "127.0.0.1", 80, 24);
    for name in ["anna", "carl", "dora"] {
        let command = chat("10.77.1.1", name);
        let terminal = host.run(|| Terminal::start(&new_folder(), 80, 24, &command));
        terminal.shows(&format!(" {name} · connected · "));
        terminal.types("my last words");
        terminal.presses(&["Enter", "C-c"]);
        bob.shows(&format!("{name}: my last words"));
    }
    belfryd.signal(Signal::SIGSTOP);
    let folder = new_folder();
    let shell = Terminal::start(&folder, 200, 40, "env PS1='$ ' ENV= sh -i");
    shell.shows("$");
    shell.says(&chat("127.0.0.1", "emil"));
    shell.shows("connecting");
    shell.says("into the void");
    shell.shows("  …   you: into the void");
    shell.presses(&["C-c"]);
    shell.shows("belfry: not delivered: into the void");
    belfryd.signal(Signal::SIGCONT);
}
