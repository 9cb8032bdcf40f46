//! `belfry doctor` at hubs that do not let it finish: nothing of that is taken for loss.

use super::{Server, WELCOME, answers, asked, belfry, hub, netns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::{Command, Output};

/// A hub with a room for the doctor, which answers each heartbeat so; it knows nothing of time.
fn patient(datagram: &str, heartbeat: Option<&str>) -> Vec<String> {
    if !datagram.starts_with('^') {
        return Vec::new();
    }
    answers(datagram, |frame| match frame.verb {
        "hello" => Some(WELCOME.replace("at=lobby/", "at=doctor/")),
        "hb" => heartbeat.map(str::to_owned),
        verb => hub(&format!("^{verb}^")).pop(),
    })
}

fn doctor(server: &Server) -> Command {
    belfry(server.addr, &["doctor", "--json", "--timeout", "300ms", "--heartbeats", "5"])
}

/// The result and the text of a check, as far as there is one.
fn found(output: &Output, check: &str) -> Option<(String, String)> {
    let findings = std::str::from_utf8(&output.stdout).unwrap().lines();
    let mut findings = findings.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let finding = findings.find(|finding| finding["check"] == check)?;
    Some((finding["result"].as_str().unwrap().to_owned(), finding["text"].as_str().unwrap().to_owned()))
}

#[test]
fn where_it_can_have_no_room_of_its_own_it_leaves_at_once_and_says_so() {
    if !netns::enter() {
        return;
    }
    let server = Server::start(|datagram| if datagram.starts_with('^') { hub(datagram) } else { Vec::new() });
    let output = doctor(&server).output().unwrap();
    let text = "the hub has let a session in, but cannot make the room doctor: the loss is not measured";
    assert_eq!(found(&output, "chat"), Some(("note".to_owned(), text.to_owned())));
    assert_eq!(found(&output, "loss"), None);
    let got: Vec<String> = server.got().into_iter().filter(|datagram| datagram.starts_with('^')).collect();
    assert_eq!(asked(&got), ["hello", "bye"]);
}

#[test]
fn a_session_that_is_removed_is_no_loss() {
    if !netns::enter() {
        return;
    }
    let server = Server::start(|datagram| patient(datagram, Some("^bye kicked session=00000000000000aa^")));
    let output = doctor(&server).output().unwrap();
    assert_eq!(found(&output, "loss"), None);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains(r#""check":"chat","result":"bad","text":"the operator of the hub has removed us""#),
        "{stdout}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn whoever_interrupts_it_ends_it() {
    if !netns::enter() {
        return;
    }
    let (seen, heartbeat) = std::sync::mpsc::channel();
    let server = Server::start(move |datagram| {
        if datagram.contains("^hb ") {
            let _ = seen.send(());
        }
        patient(datagram, None)
    });
    let child = doctor(&server).spawn().unwrap();
    heartbeat.recv().unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((found(&output, "loss"), found(&output, "access")), (None, None));
    assert_eq!(
        (String::from_utf8(output.stderr).unwrap(), output.status.code()),
        ("belfry: interrupted\n".to_owned(), Some(1))
    );
}
