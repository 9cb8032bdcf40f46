//! What outlives the process: kills, restarts, damage, full disks, and what of it anybody in the room notices.

use crate::belfryd::{Belfryd, Client, PATIENCE, command, eventually, new_folder};
use crate::netns;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Chat at an address that stays the same.
pub(crate) const CHAT: &str = r#"
[time]
enabled = false
[chat]
listen = ["127.0.0.1:9999"]
rate-limit = "off"
max-members-per-address = 1000
[announce]
enabled = false
"#;

/// Wraps the command in a shell that hands over the file at its standard input as systemd does, as number 3.
pub(crate) fn hand_over(file: &File) -> impl FnOnce(&mut Command) {
    let file = file.try_clone().unwrap();
    move |command| {
        wrap(command, "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=state exec \"$@\"");
        command.stdin(file);
    }
}

/// Has a shell run a line in which `"$@"` is the command.
fn wrap(command: &mut Command, line: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", line, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // The log goes where it went.
    let stderr = shell.get_envs().find_map(|(name, value)| (name == "NOTIFY_SOCKET").then_some(value?));
    let log = Path::new(stderr.unwrap()).with_file_name("log");
    shell.stderr(File::create(log).unwrap());
    *command = shell;
}

/// The directory of histories, and the option that names it.
pub(crate) fn directory() -> (PathBuf, impl Fn(&mut Command)) {
    let folder = new_folder();
    let option = folder.clone();
    (folder.join("history"), move |command: &mut Command| {
        command.arg("--state-directory").arg(&option);
    })
}

/// What is in a room's history, oldest first, as a newcomer sees it.
fn history() -> Vec<String> {
    let newcomer = Client::to("127.0.0.1:9999".parse().unwrap());
    newcomer.send("/history 1000");
    newcomer.send("/nick");
    let mut lines = Vec::new();
    loop {
        let datagram = newcomer.receive();
        if datagram.starts_with("-- You are ") {
            return lines;
        }
        lines.extend(datagram.lines().map(|line| line.strip_prefix("[now] ").unwrap_or(line).to_owned()));
    }
}

pub(crate) fn kill(belfryd: &mut Belfryd) {
    belfryd.signal(Signal::SIGKILL);
    belfryd.stop_status();
}

#[test]
fn whoever_had_been_there_for_a_second_is_there_after_a_kill_and_need_not_say_anything() {
    if !netns::enter() {
        return;
    }
    let mut belfryd = Belfryd::start(CHAT);
    let memory = belfryd.stored().pop().expect("it is handed over before it is ready");
    let people: Vec<_> = (0..200).map(|_| belfryd.client("chat")).collect();
    for (number, member) in people.iter().enumerate() {
        assert_eq!(member.ask(format!("/nick n{number}")), format!("-- You are n{number} now."));
    }
    people[0].ask("/join lab");
    people[1].ask("/join lab");
    std::thread::sleep(Duration::from_secs(1));
    for round in 0..3 {
        kill(&mut belfryd);
        belfryd = Belfryd::start_with(CHAT, hand_over(&memory));
        belfryd.wait_for_log("members who are back: 200; whose socket is gone: 0; who cannot be: 0;");
        assert!(belfryd.stored().is_empty(), "it is stored already");
        assert_eq!(people[2].ask(format!("round {round}")), format!("n2: round {round}"));
        for (number, member) in people.iter().enumerate().skip(3) {
            assert_eq!(member.receive(), format!("n2: round {round}"), "n{number} has said nothing since");
        }
        assert_eq!(people[0].ask("hello"), "n0: hello");
        assert_eq!(people[1].receive(), "n0: hello");
        assert_eq!(people[1].ask("/who"), "-- 2 in lab: n0, n1");
        assert!(people.iter().all(|member| member.waiting().is_empty()), "nobody is told");
    }
    // Who came later and was there for less than a second when it was asked to end.
    let late = belfryd.client("chat");
    late.ask("/nick late");
    belfryd.stop();
    let belfryd = Belfryd::start_with(CHAT, hand_over(&memory));
    assert_eq!(late.ask("/nick"), "-- You are late in lobby.");
    drop(belfryd);
}

