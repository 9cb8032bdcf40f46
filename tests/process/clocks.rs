//! Clocks that ask `[ntp]`: the programs that people set theirs by, and what the answers say of when they came and went.
//!
//! Each test has a network of its own, so the daemon has its real ports. The clock that is asked is that of the programs, so
//! they have to find hardly any difference.

use crate::belfryd::{Belfryd, Client, new_folder};
use crate::netns;
use crate::person::{is_installed, shell};
use belfry::clock::{SOURCE_DATE, wall};
use belfry::core::NtpTimestamp;
use std::time::Duration;

/// NTP and the two older services, and nothing else.
const CLOCK: &str = r#"
[time]
enabled = false
[chat]
enabled = false
[announce]
enabled = false
[ntp]
enabled = true
local-stratum = 10
listen-rfc868 = ["127.0.0.1:37"]
listen-rfc867 = ["127.0.0.1:13"]
"#;

/// How each program says by how many seconds its clock differs: a line of shell, and what stands before the number.
const CLIENTS: [(&str, &str, &str); 3] = [
    (
        "chronyd",
        "chronyd -u root -Q 'server SERVER iburst maxsamples 1' 'port 0' 'cmdport 0' 'pidfile FOLDER/pid' 2>&1",
        "System clock wrong by ",
    ),
    ("ntpdig", "ntpdig --json SERVER", "\"offset\":"),
    ("busybox", "timeout 3 busybox ntpd -dnqw -p SERVER 2>&1", "offset:"),
];

/// The largest of the differences that is believed to be none, in seconds.
const DIFFERENCE_MAX: f64 = 0.001;

/// How often each is asked: on a busy machine a datagram may be under way for longer one way than the other.
const TRIES: usize = 5;

/// Whether there is a network, and a clock that shows a time at all.
fn enter() -> bool {
    if wall().as_second() < SOURCE_DATE {
        println!("skipped: the clock of this host is before the date of these sources");
        return false;
    }
    netns::enter()
}

/// Whether there is a program that asks, and not only one of that name.
fn is_client(program: &str) -> bool {
    let can_ask = program != "busybox" || shell("busybox --list 2>&1").lines().any(|applet| applet == "ntpd");
    if !can_ask {
        println!("skipped: this busybox has no ntpd");
    }
    is_installed(program) && can_ask
}

#[test]
fn the_programs_that_people_set_clocks_by_find_no_difference() {
    if !enter() {
        return;
    }
    let _belfryd = Belfryd::start(CLOCK);
    let folder = new_folder();
    for (program, line, before) in CLIENTS.into_iter().filter(|(program, ..)| is_client(program)) {
        for server in ["127.0.0.1", "::1"] {
            let line = line.replace("SERVER", server).replace("FOLDER", &folder.display().to_string());
            let mut told = String::new();
            let agrees = (0..TRIES).any(|_| {
                let said = shell(&format!("TZ=UTC LC_ALL=C {line}"));
                let number = said.rsplit_once(before).and_then(|(_, rest)| rest.split([' ', ',', '\n']).next());
                told.push_str(&said);
                number.and_then(|number| number.parse().ok()).is_some_and(|offset: f64| offset.abs() < DIFFERENCE_MAX)
            });
            assert!(agrees, "{program}, {server}: {told}");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A question of a client of version 4 that left at this moment.
fn question(sent: NtpTimestamp) -> Vec<u8> {
    [&[0x23][..], &[0; 39], &sent.to_bytes()].concat()
}

/// Asks, and says when the question left, came, the answer left, and came.
fn ask(client: &Client) -> [[u8; 8]; 4] {
    let sent = NtpTimestamp::of(wall());
    client.send(question(sent));
    let mut answer = [0; 100];
    assert_eq!(client.0.recv(&mut answer).unwrap(), 48);
    let moment = |at: usize| answer[at..at + 8].try_into().unwrap();
    assert_eq!(moment(24), sent.to_bytes());
    [sent.to_bytes(), moment(32), moment(40), NtpTimestamp::of(wall()).to_bytes()]
}

#[test]
fn a_question_came_after_it_had_left_and_its_answer_left_after_that_and_before_it_came() {
    if !enter() {
        return;
    }
    let belfryd = Belfryd::start(CLOCK);
    for server in ["127.0.0.1:123", "[::1]:123"] {
        let client = Client::to(server.parse().unwrap());
        for _ in 0..10 {
            let moments = ask(&client);
            assert!(moments.is_sorted(), "{server}: {moments:x?}");
        }
    }
    // The kernel's moment of arrival: nothing was read while the daemon stood still.
    let client = Client::to("127.0.0.1:123".parse().unwrap());
    belfryd.signal(nix::sys::signal::Signal::SIGSTOP);
    client.send(question(NtpTimestamp::UNKNOWN));
    let before = NtpTimestamp::of(wall()).to_bytes();
    belfryd.signal(nix::sys::signal::Signal::SIGCONT);
    let mut answer = [0; 48];
    client.0.recv(&mut answer).unwrap();
    assert!(answer[32..40] < before[..], "it came before the daemon could see it");
    assert!(answer[40..48] > before[..], "and its answer left after that");
}

#[test]
fn who_asks_too_often_is_told_so_and_not_each_time() {
    if !enter() {
        return;
    }
    let _belfryd = Belfryd::start(&format!("{CLOCK}rate-limit = \"1/s burst 10\"\n"));
    let client = Client::to("127.0.0.1:123".parse().unwrap());
    (0..200).for_each(|_| client.send(question(NtpTimestamp::UNKNOWN)));
    let (mut answered, mut told) = (0, 0);
    client.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut answer = [0; 48];
    while client.0.recv(&mut answer).is_ok() {
        let is_told = (answer[0], answer[1], &answer[12..16]) == (0xe4, 0, b"RATE");
        (answered, told) = (answered + u32::from(!is_told), told + u32::from(is_told));
    }
    assert!(answered >= 10 && told > 0, "{answered} answers, {told} times RATE");
    assert!(answered + told < 150, "{answered} answers, {told} times RATE");
}

#[test]
fn the_older_ways_to_tell_the_time_have_clients_too() {
    if !enter() {
        return;
    }
    let _belfryd = Belfryd::start(CLOCK);
    if is_installed("nc.openbsd") {
        let text = shell("echo | nc.openbsd -u -w1 127.0.0.1 13");
        assert!(text.contains(shell("LC_ALL=C date -u '+%A, %B %-d, %Y'").trim_end()), "{text}");
        assert!(text.ends_with("-UTC\r\n"), "{text}");
    }
    if is_installed("rdate") {
        // -u: by RFC 868 over UDP; -n: by NTP; -p: print, and set nothing.
        for options in ["-pu", "-pn"] {
            let told = shell(&format!("TZ=UTC LC_ALL=C rdate {options} 127.0.0.1"));
            let date = |text: &str| shell(&format!("date -u -d '{}' +%s", text.trim_end())).trim_end().parse::<i64>();
            let difference = date(&told).unwrap() - wall().as_second();
            assert!((-60..=1).contains(&difference), "{options}: {told}");
        }
    }
}
