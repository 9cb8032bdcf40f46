//! The simulation of sessions must be able to fail: the hub and the client are broken on purpose, one way at a time, and each time
//! it has to notice.
//!
//! A copy of the crate is changed and built in a folder of its own, with the simulation as its only test. Each mutant
//! names what it breaks by its exact source text, which must be there once, so one that no longer fits its source fails
//! and does not pass for caught.
#![expect(clippy::unwrap_used, reason = "a test fails by panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of the simulation for each mutant. Most are caught in the first few.
const SEEDS: u32 = 400;

/// The longest that building and playing a mutant may take, in seconds: one may well go round in circles.
const SECONDS_MAX: u32 = 120;

const EVERYTHING: &str = "whatever_happens_to_datagrams_every_session_has_heard_everything_in_the_end";
const TRACE: &str = "the_same_seed_gives_the_same_trace_of_sessions_and_another_seed_another";

/// Dependencies of the client's screens.
const OF_SCREENS: [&str; 4] = ["ratatui", "clap_complete", "indicatif", "unicode-width"];

/// One way to break it.
struct Mutant {
    what: &'static str,
    file: &'static str,
    text: &'static str,
    replacement: &'static str,
    /// The test that must fail.
    test: &'static str,
}

const MUTANTS: &[Mutant] = &[
    // What was acknowledged reaches everybody in the room: once, in its order, byte for byte.
    Mutant {
        what: "a request is acknowledged and not done",
        file: "src/services/chat/session/requests.rs",
        text: "        match self.obey_request(now, request, out) {",
        replacement: "        let done = if number % 9 == 0 { Ok(()) } else { self.obey_request(now, request, out) };
        match done {",
        test: EVERYTHING,
    },
    Mutant {
        what: "a request is done before its turn",
        file: "src/services/chat/session/requests.rs",
        text: "after.unwrap_or(number - 1) != last {",
        replacement: "after.unwrap_or(number - 1) != last && number % 7 > 0 {",
        test: EVERYTHING,
    },
    Mutant {
        what: "one message is not sent again",
        file: "src/services/chat/session/repair.rs",
        text: "message.into_iter().for_each(|message| message.write_frame(",
        replacement: "message.into_iter().filter(|message| message.number % 8 > 0).for_each(|message| message.write_frame(",
        test: EVERYTHING,
    },
    Mutant {
        what: "what is there is said to be gone",
        file: "src/services/chat/session/repair.rs",
        text: "stream.since(first).take_while(",
        replacement: "stream.since(first).skip(1).take_while(",
        test: EVERYTHING,
    },
    Mutant {
        what: "a text is what people see of it",
        file: "src/services/chat/message.rs",
        text: "let text = if line.ends_with(text) {",
        replacement: "let text = if line.len() > text.len() && line.is_char_boundary(line.len() - text.len()) {",
        test: EVERYTHING,
    },
    Mutant {
        what: "numbers begin anew, and nobody can tell",
        file: "src/services/chat/rooms.rs",
        text: "Epoch(hash as u32))",
        replacement: "Epoch(hash as u32 % 2 + 7))",
        test: EVERYTHING,
    },
    Mutant {
        what: "a client believes an acknowledgement of the session before",
        file: "src/client/session/requests.rs",
        text: "(self.base, self.done, self.recover_to, self.same_acks) = (self.highest, last, 0, 0);",
        replacement: "(self.highest, self.base, self.done, self.recover_to, self.same_acks) = (last, last, last, 0, 0);",
        test: EVERYTHING,
    },
    Mutant {
        what: "a client takes what comes as it comes",
        file: "src/client/session/stream.rs",
        text: "            self.learn(now, number - 1);\n",
        replacement: "",
        test: EVERYTHING,
    },
    // What was not acknowledged is said once at most.
    Mutant {
        what: "what was done is forgotten",
        file: "src/services/chat/session/requests.rs",
        text: "session.last = number;",
        replacement: "session.last = if number % 5 > 0 { number } else { session.last };",
        test: EVERYTHING,
    },
    Mutant {
        what: "what was done in the half second before a kill is forgotten",
        file: "src/services/chat/history.rs",
        text: "        self.restore_requests(messages.iter().filter_map(|(_, message)| message.by));\n",
        replacement: "",
        test: EVERYTHING,
    },
    Mutant {
        what: "a client says again what it cannot know to be said",
        file: "src/client/session/requests.rs",
        text: "for request in self.queue.drain(..std::mem::take(&mut self.in_flight)) {
            events.extend(request.id.map(Event::Unconfirmed));
        }",
        replacement: "let _ = (std::mem::take(&mut self.in_flight), events);
        for request in &mut self.queue {
            (request.number, request.sent_count, request.is_due) = (0, 0, true);
        }",
        test: EVERYTHING,
    },
    // Nobody is spoken to who has left, expired or never shown to be there.
    Mutant {
        what: "the expired are spoken to",
        file: "src/services/chat/mod.rs",
        text: "heartbeat: self.config.heartbeat_timeout,",
        replacement: "heartbeat: self.config.silent_timeout,",
        test: EVERYTHING,
    },
    Mutant {
        what: "whoever says hello has shown to be there",
        file: "src/services/chat/consent.rs",
        text: "token == self.token_of(remote, period))",
        replacement: "token == self.token_of(remote, period) || period <= now && remote.port() > 0)",
        test: EVERYTHING,
    },
    Mutant {
        what: "a session is obeyed wherever it seems to be",
        file: "src/services/chat/session/mod.rs",
        text: "member.filter(|&member| self.is_known_at(member, datagram)) else {",
        replacement: "member.filter(|&member| self.is_known_at(member, datagram) || rest.len() > 40) else {",
        test: EVERYTHING,
    },
    Mutant {
        what: "whoever speaks from the address of a session is a member",
        file: "src/services/chat/mod.rs",
        text: "        if self.is_session(member) {",
        replacement: "        if self.is_session(member) && datagram.payload.len() > 9 {",
        test: EVERYTHING,
    },
    Mutant {
        what: "whoever is on another network shows once and for all that it is there",
        file: "src/services/chat/members.rs",
        text: ".or_else(without_consent)",
        replacement: ".or_else(|| without_consent().filter(|_| now == Instant::default()))",
        test: EVERYTHING,
    },
    Mutant {
        what: "whoever is on another network need not show that it is there",
        file: "src/services/chat/mod.rs",
        text: "        if !datagram.on_link {",
        replacement: "        if !datagram.on_link && datagram.payload.len() > 40 {",
        test: EVERYTHING,
    },
    // In the end everything is delivered, and it is silent.
    Mutant {
        what: "the answer to a heartbeat says nothing of the mailbox",
        file: "src/services/chat/session/repair.rs",
        text: "            let _ = write!(head, \" {newest}\");\n        }\n        let mut frame",
        replacement: "            let _ = newest;\n        }\n        let mut frame",
        test: EVERYTHING,
    },
    Mutant {
        what: "a heartbeat is answered by more than it asks for",
        file: "src/services/chat/session/repair.rs",
        text: "        self.sessions.touch(id).owed.newest = true;\n",
        replacement: "        (self.sessions.touch(id).owed.newest, self.sessions.touch(id).owed.ack) = (true, true);\n",
        test: EVERYTHING,
    },
    // Everything is bounded.
    Mutant {
        what: "a mailbox grows",
        file: "src/services/chat/session/mod.rs",
        text: "        session.mailbox.bound(MAILBOX_MESSAGES_MAX, MAILBOX_BYTES_MAX);\n",
        replacement: "",
        test: EVERYTHING,
    },
    Mutant {
        what: "whoever asks without end is answered without end",
        file: "src/services/chat/session/table.rs",
        text: "self.bytes = self.bytes.saturating_sub(bytes);",
        replacement: "self.bytes = self.bytes.max(bytes);",
        test: EVERYTHING,
    },
    Mutant {
        what: "there is place for everybody",
        file: "src/services/chat/session/hello.rs",
        text: "        self.has_place_for(remote.ip(), datagram.on_link, usize::from(other.is_some()))?;\n",
        replacement: "",
        test: EVERYTHING,
    },
    Mutant {
        what: "what is due stays due",
        file: "src/client/session/mod.rs",
        text: "self.heartbeat_at = now + jittered(&mut self.random, self.heartbeat);",
        replacement: "let _ = jittered(&mut self.random, self.heartbeat);",
        test: EVERYTHING,
    },
    // The same seed gives the same trace.
    Mutant {
        what: "something is left to chance",
        file: "src/services/chat/session/hello.rs",
        text: "self.seed.mac(&(\"session\", self.made, now.wall.as_nanosecond(), remote))",
        replacement: "self.seed.mac(&std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos()))",
        test: TRACE,
    },
];

