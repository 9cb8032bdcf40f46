//! The echo as a script: what is sent, and what comes back.

use super::*;
use crate::core::{ListenerId, Path};
use std::time::Duration;

const START: Instant = Instant::from_nanos(1_000_000_000_000);

/// An echo, and the moment.
struct Stage {
    echo: Echo,
    out: Outbox,
    mono: Instant,
}

impl Stage {
    fn new(transform: Transform) -> Self {
        let config = config::Echo { transform, ..config::Echo::default() };
        Self { echo: Echo::new(&config, Seed(1)), out: Outbox::default(), mono: START }
    }

    fn hear(&mut self, datagram: &Datagram<'_>) -> (Verdict, Option<Vec<u8>>) {
        self.mono = self.mono + Duration::from_secs(1);
        let now = Now { mono: self.mono, wall: jiff::Timestamp::UNIX_EPOCH };
        let verdict = self.echo.handle_datagram(&now, datagram, &mut self.out);
        let sent: Vec<_> = self.out.pending().map(|(path, bytes)| (*path, bytes.to_vec())).collect();
        self.out.advance(sent.len());
        assert!(sent.len() <= 1 && sent.iter().all(|(path, _)| *path == datagram.path));
        (verdict, sent.into_iter().next().map(|(_, bytes)| bytes))
    }

    /// What comes back by UDP.
    fn send(&mut self, payload: impl AsRef<[u8]>) -> (Verdict, Option<Vec<u8>>) {
        let path = Path::to(ListenerId(0), "192.0.2.7:40001".parse().unwrap());
        self.hear(&Datagram::unicast(path, payload.as_ref()))
    }

    /// What comes back by TCP, of pieces that come one after the other and a buffer of `room` bytes that is sent at once.
    fn stream(&mut self, pieces: &[&[u8]], room: usize) -> Vec<u8> {
        let now = Now { mono: self.mono, wall: jiff::Timestamp::UNIX_EPOCH };
        let (mut conversation, mut out) = (self.echo.begin(), Output::new(room));
        let (mut input, mut sent) = (Vec::new(), Vec::new());
        for (number, piece) in pieces.iter().enumerate() {
            input.extend_from_slice(piece);
            let is_last = number + 1 == pieces.len();
            loop {
                let taken = conversation.proceed(&now, &input, is_last, &mut out);
                input.drain(..taken);
                sent.extend_from_slice(out.pending());
                out.advance(out.pending().len());
                if taken == 0 {
                    break;
                }
            }
            assert!(input.len() < 4, "{} bytes are held back", input.len());
        }
        assert!(input.is_empty() && !out.is_ended());
        sent
    }
}

fn answered(bytes: impl AsRef<[u8]>) -> (Verdict, Option<Vec<u8>>) {
    (Verdict::Answered, Some(bytes.as_ref().to_vec()))
}

const fn dropped(reason: DropReason) -> (Verdict, Option<Vec<u8>>) {
    (Verdict::Dropped(reason), None)
}

#[test]
fn a_datagram_comes_back_as_it_was() {
    let mut stage = Stage::new(Transform::None);
    for payload in [&b""[..], b"hello", b"hello\n", b"\0\xff\r\n", "grüß dich".as_bytes(), &[b'x'; DATAGRAM_MAX]] {
        assert_eq!(stage.send(payload), answered(payload));
    }
}

#[test]
fn text_comes_back_in_upper_case_and_other_bytes_as_they_were() {
    let mut stage = Stage::new(Transform::Upper);
    for (payload, expected) in [
        (&b"hello\n"[..], "HELLO\n".as_bytes()),
        ("straße, ŉ, ﬃ".as_bytes(), "STRASSE, ʼN, FFI".as_bytes()),
        (b"", b""),
        (b"caf\xe9 \xc3", b"CAF\xe9 \xc3"),
        (b"\xf0\x9f\x94\x94 bell", b"\xf0\x9f\x94\x94 BELL"),
    ] {
        assert_eq!(stage.send(payload), answered(expected));
    }
}

#[test]
fn what_would_come_back_longer_than_a_datagram_does_not_come_back() {
    let mut stage = Stage::new(Transform::Upper);
    assert_eq!(stage.send(vec![b'x'; DATAGRAM_MAX]), answered(vec![b'X'; DATAGRAM_MAX]));
    assert_eq!(stage.send(vec![b'x'; DATAGRAM_MAX + 1]), dropped(DropReason::TooLong));
    let longest = "ΐ".repeat(DATAGRAM_MAX / 6);
    assert_eq!(stage.send(&longest), answered(longest.to_uppercase()));
    assert_eq!(stage.send(longest + "ΐ"), dropped(DropReason::TooLong));
    let path = Path::to(ListenerId(0), "192.0.2.7:40001".parse().unwrap());
    let cut_off = Datagram { truncated: true, ..Datagram::unicast(path, b"hello") };
    assert_eq!(stage.hear(&cut_off), dropped(DropReason::TooLong));
}

#[test]
fn what_services_say_does_not_come_back_and_what_comes_back_again_and_again_not_for_long() {
    let mut stage = Stage::new(Transform::None);
    for said in ["? no conversion in it; try %H:%M:%S", "-- anna has joined", "You said: ? not UTF-8; try %H:%M:%S"] {
        assert_eq!(stage.send(said), dropped(DropReason::ErrorLine));
    }
    let soon = |stage: &mut Stage| {
        stage.mono = stage.mono - Duration::from_millis(999);
        stage.send("hello")
    };
    assert!((0..3).all(|_| soon(&mut stage) == answered("hello")));
    assert_eq!(soon(&mut stage), dropped(DropReason::Reflex));
    assert_eq!(stage.send("hello"), answered("hello"), "a moment later");
}

#[test]
fn a_stream_comes_back_the_same_wherever_it_is_cut_and_however_little_room_there_is() {
    let text = "Straße ŉ ΐ 🔔 \u{fb03}".as_bytes();
    let text = [text, b"\xff\xc3(", &text[..8]].concat();
    let upper: Vec<u8> = text
        .utf8_chunks()
        .flat_map(|chunk| [chunk.valid().to_uppercase().as_bytes(), chunk.invalid()].concat())
        .collect();
    for room in [6, 7, 64] {
        for cut in 0..=text.len() {
            let pieces = [&text[..cut], &text[cut..]];
            assert_eq!(Stage::new(Transform::Upper).stream(&pieces, room), upper, "cut at {cut}");
            assert_eq!(Stage::new(Transform::None).stream(&pieces, room), text, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(Stage::new(Transform::Upper).stream(&bytes, room), upper);
    }
}

#[test]
fn a_connection_goes_on_as_it_began_when_the_configuration_changes() {
    let mut stage = Stage::new(Transform::Upper);
    let now = Now { mono: START, wall: jiff::Timestamp::UNIX_EPOCH };
    let (mut old, mut out) = (stage.echo.begin(), Output::new(64));
    stage.echo.reconfigure(&config::Echo::default());
    old.proceed(&now, b"a", false, &mut out);
    stage.echo.begin().proceed(&now, b"a", false, &mut out);
    assert_eq!(out.pending(), b"Aa");
    assert_eq!(stage.send("a"), answered("a"));
}
