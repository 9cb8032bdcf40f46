//! A configuration with a mistake in it, on a machine that runs: nobody in the room notices, whoever asked is told the
//! place, and when it is mended everything goes on with what has waited.

use crate::base::Suite;
use crate::belfryd::{
    APPLY, FAILED, Guest, RELOAD_FAILED, RELOADED, STARTED, TIME, ask, entries, failure, open_sockets, process,
    property, state,
};
use crate::client::Client;
use crate::command::eventually;
use crate::machine::Machine;
use std::time::Duration;

const FILE: &str = "/etc/belfry/conf.d/site.toml";

/// The mistake is in the second line.
const BAD: &str = "[chat]\nheartbeat-interval = \"20s\"\n";
const GOOD: &str = "[chat]\nheartbeat-interval = \"2s\"\n";

const MISTAKE: &str = "/etc/belfry/conf.d/site.toml:2:22: heartbeat-interval must be shorter than heartbeat-timeout";

/// The sockets of the default configuration: three services with two addresses each, control, and the clock's.
const SOCKETS: usize = 3 * 2 + 2;

#[test]
fn a_reload_with_a_mistake_fails_with_its_place_and_changes_nothing() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let guest = Guest::join(&machine, "anna");
        let before = process(&machine);
        machine.write(FILE, BAD);
        assert_ne!(machine.run("systemctl reload belfryd").status, 0, "{suite:?}");
        let told = entries(&machine, RELOAD_FAILED);
        assert!(told.len() == 1 && told[0].contains(MISTAKE), "{suite:?}: {told:?}");
        assert!(guest.is_still("anna") && process(&machine) == before, "{suite:?}");
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
        assert_eq!(entries(&machine, RELOADED).len(), 0, "{suite:?}");

        machine.write(FILE, GOOD);
        machine.succeed("systemctl reload belfryd");
        assert_eq!(entries(&machine, RELOADED).len(), 1, "{suite:?}");
        assert!(guest.is_still("anna") && process(&machine) == before, "{suite:?}");
    }
}

#[test]
fn a_restart_with_a_mistake_fails_once_and_what_waited_is_answered_when_it_is_mended() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.write(FILE, BAD);
        assert_ne!(machine.run("systemctl restart belfryd").status, 0, "{suite:?}");
        let told = failure(&machine);
        assert!(told.contains(MISTAKE), "{suite:?}: {told}");
        let waiting = nobody_starts_it(&machine);

        machine.write(FILE, GOOD);
        machine.succeed("systemctl start belfryd");
        waiting.iter().for_each(|client| assert_eq!(client.wait_for(""), "UTC", "{suite:?}"));
    }
}

#[test]
fn a_boot_with_a_mistake_is_told_and_mended() {
    for suite in Suite::ALL {
        let Some(mut machine) = Machine::boot_with_belfry(suite) else { return };
        machine.write(FILE, BAD);
        machine.power_off();
        machine.boot();
        assert_eq!(machine.run("systemctl is-system-running").stdout, "degraded\n", "{suite:?}");
        let told = failure(&machine);
        assert!(told.contains(MISTAKE), "{suite:?}: {told}");
        assert_eq!(entries(&machine, FAILED).len(), 1, "{suite:?}");
        // What the generator says before there is a journal goes to the kernel's log, which a container does not have.
        let console = machine.console();
        assert!(console.contains("belfry-generator failed with exit status 78"), "{suite:?}: {console}");
        let status = machine.run("systemctl status belfryd --no-pager").stdout;
        assert!(status.contains(MISTAKE), "{suite:?}: {status}");

        machine.write(FILE, GOOD);
        machine.succeed(APPLY);
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
        assert_eq!(open_sockets(&machine).len(), SOCKETS, "{suite:?}");
        assert_eq!(machine.run("systemctl is-system-running").stdout, "running\n", "{suite:?}");
    }
}

#[test]
fn a_mistake_closes_no_socket_when_somebody_else_has_systemd_read_its_units_again() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let invocation = |unit: &str| property(&machine, unit, "InvocationID");
        let guest = Guest::join(&machine, "anna");
        let (daemon, socket) = (process(&machine), invocation("belfry-time.socket"));
        machine.write(FILE, BAD);
        machine.succeed("systemctl daemon-reload");
        let complaint = machine.journal("--boot -t belfryd -o cat");
        assert!(complaint.contains(MISTAKE), "{suite:?}: {complaint}");
        assert!(complaint.contains("the sockets of the last good configuration stay"), "{suite:?}: {complaint}");
        assert!(guest.is_still("anna") && process(&machine) == daemon, "{suite:?}");
        assert_eq!(invocation("belfry-time.socket"), socket, "{suite:?}");

        // Nobody can help a daemon that dies now, but its sockets wait for the next.
        machine.succeed("systemctl kill --signal=SIGKILL belfryd");
        assert!(eventually(|| state(&machine, "belfryd") == "failed"), "{suite:?}");
        let told = entries(&machine, FAILED);
        assert!(told.len() == 1 && told[0].contains(MISTAKE), "{suite:?}: {told:?}");
        assert_eq!(invocation("belfry-time.socket"), socket, "{suite:?}");
        let waiting = machine.in_network(|| Client::to(TIME));
        waiting.send("TZ=UTC %Z").unwrap();

        machine.write(FILE, GOOD);
        machine.succeed("systemctl start belfryd");
        assert_eq!(waiting.wait_for(""), "UTC", "{suite:?}");
        assert_eq!(open_sockets(&machine).len(), SOCKETS, "{suite:?}");
        assert_eq!(invocation("belfry-time.socket"), socket, "{suite:?}");
        // Mended, it survives what it could not before.
        let mended = process(&machine);
        machine.succeed("systemctl kill --signal=SIGKILL belfryd");
        assert!(eventually(|| ![0, mended].contains(&process(&machine))), "{suite:?}");
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
    }
}

/// Has requests come for three seconds to a daemon that has failed, which none of them starts; they wait.
fn nobody_starts_it(machine: &Machine) -> Vec<Client> {
    let tries = || (property(machine, "belfryd", "ExecMainStartTimestampMonotonic"), entries(machine, STARTED).len());
    let before = tries();
    let waiting = machine.in_network(|| {
        let ask = |_| {
            let client = Client::to(TIME);
            client.send("TZ=UTC %Z").unwrap();
            std::thread::sleep(Duration::from_millis(100));
            client
        };
        (0..30).map(ask).collect()
    });
    assert_eq!(tries(), before);
    assert_eq!(entries(machine, FAILED).len(), 1);
    assert_eq!(property(machine, "belfryd", "NRestarts"), "0");
    waiting
}