#[test]
fn a_state_that_cannot_be_used_costs_one_warning_and_another_takes_its_place() {
    if !netns::enter() {
        return;
    }
    let (mut pipe, _write) = {
        let (read, write) = std::io::pipe().unwrap();
        (File::from(std::os::fd::OwnedFd::from(read)), write)
    };
    let other = File::from(memfd_create("other", MFdFlags::MFD_CLOEXEC).unwrap());
    other.write_all_at(b"belfry-9 but from the future, and longer than any head that we know of", 0).unwrap();
    for (file, reason) in [(&pipe, "it is no file in memory"), (&other, "it is of another version")] {
        let mut belfryd = Belfryd::start_with(CHAT, hand_over(file));
        belfryd.wait_for_log(&format!("nobody is back: the state that was kept cannot be used: {reason}"));
        let memory = belfryd.stored().pop().expect("another is stored");
        let told = belfryd.told();
        assert!(
            told.starts_with("FDSTOREREMOVE=1\nFDNAME=state\nFDSTORE=1\nFDNAME=state\nFDPOLL=0\nREADY=1\n"),
            "{told}"
        );
        let anna = belfryd.client("chat");
        anna.ask("/nick anna");
        belfryd.stop();
        let belfryd = Belfryd::start_with(CHAT, hand_over(&memory));
        assert_eq!(anna.ask("/nick"), "-- You are anna in lobby.");
        assert_eq!(belfryd.log().lines().filter(|line| line.contains("kept")).count(), 0, "{}", belfryd.log());
    }
    assert_eq!(fcntl(&pipe, FcntlArg::F_GETFD).map(|_| pipe.read(&mut []).unwrap()), Ok(0));
}

