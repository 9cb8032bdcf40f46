//! What a fresh installation does.

use crate::base::Suite;
use crate::client::Client;
use crate::common::netns;
use crate::machine::Machine;

#[test]
fn the_package_is_installed_booted_and_asked_for_the_time() {
    for suite in Suite::ALL {
        let Some(mut machine) = Machine::boot_with_belfry(suite) else { return };
        let ask_and_look = |machine: &Machine| {
            assert_eq!(machine.succeed("echo TZ=UTC %Z | nc -u -w1 127.0.0.1 8080"), "UTC\n", "{suite:?}");
            assert_eq!(machine.succeed("systemctl is-active belfryd"), "active\n", "{suite:?}");
            let journal = machine.journal("--boot -u belfryd -o cat");
            for service in ["time", "chat", "announce"] {
                assert!(journal.contains(&format!("{service} listens on ")), "{suite:?}: {journal}");
            }
        };
        ask_and_look(&machine);
        machine.power_off();
        machine.boot();
        ask_and_look(&machine);
        machine.pull_the_plug();
        machine.boot();
        ask_and_look(&machine);
    }
}

#[test]
fn another_host_on_the_cable_is_answered() {
    let Some(machine) = Machine::boot_with_belfry(Suite::Trixie) else { return };
    let asked = std::thread::scope(|scope| {
        let host = scope.spawn(|| {
            assert!(netns::enter(), "root may");
            machine.cable("lan", 1);
            Client::to("10.77.1.2:8080").ask("TZ=UTC %Z")
        });
        host.join().unwrap()
    });
    assert_eq!(asked, "UTC");
}

#[test]
fn what_the_administrator_writes_is_in_force_after_a_restart() {
    let Some(machine) = Machine::boot_with_belfry(Suite::Bookworm) else { return };
    machine.write("/etc/belfry/conf.d/site.toml", "[time]\ndefault-format = \"belfry %Z\"\n");
    machine.succeed("systemctl restart belfryd");
    assert_eq!(machine.succeed("echo | nc -u -w1 127.0.0.1 8080"), "belfry UTC\n");
}
