//! `belfry doctor`, and which server the other commands choose, in networks where something is wrong and where nothing is.

use crate::belfryd::{Belfryd, eventually, new_folder};
use crate::control::start;
use crate::netns::{self, Host, cable, ip, lose};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What `belfry` prints here, and how it ends. It has no contacts.
fn belfry(words: &str, control: &Path) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.env("XDG_CONFIG_HOME", new_folder()).env("BELFRY_CONTROL", control).env_remove("BELFRY_SERVER");
    let output = command.args(words.split(' ')).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (text, output.status.code().unwrap())
}

/// A doctor on another host: each check with its result, its text and what to do, and how it ends.
struct Diagnosis {
    findings: Vec<Value>,
    status: i32,
}

impl Diagnosis {
    fn on(host: &Host, words: &str) -> Self {
        let timeout = if words.contains("--timeout") { "" } else { " --timeout 1s" };
        let words = format!("doctor --json{timeout} {words}");
        let (printed, status) = host.run(|| belfry(&words, Path::new("/nowhere")));
        Self { findings: printed.lines().map(|line| serde_json::from_str(line).expect(&printed)).collect(), status }
    }

    fn of(&self, check: &str) -> &Value {
        self.findings.iter().find(|finding| finding["check"] == check).unwrap_or(&Value::Null)
    }

    /// The checks with this result.
    fn with(&self, result: &str) -> Vec<&str> {
        let with = self.findings.iter().filter(|finding| finding["result"] == result);
        with.map(|finding| finding["check"].as_str().unwrap()).collect()
    }

    fn text(&self, check: &str, part: &str) -> bool {
        ["text", "do"].iter().any(|key| self.of(check)[key].as_str().is_some_and(|text| text.contains(part)))
    }
}

/// A host that is connected to the test's.
fn neighbour() -> Option<Host> {
    if !netns::enter() {
        return None;
    }
    let host = Host::new();
    cable("lan", 1, &host);
    Some(host)
}

/// A daemon here, once it hears the group on the cable: the kernel takes a moment to see that it is plugged in.
fn serve(host: &Host) -> Belfryd {
    let belfryd = Belfryd::start("");
    let is_found = || host.run(|| belfry("time --timeout 200ms", Path::new("/nowhere"))).1 == 0;
    assert!(eventually(is_found), "{}", belfryd.log());
    belfryd
}

/// Has nftables drop what these rules match as it arrives here; whether it can.
fn drop_here(rules: &str) -> bool {
    let table = format!(
        "table inet doctor {{ chain arriving {{ type filter hook prerouting priority -450; {rules} counter drop; }}; }}"
    );
    let is_done = Command::new("nft").arg(table).output().is_ok_and(|output| output.status.success());
    if !is_done {
        println!("skipped: nft cannot drop anything");
    }
    is_done
}

#[test]
fn on_a_healthy_link_nothing_is_bad_and_the_server_is_found_by_its_group() {
    let Some(host) = neighbour() else { return };
    let _belfryd = serve(&host);
    let healthy = Diagnosis::on(&host, "--heartbeats 20");
    assert_eq!((healthy.with("bad"), healthy.status), (Vec::new(), 0), "{:?}", healthy.findings);
    let checks: Vec<_> = healthy.findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    let all = ["server", "time", "clock", "announcer", "discovery", "size", "chat", "loss", "access"];
    assert_eq!(checks, all);
    assert!(healthy.text("server", "it has answered discovery"), "{:?}", healthy.of("server"));
    let loss = healthy.of("loss");
    assert_eq!((loss["sent"].as_u64(), loss["lost"].as_u64()), (Some(20), Some(0)));
    assert!(loss["round_trip_min_ms"].as_f64() <= loss["round_trip_max_ms"].as_f64());
}

#[test]
fn nobody_in_the_lobby_hears_of_a_doctor() {
    let Some(host) = neighbour() else { return };
    let belfryd = serve(&host);
    let lobby = belfryd.client("chat");
    lobby.send("hello\n");
    while !lobby.receive().ends_with("hello\n") {}
    assert_eq!(Diagnosis::on(&host, "--heartbeats 1").status, 0);
    assert_eq!(lobby.waiting(), Vec::<String>::new());
}

#[test]
fn a_firewall_that_drops_one_service_is_told_with_the_port_to_look_for() {
    let Some(host) = neighbour() else { return };
    let _belfryd = serve(&host);
    if !drop_here("udp dport 9999") {
        return;
    }
    let walled = Diagnosis::on(&host, "--server 10.77.1.1");
    assert_eq!((walled.with("bad"), walled.status), (vec!["chat"], 1), "{:?}", walled.findings);
    assert!(walled.text("chat", "drops udp/9999"), "{:?}", walled.of("chat"));
    assert!(walled.text("chat", "belfry access 10.77.1.2 --service chat"), "{:?}", walled.of("chat"));
}