#[test]
fn a_state_that_is_damaged_gives_back_what_can_be_read() {
    if !netns::enter() {
        return;
    }
    let mut belfryd = Belfryd::start(CHAT);
    let memory = belfryd.stored().pop().unwrap();
    let (anna, bob) = (belfryd.client("chat"), belfryd.client("chat"));
    anna.ask("/nick anna");
    bob.ask("/nick bobbie");
    belfryd.stop();
    let mut bytes = vec![0; memory.metadata().unwrap().len() as usize];
    memory.read_exact_at(&mut bytes, 0).unwrap();
    let at = bytes.windows(10).position(|bytes| bytes == br#":"bobbie","#).unwrap();
    memory.write_all_at(b"{", at as u64).unwrap();
    let belfryd = Belfryd::start_with(CHAT, hand_over(&memory));
    belfryd.wait_for_log("the state that was kept is damaged; what can be read of it is taken");
    assert_eq!(anna.ask("/nick"), "-- You are anna in lobby.");
    assert!(bob.ask("/nick").starts_with("-- You are localhost-"));
}

#[test]
fn nobody_who_was_there_is_kept_when_the_chat_is_switched_off_meanwhile() {
    if !netns::enter() {
        return;
    }
    let mut belfryd = Belfryd::start(CHAT);
    let memory = belfryd.stored().pop().unwrap();
    belfryd.client("chat").ask("/nick anna");
    belfryd.reload(&CHAT.replace("enabled = false\n[chat]", "[chat]\nenabled = false"));
    // The first may be answered in the turn that forgets them, before it does; the second is in another.
    (0..2).for_each(|_| drop(belfryd.client("time").ask("%T")));
    kill(&mut belfryd);
    let belfryd = Belfryd::start_with(CHAT, hand_over(&memory));
    assert_eq!(belfryd.client("chat").ask("/who nobody"), "? there is no such room; /rooms lists them");
    assert!(!belfryd.log().contains("back"), "{}", belfryd.log());
}

#[test]
fn every_line_that_somebody_got_is_in_the_history_after_a_kill_in_the_midst_of_talk() {
    if !netns::enter() {
        return;
    }
    let (folder, option) = directory();
    for round in 0..4_usize {
        let mut belfryd = Belfryd::start_with(CHAT, &option);
        let (speaker, listener) = (belfryd.client("chat"), belfryd.client("chat"));
        speaker.ask(format!("/nick speaker{round}"));
        listener.send("^hb^");
        (0..250).for_each(|number| speaker.send(format!("{number}")));
        let mut got: Vec<_> = (0..40 * (round + 1)).map(|_| listener.receive()).collect();
        kill(&mut belfryd);
        got.extend(listener.waiting());
        println!("killed after {} of 250 messages", got.len());
        let _belfryd = Belfryd::start_with(CHAT, &option);
        let history = history();
        let at = history.iter().position(|line| *line == got[0]).expect("the first is there");
        assert_eq!(history[at..].iter().take(got.len()).collect::<Vec<_>>(), got.iter().collect::<Vec<_>>());
    }
    let (folder, file) = (std::fs::metadata(&folder).unwrap(), std::fs::metadata(folder.join("lobby.jsonl")).unwrap());
    assert_eq!((folder.permissions().mode() & 0o777, file.permissions().mode() & 0o777), (0o750, 0o640));
}

#[test]
fn a_message_is_in_its_file_before_anybody_gets_it() {
    if !netns::enter() {
        return;
    }
    let (folder, option) = directory();
    let belfryd = Belfryd::start_with(CHAT, &option);
    let anna = belfryd.client("chat");
    for number in 0..1_000 {
        let got = anna.ask(format!("{number}"));
        let text = std::fs::read_to_string(folder.join("lobby.jsonl")).unwrap();
        let last = text.lines().last().unwrap_or_default();
        assert!(text.ends_with("}\n") && last.contains(&format!("\"line\":\"{got}\",")), "{got}: {last}");
    }
}

#[test]
fn a_history_outlives_a_restart_with_a_torn_line_and_is_gone_when_its_room_says_so() {
    if !netns::enter() {
        return;
    }
    let (folder, option) = directory();
    let mut belfryd = Belfryd::start_with(CHAT, &option);
    let anna = belfryd.client("chat");
    for said in ["/nick anna", "one", "two", "/join Lab", "three"] {
        anna.ask(said);
    }
    kill(&mut belfryd);
    let mut torn = File::options().append(true).open(folder.join("lobby.jsonl")).unwrap();
    torn.write_all(br#"{"room":"lobby","when":"2026-11-21T14:03:27Z","line":"anna: th"#).unwrap();
    std::os::unix::fs::symlink("lobby.jsonl", folder.join("link.jsonl")).unwrap();
    nix::unistd::mkfifo(&folder.join("fifo.jsonl"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(folder.join("folder.jsonl")).unwrap();
    std::fs::copy(folder.join("lobby.jsonl"), folder.join("other.jsonl")).unwrap();
    let mut belfryd = Belfryd::start_with(CHAT, &option);
    belfryd.wait_for_log("passed over 4 that are no histories of ours");
    assert_eq!(history(), ["anna: one", "anna: two"]);
    assert_eq!(belfryd.client("chat").ask("/rooms"), "-- Rooms: Lab (0), lobby (2)");
    let bob = belfryd.client("chat");
    bob.ask("/nick bob");
    bob.ask("four");
    kill(&mut belfryd);
    let mut belfryd = Belfryd::start_with(CHAT, &option);
    assert_eq!(history(), ["anna: one", "anna: two", "bob: four"], "no line has grown together with another");
    let carl = belfryd.client("chat");
    carl.ask("/history off");
    assert!(!folder.join("lobby.jsonl").exists() && folder.join("lab.jsonl").exists());
    belfryd.reload(&CHAT.replace("[chat]", "[chat]\nhistory = 0"));
    assert!(eventually(|| !folder.join("lab.jsonl").exists()));
    belfryd.stop();
    assert!(folder.join("other.jsonl").exists(), "what is not ours stays");
}

#[test]
fn a_full_disk_costs_one_warning_and_no_message() {
    if !netns::enter() {
        return;
    }
    let (folder, option) = directory();
    // Blocks of 512 bytes.
    let limited = |command: &mut Command| {
        option(command);
        wrap(command, "ulimit -f 1; exec \"$@\"");
    };
    let belfryd = Belfryd::start_with(CHAT, limited);
    let anna = belfryd.client("chat");
    anna.ask("/nick anna");
    for number in 0..100 {
        assert_eq!(anna.ask(format!("{number}")), format!("anna: {number}"));
    }
    belfryd.wait_for_log("lobby.jsonl: file too large; history is in memory alone until that can be written");
    assert_eq!(belfryd.log().matches("in memory alone").count(), 1);
    assert_eq!(history().len(), 100);
    let text = std::fs::read_to_string(folder.join("lobby.jsonl")).unwrap();
    assert!(!text.is_empty() && text.ends_with("}\n"), "there is no half a line: {text}");
}

#[test]
fn a_directory_that_cannot_be_written_costs_one_warning_and_no_message() {
    if !netns::enter() {
        return;
    }
    let folder = new_folder();
    std::fs::write(folder.join("history"), "a file in the place of the folder").unwrap();
    let directories = format!("{}:/x", folder.display());
    let belfryd = Belfryd::start_with(CHAT, |command| {
        command.env("STATE_DIRECTORY", directories);
    });
    let anna = belfryd.client("chat");
    anna.ask("/nick anna");
    assert_eq!(anna.ask("hello"), "anna: hello");
    assert_eq!(history(), ["anna: hello"]);
    assert!(belfryd.log().contains("file exists; history is in memory alone"), "{}", belfryd.log());
    assert_eq!((belfryd.log().matches("warning").count(), belfryd.log().contains("again")), (1, false));
}

#[test]
fn what_is_said_in_rooms_is_logged_where_that_is_switched_on_and_nothing_else() {
    let config = crate::belfryd::QUIET.replace("[chat]", "[chat]\nlog-messages = true");
    let belfryd = Belfryd::start(&config);
    let anna = belfryd.client("chat");
    anna.0.set_read_timeout(Some(PATIENCE)).unwrap();
    for said in ["/nick anna", "/msg anna psst", "hello", "/join lab", "/me waves"] {
        anna.ask(said);
    }
    belfryd.wait_for_log("lobby: anna: hello");
    belfryd.wait_for_log("lab: * anna waves");
    assert!(!belfryd.log().contains("psst"));
    belfryd.reload(crate::belfryd::QUIET);
    anna.ask("between us");
    anna.ask("/nick");
    assert!(!belfryd.log().contains("between us"));
}

#[test]
fn a_stop_and_a_start_keep_everybody_and_a_kill_does_not_bring_back_who_was_there_before() {
    if !netns::enter() {
        return;
    }
    let (_, option) = directory();
    let mut belfryd = Belfryd::start_with(CHAT, &option);
    let [anna, ben] = [0, 1].map(|_| belfryd.client("chat"));
    anna.ask("/nick anna");
    ben.ask("/nick ben");
    anna.ask("/topic tea");
    assert!(belfryd.stop().success());
    let config = new_folder().join("belfry.toml");
    std::fs::write(&config, CHAT).unwrap();
    let in_the_way = std::net::UdpSocket::bind("127.0.0.1:9999").unwrap();
    let mut fails = command();
    fails.arg("--config").arg(config);
    option(&mut fails);
    assert_eq!(fails.output().unwrap().status.code(), Some(1), "a start that fails costs nobody anything");
    drop(in_the_way);
    // Without anything from a service manager.
    let mut belfryd = Belfryd::start_with(CHAT, &option);
    ben.send("still here");
    assert_eq!((anna.receive(), ben.receive()), ("ben: still here".to_owned(), "ben: still here".to_owned()));
    kill(&mut belfryd);
    let _belfryd = Belfryd::start_with(CHAT, &option);
    let who = ben.ask("/who");
    assert!(who.starts_with("-- 1 in lobby: "), "{who}");
    assert_eq!(anna.waiting(), Vec::<String>::new());
}

#[test]
fn a_bad_configuration_after_a_kill_costs_nobody_their_place() {
    if !netns::enter() {
        return;
    }
    let (_, option) = directory();
    let mut belfryd = Belfryd::start_with(CHAT, &option);
    let memory = belfryd.stored().pop().unwrap();
    let anna = belfryd.client("chat");
    anna.ask("/nick anna");
    std::thread::sleep(Duration::from_secs(1));
    kill(&mut belfryd);
    let folder = new_folder();
    std::fs::write(folder.join("belfry.toml"), "[chat]\nhalf of a li").unwrap();
    let mut fails = command();
    fails.arg("--config").arg(folder.join("belfry.toml")).env("NOTIFY_SOCKET", folder.join("nobody"));
    option(&mut fails);
    hand_over(&memory)(&mut fails);
    assert_eq!(fails.output().unwrap().status.code(), Some(78));
    drop(memory);
    // The service manager has let go of it.
    let _belfryd = Belfryd::start_with(CHAT, &option);
    assert_eq!(anna.ask("/nick"), "-- You are anna in lobby.");
}
