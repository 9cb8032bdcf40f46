//! The clock of another machine is set by `[ntp]`, which `belfry.toml` alone switches on: systemd-timesyncd takes the time from
//! port 123 of the same machine.
//!
//! A container has no clock of its own, so nothing may be set there: timesyncd is told to run all the same, without the
//! right to, and shows what it would have done.

use crate::base::Suite;
use crate::belfryd::APPLY;
use crate::command::eventually;
use crate::machine::Machine;

const NTP: &str = "[ntp]\nenabled = true\nlocal-stratum = 10\n";

/// What keeps timesyncd from running in a container, and would keep it from starting.
const ALL_THE_SAME: &str = "\
[Unit]
ConditionVirtualization=
ConditionCapability=
[Service]
AmbientCapabilities=
CapabilityBoundingSet=
";

#[test]
fn timesyncd_takes_the_time_from_a_server_that_one_key_switches_on() {
    // One is enough: it is the same program in both.
    let Some(machine) = Machine::boot_with_belfry(Suite::Trixie) else { return };
    machine.write("/etc/belfry/conf.d/site.toml", NTP);
    machine.succeed(APPLY);
    machine.write("/etc/systemd/timesyncd.conf.d/belfry.conf", "[Time]\nNTP=127.0.0.1\nFallbackNTP=\n");
    machine.write("/etc/systemd/system/systemd-timesyncd.service.d/container.conf", ALL_THE_SAME);
    machine.succeed("systemctl daemon-reload && systemctl start systemd-timesyncd");
    let journal = || machine.journal("-u systemd-timesyncd -o cat");
    assert!(eventually(|| journal().contains("Contacted time server 127.0.0.1:123 (127.0.0.1)")), "{}", journal());
    let shown = machine.succeed("timedatectl show-timesync --property=NTPMessage --value");
    for part in [" Leap=0,", " Mode=4,", " Stratum=10,", " Ignored=no,"] {
        assert!(shown.contains(part), "{shown}");
    }
}
