//! The man pages and the completions, as the program makes them that packages are built with.
#![expect(clippy::unwrap_used, reason = "a test fails by panics")]

use belfry::daemon::args::Args;
use clap::{Command, CommandFactory};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;

const PAGES: [&str; 3] = ["belfryd.8", "belfry.1", "belfry.toml.5"];

/// The folder with what was made, once for all tests.
fn made() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manual");
        let _ = fs::remove_dir_all(&folder);
        // Only cargo knows whether it is up to date.
        let mut cargo = process::Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["run", "--quiet", "--locked", "--example", "manual", "--"]).arg(&folder);
        assert!(cargo.status().unwrap().success());
        folder
    })
}

fn text(name: &str) -> String {
    fs::read_to_string(made().join(name)).unwrap()
}

/// As it stands in a page.
fn in_troff(text: &str) -> String {
    text.replace('-', "\\-").replace('^', "\\(ha").replace('~', "\\(ti")
}

/// Every command that has a name of its own, with itself, and how it is called.
fn commands(command: &Command) -> Vec<(String, Command)> {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let below = command.get_subcommands().filter(|command| command.get_name() != "help").flat_map(commands);
    below.chain([(name, command.clone())]).collect()
}

#[test]
fn every_command_and_every_option_stands_in_its_page() {
    let mut seen = 0;
    for (page, mut command) in [("belfryd.8", Args::command()), ("belfry.1", belfry::client::command())] {
        command.build();
        let text = text(page);
        for (name, command) in commands(&command) {
            let heading = text
                .lines()
                .find(|line| *line == format!(".SY {name}") || line.starts_with(&format!(".SS {}", in_troff(&name))));
            assert!(heading.is_some(), "{page} has no {name}");
            for option in command.get_arguments().filter_map(|option| option.get_long()) {
                assert!(
                    text.contains(&format!("\\fB{}\\fR", in_troff(&format!("--{option}")))),
                    "{page} has no --{option}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen} options were looked at");
}

#[test]
fn every_example_of_the_help_stands_in_the_page() {
    let (mut command, text, mut seen) = (belfry::client::command(), text("belfry.1"), 0);
    command.build();
    for help in commands(&command).iter().filter_map(|(_, command)| command.get_after_help()) {
        for example in help.to_string().strip_prefix("Examples:\n").unwrap_or_default().lines() {
            assert!(text.contains(&format!("\n{}\n", in_troff(example.trim()))), "{example}");
            seen += 1;
        }
    }
    assert!(seen > 3, "{seen} examples were looked at");
}

#[test]
fn every_key_stands_in_its_page_with_its_default_and_what_is_said_of_it() {
    let (text, example) = (text("belfry.toml.5"), include_str!("../etc/belfry.toml"));
    let (mut at, mut seen) = (0, 0);
    for line in example.lines() {
        let wanted = match line.split_once(" = ") {
            _ if line.is_empty() || line.starts_with('#') => continue,
            Some((key, value)) => {
                seen += 1;
                format!("\n.BR {} \" = \" \"{}\"\n", in_troff(key), in_troff(value).replace('"', "\\(dq"))
            }
            None => format!("\n.SS {line}\n"),
        };
        let found = text[at..].find(&wanted);
        assert!(found.is_some(), "{line} is not where it should be");
        at += found.unwrap() + wanted.len() - 1;
        let said = text[at + 1..].lines().next().unwrap();
        assert!(line.starts_with('[') || said.len() > 10 && !said.starts_with('.'), "nothing is said of {line}");
    }
    assert!(seen > 20, "{seen} keys were looked at");
}

#[test]
fn every_page_is_shown_without_a_warning() {
    for page in PAGES {
        let unfilled = text(page).lines().find(|line| line.starts_with('@')).map(str::to_owned);
        assert_eq!(unfilled, None, "{page}");
        let mut man = process::Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(made().join(page));
        match man.output() {
            Ok(shown) => {
                assert!(shown.status.success(), "{page}");
                assert_eq!(String::from_utf8_lossy(&shown.stderr), "", "{page}");
            }
            Err(error) => eprintln!("skipped: cannot run man: {error}"),
        }
    }
}

#[test]
fn every_shell_asks_the_program_that_is_installed() {
    let asks = [
        ("belfry.bash", "COMPLETE=\"bash\" \\\n        \"belfry\" -- "),
        ("_belfry", "COMPLETE=\"zsh\" \\\n        belfry -- "),
        ("belfry.fish", "(COMPLETE=fish belfry -- "),
    ];
    for (completion, ask) in asks {
        assert!(text(completion).contains(ask), "{completion}: {}", text(completion));
    }
    assert!(text("_belfry").starts_with("#compdef belfry\n"), "zsh loads it when it is needed");
}

/// What bash offers in the place of the last of these words, as bash takes them apart.
fn offered(words: &[&str]) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_belfry")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = made().join("belfry.bash");
    // What readline does.
    let driver = r#"
        . "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
        "$(complete -p belfry | sed 's/.*-F \([^ ]*\).*/\1/')" belfry "${COMP_WORDS[COMP_CWORD]}" ""
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = process::Command::new("bash");
    bash.env("PATH", path).env("XDG_CONFIG_HOME", "/nonexistent").args(["--norc", "-c", driver, "bash"]).arg(script);
    let output = bash.arg("belfry").args(words).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_every_command_and_every_option() {
    let commands = offered(&[""]);
    let mut client = belfry::client::command();
    client.build();
    for command in client.get_subcommands().filter(|command| !command.is_hide_set()) {
        assert!(commands.contains(&command.get_name().to_owned()), "{commands:?} has no {}", command.get_name());
        let options = offered(&[command.get_name(), "--"]);
        for option in
            command.get_arguments().filter(|option| !option.is_hide_set()).filter_map(|option| option.get_long())
        {
            assert!(options.contains(&format!("--{option}")), "{} {options:?} has no {option}", command.get_name());
        }
    }
    assert_eq!(offered(&["who", "--js"]), ["--json"]);
}
