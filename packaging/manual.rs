//! Writes the manual pages and the completions into a folder: `cargo run --example manual -- FOLDER`.
//!
//! A page is a text in `packaging/man` with a mark, such as `@OPTIONS@`, on a line of its own wherever something stands
//! that the programs know better: options and commands come from the definitions that parse them, the keys of
//! belfry.toml(5) and what is said of them from `etc/belfry.toml`. So they cannot differ.
//!
//! clap_mangen makes a page of each command, with the options of all in each; only its list of options is taken, and
//! the commands of `belfry` stand in one page.

use belfry::daemon::args::Args;
use clap::{Command, CommandFactory, Id};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_mangen::Man;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

/// How the help of a command introduces what belongs to the examples at the end.
const EXAMPLES: &str = "Examples:\n";

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("say into which folder"))?;
    fs::create_dir_all(&folder)?;
    let (daemon, client) = (built(Args::command()), built(belfry::client::command()));
    let example = include_str!("../etc/belfry.toml");
    let daemon_page =
        fill(include_str!("man/belfryd.8"), &[("SYNOPSIS", synopsis(&daemon)), ("OPTIONS", options(&daemon)?)]);
    let client_page = fill(
        include_str!("man/belfry.1"),
        &[
            ("SYNOPSIS", synopsis(&client)),
            ("COMMANDS", commands(&client)?),
            ("OPTIONS", options(&client)?),
            ("EXAMPLES", examples(&client)),
        ],
    );
    let file_page = fill(include_str!("man/belfry.toml.5"), &[("VALUES", values(example)), ("KEYS", keys(example))]);
    fs::write(folder.join("belfryd.8"), daemon_page)?;
    fs::write(folder.join("belfry.1"), client_page)?;
    fs::write(folder.join("belfry.toml.5"), file_page)?;
    // What they have the shell do is ask the `belfry` that is installed, which is of the same version.
    let completions: [(&str, &dyn EnvCompleter); 3] =
        [("belfry.bash", &Bash), ("_belfry", &Zsh), ("belfry.fish", &Fish)];
    for (name, shell) in completions {
        let mut script = Vec::new();
        shell.write_registration("COMPLETE", "belfry", "belfry", "belfry", &mut script)?;
        fs::write(folder.join(name), script)?;
    }
    Ok(())
}

/// A command line with everything that clap adds to it, in words that suit a page.
fn built(mut command: Command) -> Command {
    command.build();
    command
        .mut_arg("help", |arg| arg.help("Print help and exit").long_help(None))
        .mut_arg("version", |arg| arg.help("Print the version and exit"))
}

/// A page, each mark in it replaced by the part of that name.
fn fill(page: &str, parts: &[(&str, String)]) -> String {
    let page = page.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    parts.iter().fold(page, |page, (name, text)| page.replace(&format!("@{name}@\n"), text))
}

/// How a program is called, without its name.
fn synopsis(command: &Command) -> String {
    let usage = usage(command);
    let words = usage.split_once(' ').map_or("", |(_, words)| words);
    format!("{}\n", escaped(words))
}

/// The options of a command, as a list.
fn options(command: &Command) -> io::Result<String> {
    let mut section = Vec::new();
    Man::new(command.clone()).render_options_section(&mut section)?;
    let section = String::from_utf8(section).map_err(io::Error::other)?;
    // A heading is there once something is listed; the page has its own. The apostrophe is a string that whole pages of
    // clap_mangen define at their head.
    let list = section.split_once(".SH OPTIONS\n").map_or("", |(_, list)| list);
    Ok(list.replace("\\*(Aq", "\\(aq"))
}

/// Each command and those below it, with the options that the pages have not had yet.
fn commands(parent: &Command) -> io::Result<String> {
    let mut text = String::new();
    for command in subcommands(parent) {
        let is_said =
            |id: &Id| id == "help" || parent.get_arguments().any(|arg| arg.get_id() == id && arg.is_global_set());
        let own = command.clone().mut_args(|arg| {
            let is_hidden = arg.is_hide_set() || is_said(arg.get_id());
            arg.hide(is_hidden)
        });
        let about = own.get_long_about().or(own.get_about()).map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, ".SS {}\n{}", escaped(&usage(&own)), running_text(&about));
        if let Some(after) = after_help(&own).filter(|after| !after.starts_with(EXAMPLES)) {
            let _ = writeln!(text, ".PP\n{}", running_text(&after));
        }
        text += &options(&own)?;
        text += &commands(command)?;
    }
    Ok(text)
}

/// The examples of each command, in the order of the commands.
fn examples(parent: &Command) -> String {
    let mut text = String::new();
    for command in subcommands(parent) {
        text += &examples(command);
        let after = after_help(command).unwrap_or_default();
        for line in after.strip_prefix(EXAMPLES).unwrap_or_default().lines() {
            let _ = writeln!(text, "{}", escaped(line.trim_start()));
        }
    }
    text
}

/// The commands below a command but for clap's own.
fn subcommands(parent: &Command) -> impl Iterator<Item = &Command> {
    parent.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set())
}

fn after_help(command: &Command) -> Option<String> {
    command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string)
}

/// How a command is called, as in "belfry time [FORMAT]...".
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let has_options = command.get_arguments().any(|arg| !arg.is_positional() && !arg.is_hide_set());
    if has_options { usage.to_owned() } else { usage.replacen(" [OPTIONS]", "", 1) }
}

/// How values are written: the last paragraph at the head of the example.
fn values(example: &str) -> String {
    let head = example.split("\n\n").next().unwrap_or_default();
    let paragraph = head.split("\n#\n").last().unwrap_or_default();
    format!("{}\n", running_text(&comment(paragraph)))
}

/// Each table of the example with its keys, their defaults and what the comments say.
fn keys(example: &str) -> String {
    let mut text = String::new();
    // What stands before the first blank line is about the file.
    for block in example.split("\n\n").skip(1) {
        let mut said = String::new();
        for line in block.lines() {
            if line.starts_with('#') {
                said += line;
                said.push('\n');
            } else {
                let said = running_text(&comment(&std::mem::take(&mut said)));
                let _ = match line.split_once(" = ") {
                    Some((key, value)) => writeln!(text, ".TP\n.BR {} \" = \" {}\n{said}", escaped(key), quoted(value)),
                    None if said.is_empty() => writeln!(text, ".SS {line}"),
                    None => writeln!(text, ".SS {line}\n{said}"),
                };
            }
        }
    }
    text
}

/// A comment without its signs, as one line.
fn comment(lines: &str) -> String {
    lines.lines().map(|line| line.trim_start_matches(['#', ' '])).collect::<Vec<_>>().join(" ")
}

/// One argument of a macro, whatever is in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\(dq"))
}

/// Prose for troff: one line, what stands in back quotes in bold.
fn running_text(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = String::new();
    for (at, part) in words.split('`').map(escaped).enumerate() {
        line += &if at % 2 == 0 { part } else { format!("\\fB{part}\\fR") };
    }
    line
}

/// Text that troff shows as it is.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (at, sign) in text.chars().enumerate() {
        match sign {
            '\\' => out += "\\e",
            '-' => out += "\\-",
            '^' => out += "\\(ha",
            '~' => out += "\\(ti",
            '`' => out += "\\(ga",
            '\'' => out += "\\(aq",
            // A line of troff that begins with it is a request.
            '.' if at == 0 => out += "\\&.",
            sign => out.push(sign),
        }
    }
    out
}
