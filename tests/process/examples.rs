//! Every example of belfry(1), run as it stands, in a network with the servers and files that they speak of.

use crate::belfryd::{eventually, new_folder};
use crate::control::start;
use crate::netns::{self, Host, cable, ip};
use crate::talking::Belfry;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The contacts whose names stand in examples.
const CONTACTS: &str = "[servers]\nworkshop = \"192.0.2.7\"\nattic = \"192.0.2.8\"\n";

/// Commands that print nothing when all is well.
const SILENT: [&str; 3] = ["say", "msg", "chat"];

/// Each command with its examples; of one that has commands below it, each of those.
fn examples(of: &clap::Command) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for command in of.get_subcommands().filter(|command| command.get_name() != "help") {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = after.strip_prefix("Examples:\n").unwrap_or_default().lines();
        let examples = lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        match command.has_subcommands() {
            true => all.extend(self::examples(command)),
            false => all.push((command.get_name().to_owned(), examples)),
        }
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
    let _bob = Belfry::start("127.0.0.1", &["tail", "--room", "lab", "--name", "bob"]);
    assert!(eventually(|| run("belfry who lab | grep -q bob", &control, &config).is_ok()));
    let topic = "printf '/topic tea\n' | belfry chat --plain --name carl lab";
    run(topic, &control, &config).unwrap();
    for (name, examples) in examples(&belfry::client::command()) {
        assert!(!examples.is_empty(), "{name} has none");
        for example in examples {
            let printed = run(&example, &control, &config).unwrap_or_else(|trouble| panic!("{example}: {trouble}"));
            let is_silent = SILENT.contains(&name.as_str()) || example == "belfry tail";
            assert!(is_silent || !printed.is_empty(), "{example} prints nothing");
        }
    }
}

/// Runs a line in a shell, interrupted after a while where it does not end by itself; what it prints, or what was wrong with it.
fn run(line: &str, control: &Path, config: &Path) -> Result<String, String> {
    let programs = Path::new(env!("CARGO_BIN_EXE_belfry")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    // bash takes the place of a single command, which gets the signal itself.
    let mut shell = Command::new("timeout");
    shell
        .args(["--preserve-status", "--signal=INT", "--kill-after=10", "4", "bash", "-o", "pipefail", "-c", line])
        .env("PATH", path);
    shell.env("BELFRY_CONTROL", control).env("XDG_CONFIG_HOME", config).env_remove("BELFRY_SERVER");
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let (status, signal) = (output.status.code(), output.status.signal());
    Err(format!("{status:?} {signal:?}\n{}\n{}", text(&output.stdout), text(&output.stderr)))
}
