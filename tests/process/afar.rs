//! People, programs and sessions on another network, with a router between: they come in once they have shown to be there.

use crate::belfryd::{Belfryd, Client, eventually};
use crate::netns::{self, Host, cable, ip};
use crate::person::{Person, is_installed};
use crate::talking::Belfry;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const HUB: &str = "10.77.1.1:9999";

/// Whoever is on the other network is let in, which by default he is not.
const CONFIG: &str = "[access]\nallow = [\"on-link\", \"10.88.0.0/24\"]\n";

/// A host that sends from a network of its own, to which it is the router.
fn far_host() -> Host {
    let host = Host::new();
    cable("lan", 1, &host);
    host.run(|| {
        ip("addr add 10.88.0.2/24 dev lo");
        ip("route add 10.77.1.1/32 dev lan1 src 10.88.0.2");
    });
    ip("route add 10.88.0.0/24 via 10.77.1.2");
    host
}

#[test]
fn somebody_with_netcat_on_another_network_pastes_a_line_and_is_in_the_room() {
    if !netns::enter() || !is_installed("nc.openbsd") {
        return;
    }
    let host = far_host();
    let _belfryd = Belfryd::start(CONFIG);
    let neighbour = Client::to("127.0.0.1:9999".parse().unwrap());
    neighbour.send("^hb^");
    let mut person = host.run(|| Person::at("nc.openbsd -u 10.77.1.1 9999"));
    person.types("hello");
    let line = person.reads_line();
    let (asked, command) = line.split_once(" send: ").expect("what to send");
    assert_eq!(asked, "-- You are on another network. To come in,");
    person.types(command);
    person.reads("/history shows them.");
    neighbour.send("welcome");
    person.reads(": welcome");
    person.types("thank you");
    person.reads(": thank you");
    // What he said at first was not heard.
    assert!(neighbour.receive().ends_with(": welcome"));
    assert!(neighbour.receive().ends_with(": thank you"));
    // Nor does anybody make him leave who only knows his address.
    person.types("quit");
    let line = person.reads_line();
    let (asked, command) = line.split_once(" send: ").expect("what to send");
    assert_eq!(asked, "-- To leave,");
    person.types(command);
    person.reads("-- You have left. Say anything to return.");
}

#[test]
fn the_program_of_the_protocol_page_is_in_the_room_from_another_network_for_as_long_as_it_runs() {
    if !netns::enter() {
        return;
    }
    let host = far_host();
    let _belfryd = Belfryd::start(CONFIG);
    let page = include_str!("../../docs/PROTOCOL.md");
    let section = page.split("### From another network").nth(1).expect("the page has it");
    let program = section.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let mut command = Command::new("python3");
    command.args(["-c", program, "10.77.1.1"]).stdout(Stdio::piped());
    let mut child = host.run(|| command.spawn().unwrap());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let neighbour = Client::to("127.0.0.1:9999".parse().unwrap());
    neighbour.send("^hb^");
    // The consent of nobody who does not send tokens lasts that long, so each line shows that it is sent again.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(35) {
        neighbour.send("are you there?");
        std::thread::sleep(Duration::from_secs(3));
    }
    neighbour.send("the last");
    let heard: Vec<String> =
        lines.by_ref().map_while(Result::ok).take_while(|line| !line.ends_with(": the last")).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(heard.len() >= 10, "{heard:?}");
}

#[test]
fn belfry_say_and_belfry_tail_work_from_another_network() {
    if !netns::enter() {
        return;
    }
    let host = far_host();
    let _belfryd = Belfryd::start(CONFIG);
    let tail = host.run(|| Belfry::tail(HUB));
    let say = |text: &str| assert_eq!(host.run(|| Belfry::start(HUB, &["say", text]).end()), (String::new(), 0));
    say("line one");
    std::thread::sleep(Duration::from_secs(35));
    say("line two");
    assert!(eventually(|| tail.heard() == ["line one", "line two"]), "{:?}", tail.heard());
    assert_eq!(tail.told(), "", "and nobody was bothered meanwhile");
}
