//! The conventions that no lint knows. A convention that is not checked is none.
#![expect(clippy::unwrap_used, reason = "a test fails by panics")]

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The folders and files of the pure half.
const PURE: [&str; 6] =
    ["src/core/", "src/services/", "src/config/", "src/control.rs", "src/client/session/", "src/client/listing"];

/// What of the chat is as pure, and uses what else of the client is.
const PURE_CHAT: [&str; 13] = [
    "command",
    "entry",
    "field",
    "happening",
    "hearing",
    "keys",
    "layout",
    "model",
    "reading",
    "room",
    "saying",
    "theme",
    "view/",
];

/// The only places with `unsafe` in them: one of the product, one of the benchmarks.
const HOMES_OF_UNSAFE: [&str; 2] = ["src/daemon/sys/", "benches/batch.rs"];

/// Where there is Rust. What is built stands beside it in `fuzz/`.
const EVERYWHERE: [&str; 7] =
    ["src", "tests", "benches", "packaging", "fuzz/src", "fuzz/fuzz_targets", "fuzz/examples"];

/// The longest a file may be, tests beside the code left out.
const LINES_MAX: usize = 400;

/// What the pure half may not name: what makes system calls, what reads clocks, what differs from run to run.
const IMPURE: [&str; 22] = [
    "crate::client",
    "crate::clock",
    "crate::daemon",
    "std::env",
    "std::fs",
    "std::io",
    "std::os",
    "std::process",
    "std::thread",
    "time::Instant",
    "SystemTime",
    "UdpSocket",
    "TcpListener",
    "ToSocketAddrs",
    "HashMap::new",
    "HashSet::new",
    "RandomState",
    "nix::",
    "mio::",
    "socket2::",
    "log::info",
    "log::warn",
];

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// Every Rust file below `folder`, by its path from the top, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((path.display().to_string(), text(&path)));
            }
        }
    }
    assert!(!files.is_empty(), "nothing below {folder}");
    files.sort();
    files
}

/// The part of a file that is not tests.
fn code(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap()
}

/// Files that hold nothing but tests.
fn is_tests(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/properties.rs")
}

/// Lines that are code, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    code(text)
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn the_pure_half_names_nothing_impure() {
    let mut seen = 0;
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_tests(path)) {
        let chat = path.strip_prefix("src/client/chat/").unwrap_or_default();
        let is_chat = PURE_CHAT.iter().any(|place| chat.starts_with(place));
        if !is_chat && !PURE.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        seen += 1;
        for (number, line) in code_lines(text) {
            let named = IMPURE.iter().find(|name| line.contains(*name) && !(is_chat && **name == "crate::client"));
            assert_eq!(named, None, "{path}:{number}: {line}");
        }
    }
    assert!(seen > 20, "{seen} files of the pure half were looked at");
}

