//! Text that strangers chose and a terminal or a log will show.

/// Whether a character could move a terminal's cursor, change its state or reorder what it shows: C0 but tab and
/// newline, DEL, C1, the line and paragraph separators, and the bidirectional marks, embeddings, overrides and isolates
/// (Unicode Standard Annex #9 §2).
pub fn is_control(c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\u{2028}' | '\u{2029}' => true,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// What is shown of a stranger's character: itself, or `?` in the place of one that [`is_control`].
pub fn shown(c: char) -> char {
    if is_control(c) { '?' } else { c }
}

/// The line that a payload carries, and whether a newline ends it; zero bytes behind it do not matter.
pub fn split_line(payload: &[u8]) -> (&[u8], bool) {
    without_newline(without_trailing_nuls(payload))
}

/// The payload without the zero bytes that C programs send behind their strings.
pub fn without_trailing_nuls(payload: &[u8]) -> &[u8] {
    let end = payload.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &payload[..end]
}

/// Splits a final `\n` or `\r\n` off: the rest, and whether there was one.
pub fn without_newline(bytes: &[u8]) -> (&[u8], bool) {
    match bytes {
        [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n'] => (rest, true),
        _ => (bytes, false),
    }
}

/// `1 member`, `2 members`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_steers_a_terminal_is_a_control_character_and_nothing_that_is_read_is_one() {
        for c in ['\0', '\x07', '\r', '\x1b', '\x7f', '\u{80}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2066}'] {
            assert!(is_control(c), "{c:?}");
        }
        for c in ['\t', '\n', ' ', 'a', 'ß', 'ا', '\u{200d}', '\u{a0}', '🕰'] {
            assert!(!is_control(c), "{c:?}");
        }
    }

    #[test]
    fn a_final_newline_is_one_lf_or_cr_lf_before_any_zero_bytes() {
        let cases: [(&[u8], &[u8], bool); 6] = [
            (b"a\n\0\0", b"a", true),
            (b"a\r\n", b"a", true),
            (b"a\n\n", b"a\n", true),
            (b"a\r", b"a\r", false),
            (b"\0\0", b"", false),
            (b"a\0b\0", b"a\0b", false),
        ];
        for (payload, rest, newline) in cases {
            assert_eq!(split_line(payload), (rest, newline), "{payload:?}");
        }
    }
}
