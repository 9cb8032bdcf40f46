//! The daemon ends and comes back, under load, and nobody in the room notices.
//!
//! Members and askers do not know of it. What they send meanwhile waits in the kernel, in sockets that systemd holds;
//! who they are waits in its fd store; what they have said is in the state directory.

use crate::account::Account;
use crate::base::Suite;
use crate::client::Client;
use crate::command::eventually;
use crate::load::{Load, Member};
use crate::machine::Machine;
use crate::packages::UPGRADE;
use crate::under_load::CROWD;
use std::fs;
use std::time::{Duration, Instant};

/// The daemon takes so many datagrams at once from a socket, so that many may be in its hand when it dies.
const BATCH: u32 = 64;

/// How much more may be lost than nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// The daemon is asked to end, so it ends when it has done what it had begun.
    Nothing,
    /// It has no such chance: what it had read and not answered yet goes with it.
    WhatWasInHand,
    /// The sockets go too, with what waits in them, and for a moment nobody listens.
    WhatWasInTheSockets,
}

#[test]
fn a_restart_is_noticed_by_nobody() {
    for suite in Suite::ALL {
        nobody_notices(suite, Allowed::Nothing, |machine| machine.succeed("systemctl restart belfryd"));
    }
}

#[test]
fn a_daemon_that_is_killed_is_missed_by_nobody() {
    for suite in Suite::ALL {
        nobody_notices(suite, Allowed::WhatWasInHand, |machine| {
            machine.succeed("systemctl kill --signal=SIGKILL belfryd")
        });
    }
}

#[test]
fn a_daemon_that_hangs_is_ended_by_the_watchdog_and_missed_by_nobody() {
    for suite in Suite::ALL {
        nobody_notices(suite, Allowed::WhatWasInHand, |machine| {
            machine.succeed("systemctl kill --signal=SIGSTOP belfryd")
        });
    }
}

#[test]
fn an_upgrade_of_the_packages_is_noticed_by_nobody() {
    for suite in Suite::ALL {
        nobody_notices(suite, Allowed::Nothing, |machine| {
            machine.succeed(UPGRADE);
            machine.succeed("dpkg-query -W -f '${Version}' belfryd | grep -q +upgrade")
        });
    }
}

#[test]
fn one_crash_after_another_is_missed_by_nobody() {
    nobody_notices(Suite::Bookworm, Allowed::WhatWasInHand, |machine| {
        for _ in 0..4 {
            let before = machine.daemon();
            machine.succeed("systemctl kill --signal=SIGKILL belfryd");
            wait_for_another_than(machine, before);
        }
        machine.succeed("systemctl kill --signal=SIGKILL belfryd")
    });
}

#[test]
fn everybody_is_still_in_the_room_after_a_restart_of_the_target_and_its_sockets() {
    for suite in Suite::ALL {
        nobody_notices(suite, Allowed::WhatWasInTheSockets, |machine| {
            machine.succeed("systemctl restart belfry.target")
        });
    }
}

/// The disk is this host's, which keeps what its kernel has not written yet: that alone a real power cut would cost.
#[test]
fn what_was_acked_is_in_the_history_after_a_power_cut() {
    for suite in Suite::ALL {
        let Some(mut machine) = Machine::boot_with_belfry(suite) else { return };
        let load = Load::start(&machine, CROWD);
        std::thread::sleep(Duration::from_secs(4));
        machine.pull_the_plug();
        let (account, _) = load.stop();
        println!("{suite:?}, the power cut:\n{account}");
        assert!(account.texts().arrived > 20);
        machine.boot();
        // One of each room.
        for number in 0..2 {
            let member = machine.in_network(|| Member::join(number, false));
            everything_acked_is_in_the_history(&account, &member);
        }
    }
}

