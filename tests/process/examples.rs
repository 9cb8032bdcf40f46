//! Every example of belfry(1), run as it stands, in a network with the servers and files that they speak of.

use crate::belfryd::{eventually, new_folder};
use crate::control::start;
use crate::netns::{self, Host, cable, ip};
use crate::talking::Belfry;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the page shows without a definition of clap's.
const PAGE: &str = include_str!("../../packaging/man/belfry.1");

/// The contacts whose names stand in examples.
const CONTACTS: &str = "[servers]\nworkshop = \"192.0.2.7\"\nattic = \"192.0.2.8\"\n";

/// Each command with its examples, and those of the commands below it.
fn examples() -> Vec<(String, Vec<String>)> {
    let lines = |command: &clap::Command| {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = after.strip_prefix("Examples:\n").unwrap_or_default().lines();
        lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for command in belfry::client::command().get_subcommands().filter(|command| command.get_name() != "help") {
        let mut examples = lines(command);
        command.get_subcommands().for_each(|below| examples.extend(lines(below)));
        all.push((command.get_name().to_owned(), examples));
    }
    let rest = PAGE.split("@EXAMPLES@\n").nth(1).and_then(|rest| rest.split(".EE").next()).expect("it has examples");
    for line in rest.lines().map(|line| line.replace('\\', "")) {
        let name = line.split(' ').find(|word| all.iter().any(|(name, _)| name == word)).expect("a command").to_owned();
        all.iter_mut().filter(|(of, _)| *of == name).for_each(|(_, examples)| examples.push(line.clone()));
    }
    all
}

#[test]
fn each_command_has_an_example_and_every_example_does_what_it_says() {
    if !netns::enter() {
        return;
    }
    let host = Host::new();
    cable("eth", 1, &host);
    for addr in ["192.0.2.7/24", "192.0.2.8/24"] {
        ip(&format!("addr add {addr} dev eth0"));
    }
    let (_belfryd, control) = start("");
    let config = new_folder();
    std::fs::create_dir_all(config.join("belfry")).unwrap();
    std::fs::write(config.join("belfry/belfry.toml"), CONTACTS).unwrap();
    let anna = Belfry::start("127.0.0.1", &["tail", "--name", "anna"]);
    assert!(eventually(|| run("belfry who | grep -q anna", &control, &config).is_ok()), "{}", anna.told());
    let lab = Belfry::start("127.0.0.1", &["say", "--room", "lab", "--name", "bob", "there is a room like this"]);
    assert_eq!(lab.end(), (String::new(), 0));
    for (name, examples) in examples() {
        assert!(!examples.is_empty(), "{name} has none");
        for example in examples {
            if let Err(trouble) = run(&example, &control, &config) {
                panic!("{example}: {trouble}");
            }
        }
    }
}

/// Runs a line in a shell, interrupted after a while where it does not end by itself; what was wrong with it, if something was.
fn run(line: &str, control: &Path, config: &Path) -> Result<(), String> {
    let programs = Path::new(env!("CARGO_BIN_EXE_belfry")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    // bash takes the place of a single command, which gets the signal itself.
    let mut shell = Command::new("timeout");
    shell.args(["--preserve-status", "--signal=INT", "--kill-after=10", "4", "bash", "-c", line]).env("PATH", path);
    shell.env("BELFRY_CONTROL", control).env("XDG_CONFIG_HOME", config).env_remove("BELFRY_SERVER");
    let output = shell.stdin(Stdio::null()).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (status, signal) = (output.status.code(), output.status.signal());
    Err(format!("{status:?} {signal:?}\n{}\n{}", text(&output.stdout), text(&output.stderr)))
}
