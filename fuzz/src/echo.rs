//! The echo: what comes back of a stream does not depend on how it was cut nor on how it is read, and what comes back of a
//! datagram is the same, or nothing.

use belfry::config::{self, Transform};
use belfry::core::limits::DATAGRAM_MAX;
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Output, Path, Seed, Verdict};
use belfry::services::echo::Echo;
use belfry::services::{Service, StreamService};

/// The longest upper case of one character, without which nothing gets on.
const ROOM_MIN: usize = 6;

/// A text, of which each byte also says how long a piece is.
pub fn echo(data: &[u8]) {
    let upper = data.utf8_chunks().flat_map(|chunk| {
        let text = chunk.valid().to_uppercase().into_bytes();
        text.into_iter().chain(chunk.invalid().iter().copied())
    });
    let upper: Vec<u8> = upper.collect();
    for (transform, expected) in [(Transform::None, data), (Transform::Upper, &upper)] {
        let config = config::Echo { transform, ..config::Echo::default() };
        let mut echo = Echo::new(&config, Seed(1));
        assert_eq!(stream(&mut echo, &[data.len()], 1 << 16, data), expected);
        let sizes: Vec<usize> = data.iter().map(|&byte| usize::from(byte % 9)).collect();
        let room = ROOM_MIN + data.first().map_or(0, |&byte| usize::from(byte % 32));
        assert_eq!(stream(&mut echo, &sizes, room, data), expected, "in pieces, with room for {room}");
        datagram(&mut echo, data, expected);
    }
}

fn now() -> Now {
    Now { mono: Instant::from_nanos(1), wall: jiff::Timestamp::UNIX_EPOCH }
}

/// What comes back of pieces of these sizes, and then of the rest, to somebody who reads a little more each time.
fn stream(echo: &mut Echo, sizes: &[usize], room: usize, data: &[u8]) -> Vec<u8> {
    let (mut conversation, mut out) = (echo.begin(), Output::new(room));
    let (mut come, mut taken, mut back) = (0, 0, Vec::new());
    let mut sizes = sizes.iter();
    loop {
        let size = sizes.next().copied();
        come = data.len().min(come + size.unwrap_or(data.len()));
        let is_last = size.is_none();
        let took = conversation.proceed(&now(), &data[taken..come], is_last, &mut out);
        assert!(took <= come - taken && out.pending().len() <= room);
        // Who has room for a character waits for no more than the rest of one.
        assert!(took > 0 || come - taken < 4 || out.room() < ROOM_MIN, "{} bytes are held back", come - taken);
        taken += took;
        let read = out.pending().len().min(1 + size.unwrap_or(room));
        back.extend_from_slice(&out.pending()[..read]);
        out.advance(read);
        if is_last && taken == data.len() && out.is_empty() {
            return back;
        }
    }
}

fn datagram(echo: &mut Echo, payload: &[u8], expected: &[u8]) {
    let path = Path::to(ListenerId(0), "192.0.2.7:40001".parse().expect("an address"));
    let mut out = Outbox::default();
    let verdict = echo.handle_datagram(&now(), &Datagram::unicast(path, payload), &mut out);
    let answers: Vec<_> = out.pending().collect();
    match verdict {
        Verdict::Answered => {
            assert_eq!(answers, [(&path, expected)]);
            assert!(expected.len() <= DATAGRAM_MAX.min(3 * payload.len()));
        }
        Verdict::Dropped(_) => assert!(answers.is_empty()),
        verdict => panic!("{verdict:?}"),
    }
}