#[test]
fn unsafe_has_one_home() {
    for (path, text) in ["src", "benches"].into_iter().flat_map(sources) {
        let found = code_lines(&text)
            .find(|(_, line)| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe"));
        let is_home = HOMES_OF_UNSAFE.iter().any(|home| path.starts_with(home));
        assert!(found.is_none() || is_home, "{path}: {found:?}");
    }
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    for (path, text) in EVERYWHERE.into_iter().flat_map(sources) {
        assert!(text.starts_with("//! "), "{path}");
    }
}

#[test]
fn no_file_grows_into_an_attic() {
    for (path, text) in ["src", "benches"].into_iter().flat_map(sources).filter(|(path, _)| !is_tests(path)) {
        let lines = code(&text).lines().count();
        assert!(lines <= LINES_MAX, "{path} has {lines} lines; is there a second noun in it?");
    }
}

#[test]
fn nothing_is_left_open() {
    for (path, text) in EVERYWHERE.into_iter().flat_map(sources) {
        for word in
            [concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("FIX", "ME"), concat!("#[ig", "nore")]
        {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn every_reason_to_turn_a_datagram_away_is_given_somewhere() {
    let home = "src/core/verdict.rs";
    let elsewhere: String = sources("src").into_iter().filter(|(path, _)| path != home).map(|(_, text)| text).collect();
    let mut reasons = 0;
    for line in text(home).lines() {
        // `Variant = "name",`
        let Some((variant, _)) = line.trim().split_once(" = \"").filter(|_| line.trim().ends_with("\",")) else {
            continue;
        };
        let given = ["Refusal", "DropReason"].iter().any(|kind| elsewhere.contains(&format!("{kind}::{variant}")));
        assert!(given, "{variant} is a counter that never counts");
        reasons += 1;
    }
    assert!(reasons > 15, "{reasons} reasons were looked at");
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = text("Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("[profile").next().unwrap();
    let lines: Vec<_> = section.lines().filter(|line| !line.starts_with('[') && !line.is_empty()).collect();
    let mut dependencies = 0;
    for pair in lines.windows(2).filter(|pair| !pair[1].starts_with('#')) {
        assert!(pair[0].starts_with("# "), "{}", pair[1]);
        dependencies += 1;
    }
    assert!(dependencies > 10);
}

#[test]
fn the_pages_name_tests_and_files_that_exist() {
    let all: String = sources("src").into_iter().chain(sources("tests")).map(|(_, text)| text).collect();
    let pages = ["docs/ARCHITECTURE.md", "docs/THREATS.md"].map(text);
    let mut tests = 0;
    for name in pages.iter().flat_map(|page| page.split('`').skip(1).step_by(2)) {
        if name.contains('_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && name.len() > 24
        {
            assert!(all.contains(&format!("fn {name}(")), "no test is called {name}");
            tests += 1;
        }
        if ["src/", "tests/", "etc/", "docs/"].iter().any(|top| name.starts_with(top)) {
            assert!(Path::new(ROOT).join(name).exists(), "there is no {name}");
        }
    }
    assert!(tests >= 100, "{tests} tests are named");
}

#[test]
fn the_readme_has_every_key_with_its_default() {
    let (readme, example) = (text("README.md"), text("etc/belfry.toml"));
    let table = readme.split("## Configuration").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect::<Vec<_>>();
    let mut service = "";
    for line in example.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let Some((key, default)) = line.split_once(" = ") else {
            service = line;
            continue;
        };
        let row = rows.remove(0);
        assert!(row.contains(&format!("`{key}` | `{default}` |")), "{service} {key} = {default}: {row}");
    }
    assert_eq!(rows, Vec::<&str>::new());
}

#[test]
fn the_catalog_explains_every_event_and_each_is_told_somewhere() {
    let home = "src/daemon/logging/event.rs";
    let elsewhere: String = sources("src").into_iter().filter(|(path, _)| path != home).map(|(_, text)| text).collect();
    let catalog = text("packaging/belfry.catalog");
    let mut explained: Vec<_> = catalog.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
    let events = text(home);
    let mut ids = Vec::new();
    for line in events.lines() {
        let Some((name, id)) = line.strip_prefix("pub(crate) const ").and_then(|rest| rest.split_once(": &str = "))
        else {
            continue;
        };
        assert!(elsewhere.contains(&format!("event::{name}")), "{name} is never told");
        ids.push(id.trim_matches(['"', ';']));
    }
    explained.sort_unstable();
    ids.sort_unstable();
    assert_eq!(ids, explained);
    assert!(ids.len() >= 10 && ids.windows(2).all(|pair| pair[0] != pair[1]) && ids.iter().all(|id| id.len() == 32));
}

#[test]
fn the_packages_have_the_version_of_the_crate() {
    let changelog = text("packaging/debian/changelog");
    let first = changelog.lines().next().unwrap();
    assert!(first.starts_with(&format!("belfry ({}) ", env!("CARGO_PKG_VERSION"))), "{first}");
}

#[test]
fn the_packages_name_the_holders_and_the_terms_of_the_license() {
    let (license, copyright) = (text("LICENSE-MIT"), text("packaging/debian/copyright"));
    let license = license.split_once("Copyright (c) ").unwrap().1;
    let (holders, terms) = license.split_once('\n').unwrap();
    assert!(copyright.contains(&format!("\nCopyright: {holders}\n")), "{holders}");
    let terms: String =
        terms.trim().lines().map(|line| format!(" {}\n", if line.is_empty() { "." } else { line })).collect();
    assert!(copyright.contains(&terms), "{terms}");
}

#[test]
fn what_the_packages_install_is_there() {
    let mut seen = 0;
    for list in ["belfry.install", "belfryd.install", "belfryd.docs"] {
        for line in text(format!("packaging/debian/{list}")).lines() {
            let what = line.split(' ').next().unwrap();
            // What the build makes is not there yet, and debhelper knows patterns.
            let (folder, rest) = what.split_once('*').unwrap_or((what, ""));
            let mut path = Path::new(ROOT).join(folder);
            if what.contains('*') {
                let names = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
                path = names.into_iter().find(|name| name.display().to_string().ends_with(rest)).unwrap_or_default();
            }
            assert!(what.starts_with("debian/built/") || path.exists(), "{list}: {what}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} lines were looked at");
}

#[test]
fn those_who_cannot_read_the_configuration_announce_its_default_ports() {
    let example = text("etc/belfry.toml");
    for service in ["chat", "time"] {
        let table = example.split(&format!("\n[{service}]\n")).nth(1).unwrap();
        let port = table.split("listen = [\"0.0.0.0:").nth(1).unwrap().split('"').next().unwrap();
        let avahi = format!("<type>_belfry-{service}._udp</type>\n    <port>{port}</port>");
        assert!(text("packaging/avahi/belfry.service").contains(&avahi), "{avahi}");
        let resolved = format!("\nType=_belfry-{service}._udp\nPort={port}\n");
        assert!(text(format!("packaging/dnssd/belfry-{service}.dnssd")).contains(&resolved), "{resolved}");
    }
}
