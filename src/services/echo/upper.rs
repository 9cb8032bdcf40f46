//! Text in upper case, piece by piece: what becomes of it does not depend on where it was cut.
//!
//! Each character becomes its full upper case (Unicode, SpecialCasing without conditions and languages), which may be several
//! characters: ß becomes SS. Bytes that are no UTF-8 stay as they are.

use crate::core::Output;

/// The longest character in UTF-8.
const CHAR_MAX: usize = 4;

/// The longest upper case of a character in UTF-8: U+0390, of two bytes, becomes three characters of two.
const UPPER_MAX: usize = 6;

/// What stands at the beginning of some bytes.
enum First {
    /// A character.
    Char(char),
    /// So many bytes that are no part of one.
    Invalid(usize),
    /// So many bytes that may be the beginning of one, and nothing behind them.
    Unfinished(usize),
}

/// Puts `input` into `out` in upper case, as far as there is room; how much of it was taken. A character that is not complete
/// is left, unless `is_last` says that it never will be.
pub(super) fn upper_case(input: &[u8], is_last: bool, out: &mut Output) -> usize {
    let mut rest = input;
    while !rest.is_empty() && out.room() > 0 {
        let ascii = rest.iter().take(out.room()).take_while(|byte| byte.is_ascii()).count();
        if ascii > 0 {
            out.push_upper_case(&rest[..ascii]);
            rest = &rest[ascii..];
            continue;
        }
        let mut upper = [0; UPPER_MAX];
        let (from, to): (usize, &[u8]) = match first(rest) {
            First::Char(c) => {
                let mut len = 0;
                c.to_uppercase().for_each(|c| len += c.encode_utf8(&mut upper[len..]).len());
                (c.len_utf8(), &upper[..len])
            }
            First::Unfinished(_) if !is_last => break,
            First::Invalid(len) | First::Unfinished(len) => (len, &rest[..len]),
        };
        if to.len() > out.room() {
            break;
        }
        out.push(to);
        rest = &rest[from..];
    }
    input.len() - rest.len()
}

/// What stands at the beginning of bytes that are not empty.
fn first(bytes: &[u8]) -> First {
    let head = &bytes[..bytes.len().min(CHAR_MAX)];
    let chunk = head.utf8_chunks().next().expect("they are not empty");
    if let Some(c) = chunk.valid().chars().next() {
        return First::Char(c);
    }
    let len = chunk.invalid().len();
    let is_cut_off = len == bytes.len() && str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
    if is_cut_off { First::Unfinished(len) } else { First::Invalid(len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(input: &[u8], is_last: bool, room: usize) -> (usize, Vec<u8>) {
        let mut out = Output::new(room);
        (upper_case(input, is_last, &mut out), out.pending().to_vec())
    }

    #[test]
    fn every_character_becomes_its_upper_case_within_the_bound() {
        let mut longest = 0.0_f64;
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let (taken, shown) = upper(text.as_bytes(), false, UPPER_MAX);
            assert_eq!((taken, shown.as_slice()), (text.len(), text.to_uppercase().as_bytes()), "{c:?}");
            longest = longest.max(shown.len() as f64 / text.len() as f64);
        }
        assert_eq!(longest, 3.0, "docs/THREATS.md counts on it");
    }

    #[test]
    fn what_may_be_the_beginning_of_a_character_is_left_until_the_rest_is_there_or_nothing_more_comes() {
        for c in ["é", "€", "🔔"] {
            for cut in 1..c.len() {
                let text = [b"a", &c.as_bytes()[..cut]].concat();
                assert_eq!(upper(&text, false, 64), (1, b"A".to_vec()), "{c} cut at {cut}");
                assert_eq!(upper(&text, true, 64), (text.len(), [b"A", &text[1..]].concat()), "{c} cut at {cut}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"a\xffb", b"A\xffB"),
            (b"\xc3\xc3\xa9", b"\xc3\xc3\x89"),
            (b"\xed\xa0\x80x", b"\xed\xa0\x80X"),
            (b"\xf0\x9f\x94x", b"\xf0\x9f\x94X"),
            (b"\xf5\x80\x80\x80", b"\xf5\x80\x80\x80"),
        ];
        for (input, expected) in cases {
            assert_eq!(upper(input, false, 64), (input.len(), expected.to_vec()), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn what_finds_no_room_is_left_whole() {
        assert_eq!(upper("aß".as_bytes(), false, 2), (1, b"A".to_vec()));
        assert_eq!(upper("aß".as_bytes(), false, 3), (3, b"ASS".to_vec()));
        assert_eq!(upper("ΐ".as_bytes(), false, 5), (0, Vec::new()));
        assert_eq!(upper("ŉ!".as_bytes(), false, 3), (2, "ʼN".as_bytes().to_vec()));
    }
}
