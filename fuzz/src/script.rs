//! Inputs that are little programs: one step a line, with escapes for the bytes that a line cannot hold.
//!
//! ```text
//! @2500                what the first byte means is the target's affair; here 2.5 seconds go by
//! a>hello\n\x00        a newline and a zero byte
//! ```

/// The steps, as they stand there.
pub(crate) fn steps(program: &[u8]) -> impl Iterator<Item = &[u8]> {
    program.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// The bytes that a step stands for. `\n`, `\r`, `\0`, `\\` and `\x1b` are what they are in Rust; `\*` and a byte stand for
/// a thousand of those; `$` and a letter are what `made_up` has for it. Anything else is itself.
pub(crate) fn unescape(line: &[u8], made_up: impl Fn(u8) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let stands_for = match (first, behind) {
            (b'\\', [b'x', high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| (3, vec![high << 4 | low])),
            (b'\\', [b'*', byte, ..]) => Some((2, vec![*byte; 1_000])),
            (b'\\', [letter, ..]) => escape(*letter).map(|byte| (1, vec![byte])),
            (b'$', [letter, ..]) => made_up(*letter).map(|bytes| (1, bytes)),
            _ => None,
        };
        match stands_for {
            Some((len, mut what)) => {
                bytes.append(&mut what);
                rest = &rest[len..];
            }
            None => bytes.push(*first),
        }
    }
    bytes
}

fn escape(letter: u8) -> Option<u8> {
    [(b'n', b'\n'), (b'r', b'\r'), (b'0', 0), (b'\\', b'\\')].into_iter().find(|of| of.0 == letter).map(|of| of.1)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The decimal number that the bytes begin with, at most `max`; 0 where there is none.
pub(crate) fn number(bytes: &[u8], max: u64) -> u64 {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))).min(max)
}
