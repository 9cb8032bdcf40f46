//! What the journal has of the daemon, what it explains, and what becomes of lines while it hangs.

use crate::base::Suite;
use crate::client::Client;
use crate::command::eventually;
use crate::load::Member;
use crate::machine::Machine;

/// A line for each message, so that there are more than the socket of the journal holds.
const LOG_MESSAGES: &str = "[chat]\nlog-messages = true\n";
const SAID: &str = "MESSAGE_ID=c749febaa0ce4f288084ced7dfbdad58";
const LINES_LOST: &str = "MESSAGE_ID=adcb3a2c13684291803ea58a39f33620";

#[test]
fn a_journal_that_hangs_holds_up_nobody_and_the_lines_that_are_lost_are_counted() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.write("/etc/belfry/conf.d/site.toml", LOG_MESSAGES);
        machine.succeed("systemctl reload belfryd");
        let (members, asker) = machine.in_network(|| {
            let members: Vec<_> = (0..8).map(|number| Member::join(number, false)).collect();
            (members, Client::to("127.0.0.1:8080"))
        });
        machine.succeed("systemctl kill --signal=SIGSTOP systemd-journald");
        let rounds = 180;
        for round in 0..rounds {
            members.iter().for_each(|member| member.say(&format!("this is round {round}")));
            assert_eq!(asker.ask(&format!("TZ=UTC {round} %Z")), format!("{round} UTC"));
        }
        machine.succeed("systemctl kill --signal=SIGCONT systemd-journald");
        let (mut told, mut written, mut lost) = (String::new(), 0, 0);
        let mut sent = rounds * members.len();
        let all_is_told = eventually(|| {
            members[0].say("is it back?");
            sent += 1;
            told = machine.journal(&format!("-u belfryd {LINES_LOST} -o cat"));
            lost =
                told.lines().filter_map(|line| line.strip_suffix(" log lines were lost")?.parse::<usize>().ok()).sum();
            written = machine.journal(&format!("-u belfryd {SAID} -o cat")).lines().count();
            lost > 0 && written + lost == sent
        });
        println!("{suite:?}: texts sent {sent}, arrived {sent}; of their lines written {written}, told as lost {lost}");
        assert!(all_is_told, "{suite:?}: {told}");

        machine.succeed("systemctl restart systemd-journald");
        members[0].say("and after another start of it?");
        let lines = machine.journal(&format!("-u belfryd {SAID} -o cat"));
        assert!(lines.ends_with("program0: and after another start of it?\n"), "{suite:?}");
    }
}

#[test]
fn what_is_said_is_in_the_journal_by_its_room_once_that_is_switched_on_and_newcomers_are_told() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let members = machine.in_network(|| [0, 1].map(|number| Member::join(number, false)));
        members.iter().for_each(|member| member.say("between us"));
        machine.write("/etc/belfry/conf.d/site.toml", LOG_MESSAGES);
        machine.succeed("systemctl reload belfryd");
        members.iter().for_each(|member| member.say("for the record"));
        members[0].send("/msg program1 for you alone");
        members[1].client.wait_for("for you alone");

        let journal = machine.journal("-u belfryd ROOM=lobby -o json --output-fields=ROOM,MEMBER,MESSAGE_ID,MESSAGE");
        assert_eq!(journal.lines().count(), 1, "{suite:?}: {journal}");
        for field in [
            r#""ROOM":"lobby""#,
            r#""MEMBER":"program0""#,
            r#""MESSAGE_ID":"c749febaa0ce4f288084ced7dfbdad58""#,
            r#""MESSAGE":"lobby: program0: for the record""#,
        ] {
            let journal = journal.replace("\" : \"", "\":\"");
            assert!(journal.contains(field), "{suite:?}, {field}: {journal}");
        }
        assert!(!machine.journal("-u belfryd").contains("between us"), "{suite:?}");
        assert!(!machine.journal("-u belfryd").contains("for you alone"), "{suite:?}");
        let explained = machine.journal("-u belfryd --catalog ROOM=workshop");
        assert!(
            explained.contains("program1 said this in workshop. It is here because log-messages is on"),
            "{explained}"
        );

        let newcomer = machine.in_network(|| Client::to("127.0.0.1:9999"));
        newcomer.send("hello\n").unwrap();
        newcomer.wait_for("-- Whoever runs this host has what is said in rooms written to its log.");
    }
}
