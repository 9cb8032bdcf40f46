//! The ports: those that `belfry.toml` names, changed, switched off and on by the command on README's page, and what is
//! told when they cannot be had.

use crate::base::Suite;
use crate::belfryd::{
    APPLY, FAILED, Guest, RELOAD_FAILED, TIME, ask, entries, failure, is_closed, open_sockets, process, state,
};
use crate::client::Client;
use crate::command::{PATIENCE, eventually};
use crate::machine::Machine;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

const FILE: &str = "/etc/belfry/conf.d/site.toml";
const OTHER_PORT: &str = "[time]\nlisten = [\"0.0.0.0:8090\", \"[::]:8090\"]\n";
const OTHER_TIME: &str = "127.0.0.1:8090";
const NO_ANNOUNCER: &str = "[announce]\nenabled = false\n";
const ANNOUNCER: &str = "127.0.0.1:8001";
const WITH_ECHO: &str = "[echo]\nenabled = true\ntransform = \"upper\"\n";
const ECHO: &str = "127.0.0.1:8888";

/// Where an administrator changes the unit that the generator writes.
const EDITED: &str = "/etc/systemd/system/belfry-time.socket.d/edited.conf";

#[test]
fn a_changed_port_takes_the_command_that_a_reload_names() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let guest = Guest::join(&machine, "anna");
        machine.write(FILE, OTHER_PORT);
        let said = machine.run("systemctl reload belfryd");
        assert_ne!(said.status, 0, "{suite:?}");
        let told = entries(&machine, RELOAD_FAILED);
        let names = |part: &str| told.len() == 1 && told[0].contains(part);
        assert!(names("time 0.0.0.0:8090") && names("belfry-time.socket") && names(APPLY), "{suite:?}: {told:?}");
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");

        machine.succeed(APPLY);
        assert_eq!(ask(&machine, OTHER_TIME), "UTC", "{suite:?}");
        assert!(is_closed(&machine, TIME), "{suite:?}");
        assert!(guest.is_still("anna"), "{suite:?}");
    }
}

#[test]
fn a_socket_that_is_restarted_is_served_and_so_is_everything_however_often_it_is_restarted() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let guest = Guest::join(&machine, "anna");
        for socket in ["belfry-chat.socket", "belfry-time.socket", "belfry-control.socket", "belfry-clock.socket"] {
            machine.succeed(&format!("systemctl restart {socket}"));
            assert!(eventually(|| machine.run("belfry ctl status").status == 0), "{suite:?}, {socket}");
            assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}, {socket}");
            assert!(guest.is_still("anna"), "{suite:?}, {socket}");
        }
        for _ in 0..8 {
            machine.succeed("systemctl restart belfry.target");
        }
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
        assert!(guest.is_still("anna"), "{suite:?}");
    }
}

#[test]
fn a_service_is_switched_off_and_on_by_the_same_command() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let guest = Guest::join(&machine, "anna");
        let sockets = open_sockets(&machine).len();
        machine.write(FILE, NO_ANNOUNCER);
        machine.succeed(APPLY);
        assert!(is_closed(&machine, ANNOUNCER), "{suite:?}");
        assert_eq!(open_sockets(&machine).len(), sockets - 2, "{suite:?}");
        assert_eq!(state(&machine, "belfry-announce.socket"), "inactive", "{suite:?}");
        assert_eq!(state(&machine, "belfry-hold@announce.service"), "inactive", "{suite:?}");
        assert_eq!(machine.run("systemctl --failed --no-legend").stdout, "", "{suite:?}");

        // One that was never on, beside it.
        machine.write(FILE, WITH_ECHO);
        machine.succeed(APPLY);
        let asked = machine.in_network(|| Client::to(ANNOUNCER).ask("Notify"));
        assert!(asked.starts_with("Acknowlege belfry/1 ") && asked.contains(" echo=8888"), "{suite:?}: {asked}");
        assert_eq!(machine.in_network(|| Client::to(ECHO).ask("hello")), "HELLO", "{suite:?}");
        assert_eq!(shout(&machine), "HELLO", "{suite:?}");
        // Its socket is systemd's, so whoever connects while the daemon is away waits for the next.
        machine.succeed("systemctl kill --signal=SIGKILL belfryd");
        assert_eq!(shout(&machine), "HELLO", "{suite:?}");
        assert!(guest.is_still("anna"), "{suite:?}");
    }
}

