//! What the shell offers behind TAB: commands and options as they are defined, and the rooms, members and contacts of the
//! moment.
//!
//! The shell runs `belfry` with `COMPLETE` in the environment and the words that have been typed (`clap_complete::env`).
//! Names come from the server that those words mean, asked for lists, so nobody is a member for it. It takes no longer than
//! [`DEADLINE`], and what does not work is not offered: nothing is said into a line that somebody is typing.

use super::link::Link;
use super::listing::{Entries, Listing, WAITING_MAX, Wanted};
use super::server::{Contacts, Server};
use super::who::turn;
use super::{Failure, Who, complain};
use crate::clock::Clock;
use crate::daemon::seed;
use crate::exit;
use crate::services::ServiceName;
use clap::{Arg, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{self, ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Shells, Zsh};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// How long somebody who has pressed TAB waits for names.
const DEADLINE: Duration = Duration::from_millis(300);

/// Names of one list that are offered: more than anybody looks through.
const NAMES_MAX: usize = 256;

/// The shells that can ask.
const SHELLS: Shells<'static> = Shells(&[&WholeWords, &Fish, &Zsh]);

/// Answers a shell; `None` when none has asked.
pub(super) fn complete() -> Option<ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let who = Who { server: servers_in(&words), timeout: DEADLINE, is_hasty: true };
    let folder = std::env::current_dir().ok();
    let environment = CompleteEnv::with_factory(|| with_names(super::command(), &who)).shells(SHELLS);
    match environment.try_complete(words, folder.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(error) => {
            complain(&error);
            Some(exit::USAGE.into())
        }
    }
}

/// The command line, with names for each argument that is one.
fn with_names(command: Command, who: &Who) -> Command {
    let is_private = command.get_name() == "msg";
    let command = command.mut_args(|arg| {
        let takes = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str().to_owned());
        let is_to = is_private && arg.is_positional();
        match takes.as_deref() {
            Some("HOST[:PORT]") => arg.add(ArgValueCandidates::new(|| candidates(contacts()))),
            Some("ROOM") => with_listed(arg, who, rooms),
            None if arg.get_id() == "room" => with_listed(arg, who, rooms),
            Some("NAME") if is_to => with_listed(arg, who, members),
            _ => arg,
        }
    });
    command.mut_subcommands(|command| with_names(command, who))
}

fn with_listed(arg: Arg, who: &Who, list: fn(&Who, &Sender<String>) -> Result<(), Failure>) -> Arg {
    let who = who.clone();
    arg.add(ArgValueCandidates::new(move || candidates(within_deadline(&who, list))))
}