/// A folder with what the simulation is built from.
fn copy() -> PathBuf {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants"));
    let _ = fs::remove_dir_all(&to);
    for folder in ["src", "etc", "docs", "tests/it/sim"] {
        copy_folder(&from.join(folder), &to.join(folder));
    }
    fs::copy(from.join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
    fs::copy(from.join("README.md"), to.join("README.md")).unwrap();
    // Without the programs, which would have to be built with each mutant.
    let manifest = fs::read_to_string(from.join("Cargo.toml")).unwrap();
    let (package, rest) = manifest.split_once("\n[[bin]]").unwrap();
    let package = package.replace("default-run = \"belfryd\"", "autobins = false\nautoexamples = false");
    let dependencies = rest.split_once("\n[dependencies]").unwrap().1;
    let dependencies: Vec<_> =
        dependencies.lines().filter(|line| !OF_SCREENS.iter().any(|name| line.starts_with(name))).collect();
    let dependencies = dependencies.join("\n");
    fs::write(to.join("Cargo.toml"), format!("{package}\n[dependencies]{dependencies}\n")).unwrap();
    // Nor with what the simulation has no use for.
    let library = fs::read_to_string(from.join("src/lib.rs")).unwrap();
    let library = library.replace("\npub mod client;", "\npub mod client { pub mod session; }");
    let is_unused =
        |line: &str| ["pub mod clock;", "pub mod daemon;", "pub mod generator;", "mod unix;"].contains(&line);
    let library: Vec<_> = library.lines().filter(|line| !is_unused(line)).collect();
    fs::write(to.join("src/lib.rs"), library.join("\n")).unwrap();
    fs::write(to.join("tests/it/main.rs"), "//! The simulation.\n\nmod sim;\n").unwrap();
    to
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Builds what is in the folder and plays one test of the simulation; its output, and whether it succeeded.
fn play(folder: &Path, test: &str) -> (bool, String) {
    let output = Command::new("timeout")
        .arg(SECONDS_MAX.to_string())
        .args([env!("CARGO"), "test", "--quiet", "--offline", "--test", "it", "--", "--exact"])
        .arg(format!("sim::sessions::{test}"))
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants-target"))
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("BELFRY_SEEDS", SEEDS.to_string())
        .env("RUST_BACKTRACE", "0")
        .env_remove("BELFRY_SEED")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn each_way_to_break_the_hub_or_the_client_is_noticed() {
    let folder = copy();
    let mut unnoticed = Vec::new();
    for Mutant { what, file, text, .. } in MUTANTS {
        let source = fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(source.matches(text).count(), 1, "{what}: {file} has this once: {text}");
    }
    for Mutant { what, file, text, replacement, test } in MUTANTS {
        let (path, original) = (folder.join(file), fs::read_to_string(folder.join(file)).unwrap());
        fs::write(&path, original.replace(text, replacement)).unwrap();
        let (succeeded, output) = play(&folder, test);
        fs::write(&path, original).unwrap();
        assert!(!output.contains("could not compile"), "{what}: {output}");
        let (by, mut lines) = ("panicked at tests/it/sim/", output.lines());
        let notice = lines
            .find(|line| line.contains(by))
            .and_then(|at| output.lines().find(|line| line.starts_with("seed ")).or(Some(at)));
        println!("{what}: {}", notice.unwrap_or("-"));
        if succeeded || notice.is_none() {
            unnoticed.push(format!("{what}: {}", output.lines().last().unwrap_or_default()));
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}
