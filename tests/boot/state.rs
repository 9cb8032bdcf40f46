//! The state directory takes no more, or is full of what is none of ours: talk goes on, and whatever can be kept is kept.

use crate::base::Suite;
use crate::load::Member;
use crate::machine::Machine;

const DIRECTORY: &str = "/var/lib/belfry";

/// What the daemon says of it in the journal.
const STATE_DEGRADED: &str = "MESSAGE_ID=ee3bf53eedc44f248e4ad5f04e42ef0d -o cat";

/// Whatever an administrator or a broken disk may leave there. The good lines are among them, and one that is torn.
const RUBBISH: &str = r#"set -e
systemctl stop belfryd
cd /var/lib/belfry
rm -rf history; mkdir history; cd history
kept() { echo '{"room":"lobby","when":"2026-11-21T08:00:00Z","line":"anna: '"$1"'"}'; }
kept 'the first that is kept' > lobby.jsonl
head -c 5000 /dev/urandom >> lobby.jsonl
echo >> lobby.jsonl
kept 'the second that is kept' >> lobby.jsonl
kept 'this is torn' | head -c 40 >> lobby.jsonl
head -c 300000 /dev/urandom > workshop.jsonl
head -c 300000 /dev/zero > zeros.jsonl
head -c 5000 /dev/urandom > new
mkdir folder.jsonl
mkfifo pipe.jsonl
ln -s /etc/shadow shadow.jsonl
ln -s nowhere dangling.jsonl
kept 'of another room' > other.jsonl
kept 'unreadable' > locked.jsonl
chmod 0 locked.jsonl
printf x > "$(printf 'a\nb')"
chown --recursive --no-dereference belfry:belfry .
systemctl start belfryd
"#;

#[test]
fn a_disk_that_is_full_costs_one_warning_and_no_message() {
    for suite in Suite::ALL {
        a_disk_takes_no_more(suite, "head -c 1M /dev/zero > filler 2>/dev/null || true", "rm filler");
    }
}

#[test]
fn a_disk_that_becomes_read_only_costs_one_warning_and_no_message() {
    for suite in Suite::ALL {
        a_disk_takes_no_more(suite, "mount -o remount,ro .", "mount -o remount,rw .");
    }
}

/// One that is broken while there is talk in two rooms, stays so over a restart, and is mended.
fn a_disk_takes_no_more(suite: Suite, break_it: &str, mend_it: &str) {
    let Some(machine) = Machine::boot_with_belfry(suite) else { return };
    let on_the_disk = |line: &str| machine.succeed(&format!("cd {DIRECTORY} && {line}"));
    machine.succeed("systemctl stop belfryd");
    machine.succeed(&format!("mount -t tmpfs -o size=64k tmpfs {DIRECTORY} && systemctl start belfryd"));
    let members = machine.in_network(|| [0, 1].map(|number| Member::join(number, false)));
    let all_say = |count: usize, what: &str| {
        (0..count).for_each(|number| members.iter().for_each(|member| member.say(&format!("{what} {number}"))));
        count * members.len()
    };
    all_say(5, "before");
    on_the_disk(break_it);
    let process = machine.daemon();
    let said = all_say(60, &"x".repeat(500));
    println!("{suite:?}: on a disk that takes no more, sent {said}, arrived {said}, lost 0");
    assert_eq!(machine.journal(STATE_DEGRADED).lines().count(), 1, "{suite:?}");
    assert_eq!(machine.daemon(), process, "{suite:?}");
    let status = machine.succeed("belfry ctl status");
    assert!(status.contains("/var/lib/belfry/history cannot be written"), "{suite:?}: {status}");

    // What is on it is read, and nobody has to come again.
    machine.succeed("systemctl restart belfryd");
    let have = |what: &str| {
        members.iter().for_each(|member| {
            let history = member.history();
            assert!(history.contains(&format!("{}: {what}", member.name)), "{suite:?}, {what}:\n{history}");
        });
    };
    have("before 0");
    all_say(3, "meanwhile");
    have("meanwhile 2");
    assert_eq!(machine.journal(STATE_DEGRADED).lines().count(), 2, "{suite:?}: one from each process");

    on_the_disk(mend_it);
    machine.succeed("systemctl restart belfryd");
    all_say(1, "after");
    machine.succeed("systemctl restart belfryd");
    ["before 4", "after 0"].into_iter().for_each(have);
    assert_eq!(machine.journal(STATE_DEGRADED).lines().count(), 2, "{suite:?}");
    let restarts = machine.succeed("systemctl show --property=NRestarts belfryd");
    assert_eq!(restarts, "NRestarts=0\n", "{suite:?}: it has crashed");
}