/// Names that can stand in a command line as they are, whatever the server says.
fn candidates(names: Vec<String>) -> Vec<CompletionCandidate> {
    let is_plain = |name: &String| {
        !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
    };
    let mut names: Vec<_> = names.into_iter().filter(is_plain).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// What the servers of the contact list are called.
fn contacts() -> Vec<String> {
    Contacts::read().map(|contacts| contacts.names().map(str::to_owned).collect()).unwrap_or_default()
}

/// The names that have come when the time is over. Who asks may hang, such as for a name server, and is left behind then.
fn within_deadline(who: &Who, list: fn(&Who, &Sender<String>) -> Result<(), Failure>) -> Vec<String> {
    let (sender, names) = mpsc::channel();
    let (who, clock) = (who.clone(), Clock::new());
    let end = clock.now().mono + DEADLINE;
    let asking = thread::Builder::new().spawn(move || list(&who, &sender));
    let next = || names.recv_timeout(end.since(clock.now().mono)).ok();
    asking.map(|_| std::iter::from_fn(next).collect()).unwrap_or_default()
}

fn rooms(who: &Who, names: &Sender<String>) -> Result<(), Failure> {
    send_names(who, false, names)
}

/// Everybody, in whatever room.
fn members(who: &Who, names: &Sender<String>) -> Result<(), Failure> {
    send_names(who, true, names)
}

fn send_names(who: &Who, of_members: bool, names: &Sender<String>) -> Result<(), Failure> {
    Link::with_first(who, ServiceName::Chat, |link, patience| {
        let mut listing = Listing::new(seed().map_err(Failure::to("read /dev/urandom"))?).keeping(NAMES_MAX);
        // There is place for one.
        let _ = listing.ask(Wanted::Rooms, link.now());
        let until = link.now() + patience;
        while listing.is_asking() && link.now() < until {
            turn(&link, &mut listing, until)?;
            let Some(Ok(list)) = listing.poll() else { continue };
            match list.entries {
                Entries::Rooms(rooms) if of_members => {
                    for room in rooms.into_iter().filter(|room| room.members > 0).take(WAITING_MAX) {
                        let _ = listing.ask(Wanted::Members(room.name), link.now());
                    }
                }
                Entries::Rooms(rooms) => rooms.into_iter().for_each(|room| drop(names.send(room.name))),
                Entries::Members(members) => members.into_iter().for_each(|member| drop(names.send(member.name))),
            }
        }
        Ok(())
    })
}

/// The servers that the words of a command line name, which stand behind `--`.
fn servers_in(words: &[OsString]) -> Vec<Server> {
    let typed = words.iter().skip_while(|word| *word != "--").skip(1);
    let (words, ..) = joined(typed.map(|word| word.to_string_lossy().into_owned()).collect(), 0);
    let named = words.iter().enumerate().filter_map(|(at, word)| match word.strip_prefix("--server") {
        Some("") => words.get(at + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    named.filter_map(|server| server.parse().ok()).take(1).collect()
}

/// bash, which takes words apart at `=` and `:`.
struct WholeWords;

impl EnvCompleter for WholeWords {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        Bash.write_registration(variable, name, program, completer, out)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok()).unwrap_or_default();
        let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let words = words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let (words, index, kept) = joined(words, index);
        let words = words.into_iter().map(OsString::from).collect();
        let candidates = engine::complete(command, words, index, folder)?;
        let values = candidates.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned());
        // bash puts it in the place of the last part only.
        let values = values.filter_map(|value| value.strip_prefix(&kept).map(str::to_owned));
        out.write_all(values.collect::<Vec<_>>().join(&separator).as_bytes())
    }
}

/// Words as they were typed, of the parts that bash makes of them: the words, where the part at `index` is now, and what stands
/// before that part in its word.
fn joined(parts: Vec<String>, index: usize) -> (Vec<String>, usize, String) {
    let is_sign = |part: &str| !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'=' | b':'));
    let (mut words, mut is_open): (Vec<String>, bool) = (Vec::new(), false);
    let (mut at, mut kept) = (0, String::new());
    for (number, part) in parts.into_iter().enumerate() {
        let is_part = is_open || is_sign(&part);
        is_open = is_sign(&part);
        match words.last_mut().filter(|_| is_part) {
            Some(word) => {
                if number == index {
                    kept.clone_from(word);
                }
                word.push_str(&part);
            }
            None => words.push(part),
        }
        if number == index {
            at = words.len() - 1;
        }
    }
    (words, at, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_bash_takes_apart_is_put_together_again() {
        let cases = [
            ("belfry who lo", 2, "belfry who lo", 2, ""),
            ("belfry --server 127.0.0.1 : 9999 who lo", 6, "belfry --server 127.0.0.1:9999 who lo", 4, ""),
            ("belfry --server = [ :: 1] : 9999 who ", 9, "belfry --server=[::1]:9999 who ", 3, ""),
            ("belfry say --room = lo", 4, "belfry say --room=lo", 2, "--room="),
            ("belfry --server a : 99", 4, "belfry --server a:99", 2, "a:"),
        ];
        for (parts, index, whole, at, kept) in cases {
            assert_eq!(joined(words(parts), index), (words(whole), at, kept.to_owned()), "{parts}");
        }
    }

    #[test]
    fn the_server_that_was_typed_is_asked_and_what_is_none_is_passed_over() {
        let cases = [
            ("belfry -- belfry who --server 127.0.0.1 : 7 lo", Some("127.0.0.1:7")),
            ("belfry -- belfry --server=[::1]:7 who", Some("[::1]:7")),
            ("belfry -- belfry --server", None),
            ("belfry -- belfry --server a:b who", None),
            ("belfry --server a", None),
        ];
        for (line, server) in cases {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let expected: Vec<Server> = server.into_iter().map(|server| server.parse().unwrap()).collect();
            assert_eq!(servers_in(&words), expected, "{line}");
        }
    }

    #[test]
    fn no_name_of_a_server_does_anything_in_a_command_line() {
        let names = ["bob", "$(reboot)", "a;b", "a b", "::1-40001", "アンナ", "x`y`", "bob", "-"];
        let offered = candidates(names.map(str::to_owned).to_vec());
        let offered: Vec<_> = offered.iter().map(|candidate| candidate.get_value().to_string_lossy()).collect();
        assert_eq!(offered, ["::1-40001", "bob", "アンナ"]);
    }
}
