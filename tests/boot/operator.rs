//! What an operator does: looks how it is, and gives orders, as root or as one of the group.

use crate::base::Suite;
use crate::command::eventually;
use crate::load::Member;
use crate::machine::Machine;

#[test]
fn root_and_the_group_may_give_orders_and_nobody_else() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed("useradd --groups belfry anna && useradd eve");
        for (who, in_the_log) in [("root", "of user 0"), ("anna", "of another user")] {
            let ctl = |order: &str| machine.succeed(&format!("runuser -u {who} -- belfry ctl {order}"));
            let (program, person) = machine.in_network(|| (Member::join(0, false), Member::join(2, true)));
            let status = ctl("status");
            let process = machine.daemon().expect("it runs");
            let parts = [
                format!("process {process}, up for "),
                "members        2 in 1 room\n".to_owned(),
                "log level      info\n".to_owned(),
                "members handed to the service manager, histories in /var/lib/belfry/history\n".to_owned(),
                "time 0.0.0.0:8080/udp\n".to_owned(),
                "chat [::]:9999/udp\n".to_owned(),
            ];
            parts.iter().for_each(|part| assert!(status.contains(part), "{suite:?}, {part}: {status}"));
            let members = ctl("members");
            assert!(members.contains("program0") && members.contains("person2"), "{suite:?}: {members}");
            assert!(ctl("stats --json").contains(r#"{"service":"chat","answered":"#), "{suite:?}");

            let explained = machine.succeed(&format!("runuser -u {who} -- belfry access ::1"));
            let by_rule =
                |line: &str| line.ends_with(": ::1 is let in by \"on-link\" in [access] allow: it is in ::1/128");
            assert!(explained.lines().count() == 5 && explained.lines().all(by_rule), "{suite:?}: {explained}");

            assert_eq!(ctl("log-level debug"), "log level debug until the next reload\n", "{suite:?}");
            machine.succeed("systemctl reload belfryd");
            assert!(ctl("status").contains("log level      info\n"), "{suite:?}");

            assert!(ctl("kick program0").contains(" is removed from lobby\n"), "{suite:?}");
            person.client.wait_for("-- program0 ");
            assert_eq!(person.who(), ["person2"], "{suite:?}");
            let line = machine.journal("MESSAGE_ID=67e400d7772542bca057d7d9185f1ad8 -o cat");
            let last = line.lines().last().unwrap_or_default();
            assert!(last.contains(&format!(" {in_the_log} removes program0 from lobby")), "{suite:?}: {line}");
            [program, person].iter().for_each(|member| member.send("quit"));
            assert!(eventually(|| ctl("members") == "nobody is here\n"), "{suite:?}");
        }
        for order in ["status", "members", "stats", "reload", "log-level debug", "kick program0"] {
            let said = machine.run(&format!("runuser -u eve -- belfry ctl {order}"));
            let reason = "belfry: cannot reach /run/belfry/control: you are not in the group belfry\n";
            assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (1, "", reason), "{suite:?}");
        }
    }
}

#[test]
fn the_service_manager_shows_who_is_there_and_how_the_clock_is() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let status = || machine.succeed("systemctl status belfryd --no-pager -n0 | grep Status");
        let clock = status().rsplit_once(", clock ").map(|(_, clock)| clock.trim_end().to_owned());
        let clock = clock.expect("it is told from the start");
        assert!(["synchronised\"", "not synchronised\""].contains(&clock.as_str()), "{suite:?}: {clock}");
        let _members = machine.in_network(|| [0, 1, 2].map(|number| Member::join(number, false)));
        let expected = format!("\"3 members in 2 rooms, clock {clock}\n");
        assert!(eventually(|| status().ends_with(&expected)), "{suite:?}: {}", status());
    }
}
