//! The daemon of a machine, as its administrator sees it: its units, its lines in the journal, the ports that are open.

use crate::client::Client;
use crate::command::eventually;
use crate::machine::Machine;
use std::time::Duration;

/// The lines that mean one thing and always the same, as `packaging/belfry.catalog` has them.
pub(crate) const STARTED: &str = "e9cbf8437d3a4461bdf5a6ebaf217854";
pub(crate) const FAILED: &str = "80dde07adee6441b836f698a9bfd7d37";
pub(crate) const RELOADED: &str = "b52dad5fb0534cbc94e7cfc4068a49b2";
pub(crate) const RELOAD_FAILED: &str = "ec9edfb4671f4b259ec732a102dca4fe";

/// What README says to do when sockets are to change.
pub(crate) const APPLY: &str = "systemctl daemon-reload && systemctl restart belfry.target";

pub(crate) const TIME: &str = "127.0.0.1:8080";
pub(crate) const CHAT: &str = "127.0.0.1:9999";

/// A property of a unit, as `systemctl show` has it.
pub(crate) fn property(machine: &Machine, unit: &str, name: &str) -> String {
    machine.succeed(&format!("systemctl show --value --property={name} '{unit}'")).trim().to_owned()
}

/// What `systemctl is-active` says of a unit.
pub(crate) fn state(machine: &Machine, unit: &str) -> String {
    machine.run(&format!("systemctl is-active '{unit}'")).stdout.trim().to_owned()
}

/// The daemon's process, by its id on the machine; 0 when there is none.
pub(crate) fn process(machine: &Machine) -> u32 {
    property(machine, "belfryd", "MainPID").parse().unwrap()
}

/// What the journal has of one kind since the boot, an entry a line.
pub(crate) fn entries(machine: &Machine, kind: &str) -> Vec<String> {
    let text = machine.journal(&format!("--boot -o json --output-fields=MESSAGE MESSAGE_ID={kind}"));
    text.lines().map(str::to_owned).collect()
}

/// Waits until the daemon has failed, and has the one entry that says why. Nobody starts it again.
pub(crate) fn failure(machine: &Machine) -> String {
    assert!(eventually(|| state(machine, "belfryd") == "failed"), "it is {}", state(machine, "belfryd"));
    assert_eq!(property(machine, "belfryd", "ExecMainStatus"), "78");
    assert_eq!(property(machine, "belfryd", "NRestarts"), "0");
    entries(machine, FAILED).pop().expect("it says why")
}

/// The UDP ports that are open on the machine, which has no others than Belfry's, and the local sockets of Belfry.
pub(crate) fn open_sockets(machine: &Machine) -> Vec<String> {
    let local = ["control", "clock"].map(|name| format!("ss -H -l -n -x src /run/belfry/{name}")).join("; ");
    let shown = machine.succeed(&format!("ss -H -l -n -u; {local}"));
    shown.lines().map(str::to_owned).collect()
}

/// Whether a port is closed, as the kernel tells who sends to it.
pub(crate) fn is_closed(machine: &Machine, service: &str) -> bool {
    machine.in_network(|| {
        let client = Client::to(service);
        // The answer to the first is told to a later one.
        (0..10).any(|_| client.send("%H").is_err())
    })
}

/// What a time service calls its zone: UTC, when all is well.
pub(crate) fn ask(machine: &Machine, service: &str) -> String {
    machine.in_network(|| Client::to(service).ask("TZ=UTC %Z"))
}

/// Somebody who talks in the room, joined once and never again.
pub(crate) struct Guest(Client);

impl Guest {
    pub(crate) fn join(machine: &Machine, name: &str) -> Self {
        let client = machine.in_network(|| Client::to(CHAT));
        client.send("").unwrap();
        client.send(&format!("/nick {name}")).unwrap();
        client.wait_for(&format!("-- You are {name} now."));
        // Who has been there for a second is never forgotten, and who sends no heartbeats has longer than an upgrade takes.
        std::thread::sleep(Duration::from_secs(1));
        Self(client)
    }

    /// Whether it is still there under its name: who is not gets another.
    pub(crate) fn is_still(&self, name: &str) -> bool {
        // The first may only tell that one before it has found the port closed.
        let is_sent = self.0.send("still here").is_ok() || self.0.send("still here").is_ok();
        is_sent && self.0.wait_for(": still here") == format!("{name}: still here")
    }
}
