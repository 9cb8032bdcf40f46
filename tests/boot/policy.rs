//! What Debian's policy asks of packages: what the administrator has changed stays, an upgrade disturbs nobody, and
//! what was purged leaves nothing behind.

use crate::base::Suite;
use crate::belfryd::{Guest, TIME, ask, open_sockets, process, property};
use crate::command::{run, succeed};
use crate::machine::Machine;
use crate::packages::{CHECKOUT, UPGRADE, packages};
use std::collections::BTreeSet;
use std::process::Command;

/// What an installation leaves in the accounts of others, by the beginning of the path.
const NOT_OURS: [(&str, &str); 6] = [
    ("/srv/packages", "the packages themselves"),
    ("/var/lib/dpkg/", "dpkg's account of what it did, with copies of the one before"),
    ("/var/cache/", "apt's and debconf's caches"),
    ("/var/log/", "the logs of apt, dpkg and the journal"),
    ("/var/lib/apt/", "apt's account of what was asked for"),
    ("/etc/.pwd.lock", "the lock of whoever changes users"),
];

/// The copies that are made of the users before they change.
const BACKUPS: [&str; 6] =
    ["/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"];

/// The exposure that README promises, of 10.
const EXPOSURE_MAX: f64 = 0.2;

#[test]
fn a_reinstallation_keeps_what_the_administrator_has_written_without_a_question() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed("echo '# ours' >> /etc/belfry/belfry.toml");
        let edited = machine.succeed("cat /etc/belfry/belfry.toml");
        let before = process(&machine);
        let told = machine.succeed("cd /srv/packages && apt-get install --yes --reinstall ./*.deb 2>&1");
        assert!(!told.contains("Configuration file"), "{suite:?}: {told}");
        assert_ne!(process(&machine), before, "{suite:?}: it is not installed anew: {told}");
        assert_eq!(machine.succeed("cat /etc/belfry/belfry.toml"), edited, "{suite:?}");
        assert_eq!(machine.run("ls /etc/belfry").stdout, "belfry.toml\nconf.d\n", "{suite:?}");
    }
}

#[test]
fn an_upgrade_restarts_the_daemon_and_no_socket() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let units = "belfry.target belfry-time.socket belfry-chat.socket belfry-announce.socket belfry-netlink.socket \
                     belfry-control.socket belfry-clock.socket belfry-hold@time.service belfry-hold@chat.service";
        let starts =
            || units.split_whitespace().map(|unit| property(&machine, unit, "InvocationID")).collect::<Vec<_>>();
        let guest = Guest::join(&machine, "anna");
        let (daemon, clock, others) = (process(&machine), property(&machine, "belfry-clock", "MainPID"), starts());
        assert!(others.iter().all(|id| !id.is_empty()), "{suite:?}: {others:?}");
        machine.succeed(UPGRADE);
        assert!(machine.succeed("dpkg-query -W -f '${Version}' belfryd").ends_with("+upgrade"), "{suite:?}");
        assert!(![0, daemon].contains(&process(&machine)), "{suite:?}");
        assert_ne!(property(&machine, "belfry-clock", "MainPID"), clock, "{suite:?}");
        assert_eq!(starts(), others, "{suite:?}");
        assert!(guest.is_still("anna"), "{suite:?}");
    }
}

#[test]
fn a_removal_keeps_what_was_said_and_a_purge_leaves_nothing() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_fresh(suite) else { return };
        let (files, settings) = (files(&machine), settings(&machine));
        machine.install(packages());
        assert!(Guest::join(&machine, "anna").is_still("anna"), "{suite:?}");
        machine.write("/etc/belfry/conf.d/site.toml", "[chat]\nhistory = 8\n");
        machine
            .succeed("systemctl disable belfry.target && systemctl enable belfry.target && systemctl reload belfryd");

        machine.succeed("apt-get remove --yes belfryd belfry");
        assert_eq!(open_sockets(&machine), [""; 0], "{suite:?}");
        let units = machine.succeed("systemctl list-units --no-legend --plain --state=active 'belfry*'");
        let units: Vec<_> = units.lines().filter(|line| !line.contains(".slice ")).collect();
        assert_eq!(units, [""; 0], "{suite:?}");
        assert_eq!(machine.run("grep --no-messages ^belfry /proc/[0-9]*/comm").stdout, "", "{suite:?}");
        let kept = ["/etc/belfry/belfry.toml", "/etc/belfry/conf.d/site.toml", "/var/lib/belfry/history/lobby.jsonl"];
        machine.succeed(&format!("ls {}", kept.join(" ")));

        // What comes back is what was there.
        machine.install(packages());
        assert_eq!(ask(&machine, TIME), "UTC", "{suite:?}");
        machine.succeed("apt-get purge --yes belfryd belfry");
        let left: Vec<_> = self::files(&machine).symmetric_difference(&files).cloned().collect();
        assert_eq!(left, [""; 0], "{suite:?}");
        let changed: Vec<_> = self::settings(&machine).symmetric_difference(&settings).cloned().collect();
        assert_eq!(changed, [""; 0], "{suite:?}");
        assert_eq!(open_sockets(&machine), [""; 0], "{suite:?}");
        assert_eq!(machine.run("ls -d /run/belfry*").stdout, "", "{suite:?}");
        assert_eq!(machine.run("systemctl --failed --no-legend").stdout, "", "{suite:?}");
    }
}

#[test]
fn the_sandbox_is_as_tight_as_the_page_says_and_the_units_have_no_mistake() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let told = machine.succeed("systemd-analyze security --no-pager belfryd.service");
        let level = told.split_once("Overall exposure level for belfryd.service: ").map(|(_, level)| level);
        let level = level.and_then(|level| level.split_whitespace().next()?.parse::<f64>().ok());
        assert!(level.is_some_and(|level| level <= EXPOSURE_MAX), "{suite:?}: {told}");

        let units = "belfry.target belfryd.service belfry-clock.service belfry-clock.socket belfry-hold@time.service \
                     $(ls -d /run/systemd/generator/belfry-*.socket)";
        let said = machine.run(&format!("systemd-analyze verify --man=no {units}"));
        assert_eq!((said.status, said.stdout + &said.stderr), (0, String::new()), "{suite:?}");
    }
}

#[test]
fn the_checker_of_debian_finds_neither_error_nor_warning() {
    if !crate::command::can_boot() {
        return;
    }
    let make = |what: &str| {
        let mut command = Command::new("make");
        command.arg(what).current_dir(CHECKOUT);
        command
    };
    packages();
    if run(&mut make("lint-deb-packages")).status != 0 {
        println!("skipped: lintian cannot be installed");
        return;
    }
    succeed(&mut make("lint-deb"));
}

/// Every file and folder of the machine that is not in somebody else's account.
fn files(machine: &Machine) -> BTreeSet<String> {
    let is_ours =
        |path: &&str| !NOT_OURS.iter().any(|(beginning, _)| path.starts_with(beginning)) && !BACKUPS.contains(path);
    machine.succeed("find / -xdev").lines().filter(is_ours).map(str::to_owned).collect()
}

/// Every file of `/etc` with the sum of its content, users and groups included.
fn settings(machine: &Machine) -> BTreeSet<String> {
    let is_ours = |line: &&str| !BACKUPS.iter().any(|backup| line.ends_with(&format!(" {backup}")));
    let sums = machine.succeed("find /etc -xdev -type f ! -name .pwd.lock -exec md5sum {} +");
    sums.lines().filter(is_ours).map(str::to_owned).collect()
}
