//! Frames: what is read and written again is read as the same, and nothing is read that is not there.

use belfry::core::frame::{Position, Range, SessionId, frames as read, number, write_frame, write_text_frame};

/// A datagram.
pub fn frames(data: &[u8]) {
    let mut len = 0;
    let mut is_over = false;
    for frame in read(data) {
        assert!(!is_over, "nothing follows what is no frame");
        let Ok(frame) = frame else {
            is_over = true;
            continue;
        };
        // As Rust would show it, which is as it stands there but for the text.
        let shown = format!("{frame:?}");
        let head = shown[1..].split('^').next().expect("something stands before a ^");
        len += head.len() + "^^".len() + frame.text.len();
        assert!(len <= data.len(), "there is more than was sent: {frame:?}");
        assert!(frame.verb.len() >= 2 && head.starts_with(frame.verb));

        let mut written = Vec::new();
        if frame.value("len").is_some() {
            write_frame(&mut written, format_args!("{head}"));
            written.extend_from_slice(frame.text);
        } else {
            write_text_frame(&mut written, format_args!("{head}"), frame.text);
        }
        // Another one behind it is none of it.
        written.extend_from_slice(b"^hb^");
        let again: Vec<_> = read(&written).collect();
        let [Ok(first), Ok(second)] = again[..] else { panic!("{again:?} of {frame:?}") };
        assert_eq!((first.verb, first.text, second.verb), (frame.verb, frame.text, "hb"));
        assert!(first.words().eq(frame.words()), "{first:?} of {frame:?}");
        frame.words().chain(frame.values("at")).for_each(word);
        let is_len = |len| number(len) == Some(frame.text.len() as u64);
        assert!(frame.value("len").is_none_or(is_len), "{frame:?}");
    }
}

fn word(word: &str) {
    if let Some(range) = Range::read(word) {
        assert_eq!(Range::read(&range.to_string()), Some(range), "{word}");
        assert!(range.first <= range.last && !range.room.is_empty() && !range.room.contains('/'), "{word}");
    }
    if let Some(position) = Position::read(word) {
        assert_eq!(Position::read(&position.to_string()), Some(position), "{word}");
        assert!(Range::read(word).is_some(), "{word}");
    }
    if let Ok(session) = word.parse::<SessionId>() {
        assert_eq!(session.to_string(), word);
    }
    if let Some(number) = number(word) {
        assert_eq!(number.to_string(), word.trim_start_matches('0').to_owned() + if number == 0 { "0" } else { "" });
    }
}
