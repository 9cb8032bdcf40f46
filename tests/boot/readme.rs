//! README's way to install and to operate, typed as it stands by somebody who has the packages in a folder.

use crate::base::Suite;
use crate::machine::Machine;
use crate::packages::packages;
use crate::page::{commands, shape};

#[test]
fn what_the_page_says_of_installing_and_operating_is_so() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_fresh(suite) else { return };
        machine.bring(packages());
        let (install, operate) = (commands("Install it", "# "), commands("Operate it", "# "));
        assert!(install.len() >= 3 && operate.len() >= 12, "{install:?} {operate:?}");
        for (command, expected) in install.into_iter().chain(operate) {
            let said = machine.run(&format!("cd /srv/packages; {command}"));
            assert_eq!(said.status, 0, "{suite:?}: {command}: {said:?}");
            if expected.is_empty() {
                continue;
            }
            // Nothing disciplines the clock of this host, and that of the page is.
            let printed = said.stdout.replace("clock not synchronised", "clock synchronised");
            let shapes: Vec<_> = printed.lines().map(shape).collect();
            let expected: Vec<_> = expected.into_iter().map(shape).collect();
            assert_eq!(shapes, expected, "{suite:?}: {command} prints {printed:?}");
        }
    }
}

#[test]
fn the_pages_of_the_manual_and_the_completions_are_where_they_are_looked_for() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        for page in ["man1/belfry.1", "man5/belfry.toml.5", "man8/belfryd.8"] {
            let text = machine.succeed(&format!("zcat /usr/share/man/{page}.gz"));
            assert!(text.contains("\n.TH "), "{suite:?}: {page}: {text}");
        }
        let bash = "/usr/share/bash-completion/completions/belfry.bash";
        let loaded = machine.succeed(&format!("bash -c '. {bash} && complete -p belfry'"));
        assert!(loaded.ends_with(" belfry\n"), "{suite:?}: {loaded}");
        machine.succeed("grep -q '^#compdef belfry' /usr/share/zsh/vendor-completions/_belfry");
        machine.succeed("grep -q '^complete .*--command belfry' /usr/share/fish/vendor_completions.d/belfry.fish");
    }
}