#[test]
fn loss_is_counted_and_more_than_a_little_of_it_is_bad() {
    let Some(host) = neighbour() else { return };
    let _belfryd = serve(&host);
    if !lose(30) {
        return;
    }
    let lossy = Diagnosis::on(&host, "--server 10.77.1.1 --heartbeats 40 --timeout 10s");
    let loss = lossy.of("loss");
    assert!(loss["result"] == "bad" && loss["lost"].as_u64() > Some(2), "{:?}", lossy.findings);
    assert_eq!(lossy.status, 1);
}

#[test]
fn a_link_with_a_small_mtu_is_told_and_one_that_loses_fragments_is_bad() {
    let Some(host) = neighbour() else { return };
    let _belfryd = serve(&host);
    ip("link set lan0 mtu 1000");
    host.run(|| ip("link set lan1 mtu 1000"));
    let small = Diagnosis::on(&host, "--server 10.77.1.1 --heartbeats 1");
    assert!(small.of("size")["result"] == "note" && small.text("size", "in fragments"), "{:?}", small.of("size"));
    assert!(small.text("size", "the MTU of the way there is 1000"), "{:?}", small.of("size"));
    assert_eq!(small.status, 0);
    if !host.run(|| drop_here("ip frag-off & 0x1fff != 0")) {
        return;
    }
    let broken = Diagnosis::on(&host, "--server 10.77.1.1 --heartbeats 1");
    assert_eq!((broken.with("bad"), broken.status), (vec!["size"], 1), "{:?}", broken.findings);
}

#[test]
fn a_host_that_is_kept_out_is_told_what_to_ask_the_server() {
    let Some(host) = neighbour() else { return };
    let (_belfryd, control) = start("[access]\ndeny = [\"10.77.1.2\"]\n");
    let stranger = Diagnosis::on(&host, "--server 10.77.1.1");
    assert_eq!((stranger.with("ok"), stranger.status), (vec!["server"], 2), "{:?}", stranger.findings);
    assert!(stranger.text("access", "belfry access 10.77.1.2"), "{:?}", stranger.of("access"));
    let (printed, status) = belfry("doctor --heartbeats 1", &control);
    assert_eq!(status, 0, "{printed}");
    assert!(printed.ends_with("ok    access: the daemon of this host lets us in\n"), "{printed}");
}

#[test]
fn one_service_that_is_denied_here_is_explained_in_the_words_of_the_daemon() {
    if !netns::enter() {
        return;
    }
    let (_belfryd, control) = start("[chat]\ndeny = [\"127.0.0.1\"]\n");
    let (printed, status) = belfry("doctor --timeout 1s --server 127.0.0.1", &control);
    assert_eq!(status, 1, "{printed}");
    let told = printed.lines().find(|line| line.starts_with("bad   access: ")).expect(&printed);
    assert!(told.contains("deny"), "{told}");
}

#[test]
fn a_server_that_is_not_there_is_no_answer() {
    let Some(host) = neighbour() else { return };
    let dead = Diagnosis::on(&host, "--server 10.77.1.1");
    assert_eq!((dead.with("ok"), dead.status), (vec!["server"], 2), "{:?}", dead.findings);
    assert!(dead.text("time", "nobody listens on 10.77.1.1:8080/udp"), "{:?}", dead.of("time"));
}

#[test]
fn a_command_that_is_told_no_server_asks_that_of_its_host_and_else_one_of_the_network() {
    let Some(host) = neighbour() else { return };
    let nowhere = Path::new("/nowhere");
    let config = |word| format!("[time]\ntimezone = \"UTC\"\ndefault-format = \"{word} %Z\"\n");
    let there = host.run(|| Belfryd::start(&config("there")));
    let asked = |told: &str| eventually(|| belfry("time --timeout 200ms", nowhere) == (told.to_owned(), 0));
    assert!(asked("there UTC\n"));
    let here = Belfryd::start(&config("here"));
    assert!(asked("here UTC\n"));
    drop((here, there));
    let (printed, status) = belfry("time --timeout 300ms", nowhere);
    let told = |port| {
        format!(
            "belfry: no server found: nobody listens on 127.0.0.1:{port}/udp, and nobody answered on the network; \
             name a server with --server HOST\n"
        )
    };
    assert_eq!((printed, status), (told(8080), 2));
    // Nobody is to wait for a server that nothing has told of.
    for words in ["tail", "chat --plain", "history", "say hello"] {
        assert_eq!(belfry(&format!("{words} --timeout 300ms"), nowhere), (told(9999), 2), "{words}");
    }
}

#[test]
fn of_three_servers_two_tell_the_time_and_the_dead_one_is_a_line() {
    let Some(host) = neighbour() else { return };
    let _here = Belfryd::start("");
    let _there = host.run(|| Belfryd::start(""));
    let servers = "--server 127.0.0.1 --server 10.77.1.9 --server 10.77.1.2";
    let (printed, status) = belfry(&format!("time --timeout 500ms {servers} %%"), Path::new("/nowhere"));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines.len(), status), (4, 0), "{printed}");
    for (line, begin) in
        lines.iter().zip(["127.0.0.1  %  ", "10.77.1.9  no answer", "10.77.1.2  %  ", "largest difference: "])
    {
        assert!(line.starts_with(begin), "{printed}");
    }
}
