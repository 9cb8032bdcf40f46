//! The frames of a session's datagrams, as far as a load has to read them (docs/PROTOCOL.md, *Datagrams and frames*).

/// A frame: what stands between its carets, and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) text: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The value of a field.
    pub(crate) fn value(&self, key: &str) -> Option<&'a [u8]> {
        let mut fields = self.head.split(|&byte| byte == b' ');
        fields.find_map(|field| field.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
    }
}

/// The frames of one datagram, up to the first that is none.
pub(crate) fn frames(mut rest: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        while let [0 | b'\n' | b'\r', behind @ ..] = rest {
            rest = behind;
        }
        let behind = rest.strip_prefix(b"^")?;
        let end = behind.iter().position(|&byte| byte == b'^')?;
        let (head, behind) = (&behind[..end], &behind[end + 1..]);
        let (text, behind) = behind.split_at_checked(text_len(head))?;
        rest = behind;
        Some(Frame { head, text })
    })
}

/// `len=`, which is the last field where there is one.
fn text_len(head: &[u8]) -> usize {
    let digits = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = head.split_at(head.len() - digits);
    if !before.ends_with(b" len=") {
        return 0;
    }
    number.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