#[test]
fn what_is_asked_of_a_daemon_that_was_stopped_alone_waits_for_its_start() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed("systemctl stop belfryd");
        let waiting = machine.in_network(|| Client::to(TIME));
        waiting.send("TZ=UTC %Z").unwrap();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(state(&machine, "belfryd"), "inactive", "{suite:?}");
        assert_eq!(waiting.receive(), None, "{suite:?}");
        machine.succeed("systemctl start belfryd");
        assert_eq!(waiting.wait_for(""), "UTC", "{suite:?}");
    }
}

#[test]
fn what_is_stopped_or_disabled_has_nothing_open() {
    for suite in Suite::ALL {
        let Some(mut machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed("systemctl stop belfry.target");
        assert_is_off(&machine);
        assert!(is_closed(&machine, TIME), "{suite:?}");
        assert_is_off(&machine);

        machine.succeed("systemctl disable belfry.target");
        machine.power_off();
        machine.boot();
        assert_is_off(&machine);
        machine.succeed("systemctl enable belfry.target");
        machine.power_off();
        machine.boot();
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
    }
}

#[test]
fn a_port_that_somebody_else_has_is_told_with_its_unit() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed("systemctl stop belfry.target");
        assert_is_off(&machine);
        let somebody = machine.in_network(|| UdpSocket::bind("0.0.0.0:8080").unwrap());
        machine.run("systemctl start belfry.target");
        let told = failure(&machine);
        assert!(told.contains("time 0.0.0.0:8080") && told.contains("belfry-time.socket"), "{suite:?}: {told}");
        let unit = machine.journal("--boot -u belfry-time.socket -o cat");
        assert!(unit.contains("0.0.0.0:8080") && unit.contains("Address already in use"), "{suite:?}: {unit}");

        drop(somebody);
        machine.succeed("systemctl restart belfry.target");
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
    }
}

#[test]
fn a_socket_unit_that_is_masked_is_told_with_its_port() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed("systemctl mask --now belfry-time.socket");
        machine.run("systemctl restart belfry.target");
        let told = failure(&machine);
        assert!(told.contains("time 0.0.0.0:8080") && told.contains("belfry-time.socket"), "{suite:?}: {told}");
        assert_eq!(entries(&machine, FAILED).len(), 1, "{suite:?}");

        machine.succeed("systemctl unmask belfry-time.socket");
        machine.succeed(APPLY);
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
    }
}

#[test]
fn a_socket_unit_that_was_edited_is_told_with_its_address() {
    let edits = [
        (
            "ListenDatagram=\nListenDatagram=0.0.0.0:8090\n",
            ["time 0.0.0.0:8080", "belfry-time.socket has 0.0.0.0:8090"],
        ),
        ("ListenDatagram=\nListenStream=0.0.0.0:8080\n", ["belfry-time.socket", "0.0.0.0:8080 is not a UDP socket"]),
        ("BindIPv6Only=both\n", ["belfry-time.socket", "[::]:8080 takes IPv4 too"]),
    ];
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        for (edit, parts) in edits {
            machine.write(EDITED, &format!("[Socket]\n{edit}"));
            machine.run(APPLY);
            let told = failure(&machine);
            assert!(parts.iter().all(|part| told.contains(part)), "{suite:?}: {told}");
        }
        assert_eq!(entries(&machine, FAILED).len(), edits.len(), "{suite:?}");
        machine.succeed(&format!("rm {EDITED}"));
        machine.succeed(APPLY);
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
    }
}

/// What comes back of a word by TCP.
fn shout(machine: &Machine) -> String {
    machine.in_network(|| {
        let mut stream = TcpStream::connect(ECHO).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).unwrap();
        String::from_utf8(back.to_vec()).unwrap()
    })
}

/// Nothing of it runs, and no socket of it is open. `systemctl` waits for the target alone, so it may take a moment.
fn assert_is_off(machine: &Machine) {
    let units = "belfry.target belfryd.service belfry-clock.service 'belfry-*.socket' 'belfry-hold@*.service'";
    let running = || machine.succeed(&format!("systemctl list-units --no-legend --plain --state=active {units}"));
    assert!(eventually(|| running().is_empty() && open_sockets(machine).is_empty()), "{}", running());
    assert_eq!((process(machine), state(machine, "belfryd")), (0, "inactive".to_owned()));
}
