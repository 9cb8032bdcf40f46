//! The README's tour, typed as it stands.

use crate::belfryd::Belfryd;
use crate::netns;
use crate::page::{README, commands, shape};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_tour_prints_what_the_page_shows() {
    if !netns::enter() {
        return;
    }
    let _belfryd = Belfryd::start("");
    let programs = Path::new(env!("CARGO_BIN_EXE_belfry")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let commands = commands("A tour with", "$ ");
    assert!(commands.len() >= 8, "{commands:?}");
    for (command, expected) in commands {
        let nc = command.replace("nc -u", "nc.openbsd -u");
        let output = Command::new("sh").args(["-c", &nc]).env("PATH", &path).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {told}");
        if printed.contains("clock not synchronised") {
            // This machine's clock is not that of the page.
            assert!(expected[0].starts_with(printed.split("; ").next().unwrap()), "{printed}");
            continue;
        }
        let shapes: Vec<_> = printed.lines().map(shape).collect();
        let expected: Vec<_> = expected.into_iter().map(shape).collect();
        assert_eq!(shapes, expected, "{command} prints {printed:?}; {told}");
    }
}

#[test]
fn the_program_on_the_page_talks() {
    if !netns::enter() {
        return;
    }
    let _belfryd = Belfryd::start("");
    let program = README.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let mut child = Command::new("python3").args(["-u", "-c", program]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.trim_end().ends_with(": hello from a program"), "{line}");
}
