//! The fuzz targets in short: the seeds of each, what was found before, and a thousand variations of both.
//!
//! `make fuzz` is the long way, and finds more. Here all chance comes from numbers, so a run is the same run every time. A
//! panic names the input; one that was made from others names its number too:
//!
//! ```text
//! BELFRY_SEED=4711 cargo test --test fuzz frame       that variation alone
//! BELFRY_SEEDS=1000000 cargo test --test fuzz frame   more of them
//! ```

#![expect(unsafe_code, reason = "strftime is C")]
#![expect(unreachable_pub, reason = "the targets are a crate of their own elsewhere")]
#![expect(clippy::unwrap_used, reason = "a test fails by panics")]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use belfry::core::{Seed, SplitMix};
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// The folder of the targets.
const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

/// Variations of each target, unless somebody wants more.
const VARIATIONS: u64 = 1_000;

/// The longest of them.
const LEN_MAX: usize = 4_096;

/// What often means something where numbers and ends are.
const ODD: [&[u8]; 12] =
    [b"", b"\0", b"\n", b"^", b"%", b"\x1b", b"\xff", b"\xe2\x80\xae", b"0", b"-1", b"18446744073709551615", b"9999"];

/// The files of a folder, in the order of their names; none when there is no such folder.
fn files(folder: &str, target: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(Path::new(FUZZ).join(folder).join(target)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a target over everything that is its own and over variations of that.
#[track_caller]
fn run(target: &str, body: fn(&[u8])) {
    let mut inputs = files("seeds", target);
    assert!(!inputs.is_empty(), "{target} has no seeds");
    inputs.extend(files("regressions", target));
    let vectors = targets::vectors::seeds().into_iter().filter(|&(of, _)| of == target);
    inputs.extend(vectors.flat_map(|(_, seeds)| seeds));
    let number = |variable| std::env::var(variable).ok().map(|value: String| value.parse().unwrap());
    let variations = match (number("BELFRY_SEED"), number("BELFRY_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => {
            inputs.iter().for_each(|input| try_one(target, body, input, ""));
            0..count.unwrap_or(VARIATIONS)
        }
    };
    for seed in variations {
        let input = vary(&inputs, &mut SplitMix::new(Seed(seed.into())));
        try_one(target, body, &input, &format!(", BELFRY_SEED={seed}"));
    }
}

/// Runs a target once; a panic in it names the input.
#[track_caller]
fn try_one(target: &str, body: fn(&[u8]), input: &[u8], seed: &str) {
    if let Err(panic) = catch_unwind(|| body(input)) {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&said| said.to_owned())).unwrap_or_default();
        panic!("{target}{seed}: {said}\ninput: b\"{}\"", input.escape_ascii());
    }
}

/// One of the inputs with a few changes.
fn vary(inputs: &[Vec<u8>], random: &mut SplitMix) -> Vec<u8> {
    let mut below = |end: usize| random.below(end as u64) as usize;
    let mut input = inputs[below(inputs.len())].clone();
    for _ in 0..=below(5) {
        let at = below(input.len() + 1);
        let end = input.len().min(at + below(16));
        match below(6) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..end, ODD[below(ODD.len())].iter().copied())),
            2 => input.insert(at, below(256) as u8),
            3 if at < input.len() => input[at] ^= 1 << below(8),
            4 => {
                let again = input[at..end].repeat(1 + below(40));
                drop(input.splice(at..at, again));
            }
            _ => {
                let other = &inputs[below(inputs.len())];
                let from = below(other.len() + 1);
                let to = other.len().min(from + below(200));
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
        }
    }
    input.truncate(LEN_MAX);
    input
}

#[test]
fn an_access_decision_is_what_its_rules_say() {
    run("access", targets::access);
}

#[test]
fn what_is_understood_of_an_announcement_means_the_same_when_it_is_said_again() {
    run("announcement", targets::announcement);
}

#[test]
fn whatever_is_said_in_a_room_nobody_gets_what_is_not_for_him() {
    run("chat", targets::chat);
}

#[test]
fn whatever_sessions_say_nobody_gets_what_is_not_for_him() {
    run("sessions", targets::sessions);
}

#[test]
fn a_hub_takes_of_what_was_kept_what_makes_sense_and_leaves_what_the_next_reads_whole() {
    run("kept", targets::kept);
}

#[test]
fn whatever_a_hub_says_its_client_stays_within_its_bounds_and_hears_in_order() {
    run("client", targets::client);
}

#[test]
fn whatever_a_hub_lists_its_client_asks_and_keeps_no_more_than_it_may() {
    run("lists", targets::lists);
}

#[test]
fn whatever_stands_in_a_configuration_is_read_as_it_is_printed_or_shown_as_a_mistake() {
    run("config", targets::config);
}

#[test]
fn what_is_said_over_the_control_socket_is_read_as_it_is_written() {
    run("control", targets::control);
}

#[test]
fn what_comes_back_of_a_stream_does_not_depend_on_how_it_was_cut() {
    run("echo", targets::echo);
}

#[test]
fn a_format_means_what_the_c_library_makes_of_it() {
    run("format", targets::format);
}

#[test]
fn a_frame_that_is_written_again_is_read_as_the_same() {
    run("frames", targets::frames);
}

#[test]
fn a_file_in_memory_is_taken_as_it_is_and_what_is_written_then_is_read_back() {
    run("head", targets::head);
}

#[test]
fn the_end_of_a_history_is_what_a_reader_of_the_whole_finds_there() {
    run("history", targets::history);
}

#[test]
fn whatever_the_hosts_file_says_nobody_gets_a_name_that_cannot_be_had() {
    run("hosts", targets::hosts);
}

#[test]
fn whatever_the_kernel_says_the_table_of_interfaces_is_in_order() {
    run("netlink", targets::netlink);
}

#[test]
fn only_a_client_has_an_answer_of_ntp_and_an_answer_has_none() {
    run("ntp", targets::ntp);
}

#[test]
fn a_time_request_gets_one_answer_within_its_bounds() {
    run("time", targets::time);
}

#[test]
fn a_zone_that_is_known_can_be_asked_for_any_moment() {
    run("zones", targets::zones);
}

#[test]
fn every_target_has_a_program_and_a_run_here() {
    let stems = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(Path::new(FUZZ).join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let manifest = fs::read_to_string(Path::new(FUZZ).join("Cargo.toml")).unwrap();
    let bins = manifest.split("[[bin]]").skip(1).map(|bin| bin.split('"').nth(1).unwrap().to_owned());
    let bins: BTreeSet<_> = bins.collect();
    let here =
        include_str!("fuzz.rs").split("    run(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    assert_eq!(stems("fuzz_targets"), bins);
    assert_eq!(here.collect::<BTreeSet<_>>(), bins);
    assert_eq!(stems("seeds"), bins);
    assert!(stems("regressions").is_subset(&bins) && bins.len() > 10);
}
