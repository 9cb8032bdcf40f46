//! What programs are told of the people and the rooms of a real hub: `belfry who`, `belfry rooms`, and what bash offers behind
//! TAB. Nobody is in a room for it.

use crate::belfryd::{Belfryd, QUIET, eventually, new_folder};
use crate::netns::{self, Host, cable};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::time::Duration;

/// Anna in the lobby and away, Bob and Carl in the tea room.
fn hall() -> (Belfryd, Vec<crate::belfryd::Client>) {
    let daemon = Belfryd::start(&QUIET.replace("[chat]", "[chat]\nmax-members-per-address = 200"));
    let lines = [
        &["/nick Anna", "/away out; for lunch"][..],
        &["/nick bob", "/join Tea", "/topic green"],
        &["/nick carl", "/join tea"],
    ];
    let members = lines.map(|lines| {
        let member = daemon.client("chat");
        lines.iter().for_each(|line| drop(member.ask(line)));
        member
    });
    (daemon, members.into())
}

fn belfry(addr: SocketAddr, words: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command.args(["--server", &addr.to_string(), "--timeout", "2s"]).args(words).env("XDG_CONFIG_HOME", "/nonexistent");
    let Output { status, stdout, stderr } = command.output().unwrap();
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap(), status.code())
}

/// A name and what is said of it, without how long ago it said something.
fn said(output: &str) -> Vec<String> {
    let words = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .map(|mut words| {
            words.remove(1);
            words.join(" ")
        })
        .collect()
}

#[test]
fn who_and_rooms_list_who_is_there_and_nobody_is_told_that_somebody_has_asked() {
    let (daemon, members) = hall();
    let addr = daemon.addr("chat");
    let person = daemon.client("chat");
    person.ask("/nick dora\n");
    person.receive();
    let (output, complaints, status) = belfry(addr, &["who"]);
    assert_eq!(
        (said(&output), complaints.as_str(), status),
        (vec!["Anna away: out; for lunch".to_owned(), "dora".to_owned()], "", Some(0))
    );
    assert_eq!(said(&belfry(addr, &["who", "#TEA"]).0), ["bob", "carl"]);
    assert_eq!(belfry(addr, &["rooms"]).0, "lobby  2\nTea    2  green\n");
    let (json, _, _) = belfry(addr, &["who", "tea", "--json"]);
    let bob: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&bob["name"], &bob["room"], &bob["away"]), (&"bob".into(), &"tea".into(), &false.into()), "{json}");
    let tea = r#"{"name":"Tea","members":2,"topic":"green"}"#;
    assert_eq!(belfry(addr, &["rooms", "--json"]).0.lines().last(), Some(tea));
    let (_, complaints, status) = belfry(addr, &["who", "nowhere"]);
    assert_eq!((complaints.as_str(), status), ("belfry: there is no room nowhere; belfry rooms lists them\n", Some(1)));
    assert_eq!(belfry(addr, &["who", "two words"]).2, Some(64));
    assert_eq!((person.waiting(), members[0].waiting()), (vec![], vec![]));
}

#[test]
fn a_hub_that_is_silent_is_said_after_the_timeout_and_one_that_is_not_there_at_once() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = silent.local_addr().unwrap();
    let (_, complaints, status) = belfry(addr, &["rooms", "--timeout", "300ms"]);
    assert_eq!((complaints, status), (format!("belfry: no answer from {addr}/udp within 300ms\n"), Some(2)));
    drop(silent);
    let (_, complaints, status) = belfry(addr, &["who"]);
    assert_eq!((complaints, status), (format!("belfry: nobody listens on {addr}/udp\n"), Some(1)));
}

