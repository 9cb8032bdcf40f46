//! Rates as the configuration writes them: so many each second.

use std::fmt;
use std::str::FromStr;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens at most, and at first.
    pub burst: u32,
    /// Of so many that find no token one passes all the same; 0 for none.
    pub leak: u32,
}

impl Rate {
    /// A rate that nothing passes by.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst, leak: 0 }
    }

    /// As much each second, and as much at once as comes in so many.
    pub(crate) const fn with_burst_of(self, seconds: u32) -> Self {
        Self { burst: self.per_second.saturating_mul(seconds), ..self }
    }

    /// So many times as much at once and each second, and nothing by the side.
    pub(crate) const fn times(self, factor: u32) -> Self {
        Self::new(self.per_second.saturating_mul(factor), self.burst.saturating_mul(factor))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s burst {}", self.per_second, self.burst)?;
        if self.leak > 0 { write!(f, " leak 1/{}", self.leak) } else { Ok(()) }
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `50/s burst 200 leak 1/8`; without a burst it is the tokens of one second, without a leak there is none.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let rate = words.next().and_then(|word| word.strip_suffix("/s"));
        let rate = rate.ok_or_else(|| format!("{text:?} does not begin with a rate for each second"))?;
        let rest: Vec<&str> = words.collect();
        let (burst, leak) = match rest[..] {
            [] => (rate, None),
            ["burst", burst] => (burst, None),
            ["leak", leak] => (rate, Some(leak)),
            ["burst", burst, "leak", leak] => (burst, Some(leak)),
            _ => return Err(format!("{text:?} has something other than a burst and a leak behind its rate")),
        };
        let number = |word: &str| match word.parse::<u32>() {
            Ok(0) => Err("a rate of 0 would let nothing through".to_owned()),
            Ok(number) => Ok(number),
            Err(_) => Err(format!("{word:?} is not a number of datagrams")),
        };
        let leak = match leak {
            None => 0,
            Some(leak) => leak
                .strip_prefix("1/")
                .and_then(|of| of.parse().ok().filter(|&of| of > 1))
                .ok_or_else(|| format!("{leak:?} is not a leak such as 1/8"))?,
        };
        Ok(Self { per_second: number(rate)?, burst: number(burst)?, leak })
    }
}

/// Bytes a second, as they are written: `32 MB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate(pub u32);

/// The units of a [`ByteRate`], the largest first.
const BYTE_UNITS: [(&str, u32); 3] = [("MB/s", 1_000_000), ("kB/s", 1_000), ("B/s", 1)];

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BYTE_UNITS.into_iter().find(|&(_, bytes)| self.0.is_multiple_of(bytes));
        let (name, bytes) = unit.expect("every number is so many bytes");
        write!(f, "{} {name}", self.0 / bytes)
    }
}

impl FromStr for ByteRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = BYTE_UNITS.into_iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?.trim_end(), bytes)));
        let (number, bytes) = unit.ok_or_else(|| format!("{text:?} is not in MB/s, kB/s or B/s"))?;
        let number: u32 = number.parse().map_err(|_| format!("{number:?} is not a number of bytes"))?;
        match number.checked_mul(bytes) {
            Some(0) => Err("a rate of 0 would let nothing through".to_owned()),
            Some(bytes) => Ok(Self(bytes)),
            None => Err(format!("{text} is more than {} MB/s", u32::MAX / 1_000_000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_a_second_are_read_as_they_are_written() {
        for text in ["32 MB/s", "1500 kB/s", "1 B/s", "4294967295 B/s"] {
            assert_eq!(text.parse::<ByteRate>().unwrap().to_string(), text);
        }
        assert_eq!("32MB/s".parse(), Ok(ByteRate(32_000_000)));
        assert_eq!("1000 kB/s".parse::<ByteRate>().unwrap().to_string(), "1 MB/s");
        let table = [
            ("32", "\"32\" is not in MB/s, kB/s or B/s"),
            ("32 MiB/s", "\"32 Mi\" is not a number of bytes"),
            ("0 MB/s", "a rate of 0 would let nothing through"),
            ("-1 B/s", "\"-1\" is not a number of bytes"),
            ("4295 MB/s", "4295 MB/s is more than 4294 MB/s"),
        ];
        for (text, reason) in table {
            assert_eq!(text.parse::<ByteRate>(), Err(reason.to_owned()));
        }
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["50/s burst 200", "1/s burst 1", "4294967295/s burst 4294967295", "1/s burst 4 leak 1/8"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("5/s".parse(), Ok(Rate::new(5, 5)));
        let table = [
            ("", "\"\" does not begin with a rate for each second"),
            ("5", "\"5\" does not begin with a rate for each second"),
            ("5/min burst 3", "\"5/min burst 3\" does not begin with a rate for each second"),
            ("0/s burst 3", "a rate of 0 would let nothing through"),
            ("3/s burst 0", "a rate of 0 would let nothing through"),
            ("-1/s", "\"-1\" is not a number of datagrams"),
            ("4294967296/s", "\"4294967296\" is not a number of datagrams"),
            ("3/s burst", "\"3/s burst\" has something other than a burst and a leak behind its rate"),
            ("3/s burst 4 5", "\"3/s burst 4 5\" has something other than a burst and a leak behind its rate"),
            ("3/s brust 4", "\"3/s brust 4\" has something other than a burst and a leak behind its rate"),
        ];
        assert_eq!("5/s leak 1/2".parse(), Ok(Rate { leak: 2, ..Rate::new(5, 5) }));
        for leak in ["8", "1/1", "1/0", "2/8", "1/"] {
            let reason = format!("{leak:?} is not a leak such as 1/8");
            assert_eq!(format!("5/s leak {leak}").parse::<Rate>(), Err(reason));
        }
        for (text, reason) in table {
            assert_eq!(text.parse::<Rate>(), Err(reason.to_owned()));
        }
    }
}