#[test]
fn a_stop_is_not_undone_by_the_next_datagram() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed("systemctl stop belfry.target");
        machine.in_network(|| {
            for service in ["127.0.0.1:8080", "127.0.0.1:9999", "127.0.0.1:8001"] {
                // The port is closed, which the second call may tell.
                let client = Client::to(service);
                (0..2).for_each(|_| drop(client.send("Notify")));
            }
        });
        std::thread::sleep(Duration::from_secs(1));
        for unit in ["belfryd.service", "belfry-time.socket", "belfry-chat.socket", "belfry-announce.socket"] {
            assert_eq!(machine.run(&format!("systemctl is-active {unit}")).stdout, "inactive\n", "{suite:?} {unit}");
        }
        machine.succeed("systemctl start belfry.target");
        assert!(eventually(|| machine.daemon().is_some()));
        assert_eq!(machine.in_network(|| Client::to("127.0.0.1:8080").ask("TZ=UTC %Z")), "UTC");
    }
}

/// Has `end` end the daemon under load, and holds everything against the load's account when it is back.
fn nobody_notices(suite: Suite, allowed: Allowed, end: impl FnOnce(&Machine) -> String) {
    let Some(machine) = Machine::boot_with_belfry(suite) else { return };
    machine.write("/etc/systemd/system/belfryd.service.d/soon.conf", "[Service]\nWatchdogSec=2s\n");
    machine.succeed("systemctl daemon-reload && systemctl restart belfryd");
    let load = Load::start(&machine, CROWD);
    // Who has been there for a second is never forgotten.
    std::thread::sleep(Duration::from_secs(2));

    let before = machine.daemon();
    let asked_to_end = Instant::now();
    end(&machine);
    let is_sudden = allowed == Allowed::WhatWasInHand;
    assert!(!is_sudden || eventually(|| !is_busy(&machine, before)), "it goes on");
    let down = if is_sudden { Instant::now() } else { asked_to_end };
    wait_for_another_than(&machine, before);
    let back = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let stopped = Instant::now();
    let (account, members) = load.stop();

    let (requests, texts) = (account.requests_between(down, back), account.texts_between(down, back));
    println!("{suite:?}, {:?} down:\n{account}", back - down);
    println!("while it was down: requests {requests:?}, texts {texts:?}");
    assert_eq!((account.doubled(), account.disordered), (0, 0), "{suite:?}");
    assert_eq!((account.notices.len(), account.strange.len()), (0, 0), "{suite:?}");
    if allowed == Allowed::WhatWasInTheSockets {
        let since = (account.requests_between(back, stopped), account.texts_between(back, stopped));
        assert!(since.0.sent > 0 && since.1.sent > 0, "{suite:?}: {since:?}");
        assert_eq!((since.0.lost(), since.1.lost()), (0, 0), "{suite:?}");
    } else {
        assert!(requests.sent > 0, "the daemon was not down");
        assert_eq!((requests.lost(), texts.lost(), account.unsent), (0, 0, 0), "{suite:?}");
        assert!(account.requests().lost() <= BATCH && account.texts().lost() <= BATCH, "{suite:?}");
    }
    if allowed == Allowed::Nothing {
        let lost = (account.requests().lost(), account.texts().lost(), account.deliveries().lost());
        assert_eq!(lost, (0, 0, 0), "{suite:?}");
    }
    for person in &members[members.len() - usize::from(CROWD.people)..] {
        let mut expected: Vec<_> =
            members.iter().filter(|member| member.room == person.room).map(|member| member.name.clone()).collect();
        expected.sort_unstable();
        assert_eq!(person.who(), expected, "{suite:?}");
        everything_acked_is_in_the_history(&account, person);
    }
}

/// What its sender has seen come back was said, whatever happened then.
fn everything_acked_is_in_the_history(account: &Account, member: &Member) {
    let history = member.history();
    let missing: Vec<_> = account.acked_lines(member.room).filter(|line| !history.contains(*line)).collect();
    assert!(missing.is_empty(), "not in the history: {missing:?}\n{history}");
}

fn wait_for_another_than(machine: &Machine, before: Option<u32>) {
    assert!(eventually(|| machine.daemon().is_some_and(|now| Some(now) != before)), "it does not come back");
}

/// Whether a process does something, or would: it is neither gone nor stopped.
fn is_busy(machine: &Machine, process: Option<u32>) -> bool {
    let process = process.expect("it ran before");
    let status = fs::read_to_string(machine.path(&format!("/proc/{process}/status"))).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("Z");
    !["Z", "X", "T"].iter().any(|letter| state.trim().starts_with(letter))
}