#[test]
fn of_a_directory_full_of_rubbish_what_makes_sense_is_kept_and_talk_goes_on() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        machine.succeed(RUBBISH);
        let members = machine.in_network(|| [0, 1].map(|number| Member::join(number, false)));
        members.iter().for_each(|member| member.say("this is new"));
        machine.succeed("systemctl restart belfryd");
        members.iter().for_each(|member| member.say("hello again"));
        let histories = members.each_ref().map(Member::history);
        for kept in ["anna: the first that is kept", "anna: the second that is kept", "program0: this is new"] {
            assert!(histories[0].contains(kept), "{suite:?}, {kept}:\n{}", histories[0]);
        }
        assert!(histories[1].contains("program1: this is new"), "{suite:?}:\n{}", histories[1]);
        for strange in ["torn", "of another room", "unreadable", "root:"] {
            assert!(!histories.concat().contains(strange), "{suite:?}, {strange}:\n{histories:?}");
        }
        // One line for each start, however much there is.
        let lines = machine.journal("-u belfryd -o cat --grep 'no histories of ours'");
        println!("{suite:?}: {lines}");
        assert_eq!(lines.lines().count(), 2, "{suite:?}");
        assert_eq!(machine.succeed("systemctl show --property=NRestarts belfryd"), "NRestarts=0\n", "{suite:?}");
        assert_eq!(machine.succeed(&format!("readlink {DIRECTORY}/history/shadow.jsonl")), "/etc/shadow\n");
    }
}

#[test]
fn a_file_in_the_place_of_the_directory_costs_one_warning_and_no_message() {
    let Some(machine) = Machine::boot_with_belfry(Suite::Trixie) else { return };
    machine.succeed("systemctl stop belfryd");
    machine.succeed(&format!("rm -rf {DIRECTORY}/history && touch {DIRECTORY}/history && systemctl start belfryd"));
    let member = machine.in_network(|| Member::join(0, false));
    (0..20).for_each(|number| member.say(&format!("hello {number}")));
    assert_eq!(machine.journal(STATE_DEGRADED).lines().count(), 1);
    assert!(member.history().contains("program0: hello 0"));
}

#[test]
fn what_was_said_is_there_after_a_reboot_and_who_said_it_unless_the_plug_was_pulled() {
    for suite in Suite::ALL {
        let Some(mut machine) = Machine::boot_with_belfry(suite) else { return };
        let members = machine.in_network(|| [0, 1].map(|number| Member::join(number, false)));
        members.iter().for_each(|member| member.say(&format!("I am {}", member.name)));
        drop(members);
        for (off, expected) in [(Machine::power_off as fn(&mut Machine), 2), (Machine::pull_the_plug, 0)] {
            off(&mut machine);
            machine.boot();
            let status = machine.succeed("belfry ctl status");
            assert!(status.contains(&format!("members        {expected} in ")), "{suite:?}: {status}");
            for number in 0..2 {
                let member = machine.in_network(|| Member::join(number, true));
                let history = member.history();
                assert!(history.contains(&format!("program{number}: I am program{number}")), "{suite:?}:\n{history}");
            }
        }
    }
}