/// What the client that was made from the page alone prints of a room, or of all.
fn python(daemon: &Belfryd, room: &str) -> Vec<serde_json::Value> {
    let addr = daemon.addr("chat");
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protocol/session.py"));
    python.args([&addr.ip().to_string(), &addr.port().to_string(), "--list", room]);
    let output = python.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_client_made_from_the_page_lists_rooms_and_members_over_several_pages() {
    let (daemon, _members) = hall();
    let crowd: Vec<_> = (0..90).map(|_| daemon.client("chat")).collect();
    crowd.iter().enumerate().for_each(|(number, member)| drop(member.ask(format!("/nick member-{number:02}"))));
    let lobby = python(&daemon, "LOBBY");
    let names: Vec<_> = lobby.iter().map(|member| member["name"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = (0..90).map(|number| format!("member-{number:02}")).collect();
    assert_eq!((names[0].as_str(), &names[1..]), ("Anna", &expected[..]));
    assert_eq!((&lobby[0]["words"][0], &lobby[0]["text"]), (&"away".into(), &"out; for lunch".into()));
    assert_eq!((&lobby[1]["words"][0], &lobby[1]["text"]), (&"here".into(), &serde_json::Value::Null));
    let rooms: Vec<_> =
        python(&daemon, "*").iter().map(|room| (room["name"].to_string(), room["members"].to_string())).collect();
    let pair = |name: &str, members: &str| (format!("{name:?}"), format!("{members:?}"));
    assert_eq!(rooms, [pair("lobby", "91"), pair("Tea", "2")]);
}

/// What bash offers beside options for the last word of this line, which readline takes apart as bash does; contacts are in this folder.
fn offered_with(contacts: &std::path::Path, line: &str) -> Vec<String> {
    let parts = line.replace(':', " : ").replace('=', " = ");
    let parts: Vec<&str> = parts.split(' ').collect();
    let driver = r#"
        . <(COMPLETE=bash "$1"); shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
        _clap_complete_belfry belfry "${COMP_WORDS[COMP_CWORD]}" ""
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", driver, "bash", env!("CARGO_BIN_EXE_belfry")]).args(parts);
    bash.env("XDG_CONFIG_HOME", contacts).env_remove("BELFRY_SERVER");
    let output = bash.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().filter(|line| !line.is_empty() && !line.starts_with("--")).map(str::to_owned).collect()
}

fn offered(line: &str) -> Vec<String> {
    offered_with(&new_folder(), line)
}

#[test]
fn bash_offers_the_rooms_the_members_and_the_contacts_of_the_moment() {
    let (daemon, members) = hall();
    let server = format!("--server {}", daemon.addr("chat"));
    assert_eq!(offered(&format!("belfry {server} who ")), ["Tea", "lobby"]);
    assert_eq!(offered(&format!("belfry who {server} lo")), ["lobby"]);
    assert_eq!(offered(&format!("belfry say {server} --room ")), ["Tea", "lobby"]);
    assert_eq!(offered(&format!("belfry say {server} --room=lo")), ["lobby"]);
    assert_eq!(offered(&format!("belfry tail {server} --room lobby --room T")), ["Tea"]);
    assert_eq!(offered(&format!("belfry msg {server} ")), ["Anna", "bob", "carl"]);
    assert_eq!(offered(&format!("belfry msg {server} b")), ["bob"]);
    assert_eq!(offered(&format!("belfry tail {server} --name ")), Vec::<String>::new(), "a name of its own");
    let folder = new_folder();
    std::fs::create_dir(folder.join("belfry")).unwrap();
    std::fs::write(folder.join("belfry/belfry.toml"), "[servers]\nschool = \"192.0.2.1\"\nhome = \"192.0.2.2:7\"\n")
        .unwrap();
    assert_eq!(offered_with(&folder, "belfry who --server "), ["home", "school"]);
    assert_eq!(offered_with(&folder, "belfry --server s"), ["school"]);
    assert_eq!(belfry(daemon.addr("chat"), &["rooms"]).0, "lobby  1\nTea    2  green\n", "nobody has come in");
    assert!(members.iter().all(|member| member.waiting().is_empty()), "and nobody was told");
}

#[test]
fn where_nobody_answers_bash_is_offered_nothing_and_nothing_is_said_and_that_ends() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = silent.local_addr().unwrap();
    assert_eq!(offered(&format!("belfry msg --server {addr} ")), Vec::<String>::new());
    drop(silent);
    assert_eq!(offered(&format!("belfry who --server {addr} ")), Vec::<String>::new());
    // A hub that says yes, and then goes on for ever.
    let endless = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    endless.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let addr = endless.local_addr().unwrap();
    let hub = std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((len, from)) = endless.recv_from(&mut buffer) {
            std::thread::sleep(Duration::from_millis(5));
            let asked = String::from_utf8_lossy(&buffer[..len]).into_owned();
            let mark = asked.split(" mark=").nth(1).unwrap().split(['^', ' ']).next().unwrap();
            let page = format!("^rooms count=9 next=b mark={mark} len=12^a members=1\n");
            endless.send_to(page.as_bytes(), from).unwrap();
        }
    });
    assert_eq!(offered(&format!("belfry who --server {addr} ")), Vec::<String>::new());
    // It hears no more questions, else it would not end.
    hub.join().unwrap();
}

/// What `belfry` says on a terminal beside what it prints, with these variables.
fn said_on_a_terminal(variables: &str, words: &str) -> String {
    let belfry = format!("{variables} {} {words} > /dev/null", env!("CARGO_BIN_EXE_belfry"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &belfry, "/dev/null"]).stdin(std::process::Stdio::null());
    script.env("XDG_CONFIG_HOME", "/nonexistent").env_remove("BELFRY_SERVER");
    String::from_utf8(script.output().unwrap().stdout).unwrap()
}

#[test]
fn nothing_is_said_into_a_line_that_somebody_is_typing_although_there_are_several_servers() {
    if !netns::enter() {
        return;
    }
    let hosts = [Host::new(), Host::new()];
    cable("lan", 1, &hosts[0]);
    cable("wan", 2, &hosts[1]);
    let _servers = hosts.each_ref().map(|host| host.run(|| Belfryd::start("")));
    assert!(eventually(|| said_on_a_terminal("", "rooms").starts_with("belfry: 2 servers here; ")));
    for _ in 0..5 {
        assert_eq!(said_on_a_terminal("COMPLETE=bash _CLAP_COMPLETE_INDEX=2", "-- belfry who lo"), "");
    }
}

#[test]
fn a_server_that_is_named_by_its_address_is_asked_whatever_the_contacts_look_like() {
    let folder = new_folder();
    std::fs::create_dir(folder.join("belfry")).unwrap();
    std::fs::write(folder.join("belfry/belfry.toml"), "server = ").unwrap();
    let daemon = Belfryd::start(QUIET);
    let run = |server: &str, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
        command.args(["--server", server]).args(words).env("XDG_CONFIG_HOME", &folder);
        command.output().unwrap().status.code()
    };
    let (time, chat) = (daemon.addr("time").to_string(), daemon.addr("chat").to_string());
    assert_eq!(run(&time, &["time", "%H"]), Some(0));
    for words in [&["who"][..], &["rooms"], &["say", "--name", "anna", "hello"], &["history", "--name", "anna"]] {
        assert_eq!(run(&chat, words), Some(0), "{words:?}");
    }
    assert_eq!(run("tower", &["who"]), Some(1), "a name may be one of theirs");
}
