//! Services of other people, as an attacker finds them: what each answers to a datagram.
//!
//! Those that have a well-known port are heard by nobody of ours at it. Here they are taken to be at another.

/// Something that answers a datagram with one, or with none.
pub(crate) type Foreign = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>>>;

/// How to make each, and its name.
pub(crate) type Make = (&'static str, fn() -> Foreign);

/// One whose answer depends on nothing else.
fn plain(answer: fn(&[u8]) -> Option<Vec<u8>>) -> Foreign {
    Box::new(answer)
}

/// One that is for texts.
fn of_text(answer: fn(&str) -> Option<String>) -> Foreign {
    Box::new(move |said| answer(&String::from_utf8_lossy(said)).map(String::into_bytes))
}

/// One that says the same whatever it is asked.
fn constant(answer: &'static [u8]) -> Foreign {
    Box::new(|_| Some(answer.to_vec()))
}

/// Those that give themselves away: their answer is the question, or no text, or always the same.
pub(crate) const ANSWERING: [Make; 21] = [
    ("discard", || plain(|_| None)),
    ("echo", || plain(|said| Some(said.to_vec()))),
    ("upper case", || of_text(|said| Some(said.to_uppercase()))),
    ("appending", || of_text(|said| Some(format!("{said}!\n")))),
    ("prefixing", || of_text(|said| Some(format!("You said: {said}")))),
    ("another time service", || of_text(strftime)),
    ("daytime", || constant(b"Saturday, November 21, 2026 14:03:27-UTC\r\n")),
    ("time protocol", || constant(&[0xec, 0xb4, 0x51, 0xff])),
    ("quote of one day", || constant(b"Who seeks finds.\r\n\t-- somebody\r\n")),
    ("active users", || constant(b"root\r\nanna\r\n")),
    ("a random binary protocol", || {
        let mut asked: u64 = 0;
        Box::new(move |_| {
            asked += 1;
            Some([&b"\xfe\xff"[..], &asked.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()].concat())
        })
    }),
    ("DNS", || plain(dns)),
    ("DNS that looks at nothing", || plain(any_dns)),
    ("NTP", || plain(ntp)),
    ("NTP that looks at nothing", || plain(any_ntp)),
    ("TFTP", || constant(b"\0\x05\0\x04Illegal TFTP operation\0")),
    ("SIP", || constant(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")),
    ("memcached", || constant(b"\0\0\0\0\0\x01\0\0ERROR\r\n")),
    ("a game server", || constant(b"\xff\xff\xff\xffdisconnect")),
    ("an error line", || constant(b"? I do not understand\n")),
    ("a notice", || constant(b"-- welcome\n")),
];

/// Those that say something else each time.
pub(crate) const TALKATIVE: [Make; 2] = [
    ("chargen", || {
        let mut shown = 0;
        Box::new(move |_| {
            shown += 1;
            Some(chargen(shown))
        })
    }),
    ("quotes", || {
        let mut asked = 0;
        Box::new(move |_| {
            asked += 1;
            Some(format!("Number {asked} of many wise words.\r\n").into_bytes())
        })
    }),
];

/// A line of 72 printing characters, the next beginning one later in the ring of them (RFC 864).
fn chargen(number: usize) -> Vec<u8> {
    let ring: Vec<u8> = (b' '..=b'~').collect();
    let mut line: Vec<u8> = ring.iter().cycle().skip(number % ring.len()).take(72).copied().collect();
    line.extend(b"\r\n");
    line
}

/// A server that answers queries (RFC 1035 §4.1.1): those that are none with "format error", responses not at all.
fn dns(said: &[u8]) -> Option<Vec<u8>> {
    let is_response = *said.get(2)? & 0x80 != 0;
    if said.len() < 12 || is_response { None } else { any_dns(said) }
}

/// One that answers a response too.
fn any_dns(said: &[u8]) -> Option<Vec<u8>> {
    let id = said.get(..2).unwrap_or(b"\0\0");
    Some([id, &[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]].concat())
}

/// A server that answers clients (RFC 5905 §7.3).
fn ntp(said: &[u8]) -> Option<Vec<u8>> {
    (said.len() >= 48 && said[0] & 7 == 3).then(|| any_ntp(said)).flatten()
}

/// One that answers everything, with what it was sent as the time at which that left.
fn any_ntp(said: &[u8]) -> Option<Vec<u8>> {
    let mut packet = vec![0; 48];
    packet[..4].copy_from_slice(&[0x24, 1, 6, 0xec]);
    let sent = &said[said.len().saturating_sub(8)..];
    packet[24..24 + sent.len()].copy_from_slice(sent);
    packet[32..36].copy_from_slice(&[0xec, 0xb4, 0x51, 0xff]);
    Some(packet)
}

/// A time server that fills in what follows a `%` and has an error line for everything else.
fn strftime(format: &str) -> Option<String> {
    let (line, newline) = format.strip_suffix('\n').map_or((format, ""), |line| (line, "\n"));
    if line.starts_with("? ") {
        return None;
    }
    if !line.is_empty() && !line.contains('%') {
        return Some(format!("? no conversion in that; try %H:%M{newline}"));
    }
    let mut filled = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('H' | 'M' | 'S')) => filled.push_str("14"),
            ('%', Some('%')) => filled.push('%'),
            ('%', Some(other)) => return Some(format!("? unknown conversion %{other}{newline}")),
            _ => filled.push(c),
        }
    }
    Some(filled + newline)
}
