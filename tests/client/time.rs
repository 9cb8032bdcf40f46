//! `belfry time`: what it asks, what it prints, how it ends.

use crate::common::netns;
use crate::{Server, belfry, closed_port, ended, outcome, run, silent};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Command;
use std::time::SystemTime;

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
    assert_eq!(run(server.addr, &["time", "%Q"]), ended("", "belfry: unknown conversion %Q\\u{1b}[2J\n", 1));
}

#[test]
fn time_asks_three_times_before_it_gives_up() {
    let server = Server::start(silent);
    let stderr = format!("belfry: no answer from {}/udp within 600ms\n", server.addr);
    assert_eq!(run(server.addr, &["time", "%H"]), ended("", &stderr, 2));
    assert_eq!(server.got(), ["%H", "%H", "%H"]);
}

/// A server whose clock is ahead of ours by so many seconds, and which answers what it is asked for exactly.
fn clock(ahead: u64) -> Server {
    Server::start(move |request| {
        if request == "?" {
            return vec!["strftime formats: %H:%M; clock synchronised, error below 12 ms".to_owned()];
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let (seconds, nanos) = (now.as_secs() + ahead, now.subsec_nanos());
        vec![request.replace("%s.%N", &format!("{seconds}.{nanos:09}")).replace("%n", "\n")]
    })
}

/// However slow this machine is at the moment.
fn is_near(difference: f64, ahead: f64) -> bool {
    (difference - ahead).abs() < 10.0
}

fn run_with_servers(addrs: &[SocketAddr], words: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.args(["time", "--timeout", "600ms"]).args(words);
    outcome(command.args(addrs.iter().map(|addr| format!("--server={addr}"))).output().unwrap())
}

#[test]
fn time_has_an_option_for_the_zone() {
    let server = Server::start(|format| vec![format!("<{format}>\n")]);
    let asked = run(server.addr, &["time", "--zone", "CET-1 CEST", "%H"]);
    assert_eq!(asked, ended("<TZ=\"CET-1 CEST\" %H>\n", "", 0));
    assert_eq!(run(server.addr, &["time", "--zone", "Asia/Tokyo", "TZ=UTC %H"]).2, 64);
    assert_eq!(server.got().len(), 1);
}

#[test]
fn time_asks_several_servers_at_once_and_a_silent_one_is_a_line_of_its_own() {
    let (right, ahead, dead) = (clock(0), clock(60), Server::start(silent));
    let closed = closed_port(2);
    let (stdout, stderr, status) = run_with_servers(&[right.addr, ahead.addr, dead.addr, closed], &["noon %%"]);
    assert_eq!((stderr.as_str(), status), ("", 0));
    let lines: Vec<Vec<&str>> = stdout.lines().map(|line| line.split("  ").collect()).collect();
    assert_eq!(lines.len(), 5, "{stdout}");
    assert_eq!((lines[0][0], lines[0][1]), ("127.0.0.1", "noon %%"));
    let difference = lines[1][2].strip_suffix(" s").unwrap().parse().unwrap();
    assert!(is_near(difference, 60.0), "{stdout}");
    assert_eq!(lines[2][1], format!("no answer from {}/udp within 600ms", dead.addr));
    assert_eq!(lines[3][1], format!("nobody listens on {closed}/udp"));
    assert!(lines[4][0].starts_with("largest difference: "), "{stdout}");
    assert_eq!(dead.got().len(), 3, "what is lost is asked for again");
}

#[test]
fn time_fails_when_none_of_several_servers_answers() {
    let dead = Server::start(silent);
    assert_eq!(run_with_servers(&[dead.addr, dead.addr], &[]).2, 2);
    assert_eq!(run_with_servers(&[dead.addr, closed_port(3)], &[]).2, 1);
    let wrong = Server::start(|_| vec!["? unknown conversion %Q; try %Z".to_owned()]);
    let (stdout, _, status) = run_with_servers(&[wrong.addr, wrong.addr], &["%Q"]);
    assert_eq!((stdout.lines().next(), status), (Some("127.0.0.1  unknown conversion %Q; try %Z"), 1));
}

#[test]
fn time_prints_objects_for_programs() {
    let (server, dead) = (clock(60), Server::start(silent));
    let (stdout, _, status) = run_with_servers(&[server.addr, dead.addr], &["--json", "%H"]);
    let objects: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((objects.len(), status), (2, 0));
    assert_eq!(
        (objects[0]["time"].as_str(), objects[0]["address"].as_str().unwrap()),
        (Some("%H"), server.addr.to_string().as_str())
    );
    assert!(is_near(objects[0]["difference_ms"].as_f64().unwrap() / 1e3, 60.0), "{stdout}");
    assert!(objects[1]["error"].as_str().unwrap().starts_with("no answer"), "{stdout}");
}

#[test]
fn time_tells_how_far_a_clock_is_from_ours_how_sure_that_is_and_what_it_says_of_itself() {
    let server = clock(3600);
    let (stdout, stderr, status) = run(server.addr, &["time", "--offset"]);
    assert_eq!((stderr.as_str(), status), ("", 0));
    let columns: Vec<&str> = stdout.trim_end().split("  ").collect();
    assert!(is_near(columns[1].strip_suffix(" s").unwrap().parse().unwrap(), 3600.0), "{stdout}");
    assert!(columns[2].starts_with("uncertain by "), "{stdout}");
    assert_eq!(columns[4], "clock synchronised, error below 12 ms");
    let (stdout, ..) = run(server.addr, &["time", "--offset", "--json"]);
    let known: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(is_near(known["offset_ms"].as_f64().unwrap() / 1e3, 3600.0), "{stdout}");
    let round_trip = known["round_trip_ms"].as_f64().unwrap();
    assert!(known["uncertainty_ms"].as_f64().unwrap() <= round_trip / 2.0 + 0.001);
    let samples = known["samples"].as_u64().unwrap();
    assert!((1..=8).contains(&samples) && server.got().len() as u64 > 2 * samples, "{stdout}");
}

#[test]
fn time_ticks_with_the_servers_seconds_until_it_is_interrupted() {
    let server = clock(0);
    let mut child = belfry(server.addr, &["time", "--watch", "noon"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!([lines.next(), lines.next(), lines.next()], [(); 3].map(|()| Some("noon".to_owned())));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(server.got().len() >= 3);
}

#[test]
fn a_name_of_the_contacts_is_asked_where_they_say_and_one_that_nobody_knows_is_told_with_them() {
    if !netns::enter() {
        return;
    }
    let server = Server::start(|_| vec!["noon".to_owned()]);
    let folder = std::env::temp_dir().join(format!("belfry-contacts-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("belfry")).unwrap();
    let file = folder.join("belfry/belfry.toml");
    let port = server.addr.port();
    let ask = |contacts: &str, name: &str| {
        std::fs::write(&file, contacts).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
        let output = command.args(["time", "--server", name]).env("XDG_CONFIG_HOME", &folder).output().unwrap();
        outcome(output)
    };
    let contacts = format!("[servers]\nattic = {{ host = \"127.0.0.1\", time = {port} }}\n");
    assert_eq!(ask(&contacts, "attic"), ended("noon\n", "", 0));
    let (_, stderr, status) = ask(&contacts, "attik.invalid");
    assert!(stderr.ends_with("; the contacts are attic\n") && status == 1, "{stderr}");
    let (_, stderr, status) = ask("servr = 1\n", "attic");
    let told = format!("belfry: {}:1:1: unknown key servr\n", file.display());
    assert!(stderr.starts_with(&told) && stderr.ends_with("did you mean server?\n") && status == 1, "{stderr}");
    assert_eq!(ask("servr = 1\n", &server.addr.to_string()), ended("noon\n", "", 0), "no file is read for an address");
    std::fs::remove_dir_all(&folder).unwrap();
}
