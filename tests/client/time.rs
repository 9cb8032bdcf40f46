//! `belfry time`: what it asks, what it prints, how it ends.

use crate::{Server, ended, run, silent};

#[test]
fn time_sends_the_words_as_one_format_and_prints_the_answer() {
    let server = Server::start(|format| vec![format!("<{format}>\n")]);
    assert_eq!(run(server.addr, &["time", "TZ=UTC", "%H:%M"]), ended("<TZ=UTC %H:%M>\n", "", 0));
    assert_eq!(run(server.addr, &["time"]), ended("<>\n", "", 0));
    assert_eq!(server.got(), ["TZ=UTC %H:%M", ""]);
}

#[test]
fn time_says_on_standard_error_what_the_server_did_not_understand() {
    let server = Server::start(|_| vec!["? unknown conversion %Q\x1b[2J\n".to_owned()]);
    assert_eq!(run(server.addr, &["time", "%Q"]), ended("", "belfry: ? unknown conversion %Q\\u{1b}[2J\n", 1));
}

#[test]
fn time_asks_three_times_before_it_gives_up() {
    let server = Server::start(silent);
    let stderr = format!("belfry: no answer from {}/udp within 600ms\n", server.addr);
    assert_eq!(run(server.addr, &["time", "%H"]), ended("", &stderr, 2));
    assert_eq!(server.got(), ["%H", "%H", "%H"]);
}
