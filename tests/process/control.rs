//! The control socket: `belfry ctl` and the real daemon, and what comes of clients that do not behave.

use crate::belfryd::{Belfryd, PATIENCE, QUIET, command, eventually, new_folder};
use belfry::control::{self, Member, Members, Reloaded, Stats, Status, Way};
use belfry::core::limits::CONTROL_CONNECTIONS_MAX;
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A daemon with a control socket, and where that is.
pub(crate) fn start(config: &str) -> (Belfryd, PathBuf) {
    let folder = new_folder();
    let path = folder.join("control");
    let belfryd = Belfryd::start_in(folder, config, |command| {
        command.arg("--control").arg(&path);
    });
    (belfryd, path)
}

/// What `belfry ctl` prints, what it complains of, and how it ends.
fn ctl(path: &Path, words: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    let Output { status, stdout, stderr } =
        command.arg("ctl").args(words).env("BELFRY_CONTROL", path).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap())
}

/// What it prints when all goes well.
pub(crate) fn done(path: &Path, words: &[&str]) -> String {
    let (stdout, stderr, status) = ctl(path, words);
    assert_eq!((stderr.as_str(), status), ("", 0), "{words:?}");
    stdout
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The answer to one line on a connection that stays.
fn ask(stream: &UnixStream, line: &str) -> String {
    let mut writer = stream;
    writer.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

/// A member of that name.
fn member(path: &Path, name: &str) -> Option<Member> {
    let members: Members = control::parse_outcome(&done(path, &["members", "--json"])).unwrap().unwrap();
    members.members.into_iter().find(|member| member.name == name)
}

/// This process, as the log names whoever asks.
fn anybody_of_this_user(log: &str, does: &str) -> bool {
    let user = format!(" of user {} {does}", nix::unistd::getuid());
    log.lines().any(|line| line.contains("control: process ") && line.ends_with(&user))
}

#[test]
fn status_says_how_it_is() {
    let (belfryd, path) = start(QUIET);
    belfryd.client("chat").ask("hello");
    let status: Status = control::parse_outcome(&done(&path, &["status", "--json"])).unwrap().unwrap();
    assert_eq!((status.pid as i32, status.version.as_str()), (belfryd.pid().as_raw(), env!("CARGO_PKG_VERSION")));
    assert_eq!((status.members, status.rooms), (1, 1));
    assert!(status.configuration.ends_with("/belfry.toml"), "{}", status.configuration);
    let listeners: Vec<_> = status.listeners.iter().map(|open| (open.service.as_str(), open.address)).collect();
    assert_eq!(listeners, [("time", belfryd.addr("time")), ("chat", belfryd.addr("chat"))]);
    assert_eq!(status.log_level, log::LevelFilter::Info);

    let text = done(&path, &["status"]);
    assert!(text.starts_with(&format!("belfryd {}, process {}, up for ", status.version, status.pid)), "{text}");
    assert!(text.contains("\nmembers        1 in 1 room\n"), "{text}");
}

#[test]
fn members_says_who_is_where() {
    let (belfryd, path) = start(QUIET);
    assert_eq!(done(&path, &["members"]), "nobody is here\n");
    let (anna, robot) = (belfryd.client("chat"), belfryd.client("chat"));
    anna.ask("/nick anna\n");
    anna.send("/away at lunch\n");
    robot.send("^hb^");
    robot.ask("/nick robot");
    assert!(eventually(|| member(&path, "anna").is_some_and(|anna| anna.away.is_some())));
    let (of_anna, of_robot) = (member(&path, "anna").unwrap(), member(&path, "robot").unwrap());
    assert_eq!(of_anna.address.port(), anna.port());
    assert_eq!((of_anna.way, of_anna.heartbeats, of_anna.away.as_deref()), (Way::Line, false, Some("at lunch")));
    assert_eq!((of_robot.way, of_robot.heartbeats, of_robot.away), (Way::Program, true, None));
    assert_eq!(of_robot.room, "lobby");
    let text = done(&path, &["members"]);
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn stats_counts_each_datagram() {
    let (belfryd, path) = start(QUIET);
    let clock = belfryd.client("time");
    clock.ask("%Z");
    clock.ask("what");
    let stats: Stats = control::parse_outcome(&done(&path, &["stats", "--json"])).unwrap().unwrap();
    assert_eq!(
        stats.services.iter().map(|of| of.service.as_str()).collect::<Vec<_>>(),
        ["time", "ntp", "announce", "echo", "chat"]
    );
    let time = &stats.services[0];
    assert_eq!((time.answered, time.refused["no-conversion"], time.dropped["access"]), (1, 1, 0));
    assert!(done(&path, &["stats"]).contains("\nrefused: no-conversion"));
}

#[test]
fn a_reload_is_answered_when_the_new_configuration_is_in_force() {
    let (belfryd, path) = start(QUIET);
    let clock = belfryd.client("time");
    let file = path.with_file_name("belfry.toml");
    std::fs::write(&file, QUIET.replace("[time]", "[time]\ndefault-format = \"new %Z\"")).unwrap();
    assert_eq!(done(&path, &["reload"]), format!("configuration: {}\n", file.display()));
    assert_eq!(clock.ask(""), "new UTC");
    for told in ["RELOADING=1", "READY=1"] {
        belfryd.wait_for_notification(told);
    }
    assert!(anybody_of_this_user(&belfryd.log(), "has the configuration read again"), "{}", belfryd.log());
    let reloaded: Reloaded = control::parse_outcome(&done(&path, &["reload", "--json"])).unwrap().unwrap();
    assert_eq!(reloaded.configuration, file.display().to_string());
}

#[test]
fn a_reload_that_fails_says_why_with_line_and_caret_and_changes_nothing() {
    let (belfryd, path) = start(QUIET);
    let file = path.with_file_name("belfry.toml");
    std::fs::write(&file, "[chat]\nmax-mesage = 5\n").unwrap();
    let (stdout, stderr, status) = ctl(&path, &["reload"]);
    assert_eq!((stdout.as_str(), status), ("", 1));
    assert!(stderr.starts_with(&format!("belfry: {}:2:1: ", file.display())), "{stderr}");
    assert!(stderr.contains("\n    2 | max-mesage = 5\n      | ^^^^^^^^^^\n"), "{stderr}");
    assert!(stderr.ends_with("\nthe old configuration stays in force\n"), "{stderr}");
    assert!(belfryd.log().contains("max-mesage"), "it is told in the log too");
    assert_eq!(belfryd.client("time").ask("%Z"), "UTC");

    let (stdout, again, status) = ctl(&path, &["reload", "--json"]);
    assert_eq!((again, status), (stderr, 1));
    assert!(control::parse_outcome::<Reloaded>(&stdout).unwrap().is_err(), "{stdout}");
}

#[test]
fn the_log_level_holds_until_the_next_reload() {
    let (belfryd, path) = start(QUIET);
    assert_eq!(done(&path, &["log-level", "off"]), "log level off until the next reload\n");
    assert!(anybody_of_this_user(&belfryd.log(), "sets the log level to off until the next reload"));
    assert!(done(&path, &["status"]).contains("\nlog level      off\n"));
    let before = belfryd.log();
    done(&path, &["log-level", "error"]);
    assert_eq!(belfryd.log(), before, "at neither level this is told");
    done(&path, &["reload"]);
    assert!(done(&path, &["status"]).contains("\nlog level      info\n"));
    done(&path, &["log-level", "debug"]);
    assert!(anybody_of_this_user(&belfryd.log(), "sets the log level to debug until the next reload"));
    assert_eq!(ctl(&path, &["log-level", "loud"]).2, 64);
}

#[test]
fn who_is_kicked_is_gone_until_it_speaks() {
    let (belfryd, path) = start(QUIET);
    let (anna, bob) = (belfryd.client("chat"), belfryd.client("chat"));
    anna.ask("/nick anna\n");
    bob.ask("/nick bob\n");
    assert!(eventually(|| member(&path, "bob").is_some()));
    let printed = done(&path, &["kick", "Anna"]);
    assert_eq!(printed, format!("anna at {} is removed from lobby\n", anna.0.local_addr().unwrap()));
    assert!(eventually(|| anna.waiting().contains(&"-- You have been removed by the operator.\n".to_owned())));
    assert!(eventually(|| bob.waiting().contains(&"-- anna was removed by the operator\n".to_owned())));
    assert!(anybody_of_this_user(&belfryd.log(), "removes anna from lobby"), "{}", belfryd.log());
    assert_eq!(member(&path, "anna"), None);
    anna.ask("/nick anna\n");
    assert!(eventually(|| member(&path, "anna").is_some()));

    let (_, stderr, status) = ctl(&path, &["kick", "ana"]);
    assert_eq!((stderr.as_str(), status), ("belfry: nobody is called \"ana\"; did you mean anna?\n", 1));
    let (_, stderr, _) = ctl(&path, &["kick", "\x1b[2J"]);
    assert_eq!(stderr, "belfry: nobody is called \"\\u{1b}[2J\"\n");
}

#[test]
fn the_page_shows_how_to_ask_without_a_program_of_ours() {
    let (belfryd, path) = start(QUIET);
    let page = include_str!("../../docs/CONTROL.md");
    let line = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let line = line.replace("/run/belfry/control", path.to_str().unwrap()).replace("nc -U", "nc.openbsd -U");
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let status = control::parse_outcome::<Status>(std::str::from_utf8(&output.stdout).unwrap()).unwrap().unwrap();
    assert_eq!(status.pid as i32, belfryd.pid().as_raw());
}

#[test]
fn garbage_gets_an_error_and_the_connection_goes_on() {
    let (_belfryd, path) = start(QUIET);
    let stream = connect(&path);
    for (line, told) in [
        ("", "that is no request"),
        ("hello", "that is no request"),
        ("{\"command\":\"stop\"}", "there is no command \\\"stop\\\"; there are status, members,"),
        ("{\"command\":\"kick\"}", "kick: missing field"),
    ] {
        let answer = ask(&stream, line);
        assert!(answer.starts_with("{\"ok\":false,\"error\":\"") && answer.contains(told), "{line}: {answer}");
    }
    let mut writer = &stream;
    writer.write_all(b"\xff\xfe\0\n{\"command\":\"members\"}\n").unwrap();
    // One reader for both answers, which may come together.
    let (mut reader, mut refused, mut rest) = (BufReader::new(&stream), String::new(), String::new());
    reader.read_line(&mut refused).unwrap();
    assert!(refused.starts_with("{\"ok\":false,"), "the bytes before: {refused}");
    reader.read_line(&mut rest).unwrap();
    assert_eq!(rest, "{\"ok\":true,\"count\":0,\"members\":[]}\n");
}

#[test]
fn a_request_without_an_end_is_refused_and_its_connection_closed() {
    let (_belfryd, path) = start(QUIET);
    let mut stream = connect(&path);
    // It may be closed before all is written.
    let _ = stream.write_all(&[b'x'; 1 << 20]);
    let mut answer = String::new();
    let mut reader = BufReader::new(&stream);
    reader.read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"ok\":false,\"error\":\"a request has at most 4096 bytes\"}\n");
    assert_eq!(reader.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn nothing_that_is_done_to_the_control_socket_holds_up_the_services() {
    let (belfryd, path) = start(QUIET);
    let (clock, anna) = (belfryd.client("time"), belfryd.client("chat"));
    anna.ask("/nick anna");
    let before = belfryd.resident_kib();
    let mut kept = Vec::new();
    for number in 0..1_000 {
        let mut stream = connect(&path);
        // Those that were here before may have been closed meanwhile.
        match number % 4 {
            0 => drop(stream.write_all(b"{\"command\":\"sta")),
            1 => drop(stream.write_all("{\"command\":\"stats\"}\n".repeat(100).as_bytes())),
            2 => drop(stream.write_all(&[0xff; 10_000])),
            _ => {}
        }
        if number % 3 > 0 {
            kept.push(stream);
        }
        if number % 50 == 0 {
            assert_eq!(clock.ask("%Z"), "UTC");
            assert_eq!(anna.ask("/nick"), "-- You are anna in lobby.");
        }
    }
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", belfryd.pid())).unwrap().count();
    assert!(descriptors <= CONTROL_CONNECTIONS_MAX + 20, "{descriptors} descriptors");
    let grown = belfryd.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "it grew by {grown} KiB");
    assert!(done(&path, &["status"]).contains("\nmembers        1 in 1 room\n"), "who comes last is answered");
}

/// Processor time that it has used so far, in ticks of the kernel, of which there are a hundred in a second (proc(5)).
pub(crate) fn ticks(belfryd: &Belfryd) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", belfryd.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_client_that_does_not_read_is_closed_and_nobody_turns_in_circles_meanwhile() {
    let (belfryd, path) = start(QUIET);
    let mut slow = connect(&path);
    // Until neither side takes any more.
    let requests = "{\"command\":\"stats\"}\n".repeat(100);
    slow.set_write_timeout(Some(PATIENCE / 20)).unwrap();
    while slow.write_all(requests.as_bytes()).is_ok() {}
    let half = connect(&path);
    (&half).write_all(b"{").unwrap();
    let busy = ticks(&belfryd);
    slow.set_read_timeout(Some(PATIENCE * 2)).unwrap();
    half.set_read_timeout(Some(PATIENCE * 2)).unwrap();
    assert_eq!((&half).read(&mut [0]).unwrap(), 0, "it is closed in the end");
    let waited = ticks(&belfryd) - busy;
    assert!(waited < 100, "{waited} ticks of processor time while there was nothing to do");
    let mut answers = Vec::new();
    // Unread requests make it a reset.
    let _ = slow.read_to_end(&mut answers);
    assert!(!answers.is_empty());
}

#[test]
fn a_second_daemon_on_one_path_does_not_start_and_the_first_goes_on() {
    let (belfryd, path) = start(QUIET);
    let file = path.with_file_name("belfry.toml");
    let output = command().arg("--config").arg(file).arg("--control").arg(&path).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let told = format!("belfryd: cannot make the control socket {}: another daemon answers there\n", path.display());
    assert!(stderr.ends_with(&told), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    assert!(done(&path, &["status"]).contains(&format!("process {}", belfryd.pid())));
}

#[test]
fn a_socket_is_replaced_when_its_daemon_is_dead_and_removed_at_a_clean_stop() {
    let folder = new_folder();
    let path = folder.join("control");
    drop(UnixListener::bind(&path).unwrap());
    let mut belfryd = Belfryd::start_in(folder, QUIET, |command| {
        command.arg("--control").arg(&path);
    });
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
    done(&path, &["status"]);
    assert!(belfryd.stop().success());
    assert!(!path.exists());
    let (_, stderr, status) = ctl(&path, &["status"]);
    let told =
        format!("belfry: cannot reach {}: belfryd does not run here, or without a control socket\n", path.display());
    assert_eq!((stderr, status), (told, 1));
}

#[test]
fn a_daemon_that_was_stopped_is_told_from_one_that_is_not_there() {
    let (belfryd, path) = start(QUIET);
    belfryd.signal(Signal::SIGSTOP);
    let (stdout, stderr, status) = ctl(&path, &["status", "--timeout", "200ms"]);
    belfryd.signal(Signal::SIGCONT);
    assert_eq!((stdout.as_str(), status), ("", 2));
    assert_eq!(stderr, "belfry: no answer within 200ms: is belfryd running? systemctl status belfryd\n");
    assert_eq!(ctl(&path, &["status", "--server", "192.0.2.1"]).2, 64);
}

#[test]
fn who_is_not_of_the_group_is_told_so() {
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root to be somebody else");
        return;
    }
    // Somewhere that somebody who is not root can reach.
    let place = std::env::temp_dir().join(format!("belfry-ctl-group-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir(&place).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = place.join("control");
    let belfryd = Belfryd::start_with(QUIET, |command| {
        command.arg("--control").arg(&path);
    });
    let program = place.join("belfry");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_belfry")).arg(&program).status().unwrap();
    assert!(copied.success());
    let status = |gid: u32| {
        let mut command = Command::new(&program);
        command.args(["ctl", "status"]).env("BELFRY_CONTROL", &path).uid(65_534).gid(gid).output().unwrap()
    };
    let (stranger, group) = (status(65_534), status(0));
    drop(belfryd);
    std::fs::remove_dir_all(&place).unwrap();
    let told = format!("belfry: cannot reach {}: you are not in the group belfry\n", path.display());
    assert_eq!((String::from_utf8(stranger.stderr).unwrap(), stranger.status.code()), (told, Some(1)));
    assert!(group.status.success(), "{group:?}");
}
